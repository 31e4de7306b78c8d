package hub

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Config makes a Client. The zero value is anonymous access to DefaultEndpoint.
type Config struct {
	Endpoint string      // "" is DefaultEndpoint; a path prefix is kept
	Token    TokenSource // nil is anonymous
	Offline  bool        // every request is ErrOffline, without touching the network

	LibraryName    string // with LibraryVersion the start of the User-Agent
	LibraryVersion string
	UserAgent      string      // added to the User-Agent
	Headers        http.Header // added to every request to the endpoint; they win over ours

	// InferenceEndpoints is the base of the API of inference endpoints. "" is DefaultInferenceEndpoints if
	// Endpoint is DefaultEndpoint; with another Hub it must be given: its token would go to a stranger.
	InferenceEndpoints string

	Transport http.RoundTripper // nil is one made for many parallel ranges
	Logger    *slog.Logger      // one line per request at debug level; nil is silent

	// ProgressTimeout is how long an answer may stand still: no byte of a body,
	// or no answer to a request that only reads, of which the first try is given up
	// after 10 s. 0 is 20 s.
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
	logger   *slog.Logger

	base      http.RoundTripper // the network
	transport http.RoundTripper // the whole stack above it
	retrier   *retrier
	governor  *governor
	meter     *meter

	cfg       Config   // as it was given, with its defaults
	inference *url.URL // of inference endpoints; nil if it isn't known

	renames     renames
	noPathsInfo atomic.Bool // the server doesn't have paths-info
}

// New makes a client. It fails on an endpoint that is no http or https URL.
func New(cfg Config) (*Client, error) {
	endpoint, err := parseEndpoint(cmp.Or(cfg.Endpoint, DefaultEndpoint))
	if err != nil {
		return nil, err
	}
	if cfg.Token == nil {
		cfg.Token = StaticToken("")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.LibraryName = cmp.Or(cfg.LibraryName, "hubfs")
	cfg.LibraryVersion = cmp.Or(cfg.LibraryVersion, "unknown")
	cfg.ProgressTimeout = cmp.Or(cfg.ProgressTimeout, 20*time.Second)
	cfg.AnswerTimeout = cmp.Or(cfg.AnswerTimeout, 5*time.Minute)
	cfg.Retries = max(cmp.Or(cfg.Retries, 5), 0)
	cfg.MaxRateLimitWait = cmp.Or(cfg.MaxRateLimitWait, 310*time.Second)

	c := &Client{endpoint: endpoint, logger: cfg.Logger, cfg: cfg}
	if cfg.InferenceEndpoints == "" && endpoint.String() == DefaultEndpoint {
		cfg.InferenceEndpoints = DefaultInferenceEndpoints
	}
	if cfg.InferenceEndpoints != "" {
		if c.inference, err = parseEndpoint(cfg.InferenceEndpoints); err != nil {
			return nil, fmt.Errorf("inference endpoints: %w", err)
		}
	}
	c.buildStack(cfg)
	return c, nil
}

func parseEndpoint(s string) (*url.URL, error) {
	bad := func(reason string) error {
		return fmt.Errorf("endpoint %q: %s", s, reason)
	}
	u, err := url.Parse(strings.TrimRight(s, "/"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("endpoint: %w", err)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, bad("must begin with http:// or https://")
	case u.Host == "":
		return nil, bad("has no host")
	case u.User != nil:
		return nil, fmt.Errorf("endpoint %s: must not hold a user or password", redactURL(u))
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("endpoint %s: must not have a query or fragment", redactURL(u))
	}
	return u, nil
}

// Endpoint is the base of all URLs, without a trailing slash.
func (c *Client) Endpoint() string { return c.endpoint.String() }

// CloseIdleConnections closes connections that no request is using.
func (c *Client) CloseIdleConnections() {
	if t, ok := c.base.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
