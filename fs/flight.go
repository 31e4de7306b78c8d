package fs

import (
	"context"
	"sync"
	"time"
)

// How long the outcome of a failed question is remembered, so that programs that
// ask again and again don't cost the Hub a request each.
const (
	rememberRefusal = 10 * time.Second
	rememberFailure = time.Second
)

// maxFailures bounds what is remembered.
const maxFailures = 10_000

// A flight asks each question once, however many wait for the answer. The work
// belongs to the mount and goes on when a waiter leaves. Failures are remembered
// for a moment; what succeeds is for the caller to keep.
type flight[V any] struct {
	m *Mount

	mu     sync.Mutex // guards what follows
	asked  map[string]*question[V]
	failed map[string]failure
}

// question is one that is being asked.
type question[V any] struct {
	done chan struct{} // closed when v and err are there
	v    V
	err  error
}

type failure struct {
	err   error
	until time.Time
}

func newFlight[V any](m *Mount) *flight[V] {
	return &flight[V]{m: m, asked: make(map[string]*question[V]), failed: make(map[string]failure)}
}

// do returns what ask returned, to the caller that started it or to one that
// asked the same meanwhile. It returns ctx's error when ctx ends first.
func (f *flight[V]) do(ctx context.Context, key string, ask func(context.Context) (V, error)) (v V, err error) {
	f.mu.Lock()
	if was, ok := f.failed[key]; ok {
		if time.Now().Before(was.until) {
			f.mu.Unlock()
			return v, was.err
		}
		delete(f.failed, key)
	}
	q := f.asked[key]
	if q == nil {
		q = &question[V]{done: make(chan struct{})}
		if !f.m.spawn(func() { f.run(q, key, ask) }) {
			f.mu.Unlock()
			return v, errUnmounted
		}
		f.asked[key] = q
	}
	f.mu.Unlock()
	select {
	case <-q.done:
		return q.v, q.err
	case <-ctx.Done():
		return v, ctx.Err()
	}
}

func (f *flight[V]) run(q *question[V], key string, ask func(context.Context) (V, error)) {
	q.v, q.err = ask(f.m.ctx)
	keep := rememberFailure
	if isRefusal(q.err) {
		keep = rememberRefusal
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.asked, key)
	if q.err != nil && f.m.ctx.Err() == nil {
		if len(f.failed) >= maxFailures {
			clear(f.failed)
		}
		f.failed[key] = failure{q.err, time.Now().Add(keep)}
	}
	close(q.done)
}

// forget drops all remembered failures.
func (f *flight[V]) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.failed)
}
