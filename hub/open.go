package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Content is an open part of a file. Read gives exactly Len bytes and then
// io.EOF, or an error: ErrUnavailable where the connection ends early or stands
// still for Config.ProgressTimeout. It isn't safe for concurrent use.
type Content struct {
	Off      int64 // of the first byte
	Len      int64 // bytes that Read gives: as asked for, less what the file lacks
	Size     int64 // of the whole file; -1 if unknown
	ETag     string
	Commit   string   // "" if unknown
	Location Location // for OpenLocation

	body io.ReadCloser
	req  *http.Request // as sent, for errors
	left int64         // of Len
	err  error         // what Read ended with, and goes on to give
}

// Read implements io.Reader.
func (c *Content) Read(p []byte) (int, error) {
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	n, err := c.body.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	switch {
	case c.left == 0:
		c.err = io.EOF // whatever comes behind isn't ours
	case err == io.EOF:
		c.err = requestError(c.req, io.ErrUnexpectedEOF)
	case err != nil:
		c.err = requestError(c.req, err)
	}
	return n, c.err
}

// Close gives the connection back. It is needed after an error, too.
func (c *Content) Close() error {
	if c.err == nil {
		c.err = errClosed
	}
	return c.body.Close()
}

var errClosed = errors.New("hub: the content is closed")

// OpenFile opens a part of a file: one request to the Hub, and where that
// redirects to storage elsewhere a second one there. The caller closes the
// Content, and resumes with OpenLocation where Read fails with ErrUnavailable.
//
//	GET /{prefix}{id}/resolve/{revision}/{path}
func (c *Client) OpenFile(ctx context.Context, f FileRef, r Range) (*Content, error) {
	if err := firstError(f.check(), r.check()); err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		content, err := c.openFile(ctx, &f, r)
		if !errors.Is(err, ErrLocationExpired) {
			return content, err
		}
		var e *Error
		if try == maxNewLocations && errors.As(err, &e) {
			e.kind = ErrUnavailable // for the caller, to resolve again doesn't help
			return nil, err
		}
		if try > 0 {
			if err := sleep(ctx, backoff(try-1)); err != nil {
				return nil, err
			}
		}
	}
}

// maxNewLocations is how often storage that refuses a new address is given another.
const maxNewLocations = 3

func (c *Client) openFile(ctx context.Context, f *FileRef, r Range) (*Content, error) {
	req := f.request(http.MethodGet)
	r.set(req.header)
	a, err := c.exchange(ctx, req)
	if r.maybeEmpty(err) {
		whole, err := c.openFile(ctx, f, Range{Len: -1})
		return whole.cut(r), err
	}
	if err != nil {
		return nil, err
	}
	m, err := a.metadata()
	if err == nil && (m.CommitHash == "" || m.ETag == "") {
		err = protocolError(a.resp.Request, "the answer lacks X-Repo-Commit or ETag: it isn't a Hub's")
	}
	if err != nil {
		a.resp.Body.Close()
		return nil, err
	}
	if a.elsewhere == nil {
		return newContent(a.resp, m.Location, r)
	}
	discard(a.resp)
	if r.Off == 0 && m.Size == 0 {
		return &Content{ETag: m.ETag, Commit: m.CommitHash, Location: m.Location, body: http.NoBody, err: io.EOF}, nil
	}
	return c.openLocation(ctx, m.Location, r)
}

// OpenLocation opens a part of a file whose Location is known: one request, and
// none to the Hub where the Location is elsewhere. ErrLocationExpired means to
// use OpenFile again.
func (c *Client) OpenLocation(ctx context.Context, l Location, r Range) (*Content, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	u, err := url.Parse(l.URL)
	if err != nil || u.Host == "" {
		return nil, &ValidationError{What: "location", Value: l.String(), Reason: "is no URL"}
	}
	if l.Expired(time.Now()) {
		return nil, &Error{Method: http.MethodGet, URL: redactURL(u), kind: ErrLocationExpired}
	}
	return c.openLocation(ctx, l, r)
}

func (c *Client) openLocation(ctx context.Context, l Location, r Range) (*Content, error) {
	u, err := url.Parse(l.URL)
	if err != nil {
		return nil, &ValidationError{What: "location", Value: l.String(), Reason: "is no URL"}
	}
	req := &request{method: http.MethodGet, header: identity()}
	r.set(req.header)
	for range maxHops {
		hop, err := newRequest(ctx, req, u.String())
		if err != nil {
			return nil, err
		}
		resp, err := c.roundTrip(hop)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 400 {
			e := responseError(resp)
			if !c.ours(u) && refusedSignature(e.Status) {
				e.kind = ErrLocationExpired
			}
			if r.maybeEmpty(e) {
				whole, err := c.openLocation(ctx, l, Range{Len: -1})
				return whole.cut(r), err
			}
			return nil, e
		}
		next, err := redirectTarget(resp)
		if err != nil {
			resp.Body.Close()
			return nil, err
		}
		if next == nil {
			return newContent(resp, l, r)
		}
		discard(resp)
		u = next
	}
	return nil, &Error{Method: http.MethodGet, URL: redactURL(u), Message: fmt.Sprintf("more than %d redirects", maxHops), kind: ErrProtocol}
}

// refusedSignature says whether storage refused an address for what it is: each
// vendor has its own status for one that has expired, and a missing object may
// have moved.
func refusedSignature(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return true
	}
	return false
}

// maybeEmpty says whether err may come of a file without content, no range of
// which exists, and not even its start. Asked for as a whole, it is shown.
func (r Range) maybeEmpty(err error) bool {
	return r.Off == 0 && !r.whole() && errors.Is(err, ErrRangeNotSatisfiable)
}

