package fs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// Folders are known by Git's id of their content, so an unchanged folder is never
// listed twice, whatever commit, branch or path it is in. Only of a root the Hub
// doesn't tell the id: it is known by its commit.

// The kinds of records that a mount keeps in the cache, for times without network.
const (
	recordRefs      = "refs"
	recordRepo      = "repo"
	recordCommit    = "commit"
	recordNamespace = "namespace"
	recordRepos     = "repos"
	recordUser      = "user"
)

// recordKey tells the records of several Hubs apart.
func (m *Mount) recordKey(key string) string { return m.hub.Endpoint() + " " + key }

// folder lists the folder at p of a snapshot, from the cache if it is there. oid
// is its id, noOID for the root.
func (m *Mount) folder(ctx context.Context, r *repo, s *snapshot, p string, oid blobcache.OID) (*blobcache.Listing, error) {
	key := folderKey(r, s, p, oid)
	if l, ok := m.cache.Listing(key); ok {
		if p == "" && s.date.Load() == 0 {
			s.date.CompareAndSwap(0, m.commitDate(ctx, r, s.commit))
		}
		m.listAhead(r, s, p) //nolint:contextcheck // it is the mount's
		return l, nil
	}
	if p != "" && oid != noOID {
		m.fetchAround(ctx, r, s, p)
		m.listAhead(r, s, p) //nolint:contextcheck // it is the mount's
	}
	return m.listings.do(ctx, key, func(ctx context.Context) (*blobcache.Listing, error) {
		return m.fetchFolder(ctx, r, s, p, oid, nil)
	})
}

func folderKey(r *repo, s *snapshot, p string, oid blobcache.OID) string {
	switch {
	case p == "":
		return blobcache.RootKey(r.id, s.commit)
	case oid == noOID: // from a listing without ids: only good for this commit
		return blobcache.RootKey(r.id, s.commit) + " " + p
	}
	return blobcache.TreeKey(r.id, oid)
}

// fetchFolder asks the Hub for a folder, unless it has come meanwhile, and keeps
// it. What is the same in the listing before keeps its date. before may be nil:
// then it is what the cache has of the commit before.
func (m *Mount) fetchFolder(ctx context.Context, r *repo, s *snapshot, p string, oid blobcache.OID, before *blobcache.Listing) (*blobcache.Listing, error) {
	key := folderKey(r, s, p, oid)
	var l *blobcache.Listing
	var both errgroup.Group
	both.Go(func() (err error) {
		var ok bool
		if l, ok = m.cache.Listing(key); ok {
			return nil
		}
		if l, err = m.askFolder(ctx, r, s.commit, p); err == nil {
			s.walks.note(p, len(l.Entries))
		}
		return err
	})
	if s.date.Load() == 0 {
		both.Go(func() error {
			s.date.CompareAndSwap(0, m.commitDate(ctx, r, s.commit))
			return nil
		})
	}
	if err := both.Wait(); err != nil {
		if ctx.Err() == nil && !isRefusal(err) {
			// What the official client has downloaded is good enough to be read.
			if l, ok := m.cache.ListingFromTrees(r.id, s.commit, p); ok {
				return dated(l, nil, s.date.Load()), nil
			}
		}
		return nil, fmt.Errorf("list %s of %s at %s: %w", orRoot(p), r.id, s.commit, err)
	}
	if kept, ok := m.cache.Listing(key); ok {
		return kept, nil
	}
	if before == nil && s.before != "" && s.before != s.commit {
		before = m.cachedFolder(r, s.before, p)
	}
	l = dated(l, before, s.date.Load())
	if err := m.cache.PutListing(key, l); err != nil {
		m.log.Warn("can't keep a listing", "repo", r.id.String(), "folder", orRoot(p), "error", err)
	}
	return l, nil
}

func orRoot(p string) string {
	if p == "" {
		return "the root"
	}
	return p
}

// askFolder lists a folder by requests to the Hub, one for each thousand entries.
func (m *Mount) askFolder(ctx context.Context, r *repo, commit, p string) (*blobcache.Listing, error) {
	l := new(blobcache.Listing)
	for e, err := range m.hub.Tree(ctx, r.id, commit, p, nil) {
		if err != nil {
			return nil, err
		}
		entry, err := newEntry(p, &e)
		if err != nil {
			m.log.Warn("left out of a listing", "repo", r.id.String(), "folder", orRoot(p), "error", err)
			continue
		}
		l.Entries = append(l.Entries, entry)
	}
	return m.tidy(r, p, l), nil
}

