package hub

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	defaultWorkers = 8
	uploadRounds   = 4 // how often the way to store an object is asked for without getting on
)

// An uploader stores the LFS objects of additions. Hashing, asking and uploading
// overlap; files and parts of files share the slots.
type uploader struct {
	c       *Client
	repo    Repo
	ref     string        // revision as the LFS server is told; "" for a pull request
	slots   chan struct{} // one for each transfer under way
	files   chan struct{} // one for each file: addresses grow old while they wait
	tracker *tracker

	mu         sync.Mutex // guards the States of the additions, and failed; held over checkpoint
	checkpoint func(*Add)
	failed     []*OperationError
}

func newUploader(c *Client, repo Repo, ref string, opts UploadOptions, t *tracker) *uploader {
	workers := opts.Workers
	if workers <= 0 {
		workers = defaultWorkers
	}
	return &uploader{
		c: c, repo: repo, ref: ref, tracker: t, checkpoint: opts.Checkpoint,
		slots: make(chan struct{}, workers), files: make(chan struct{}, workers),
	}
}

// upload stores what is not yet stored. What goes wrong with one file doesn't
// stop the others; the error then names each file that failed.
func (u *uploader) upload(ctx context.Context, adds []addition) error {
	first := make(map[string]addition) // by sha256
	var twins []addition               // with the content of another
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for len(adds) > 0 {
			n := batchLen(adds)
			chunk := adds[:n]
			adds = adds[n:]
			if err := u.hash(ctx, chunk); err != nil {
				return err
			}
			var ask []addition
			for _, a := range chunk {
				sum := a.Content.SHA256
				_, known := first[sum]
				switch {
				case sum == "": // it failed
				case a.State.RemoteOID == sum:
					u.stored(a)
				case known:
					twins = append(twins, a)
				default:
					first[sum] = a
					ask = append(ask, a)
				}
			}
			if err := u.start(ctx, g, ask); err != nil {
				return err
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	for _, a := range twins {
		one := first[a.Content.SHA256]
		i := slices.IndexFunc(u.failed, func(f *OperationError) bool { return f.Path == one.path })
		if i < 0 {
			u.stored(a)
		} else {
			u.failed = append(u.failed, &OperationError{a.path, u.failed[i].Err})
		}
	}
	return joinFailures(u.failed)
}

// batchLen is how many of the additions are asked for in one call.
func batchLen(adds []addition) int {
	n, size := 0, int64(0)
	for n < len(adds) && n < lfsBatchFiles && size < lfsBatchBytes {
		size += adds[n].Content.Size
		n++
	}
	return n
}

// hash computes the sha256 of each addition; those that fail have none.
func (u *uploader) hash(ctx context.Context, adds []addition) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, a := range adds {
		g.Go(func() error {
			_, err := a.Content.sum256(ctx)
			return u.fileFailed(ctx, a, err)
		})
	}
	return g.Wait()
}

// start asks how to store objects, and begins.
func (u *uploader) start(ctx context.Context, g *errgroup.Group, adds []addition) error {
	if len(adds) == 0 {
		return nil
	}
	objects := make([]lfsObject, len(adds))
	for i, a := range adds {
		objects[i] = lfsObject{a.Content.SHA256, a.Content.Size}
	}
	uploads, refused, err := u.c.lfsBatch(ctx, u.repo, u.ref, objects)
	if err != nil {
		return err
	}
	for _, a := range adds {
		if err := refused[a.Content.SHA256]; err != nil {
			if err := u.fileFailed(ctx, a, err); err != nil {
				return err
			}
			continue
		}
		plan := uploads[a.Content.SHA256]
		if plan == nil {
			u.stored(a)
			continue
		}
		u.tracker.expect(a.path, a.Content.Size)
		select {
		case u.files <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		g.Go(func() error {
			defer func() { <-u.files }()
			return u.fileFailed(ctx, a, u.store(ctx, a, plan))
		})
	}
	return nil
}

// store uploads one object. Addresses expire, and parts get lost: then the way is
// asked for again, and what is stored already isn't sent again if the server
// still knows it.
func (u *uploader) store(ctx context.Context, a addition, plan *lfsUpload) error {
	best, restarts := 0, 0 // parts that were stored at a time, and how often they were given up
	for round := 1; ; round++ {
		err := u.send(ctx, a, plan)
		if err == nil {
			err = a.Content.unchanged()
		}
		if err == nil {
			u.through(a)
			return nil
		}
		if n := u.storedParts(a); n > best {
			best, round = n, 1
		}
		if round == uploadRounds || !worthAnotherRound(err) || ctx.Err() != nil {
			return err
		}
		if round > 1 && best > 0 && restarts < maxRestarts && !errors.Is(err, ErrUnavailable) {
			// Refused twice without getting on: the server doesn't know the parts any more.
			u.update(a, func(s *AddState) { s.Multipart = nil })
			best, round = 0, 1
			restarts++
		}
		if wait := waitAfter(err, round); wait > u.c.retrier.maxTold || sleep(ctx, wait) != nil {
			return err
		}
		next, refused, batchErr := u.c.lfsBatch(ctx, u.repo, u.ref, []lfsObject{{a.Content.SHA256, a.Content.Size}})
		if err := firstError(batchErr, refused[a.Content.SHA256]); err != nil {
			return err
		}
		if plan = next[a.Content.SHA256]; plan == nil { // the last answer was lost
			u.through(a)
			return nil
		}
	}
}

// maxRestarts is how often an upload in parts is begun anew.
const maxRestarts = 1

// waitAfter is how long to wait after a failed round: as told, or longer each time.
func waitAfter(err error, round int) time.Duration {
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return backoff(round - 1)
}

// through notes that an upload is.
func (u *uploader) through(a addition) {
	u.tracker.fileDone(a.path)
	u.stored(a)
}

// storedParts is how many parts of an upload under way the server has.
func (u *uploader) storedParts(a addition) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if a.State.Multipart == nil {
		return 0
	}
	return len(a.State.Multipart.ETags)
}

// worthAnotherRound says whether an upload may work with new addresses, or turns
// out to be through when the server is asked again.
func worthAnotherRound(err error) bool {
	if errors.Is(err, ErrUnavailable) {
		return true
	}
	var e *Error
	return errors.As(err, &e) && e.Status >= 400 &&
		!errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrUnprocessable) && !errors.Is(err, ErrUnauthorized)
}