// cut makes of a whole content the range at its start.
func (c *Content) cut(r Range) *Content {
	if c != nil && c.Len > r.Len {
		c.Len, c.left = r.Len, r.Len
	}
	return c
}

// newContent checks an answer against the range that was asked for.
func newContent(resp *http.Response, l Location, r Range) (*Content, error) {
	c := &Content{Off: r.Off, Size: l.Size, ETag: l.ETag, Commit: l.Commit, body: resp.Body, req: resp.Request}
	if err := c.fill(resp, l, r); err != nil {
		resp.Body.Close()
		return nil, err
	}
	c.left = c.Len
	if l.URL = resp.Request.URL.String(); !expiry(resp.Request.URL).IsZero() {
		l.Expires = expiry(resp.Request.URL)
	}
	l.Size = c.Size
	l.Tag = resp.Header.Get("ETag")
	c.Location = l
	if c.Len == 0 {
		c.err = io.EOF
	}
	return c, nil
}

func (c *Content) fill(resp *http.Response, l Location, r Range) error {
	h := resp.Header
	if enc := h.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return protocolError(resp.Request, "the content is encoded as %q, although that was declined", enc)
	}
	if tag := h.Get("ETag"); l.Tag != "" && tag != "" && tag != l.Tag {
		return &Error{Method: resp.Request.Method, URL: redactURL(resp.Request.URL), Message: "other content is there now", kind: ErrLocationExpired}
	}
	size := l.Size // of the file, as this answer has it
	switch {
	case resp.StatusCode == http.StatusPartialContent && !r.whole():
		first, last, total, err := parseContentRange(h.Get("Content-Range"))
		if err != nil {
			return protocolError(resp.Request, "%v", err)
		}
		if total >= 0 {
			size = total
		}
		end := last // where neither the range nor the file sets an end
		if r.Len >= 0 {
			end = r.Off + r.Len - 1
		}
		if size >= 0 && (r.Len < 0 || end >= size) {
			end = size - 1
		}
		if first != r.Off || last > end || last < end && size >= 0 {
			return protocolError(resp.Request, "bytes %d-%d of %d came, asked for %s", first, last, size, r)
		}
		c.Len = last - first + 1
		if resp.ContentLength >= 0 && resp.ContentLength != c.Len {
			return protocolError(resp.Request, "%d bytes come, Content-Range announces %d", resp.ContentLength, c.Len)
		}
	case resp.StatusCode == http.StatusOK && r.Off == 0:
		// All of it, from the start: the range is its beginning.
		if resp.ContentLength >= 0 {
			size = resp.ContentLength
		}
		if size < 0 {
			return protocolError(resp.Request, "the answer doesn't say how long it is")
		}
		c.Len = size
		if r.Len >= 0 {
			c.Len = min(r.Len, size)
		}
	case resp.StatusCode == http.StatusOK && 0 <= resp.ContentLength && resp.ContentLength <= r.Off:
		// Some servers ignore a range of an empty file.
		return &Error{
			Method: resp.Request.Method, URL: redactURL(resp.Request.URL), Status: resp.StatusCode,
			Message: fmt.Sprintf("asked for %s, the file has %d bytes", r, resp.ContentLength), kind: ErrRangeNotSatisfiable,
		}
	case resp.StatusCode == http.StatusOK:
		return protocolError(resp.Request, "the server ignores ranges")
	default:
		return protocolError(resp.Request, "status %d for content", resp.StatusCode)
	}
	if l.Size >= 0 && size != l.Size {
		return protocolError(resp.Request, "the file has %d bytes, %d were announced", size, l.Size)
	}
	c.Size = size
	return nil
}

// check refuses a range that can't be asked for.
func (r Range) check() error {
	if r.Off < 0 || r.Len == 0 || r.Len > 0 && r.Off+r.Len < 0 {
		return &ValidationError{What: "range", Value: r.String(), Reason: "is empty or negative"}
	}
	return nil
}

// whole says whether the range is the whole file, for which no Range is sent.
func (r Range) whole() bool { return r.Off == 0 && r.Len < 0 }

// String is the range as in a Range header.
func (r Range) String() string {
	if r.Len < 0 {
		return fmt.Sprintf("bytes=%d-", r.Off)
	}
	return fmt.Sprintf("bytes=%d-%d", r.Off, r.Off+r.Len-1)
}

func (r Range) set(h http.Header) {
	if !r.whole() {
		h.Set("Range", r.String())
	}
}

// parseContentRange reads "bytes first-last/total"; total is -1 for "*".
func parseContentRange(s string) (first, last, total int64, err error) {
	bad := func() (int64, int64, int64, error) {
		return 0, 0, 0, fmt.Errorf("the Content-Range %q can't be right", s)
	}
	rest, ok := strings.CutPrefix(s, "bytes ")
	if !ok {
		return bad()
	}
	span, of, ok := strings.Cut(rest, "/")
	if !ok {
		return bad()
	}
	from, to, ok := strings.Cut(span, "-")
	if !ok {
		return bad()
	}
	if first, err = parseSize(from); err != nil {
		return bad()
	}
	if last, err = parseSize(to); err != nil || last < first {
		return bad()
	}
	if of == "*" {
		return first, last, -1, nil
	}
	if total, err = parseSize(of); err != nil || last >= total {
		return bad()
	}
	return first, last, total, nil
}

// parseSize reads a number of bytes: digits and nothing else.
func parseSize(s string) (int64, error) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseInt(s, 10, 63)
	return n, err
}
