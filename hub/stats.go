package hub

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Stats counts what a client did since it was made.
type Stats struct {
	Requests      map[string]int64 `json:"requests"` // by class: those of Quota, and "content" for storage elsewhere
	Retries       int64            `json:"retries"`
	RateLimited   int64            `json:"rate_limited"` // answers 429
	Failed        int64            `json:"failed"`       // requests with no answer, or 5xx
	BytesReceived int64            `json:"bytes_received"`
	BytesSent     int64            `json:"bytes_sent"` // bodies of requests
}

// Stats tells what the client did.
func (c *Client) Stats() Stats {
	m := c.meter
	s := Stats{
		Requests:      make(map[string]int64),
		Retries:       c.retrier.retries.Load(),
		RateLimited:   m.rateLimited.Load(),
		Failed:        m.failed.Load(),
		BytesReceived: m.received.Load(),
		BytesSent:     m.sent.Load(),
	}
	for class, n := range m.requests {
		s.Requests[class] = n.Load()
	}
	return s
}

// A meter counts and logs each request that is sent.
type meter struct {
	next   http.RoundTripper
	class  func(*http.Request) string
	logger *slog.Logger

	requests                            map[string]*atomic.Int64 // by class, complete from the start
	rateLimited, failed, received, sent atomic.Int64

	mu     sync.Mutex      // guards warned
	warned map[string]bool // topics of X-HF-Warning that are in the log
}

// maxWarnings bounds the topics that a server may fill the log with.
const maxWarnings = 100

func (m *meter) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	m.requests[m.class(req)].Add(1)
	m.sent.Add(max(req.ContentLength, 0))
	resp, err := m.next.RoundTrip(req)

	ctx := req.Context()
	if err != nil {
		m.failed.Add(1)
		if m.logger.Enabled(ctx, slog.LevelDebug) {
			m.logger.DebugContext(ctx, "hub request", "method", req.Method, "url", redactURL(req.URL),
				"duration", time.Since(start), "error", requestError(req, err))
		}
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		m.rateLimited.Add(1)
	case resp.StatusCode >= 500:
		m.failed.Add(1)
	}
	if m.logger.Enabled(ctx, slog.LevelDebug) {
		m.logger.DebugContext(ctx, "hub request", "method", req.Method, "url", redactURL(req.URL), "status", resp.StatusCode,
			"duration", time.Since(start), "request_id", oneLine(resp.Header.Get("X-Request-Id"), 200))
	}
	for _, w := range resp.Header.Values("X-HF-Warning") {
		m.warn(req, w)
	}
	resp.Body = &countedBody{resp.Body, &m.received}
	return resp, nil
}

// warn logs what the Hub wants its users to know, once a topic.
func (m *meter) warn(req *http.Request, warning string) {
	topic, message, ok := strings.Cut(warning, ";")
	if !ok {
		topic, message = "", warning
	}
	m.mu.Lock()
	known := m.warned[topic] || len(m.warned) >= maxWarnings
	if !known {
		m.warned[topic] = true
	}
	m.mu.Unlock()
	if !known {
		m.logger.WarnContext(req.Context(), "the Hub says", "topic", oneLine(topic, 100),
			"message", oneLine(scrub(strings.TrimSpace(message), req), 1000))
	}
}

// countedBody adds what is read to a counter.
type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}
