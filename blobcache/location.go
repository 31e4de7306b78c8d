package blobcache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// maxAddresses is how many addresses may be refused one after the other, before the
// next refusal is an error.
const maxAddresses = 3

// maxOnce is how often a range may fail before the client does all that it can for it.
const maxOnce = 3

// location is the address of a content, shared by all its fetches: resolved once,
// by one of them, and used until it expires. Guarded by core.mu.
type location struct {
	at        hub.Location
	known     bool
	gen       int           // of at; the first is 1
	resolving chan struct{} // not nil: somebody resolves, and closes it
	err       error         // of the last resolution
	errRepo   hub.Repo      // that it was tried with
}

// openRange opens a range of the content, at its address if that is known. setbacks is
// how often it has failed, and doublings how much patience it has by now. The first times, storage is asked just once, and what it answers is for the caller to deal with:
// again tells so. Then the client does all that it can.
func (k *core) openRange(ctx context.Context, file File, s span, setbacks, doublings int) (body *hub.Content, again bool, err error) {
	if k.c.offline {
		return nil, false, hub.ErrOffline
	}
	k.c.stats.requests.Add(1)
	r := hub.Range{Off: s.off, Len: s.len()}
	for refused, after := 0, 0; ; {
		at, gen, resolved, err := k.address(ctx, file, after)
		if err != nil {
			return nil, false, err
		}
		known := resolved == nil
		if !known && len(k.key.hash) == 64 {
			// It is elsewhere: one request to learn where, and others for all that comes from there.
			at, err = k.lookUp(ctx, file)
			if gen = resolved(at, err); err != nil {
				return nil, false, err
			}
			at.Expires = time.Time{} // now it is good, however briefly
			resolved = nil
		}
		asked := time.Now()
		if resolved == nil {
			once := k.c.pace.with(ctx, doublings)
			if setbacks < maxOnce {
				once = hub.WithOneTry(once)
			}
			body, err = k.c.hub.OpenLocation(once, at, r)
			again = setbacks < maxOnce || doublings < maxDoublings && errors.Is(err, hub.ErrStalled)
			if err == nil {
				k.c.pace.answered(time.Since(asked), doublings)
				k.settled(gen, body.Location)
			}
			// An address may also have become wrong: of a repository that is gone, or
			// that another reader could see.
			if errors.Is(err, hub.ErrLocationExpired) && refused < maxAddresses || known && refused == 0 &&
				(errors.Is(err, hub.ErrNotFound) || errors.Is(err, hub.ErrForbidden) || errors.Is(err, hub.ErrUnauthorized)) {
				refused, after = refused+1, gen
				k.c.memory.Del(k.locationKey())
				continue
			}
		} else {
			body, err = k.c.hub.OpenFile(k.c.hubPace.with(ctx, doublings), file.ref(), r)
			if err == nil {
				k.c.hubPace.answered(time.Since(asked), doublings)
				at = body.Location
			}
			resolved(at, err)
			again = doublings < maxDoublings && errors.Is(err, hub.ErrStalled)
		}
		if err != nil {
			return nil, again, err
		}
		if err := k.checkContent(body, s); err != nil {
			body.Close()
			k.expire(body.Location)
			return nil, false, err
		}
		return body, false, nil
	}
}

// lookUp asks the Hub for the address. All ranges wait for the answer, so one that
// takes unusually long is asked for again.
func (k *core) lookUp(ctx context.Context, file File) (hub.Location, error) {
	for doublings := 0; ; doublings += anyStall {
		asked := time.Now()
		m, err := k.c.hub.FileMetadata(k.c.hubPace.with(ctx, doublings), file.ref())
		switch {
		case err == nil && m.Location.URL == "":
			return hub.Location{}, fmt.Errorf("the answer has no address: %w", hub.ErrProtocol)
		case err == nil:
			k.c.hubPace.answered(time.Since(asked), doublings)
			return m.Location, nil
		case !errors.Is(err, hub.ErrStalled) || doublings >= maxDoublings:
			return hub.Location{}, err
		}
		k.c.stats.retries.Add(1)
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
// the result of resolving it. A caller to whom storage has refused an address gets one of
// a generation after that; all others go on with the old one meanwhile.
func (k *core) address(ctx context.Context, file File, after int) (at hub.Location, gen int, resolved func(hub.Location, error) int, err error) {
	waited := false
	for {
		k.mu.Lock()
		l := &k.location
		if !l.known && !waited {
			if v, ok := k.c.memory.Get(k.locationKey()); ok {
				l.at, l.known = v.(hub.Location), true
				l.gen++
			}
		}
		switch {
		case l.known && l.gen > after && !l.at.Expired(time.Now()):
			defer k.mu.Unlock()
			return l.at, l.gen, nil, nil
		case l.resolving == nil && waited && l.err != nil && l.errRepo == file.Repo:
			defer k.mu.Unlock()
			return at, 0, nil, l.err // it would fail again, at the cost of quota
		case l.resolving == nil:
			ch := make(chan struct{})
			l.resolving, l.err = ch, nil
			k.mu.Unlock()
			return at, 0, func(at hub.Location, err error) int { return k.resolved(ch, file, at, err) }, nil
		}
		ch := l.resolving
		k.mu.Unlock()
		select {
		case <-ch:
			waited = true
		case <-ctx.Done():
			return at, 0, nil, ctx.Err()
		}
	}
}

// resolved tells all who wait, and gives the generation.
func (k *core) resolved(ch chan struct{}, file File, at hub.Location, err error) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := &k.location
	l.resolving = nil
	if err == nil && at.URL != "" {
		l.at, l.known, l.err = at, true, nil
		l.gen++
		k.keepLocation()
	} else if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, hub.ErrStalled) {
		l.err, l.errRepo = err, file.Repo
	}
	close(ch)
	return l.gen
}

// settled takes what an answer told about the address of a generation.
func (k *core) settled(gen int, now hub.Location) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := &k.location
	if now.Expires.IsZero() {
		now.Expires = l.at.Expires
	}
	if l.known && l.gen == gen && l.at != now {
		l.at = now
		k.keepLocation()
	}
}

// keepLocation lets those who open the content later use its address. Needs mu.
func (k *core) keepLocation() {
	at, ttl := k.location.at, 24*time.Hour
	if !at.Expires.IsZero() {
		ttl = time.Until(at.Expires)
	}
	if ttl > 0 {
		k.c.memory.SetWithTTL(k.locationKey(), at, int64(len(at.URL)+300), ttl)
	}
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
