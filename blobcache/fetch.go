package blobcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/hubfs/hubfs/hub"
)

const (
	// maxFailures is how often a range may fail without fetchUnit bytes between.
	maxFailures = 6
	// firstPause is the pause before a range is asked for again, doubled each time up to
	// maxPause, more or less. maxTold bounds the waits that storage asks for, in all.
	firstPause = 50 * time.Millisecond
	maxPause   = 2 * time.Second
	maxTold    = 5 * time.Minute
	// minPause is the least for which a range gives its place to another, and maxPaused how
	// many of a content may.
	minPause  = 100 * time.Millisecond
	maxPaused = aheadPerBlob / 2
	// pauseAfterFailure is how long nothing is fetched ahead after a fetch failed,
	// and nothing put on a disk that took no more.
	pauseAfterFailure = 5 * time.Second
	chunkBytes        = 64 << 10 // read from the network before they go to disk
)

// diskError is a failure of the local disk, in which the network did its part.
type diskError struct{ err error }

func (e *diskError) Error() string { return "local cache: " + e.err.Error() }
func (e *diskError) Unwrap() error { return e.err }

// fetch is one range request under way, with its repetitions. It belongs to the
// core, and ends by itself. Fields are guarded by core.mu.
type fetch struct {
	span
	file  File
	pos   int64 // up to where its bytes are here
	ahead bool  // nobody waited for it when it began
	// paused while it waits, without a place, until it may ask again.
	paused bool
	done   bool
	err    error
}

// demand makes fetches for gaps, as far as none is under way for them, and
// appends all that they wait for to deps. Needs mu.
func (k *core) demand(deps []*fetch, gaps []span, file File) []*fetch {
	for _, gap := range k.uncovered(gaps) {
		// More than asked: whole units, a longer piece at the start of a file, and
		// as much of the window of a stream as one request brings.
		unit, want := k.unit(), gap
		if gap.off == 0 {
			want.end = max(want.end, firstFetch)
		}
		for _, w := range k.ahead.windows() {
			if w.off >= gap.off && w.off-gap.off <= streamSlack {
				want.end = max(want.end, w.cut(span{gap.off, gap.off + k.segment(w.len(), gap.off)}).end)
			}
		}
		want = align(want, unit, k.key.size)
		for _, s := range k.uncovered(k.part.missing(want)) {
			if s.off < gap.end && s.end > gap.off {
				k.startFetch(s, file, false)
			}
		}
	}
	for _, f := range k.fetches {
		for _, gap := range gaps {
			if f.pos < gap.end && f.end > gap.off {
				deps = append(deps, f)
				break
			}
		}
	}
	return deps
}

// unit and segment: a range of an LFS file costs a request to the storage, which
// is free; one of a regular file costs quota of the Hub, so they are fewer.
func (k *core) unit() int64 {
	if len(k.key.hash) == 64 {
		return fetchUnit
	}
	return 16 * fetchUnit
}

func (k *core) segment(window, off int64) int64 {
	if len(k.key.hash) == 64 {
		return min(segment(window), max(lastSegment, (k.key.size-off)/aheadPerBlob))
	}
	return regularSegment
}

// uncovered gives the parts of gaps that no fetch under way will bring. Needs mu.
func (k *core) uncovered(gaps []span) []span {
	if len(gaps) == 0 || len(k.fetches) == 0 {
		return gaps
	}
	var coming ranges
	for _, f := range k.fetches {
		coming.add(span{f.pos, f.end})
	}
	var out []span
	for _, g := range gaps {
		out = append(out, coming.missing(g)...)
	}
	return out
}

// pump begins fetches of what the streams will read next. Needs mu.
func (k *core) pump(file File) {
	if k.c.offline || k.part == nil || time.Now().Before(k.pauseTo) {
		return
	}
	running, limit := k.running(), k.c.aheadShare()
	windows := k.ahead.windows()
	if k.description.wanted {
		windows = append(windows, window{span: k.description.next, hard: true})
	}
	for _, w := range windows {
		length := w.len()
		for w.end = min(w.end, k.key.size); w.off < w.end; {
			if running >= limit {
				return
			}
			gaps := k.uncovered(k.part.missing(span{w.off, w.end}))
			if len(gaps) == 0 {
				break
			}
			// The window's end moves with every read: take a whole segment, unless it
			// is a hard one.
			off := gaps[0].off
			want := align(w.cut(span{off, off + k.segment(length, off)}), fetchUnit, k.key.size)
			want.off = off
			s := k.uncovered(k.part.missing(want))[0]
			k.startFetch(s, file, true)
			running++
			w.off = s.end
		}
	}
}

