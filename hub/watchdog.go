package hub

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// errStalled is a connection on which nothing moves.
var errStalled = errors.New("nothing was received for too long")

// A watchdog ends requests that stand still, however long the whole takes: no
// answer within its time, or no byte of the body for the progress timeout. Only
// time spent waiting counts; a reader may pause. One timer an answer, no goroutine.
type watchdog struct {
	next     http.RoundTripper
	progress time.Duration // for a byte, and for the answer to a request that only reads
	answer   time.Duration // for the answer to any other
}

func (w *watchdog) RoundTrip(req *http.Request) (*http.Response, error) {
	limit := w.answer
	if readsOnly(req) {
		limit = w.progress
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(limit, func() { cancel(errStalled) })
	resp, err := w.next.RoundTrip(req.WithContext(ctx))
	timer.Stop()
	if err != nil {
		if context.Cause(ctx) == errStalled {
			err = errStalled
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = &watchedBody{resp.Body, ctx, cancel, timer, w.progress}
	return resp, nil
}

// watchedBody runs the timer while a Read waits.
type watchedBody struct {
	body   io.ReadCloser
	ctx    context.Context // of the request; its cause tells a stall from the rest
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.limit)
	n, err := b.body.Read(p)
	b.timer.Stop()
	if err != nil && err != io.EOF && context.Cause(b.ctx) == errStalled {
		err = errStalled
	}
	return n, err
}

func (b *watchedBody) Close() error {
	err := b.body.Close()
	b.timer.Stop()
	b.cancel(nil)
	return err
}
