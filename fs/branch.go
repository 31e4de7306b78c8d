package fs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/writeback"
)

// The changes of a tree are kept by a writeback.Branch. It is opened when somebody
// wants to change something, or when the mount begins and a mount before has left
// changes: a tree that is only read costs nothing. Once open, it stays so until the
// mount is closed, and owns the view of the tree: lookups and listings go through it,
// and other commits are shown by it first. What the tree shows itself, its snapshot, is
// what the kernel's memory is of, and follows (followBranch, catchUp).

// readOnlyError is why a tree takes no changes.
type readOnlyError struct {
	tree   string
	reason string
}

func (e *readOnlyError) Error() string { return e.tree + " is read-only: " + e.reason }
func (e *readOnlyError) Unwrap() error { return syscall.EROFS }

// writeStatus is what is known of changing a tree. It is guarded by tree.mu.
type writeStatus struct {
	reason    string // why the tree takes no changes, if it was tried
	busy      bool   // another mount has them: that may end
	recovered *writeback.Recovered
	uploads   map[string]hub.Progress // that run, by path
	catching  bool                    // a goroutine follows the branch
	again     bool                    // and has to look again
}

// branchTree is a snapshot as package writeback sees it.
type branchTree struct {
	t *tree
	s *snapshot
}

func (b *branchTree) Commit() string { return b.s.commit }

