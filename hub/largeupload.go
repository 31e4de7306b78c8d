package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// LargeUploadOptions refine UploadLargeFolder.
type LargeUploadOptions struct {
	Private *bool    // if the repository has to be created
	Allow   []string // see Patterns; relative to the folder
	Ignore  []string // in addition to DefaultIgnorePatterns
	Workers int      // files that are worked on at a time; 0 is one for each processor but two, and two at least
	// Report is told how far it is, every ReportEvery (0 is a minute) and at the
	// end, from one goroutine.
	Report      func(LargeUploadReport)
	ReportEvery time.Duration
}

// LargeUploadReport is how far an upload is. Sizes are in bytes. Ignored files
// count nowhere else.
type LargeUploadReport struct {
	Files, Ignored, Hashed, LFS, Unasked, Uploaded, Committed, Failed int
	Size, HashedSize, LFSSize, UploadedSize, CommittedSize            int64

	Hashing, Asking, Uploading, Committing, Waiting int // workers, by what they do

	CommitSize int // files that a commit has at present
	Elapsed    time.Duration
}

// largeSummary is the message of the commits, as the official client's.
const largeSummary = "Add files using upload-large-folder tool"

// UploadLargeFolder adds the files of a folder in as many commits as it takes, and
// creates the repository if there is none. It may be interrupted at any time,
// also by the death of the process: called again, it goes on where it was, and
// uploads nothing twice. What it knows is kept in the folder, below
// .cache/huggingface/upload, in the form of the official client, with which it
// may take turns.
//
// Failures of the network and the server are waited out, as long as ctx lives.
// The error is of what can't be mended so, or, of files that the server refuses
// or that can't be read, one that [FailedPaths] takes apart; then all others are
// committed.
//
//	POST /api/repos/create
//	POST /api/{type}s/{id}/preupload/{revision}
//	POST /{prefix}{id}.git/info/lfs/objects/batch
//	POST /api/{type}s/{id}/commit/{revision}
func (c *Client) UploadLargeFolder(ctx context.Context, repo Repo, revision, folder string, opts *LargeUploadOptions) (*LargeUploadReport, error) {
	if opts == nil {
		opts = &LargeUploadOptions{}
	}
	revision = cmp.Or(revision, defaultRevision)
	if err := firstError(repo.Validate(), validRevision(revision)); err != nil {
		return nil, err
	}
	start := time.Now()
	paths, err := folderFiles(ctx, folder, Patterns{Allow: opts.Allow, Ignore: append(DefaultIgnorePatterns(), opts.Ignore...)})
	if err != nil {
		return nil, err
	}
	made, err := c.CreateRepo(ctx, repo, &CreateRepoOptions{Private: opts.Private, ExistOK: true})
	if err != nil {
		return nil, err
	}
	if err := ignoreStateDir(folder); err != nil {
		return nil, err
	}
	files := make([]*largeFile, len(paths))
	for i, p := range paths {
		if _, err := repoPath(p); err != nil {
			return nil, err
		}
		files[i] = &largeFile{folder: folder, path: p}
		if err := files[i].load(ctx, start); err != nil {
			return nil, err
		}
	}
	u := &largeUpload{c: c, repo: made.Repo, revision: revision, queue: newLargeQueue(files)}
	workers := opts.Workers
	if workers <= 0 {
		workers = max(runtime.NumCPU()-2, 2)
	}
	stop := u.reports(opts, start)
	g, gctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error { return u.work(gctx) })
	}
	err = g.Wait()
	stop()
	report := u.queue.report()
	report.Elapsed = time.Since(start)
	return &report, cmp.Or(err, ctx.Err(), joinFailures(u.failed))
}

// A largeUpload is a call of UploadLargeFolder.
type largeUpload struct {
	c        *Client
	repo     Repo
	revision string
	queue    *largeQueue

	mu     sync.Mutex // guards failed
	failed []*OperationError
}

