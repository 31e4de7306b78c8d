package fs

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// A listing of a folder costs a request, and one more for each thousand entries.
// That is cheap for who opens a file, and dear for who walks through ten thousand
// folders of ten files. The Hub can list all that is below a folder in pages of a
// thousand, which is cheap for who walks, and dear for who doesn't.
//
// So each snapshot counts what was asked for below each folder. Once some of its
// folders have been, and what they had says that to list all of it at once costs
// no more than a few times of what has been spent already, and much less than to go
// on one by one, it is listed at once. If it turns out to be larger than it looked,
// it is given up, and not tried again.

const (
	walkFolders = 8    // so many folders of one folder look like a walk
	walkRisk    = 4    // times what has been spent that may be spent on a guess
	walkGain    = 4    // times that going on one by one must cost
	pageEntries = 1000 // in an answer of the Hub
)

// walks is the account of one snapshot.
type walks struct {
	mu    sync.Mutex // guards what follows
	below map[string]*walk
}

// walk is what was asked for below one folder.
type walk struct {
	folders  int // of the folder itself
	requests int // for those, and for all that is below them
	entries  int // that came
	tried    bool
	last     string // the folder that was asked for last
	run      int    // of how many in order it is the last
}

// note enters the listing of the folder at p.
func (w *walks) note(p string, entries int) {
	if p == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for direct := true; p != ""; direct = false {
		p, _ = splitPath(p)
		b := w.belowLocked(p)
		if direct {
			b.folders++
		}
		b.requests += max(1, (entries+pageEntries-1)/pageEntries)
		b.entries += entries
	}
}

func (w *walks) belowLocked(p string) *walk {
	if w.below == nil {
		w.below = make(map[string]*walk)
	}
	b := w.below[p]
	if b == nil {
		b = new(walk)
		w.below[p] = b
	}
	return b
}

// promising gives the highest folder above p of which everything should be listed
// at once, and about how many requests that takes. folders tells how many folders
// a folder has, 0 if that isn't known.
func (w *walks) promising(p string, folders func(p string) int) (top string, requests int, ok bool) {
	for i := range len(p) {
		if i > 0 && p[i] != '/' {
			continue
		}
		top := p[:i]
		w.mu.Lock()
		b := w.below[top]
		worth := b != nil && !b.tried && b.folders >= walkFolders
		w.mu.Unlock()
		if !worth {
			continue
		}
		n := folders(top)
		w.mu.Lock()
		requests, ok := b.estimate(n)
		w.mu.Unlock()
		if ok {
			return top, requests, true
		}
	}
	return "", 0, false
}

func (b *walk) estimate(folders int) (requests int, worth bool) {
	requests = folders*(b.entries/b.folders+1)/pageEntries + 1
	onward := (folders - b.folders) * b.requests / b.folders
	return requests, requests <= walkRisk*b.requests && walkGain*requests < onward
}

// try says whether nobody has tried to list everything below p yet.
func (w *walks) try(p string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.below[p]
	if b == nil || b.tried {
		return false
	}
	b.tried = true
	return true
}

// fetchAround lists everything around the folder at p at once, if that is worth
// it. All that are in the same walk wait for it.
func (m *Mount) fetchAround(ctx context.Context, r *repo, s *snapshot, p string) {
	top, requests, ok := s.walks.promising(p, func(p string) int { return countDirs(m.cachedFolder(r, s.commit, p)) })
	if !ok {
		return
	}
	key := "below " + blobcache.RootKey(r.id, s.commit) + " " + top
	_, err := m.listings.do(ctx, key, func(ctx context.Context) (*blobcache.Listing, error) {
		if !s.walks.try(top) {
			return nil, nil
		}
		return nil, m.fetchBelow(ctx, r, s, top, (2*requests+walkFolders)*pageEntries)
	})
	if err != nil && ctx.Err() == nil {
		m.log.Info("folders are listed one by one", "repo", r.id.String(), "below", orRoot(top), "reason", err)
	}
}

func countDirs(l *blobcache.Listing) (n int) {
	if l == nil {
		return 0
	}
	for i := range l.Entries {
		if l.Entries[i].Dir {
			n++
		}
	}
	return n
}

// fetchBelow lists everything below top and keeps each folder of it, unless there
// are more than most entries.
func (m *Mount) fetchBelow(ctx context.Context, r *repo, s *snapshot, top string, most int) error {
	if s.date.Load() == 0 {
		s.date.CompareAndSwap(0, m.commitDate(ctx, r, s.commit))
	}
	folders := make(map[string][]blobcache.Entry)
	n := 0
	for e, err := range m.hub.Tree(ctx, r.id, s.commit, top, &hub.TreeOptions{Recursive: true}) {
		if err != nil {
			return err
		}
		if n++; n > most {
			return fmt.Errorf("more than %d entries", most)
		}
		p, _ := splitPath(e.Path)
		entry, err := newEntry(p, &e)
		if err != nil {
			return err // one by one, the others can still be shown
		}
		entry.Name = strings.Clone(entry.Name) // its path may go
		folders[p] = append(folders[p], entry)
	}
	for p, entries := range folders {
		for i := range entries {
			if !entries[i].Dir {
				continue
			}
			at := joinPath(p, entries[i].Name)
			if in := folders[at]; len(in) > 0 { // what Git knows as a folder isn't empty
				m.keepFolder(r, s, at, entries[i].OID, &blobcache.Listing{Entries: in})
			}
		}
	}
	return nil
}

// keepFolder keeps what came of the folder at p, unless it is known already.
func (m *Mount) keepFolder(r *repo, s *snapshot, p string, oid blobcache.OID, l *blobcache.Listing) {
	key := folderKey(r, s, p, oid)
	if _, ok := m.cache.Listing(key); ok {
		return
	}
	var before *blobcache.Listing
	if s.before != "" && s.before != s.commit {
		before = m.cachedFolder(r, s.before, p)
	}
	l = dated(m.tidy(r, p, l), before, s.date.Load())
	if err := m.cache.PutListing(key, l); err != nil {
		m.log.Warn("can't keep a listing", "repo", r.id.String(), "folder", orRoot(p), "error", err)
	}
}
