package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// send transfers the content of an addition as the plan says.
func (u *uploader) send(ctx context.Context, a addition, plan *lfsUpload) error {
	var err error
	if plan.multipart != nil {
		err = u.sendParts(ctx, a, plan.multipart)
	} else {
		_, err = u.put(ctx, a, plan.put, 0, a.Content.Size)
	}
	if err != nil || plan.verify == "" {
		return err
	}
	r, err := (&request{method: http.MethodPost}).withJSON(lfsObject{a.Content.SHA256, a.Content.Size})
	if err != nil {
		return err
	}
	_, err = u.c.doAt(ctx, r, plan.verify)
	return err
}

// sendParts uploads the parts that aren't stored yet, several at a time, and has
// them put together.
func (u *uploader) sendParts(ctx context.Context, a addition, fresh *MultipartState) error {
	m := u.resume(a, fresh)
	u.mu.Lock()
	done := maps.Clone(m.ETags)
	u.mu.Unlock()

	// After a failure no part is begun, but those under way may finish: what they
	// store isn't sent again.
	var g errgroup.Group
	var failed atomic.Bool
	g.SetLimit(cap(u.slots))
	for i, address := range m.Parts {
		n, off := i+1, int64(i)*m.ChunkSize
		size := min(m.ChunkSize, m.Size-off)
		if done[n] != "" {
			u.tracker.move(a.path, size)
			continue
		}
		g.Go(func() error {
			if failed.Load() {
				return nil
			}
			err := u.sendPart(ctx, a, m, n, address, off, size)
			if err != nil {
				failed.Store(true)
				return fmt.Errorf("part %d of %d: %w", n, len(m.Parts), err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		u.tracker.restart(a.path)
		return err
	}
	err := u.complete(ctx, m)
	if err != nil {
		u.tracker.restart(a.path)
	}
	return err
}

// sendPart uploads part n of an object.
func (u *uploader) sendPart(ctx context.Context, a addition, m *MultipartState, n int, address string, off, size int64) error {
	h, err := u.put(ctx, a, address, off, size)
	if err != nil {
		return err
	}
	etag := h.Get("ETag")
	if etag == "" {
		return &Error{Method: http.MethodPut, URL: redactString(address), Message: "the answer to an uploaded part has no ETag", kind: ErrProtocol}
	}
	u.update(a, func(*AddState) { m.ETags[n] = etag })
	return nil
}

// resume is the state to go on from. Parts of an earlier upload count if the
// server goes on with that one; if it began another, the earlier one's addresses
// are tried, as long as they last.
func (u *uploader) resume(a addition, fresh *MultipartState) *MultipartState {
	m := fresh
	if old := a.State.Multipart; old.valid(fresh.SHA256, fresh.Size) && len(old.ETags) > 0 {
		switch {
		case !sameUpload(old.Complete, fresh.Complete):
			m = old
		case old.ChunkSize == fresh.ChunkSize:
			m.ETags = old.ETags
		}
	}
	u.update(a, func(s *AddState) { s.Multipart = m })
	return m
}

// complete has the parts put together.
func (u *uploader) complete(ctx context.Context, m *MultipartState) error {
	type part struct {
		Number int    `json:"partNumber"`
		ETag   string `json:"etag"`
	}
	in := struct {
		OID   string `json:"oid"`
		Parts []part `json:"parts"`
	}{OID: m.SHA256}
	for n := 1; n <= len(m.Parts); n++ {
		in.Parts = append(in.Parts, part{n, m.ETags[n]})
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	// It isn't marked as repeatable: the second of two may fail because the first
	// went through, which only asking for the object again can tell.
	_, err = u.c.doAt(ctx, &request{
		method: http.MethodPost, body: body, anonymous: true,
		header: http.Header{"Accept": {lfsMediaType}, "Content-Type": {lfsMediaType}},
	}, m.Complete)
	return err
}

// put uploads a part of the content, or all of it, and gives the headers of the answer.
func (u *uploader) put(ctx context.Context, a addition, address string, off, size int64) (http.Header, error) {
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	part := &uploadPart{tracker: u.tracker, path: a.path, content: &a.Content, off: off, size: size}
	h, err := u.c.doAt(ctx, &request{
		method: http.MethodPut, anonymous: true,
		stream: &stream{size: size, open: part.open},
	}, address)
	if err != nil {
		part.rewind()
		if local := part.failure(); local != nil {
			return nil, local // the transport only says that it had to stop
		}
		return nil, err
	}
	return h, nil
}

// doAt sends a request to an address that the server gave, wherever that is, and
// follows redirects that keep method and body. Of the answer only the headers count.
func (c *Client) doAt(ctx context.Context, r *request, address string) (http.Header, error) {
	for range maxHops {
		req, err := newRequest(ctx, r, address)
		if err != nil {
			return nil, err
		}
		if req.URL.Scheme != "http" && req.URL.Scheme != "https" || req.URL.Host == "" || req.URL.User != nil {
			return nil, protocolError(req, "an address for an upload that is no http or https URL")
		}
		resp, err := c.roundTrip(req) //nolint:bodyclose // discard and responseError do
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 400 {
			return nil, responseError(resp)
		}
		to, err := redirectTarget(resp)
		discard(resp)
		if err != nil {
			return nil, err
		}
		if to == nil {
			return resp.Header, nil
		}
		if resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect {
			return nil, protocolError(req, "an upload is redirected with status %d", resp.StatusCode)
		}
		address = to.String()
	}
	return nil, &Error{Method: r.method, URL: redactString(address), Message: fmt.Sprintf("more than %d redirects", maxHops), kind: ErrProtocol}
}

// redactString is redactURL for an address as text.
func redactString(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that is no URL"
	}
	return redactURL(u)
}

// An uploadPart is a range of content that is sent, again after a failure.
type uploadPart struct {
	tracker   *tracker
	path      string
	content   *ContentSource
	off, size int64

	mu      sync.Mutex  // guards the rest
	current *partReader // the latest attempt; earlier ones may still be at their last Read
	given   int64       // bytes that it has given out
	err     error       // of the content
}

// open begins an attempt. The content is opened at the first Read: a request may
// be refused before that.
func (p *uploadPart) open() (io.ReadCloser, error) {
	p.rewind()
	r := &partReader{part: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = r
	return r, nil
}

// rewind takes the progress of the last attempt back.
func (p *uploadPart) rewind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tracker.move(p.path, -p.given)
	p.given, p.current = 0, nil
}

func (p *uploadPart) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// A bodyError is content that can't be sent: trying again doesn't help.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// partReader is one attempt. Close may come while a Read is under way.
type partReader struct {
	part *uploadPart

	mu     sync.Mutex // guards the rest; held over reads of the content
	file   ContentReader
	done   int64
	closed bool
}

func (r *partReader) Read(buf []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.part
	if r.closed {
		return 0, errors.New("hub: the body of the upload was closed")
	}
	if r.done == p.size {
		return 0, io.EOF
	}
	n, err := r.read(buf)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.err = err
		return 0, &bodyError{err}
	}
	if p.current == r {
		p.given += int64(n)
		p.tracker.move(p.path, int64(n))
	}
	return n, nil
}

// read requires r.mu.
func (r *partReader) read(buf []byte) (int, error) {
	p := r.part
	if r.file == nil {
		file, err := p.content.Open()
		if err != nil {
			return 0, err
		}
		r.file = file
	}
	buf = buf[:min(int64(len(buf)), p.size-r.done)]
	n, err := r.file.ReadAt(buf, p.off+r.done)
	if n < len(buf) {
		return 0, shortContent(err)
	}
	r.done += int64(n)
	return n, nil
}

func (r *partReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
