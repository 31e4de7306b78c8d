package localhub

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

const (
	// shapedStep is the most that goes through the network at once, in bytes.
	shapedStep = 32 << 10
	// unknownLength is where at the latest a fault happens in a body whose length
	// isn't known.
	unknownLength = 1 << 10
)

var errReset = errors.New("the connection was reset")

// newLimiter limits to so many bytes a second. Its burst, what a sleeper who wakes
// up late may catch up on, is 20 ms' worth. 0 is no limit.
func newLimiter(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	burst := int(max(bytesPerSecond/50, 512))
	l := rate.NewLimiter(rate.Limit(bytesPerSecond), burst)
	l.AllowN(time.Now(), burst) // starts empty: short transfers are no faster than the link
	return l
}

// limits leaves out those that aren't.
func limits(all ...*rate.Limiter) []*rate.Limiter {
	return slices.DeleteFunc(all, func(l *rate.Limiter) bool { return l == nil })
}

// step is how much to send at once.
func step(limits []*rate.Limiter) int {
	n := shapedStep
	for _, l := range limits {
		n = min(n, l.Burst())
	}
	return n
}

func pass(ctx context.Context, limits []*rate.Limiter, n int) error {
	for _, l := range limits {
		if err := l.WaitN(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// flow is an answer on its way: slowed down, and perhaps spoilt.
type flow struct {
	http.ResponseWriter
	ctx     context.Context
	limits  []*rate.Limiter
	fault   Fault
	pick    func(int64) int64
	at      int64 // where in the body the fault happens
	written int64
	begun   bool
	dead    bool // the connection was reset
}

// Unwrap lets http.ResponseController reach the connection.
func (f *flow) Unwrap() http.ResponseWriter { return f.ResponseWriter }

func (f *flow) reset() {
	f.dead = true
	reset(f.ResponseWriter)
}

// WriteHeader also decides where in the body the fault will be. An answer
// without a body, such as a redirect, is hit as a whole.
func (f *flow) WriteHeader(status int) {
	if f.dead {
		return
	}
	if f.begun || status < 200 {
		f.ResponseWriter.WriteHeader(status)
		return
	}
	f.begun = true
	length, err := strconv.ParseInt(f.Header().Get("Content-Length"), 10, 64)
	switch {
	case f.fault == "":
	case status >= 400, f.fault == FaultCorrupt && status >= 300:
		f.fault = "" // bad enough as it is
	case status >= 300, err == nil && length == 0:
		f.end()
	case err != nil:
		f.at = f.pick(unknownLength)
	default:
		f.at = f.pick(length)
	}
	f.ResponseWriter.WriteHeader(status)
}

func (f *flow) Write(p []byte) (int, error) {
	if f.dead {
		return 0, errReset
	}
	if !f.begun {
		f.WriteHeader(http.StatusOK)
	}
	total := 0
	for size := step(f.limits); len(p) > 0; {
		part := p[:min(len(p), size)]
		p = p[len(part):]
		if err := pass(f.ctx, f.limits, len(part)); err != nil {
			return total, err
		}
		n, err := f.send(part)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// send writes a part, or lets the fault happen in it.
func (f *flow) send(part []byte) (int, error) {
	if f.fault != "" && f.written+int64(len(part)) > f.at {
		split := f.at - f.written
		if f.fault != FaultCorrupt {
			f.ResponseWriter.Write(part[:split])                 // the client may be gone
			http.NewResponseController(f.ResponseWriter).Flush() //nolint:errcheck // likewise
			f.end()
		}
		f.fault = ""
		part = slices.Clone(part)
		part[split] ^= 0x40
	}
	n, err := f.ResponseWriter.Write(part)
	f.written += int64(n)
	return n, err
}

// end lets the fault that breaks off an answer happen. It doesn't return: the rest
// of the handler has nobody to talk to.
func (f *flow) end() {
	switch f.fault {
	case FaultReset:
		f.reset()
	case FaultStall:
		sleep(f.ctx, stallBound) //nolint:errcheck // over either way
	}
	// Ends the connection, with fewer bytes than were announced.
	panic(http.ErrAbortHandler)
}

// bodyFlow is the body of a request on its way: slowed down, and perhaps broken off.
type bodyFlow struct {
	io.ReadCloser
	ctx    context.Context
	limits []*rate.Limiter
	flow   *flow // of the answer, on the same connection
	breaks bool
	at     int64 // where it breaks
	read   int64
}

func (b *bodyFlow) Read(p []byte) (int, error) {
	if b.flow.dead {
		return 0, errReset
	}
	p = p[:min(len(p), step(b.limits))]
	if b.breaks {
		if b.read >= b.at {
			b.flow.reset()
			return 0, errReset
		}
		p = p[:min(int64(len(p)), b.at-b.read)]
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if wait := pass(b.ctx, b.limits, n); wait != nil {
		return n, wait
	}
	return n, err
}
