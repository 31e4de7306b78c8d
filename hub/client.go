package hub

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// errUnfinished is what is not written yet.
var errUnfinished = errors.New("hub: not finished")

// Config makes a Client. The zero value is anonymous access to DefaultEndpoint.
type Config struct {
	Endpoint string      // "" is DefaultEndpoint; a path prefix is kept
	Token    TokenSource // nil is anonymous
	Offline  bool        // every request is ErrOffline, without touching the network

	LibraryName    string // with LibraryVersion the start of the User-Agent
	LibraryVersion string
	UserAgent      string      // added to the User-Agent
	Headers        http.Header // added to every request to the endpoint; they win over ours

	Transport http.RoundTripper // nil is one made for many parallel ranges
	Logger    *slog.Logger      // one line per request at debug level; nil is silent

	// ProgressTimeout is how long an answer may stand still: no byte of a body,
	// or no answer to a request that only reads. 0 is 20 s.
	ProgressTimeout time.Duration
	// AnswerTimeout is how long a request that changes something may take until
	// its answer begins. 0 is 5 minutes.
	AnswerTimeout time.Duration
	// Retries is how often a request that may be repeated is tried again after
	// the network or the server failed. 0 is 5; below 0 is never.
	Retries int
	// MaxRateLimitWait is the longest wait for quota, and after a 429. Where more
	// would be needed, the request fails with ErrRateLimited. 0 is 310 s, a little
	// more than the Hub's window.
	MaxRateLimitWait time.Duration
}

// Client is a client of one Hub for one user. It is safe for concurrent use.
type Client struct {
	endpoint *url.URL
}

// New makes a client. It fails on an endpoint that is no http or https URL.
func New(cfg Config) (*Client, error) {
	return &Client{}, nil
}

// Endpoint is the base of all URLs, without a trailing slash.
func (c *Client) Endpoint() string { return c.endpoint.String() }

// CloseIdleConnections closes connections that no request is using.
func (c *Client) CloseIdleConnections() {}