// reports tells the caller now and then; the function that it gives tells it for
// the last time.
func (u *largeUpload) reports(opts *LargeUploadOptions, start time.Time) (stop func()) {
	if opts.Report == nil {
		return func() {}
	}
	tell := func() {
		r := u.queue.report()
		r.Elapsed = time.Since(start)
		opts.Report(r)
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(cmp.Or(opts.ReportEvery, time.Minute))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				tell()
			case <-end:
				tell()
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}

// work is a worker.
func (u *largeUpload) work(ctx context.Context) error {
	for try := 0; ; {
		job, files := u.queue.next(ctx)
		if job == jobNone {
			return ctx.Err()
		}
		err := u.do(ctx, job, files)
		failed, fatal := u.sortOut(ctx, job, files, err)
		for _, f := range files {
			if saveErr := f.save(context.WithoutCancel(ctx)); saveErr != nil {
				fatal = cmp.Or(fatal, saveErr)
			}
		}
		u.queue.finish(job, files, failed)
		switch {
		case fatal != nil:
			return fatal
		case err == nil || len(failed) > 0:
			try = 0
		default:
			u.c.logger.Warn("large upload: trying again", "job", job, "files", len(files), "error", err)
			if err := sleep(ctx, max(backoff(try), retryAfter(err))); err != nil {
				return err
			}
			try++
		}
	}
}

func (u *largeUpload) do(ctx context.Context, job largeJob, files []*largeFile) error {
	adds := make([]*Add, len(files))
	byAdd := make(map[*Add]*largeFile, len(files))
	for i, f := range files {
		adds[i] = f.add
		byAdd[f.add] = f
	}
	switch job {
	case jobHash:
		_, err := files[0].add.Content.sum256(ctx)
		if err == nil {
			err = files[0].add.Content.unchanged()
		}
		if err != nil {
			files[0].add.Content.SHA256 = ""
			return ofPath(ctx, files[0].path, err)
		}
		return nil
	case jobMode:
		asked := make([]addition, len(files))
		for i, f := range files {
			asked[i] = addition{f.add, f.path}
			f.asked = true
		}
		return u.c.preuploadSome(ctx, u.repo, u.revision, asked, false, nil)
	case jobStore:
		return u.c.PreuploadLFSFiles(ctx, u.repo, u.revision, adds, &PreuploadOptions{UploadOptions: UploadOptions{
			// What is stored is known at once, and never sent again.
			Checkpoint: func(a *Add) {
				if err := byAdd[a].save(context.WithoutCancel(ctx)); err != nil {
					u.c.logger.Warn("large upload: what was uploaded can't be noted", "path", a.Path, "error", err)
				}
			},
		}})
	}
	return u.commit(ctx, files)
}

func (u *largeUpload) commit(ctx context.Context, files []*largeFile) error {
	ops := make([]Operation, len(files))
	for i, f := range files {
		ops[i] = f.add
		if !f.asked { // an earlier run, whose commit may have landed: what the repository has is left out
			f.add.State.Mode, f.asked = "", true
		}
	}
	start := time.Now()
	_, err := u.c.commitSettled(ctx, u.repo, u.revision, CommitInput{Summary: largeSummary, Operations: ops})
	u.queue.committed(len(files), time.Since(start), err == nil)
	for _, f := range files {
		f.add.State.Committed = err == nil && !f.add.State.Ignored
		if err != nil {
			f.asked = false
		}
	}
	return err
}

// sortOut says what a failed job means for its files: which are given up, and
// whether all is to end. What changed on disk is begun anew.
func (u *largeUpload) sortOut(ctx context.Context, job largeJob, files []*largeFile, err error) (failed map[string]error, fatal error) {
	if err == nil {
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if single := FailedPaths(err); len(single) > 0 {
		failed = make(map[string]error)
		for _, f := range files {
			for _, one := range single {
				if one.Path != f.path {
					continue
				}
				why := one.Err
				if errors.Is(why, ErrContentChanged) {
					if why = f.load(ctx, time.Now()); why == nil {
						continue
					}
				}
				if !worthWaiting(why) {
					failed[f.path] = why
					u.giveUp(f.path, why)
				}
			}
		}
		return failed, nil
	}
	if worthWaiting(err) || job == jobCommit && mendable(files, err) {
		return nil, nil
	}
	return nil, fmt.Errorf("upload %s: %w", u.repo, err)
}

// mendable says whether a refused commit may go through in another way: smaller,
// or, where the server has dropped objects since they were uploaded, with them.
func mendable(files []*largeFile, err error) bool {
	if errors.Is(err, ErrTooLarge) {
		return len(files) > commitSteps[0]
	}
	if !errors.Is(err, ErrUnprocessable) {
		return false
	}
	mendable := false
	for _, f := range files {
		if f.add.State.Mode == UploadLFS && !f.again {
			f.again, mendable = true, true
		}
	}
	return mendable
}

func (u *largeUpload) giveUp(path string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failed = append(u.failed, &OperationError{path, err})
}

// worthWaiting says whether the network, the server or another's commit was in the
// way, which passes.
func worthWaiting(err error) bool {
	for _, kind := range []error{ErrUnavailable, ErrRateLimited, ErrAmbiguousCommit, ErrPreconditionFailed, ErrConflict, ErrProtocol} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// retryAfter is how long the server says to wait.
func retryAfter(err error) time.Duration {
	var e *Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.RetryAfter
}
