package hub

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// minHurry and maxHurry bound how long a question that a reader waits for may stand
	// still the first time; what is in between is hurryFactor times the slowest of the
	// latest answers to its like, and twice that of any where it is the first of its kind.
	minHurry    = time.Second
	maxHurry    = firstAnswer
	hurryFactor = 4
)

// tempo is how fast the Hub answers what a mount has to know before it can go on. Now
// and then an answer never comes, or stops in its middle; to ask again costs a request.
type tempo struct {
	mu      sync.Mutex // guards slowest
	slowest map[string]time.Duration
}

// tempoKind names requests that take about the same time; "" is one that has all the time it
// wants.
func tempoKind(req *http.Request) string {
	if req.Method != http.MethodGet {
		return ""
	}
	for part := range strings.SplitSeq(req.URL.EscapedPath(), "/") {
		switch part {
		case "tree", "refs", "commits", "revision":
			return part
		}
	}
	return ""
}

// answered takes into account how long an answer took to begin. The memory of a slow one
// fades, by an eighth with each that comes after it.
func (t *tempo) answered(kind string, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slowest == nil {
		t.slowest = make(map[string]time.Duration)
	}
	slow := t.slowest[kind]
	t.slowest[kind] = max(d, slow-slow/8)
}

// patience is how long a request of that kind may stand still, that has done so before.
func (t *tempo) patience(kind string, stalls int) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	slow, known := t.slowest[kind]
	if !known {
		for _, d := range t.slowest {
			slow = max(slow, d)
		}
		if slow = 2 * slow; slow == 0 {
			return maxHurry
		}
	}
	return min(max(hurryFactor*slow, minHurry)<<(2*stalls), maxHurry)
}

// maxHurried is how often a question may be asked again because nothing came, before it
// has all the time that there is.
const maxHurried = 2

// hurry belongs to a question whose answer is read whole, and asked for again where it
// breaks off. It is not for concurrent use.
type hurry struct{ stalls int }

type hurryKey struct{}

// hurried is how the request is to be hurried; nil if it isn't.
func hurried(req *http.Request) *hurry {
	h, ok := req.Context().Value(hurryKey{}).(*hurry)
	if !ok || h.stalls >= maxHurried || tempoKind(req) == "" {
		return nil
	}
	return h
}
