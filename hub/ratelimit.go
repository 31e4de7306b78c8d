package hub

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// rateLimit is one answer's RateLimit and RateLimit-Policy headers:
//
//	RateLimit: "api";r=<remaining>;t=<seconds to reset>
//	RateLimit-Policy: "fixed window";"api";q=<quota>;w=<window seconds>
type rateLimit struct {
	class     string
	remaining int
	reset     time.Duration
	limit     int           // 0 if not said
	window    time.Duration // 0 if not said
}

// maxHeaderNumber bounds what the headers may claim, so that no arithmetic overflows.
const maxHeaderNumber = 1 << 30

// parseRateLimit reads the headers; !ok if they say nothing usable.
func parseRateLimit(h http.Header) (rl rateLimit, ok bool) {
	names, params := headerParams(h.Get("RateLimit"))
	r, okR := params["r"]
	t, okT := params["t"]
	if len(names) == 0 || !okR || !okT {
		return rateLimit{}, false
	}
	rl = rateLimit{class: names[len(names)-1], remaining: r, reset: time.Duration(t) * time.Second}
	names, params = headerParams(h.Get("RateLimit-Policy"))
	if len(names) > 0 && names[len(names)-1] == rl.class {
		rl.limit = params["q"]
		rl.window = time.Duration(params["w"]) * time.Second
	}
	return rl, true
}

// headerParams reads the first member of a structured header: its quoted
// strings in order, and those parameters that are whole numbers.
func headerParams(s string) (names []string, params map[string]int) {
	params = make(map[string]int)
	member, _ := cutMember(s)
	for item := range strings.SplitSeq(member, ";") {
		item = strings.TrimSpace(item)
		if name, ok := strings.CutPrefix(item, `"`); ok {
			if name, ok = strings.CutSuffix(name, `"`); ok {
				names = append(names, name)
			}
			continue
		}
		key, value, ok := strings.Cut(item, "=")
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && 0 <= n && n <= maxHeaderNumber {
			params[strings.TrimSpace(key)] = n
		}
	}
	return names, params
}

// toldWait is how long a refusal asks to wait: until the window's reset where
// its quota is used up, else Retry-After; 0 if it doesn't say.
func toldWait(resp *http.Response, now time.Time) time.Duration {
	if resp.StatusCode == http.StatusTooManyRequests {
		if rl, ok := parseRateLimit(resp.Header); ok && rl.remaining == 0 {
			return max(rl.reset, time.Second) // a reset within this second is rounded down to 0
		}
	}
	if resp.StatusCode < 400 {
		return 0
	}
	after := resp.Header.Get("Retry-After")
	if n, err := strconv.Atoi(after); err == nil && 0 <= n && n <= maxHeaderNumber {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(after); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}
