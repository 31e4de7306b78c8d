package hub

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// buildStack puts the round trippers together, the innermost first. A request
// passes them from the last to the first.
func (c *Client) buildStack(cfg Config) {
	rt := cfg.Transport
	if rt == nil {
		rt = newTransport()
	}
	c.base = rt
	rt = &watchdog{next: rt, progress: cfg.ProgressTimeout, answer: cfg.AnswerTimeout}

	// Below here each request is one on the wire: counted, logged, paid for.
	c.meter = &meter{next: rt, class: c.class, logger: cfg.Logger, warned: make(map[string]bool), requests: make(map[string]*atomic.Int64)}
	for _, class := range []string{classAPI, classResolvers, classPages, classContent} {
		c.meter.requests[class] = new(atomic.Int64)
	}
	c.governor = &governor{next: c.meter, class: c.class, maxWait: cfg.MaxRateLimitWait, states: make(map[string]*quotaState)}

	rt = &authenticator{next: c.governor, ours: c.ours, source: cfg.Token}
	rt = &identifier{next: rt, ours: c.ours, userAgent: userAgent(cfg), extra: cfg.Headers}
	c.retrier = &retrier{next: rt, max: cfg.Retries, maxTold: cfg.MaxRateLimitWait}
	c.transport = c.retrier
	if cfg.Offline {
		c.transport = offline{}
	}
}

// newTransport is made for many ranges of large files at once. HTTP/2 is off: it
// would put all ranges on one connection, where one congestion window and one
// lost packet hold up all of them, and storage limits each connection's rate.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		ReadBufferSize:         32 << 10,
		MaxResponseHeaderBytes: 1 << 20,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// ours says whether a URL is the endpoint's: same scheme, host and port. Only
// such a URL may see the token.
func (c *Client) ours(u *url.URL) bool { return sameOrigin(c.endpoint, u) }

func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if strings.EqualFold(u.Scheme, "https") {
		return "443"
	}
	return "80"
}

// class tells which quota a request is counted against.
func (c *Client) class(req *http.Request) string {
	if !c.ours(req.URL) {
		return classContent
	}
	path := strings.TrimPrefix(req.URL.EscapedPath(), c.endpoint.EscapedPath())
	switch {
	case strings.HasPrefix(path, "/api/resolve-cache/"):
		return classResolvers
	case strings.HasPrefix(path, "/api/"):
		return classAPI
	case strings.Contains(path, "/resolve/"):
		return classResolvers
	}
	return classPages
}

// identifier says who asks, and gives the request an id to be found by in the
// Hub's logs.
type identifier struct {
	next      http.RoundTripper
	ours      func(*url.URL) bool
	userAgent string
	extra     http.Header
}

func (t *identifier) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", t.userAgent)
	if t.ours(req.URL) {
		if req.Header.Get("X-Amzn-Trace-Id") == "" {
			req.Header.Set("X-Amzn-Trace-Id", newUUID())
		}
		for name, values := range t.extra {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	return t.next.RoundTrip(req)
}

func userAgent(cfg Config) string {
	ua := fmt.Sprintf("%s/%s; go/%s; %s/%s", cfg.LibraryName, cfg.LibraryVersion,
		strings.TrimPrefix(runtime.Version(), "go"), runtime.GOOS, runtime.GOARCH)
	if cfg.UserAgent != "" {
		ua += "; " + cfg.UserAgent
	}
	return ua
}

// newUUID is a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// offline refuses every request.
type offline struct{}

func (offline) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		req.Body.Close()
	}
	return nil, &Error{Method: req.Method, URL: redactURL(req.URL), kind: ErrOffline}
}
