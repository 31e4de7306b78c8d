package fs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/writeback"
)

// WriteOptions make a mount writable: branches and pull requests take changes, which
// package writeback keeps and commits.
type WriteOptions struct {
	StateDir    string        // of what isn't committed yet; see writeback
	Every       time.Duration // between automatic commits; 0 makes none
	MaxDelay    time.Duration // how long a busy folder may be left out of them; 0 is for ever
	SyncTimeout time.Duration // how long fsync waits for a commit; 0 is 5 minutes
	Fsync       FsyncMode     // "" is FsyncAuto

	OnConflict        writeback.OnConflict // "" is writeback.KeepBoth
	CreatePR          bool                 // changes go to a pull request of their own; read access is enough
	Atomic            bool                 // one refused path holds back all
	MaxCommitsPerHour int                  // of automatic commits to one branch; 0 is 60
	LocalOnly         []string             // names that are never committed; nil is writeback.DefaultLocalOnly
	CommitOpen        []string             // logs; nil is writeback.DefaultCommitOpen
}

// defaultSyncTimeout is that of WriteOptions.
const defaultSyncTimeout = 5 * time.Minute

// syncTimeout is how long an fsync waits for a commit.
func (m *Mount) syncTimeout() time.Duration {
	return cmp.Or(m.opts.Write.SyncTimeout, defaultSyncTimeout)
}

// FsyncMode is what an fsync has to do with commits.
type FsyncMode string

// The modes. What is fsynced is safe from a crash of the machine in all of them.
const (
	// FsyncAuto commits a file that was fsynced as soon as its writers have closed
	// it. fsync of a directory, or of a file that is open for reading, which is what
	// sync PATH does, returns after the commit.
	FsyncAuto FsyncMode = "auto"
	// FsyncCommit has every fsync return after a commit.
	FsyncCommit FsyncMode = "commit"
	// FsyncLocal makes no commits because of an fsync.
	FsyncLocal FsyncMode = "local"
)

// ParseFsyncMode reads a mode; "" is FsyncAuto.
func ParseFsyncMode(s string) (FsyncMode, error) {
	switch mode := FsyncMode(s); mode {
	case "":
		return FsyncAuto, nil
	case FsyncAuto, FsyncCommit, FsyncLocal:
		return mode, nil
	}
	return "", fmt.Errorf("%q is none of %s, %s, %s", s, FsyncAuto, FsyncCommit, FsyncLocal)
}

// Commit is a commit that was made of changes in a mount.
type Commit struct {
	Repo     string `json:"repo"`
	Type     string `json:"type"`
	Revision string `json:"revision"`
	writeback.Commit
}

// Change is a path that is changed here. Path is relative to the mount's root.
type Change struct {
	Repo     string `json:"repo"`
	Type     string `json:"type"`
	Revision string `json:"revision"`
	writeback.Change
}

// Recovery is what was taken over from a mount that ended before it had committed
// everything.
type Recovery struct {
	Repo     string `json:"repo"`
	Type     string `json:"type"`
	Revision string `json:"revision"`
	writeback.Recovered
}

// Upload is a file that is on its way to the Hub.
type Upload struct {
	Repo     string `json:"repo"`
	Type     string `json:"type"`
	Revision string `json:"revision"`
	Path     string `json:"path"` // relative to the mount's root
	Bytes    int64  `json:"bytes"`
	Total    int64  `json:"total"`
}

// PushResult is what Flush and Push came to.
type PushResult struct {
	Commits []Commit `json:"commits"`
	Failed  []Change `json:"failed"` // what could not be committed
}

// Flush commits what is changed at or below path, which is relative to the mount, ""
// being all, and returns when the Hub has accepted it. What the Hub refuses of it is in
// PushResult.Failed. The error is ctx's if it ends first, else why nothing more can be
// committed; what isn't stays staged.
func (m *Mount) Flush(ctx context.Context, path string) (PushResult, error) {
	targets, err := m.targets(ctx, path)
	if err != nil {
		return PushResult{}, err
	}
	return push(ctx, targets)
}

