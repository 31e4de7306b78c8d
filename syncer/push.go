package syncer

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hubfs/hubfs/hub"
)

const (
	// Summary is the first line of every commit's message, as the official client's scheduler has it.
	Summary = "Scheduled Commit"
	// maxFiles bounds a commit, besides the Hub's limits: it is what may be too much for a server in its time.
	maxFiles = 25_000
	minFiles = 100 // what a commit that isn't answered in time is cut down to
	// moves is how often a branch that others move is followed in one push.
	moves = 10
)

// A Commit is a commit that was made.
type Commit struct {
	OID   string    `json:"oid"`
	URL   string    `json:"url,omitempty"`
	Time  time.Time `json:"time"`
	Files int       `json:"files"`
}

// A Failure is a file that the Hub refused, or that can't be read.
type Failure struct {
	Path    string    `json:"path"` // relative to the folder
	Message string    `json:"message"`
	Time    time.Time `json:"time"`
}

// A Result is what came of a push.
type Result struct {
	Commits []Commit  `json:"commits"`
	Failed  []Failure `json:"failed"` // all that are, also of earlier pushes
}

// errSlot is an automatic commit that has to wait for its turn in this hour.
var errSlot = errors.New("as many commits as are allowed in an hour were made")

// A push is one on its way.
type push struct {
	s     *Syncer
	asked bool // somebody asked for it: files that were refused are tried again, the hourly bound doesn't count
	last  bool // there won't be another
	made  []Commit
	small atomic.Int64 // bytes of files that are held in memory
	// writers are who writes to files, as it was after the folder had been listed: what is pushed was
	// written before.
	writers func() writers
	short   error // why files were left out whose upload failed, though it may go well the next time
}

// push commits what differs. It stops at the first error that isn't of single files; what was committed by
// then is in the result.
func (s *Syncer) push(ctx context.Context, asked, last bool) ([]Commit, error) {
	p := &push{s: s, asked: asked || last, last: last, writers: sync.OnceValue(s.findWriters)}
	s.later = 0
	err := p.run(ctx)
	s.noteLoad(0, 0)
	return p.made, err
}

func (p *push) run(ctx context.Context) error {
	s := p.s
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if len(s.store.meta.Sent) > 0 {
		if _, err := p.settle(ctx); err != nil {
			return err
		}
	}
	found, err := s.scan(ctx, p.asked)
	if err != nil {
		return err
	}
	if !p.asked {
		found = slices.DeleteFunc(found, s.tooSoon)
	}
	s.notePending(found)
	if len(found) > 0 && !p.asked && s.slotIn() > 0 {
		return errSlot
	}
	for chunk := range slices.Chunk(found, maxFiles) {
		p.small.Store(0)
		items, err := p.takeAll(ctx, chunk)
		if err != nil {
			return err
		}
		if err := p.commitAll(ctx, items); err != nil {
			return err
		}
	}
	if err := p.squash(ctx); err != nil {
		return err
	}
	return p.short
}

// tooSoon says whether a file is so large that it isn't uploaded again yet: a tick spends at most a tenth of
// the time on one.
func (s *Syncer) tooSoon(c candidate) bool {
	rec := s.store.files[c.path]
	if rec == nil || rec.Took == 0 || c.Size < s.large || rec.Failure != "" {
		return false
	}
	since := s.now().Sub(time.Unix(rec.At, 0))
	if since < 0 || since >= 10*time.Duration(rec.Took)*time.Millisecond {
		return false
	}
	s.later++
	return true
}