// tidy sorts the listing of the folder at p, and leaves out names that it has
// twice.
func (m *Mount) tidy(r *repo, p string, l *blobcache.Listing) *blobcache.Listing {
	slices.SortStableFunc(l.Entries, func(a, b blobcache.Entry) int { return strings.Compare(a.Name, b.Name) })
	n := len(l.Entries)
	l.Entries = slices.CompactFunc(l.Entries, func(a, b blobcache.Entry) bool { return a.Name == b.Name })
	if n > len(l.Entries) {
		m.log.Warn("left out of a listing: names that it has twice", "repo", r.id.String(), "folder", orRoot(p), "count", n-len(l.Entries))
	}
	return l
}

// newEntry reads an entry of the folder p.
func newEntry(p string, e *hub.TreeEntry) (blobcache.Entry, error) {
	parent, name := splitPath(e.Path)
	if parent != p || hub.ValidPath(name) != nil {
		return blobcache.Entry{}, fmt.Errorf("%q isn't a name in it", e.Path)
	}
	oid, err := blobcache.ParseOID(e.OID)
	if err != nil {
		return blobcache.Entry{}, fmt.Errorf("%q: %w", e.Path, err)
	}
	entry := blobcache.Entry{Name: name, Dir: e.Type == hub.TypeDirectory, OID: oid}
	if entry.Dir {
		return entry, nil
	}
	entry.Size = e.Size
	if e.LFS != nil {
		entry.Size = e.LFS.Size
		if n, err := hex.Decode(entry.SHA256[:], []byte(e.LFS.SHA256)); err != nil || n != len(entry.SHA256) {
			return blobcache.Entry{}, fmt.Errorf("%q has the sha256 %q", e.Path, e.LFS.SHA256)
		}
	}
	if entry.Size < 0 {
		return blobcache.Entry{}, fmt.Errorf("%q has the size %d", e.Path, entry.Size)
	}
	return entry, nil
}

// dated gives each entry the date that it has in before if it is the same there,
// else the date of the commit in which it is seen first.
func dated(l, before *blobcache.Listing, date int64) *blobcache.Listing {
	out := &blobcache.Listing{Entries: slices.Clone(l.Entries)}
	for i := range out.Entries {
		e := &out.Entries[i]
		if e.MTime = date; before == nil {
			continue
		}
		if old, ok := before.Find(e.Name); ok && sameContent(old, e) && old.MTime != 0 {
			e.MTime = old.MTime
		}
	}
	return out
}

func sameContent(a, b *blobcache.Entry) bool {
	return a.Dir == b.Dir && a.OID == b.OID && a.SHA256 == b.SHA256 && a.Size == b.Size
}

// cachedFolder gives a folder of a commit if all on the way to it is in the
// cache, else nil.
func (m *Mount) cachedFolder(r *repo, commit, p string) *blobcache.Listing {
	l, ok := m.cache.Listing(blobcache.RootKey(r.id, commit))
	if !ok || p == "" {
		return l
	}
	for name := range strings.SplitSeq(p, "/") {
		e, ok := l.Find(name)
		if !ok || !e.Dir || e.OID == noOID {
			return nil
		}
		if l, ok = m.cache.Listing(blobcache.TreeKey(r.id, e.OID)); !ok {
			return nil
		}
	}
	return l
}

// commitRecord is kept on disk.
type commitRecord struct {
	Date int64 `json:"date"` // Unix seconds
}

// commitDate is the date of a commit. Where the Hub doesn't tell, it is the date
// of the repository's last change, or today: a date is no reason to fail. It is 0
// if ctx ends.
func (m *Mount) commitDate(ctx context.Context, r *repo, commit string) int64 {
	key := m.recordKey(r.id.String() + " " + commit)
	var kept commitRecord
	if _, ok := m.cache.Record(recordCommit, key, &kept); ok && kept.Date > 0 {
		return kept.Date
	}
	date, err := m.datesAsked.do(ctx, key, func(ctx context.Context) (int64, error) {
		for c, err := range m.hub.Commits(ctx, r.id, commit, &hub.CommitsOptions{Limit: 1}) {
			if err != nil {
				return 0, err
			}
			date := max(c.Date.Unix(), 1)
			if err := m.cache.PutRecord(recordCommit, key, commitRecord{date}); err != nil {
				m.log.Warn("can't keep the date of a commit", "repo", r.id.String(), "commit", commit, "error", err)
			}
			return date, nil
		}
		return 0, errors.New("the history is empty")
	})
	if err == nil {
		return date
	}
	if ctx.Err() != nil {
		return 0
	}
	m.log.Warn("the date of a commit isn't known", "repo", r.id.String(), "commit", commit, "error", err)
	if modified := r.modified(); !modified.IsZero() {
		return modified.Unix()
	}
	return time.Now().Unix()
}
