package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fixedWindow is the Hub's own rate limiter.
type fixedWindow struct {
	quota  int
	window time.Duration

	mu      sync.Mutex
	start   time.Time
	used    int
	refused int
}

func (f *fixedWindow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if now.Sub(f.start) >= f.window {
		f.start, f.used = now, 0
	}
	f.used++
	left := max(f.quota-f.used, 0)
	reset := f.start.Add(f.window).Sub(now).Round(time.Second)
	w.Header().Set("RateLimit", fmt.Sprintf(`"api";r=%d;t=%d`, left, int(reset.Seconds())))
	w.Header().Set("RateLimit-Policy", fmt.Sprintf(`"fixed window";"api";q=%d;w=%d`, f.quota, int(f.window.Seconds())))
	if f.used > f.quota {
		f.refused++
		reply(429, `{"error":"too many"}`)(w, r)
		return
	}
	reply(200, `{"name":"u"}`)(w, r)
}

// Many more requests than the quota has room for: no 429, and no time lost.
func TestQuotaIsSpentWithoutRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := &fixedWindow{quota: 100, window: 300 * time.Second}
		c := fake(t, hub.ServeHTTP)
		start := time.Now()
		for range 250 {
			if _, err := c.WhoAmI(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if hub.refused > 0 {
			t.Errorf("%d requests were refused", hub.refused)
		}
		if d := time.Since(start); d < 600*time.Second || d > 650*time.Second {
			t.Errorf("250 requests of 100 per 300 s took %s", d)
		}
	})
}

// Several at a time know of each other before the answers are there.
func TestQuotaWithManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := &fixedWindow{quota: 50, window: 300 * time.Second}
		c := fake(t, func(w http.ResponseWriter, r *http.Request) {
			hub.ServeHTTP(w, r)
			time.Sleep(100 * time.Millisecond)
		}, func(cfg *Config) { cfg.MaxRateLimitWait = time.Hour })
		if _, err := c.WhoAmI(t.Context()); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if _, err := c.WhoAmI(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if hub.refused > 0 {
			t.Errorf("%d were refused", hub.refused)
		}
	})
}

func TestQuotaSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := &fixedWindow{quota: 1000, window: 300 * time.Second}
		c := fake(t, hub.ServeHTTP)
		spend := func(n int) time.Duration {
			start := time.Now()
			for range n {
				if _, err := c.WhoAmI(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(start)
		}
		if d := spend(850); d != 0 {
			t.Errorf("85%% of the quota took %s", d)
		}
		if d := spend(100); d <= 0 || d > 300*time.Second {
			t.Errorf("the next 10%% took %s", d)
		}
		q := c.Quota()
		if len(q) != 1 || q[0].Class != "api" || q[0].Limit != 1000 || q[0].Window != 300*time.Second || q[0].Used != 950 || q[0].Remaining != 50 {
			t.Errorf("%+v", q)
		}
	})
}

func TestBackgroundLeavesAReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := &fixedWindow{quota: 100, window: 300 * time.Second}
		c := fake(t, hub.ServeHTTP)
		background := WithBackground(t.Context())
		start := time.Now()
		n := 0
		for {
			ctx, cancel := context.WithDeadline(background, start.Add(299*time.Second))
			_, err := c.WhoAmI(ctx)
			cancel()
			if err != nil {
				wantKind(t, err, context.DeadlineExceeded)
				break
			}
			n++
		}
		if n < 60 || n > 80 {
			t.Errorf("background requests spent %d of 100", n)
		}
		if _, err := c.WhoAmI(t.Context()); err != nil || time.Since(start) > 299*time.Second {
			t.Errorf("a read had to wait until %s: %v", time.Since(start), err)
		}
		// In the next window it goes on.
		if _, err := c.WhoAmI(background); err != nil || time.Since(start) < 300*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestQuotaTooLongToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := &fixedWindow{quota: 1, window: 300 * time.Second}
		c := fake(t, hub.ServeHTTP, func(cfg *Config) { cfg.MaxRateLimitWait = time.Minute })
		if _, err := c.WhoAmI(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err := c.WhoAmI(t.Context())
		wantKind(t, err, ErrRateLimited)
		var e *Error
		if !errors.As(err, &e) || e.RetryAfter != 300*time.Second || time.Since(start) != 0 || hub.used != 1 {
			t.Errorf("%v after %s, %d sent", err, time.Since(start), hub.used)
		}
		if q := c.Quota(); q[0].Remaining != 0 || q[0].Used != 1 {
			t.Errorf("%+v", q)
		}
	})
}