// takeAll hashes candidates, and notes those whose content is what was committed.
func (p *push) takeAll(ctx context.Context, found []candidate) ([]*item, error) {
	s := p.s
	items, problems := make([]*item, len(found)), make([]error, len(found))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, c := range found {
		g.Go(func() error {
			items[i], problems[i] = p.take(gctx, c)
			return gctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	same := make(map[string]*record)
	for i, it := range items {
		switch {
		case errors.Is(problems[i], hub.ErrContentChanged):
			s.postpone(found[i].path)
		case problems[i] != nil:
			same[found[i].path] = s.failed(found[i].path, found[i].stamp, problems[i])
		case it == nil: // it is gone, or has no whole line yet
		case s.unchanged(it):
			same[it.path] = it.record()
			items[i] = nil
		}
	}
	items = slices.DeleteFunc(items, func(it *item) bool { return it == nil })
	if len(same) == 0 {
		return items, nil
	}
	return items, s.store.save(same, nil)
}

// unchanged says whether the content of an item is what was committed of it.
func (s *Syncer) unchanged(it *item) bool {
	rec := s.store.files[it.path]
	return rec != nil && rec.Failure == "" && !rec.Ignored && rec.SHA256 == it.sha256 && rec.Sent == it.size
}

// postpone notes a file that was written to while it was on its way.
func (s *Syncer) postpone(path string) {
	s.later++
	s.log.Info("written to while it was pushed; it goes next time", "path", path)
}

// failed is the record of a file that can't be pushed as it is.
func (s *Syncer) failed(path string, now stamp, err error) *record {
	s.log.Warn("not committed", "path", path, "err", err)
	rec := &record{stamp: now, Failure: err.Error(), FailedAt: s.now().Unix()}
	if before := s.store.files[path]; before != nil {
		rec.Sent, rec.SHA256 = before.Sent, before.SHA256
	}
	return rec
}

// commitAll uploads what is stored apart from commits, and makes as many commits as the limits ask for.
func (p *push) commitAll(ctx context.Context, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	items, err := p.upload(ctx, items)
	if err != nil {
		return err
	}
	limits := hub.HubLimits
	limits.Operations = p.s.limit
	parts := split(items, limits)
	for try := 0; len(parts) > 0; {
		err := p.commit(ctx, parts[0])
		switch {
		case err == nil:
			parts, try = parts[1:], 0
		case errors.Is(err, errRest): // some of it was put aside
			parts[0] = slices.DeleteFunc(parts[0], func(it *item) bool { return it.add == nil })
		case errors.Is(err, hub.ErrPreconditionFailed) && try < moves:
			if try++; try == 1 {
				continue // the head is looked up anyway
			}
			if err := sleep(ctx, p.s.pauseAfter(err, try-1)); err != nil {
				return err
			}
		case errors.Is(err, hub.ErrAmbiguousCommit) && try < moves && ctx.Err() == nil:
			// It is looked for before anything is sent again; who is slow gets less at a time.
			try++
			if p.s.limit = max(len(parts[0])/2, minFiles); len(parts[0]) > p.s.limit {
				limits.Operations = p.s.limit
				parts = append(split(parts[0], limits), parts[1:]...)
			}
			if err := sleep(ctx, p.s.pauseAfter(err, try)); err != nil {
				return err
			}
		case splits(err) && len(parts[0]) > 1:
			half := len(parts[0]) / 2
			parts = append([][]*item{parts[0][:half], parts[0][half:]}, parts[1:]...)
		case splits(err):
			if err := p.putAside(parts[0], err); err != nil {
				return err
			}
			parts = parts[1:]
		default:
			return err
		}
	}
	p.s.limit = maxFiles
	return nil
}

// errRest is a commit that wasn't made, of which some files were put aside: the rest may go.
var errRest = errors.New("some files were put aside")

// split is as many commits as the limits ask for.
func split(items []*item, limits hub.CommitLimits) [][]*item {
	ops := make([]hub.Operation, len(items))
	for i, it := range items {
		ops[i] = it.add
	}
	var parts [][]*item
	for _, part := range hub.SplitOperations(ops, limits) {
		parts = append(parts, items[:len(part):len(part)])
		items = items[len(part):]
	}
	return parts
}

// splits says whether a refusal may be of some files only, without saying which.
func splits(err error) bool {
	return errors.Is(err, hub.ErrTooLarge) || errors.Is(err, hub.ErrUnprocessable) || errors.Is(err, hub.ErrBadRequest)
}

// upload stores large files ahead of the commit, learns how each file is stored, and gives those that can go.
func (p *push) upload(ctx context.Context, items []*item) ([]*item, error) {
	s := p.s
	for _, it := range items {
		it.add.State.Multipart = s.store.upload(it.sha256)
	}
	begin := s.now()
	items, err := p.preupload(ctx, items)
	if err != nil {
		return nil, err
	}
	for _, it := range items {
		if it.size >= s.large {
			it.took, it.at = s.now().Sub(begin), s.now().Unix()
		}
	}
	var out []*item
	ignored := make(map[string]*record)
	for _, it := range items {
		switch state := it.add.State; {
		case state.Ignored:
			rec := it.record()
			rec.Ignored = true
			ignored[it.path] = rec
			continue
		case state.Mode == hub.UploadLFS:
			if state.Uploaded {
				if err := s.store.noteUpload(it.sha256, nil); err != nil {
					return nil, err
				}
			}
			same, err := s.same(ctx, it)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil || !same {
				s.postpone(it.path)
				continue
			}
		}
		out = append(out, it)
	}
	if len(ignored) > 0 {
		return out, s.store.save(ignored, nil)
	}
	return out, nil
}

// preupload uploads, and gives the files that weren't refused.
func (p *push) preupload(ctx context.Context, items []*item) ([]*item, error) {
	s := p.s
	opts := &hub.PreuploadOptions{UploadOptions: hub.UploadOptions{Progress: s.noteProgress, Checkpoint: s.checkpoint}}
	for len(items) > 0 {
		adds := make([]*hub.Add, len(items))
		for i, it := range items {
			adds[i] = it.add
		}
		err := s.o.Hub.PreuploadLFSFiles(ctx, s.o.Repo, s.o.Revision, adds, opts)
		if err == nil {
			return items, nil
		}
		rest, blamed := p.blame(ctx, items, err)
		if !blamed {
			rest, blamed = p.leaveOut(ctx, items, err)
		}
		switch {
		case blamed:
			items = rest
		case !splits(err):
			return nil, err
		case len(items) == 1:
			return nil, p.putAside(items, err)
		default:
			first, err := p.preupload(ctx, slices.Clone(items[:len(items)/2]))
			if err != nil {
				return nil, err
			}
			second, err := p.preupload(ctx, slices.Clone(items[len(items)/2:]))
			return append(first, second...), err
		}
	}
	return nil, nil
}

// checkpoint keeps how far the upload of a large file is.
func (s *Syncer) checkpoint(a *hub.Add) {
	if a.State.Multipart == nil {
		return
	}
	if err := s.store.noteUpload(a.Content.SHA256, a.State.Multipart); err != nil {
		s.log.Debug("an upload would begin anew after a crash", "path", a.Path, "err", err)
	}
}

// commit makes one commit. The state knows of it before the Hub does.
func (p *push) commit(ctx context.Context, items []*item) error {
	s := p.s
	if len(items) == 0 {
		return nil
	}
	if !p.asked && s.slotIn() > 0 {
		return errSlot
	}
	head, err := p.settle(ctx)
	if err != nil {
		return err
	}
	// What has landed with a commit that was looked for needs no other.
	items = slices.DeleteFunc(slices.Clone(items), s.unchanged)
	if items, err = s.still(ctx, items); err != nil || len(items) == 0 {
		return err
	}
	sent := sentCommit{Mark: newMark(), Parent: head, Files: make(map[string]*record, len(items))}
	ops := make([]hub.Operation, len(items))
	for i, it := range items {
		ops[i] = it.add
		sent.Files[it.path] = it.record()
	}
	if err := s.store.save(nil, func(m *meta) { m.Sent = append(slices.Clone(m.Sent), sent) }); err != nil {
		return err
	}
	info, err := s.o.Hub.CreateCommit(ctx, s.o.Repo, s.o.Revision, hub.CommitInput{
		Summary: Summary, ParentCommit: head, Mark: sent.Mark, Operations: ops,
		UploadOptions: hub.UploadOptions{Progress: s.noteProgress, Checkpoint: s.checkpoint},
	})
	if err != nil {
		if !mayHaveLanded(err) {
			err = errors.Join(err, s.forget(sent.Mark))
		}
		if _, blamed := p.blame(ctx, items, err); blamed {
			return errRest
		}
		return err
	}
	if info.NoChange {
		return p.landed(sent, nil)
	}
	return p.landed(sent, &Commit{OID: info.OID, URL: info.CommitURL, Time: s.now(), Files: len(items) - len(info.Unchanged) - len(info.Ignored)})
}

// still gives the items whose files have the content that was hashed; the others go next time. Those that
// were uploaded have been looked at.
func (s *Syncer) still(ctx context.Context, items []*item) ([]*item, error) {
	var out []*item
	for _, it := range items {
		if it.add.State.Mode != hub.UploadLFS {
			same, err := s.same(ctx, it)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil || !same {
				s.postpone(it.path)
				continue
			}
		}
		out = append(out, it)
	}
	return out, nil
}

// mayHaveLanded says whether a commit that failed could be on the Hub.
func mayHaveLanded(err error) bool {
	return errors.Is(err, hub.ErrAmbiguousCommit) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// forget notes that a commit hasn't landed, and won't.
func (s *Syncer) forget(mark string) error {
	return s.store.save(nil, func(m *meta) {
		m.Sent = slices.DeleteFunc(slices.Clone(m.Sent), func(c sentCommit) bool { return c.Mark == mark })
	})
}

// settle finds out what became of commits that weren't answered, as far as that is decided, and gives the
// head that the next commit is put on.
func (p *push) settle(ctx context.Context) (head string, err error) {
	s := p.s
	// The head first: what isn't found below a head that has moved can't land any more.
	if head, err = s.head(ctx); err != nil {
		return "", err
	}
	for _, sent := range slices.Clone(s.store.meta.Sent) {
		if sent.Parent == head {
			continue // the next commit has the same parent, so one of the two at most can land
		}
		made, err := s.o.Hub.FindCommit(ctx, s.o.Repo, s.o.Revision, sent.Parent, sent.Mark)
		if err != nil {
			return "", err
		}
		if made != nil {
			s.log.Info("a commit that wasn't answered has landed", "commit", made.ID)
			return head, p.landed(sent, &Commit{OID: made.ID, URL: s.o.Endpoint + "/" + s.o.Repo.String() + "/commit/" + made.ID, Time: s.now(), Files: len(sent.Files)})
		}
		if err := s.forget(sent.Mark); err != nil {
			return "", err
		}
	}
	return head, nil
}

// landed records what a commit has brought to the Hub; nil is that all of it was there.
func (p *push) landed(sent sentCommit, made *Commit) error {
	s := p.s
	err := s.store.save(sent.Files, func(m *meta) {
		m.Sent = nil // whatever else was sent has the same parent, and can't land any more
		if made == nil {
			return
		}
		m.Last = made
		m.Squash = m.Squash || s.o.SquashHistory
		hour := s.now().Add(-time.Hour).Unix()
		m.Times = append(slices.DeleteFunc(slices.Clone(m.Times), func(t int64) bool { return t < hour }), s.now().Unix())
	})
	if err == nil && made != nil {
		p.made = append(p.made, *made)
		s.log.Info("committed", "commit", made.OID, "files", made.Files)
	}
	s.noteState()
	return err
}

// squash makes one commit of the branch's history, if that is wanted and due.
func (p *push) squash(ctx context.Context) error {
	s := p.s
	if !s.o.SquashHistory || !s.store.meta.Squash {
		return nil
	}
	if err := s.o.Hub.SuperSquashHistory(ctx, s.o.Repo, s.o.Revision, ""); err != nil {
		return fmt.Errorf("squash the history: %w", err)
	}
	return s.store.save(nil, func(m *meta) { m.Squash = false })
}

// blame finds the files that an error names, notes them as failed, and gives the others. A file that was
// written to meanwhile hasn't failed: it goes next time.
func (p *push) blame(ctx context.Context, items []*item, err error) (rest []*item, blamed bool) {
	reasons := make(map[string]error)
	for _, f := range hub.FailedPaths(err) {
		reasons[f.Path] = f.Err
	}
	var invalid *hub.ValidationError
	if len(reasons) == 0 && errors.As(err, &invalid) {
		reasons[invalid.Value] = err
	}
	var refused *hub.Error
	if len(reasons) == 0 && errors.As(err, &refused) && splits(err) {
		if it := named(items, refused.Message); it != nil {
			reasons[it.add.Path] = err
		}
	}
	var guilty []*item
	for _, it := range items {
		why := reasons[it.add.Path]
		switch {
		case why == nil:
			rest = append(rest, it)
			continue
		case transient(why):
			return items, false // it isn't the file's fault
		}
		guilty = append(guilty, it)
	}
	for _, it := range guilty {
		if same, checkErr := p.s.same(ctx, it); errors.Is(reasons[it.add.Path], hub.ErrContentChanged) || checkErr == nil && !same {
			p.s.postpone(it.path)
			it.add = nil
			continue
		}
		if err := p.putAside([]*item{it}, reasons[it.add.Path]); err != nil {
			p.s.log.Warn("a failure can't be kept", "path", it.path, "err", err)
			it.add = nil
		}
	}
	return rest, len(guilty) > 0
}

// leaveOut gives the files whose upload didn't fail, where that of some has because of the network or the
// server: those go next time, and hold up nothing.
func (p *push) leaveOut(ctx context.Context, items []*item, err error) (rest []*item, some bool) {
	if ctx.Err() != nil {
		return nil, false
	}
	failed := make(map[string]bool)
	for _, f := range hub.FailedPaths(err) {
		failed[f.Path] = true
	}
	for _, it := range items {
		if failed[it.add.Path] {
			p.s.later++
			continue
		}
		rest = append(rest, it)
	}
	if len(rest) == len(items) {
		return nil, false
	}
	p.short = err
	return rest, true
}

// transient says whether an error about one file is of the network or the server.
func transient(err error) bool {
	return errors.Is(err, hub.ErrUnavailable) || errors.Is(err, hub.ErrRateLimited) || errors.Is(err, hub.ErrProtocol) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// named is the item whose path a message of the Hub has in it, the longest.
func named(items []*item, message string) *item {
	var found *item
	for _, it := range items {
		path := it.add.Path
		i := strings.Index(message, path)
		if i < 0 || found != nil && len(path) < len(found.add.Path) {
			continue
		}
		end := i + len(path)
		if (i == 0 || strings.ContainsRune(` "'`+"`:(", rune(message[i-1]))) &&
			(end == len(message) || strings.ContainsRune(` "'`+"`:,.)", rune(message[end]))) {
			found = it
		}
	}
	return found
}

// putAside notes files as failed.
func (p *push) putAside(items []*item, err error) error {
	records := make(map[string]*record, len(items))
	for _, it := range items {
		records[it.path] = p.s.failed(it.path, it.stamp, err)
		it.add = nil
	}
	defer p.s.noteState()
	return p.s.store.save(records, nil)
}

// prepare looks at the repository, once: it is made if there is none, and if it isn't the one that was
// pushed to before, nothing was.
func (s *Syncer) prepare(ctx context.Context) error {
	if s.prepared {
		return nil
	}
	created, err := s.prepareRepo(ctx)
	if err != nil {
		return err
	}
	before := s.store.meta.CreatedAt
	if !created.IsZero() && !created.Equal(before) {
		gone := make(map[string]*record)
		if !before.IsZero() {
			s.log.Warn("the repository was made anew since the last push; all files go again", "repo", s.o.Repo)
			for path := range s.store.files {
				gone[path] = nil
			}
		}
		if err := s.store.save(gone, func(m *meta) {
			m.CreatedAt = created
			if len(gone) > 0 {
				m.Sent, m.Last, m.Squash = nil, nil, false
			}
		}); err != nil {
			return err
		}
	}
	s.prepared = true
	return nil
}

// slotIn is how long an automatic commit has to wait for its turn in this hour.
func (s *Syncer) slotIn() time.Duration {
	limit := s.o.MaxCommitsPerHour
	if limit < 0 {
		return 0
	}
	now := s.now()
	hour := now.Add(-time.Hour)
	var recent []time.Time
	for _, t := range s.store.meta.Times {
		// A clock that jumps costs a slot, not the day.
		if at := time.Unix(t, 0); at.After(hour) && !at.After(now) {
			recent = append(recent, at)
		}
	}
	if len(recent) < limit {
		return 0
	}
	slices.SortFunc(recent, time.Time.Compare)
	return recent[len(recent)-limit].Sub(hour) + time.Second
}

// newMark is a random UUID.
func newMark() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// pauseAfter is how long to wait before something is tried for the nth time.
func (s *Syncer) pauseAfter(err error, n int) time.Duration {
	pause := min(s.minPause<<min(n-1, 10), s.maxPause)
	var e *hub.Error
	if errors.As(err, &e) {
		pause = cmp.Or(max(pause, e.RetryAfter), pause)
	}
	return pause
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
