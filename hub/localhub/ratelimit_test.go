package localhub

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

func TestRateLimits(t *testing.T) {
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	l := newRateLimiter(RateLimits{API: 2, Window: time.Minute})
	l.now = func() time.Time { return now }
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	who := func(r *http.Request) string { return r.Header.Get("From") }
	api, resolve := l.wrap(ok, ClassAPI, who), l.wrap(ok, ClassResolve, who)
	ask := func(h http.Handler, from string) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("From", from)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	for i, want := range []struct {
		status int
		header string
	}{{204, `"api";r=1;t=60`}, {204, `"api";r=0;t=60`}, {429, `"api";r=0;t=60`}, {429, `"api";r=0;t=60`}} {
		resp := ask(api, "alice")
		if resp.StatusCode != want.status || resp.Header.Get("RateLimit") != want.header {
			t.Errorf("request %d: %d, %q, want %v", i, resp.StatusCode, resp.Header.Get("RateLimit"), want)
		}
	}
	if got, want := ask(api, "bob").Header.Get("RateLimit-Policy"), `"fixed window";"api";q=2;w=60`; got != want {
		t.Errorf("policy %q, want %q", got, want)
	}
	if resp := ask(resolve, "alice"); resp.StatusCode != http.StatusNoContent || resp.Header.Get("RateLimit") != "" {
		t.Errorf("an unlimited class: %d, %q", resp.StatusCode, resp.Header.Get("RateLimit"))
	}
	now = now.Add(time.Minute)
	if resp := ask(api, "alice"); resp.StatusCode != http.StatusNoContent {
		t.Errorf("after the window: %d", resp.StatusCode)
	}
}

// Addresses that never come again don't pile up.
func TestRateLimitsForgetOldWindows(t *testing.T) {
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	l := newRateLimiter(RateLimits{API: 2, Window: time.Minute})
	l.now = func() time.Time { return now }
	for i := range 3 * sweepWindows {
		l.take(rateKey{"api", strconv.Itoa(i)}, 2)
		now = now.Add(time.Second)
	}
	if n := len(l.windows); n > sweepWindows {
		t.Errorf("%d windows are kept", n)
	}
}
