package hub

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The classes of requests. Each but the last has a quota of its own on the Hub.
const (
	classAPI       = "api"
	classResolvers = "resolvers"
	classPages     = "pages"
	classContent   = "content" // storage elsewhere
)

// Quota is what the Hub's RateLimit headers last said about a class of requests.
type Quota struct {
	Class     string        `json:"class"`     // "api", "resolvers" or "pages"
	Limit     int           `json:"limit"`     // requests per Window; 0 if unknown
	Window    time.Duration `json:"window"`    // nanoseconds; 0 if unknown
	Remaining int           `json:"remaining"` // until Reset, less what this client has under way
	Reset     time.Time     `json:"reset"`
	Used      int64         `json:"used"` // requests of this client since it was made
}

// WithBackground marks requests that can wait: polls, prefetch. They leave a
// reserve of the quota to all others, and wait for the next window rather than
// spend the last of this one.
func WithBackground(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

type backgroundKey struct{}

func isBackground(ctx context.Context) bool { return ctx.Value(backgroundKey{}) != nil }

// Quota tells what is left, by class. Classes that no answer has named are left out.
func (c *Client) Quota() []Quota { return c.governor.quota(time.Now()) }

// A governor spends the quota of the Hub so that no 429 is needed to stop: it
// slows requests down where little is left, and keeps a part for those that
// somebody is waiting for.
type governor struct {
	next    http.RoundTripper
	class   func(*http.Request) string
	maxWait time.Duration

	mu     sync.Mutex // guards all below; never held while waiting
	states map[string]*quotaState
}

// quotaState is one class. While now < reset, the server has said that remaining
// requests are left, and inflight more are under way, counted or not.
type quotaState struct {
	limit     int
	window    time.Duration
	remaining int
	reset     time.Time
	assumed   bool // no answer has spoken of this window yet
	inflight  int
	used      int64
	slot      time.Time // the earliest time of the next paced request
}

// Of the limit: below lowShare requests are spaced out; backgroundShare is kept
// from background requests.
const (
	lowShare        = 0.1
	backgroundShare = 0.2
)

func (g *governor) RoundTrip(req *http.Request) (*http.Response, error) {
	class := g.class(req)
	if class == classContent {
		return g.next.RoundTrip(req)
	}
	if err := g.admit(req, class); err != nil {
		return nil, err
	}
	resp, err := g.next.RoundTrip(req)
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.state(class)
	s.inflight--
	rl, ok := rateLimit{}, false
	if err == nil {
		rl, ok = parseRateLimit(resp.Header)
	}
	switch {
	case !ok:
		s.remaining = max(s.remaining-1, 0) // it may have counted
	case rl.class == classAPI || rl.class == classResolvers || rl.class == classPages:
		g.state(rl.class).observe(rl, time.Now())
	}
	return resp, err
}

// admit returns when the request may be sent, counted as under way.
func (g *governor) admit(req *http.Request, class string) error {
	ctx := req.Context()
	deadline := time.Now().Add(g.maxWait)
	for {
		now := time.Now()
		g.mu.Lock()
		s := g.state(class)
		wait, gap, granted := s.admit(now, isBackground(ctx))
		if granted {
			s.inflight++
			s.used++
		}
		g.mu.Unlock()
		if now.Add(wait).After(deadline) {
			if granted {
				g.takeBack(class, gap)
			}
			return &Error{
				Method:     req.Method,
				URL:        redactURL(req.URL),
				Message:    "the quota of " + class + " requests is used up",
				RetryAfter: wait,
				kind:       ErrRateLimited,
			}
		}
		if err := sleep(ctx, wait); err != nil {
			if granted {
				g.takeBack(class, gap)
			}
			return err
		}
		if granted {
			return nil
		}
	}
}

// takeBack undoes an admission whose request isn't going to be sent.
func (g *governor) takeBack(class string, gap time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.state(class)
	s.inflight--
	s.used--
	s.slot = s.slot.Add(-gap)
}

// state requires g.mu.
func (g *governor) state(class string) *quotaState {
	s := g.states[class]
	if s == nil {
		s = new(quotaState)
		g.states[class] = s
	}
	return s
}

// left is how many more requests the window has room for, at a time within it.
func (s *quotaState) left() int { return s.remaining - s.inflight }

// admit says how long a request has to wait, and whether it may then be sent
// without asking again; gap is how far it moved those behind it.
func (s *quotaState) admit(now time.Time, background bool) (wait, gap time.Duration, granted bool) {
	if s.limit > 0 && s.window > 0 && !now.Before(s.reset) {
		// All that waited for the window come now: they must not all go at once.
		s.remaining, s.reset, s.assumed, s.slot = s.limit, now.Add(s.window), true, time.Time{}
	}
	window := s.reset.Sub(now)
	if window <= 0 {
		return 0, 0, true // nothing is known of this window
	}
	left, limit := s.left(), float64(s.limit)
	low := limit * lowShare
	if background {
		reserve := int(math.Ceil(limit * backgroundShare))
		left -= reserve
		low = limit / 2
	}
	if left <= 0 {
		return window, 0, false
	}
	if float64(left) >= low {
		return 0, 0, true
	}
	// The fewer are left, the closer the spacing comes to spreading them evenly
	// over the rest of the window: no cliff where slowing down begins.
	gap = time.Duration(float64(window) / float64(left) * (1 - float64(left)/low))
	at := s.slot
	if at.Before(now) {
		at = now
	}
	s.slot = at.Add(gap)
	return min(at.Sub(now), window), gap, true
}

// observe takes in what an answer says. Answers overtake each other, so within
// a window only fewer is news.
func (s *quotaState) observe(rl rateLimit, now time.Time) {
	reset := now.Add(rl.reset)
	const rounding = 2 * time.Second // t is in whole seconds, and answers take time
	sameWindow := now.Before(s.reset) && reset.Before(s.reset.Add(rounding))
	if !sameWindow || rl.remaining < s.remaining {
		s.remaining = rl.remaining
	}
	if !sameWindow || s.assumed {
		s.reset, s.assumed = reset, false
	}
	if !sameWindow {
		s.slot = time.Time{}
	}
	if rl.limit > 0 {
		s.limit, s.window = rl.limit, rl.window
	}
	s.limit = max(s.limit, rl.remaining)
}

func (g *governor) quota(now time.Time) []Quota {
	g.mu.Lock()
	defer g.mu.Unlock()
	var quotas []Quota
	for class, s := range g.states {
		if s.reset.IsZero() {
			continue
		}
		q := Quota{Class: class, Limit: s.limit, Window: s.window, Remaining: max(s.left(), 0), Reset: s.reset, Used: s.used}
		if !now.Before(s.reset) {
			q.Remaining = max(s.limit-s.inflight, 0) // a new window has begun
		}
		quotas = append(quotas, q)
	}
	slices.SortFunc(quotas, func(a, b Quota) int { return strings.Compare(a.Class, b.Class) })
	return quotas
}
