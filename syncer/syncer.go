package syncer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hubfs/hubfs/hub"
)

const (
	minPause = 2 * time.Second
	maxPause = 5 * time.Minute
)

// ErrStopped is what is asked of a Syncer that has ended.
var ErrStopped = errors.New("the sync has ended")

// A Syncer pushes one folder. Its methods may be called from many goroutines.
type Syncer struct {
	o   Options
	log *slog.Logger

	// Run's own.
	store              *store
	prepared           bool
	limit              int // files in a commit
	later              int // files that the last push has put off
	large              int64
	minPause, maxPause time.Duration
	now                func() time.Time

	look    func() map[openFile]bool // what is open for writing
	looking chan struct{}            // a slot for it
	kicked  chan struct{}            // one push is wanted by nobody who waits
	wanted  chan *request
	asked   chan struct{} // closed when Stop was called
	askStop sync.Once
	running chan struct{} // closed when Run has begun
	ended   chan struct{} // closed when Run has returned
	lastRes Result        // of Run, readable when ended is closed, as is lastErr
	lastErr error

	mu     sync.Mutex // guards all below
	status Status
}

// A request is somebody who waits for a push.
type request struct {
	ctx  context.Context //nolint:containedctx // it is the asker's
	done chan struct{}
	res  Result
	err  error
}

// Open makes the folder if there is none, and takes its state over. It asks nothing of the Hub. A
// [RunningError] is a sync of the same folder to the same place that runs.
func Open(o Options) (*Syncer, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	st, err := openStore(o.StateDir, o.key(), o.Logger)
	if err != nil {
		return nil, err
	}
	s := &Syncer{
		o: o, log: o.Logger, store: st, limit: maxFiles, large: largeFile, minPause: minPause, maxPause: maxPause, now: time.Now,
		look: openForWriting, looking: make(chan struct{}, 1),
		kicked: make(chan struct{}, 1), wanted: make(chan *request), asked: make(chan struct{}), running: make(chan struct{}), ended: make(chan struct{}),
	}
	s.status = s.firstStatus()
	s.noteState()
	return s, nil
}

// Folder is the folder that is pushed, without symbolic links.
func (s *Syncer) Folder() string { return s.o.Folder }

// Prepare makes the repository if there is none. It is Run's first step, for who wants to know its error
// before Run, and must not be called later. Where [Temporary] errors are no reason to give up, Run tries again.
func (s *Syncer) Prepare(ctx context.Context) error { return s.prepare(ctx) }

// Temporary says whether trying again may help without anybody doing anything.
func Temporary(err error) bool {
	return errors.Is(err, hub.ErrUnavailable) || errors.Is(err, hub.ErrRateLimited) || errors.Is(err, hub.ErrPreconditionFailed) ||
		errors.Is(err, hub.ErrAmbiguousCommit) || errors.Is(err, hub.ErrProtocol)
}

// Run pushes at once and then every Options.Every, and when it is asked to, until ctx ends or Stop is
// called. It pushes once more then, for at most Options.StopTimeout, which a push that is under way has,
// too; the result and the error are those of that last one. The end of work breaks any push off; it should
// outlive ctx. Run is called once.
func (s *Syncer) Run(ctx, work context.Context) (Result, error) {
	close(s.running)
	defer close(s.ended)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-s.asked:
			stop()
		case <-ctx.Done():
		}
	}()
	work, cancel := context.WithCancel(work)
	defer cancel()
	stopTimer := make(chan struct{})
	defer close(stopTimer)
	stopWatch := context.AfterFunc(ctx, func() {
		t := time.NewTimer(s.o.StopTimeout)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-stopTimer:
		}
	})
	defer stopWatch()

	s.loop(ctx, work)
	s.lastRes, s.lastErr = s.lastPush(work)
	return s.lastRes, s.lastErr
}

