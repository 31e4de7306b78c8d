package fs

import (
	"context"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/writeback"
)

// A spot is where a node stands in its tree. It is guarded by tree.mu. What stands
// below a directory follows it when it is renamed.
type spot struct {
	in   *dirNode // nil: at the top
	name string
	gone bool // it has been removed here, or replaced: nothing stands there any more
}

// pathLocked is the path in the tree. tree.mu is held.
func (d *dirNode) pathLocked() string {
	if d.at.in == nil {
		return d.top
	}
	return d.at.pathLocked()
}

func (p *spot) pathLocked() string { return joinPath(p.in.pathLocked(), p.name) }

// naming is what a tree knows of nodes that can't be found by path and content alone.
// It is guarded by tree.mu.
type naming struct {
	// live are the nodes of files that are staged or open for writing, by the number
	// that package writeback gives their content.
	live map[uint64]*fileNode
	// away are nodes that stand elsewhere than their inode number says, by it, or
	// nowhere any more: who comes after them needs another number.
	away map[uint64]fs.InodeEmbedder
	// spoiled are the inode numbers of files of which there are nodes that must not be
	// found by content any more: it was changed, or somebody reads it in passthrough
	// while somebody else is about to change it.
	spoiled map[uint64]*spoiled
	// changing counts renames and removals under way.
	changing int
	changed  chan struct{} // closed, and replaced, when one has ended
}

type spoiled struct {
	count uint64 // of all times
	nodes int    // that are known to the kernel
	until time.Time
}

// reservation is how long a new node is kept for the writer that needs it.
const reservation = time.Second

func newNaming() naming {
	return naming{
		live: make(map[uint64]*fileNode), away: make(map[uint64]fs.InodeEmbedder), spoiled: make(map[uint64]*spoiled),
		changed: make(chan struct{}),
	}
}

// forget is called for a node that the kernel has forgotten.
func (n *naming) forget(ino uint64, node fs.InodeEmbedder) {
	if n.away[ino] == node {
		delete(n.away, ino)
	}
}

// ino gives the inode number of what comes to stand at a name.
func (n *naming) ino(d *dirNode, name string) uint64 {
	ino := childIno(d.ino, name)
	for i := 1; n.away[ino] != nil; i++ {
		ino = childIno(d.ino, name+"\x00"+strconv.Itoa(i))
	}
	return ino
}

// generation tells nodes of one inode number apart, see fileGeneration.
func (n *naming) generation(ino uint64, e *blobcache.Entry) uint64 {
	gen := fileGeneration(e)
	if s := n.spoiled[ino]; s != nil {
		if s.nodes == 0 && time.Now().After(s.until) {
			delete(n.spoiled, ino)
		} else {
			gen = childIno(gen, strconv.FormatUint(s.count, 10))
		}
	}
	return gen
}

// childDir gives the node of the directory at a name.
func (d *dirNode) childDir(ctx context.Context, name string) *fs.Inode {
	d.t.mu.Lock()
	if child := d.GetChild(name); child != nil {
		if n, ok := child.Operations().(*dirNode); ok && n.at == (spot{in: d, name: name}) {
			d.t.mu.Unlock()
			return child
		}
	}
	n := &dirNode{t: d.t, at: spot{in: d, name: name}, ino: d.t.naming.ino(d, name)}
	d.t.mu.Unlock()
	return d.NewInode(ctx, n, n.stable())
}

// childFile gives the node of a file that is as the Hub has it.
func (d *dirNode) childFile(ctx context.Context, e *blobcache.Entry, commit string) *fs.Inode {
	n := &fileNode{t: d.t, at: spot{in: d, name: e.Name}, entry: *e, commit: commit}
	d.t.mu.Lock()
	ino := d.t.naming.ino(d, e.Name)
	gen := d.t.naming.generation(ino, e)
	d.t.mu.Unlock()
	return d.NewInode(ctx, n, fs.StableAttr{Mode: syscall.S_IFREG, Ino: ino, Gen: gen})
}

// childStaged gives the node of a file that is changed here: always the same one, as
// long as the kernel knows it.
func (d *dirNode) childStaged(ctx context.Context, e *writeback.Entry) *fs.Inode {
	d.t.mu.Lock()
	if n := d.t.naming.live[e.ID]; n != nil {
		d.t.placeLocked(n, d, e.Name)
		d.t.mu.Unlock()
		return n.EmbeddedInode()
	}
	n := &fileNode{t: d.t, at: spot{in: d, name: e.Name}, id: e.ID}
	n.entry.Name = e.Name
	n.tracked.Store(true)
	d.t.naming.live[e.ID] = n
	ino := d.t.naming.ino(d, e.Name)
	// Under the lock: who finds the node must find its inode, too.
	child := d.NewInode(ctx, n, fs.StableAttr{Mode: syscall.S_IFREG, Ino: ino, Gen: childIno(e.ID, "staged")})
	d.t.mu.Unlock()
	return child
}