// aheadShare is how many fetches a content may have that nobody waits for yet: fewer, where
// there are many contents that are read.
func (c *Cache) aheadShare() int {
	return max(2, min(aheadPerBlob, maxAheadFetches/max(1, int(c.reading.Load()))))
}

// running is how many fetches there are that nobody waited for when they began, less
// those that are paused: a few others may run in their stead, but not ever more where
// storage refuses all of them. Needs mu.
func (k *core) running() int {
	n, paused := 0, 0
	for _, f := range k.fetches {
		switch {
		case f.ahead && f.paused:
			paused++
		case f.ahead:
			n++
		}
	}
	return n + max(0, paused-maxPaused)
}

// pause waits before a range is asked for again. Others may have its place meanwhile.
func (k *core) pause(ctx context.Context, f *fetch, d time.Duration, release *func()) error {
	if d < minPause {
		return sleep(ctx, d)
	}
	(*release)()
	*release = func() {}
	k.setPaused(f, true) //nolint:contextcheck // a fetch belongs to the core
	err := sleep(ctx, d)
	k.setPaused(f, false) //nolint:contextcheck // likewise
	if err != nil {
		return err
	}
	again, err := k.c.slot(ctx, false) // it has waited long enough
	if err == nil {
		*release = again
	}
	return err
}

func (k *core) setPaused(f *fetch, paused bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f.paused = paused
	if paused {
		k.pump(f.file) //nolint:contextcheck // a fetch belongs to the core
		k.wake()       // a reader that waits widens its window
	}
}

// startFetch needs mu.
func (k *core) startFetch(s span, file File, ahead bool) {
	f := &fetch{span: s, file: file, pos: s.off, ahead: ahead}
	if k.fetches = append(k.fetches, f); len(k.fetches) == 1 {
		k.c.reading.Add(1)
	}
	if !k.work(func() { k.run(f) }) {
		f.done, f.err = true, ErrClosed
		k.ended(f)
		k.err = ErrClosed
		k.wake()
	}
}

// ended needs mu.
func (k *core) ended(f *fetch) {
	k.fetches = slices.DeleteFunc(k.fetches, func(g *fetch) bool { return g == f })
	if len(k.fetches) == 0 {
		k.c.reading.Add(-1)
	}
}

// run is the goroutine of a fetch.
func (k *core) run(f *fetch) {
	part := k.partial()
	err := errors.New("no partial file")
	if part != nil {
		err = k.bring(f, part)
	}
	k.mu.Lock()
	f.done, f.err = true, err
	k.ended(f)
	switch {
	case k.part == nil || k.err != nil:
	case err == nil:
		k.pump(f.file)
		k.verify()
	default:
		k.pauseTo = time.Now().Add(pauseAfterFailure)
		var disk *diskError
		if errors.As(err, &disk) {
			k.diskTo = k.pauseTo
		}
	}
	k.wake()
	k.mu.Unlock()
	if err != nil {
		k.c.log.Debug("fetch failed", "path", f.file.Path, "repo", f.file.Repo, "off", f.pos, "end", f.end, "err", err)
		return
	}
	if part.needsSync(syncEvery) {
		if err := part.sync(); err != nil {
			k.c.log.Warn("partial blob can't be made durable", "hash", k.key.hash, "err", err)
		}
	}
	k.c.limit()
}

func (k *core) partial() *partialFile {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.part
}