// Stop has Run push a last time and return, and gives what came of that. ctx bounds the wait only.
func (s *Syncer) Stop(ctx context.Context) (Result, error) {
	s.askStop.Do(func() { close(s.asked) })
	select {
	case <-s.ended:
		return s.lastRes, s.lastErr
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// loop pushes until ctx ends; work is what pushes run on.
func (s *Syncer) loop(ctx, work context.Context) {
	tick := time.NewTimer(0)
	defer tick.Stop()
	due := s.now() // the next tick of the clock
	// Without a clock there is something to do at the start only if the process before has begun it.
	owed := s.o.Every > 0 || len(s.store.meta.Sent) > 0 || s.store.meta.Squash
	for tries := 0; ; {
		asked := false
		select {
		case <-ctx.Done():
			return
		case r := <-s.wanted:
			if s.serve(ctx, work, r) == nil {
				tries, owed = 0, s.o.Every > 0
			}
			continue
		case <-s.kicked:
			asked = true
		case <-tick.C:
			if !owed {
				continue
			}
		}
		_, err := s.note(s.push(work, asked, false))
		if now := s.now(); s.o.Every > 0 && !due.After(now) {
			due = due.Add(s.o.Every)
			if !due.After(now) { // the machine slept, or pushes take long: what was missed is one push
				due = now.Add(s.o.Every)
			}
		}
		next := due.Sub(s.now())
		switch {
		case err == nil:
			if tries, owed = 0, s.o.Every > 0; !owed {
				continue
			}
		case errors.Is(err, errSlot):
			next, owed = s.slotIn(), true
		default:
			tries++
			if pause := s.pauseAfter(err, tries); !owed || s.o.Every == 0 || pause < next {
				next, owed = pause, true
			}
		}
		tick.Reset(next)
		s.noteNext(s.now().Add(next))
	}
}

// serve pushes for all who wait, until it is done or trying again doesn't help, or none of them is left.
func (s *Syncer) serve(ctx, work context.Context, first *request) error {
	all := []*request{first}
	more := func() {
		for {
			select {
			case r := <-s.wanted:
				all = append(all, r)
			default:
				return
			}
		}
	}
	more()
	// Who comes while it goes on waits for the next push: this one may have passed their files.
	var res Result
	var err error
	for try := 1; ; try++ {
		var made []Commit
		made, err = s.note(s.push(work, true, false))
		res.Commits = append(res.Commits, made...)
		if err == nil || !Temporary(err) || !anyWaits(all) {
			break
		}
		if sleepEither(ctx, work, s.pauseAfter(err, try)) != nil {
			break
		}
	}
	res.Failed = s.Failed()
	for _, r := range all {
		r.res, r.err = res, err
		close(r.done)
	}
	return err
}

func anyWaits(all []*request) bool {
	for _, r := range all {
		if r.ctx.Err() == nil {
			return true
		}
	}
	return false
}

func sleepEither(a, b context.Context, d time.Duration) error {
	ctx, cancel := context.WithCancel(a)
	defer cancel()
	defer context.AfterFunc(b, cancel)()
	return sleep(ctx, d)
}

// lastPush is the one at the end: tried again as long as there is time.
func (s *Syncer) lastPush(work context.Context) (Result, error) {
	var res Result
	for try := 1; ; try++ {
		made, err := s.note(s.push(work, true, true))
		res.Commits = append(res.Commits, made...)
		if err == nil || !Temporary(err) || sleep(work, s.pauseAfter(err, try)) != nil {
			res.Failed = s.Failed()
			return res, err
		}
	}
}

// Trigger asks for a push, and doesn't wait for it. What is asked for while one is wanted already is one.
func (s *Syncer) Trigger() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// Flush pushes now what differs, and returns when the Hub has accepted it. It tries again as long as ctx
// lasts where that may help. What was refused of single files is in Result.Failed and is no error of the
// rest. Files whose last line isn't finished go up to it; see the package's description.
func (s *Syncer) Flush(ctx context.Context) (Result, error) {
	r := &request{ctx: ctx, done: make(chan struct{})}
	select {
	case s.wanted <- r:
	case <-s.ended:
		return Result{}, ErrStopped
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	select {
	case <-r.done:
		return r.res, r.err
	case <-ctx.Done():
		return Result{}, fmt.Errorf("the push goes on: %w", ctx.Err())
	}
}

// Close lets go of the folder. Run must have returned, or never have begun.
func (s *Syncer) Close() error {
	select {
	case <-s.running:
		<-s.ended
	default:
	}
	return s.store.close()
}
