package fs

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/writeback"
)

// noOID stands for the id of a root folder, which the Hub doesn't give.
var noOID blobcache.OID

// snapshot is a tree at one commit. What it shows doesn't change; the date is
// learnt with the first listing.
type snapshot struct {
	commit string
	date   atomic.Int64 // of the commit, Unix seconds; 0 is unknown
	// before is the commit that was shown before this one, "" if none is known:
	// what is the same there keeps its date.
	before string
	walks  walks
	packs  packs
}

// view is a directory in a snapshot. It doesn't change.
type view struct {
	snap    *snapshot
	oid     blobcache.OID
	mtime   int64
	listing *blobcache.Listing
	gone    bool // the snapshot has no such directory
	// unknown is a view of which nothing is known but that the kernel may remember
	// something: the listing is empty.
	unknown bool
}

// gone is a view of what isn't there.
func goneView(s *snapshot) *view {
	return &view{snap: s, listing: new(blobcache.Listing), gone: true}
}

func unknownView(s *snapshot) *view {
	return &view{snap: s, listing: new(blobcache.Listing), unknown: true}
}

// tree is a repository at a revision. It lives as long as the mount.
//
// The kernel is told to remember names for ever, so the tree has to know every
// directory in which it may remember some: those are in dirs, with the view that
// the kernel's memory is of. A move to another commit compares just these.
type tree struct {
	repo *repo
	name string // as refs.find or repo.resolve gave it; "" is the default branch
	ino  uint64 // of the root
	// fixed trees are of a commit: nothing about them ever changes.
	fixed bool

	snap   atomic.Pointer[snapshot] // nil before the first look
	branch atomic.Pointer[writeback.Branch]
	// opening holds a token while branch is being opened.
	opening chan struct{}

	mu      sync.Mutex // guards what follows, dirNode.shown, and where nodes stand; taken after repo.mu
	naming  naming
	writes  writeStatus
	dirs    map[string]*dirNode
	late    map[*dirNode]struct{} // answered about during a move, without the kernel remembering
	moving  bool                  // a move is being prepared
	visible string                // the commit that the kernel shows nothing older than
	moved   chan struct{}         // closed, and replaced, when visible changes
	status  treeStatus
}

type treeStatus struct {
	revision string // what "" stands for
	polledAt time.Time
	err      error   // of the last look
	denied   failure // the last refusal to give any content
}

func newTree(r *repo, name string) *tree {
	t := &tree{
		repo: r, name: name,
		ino:   hash64([]byte("tree\x00" + r.id.String() + "\x00" + name)),
		fixed: isCommit(name),
		dirs:  make(map[string]*dirNode), late: make(map[*dirNode]struct{}),
		moved: make(chan struct{}), opening: make(chan struct{}, 1),
		naming: newNaming(), writes: writeStatus{uploads: make(map[string]hub.Progress)},
	}
	t.status.revision = name
	if t.fixed {
		t.snap.Store(&snapshot{commit: name})
		t.visible = name
	}
	return t
}

// String names the tree as in a path of the mount.
func (t *tree) String() string {
	return repoName{name: t.repo.id.String(), revision: t.name, hasRevision: t.name != ""}.String()
}

// revision is the name of the branch or tag; "" for a commit and before the
// default branch is known.
func (t *tree) revision() string {
	if t.fixed {
		return ""
	}
	return t.pointer()
}

// current gives the snapshot that is shown now. It asks the Hub if there is none
// yet, or if the tree hasn't been used, and so not been polled, for long.
func (t *tree) current(ctx context.Context) (*snapshot, error) {
	s, fresh := t.snap.Load(), t.repo.isFresh()
	if s != nil && t.branch.Load() != nil {
		return s, nil // it moves with its changes
	}
	if s != nil && (fresh || t.fixed || t.repo.m.opts.Pin) {
		return s, nil
	}
	var found *refs
	var err error
	if fresh {
		found, err = t.repo.references(ctx, needsPulls(t.name))
	} else {
		found, err = t.repo.askReferences(ctx, needsPulls(t.name))
	}
	var name, commit string
	if err == nil {
		var ok bool
		if name, commit, ok = found.find(t.pointer()); !ok {
			err = fmt.Errorf("%s: %w", t, hub.ErrRevisionNotFound)
		}
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		t.looked(err)
		if s != nil {
			return s, nil // what was shown is still good
		}
		return nil, err
	}
	return t.begin(s, name, commit), nil
}

// begin shows a commit without a move, which is possible as long as the kernel
// remembers nothing of the tree. It is instead of s, which may be nil; if the tree
// shows another one meanwhile, or is in use, it stays as it is.
func (t *tree) begin(s *snapshot, name, commit string) *snapshot {
	next := &snapshot{commit: commit}
	if s == nil {
		next.before = t.repo.formerHead(t.name)
	} else {
		next.before = s.commit
	}
	_, seen := t.repo.known()
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.snap.Load()
	if now != s || t.moving || len(t.dirs) > 0 || t.branch.Load() != nil || now != nil && now.commit == commit {
		t.status.polledAt = seen
		return now
	}
	t.snap.Store(next)
	t.status.revision, t.status.polledAt, t.status.err = name, seen, nil
	t.shows(commit)
	return next
}

// shows notes that the kernel shows nothing older than commit. t.mu is held.
func (t *tree) shows(commit string) {
	t.visible = commit
	close(t.moved)
	t.moved = make(chan struct{})
}