// placeLocked notes where a node stands now.
func (t *tree) placeLocked(n fs.InodeEmbedder, in *dirNode, name string) {
	at, ino := spotOf(n), inoOf(n)
	*at = spot{in: in, name: name}
	if ino == childIno(in.ino, name) {
		t.naming.forget(ino, n)
		return
	}
	t.awayLocked(n)
}

// goneLocked notes that a node stands nowhere any more.
func (t *tree) goneLocked(n fs.InodeEmbedder) {
	spotOf(n).gone = true
	switch n := n.(type) {
	case *dirNode:
		if at := n.pathLocked(); t.dirs[at] == n {
			delete(t.dirs, at)
			n.shown = nil
		}
	case *fileNode:
		if n.id != 0 && t.naming.live[n.id] == n {
			delete(t.naming.live, n.id)
		}
	}
	t.awayLocked(n)
}

func (t *tree) awayLocked(n fs.InodeEmbedder) {
	if f, ok := n.(*fileNode); ok {
		f.tracked.Store(true)
	}
	t.naming.away[inoOf(n)] = n
}

func spotOf(n fs.InodeEmbedder) *spot {
	if d, ok := n.(*dirNode); ok {
		return &d.at
	}
	return &n.(*fileNode).at
}

func inoOf(n fs.InodeEmbedder) uint64 { return n.EmbeddedInode().StableAttr().Ino }

// spoil keeps a node from being found by content, or by number if it is read in
// passthrough.
func (t *tree) spoil(f *fileNode) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ino := inoOf(f)
	s := t.naming.spoiled[ino]
	if s == nil {
		s = new(spoiled)
		t.naming.spoiled[ino] = s
	}
	if f.modes.isThrough() { // another node is needed
		s.until = time.Now().Add(reservation)
		if t.naming.live[f.id] == f {
			delete(t.naming.live, f.id)
		}
	}
	if !f.spoils {
		f.spoils = true
		f.tracked.Store(true)
		s.count++
		s.nodes++
	}
}

// isSpoiled says whether the file of a node may be about to be written to, under this
// node or another.
func (t *tree) isSpoiled(f *fileNode) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.naming.spoiled[inoOf(f)]
	return s != nil && (s.nodes > 0 || time.Now().Before(s.until))
}

// bind makes a node the one of content that is staged, or about to be.
func (t *tree) bind(f *fileNode, id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.id != 0 || f.at.gone {
		return
	}
	f.id = id
	f.tracked.Store(true)
	t.naming.live[id] = f
}

// unbind undoes bind for a node that was made as the Hub has it.
func (t *tree) unbind(f *fileNode, id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.id != id || f.commit == "" || f.at.gone {
		return
	}
	if t.naming.live[id] == f {
		delete(t.naming.live, id)
	}
	f.id = 0
}

// forgottenFile is called when the kernel may have forgotten a file.
func (t *tree) forgottenFile(f *fileNode) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !f.isForgotten() {
		return
	}
	ino := inoOf(f)
	t.naming.forget(ino, f)
	if t.naming.live[f.id] == f {
		delete(t.naming.live, f.id)
	}
	if f.spoils {
		f.spoils = false
		if s := t.naming.spoiled[ino]; s != nil {
			if s.nodes--; s.nodes == 0 && time.Now().After(s.until) {
				delete(t.naming.spoiled, ino)
			}
		}
	}
}

// beginNaming and endNaming are around a change of names, which finds nodes by path
// wrong meanwhile.
func (t *tree) beginNaming() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.naming.changing++
}

func (t *tree) endNaming() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.naming.changing--
	close(t.naming.changed)
	t.naming.changed = make(chan struct{})
}

// awaitNaming returns when names may stand elsewhere than a moment ago; false if
// none is being changed.
func (t *tree) awaitNaming(ctx context.Context) bool {
	t.mu.Lock()
	changing, changed := t.naming.changing, t.naming.changed
	t.mu.Unlock()
	if changing == 0 {
		return false
	}
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}

// renamedLocked notes that what stood at old stands at new now.
func (t *tree) renamedLocked(moved *fs.Inode, in *dirNode, name, old, new string) {
	n := moved.Operations()
	if spotOf(n).gone {
		return
	}
	t.placeLocked(n, in, name)
	if _, ok := n.(*dirNode); !ok {
		return
	}
	// The kernel remembers of them what it did; but what of it the Hub's tree has to
	// do with, isn't known here.
	s := t.snap.Load()
	for at, d := range t.dirs {
		if at != old && !strings.HasPrefix(at, old+"/") {
			continue
		}
		delete(t.dirs, at)
		defer func() {
			t.dirs[new+strings.TrimPrefix(at, old)] = d
			d.shown = unknownView(s)
		}()
	}
}
