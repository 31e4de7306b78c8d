package fs

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// A small file costs a request, and ten thousand of them more than the quota allows.
// The Hub can send any number of regular files as one pack, but nobody tells which
// will be read.
//
// So who reads one small file gets one. The second that isn't here brings those
// along that a walk would come to next, and each pack after that is larger, as
// long as what was brought for nothing stays within a few times of what has been
// read. One file after another, in the order of the listings, costs a handful of
// packs; a random choice of a few doesn't fetch the rest.

const (
	firstPack  = 16 // files
	packGrowth = 4  // times the pack before
	maxPack    = 4096
	packBytes  = 16 << 20 // of one pack

	// What was brought and nobody has opened yet is at most freeBytes, or packRisk
	// times what has been opened.
	freeBytes = 1 << 20
	packRisk  = 8
	// maxUnread bounds what is remembered of what nobody has opened.
	maxUnread = 1 << 16

	pauseAfterPack    = 5 * time.Second  // that failed
	pauseWithoutPacks = 10 * time.Minute // that the server wouldn't make
)

// packs is the account of one snapshot.
type packs struct {
	mu     sync.Mutex // guards what follows
	missed bool       // a small file was read that wasn't here
	window int        // files of the last pack
	opened int64      // bytes of small files that were opened
	unread map[blobcache.OID]struct{}
	unused int64         // bytes of those
	begun  chan struct{} // closed when the pack that is being prepared has begun; nil if there is none
	pause  time.Time     // no packs before
}

// packable says whether the file can come with a pack.
func packable(e *blobcache.Entry) bool {
	return !e.Dir && e.Size > 0 && e.Size <= blobcache.PackFile && e.SHA256 == [32]byte{}
}

// note counts a file that was opened, and tells whether a pack brings it.
func (p *packs) note(e *blobcache.Entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened += e.Size
	return p.claim(e)
}

// claim takes a file off those that a pack brings for nothing. Requires mu.
func (p *packs) claim(e *blobcache.Entry) bool {
	_, ok := p.unread[e.OID]
	if ok {
		delete(p.unread, e.OID)
		p.unused -= e.Size
	}
	return ok
}

// miss decides what is to be done for a file that isn't here: wait until wait is
// closed and look again; or, with files, begin a pack of about so many files and
// bytes, and call began; or, with neither, nothing.
func (p *packs) miss(now time.Time) (wait <-chan struct{}, files int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.begun != nil:
		return p.begun, 0, 0
	case !p.missed:
		p.missed = true
		return nil, 0, 0
	case now.Before(p.pause):
		return nil, 0, 0
	}
	files = min(max(p.window*packGrowth, firstPack), maxPack)
	bytes = min(max(freeBytes, packRisk*p.opened)-p.unused, packBytes)
	if bytes <= 0 {
		return nil, 0, 0
	}
	p.begun = make(chan struct{})
	return p.begun, files, bytes
}

// began ends the preparation of a pack of these files.
func (p *packs) began(files []packEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(files) > 0 {
		p.window = len(files)
	}
	if p.unread == nil || len(p.unread) > maxUnread {
		p.unread, p.unused = make(map[blobcache.OID]struct{}), 0
	}
	for i := range files {
		if _, twice := p.unread[files[i].oid]; !twice {
			p.unread[files[i].oid] = struct{}{}
			p.unused += files[i].Size
		}
	}
	close(p.begun)
	p.begun = nil
}

func (p *packs) hold(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause = time.Now().Add(d)
}

// packEntry is a file that a pack may bring.
type packEntry struct {
	blobcache.File
	oid blobcache.OID
}

// bringAlong is called before the first read of a small file. If the file isn't
// here, a pack may bring it, with others; whoever reads one of them waits for it.
func (f *fileNode) bringAlong(ctx context.Context, b *blobcache.Blob) {
	t := f.t
	s := t.snap.Load()
	if t.repo.m.opts.Offline || s == nil || b.Locate(ctx) != nil {
		return
	}
	for b.Cached() < b.Size() {
		wait, files, bytes := s.packs.miss(time.Now())
		if wait == nil {
			return
		}
		if files > 0 && !t.repo.m.spawn(func() { t.fetchPack(s, f.path(), files, bytes) }) {
			s.packs.began(nil)
			return
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return
		}
		if s.packs.brings(&f.entry) || files > 0 {
			return
		}
	}
}

// brings says whether a pack that has begun brings a file that was opened before.
func (p *packs) brings(e *blobcache.Entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.claim(e)
}

// fetchPack brings the file at p and those after it.
func (t *tree) fetchPack(s *snapshot, p string, files int, bytes int64) {
	m := t.repo.m
	var found []packEntry
	for e := range t.following(s, p) {
		if len(found) == files || bytes < e.Size {
			break
		}
		bytes -= e.Size
		found = append(found, e)
	}
	if len(found) < 2 {
		s.packs.began(nil)
		return
	}
	want := make([]blobcache.File, len(found))
	for i := range found {
		want[i] = found[i].File
	}
	err := m.cache.FetchPack(m.ctx, t.repo.id, want, func(int) { s.packs.began(found) })
	switch {
	case err == nil, m.ctx.Err() != nil:
	case errors.Is(err, hub.ErrUnavailable), errors.Is(err, hub.ErrRateLimited):
		s.packs.hold(pauseAfterPack)
	default:
		s.packs.hold(pauseWithoutPacks)
		m.log.Info("small files come one by one", "repo", t.repo.id.String(), "reason", err)
	}
}

// following gives the file at p and the small files that a walk comes to after it,
// as far as the listings are here; then those before it in its folder.
func (t *tree) following(s *snapshot, p string) iter.Seq[packEntry] {
	return func(yield func(packEntry) bool) {
		first, name := splitPath(p)
		if !t.walkSmall(s, first, func(e string) bool { return e >= name }, true, yield) {
			return
		}
		for dir := first; dir != ""; {
			var base string
			dir, base = splitPath(dir)
			if !t.walkSmall(s, dir, func(e string) bool { return e > base }, true, yield) {
				return
			}
		}
		t.walkSmall(s, first, func(e string) bool { return e < name }, false, yield)
	}
}

// walkSmall gives the small files of a folder whose names are taken, and of the
// folders below it if deep. It returns false when yield does.
func (t *tree) walkSmall(s *snapshot, dir string, take func(name string) bool, deep bool, yield func(packEntry) bool) bool {
	l := t.repo.m.cachedFolder(t.repo, s.commit, dir)
	if l == nil {
		return true
	}
	for i := range l.Entries {
		e := &l.Entries[i]
		if !take(e.Name) {
			continue
		}
		at := joinPath(dir, e.Name)
		switch {
		case e.Dir && deep:
			if !t.walkSmall(s, at, func(string) bool { return true }, true, yield) {
				return false
			}
		case packable(e):
			f := packEntry{blobcache.File{
				Repo: t.repo.id, Revision: t.revision(), Commit: s.commit, Path: strings.Clone(at), Hash: e.Hash(), Size: e.Size,
			}, e.OID}
			if !yield(f) {
				return false
			}
		}
	}
	return true
}
