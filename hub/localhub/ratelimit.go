package localhub

import (
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"
)

// RateLimits are the requests that a user, or an address without a token, may
// make in each window, as the Hub counts them. Classes with 0 are unlimited, and
// their answers say nothing of a quota.
type RateLimits struct {
	API       int           // calls of the API, commits among them
	Resolvers int           // files at a revision
	Window    time.Duration // 0 is five minutes
}

// rateLimiter counts requests in fixed windows.
type rateLimiter struct {
	limits RateLimits
	now    func() time.Time

	mu      sync.Mutex // guards windows
	windows map[rateKey]*rateWindow
}

// rateKey is one quota: of a class of requests, for a user or an address.
type rateKey struct{ name, who string }

type rateWindow struct {
	end  time.Time
	used int
}

// sweepWindows is how many windows are kept before those that are over are
// forgotten.
const sweepWindows = 1000

func newRateLimiter(l RateLimits) *rateLimiter {
	if l.Window <= 0 {
		l.Window = 5 * time.Minute
	}
	return &rateLimiter{limits: l, now: time.Now, windows: make(map[rateKey]*rateWindow)}
}

// wrap counts the requests of a class against the quota of who makes them. Every
// answer says what is left; beyond that it is 429.
func (l *rateLimiter) wrap(next http.Handler, class string, who func(*http.Request) string) http.Handler {
	name := quotaName(class)
	limit := map[string]int{"api": l.limits.API, "resolvers": l.limits.Resolvers}[name]
	if limit <= 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		left, reset := l.take(rateKey{name, who(r)}, limit)
		seconds := int((reset + time.Second - 1) / time.Second)
		w.Header().Set("RateLimit", rateLimit(name, max(left, 0), seconds))
		w.Header().Set("RateLimit-Policy", fmt.Sprintf(`"fixed window";%q;q=%d;w=%d`, name, limit, int(l.limits.Window/time.Second)))
		if left < 0 {
			writeError(w, fail(http.StatusTooManyRequests, "You have reached your quota of %d %s requests. Try again in %d seconds.", limit, name, seconds))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// quotaName is the quota that a class of requests is counted against; "" is none,
// for what a signed URL costs was paid when it was given.
func quotaName(class string) string {
	switch class {
	case ClassResolve:
		return "resolvers"
	case ClassContent:
		return ""
	}
	return "api"
}

// rateLimit is the RateLimit header.
func rateLimit(name string, left, seconds int) string {
	return fmt.Sprintf("%q;r=%d;t=%d", name, left, seconds)
}

// take counts one request. It returns what is left, negative if the request is
// one too many, and the time until the window ends.
func (l *rateLimiter) take(key rateKey, limit int) (left int, reset time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	w := l.windows[key]
	if w == nil || !now.Before(w.end) {
		if len(l.windows) >= sweepWindows {
			maps.DeleteFunc(l.windows, func(_ rateKey, w *rateWindow) bool { return !now.Before(w.end) })
		}
		w = &rateWindow{end: now.Add(l.limits.Window)}
		l.windows[key] = w
	}
	if w.used < limit+1 {
		w.used++
	}
	return limit - w.used, w.end.Sub(now)
}
