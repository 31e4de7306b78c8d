package hub

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// ErrStalled is a connection on which nothing moves: the cause of an error of kind
// [ErrUnavailable].
var ErrStalled = errors.New("nothing was received for too long")

// WithPatience lets requests that only read wait at most so long for the next byte, where
// that is less than Config.ProgressTimeout. d is asked before each wait, with how many
// bytes of the answer's body have come. A request that stalls isn't repeated: it is for
// the caller to try again, with more patience.
func WithPatience(ctx context.Context, d func(received int64) time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, d)
}

type patienceKey struct{}

// answerKey is for a bound of the time to the answer alone.
type answerKey struct{}

// patience is what WithPatience set, or false.
func patience(ctx context.Context) (d func(received int64) time.Duration, ok bool) {
	d, ok = ctx.Value(patienceKey{}).(func(int64) time.Duration)
	return d, ok
}

// A watchdog ends requests that stand still, however long the whole takes: no
// byte of a body sent or received for the progress timeout, or no answer within
// its time. While receiving, only time spent waiting counts: a reader may pause.
// One timer an exchange, and no goroutine.
type watchdog struct {
	next     http.RoundTripper
	progress time.Duration // for a byte, and for the answer to a request that only reads
	answer   time.Duration // for the answer to any other
	tempo    tempo
}

func (w *watchdog) RoundTrip(req *http.Request) (*http.Response, error) {
	limit, progress := w.answer, w.progress
	var impatient func(int64) time.Duration
	if readsOnly(req) {
		limit = progress
		if d, ok := patience(req.Context()); ok {
			impatient = d
			limit = min(limit, d(0))
		}
		if d, ok := req.Context().Value(answerKey{}).(time.Duration); ok {
			limit = min(limit, d)
		}
	}
	kind := tempoKind(req)
	if h := hurried(req); h != nil {
		d := w.tempo.patience(kind, h.stalls)
		limit, progress = min(limit, d), min(progress, d)
	}
	asked := time.Now()
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(limit, func() { cancel(ErrStalled) })
	watched := req.WithContext(ctx)
	var sending *sentBody
	if req.Body != nil && req.Body != http.NoBody {
		sending = &sentBody{body: req.Body, timer: timer, progress: w.progress, answer: limit}
		watched.Body = sending
	}
	resp, err := w.next.RoundTrip(watched)
	if sending != nil {
		sending.stop() // the transport may go on reading it after an early answer
	}
	timer.Stop()
	if err != nil {
		if errors.Is(context.Cause(ctx), ErrStalled) {
			err = ErrStalled
		}
		cancel(nil)
		return nil, err
	}
	if kind != "" {
		w.tempo.answered(kind, time.Since(asked))
	}
	resp.Body = &watchedBody{body: resp.Body, ctx: ctx, cancel: cancel, timer: timer, limit: progress, patience: impatient}
	return resp, nil
}

// watchedBody runs the timer while a Read waits.
type watchedBody struct {
	body   io.ReadCloser
	ctx    context.Context // of the request; its cause tells a stall from the rest
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration

	patience func(received int64) time.Duration // nil if limit is all
	received int64
}

func (b *watchedBody) Read(p []byte) (int, error) {
	limit := b.limit
	if b.patience != nil {
		limit = min(limit, b.patience(b.received))
	}
	b.timer.Reset(limit)
	n, err := b.body.Read(p)
	b.timer.Stop()
	b.received += int64(n)
	if err != nil && err != io.EOF && errors.Is(context.Cause(b.ctx), ErrStalled) {
		err = ErrStalled
	}
	return n, err
}

func (b *watchedBody) Close() error {
	err := b.body.Close()
	b.timer.Stop()
	b.cancel(nil)
	return err
}

// sentBody puts the timer off with each piece that the transport takes, and gives
// the server its time to answer after the last.
type sentBody struct {
	body             io.ReadCloser
	progress, answer time.Duration

	mu    sync.Mutex  // guards timer
	timer *time.Timer // nil once the answer is here
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	limit := b.progress
	if err != nil {
		limit = b.answer
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil {
		b.timer.Reset(limit)
	}
	return n, err
}

func (b *sentBody) Close() error { return b.body.Close() }

func (b *sentBody) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = nil
}