// stored notes that the server has the content of an addition.
func (u *uploader) stored(a addition) {
	u.update(a, func(s *AddState) { s.Uploaded, s.Multipart = true, nil })
}

// update changes the State of an addition and lets the caller keep it.
func (u *uploader) update(a addition, change func(*AddState)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change(&a.State)
	if u.checkpoint != nil {
		u.checkpoint(a.Add)
	}
}

// fileFailed sorts out an error of one file: what belongs to it alone is put
// aside, and all else, which it returns, stops the upload.
func (u *uploader) fileFailed(ctx context.Context, a addition, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case !concernsFile(err):
		return fmt.Errorf("upload %s: %w", a.path, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failed = append(u.failed, &OperationError{a.path, err})
	return nil
}

// concernsFile says whether an error is of one file, and not of the server, the
// network or the user's rights.
func concernsFile(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return true // of the local file
	}
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrProtocol), errors.Is(err, ErrUnauthorized),
		errors.Is(err, ErrRateLimited), errors.Is(err, ErrOffline):
		return false
	}
	return e.Status >= 400
}

// joinFailures is nil, the one failure, or all.
func joinFailures(failed []*OperationError) error {
	switch len(failed) {
	case 0:
		return nil
	case 1:
		return failed[0]
	}
	errs := make([]error, len(failed))
	for i, f := range failed {
		errs[i] = f
	}
	return errors.Join(errs...)
}

// FailedPaths gives the failures in err that belong to one path each, as from
// CreateCommit; none if the whole failed.
func FailedPaths(err error) []*OperationError {
	var failed []*OperationError
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case nil:
	case *OperationError:
		failed = []*OperationError{e}
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			failed = append(failed, FailedPaths(part)...)
		}
	case interface{ Unwrap() error }:
		failed = FailedPaths(e.Unwrap())
	}
	return failed
}
