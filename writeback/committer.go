package writeback

import (
	"context"
	"errors"
	"time"

	"github.com/hubfs/hubfs/hub"
)

const (
	defaultMaxPerHour = 60
	fsyncDelay        = time.Second      // how long files that a program syncs are gathered for one commit
	fsyncGap          = 10 * time.Second // between such commits
	minBackoff        = 2 * time.Second
	maxBackoff        = 5 * time.Minute
	lastSettle        = 30 * time.Second // how long Close may take to show the last commit
)

// flushWait is how long a flush waits for files to be closed; tests have less time.
var flushWait = time.Second

// A request is somebody who waits for a push.
type request struct {
	ctx  context.Context //nolint:containedctx // it is the asker's
	sel  selection
	done chan struct{}
	res  Result
	err  error
}

// Flush commits what is changed at or below path, "" is all, and returns when the Hub has accepted it. It
// tries again as long as ctx lasts where that may help. What the Hub refuses of it
// is in Result.Failed and is no error of the rest; what stays is staged. Files that
// are open for writing are left out, but logs aren't.
func (b *Branch) Flush(ctx context.Context, path string) (Result, error) {
	return b.ask(ctx, selection{path: path, explicit: true})
}

// FlushOpen is Flush of one file, as it is now, though it is open for writing.
func (b *Branch) FlushOpen(ctx context.Context, path string) (Result, error) {
	return b.ask(ctx, selection{path: path, explicit: true, open: true})
}

func (b *Branch) ask(ctx context.Context, sel selection) (Result, error) {
	if b.opts.Hub == nil || b.ended.Load() {
		return Result{}, ErrClosed
	}
	b.awaitClose(ctx, sel.path)
	r := &request{ctx: ctx, sel: sel, done: make(chan struct{})}
	select {
	case b.requests <- r:
	case <-b.finished:
		return Result{}, ErrClosed
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		// The push sees it, too; what it did until then is worth knowing.
		<-r.done
	}
	r.res.Failed = b.failedBelow(sel.path)
	return r.res, r.err
}

// awaitClose waits a moment for files that were flushed and not yet released: the
// kernel tells of the end of a file after close(2) has returned.
func (b *Branch) awaitClose(ctx context.Context, path string) {
	deadline := time.Now().Add(flushWait)
	for time.Now().Before(deadline) && b.closing(path) {
		if sleep(ctx, 5*time.Millisecond) != nil {
			return
		}
	}
}

func (b *Branch) closing(path string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	found := false
	b.root.all(func(p string, n *node) {
		if n.kind == kindFile && n.ino.writers > 0 && below(p, path) {
			n.ino.mu.RLock()
			found = found || !n.ino.dirty && n.ino.known == nil
			n.ino.mu.RUnlock()
		}
	})
	return found
}

// failedBelow lists what could not be committed.
func (b *Branch) failedBelow(path string) []Change {
	var out []Change
	for _, c := range b.Changes() {
		if below(c.Path, path) && (c.State == Failed || c.State == Conflict) {
			out = append(out, c)
		}
	}
	return out
}

// run is the committer: nobody else makes commits. It ends with ctx.
func (b *Branch) run(ctx context.Context) {
	defer close(b.finished)
	defer b.settleAtLast(ctx)
	tick := newAlarm(b.opts.Every)
	retry, fsynced := newAlarm(0), newAlarm(0)
	defer tick.stop()
	defer retry.stop()
	defer fsynced.stop()
	b.noteTick()
	early, earlyDone := newAlarm(aheadAfter), make(chan struct{}, 1)
	defer early.stop()
	defer func() {
		if b.ahead != nil {
			b.ahead.cancel()
		}
	}()
	if len(b.sent()) > 0 || b.anyClean() {
		retry.in(0) // finish what the process before has begun
	}
	backoff := minBackoff
	auto := func(sel selection) {
		if wait := b.slotIn(); wait > 0 {
			retry.in(wait)
			return
		}
		_, err := b.push(ctx, sel)
		b.noteError(err)
		switch {
		case err == nil:
			backoff = minBackoff
		case ctx.Err() == nil:
			wait := max(backoff, retryAfter(err))
			retry.in(wait)
			b.noteRetry(b.now().Add(wait))
			backoff = min(2*backoff, maxBackoff)
		}
	}
	for {
		if !b.trySettle(ctx) && ctx.Err() == nil {
			retry.soon(backoff)
		}
		select {
		case <-ctx.Done():
			return
		case r := <-b.requests:
			b.serve(ctx, r)
		case <-tick.c():
			auto(selection{})
			tick.in(b.opts.Every)
			b.noteTick()
		case <-retry.c():
			retry.off()
			if b.opts.Every > 0 {
				auto(selection{})
			} else {
				auto(selection{wanted: true})
			}
		case <-b.largeClosed:
			early.soon(aheadAfter)
		case <-earlyDone:
			if b.ahead != nil && b.ahead.ended() {
				b.ahead = nil
			}
			early.soon(0)
		case <-early.c():
			early.off()
			if b.ahead != nil {
				continue // its end lets us look again
			}
			it, wait := b.nextAhead()
			if it != nil {
				b.ahead = b.beginAhead(ctx, it, earlyDone)
			} else if wait > 0 {
				early.soon(wait)
			}
		case <-b.kicked:
			fsynced.soon(fsyncDelay)
		case <-fsynced.c():
			fsynced.off()
			auto(selection{wanted: true})
			fsynced.notBefore(fsyncGap)
		}
	}
}

