package blobcache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// location is the address of a content, shared by all its fetches: resolved once,
// by one of them, and used until it expires. Guarded by core.mu.
type location struct {
	at        hub.Location
	known     bool
	resolving chan struct{} // not nil: somebody resolves, and closes it
	err       error         // of the last resolution
	errRepo   hub.Repo      // that it was tried with
}

// openRange opens a range of the content, at its address if that is known. stalls is
// how often it has stood still.
func (k *core) openRange(ctx context.Context, file File, s span, stalls int) (*hub.Content, error) {
	if k.c.offline {
		return nil, hub.ErrOffline
	}
	k.c.stats.requests.Add(1)
	r := hub.Range{Off: s.off, Len: s.len()}
	for try := 0; ; try++ {
		at, resolved, err := k.address(ctx, file)
		if err != nil {
			return nil, err
		}
		var body *hub.Content
		if resolved == nil {
			asked := time.Now()
			body, err = k.c.hub.OpenLocation(k.c.pace.with(ctx, stalls, 0), at, r)
			if err == nil {
				k.c.pace.answered(time.Since(asked))
			}
			// An address may also have become wrong: of a repository that is gone, or
			// that another reader could see.
			if errors.Is(err, hub.ErrLocationExpired) && try < 3 || try == 0 &&
				(errors.Is(err, hub.ErrNotFound) || errors.Is(err, hub.ErrForbidden) || errors.Is(err, hub.ErrUnauthorized)) {
				k.expire(at)
				continue
			}
		} else {
			// The Hub itself may take its time, and counts every request.
			body, err = k.c.hub.OpenFile(k.c.pace.with(ctx, stalls, maxPatience), file.ref(), r)
			resolved(body, err)
		}
		if err != nil {
			return nil, err
		}
		if err := k.checkContent(body, s); err != nil {
			body.Close()
			k.expire(body.Location)
			return nil, err
		}
		return body, nil
	}
}

// checkContent refuses an answer that is of something else.
func (k *core) checkContent(body *hub.Content, s span) error {
	switch {
	case body.Size >= 0 && body.Size != k.key.size:
		return fmt.Errorf("the server has %d bytes, the listing says %d: %w", body.Size, k.key.size, hub.ErrProtocol)
	case validHash(body.ETag) && len(body.ETag) == len(k.key.hash) && body.ETag != k.key.hash:
		return fmt.Errorf("the server has content %s, the listing says %s: %w", body.ETag, k.key.hash, hub.ErrProtocol)
	case body.Off != s.off || body.Len >= 0 && body.Len != s.len():
		return fmt.Errorf("the server sends %d bytes from %d, not %d from %d: %w",
			body.Len, body.Off, s.len(), s.off, hub.ErrProtocol)
	}
	return nil
}

// address gives the known address, or resolved, by which the caller has to tell
// the result of resolving it.
func (k *core) address(ctx context.Context, file File) (at hub.Location, resolved func(*hub.Content, error), err error) {
	waited := false
	for {
		k.mu.Lock()
		l := &k.location
		if !l.known && !waited {
			if v, ok := k.c.memory.Get(k.locationKey()); ok {
				l.at, l.known = v.(hub.Location), true
			}
		}
		switch {
		case l.known && !l.at.Expired(time.Now()):
			defer k.mu.Unlock()
			return l.at, nil, nil
		case l.resolving == nil && waited && l.err != nil && l.errRepo == file.Repo:
			defer k.mu.Unlock()
			return at, nil, l.err // it would fail again, at the cost of quota
		case l.resolving == nil:
			ch := make(chan struct{})
			l.resolving, l.err, l.known = ch, nil, false
			k.mu.Unlock()
			return at, func(body *hub.Content, err error) { k.resolved(ch, file, body, err) }, nil
		}
		ch := l.resolving
		k.mu.Unlock()
		select {
		case <-ch:
			waited = true
		case <-ctx.Done():
			return at, nil, ctx.Err()
		}
	}
}

func (k *core) resolved(ch chan struct{}, file File, body *hub.Content, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := &k.location
	l.resolving = nil
	if err == nil && body.Location.URL != "" {
		l.at, l.known, l.err = body.Location, true, nil
		ttl := 24 * time.Hour
		if !l.at.Expires.IsZero() {
			ttl = time.Until(l.at.Expires)
		}
		if ttl > 0 {
			k.c.memory.SetWithTTL(k.locationKey(), l.at, int64(len(l.at.URL)+300), ttl)
		}
	} else if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, hub.ErrStalled) {
		l.err, l.errRepo = err, file.Repo
	}
	close(ch)
}

// expire forgets an address, unless somebody has got a new one already.
func (k *core) expire(at hub.Location) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.location.known && k.location.at.URL == at.URL {
		k.location.known = false
		k.c.memory.Del(k.locationKey())
	}
}

func (k *core) locationKey() string { return "location " + k.key.hash }