// Push commits all that is staged, until ctx ends. Unlike other methods it can be
// called after the file system is unmounted, before Close.
func (m *Mount) Push(ctx context.Context) (PushResult, error) { return push(ctx, m.allTargets()) }

// A target is what a path of the mount means in a tree that has changes.
type target struct {
	t   *tree
	b   *writeback.Branch
	sub string // path in the tree
}

// allTargets are all trees that have changes.
func (m *Mount) allTargets() []target {
	m.closing.Lock()
	defer m.closing.Unlock()
	targets := make([]target, 0, len(m.written))
	for _, t := range m.written {
		targets = append(targets, target{t, t.branch.Load(), ""})
	}
	return targets
}

// bases are the hashes of what staged edits are edits of.
func (m *Mount) bases() []string {
	var hashes []string
	for _, g := range m.allTargets() {
		hashes = append(hashes, g.b.Bases()...)
	}
	return hashes
}

// targets finds the trees that a path leads into, or that are below it.
func (m *Mount) targets(ctx context.Context, path string) ([]target, error) {
	path = cleanPath(path)
	all := m.allTargets()
	if path == "" || len(all) == 0 {
		return all, nil
	}
	if m.tree == nil {
		var below []target
		for _, g := range all {
			if at := g.t.String(); at == path || strings.HasPrefix(at, path+"/") {
				below = append(below, g)
			}
		}
		if len(below) > 0 {
			return below, nil
		}
	}
	t, sub, err := m.locate(ctx, path)
	if errors.Is(err, hub.ErrNotFound) && m.tree == nil {
		return nil, nil // nothing can have been changed there
	}
	if err != nil {
		return nil, err
	}
	if b := t.branch.Load(); b != nil {
		return []target{{t, b, sub}}, nil
	}
	return nil, nil
}

// push commits what targets have, all at the same time.
func push(ctx context.Context, targets []target) (PushResult, error) {
	results := make([]writeback.Result, len(targets))
	errs := make([]error, len(targets))
	var all sync.WaitGroup
	for i, g := range targets {
		all.Go(func() {
			var err error
			if results[i], err = g.b.Flush(ctx, g.sub); err != nil {
				errs[i] = fmt.Errorf("%s: %w", g.t, err)
			}
		})
	}
	all.Wait()
	res := PushResult{Commits: []Commit{}, Failed: []Change{}}
	for i, g := range targets {
		for _, c := range results[i].Commits {
			res.Commits = append(res.Commits, Commit{g.t.repo.id.ID, string(g.t.repo.id.Type), g.t.pointer(), c})
		}
		for _, c := range results[i].Failed {
			res.Failed = append(res.Failed, g.t.mountChange(c))
		}
	}
	return res, errors.Join(errs...)
}

// mountChange tells of a change with its path in the mount.
func (t *tree) mountChange(c writeback.Change) Change {
	c.Path = t.mountPath(c.Path)
	return Change{t.repo.id.ID, string(t.repo.id.Type), t.pointer(), c}
}

// mountPath is a path of the tree relative to the mount's root, from which it may lead
// out where the mount shows only a folder of the tree.
func (t *tree) mountPath(p string) string {
	m := t.repo.m
	if m.tree == nil {
		return joinPath(t.String(), p)
	}
	if rel, err := filepath.Rel("/"+m.opts.Source.Sub, "/"+p); err == nil {
		return rel
	}
	return p
}

// covers says whether a path of a tree is at or below another.
func covers(p, dir string) bool { return dir == "" || p == dir || strings.HasPrefix(p, dir+"/") }

