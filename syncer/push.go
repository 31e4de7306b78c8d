package syncer

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
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
		case hub.SplittingHelps(err) && len(parts[0]) > 1:
			half := len(parts[0]) / 2
			parts = append([][]*item{parts[0][:half], parts[0][half:]}, parts[1:]...)
		case hub.SplittingHelps(err):
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