// List gives a folder.
func (b *branchTree) List(ctx context.Context, dir string) (*blobcache.Listing, error) {
	v, err := b.t.dir(ctx, b.s, dir)
	if errors.Is(err, errGone) || errors.Is(err, hub.ErrEntryNotFound) {
		return nil, fmt.Errorf("%s: %w", dir, iofs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return v.listing, nil
}

// writer gives what keeps the changes of the tree. A tree that takes none is a
// *readOnlyError.
func (t *tree) writer(ctx context.Context) (*writeback.Branch, error) {
	if b := t.branch.Load(); b != nil {
		return b, nil
	}
	m := t.repo.m
	if m.opts.Write == nil || t.fixed {
		return nil, &readOnlyError{t.String(), t.readOnlyKind()}
	}
	select {
	case t.opening <- struct{}{}:
		defer func() { <-t.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if b := t.branch.Load(); b != nil {
		return b, nil
	}
	b, err := t.openBranch(ctx)
	if ctx.Err() != nil && err != nil {
		return nil, ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var no *readOnlyError
	switch {
	case errors.As(err, &no):
		t.writes.reason, t.writes.busy = no.reason, false
	case errors.Is(err, writeback.ErrInUse):
		no = &readOnlyError{t.String(), "another mount on this machine writes to it"}
		t.writes.reason, t.writes.busy = no.reason, true
		return nil, no
	case err != nil:
		t.writes.reason, t.writes.busy = err.Error(), false
	default:
		t.writes.reason, t.writes.busy = "", false
	}
	return b, err
}

// openBranch opens the changes. t.opening is held.
func (t *tree) openBranch(ctx context.Context) (*writeback.Branch, error) {
	m := t.repo.m
	s, err := t.current(ctx)
	if err != nil {
		return nil, err
	}
	revision := t.pointer()
	if err := t.mayWrite(ctx, revision); err != nil {
		return nil, err
	}
	user, err := m.userKey(ctx)
	if err != nil {
		return nil, err
	}
	key := writeback.Key{Endpoint: m.hub.Endpoint(), User: user, Repo: t.repo.id, Branch: revision}
	b, err := writeback.Open(ctx, key, t.branchOptions(s))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	m.closing.Lock()
	if m.closed {
		m.closing.Unlock()
		return nil, errors.Join(errUnmounted, b.Close())
	}
	m.written = append(m.written, t)
	t.branch.Store(b)
	m.closing.Unlock()
	t.repo.keepLooking()

	found := b.Recovered()
	if found.Changes > 0 || found.Damaged > 0 || len(found.Torn) > 0 || len(found.Lost) > 0 {
		t.mu.Lock()
		t.writes.recovered = &found
		t.mu.Unlock()
		m.log.Warn("taken over from a mount that is dead", "tree", t.String(), "changes", found.Changes,
			"torn", found.Torn, "damaged", found.Damaged, "lost", found.Lost)
	}
	var paths []string
	for _, c := range b.Changes() {
		paths = append(paths, c.Path)
	}
	t.tell(paths)
	t.catchUpSoon()
	return b, nil
}

// branchOptions are those of the tree's changes, which are shown on top of s.
func (t *tree) branchOptions(s *snapshot) writeback.Options {
	m, w := t.repo.m, t.repo.m.opts.Write
	opts := writeback.Options{
		StateDir: w.StateDir, Tree: &branchTree{t, s}, Logger: m.log,
		Blob: func(f blobcache.File) (writeback.Blob, error) { return m.cache.Open(f) },
		Hub:  m.hub, OpenTree: t.openTree, Keep: m.cache.AddLocal, KeepFile: m.cache.AddFile,
		Moved: func(writeback.Tree) { t.catchUpSoon() }, Changed: t.tell, Progress: t.progress,
		OnConflict: w.OnConflict, CreatePR: w.CreatePR, Atomic: w.Atomic, Every: w.Every, MaxDelay: w.MaxDelay,
		NoFsyncCommit: w.Fsync == FsyncLocal, MaxCommitsPerHour: w.MaxCommitsPerHour,
		LocalOnly: w.LocalOnly, CommitOpen: w.CommitOpen,
	}
	return opts
}

// openTree gives the tree of a commit of a revision, "" being its head.
func (t *tree) openTree(ctx context.Context, revision, commit string) (writeback.Tree, error) {
	before := ""
	if s := t.snap.Load(); s != nil {
		before = s.commit
	}
	if commit == "" {
		found, err := t.repo.fetchReferences(ctx, needsPulls(revision))
		if err != nil {
			return nil, err
		}
		var ok bool
		if _, commit, ok = found.find(revision); !ok {
			return nil, fmt.Errorf("%s has no revision %q: %w", t.repo.id, revision, hub.ErrRevisionNotFound)
		}
	}
	return &branchTree{t, &snapshot{commit: commit, before: before}}, nil
}

// readOnlyKind is why nobody can change the tree, "" if somebody may.
func (t *tree) readOnlyKind() string {
	m := t.repo.m
	switch {
	case m.opts.Write == nil:
		return "it is mounted so"
	case t.fixed:
		return "a commit never changes"
	case m.opts.Pin:
		return "it is pinned"
	}
	revision := t.pointer()
	if needsPulls(revision) || revision == "" {
		return ""
	}
	if known, _ := t.repo.known(); known != nil {
		if _, isBranch := known.Branches[strings.TrimPrefix(revision, headsPrefix)]; !isBranch {
			return "only branches and pull requests take changes"
		}
	}
	return ""
}

// mayWrite says whether the Hub would take changes, as far as that can be known.
func (t *tree) mayWrite(ctx context.Context, revision string) error {
	m := t.repo.m
	no := func(reason string) error { return &readOnlyError{t.String(), reason} }
	if reason := t.readOnlyKind(); reason != "" {
		return no(reason)
	}
	user, known := m.catalog.identity(ctx)
	switch {
	case !known:
		return nil // the Hub will tell
	case user.Name == "":
		return no("there is no token")
	case user.Role == "read":
		return no("the token may only read")
	case m.opts.Write.CreatePR, needsPulls(revision), user.Role != "write":
		return nil
	case !user.belongsTo(t.repo.id.Namespace()):
		return no(fmt.Sprintf("%s may not write there; a mount with --create-pr makes pull requests", user.Name))
	}
	return nil
}

// userKey is whose changes they are.
func (m *Mount) userKey(ctx context.Context) (string, error) {
	if m.opts.User != "" {
		return m.opts.User, nil
	}
	user, known := m.catalog.identity(ctx)
	if !known {
		// Under another name they would be lost from sight.
		return "", fmt.Errorf("it isn't known whose the token is: %w", hub.ErrUnavailable)
	}
	return user.Name, nil
}

// followBranch shows another commit below the changes, which the Hub has told of when
// it was asked at that time.
func (t *tree) followBranch(ctx context.Context, b *writeback.Branch, commit string, asked time.Time) error {
	if now := b.Tree().Commit(); now != commit {
		next := &snapshot{commit: commit, before: now}
		// What is needed is fetched first: the old commit is shown meanwhile.
		t.mu.Lock()
		dirs := t.rememberedLocked()
		t.mu.Unlock()
		if _, err := t.prepare(ctx, next, dirs); err != nil {
			return fmt.Errorf("move %s to %s: %w", t, commit, err)
		}
		if err := b.SetTree(ctx, &branchTree{t, next}, asked); err != nil {
			return fmt.Errorf("move %s to %s: %w", t, commit, err)
		}
		if b.Tree().Commit() != commit {
			return errors.Join(errAskedTooEarly, t.catchUp(ctx))
		}
	}
	return t.catchUp(ctx)
}

// errAskedTooEarly is what the Hub said before a commit from here: it may be of before.
var errAskedTooEarly = errors.New("a commit has been made meanwhile")

// catchUp moves the tree to the commit that its branch is at. Whoever calls it has
// repo.looking.
func (t *tree) catchUp(ctx context.Context) error {
	for {
		at, ok := t.branch.Load().Tree().(*branchTree)
		if !ok || at.s == t.snap.Load() {
			return nil
		}
		if err := t.move(ctx, at.s); err != nil {
			return err
		}
		t.repo.advance(t.pointer(), at.s.commit)
	}
}

// keepHead is for the end: it has the next mount know the last commit from here, and what
// the kernel was told of its tree, though the Hub may be out of reach then.
func (t *tree) keepHead(ctx context.Context) error {
	at, ok := t.branch.Load().Tree().(*branchTree)
	known, _ := t.repo.known()
	if !ok || known == nil {
		return nil
	}
	if _, commit, _ := known.find(t.pointer()); commit == at.s.commit {
		return nil
	}
	t.mu.Lock()
	dirs := t.rememberedLocked()
	t.mu.Unlock()
	if _, err := t.repo.m.folder(ctx, t.repo, at.s, "", noOID); err != nil {
		return err
	}
	if _, err := t.prepare(ctx, at.s, dirs); err != nil {
		return err
	}
	t.repo.advance(t.pointer(), at.s.commit)
	return nil
}

// catchUpSoon is catchUp in the background, again and again until it succeeds. It may be
// called by a branch.
func (t *tree) catchUpSoon() {
	m := t.repo.m
	t.mu.Lock()
	t.writes.again = true
	start := !t.writes.catching
	t.writes.catching = true
	t.mu.Unlock()
	if start && !m.spawn(t.catchUpNow) {
		t.mu.Lock()
		t.writes.catching = false
		t.mu.Unlock()
	}
}

// Pauses of catchUpNow.
const (
	catchUpFirst = time.Second
	catchUpMost  = time.Minute
)

func (t *tree) catchUpNow() {
	m := t.repo.m
	ctx := m.kernel.base
	for pause := catchUpFirst; ; {
		t.mu.Lock()
		if !t.writes.again || ctx.Err() != nil {
			t.writes.catching = false
			t.mu.Unlock()
			return
		}
		t.writes.again = false
		t.mu.Unlock()
		err := t.repo.turn(ctx, func() error { return t.catchUp(ctx) })
		if err == nil || ctx.Err() != nil {
			continue
		}
		m.log.Warn("the commit can't be shown yet", "tree", t.String(), "error", err)
		t.mu.Lock()
		t.writes.again = true
		t.mu.Unlock()
		timer := time.NewTimer(pause)
		pause = min(2*pause, catchUpMost)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// tell has the kernel look at paths again that have changed behind its back. It returns
// at once, and may be called by a branch.
func (t *tree) tell(paths []string) {
	if len(paths) == 0 {
		return
	}
	t.repo.m.spawn(func() { t.tellNow(paths) })
}

func (t *tree) tellNow(paths []string) {
	if t.branch.Load() == nil {
		return // it is told of when it is there
	}
	told := make(map[string]bool)
	for _, path := range paths {
		for i := 0; i <= len(path); i++ {
			if i < len(path) && path[i] != '/' || told[path[:i]] {
				continue
			}
			told[path[:i]] = true
			t.tellOne(path[:i])
		}
	}
}

// tellOne has the kernel look at a path again.
func (t *tree) tellOne(path string) {
	if path == "" {
		return
	}
	dir, name := splitPath(path)
	t.mu.Lock()
	d := t.dirs[dir]
	t.mu.Unlock()
	if d == nil {
		return // the kernel remembers no name there
	}
	k := t.repo.m.kernel
	k.forgetChanged(d, name)
	k.list(d.EmbeddedInode())
}

// progress notes how far an upload is.
func (t *tree) progress(p hub.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.Done >= p.Size {
		delete(t.writes.uploads, p.Path)
	} else {
		t.writes.uploads[p.Path] = p
	}
}