// bring fetches the range of f into the partial file.
func (k *core) bring(f *fetch, part *partialFile) error {
	ctx := k.c.ctx
	release, err := k.c.slot(ctx, f.ahead)
	if err != nil {
		return err
	}
	defer func() { release() }()
	if k.adopt(ctx) {
		return nil // somebody else has got all of it meanwhile
	}
	pause := func(d time.Duration) error { return k.pause(ctx, f, d, &release) }
	return k.stream(ctx, f.file, f.span, pause, func(b []byte, off int64) error {
		err := part.write(b, off)
		if isFull(err) && k.c.makeRoom(ctx, k.key.size) {
			err = part.write(b, off)
		}
		if err != nil {
			return &diskError{err}
		}
		k.mu.Lock()
		f.pos = off + int64(len(b))
		k.wake()
		k.mu.Unlock()
		return nil
	})
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// slot waits for one of the global places for a fetch.
func (c *Cache) slot(ctx context.Context, ahead bool) (release func(), err error) {
	if c.offline {
		return nil, hub.ErrOffline
	}
	chans := []chan struct{}{c.slots}
	if ahead {
		chans = []chan struct{}{c.ahead, c.slots}
	}
	for i, ch := range chans {
		select {
		case ch <- struct{}{}:
		case <-ctx.Done():
			for _, ch := range chans[:i] {
				<-ch
			}
			return nil, ctx.Err()
		case <-c.ctx.Done():
			for _, ch := range chans[:i] {
				<-ch
			}
			return nil, ErrClosed
		}
	}
	c.stats.fetches.Add(1)
	return func() {
		c.stats.fetches.Add(-1)
		for _, ch := range chans {
			<-ch
		}
	}, nil
}

// stream gives all bytes of s to sink, in order. Where a body breaks it goes on
// from there, after a pause, as long as there is progress.
func (k *core) stream(
	ctx context.Context, file File, s span, pause func(time.Duration) error, sink func(b []byte, off int64) error,
) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var told time.Duration // waited as storage asked for
	for pos, mark, setbacks, doublings := s.off, s.off, 0, 0; ; {
		before := k.c.stats.fetched.Load()
		body, again, err := k.openRange(ctx, file, span{pos, s.end}, setbacks, doublings)
		if err != nil && !again {
			return k.closedError(ctx, err)
		}
		opened := err == nil
		for opened && pos < s.end && err == nil {
			var n int
			before = k.c.stats.fetched.Load()
			b := (*buf)[:min(int64(len(*buf)), s.end-pos)]
			n, err = io.ReadAtLeast(body, b, min(chunkBytes, len(b)))
			if n > 0 {
				k.c.stats.fetched.Add(int64(n))
				before += int64(n) // what comes on top are others'
				if err := sink(b[:n], pos); err != nil {
					body.Close()
					return err
				}
				pos += int64(n)
			}
		}
		if opened {
			body.Close()
		}
		if pos == s.end {
			return nil
		}
		if pos-mark >= fetchUnit {
			setbacks, doublings, mark = 0, 0, pos
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("the answer ended early: %w", hub.ErrUnavailable)
		}
		wait, again := setback(err, setbacks, opened)
		if told += wait; !again || setbacks >= maxFailures || told > maxTold || ctx.Err() != nil {
			return k.closedError(ctx, err)
		}
		setbacks++
		switch {
		case !errors.Is(err, hub.ErrStalled):
		case doublings < anyStall && k.c.stats.fetched.Load() > before:
			doublings += ownStall
		default:
			doublings += anyStall
		}
		k.c.stats.retries.Add(1)
		if err := pause(wait); err != nil {
			return k.closedError(ctx, err)
		}
	}
}

// closedError is ErrClosed for what Cache.Close has cut off.
func (k *core) closedError(ctx context.Context, err error) error {
	if ctx == k.c.ctx && ctx.Err() != nil {
		return ErrClosed
	}
	return err
}

// setback says how long to wait before a range is asked for again that has failed so
// many times before, and has just now with err: as it was opened, or in the middle.
func setback(err error, before int, opened bool) (wait time.Duration, again bool) {
	var e *hub.Error
	switch {
	case errors.Is(err, hub.ErrStalled):
		return 0, true // that was wait enough
	case !errors.Is(err, hub.ErrUnavailable) && !errors.Is(err, hub.ErrRateLimited):
		return 0, false
	case errors.As(err, &e) && e.RetryAfter > 0:
		return e.RetryAfter, true
	case opened && before == 0:
		return 0, true
	}
	d := min(firstPause<<before, maxPause)
	return d/2 + rand.N(d), true
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// direct reads past the disk, for one reader.
func (k *core) direct(ctx context.Context, file File, p []byte, off int64) (int, error) {
	release, err := k.c.slot(ctx, false)
	if err != nil {
		return 0, err
	}
	defer release()
	k.c.stats.uncached.Add(1)
	n := 0
	pause := func(d time.Duration) error { return sleep(ctx, d) }
	err = k.stream(ctx, file, span{off, off + int64(len(p))}, pause, func(b []byte, at int64) error {
		n += copy(p[at-off:], b)
		return nil
	})
	return n, err
}