// settleAtLast shows what was committed just before the end, whose content the cache is to
// have: who mounts again reads it.
func (b *Branch) settleAtLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSettle)
	defer cancel()
	b.trySettle(ctx)
}

// serve does what somebody waits for, again and again while that may help.
func (b *Branch) serve(ctx context.Context, r *request) {
	defer close(r.done)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(r.ctx, cancel) //nolint:contextcheck // either context ends it
	defer stop()
	for {
		res, err := b.push(ctx, r.sel)
		r.res.Commits = append(r.res.Commits, res.Commits...)
		b.noteError(err)
		if r.err = err; err == nil || !helps(err) || ctx.Err() != nil {
			return
		}
		if b.pause(ctx, err) != nil {
			return
		}
	}
}

// helps says whether trying again may.
func helps(err error) bool {
	return errors.Is(err, hub.ErrUnavailable) || errors.Is(err, hub.ErrRateLimited) || errors.Is(err, hub.ErrPreconditionFailed) ||
		errors.Is(err, hub.ErrAmbiguousCommit) || errors.Is(err, hub.ErrProtocol)
}

// retryAfter is how long the Hub has asked to wait, or 0.
func retryAfter(err error) time.Duration {
	var e *hub.Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// slotIn is how long an automatic commit has to wait for its turn in this hour.
func (b *Branch) slotIn() time.Duration {
	limit := b.opts.MaxCommitsPerHour
	if limit == 0 {
		limit = defaultMaxPerHour
	}
	var times []int64
	b.readValue(timesValue, &times)
	hour := b.now().Add(-time.Hour)
	recent := 0
	var oldest time.Time
	for i := len(times) - 1; i >= 0 && recent < limit; i-- {
		at := time.Unix(times[i], 0)
		if at.Before(hour) || at.After(b.now()) { // a clock that jumps costs a slot, not the day
			continue
		}
		recent, oldest = recent+1, at
	}
	if recent < limit {
		return 0
	}
	return oldest.Sub(hour) + time.Second
}

// anyClean says whether something was committed and isn't yet shown as the Hub's.
func (b *Branch) anyClean() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := false
	b.root.all(func(_ string, n *node) { found = found || n.clean() })
	if found && b.unsettled == "" {
		b.unsettled = b.tree.Commit()
	}
	return found
}

// want asks for a commit of a file that a program has fsynced, when it is closed.
func (b *Branch) want(ino *inode) {
	if b.opts.Hub == nil || b.opts.NoFsyncCommit {
		return
	}
	ino.mu.Lock()
	ino.wanted = true
	ino.mu.Unlock()
}

// kick tells the committer that something wanted is ready.
func (b *Branch) kick() {
	select {
	case b.kicked <- struct{}{}:
	default:
	}
}

// An alarm is a timer that may be off.
type alarm struct {
	t     *time.Timer
	on    bool
	after time.Time // not before that
}

func newAlarm(d time.Duration) *alarm {
	a := &alarm{t: time.NewTimer(max(d, time.Hour))}
	a.in(d)
	if d == 0 {
		a.off()
	}
	return a
}

func (a *alarm) c() <-chan time.Time {
	if !a.on {
		return nil
	}
	return a.t.C
}

func (a *alarm) in(d time.Duration) {
	a.on = true
	a.t.Reset(max(d, 0))
}

// soon lets it ring after d, or when it would anyway.
func (a *alarm) soon(d time.Duration) {
	if !a.on {
		a.in(max(d, time.Until(a.after)))
	}
}

func (a *alarm) notBefore(d time.Duration) { a.after = time.Now().Add(d) }

func (a *alarm) off()  { a.on = false }
func (a *alarm) stop() { a.t.Stop() }
