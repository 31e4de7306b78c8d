package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// A request is what is asked of the endpoint, before it is an *http.Request.
type request struct {
	method string
	repo   Repo              // the zero value if it is about no repository
	path   func(Repo) string // escaped path below the endpoint; of the repository under its present name
	query  url.Values
	header http.Header
	body   []byte
	stream *stream // instead of body
	// repeat says that sending it twice is like sending it once, although its
	// method doesn't say so.
	repeat bool
	// anonymous keeps the token away even from our own endpoint: the URL itself authorises.
	anonymous bool
}

// A stream is a body that isn't held in memory.
type stream struct {
	size int64
	open func() (io.ReadCloser, error) // from the start
}

// at is a path that belongs to no repository.
func at(path string) func(Repo) string { return func(Repo) string { return path } }

// below is a path below a repository in the API; its parts are not yet escaped.
func below(parts ...string) func(Repo) string {
	var rest strings.Builder
	for _, p := range parts {
		rest.WriteString("/" + escape(p))
	}
	return func(r Repo) string { return r.apiPath(rest.String()) }
}

// withJSON gives the request a JSON body.
func (r *request) withJSON(v any) (*request, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	r.body = body
	r.header = http.Header{"Content-Type": {"application/json"}}
	return r, nil
}

// build is the request to the endpoint, about the given repository.
func (c *Client) build(ctx context.Context, r *request, repo Repo) (*http.Request, error) {
	u := c.Endpoint() + r.path(repo)
	if len(r.query) > 0 {
		u += "?" + r.query.Encode()
	}
	return newRequest(ctx, r, u)
}

// newRequest is the request to any URL.
func newRequest(ctx context.Context, r *request, u string) (*http.Request, error) {
	if r.repeat {
		ctx = withRepeatable(ctx)
	}
	if r.anonymous {
		ctx = withoutToken(ctx)
	}
	var body io.Reader = http.NoBody
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u, body)
	if err != nil {
		var ue *url.Error // its text has the whole URL
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, &Error{Method: r.method, Message: "the URL can't be used", Err: err, kind: ErrProtocol}
	}
	if r.header != nil {
		req.Header = r.header.Clone()
	}
	if r.stream != nil && r.stream.size > 0 {
		req.ContentLength, req.GetBody = r.stream.size, r.stream.open
		if req.Body, err = r.stream.open(); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// roundTrip sends one request, with all that the stack does for it.
func (c *Client) roundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, requestError(req, err)
	}
	// The answer's request has the headers as sent, but a context of our own that
	// ends with the answer.
	if resp.Request == nil {
		resp.Request = req
	}
	resp.Request = resp.Request.WithContext(req.Context())
	return resp, nil
}

// do sends a request, follows redirects and turns refusals into errors. The
// caller closes the body of the answer.
func (c *Client) do(ctx context.Context, r *request) (*http.Response, error) {
	a, err := c.exchange(ctx, r)
	if err != nil {
		return nil, err
	}
	if a.elsewhere == nil {
		return a.resp, nil
	}
	discard(a.resp)
	return c.followElsewhere(ctx, r, a)
}

// doJSON sends a request and decodes its answer. An answer that breaks is asked
// for again where that is safe.
func (c *Client) doJSON(ctx context.Context, r *request, into any) error {
	return c.withWhole(ctx, r, func(resp *http.Response) error {
		return decodeJSON(resp, func(dec *json.Decoder) error { return dec.Decode(into) })
	})
}

// doNothing sends a request whose answer holds nothing of interest.
func (c *Client) doNothing(ctx context.Context, r *request) error {
	resp, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	discard(resp)
	return nil
}

// withWhole sends a request and lets use read the answer. Where use fails with
// ErrUnavailable, because the answer broke off, it is sent again if it may be.
func (c *Client) withWhole(ctx context.Context, r *request, use func(*http.Response) error) error {
	var h hurry
	hurrying := ctx
	if c.retrier.max > 0 {
		hurrying = context.WithValue(ctx, hurryKey{}, &h)
	}
	for try := 0; ; try++ {
		resp, err := c.do(hurrying, r)
		if err != nil {
			return err
		}
		err = use(resp)
		resp.Body.Close()
		if err == nil || !errors.Is(err, ErrUnavailable) || !repeatable(resp.Request) || try >= c.retrier.max {
			return err
		}
		if errors.Is(err, ErrStalled) {
			h.stalls++
		}
		if sleep(ctx, backoff(try)) != nil {
			return err
		}
		c.retrier.retries.Add(1)
	}
}

// maxJSON bounds an answer: the largest real ones, the file lists of repository
// infos, stay far below.
const maxJSON = 256 << 20

// decodeJSON reads an answer to its end with decode.
func decodeJSON(resp *http.Response, decode func(*json.Decoder) error) error {
	if strings.Contains(resp.Header.Get("Content-Type"), "html") {
		return notJSON(resp.Request)
	}
	body := &trackedReader{r: io.LimitReader(resp.Body, maxJSON+1)}
	dec := json.NewDecoder(body)
	err := decode(dec)
	if err == nil {
		// Only the end shows that nothing is missing.
		_, err = dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = errors.New("there is more after its end")
		}
	}
	switch {
	case body.n > maxJSON:
		return protocolError(resp.Request, "the answer is larger than %d MiB", maxJSON>>20)
	case body.err != nil && !errors.Is(body.err, io.EOF):
		return requestError(resp.Request, body.err)
	case body.first == '<':
		return notJSON(resp.Request)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return requestError(resp.Request, io.ErrUnexpectedEOF)
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return protocolError(resp.Request, "the answer isn't the JSON expected: %v", err)
}

// notJSON is what a proxy, a login page or a mistyped endpoint answers.
func notJSON(req *http.Request) error {
	return protocolError(req, "the answer is a web page where JSON was expected: check the endpoint, and that no proxy or login page is in between")
}

// trackedReader remembers what a decoder hides: how much there was, how it
// ended, and how it began.
type trackedReader struct {
	r     io.Reader
	n     int64
	first byte
	err   error
}

func (t *trackedReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if t.n == 0 && n > 0 {
		if trimmed := bytes.TrimLeft(p[:n], " \t\r\n"); len(trimmed) > 0 {
			t.first = trimmed[0]
		}
	}
	t.n += int64(n)
	t.err = err
	return n, err
}

// protocolError is an answer to r that can't be right.
func (c *Client) protocolError(r *request, format string, args ...any) error {
	u, err := url.Parse(c.Endpoint() + r.path(r.repo))
	if err != nil {
		u = c.endpoint
	}
	return protocolError(&http.Request{Method: r.method, URL: u}, format, args...)
}
