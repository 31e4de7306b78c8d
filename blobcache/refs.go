package blobcache

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// A ref stays at least retryRef without another look, if files were missing the
// last time and none of the reads since brought the last of them; and longer
// where the look itself takes long.
const (
	retryRef      = 10 * time.Second
	retryRefTimes = 50
)

// refMover moves refs of the shared cache to the commits that are read, under
// the rule of hub.CacheDir.UpdateRef.
type refMover struct {
	// turn is a lock, taken across disk I/O by whoever moves a ref; it has a
	// context where a mutex has none. It guards all below.
	turn    chan struct{}
	waiting map[refName]*waitingRef
}

// waitingRef is a ref that can't move yet.
type waitingRef struct {
	commit  string
	missing map[string]struct{} // files that the new commit's snapshot lacks
	retry   time.Time           // when to look again in any case
}

func newRefMover() refMover {
	return refMover{turn: make(chan struct{}, 1), waiting: map[refName]*waitingRef{}}
}

// moveRef lets the revision by which f was read name its commit, if it may.
func (c *Cache) moveRef(ctx context.Context, f File) error {
	if f.Revision == "" || f.Revision == f.Commit {
		return nil
	}
	m := &c.refs
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	old, err := c.shared.ReadRef(f.Repo, f.Revision)
	if err == nil && old == f.Commit {
		return nil
	}
	isNew := errors.Is(err, fs.ErrNotExist)
	name := refName{f.Repo.String(), f.Revision}
	if w := m.waiting[name]; w != nil && w.commit == f.Commit && !isNew {
		// A snapshot may have many files: look at all of them only when this may
		// have been the last that was missing.
		delete(w.missing, f.Path)
		if len(w.missing) > 0 && time.Now().Before(w.retry) {
			return nil
		}
	}
	ours := isNew || c.ledger.madeRef(name, old)
	if ours {
		if err := c.ledger.add(ledgerLine{Op: opRef, Repo: name.repo, Path: name.revision, Commit: f.Commit}); err != nil {
			ours = false
		}
	}
	began := time.Now()
	u, err := c.shared.UpdateRef(f.Repo, f.Revision, f.Commit,
		func(path string) (string, bool) { return c.etagAt(f.Repo, f.Commit, path) },
		func(l hub.LinkedFile) error {
			return c.ledger.add(ledgerLine{Op: opLink, Repo: name.repo, Hash: l.ETag, Commit: f.Commit, Path: l.Path})
		})
	delete(m.waiting, name)
	if err != nil || !u.Moved {
		if ours && !isNew {
			_ = c.ledger.add(ledgerLine{Op: opRef, Repo: name.repo, Path: name.revision, Commit: old})
		} else if ours {
			_ = c.ledger.add(ledgerLine{Op: opUnref, Repo: name.repo, Path: name.revision})
		}
	}
	if len(u.Missing) > 0 {
		took := time.Since(began)
		w := &waitingRef{
			commit: f.Commit, missing: make(map[string]struct{}, len(u.Missing)),
			retry: time.Now().Add(max(retryRef, retryRefTimes*took)),
		}
		for _, p := range u.Missing {
			w.missing[p] = struct{}{}
		}
		m.waiting[name] = w
	}
	return err
}

// etagAt tells the content of a path in a commit by the listings that are here:
// "" for none, and false if they don't tell.
func (c *Cache) etagAt(repo hub.Repo, commit, path string) (string, bool) {
	l, ok := c.Listing(RootKey(repo, commit))
	dir := ""
	for {
		if !ok {
			if l, ok = c.ListingFromTrees(repo, commit, dir); !ok {
				return "", false
			}
		}
		name, rest, deeper := strings.Cut(path, "/")
		e, found := l.Find(name)
		switch {
		case !found, found && e.Dir != deeper:
			return "", true
		case !deeper:
			return e.Hash(), true
		}
		dir, path = joinPath(dir, name), rest
		l, ok = nil, false
		if !e.OID.IsZero() {
			l, ok = c.Listing(TreeKey(repo, e.OID))
		}
	}
}

func joinPath(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