// pointer is the revision that the tree follows. The default branch is the one that
// it was when it was looked at first.
func (t *tree) pointer() string {
	if b := t.branch.Load(); b != nil {
		return b.Revision()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status.revision
}

// looked notes the outcome of a look at the Hub.
func (t *tree) looked(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.err = err
	if err == nil {
		t.status.polledAt = time.Now()
	}
}

// deny notes that the Hub gives no content of the repository to this user, which
// it says for each file anew.
func (t *tree) deny(err error) {
	if !errors.Is(err, hub.ErrGatedRepo) && !errors.Is(err, hub.ErrDisabledRepo) && !errors.Is(err, hub.ErrUnauthorized) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.denied = failure{err, time.Now().Add(rememberRefusal)}
}

// denied is the error of a refusal that is a moment ago, or nil.
func (t *tree) denied() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Now().Before(t.status.denied.until) {
		return t.status.denied.err
	}
	return nil
}

// allow forgets a refusal.
func (t *tree) allow() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.denied = failure{}
}

// dir gives the directory at p in the snapshot s, from what is shown if that is
// of s, else from the cache or the Hub. A path that is no directory there is
// errGone.
func (t *tree) dir(ctx context.Context, s *snapshot, p string) (*view, error) {
	if v := t.shown(p); v != nil && v.snap == s && !v.unknown {
		if v.gone {
			return nil, errGone
		}
		return v, nil
	}
	if p == "" {
		l, err := t.repo.m.folder(ctx, t.repo, s, "", noOID)
		if err != nil {
			return nil, err
		}
		return &view{snap: s, mtime: s.date.Load(), listing: l}, nil
	}
	e, err := t.entry(ctx, s, p)
	if err != nil {
		return nil, err
	}
	if !e.Dir {
		return nil, errGone
	}
	l, err := t.repo.m.folder(ctx, t.repo, s, p, e.OID)
	if err != nil {
		return nil, err
	}
	return &view{snap: s, oid: e.OID, mtime: e.MTime, listing: l}, nil
}

// entry gives the entry at p, which isn't the root.
func (t *tree) entry(ctx context.Context, s *snapshot, p string) (*blobcache.Entry, error) {
	parent, name := splitPath(p)
	in, err := t.dir(ctx, s, parent)
	if err != nil {
		return nil, err
	}
	e, ok := in.listing.Find(name)
	if !ok {
		return nil, errGone
	}
	return e, nil
}

// shown is the view that the kernel may remember of the directory at p, or nil.
func (t *tree) shown(p string) *view {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.dirs[p]; d != nil {
		return d.shown
	}
	return nil
}

// show gives the current view of a directory of which the kernel has asked
// something. With lasting, the kernel may remember for ever what it is told of
// that view: it will be told when that changes. Without, it must not remember.
func (t *tree) show(ctx context.Context, d *dirNode) (v *view, lasting bool, err error) {
	for {
		s, err := t.current(ctx)
		if err != nil {
			return nil, false, err
		}
		t.mu.Lock()
		at := d.pathLocked()
		if t.dirs[at] == d && d.shown.snap == t.snap.Load() && !d.shown.unknown {
			v := d.shown
			t.mu.Unlock()
			return v, true, nil
		}
		t.mu.Unlock()

		v, err := t.dir(ctx, s, at)
		if errors.Is(err, errGone) {
			v, err = goneView(s), nil
		}
		if err != nil {
			return nil, false, err
		}

		t.mu.Lock()
		switch {
		case t.snap.Load() != s || d.pathLocked() != at: // moved meanwhile: what we have is of yesterday
			t.mu.Unlock()
			continue
		case t.dirs[at] == d && d.shown.unknown: // it stays so until the next move
			t.mu.Unlock()
			return v, true, nil
		case d.at.gone:
			t.mu.Unlock()
			return v, false, nil
		case t.moving:
			t.late[d] = struct{}{}
			t.mu.Unlock()
			return v, false, nil
		}
		t.dirs[at], d.shown = d, v
		t.mu.Unlock()
		t.repo.keepLooking()
		return v, true, nil
	}
}

// lasts says whether v is still what the kernel may remember of d.
func (t *tree) lasts(d *dirNode, v *view) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dirs[d.pathLocked()] == d && d.shown == v
}

// forgotten is called when the kernel has forgotten a directory, and with it all
// names in it. It may have looked the directory up again meanwhile.
func (t *tree) forgotten(d *dirNode) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !d.isForgotten() {
		return
	}
	if at := d.pathLocked(); t.dirs[at] == d {
		delete(t.dirs, at)
		d.shown = nil
	}
	t.naming.forget(d.ino, d)
}

// rootAttr fills in the attributes of the root, without asking the Hub, and tells
// how long they last.
func (t *tree) rootAttr(out *fuse.Attr) time.Duration {
	m := t.repo.m
	if s := t.snap.Load(); s != nil {
		if date := s.date.Load(); date != 0 {
			m.owner.dirAttr(out, date)
			if t.fixed {
				return forever
			}
			return briefly
		}
	}
	modified := t.repo.modified()
	if modified.IsZero() || t.fixed {
		modified = m.began
	}
	m.owner.dirAttr(out, modified.Unix())
	return briefly
}

// inUse says whether the kernel may remember anything of the tree.
func (t *tree) inUse() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.dirs) > 0
}

func splitPath(p string) (parent, name string) {
	parent, name = path.Split(p)
	return path.Clean("/" + parent)[1:], name
}

func joinPath(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "/" + name
}