// WaitStaged returns when what is staged now at or below path is committed, by
// whatever. Paths that the Hub has refused are an error that names them.
func (m *Mount) WaitStaged(ctx context.Context, path string) error {
	targets, err := m.targets(ctx, path)
	if err != nil {
		return err
	}
	type staged struct {
		t    *tree
		path string
	}
	waiting := make(map[staged]time.Time)
	for _, g := range targets {
		for _, c := range g.b.Changes() {
			if covers(c.Path, g.sub) && isPending(c) {
				waiting[staged{g.t, c.Path}] = c.Since
			}
		}
	}
	tick := time.NewTicker(waitTick)
	defer tick.Stop()
	for {
		left := 0
		var failed []string
		for _, g := range targets {
			for _, c := range g.b.Changes() {
				since, waited := waiting[staged{g.t, c.Path}]
				switch {
				case !covers(c.Path, g.sub):
				case c.State == writeback.Failed || c.State == writeback.Conflict:
					failed = append(failed, g.t.mountPath(c.Path)+": "+c.Message)
				case waited && isPending(c) && !c.Since.After(since):
					left++
				}
			}
		}
		switch {
		case left > 0:
		case len(failed) > 0:
			return fmt.Errorf("not committed: %s", strings.Join(failed, "; "))
		default:
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d files are not committed yet: %w", left, ctx.Err())
		}
	}
}

// waitTick is how often WaitStaged looks.
const waitTick = 100 * time.Millisecond

func isPending(c writeback.Change) bool {
	return c.State == writeback.Staged || c.State == writeback.Committing
}

// Discard forgets what is changed at or below path, and tells what that was.
func (m *Mount) Discard(ctx context.Context, path string) ([]Change, error) {
	targets, err := m.targets(ctx, path)
	if err != nil {
		return nil, err
	}
	gone := []Change{}
	var errs []error
	for _, g := range targets {
		changes, err := g.b.Discard(ctx, g.sub)
		errs = append(errs, err)
		paths := make([]string, len(changes))
		for i, c := range changes {
			paths[i] = c.Path
			gone = append(gone, g.t.mountChange(c))
		}
		g.t.tellNow(paths)
	}
	return gone, errors.Join(errs...)
}

// Changes lists what is changed at or below path, sorted.
func (m *Mount) Changes(path string) []Change {
	list := []Change{}
	targets, err := m.targets(m.ctx, path)
	if err != nil {
		return list // nothing that is known is there
	}
	for _, g := range targets {
		for _, c := range g.b.Changes() {
			if covers(c.Path, g.sub) {
				list = append(list, g.t.mountChange(c))
			}
		}
	}
	slices.SortFunc(list, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// Recovered tells what was taken over from mounts that are dead.
func (m *Mount) Recovered() []Recovery {
	list := []Recovery{}
	for _, g := range m.allTargets() {
		g.t.mu.Lock()
		found := g.t.writes.recovered
		g.t.mu.Unlock()
		if found != nil {
			list = append(list, Recovery{g.t.repo.id.ID, string(g.t.repo.id.Type), g.t.pointer(), *found})
		}
	}
	return list
}

// Uploads are those that run.
func (m *Mount) Uploads() []Upload {
	list := []Upload{}
	for _, g := range m.allTargets() {
		g.t.mu.Lock()
		uploads := slices.Collect(maps.Values(g.t.writes.uploads))
		g.t.mu.Unlock()
		for _, p := range uploads {
			list = append(list, Upload{g.t.repo.id.ID, string(g.t.repo.id.Type), g.t.pointer(), g.t.mountPath(p.Path), p.Done, p.Size})
		}
	}
	slices.SortFunc(list, func(a, b Upload) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// Close makes durable what isn't committed, and lets the next mount have it. It is
// for after Wait, and needed only if Options.Write is set.
func (m *Mount) Close() error { return m.closeErr() }

// keepHeadTimeout is how long the end of a mount may wait for the listings of its last commits.
const keepHeadTimeout = 5 * time.Second

func (m *Mount) close() error {
	m.closing.Lock()
	m.closed = true
	trees := m.written
	m.closing.Unlock()
	m.unmount()
	var errs []error
	for _, t := range trees {
		if err := t.branch.Load().Close(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t, err))
		}
	}
	ctx, cancel := context.WithTimeout(m.ctx, keepHeadTimeout)
	defer cancel()
	for _, t := range trees {
		if err := t.keepHead(ctx); err != nil {
			m.log.Warn("without the Hub, the next mount shows an older commit", "tree", t.String(), "error", err)
		}
	}
	m.end()
	return errors.Join(errs...)
}