// Who gives up while waiting spends nothing.
func TestQuotaOfTheImpatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := &fixedWindow{quota: 100, window: 300 * time.Second}
		c := fake(t, hub.ServeHTTP)
		for range 95 {
			if _, err := c.WhoAmI(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		before := c.Quota()[0]
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := c.WhoAmI(ctx)
			cancel()
			wantKind(t, err, context.DeadlineExceeded)
		}
		if after := c.Quota()[0]; after != before || hub.used != 95 {
			t.Errorf("%+v became %+v, %d sent", before, after, hub.used)
		}
		start := time.Now()
		if _, err := c.WhoAmI(t.Context()); err != nil || time.Since(start) > time.Minute {
			t.Errorf("who waits had to wait for those who didn't: %s, %v", time.Since(start), err)
		}
		time.Sleep(301 * time.Second)
		if q := c.Quota()[0]; q.Remaining != 100 {
			t.Errorf("%+v in the next window", q)
		}
	})
}

// Answers that overtake each other, other windows and other classes.
func TestObserve(t *testing.T) {
	now := time.Unix(1e9, 0)
	at := func(r int, t time.Duration) rateLimit {
		return rateLimit{class: "api", remaining: r, reset: t, limit: 100, window: 300 * time.Second}
	}
	var s quotaState
	s.observe(at(90, 200*time.Second), now)
	s.observe(at(95, 200*time.Second), now) // overtaken
	if s.remaining != 90 {
		t.Errorf("%d left", s.remaining)
	}
	s.observe(at(99, 299*time.Second), now.Add(201*time.Second))
	if s.remaining != 99 {
		t.Errorf("%d left in a new window", s.remaining)
	}
	if wait, _, ok := s.admit(now.Add(600*time.Second), true); wait != 0 || !ok {
		t.Error("a window that is over holds requests up")
	}
	if !s.assumed || s.remaining != 100 {
		t.Errorf("%+v isn't a new window", s)
	}
	s.observe(at(80, 100*time.Second), now.Add(600*time.Second)) // it is older than assumed
	if s.assumed || s.remaining != 80 || !s.reset.Equal(now.Add(700*time.Second)) {
		t.Errorf("%+v after an answer of the new window", s)
	}
}

func TestClasses(t *testing.T) {
	c := fake(t, nil, func(cfg *Config) { cfg.Endpoint = "https://proxy.test/hf" })
	for u, want := range map[string]string{
		"https://proxy.test/hf/api/models/a/b":                        classAPI,
		"https://proxy.test/hf/api/resolve-cache/models/a/b/0/x":      classResolvers,
		"https://proxy.test/hf/a/b/resolve/main/x":                    classResolvers,
		"https://proxy.test/hf/a/b.git/info/lfs/objects/batch":        classPages,
		"https://cdn.test/hf/api/models":                              classContent,
		"http://proxy.test/hf/api/models":                             classContent,
		"https://proxy.test/hf/datasets/a/b/resolve/main/api/resolve": classResolvers,
	} {
		if got := c.class(&http.Request{URL: mustParse(t, u)}); got != want {
			t.Errorf("%s: %s, want %s", u, got, want)
		}
	}
}

func FuzzRateLimit(f *testing.F) {
	f.Add(`"api";r=12;t=100`, `"fixed window";"api";q=500;w=300`)
	f.Add(`"resolvers";r=0;t=0, "api";r=1;t=2`, `"resolvers";q=5`)
	f.Add(`"a,b";r=1;t=1`, "")
	f.Add(`r=1;t=-1`, `q=99999999999999999999`)
	f.Fuzz(func(t *testing.T, limit, policy string) {
		rl, ok := parseRateLimit(http.Header{"Ratelimit": {limit}, "Ratelimit-Policy": {policy}})
		if !ok {
			return
		}
		if rl.remaining < 0 || rl.reset < 0 || rl.limit < 0 || rl.window < 0 {
			t.Fatalf("%+v", rl)
		}
		var s quotaState
		now := time.Unix(1e9, 0)
		s.observe(rl, now)
		for _, background := range []bool{false, true} {
			if wait, _, _ := s.admit(now, background); wait < 0 || wait > rl.reset {
				t.Fatalf("%+v: waits %s", rl, wait)
			}
		}
	})
}

func TestParseRateLimit(t *testing.T) {
	h := http.Header{"Ratelimit": {`"resolvers"; r=12 ;t=100`}, "Ratelimit-Policy": {`"fixed window";"resolvers";q=3000;w=300`}}
	want := rateLimit{"resolvers", 12, 100 * time.Second, 3000, 300 * time.Second}
	if got, ok := parseRateLimit(h); !ok || got != want {
		t.Errorf("%+v", got)
	}
	for _, s := range []string{"", `"api"`, `"api";r=1`, `"api";t=1`, `"api";r=x;t=1`, `"api";r=-1;t=1`, "r=1;t=1"} {
		if rl, ok := parseRateLimit(http.Header{"Ratelimit": {s}}); ok {
			t.Errorf("%q gives %+v", s, rl)
		}
	}
}
