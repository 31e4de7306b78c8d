package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

// A retrier repeats requests that may be repeated, when the network or the
// server failed. A wait that the server asks for is kept exactly, and doesn't
// use up tries; all others double, with jitter.
type retrier struct {
	next    http.RoundTripper
	max     int           // tries after the first
	maxTold time.Duration // longest wait, in all, that a server may ask for
	retries atomic.Int64
}

const (
	quickBackoff = 100 * time.Millisecond // after the first try
	firstBackoff = 500 * time.Millisecond // doubled with each try, from the second on
	maxBackoff   = 8 * time.Second
	// firstAnswer is how long a request that only reads waits for its answer the first
	// time: one that takes longer mostly never comes, and somebody is waiting.
	firstAnswer = 10 * time.Second
)

// repeatableKey marks a request in its context as one that may be repeated
// although its method doesn't say so.
type repeatableKey struct{}

func withRepeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatableKey{}, true)
}

// WithOneTry lets requests fail at once that would be repeated otherwise: for a caller
// who has better to do than to wait. How long the server asked to wait is in
// Error.RetryAfter.
func WithOneTry(ctx context.Context) context.Context {
	return context.WithValue(ctx, oneTryKey{}, true)
}

type oneTryKey struct{}

// repeatable says whether sending a request twice is like sending it once. DELETE
// isn't in the list: after a lost answer the second one reports what was asked
// for as missing.
func repeatable(req *http.Request) bool {
	return readsOnly(req) || req.Method == http.MethodPut
}

// readsOnly says whether a request changes nothing.
func readsOnly(req *http.Request) bool {
	return req.Method == http.MethodGet || req.Method == http.MethodHead || req.Context().Value(repeatableKey{}) != nil
}

func (r *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if !repeatable(req) || ctx.Value(oneTryKey{}) != nil {
		return r.next.RoundTrip(req)
	}
	var told time.Duration // waited as told so far
	_, impatient := patience(ctx)
	for try := 0; ; {
		once := req
		if try == 0 && !impatient {
			once = req.WithContext(context.WithValue(ctx, answerKey{}, firstAnswer))
		}
		resp, err := r.next.RoundTrip(once)
		if h := hurried(req); h != nil && errors.Is(err, ErrStalled) && ctx.Err() == nil {
			h.stalls++ // that try was extra
			r.retries.Add(1)
			continue
		}
		var wait time.Duration
		switch {
		case err == nil && !retryStatus(resp.StatusCode), err != nil && !retryError(ctx, err):
			return resp, err
		case err == nil:
			wait = toldWait(resp, time.Now())
		case errors.Is(err, ErrStalled):
			try++ // it has cost a long time already
		}
		switch {
		case wait > 0 && told+wait > r.maxTold, wait == 0 && try >= r.max:
			return resp, err
		case wait > 0:
			told += wait
		default:
			wait = backoff(try)
			try++
		}
		if resp != nil {
			discard(resp)
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		if req, err = rewind(req); err != nil {
			return nil, err
		}
		r.retries.Add(1)
	}
}

// retryStatus says whether an answer may be better the next time.
func retryStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retryError says whether a request that got no answer may get one the next time.
func retryError(ctx context.Context, err error) bool {
	var refused *Error  // by one of our own round trippers
	var body *bodyError // what was to be sent can't be read
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	if _, ok := patience(ctx); ok && errors.Is(err, ErrStalled) {
		return false
	}
	return ctx.Err() == nil && !errors.As(err, &refused) && !errors.As(err, &body) && !errors.As(err, &cert) && !errors.As(err, &record) &&
		!errors.Is(err, http.ErrSchemeMismatch)
}

// backoff is the wait after the given try, from 0. The first is short: most of what fails
// does so once.
func backoff(try int) time.Duration {
	d := maxBackoff
	switch {
	case try == 0:
		d = quickBackoff
	case try < 10:
		d = min(firstBackoff<<try, maxBackoff)
	}
	return d/2 + rand.N(d/2)
}

// sleep waits, or returns the context's error.
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

// rewind is the request once more, with its body from the start.
func rewind(req *http.Request) (*http.Request, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Body = body
	return req, nil
}

// discard closes an answer whose body is of no interest, read to its end if that
// is near, so that the connection can be used again.
func discard(resp *http.Response) {
	defer resp.Body.Close()
	readSome(resp.Body)
}
