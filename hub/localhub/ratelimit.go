package localhub

import (
	"fmt"
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

func newRateLimiter(l RateLimits) *rateLimiter {
	if l.Window <= 0 {
		l.Window = 5 * time.Minute
	}
	return &rateLimiter{limits: l, now: time.Now, windows: make(map[rateKey]*rateWindow)}
}

// wrap counts the requests of a class against the quota of who makes them. Every
// answer says what is left; beyond that it is 429.
func (l *rateLimiter) wrap(next http.Handler, class string, who func(*http.Request) string) http.Handler {
	name, limit := "api", l.limits.API
	switch class {
	case ClassResolve:
		name, limit = "resolvers", l.limits.Resolvers
	case ClassContent:
		limit = 0 // signed URLs cost nothing more
	}
	if limit <= 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		left, reset := l.take(rateKey{name, who(r)}, limit)
		seconds := int((reset + time.Second - 1) / time.Second)
		w.Header().Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", name, max(left, 0), seconds))
		w.Header().Set("RateLimit-Policy", fmt.Sprintf(`"fixed window";%q;q=%d;w=%d`, name, limit, int(l.limits.Window/time.Second)))
		if left < 0 {
			refusal(w, http.StatusTooManyRequests, fmt.Sprintf("You have reached your quota of %d %s requests. Try again in %d seconds.", limit, name, seconds))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// take counts one request. It returns what is left, negative if the request is
// one too many, and the time until the window ends.
func (l *rateLimiter) take(key rateKey, limit int) (left int, reset time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	w := l.windows[key]
	if w == nil || !now.Before(w.end) {
		w = &rateWindow{end: now.Add(l.limits.Window)}
		l.windows[key] = w
	}
	if w.used < limit+1 {
		w.used++
	}
	return limit - w.used, w.end.Sub(now)
}
