package localhub

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// stallBound ends a stalled answer whose client doesn't leave.
const stallBound = 2 * time.Minute

// spoil decides what goes wrong with a request. It reports whether it has answered
// the request itself; otherwise it has prepared f and body for what will happen.
func (n *network) spoil(f *flow, body *bodyFlow, r *http.Request, class string, next http.Handler) (answered bool) {
	if n.refuse(f, r, class) {
		return true
	}
	if writes(r, class) {
		return n.spoilWrite(f, body, r, class, next)
	}
	for _, fault := range []Fault{FaultReset, FaultTruncate, FaultStall} {
		if n.strikes(fault, r) {
			f.fault, f.pick = fault, n.pick
			return false
		}
	}
	if content := class == ClassContent || class == ClassResolve; content && r.Method == http.MethodGet && n.strikes(FaultCorrupt, r) {
		f.fault, f.pick = FaultCorrupt, n.pick
	}
	return false
}

// refuse answers instead of the handler, if a fault says so.
func (n *network) refuse(w http.ResponseWriter, r *http.Request, class string) bool {
	switch {
	case n.strikes(FaultStatus429, r):
		e := fail(http.StatusTooManyRequests, "You are sending too many requests. Try again in 1 second.")
		e.header = http.Header{"Retry-After": {"1"}}
		if name := quotaName(class); name != "" {
			e.header.Set("RateLimit", rateLimit(name, 0, 1))
		}
		writeError(w, e)
	case n.strikes(FaultStatus503, r):
		writeError(w, fail(http.StatusServiceUnavailable, "The service is unavailable for the moment. Try again later."))
	case class == ClassContent && n.strikes(FaultExpireURL, r):
		writeError(w, expiredURL())
	default:
		return false
	}
	return true
}

// writes tells if a request changes something on the Hub. Some methods that only
// ask are POST, for what they ask about is long.
func writes(r *http.Request, class string) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return false
	case http.MethodPost:
		path := r.URL.EscapedPath()
		return class == ClassCommit || class == ClassContent || !slices.ContainsFunc(
			[]string{"/paths-info/", "/preupload/", "/info/lfs/objects/batch", "/git-upload-pack", "/api/validate-yaml"},
			func(s string) bool { return strings.Contains(path, s) })
	}
	return true
}

// spoilWrite is spoil for a request that changes something. What is uploaded to
// a signed URL changes nothing that anybody sees, so that only its way is spoilt.
func (n *network) spoilWrite(f *flow, body *bodyFlow, r *http.Request, class string, next http.Handler) (answered bool) {
	switch {
	case n.strikes(FaultReset, r):
		if r.ContentLength == 0 {
			f.reset()
			return true
		}
		length := r.ContentLength
		if length < 0 {
			length = unknownLength
		}
		body.breaks, body.at = true, n.pick(length)
	case class == ClassContent:
	case n.strikes(FaultLanded500, r):
		next.ServeHTTP(unheard{}, r)
		writeError(f, fail(http.StatusInternalServerError, "Internal Server Error"))
		return true
	case n.strikes(FaultLostAnswer, r):
		next.ServeHTTP(unheard{}, r)
		f.reset()
		return true
	}
	return false
}

// unheard is an answer that nobody gets.
type unheard http.Header

func (u unheard) Header() http.Header         { return http.Header(u) }
func (u unheard) Write(p []byte) (int, error) { return len(p), nil }
func (u unheard) WriteHeader(int)             {}

// reset ends the connection of an answer as a peer that has crashed does.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // taken over already: the least is to end it
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) //nolint:errcheck // then it ends with a FIN instead
	}
	conn.Close()
}

// sleep waits, or fails with ctx.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
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
