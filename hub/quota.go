package hub

import (
	"context"
	"time"
)

// Quota is what the Hub's RateLimit headers last said about a class of requests.
type Quota struct {
	Class     string        `json:"class"`     // "api", "resolvers" or "pages"
	Limit     int           `json:"limit"`     // requests per Window; 0 if unknown
	Window    time.Duration `json:"window"`    // 0 if unknown
	Remaining int           `json:"remaining"` // until Reset, less what this client has sent since
	Reset     time.Time     `json:"reset"`
	Used      int64         `json:"used"` // requests of this client since it was made
}

// Stats counts what a client did since it was made.
type Stats struct {
	Requests      map[string]int64 `json:"requests"` // by class: those of Quota, and "content" for storage elsewhere
	Retries       int64            `json:"retries"`
	RateLimited   int64            `json:"rate_limited"` // answers 429
	Failed        int64            `json:"failed"`       // requests with no answer, or 5xx
	BytesReceived int64            `json:"bytes_received"`
	BytesSent     int64            `json:"bytes_sent"`
}

// WithBackground marks requests that can wait: polls, prefetch. They leave a
// reserve of the quota to all others, and wait for the next window rather than
// spend the last of this one.
func WithBackground(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

type backgroundKey struct{}

// Quota tells what is left, by class. Classes that no answer has named are left out.
func (c *Client) Quota() []Quota { return nil }

// Stats tells what the client did.
func (c *Client) Stats() Stats { return Stats{} }
