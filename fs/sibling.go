package fs

import (
	"context"

	"github.com/hubfs/hubfs/blobcache"
)

// The pages of a folder's listing come one after the other, as each tells where the next
// begins. Who walks through large folders in their order would wait for all of them, so
// the next folders are listed meanwhile. It costs no request that the walk wouldn't,
// unless it ends there.

const (
	walkRun     = 3 // so many folders in a row look like a walk in order
	aheadOfWalk = 2 // folders that are listed before they are asked for
	// quotaShare is how much of the quota has to be left for it: a half.
	quotaShare = 2
)

// inOrder notes that the folder at p is asked for. It says whether that goes on with
// a walk in order, through folders so large that listing them ahead is worth it, and
// the name of the folder before.
func (w *walks) inOrder(p string) (before string, worth bool) {
	parent, name := splitPath(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.belowLocked(parent)
	if b.last == name {
		return "", false
	}
	before = b.last
	if b.last = name; name < before {
		b.run = 0
		return "", false
	}
	b.run++
	return before, b.run >= walkRun && b.folders > 0 && b.entries/b.folders >= pageEntries/2
}

// listAhead lists the folders behind the one at p, if somebody walks through them.
func (m *Mount) listAhead(r *repo, s *snapshot, p string) {
	before, worth := s.walks.inOrder(p)
	if !worth || m.opts.Offline || !m.quotaLeft() {
		return
	}
	parent, name := splitPath(p)
	in := m.cachedFolder(r, s.commit, parent)
	if in == nil {
		return
	}
	n, last := 0, ""
	for i := range in.Entries {
		e := &in.Entries[i]
		switch {
		case !e.Dir:
		case e.Name < name:
			last = e.Name
		case e.Name == name:
			if last != before {
				return // not one after the other
			}
		case e.OID != noOID:
			m.listSoon(r, s, joinPath(parent, e.Name), e.OID)
			if n++; n == aheadOfWalk {
				return
			}
		}
	}
}

// listSoon lists a folder in the background. Who asks for it meanwhile waits for that.
func (m *Mount) listSoon(r *repo, s *snapshot, p string, oid blobcache.OID) {
	key := folderKey(r, s, p, oid)
	if _, ok := m.cache.Listing(key); ok {
		return
	}
	m.spawn(func() {
		_, err := m.listings.do(m.ctx, key, func(ctx context.Context) (*blobcache.Listing, error) {
			return m.fetchFolder(ctx, r, s, p, oid, nil)
		})
		if err != nil && m.ctx.Err() == nil {
			m.log.Debug("not listed ahead", "repo", r.id.String(), "folder", p, "error", err)
		}
	})
}

// quotaLeft says whether there are requests to spend on what nobody waits for yet.
func (m *Mount) quotaLeft() bool {
	for _, q := range m.hub.Quota() {
		if q.Class == "api" && q.Remaining < q.Limit/quotaShare {
			return false
		}
	}
	return true
}
