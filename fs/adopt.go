package fs

import (
	"context"
	"fmt"
	"time"

	"github.com/hubfs/hubfs/writeback"
)

// adoptTime is how long a mount may take to find the trees of changes that were left.
const adoptTime = 20 * time.Second

// adopt opens the changes that mounts before have left for the trees of this one. That
// one can't be opened is no reason not to mount: it is told by Status, or in the log.
func (m *Mount) adopt(ctx context.Context) {
	w := m.opts.Write
	if w == nil {
		return
	}
	found, err := writeback.Journals(w.StateDir)
	if err != nil {
		m.log.Warn("changes of mounts before can't be looked for", "dir", w.StateDir, "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, adoptTime)
	defer cancel()
	for i := range found {
		j := &found[i]
		if j.Key.Endpoint != m.hub.Endpoint() || m.tree != nil && m.tree.repo.id != j.Key.Repo ||
			m.tree == nil && len(j.Changes) == 0 && j.Err == nil { // it is opened when somebody writes
			continue
		}
		if err := m.adoptJournal(ctx, j); err != nil {
			m.log.Warn("changes of a mount before are left where they are", "repo", j.Key.Repo.String(), "branch", j.Key.Branch,
				"dir", j.Dir, "changes", len(j.Changes), "error", err)
		}
	}
}

// adoptJournal opens a journal if it is of this user, and of a tree of this mount.
func (m *Mount) adoptJournal(ctx context.Context, j *writeback.Journal) error {
	user, err := m.userKey(ctx)
	if err != nil || user != j.Key.User {
		return err
	}
	t := m.tree
	if t == nil {
		if t, err = m.branchTree(ctx, j.Key); err != nil {
			return err
		}
	}
	if t.pointer() != j.Key.Branch {
		return nil
	}
	if _, err := t.current(ctx); err != nil {
		return err
	}
	_, err = t.writer(ctx)
	return err
}

// branchTree is the tree of a branch in a mount of the whole Hub.
func (m *Mount) branchTree(ctx context.Context, key writeback.Key) (*tree, error) {
	r, err := m.catalog.repo(ctx, key.Repo)
	if err != nil {
		return nil, err
	}
	if r.id != key.Repo {
		return nil, fmt.Errorf("%s is called %s now", key.Repo, r.id)
	}
	name, err := r.resolve(ctx, key.Branch)
	if err != nil {
		return nil, err
	}
	if r.isDefault(name) {
		name = ""
	}
	t := r.tree(name)
	_, err = t.current(ctx)
	return t, err
}

// tryAgain makes a tree writable that wasn't because another mount had its changes.
func (t *tree) tryAgain(ctx context.Context) {
	t.mu.Lock()
	busy := t.writes.busy
	t.mu.Unlock()
	if !busy {
		return
	}
	if _, err := t.writer(ctx); err == nil {
		t.repo.m.log.Info("the other mount has ended; changes are taken", "tree", t.String())
	}
}
