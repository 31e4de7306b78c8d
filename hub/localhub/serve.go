package localhub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// call is one request to the API.
type call struct {
	caller
	h    *Hub
	w    http.ResponseWriter
	r    *http.Request
	segs []string // of the raw path behind what the route has matched
	repo *repo    // of routes below a repository
}

type handler func(*call) error

// methods are the handlers of a route. HEAD is answered as GET without a body.
type methods map[string]handler

func (h *Hub) serveAPI(w http.ResponseWriter, r *http.Request) {
	c := &call{h: h, w: w, r: r}
	head := w.Header()
	head.Set("Access-Control-Expose-Headers", "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-Etag")
	head.Set("Vary", "Authorization")
	var err error
	if c.user, c.token, err = h.authenticate(r); err == nil {
		err = c.route()
	}
	if err != nil {
		c.refuse(r.Context(), err)
	}
}

// requestID names a request in answers: by the name that the client gave it.
func requestID(r *http.Request) string {
	for _, name := range []string{"X-Request-Id", "X-Amzn-Trace-Id"} {
		if id := r.Header.Get(name); id != "" {
			return oneLine(id)
		}
	}
	return newID(16)
}

// do runs the handler of the request's method.
func (c *call) do(m methods) error {
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if fn := m[method]; fn != nil {
		return fn(c)
	}
	var allow []string
	for name := range m {
		if allow = append(allow, name); name == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	e := fail(http.StatusMethodNotAllowed, "%s isn't allowed here, but %s", oneLine(c.r.Method), strings.Join(allow, ", "))
	e.header = http.Header{"Allow": {strings.Join(allow, ", ")}}
	return e
}

// refuse answers with an error.
func (c *call) refuse(ctx context.Context, err error) {
	var e *Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, io.ErrUnexpectedEOF):
		e = badRequest("The body ends too early")
	case errors.Is(err, syscall.ENOSPC):
		e = &Error{Status: http.StatusInsufficientStorage, Code: "InsufficientStorage", Message: "The Hub's disk is full"}
	default:
		e = &Error{Status: http.StatusInternalServerError, Code: "InternalServerError", Message: "Internal error of the Hub"}
		if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			c.h.log.ErrorContext(ctx, "request failed", "method", c.r.Method, "path", c.r.URL.EscapedPath(), "error", err)
		}
	}
	// A client that still sends its body would not read the answer if the
	// connection were closed on it.
	if c.r.ContentLength != 0 && ctx.Err() == nil {
		_, _ = io.CopyN(io.Discard, c.r.Body, maxDrain)
	}
	if e.Status == http.StatusUnauthorized && (strings.HasSuffix(c.r.URL.Path, "/info/refs") || strings.HasSuffix(c.r.URL.Path, "/"+gitUploadPack)) {
		// git knows no other way to be asked for a token.
		c.w.Header().Add("WWW-Authenticate", `Basic realm="user name and token"`)
	}
	writeError(c.w, e)
}

// maxDrain is how much of a body is read for the sake of the answer.
const maxDrain = 64 << 20

// writeError sends an error as the Hub does: in headers, for HEAD has no body,
// and as a JSON object.
func writeError(w http.ResponseWriter, e *Error) {
	head := w.Header()
	for k, v := range e.header {
		head[k] = v
	}
	head.Set("X-Error-Code", e.Code)
	head.Set("X-Error-Message", oneLine(e.Message))
	if e.Status == http.StatusUnauthorized {
		head.Add("WWW-Authenticate", `Bearer realm="Authentication required"`)
	}
	body := map[string]any{"error": e.Message}
	for k, v := range e.Fields {
		body[k] = v
	}
	writeJSON(w, e.Status, "application/json; charset=utf-8", body)
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		status = http.StatusInternalServerError
		buf.Reset()
		buf.WriteString(`{"error":"Internal error of the Hub"}`)
	}
	head := w.Header()
	head.Set("Content-Type", contentType)
	head.Set("Content-Length", strconv.Itoa(buf.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // the client may be gone: nobody is left to tell
}

// json answers with a value.
func (c *call) json(v any) error {
	writeJSON(c.w, http.StatusOK, "application/json; charset=utf-8", v)
	return nil
}

// ok answers with nothing but success.
func (c *call) ok() error {
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.w.Header().Set("Content-Length", "2")
	c.w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(c.w, "OK")
	return nil
}

// query returns the query, whose keys must be among those that are known.
func (c *call) query(known ...string) (url.Values, error) {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("The query isn't well formed: %v", err)
	}
	for k := range q {
		if !slices.Contains(known, k) {
			return nil, badRequest("Unknown query parameter %q", k)
		}
	}
	return q, nil
}

// flag reads a boolean of a query, in any spelling that clients use.
func flag(q url.Values, key string) (bool, error) {
	if !q.Has(key) {
		return false, nil
	}
	b, ok := parseFlag(q.Get(key))
	if !ok {
		return false, badRequest("%q must be true or false", key)
	}
	return b, nil
}

func parseFlag(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

// number reads a whole number of a query within bounds.
func number(q url.Values, key string, def, low, high int) (int, error) {
	if !q.Has(key) {
		return def, nil
	}
	n, err := strconv.Atoi(q.Get(key))
	if err != nil || n < low || n > high {
		return 0, badRequest("%q must be a number from %d to %d", key, low, high)
	}
	return n, nil
}

// maxJSON is the largest body that is read into memory at once.
const maxJSON = 32 << 20

// body reads a JSON body, whose keys must all be known.
func (c *call) body(v any) error {
	d := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, maxJSON))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return bodyError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequest("There is more in the body than one JSON value")
	}
	return nil
}

func bodyError(err error) error {
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return fail(http.StatusRequestEntityTooLarge, "The body is larger than %d bytes", big.Limit)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return badRequest("The body ends too early")
	}
	return badRequest("The body isn't what it should be: %s", oneLine(strings.TrimPrefix(err.Error(), "json: ")))
}

// base is the URL of the Hub as the client addresses it, also behind a proxy.
func (c *call) base() string {
	scheme, host := "http", c.r.Host
	if c.r.TLS != nil {
		scheme = "https"
	}
	first := func(name string) string {
		v, _, _ := strings.Cut(c.r.Header.Get(name), ",")
		return strings.TrimSpace(v)
	}
	if p := first("X-Forwarded-Proto"); p == "http" || p == "https" {
		scheme = p
	}
	if f := first("X-Forwarded-Host"); f != "" {
		host = f
	}
	return scheme + "://" + host
}

// next announces the next page: this request's URL with other parameters.
func (c *call) next(set url.Values) {
	q := c.r.URL.Query()
	for k, v := range set {
		q[k] = v
	}
	c.w.Header().Set("Link", "<"+c.base()+c.r.URL.EscapedPath()+"?"+q.Encode()+`>; rel="next"`)
}

// date is a time as the Hub writes it.
func date(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
