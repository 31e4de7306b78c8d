package fs

import (
	"context"
	"encoding/binary"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/writeback"
)

// dirHandle is an open directory of a tree. All that it lists is of one commit:
// the one that was shown at the first read after opening or rewinding. go-fuse
// calls its methods one at a time.
//
// Positions in the stream are indices, 0 is ".", 1 is "..", then the entries, beside a
// tag that listings of other content don't have: in the kernel's cache of a directory,
// what one stream reads never goes on where another one stopped. Trees with changes,
// of which the kernel caches none, have the tag 0.
type dirHandle struct {
	d   *dirNode
	v   *view // nil before the first read
	pos int   // of what Readdirent returns next
	tag uint64
	// merged is the listing instead of v in a tree with changes.
	merged []writeback.Entry
	// opened is what was shown then. What the kernel has read from its cache is of that.
	opened *view
}

var (
	_ fs.FileReaddirenter = (*dirHandle)(nil)
	_ fs.FileLookuper     = (*dirHandle)(nil)
	_ fs.FileSeekdirer    = (*dirHandle)(nil)
	_ fs.FileFsyncdirer   = (*dirHandle)(nil)
)

const (
	dots     = 2 // "." and ".."
	tagShift = 32
	tagMask  = 1<<31 - 1 // the kernel's positions are signed
)

// OpendirHandle opens the directory for listing. What it lists is decided by the first
// read. The kernel keeps the names, until it is told that they change, or changes them
// itself; those of a tree with changes may change otherwise, too.
func (d *dirNode) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h := &dirHandle{d: d}
	if d.t.branch.Load() != nil {
		return h, 0, 0
	}
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	h.opened = d.shown
	return h, fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE, 0
}

// tag is a number for what is listed: the first bits of the folder's id, or of the
// commit where it has none.
func (v *view) tag() uint64 {
	id := v.oid
	if id == noOID {
		if oid, err := blobcache.ParseOID(v.snap.commit); err == nil {
			id = oid
		}
	}
	return uint64(binary.BigEndian.Uint32(id[:4])) & tagMask
}

// Readdirent returns the next entry, nil at the end.
func (h *dirHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if h.v == nil && h.merged == nil {
		if no := h.begin(ctx); no != 0 {
			return nil, no
		}
	}
	pos := h.pos
	e := &fuse.DirEntry{Mode: syscall.S_IFDIR, Off: h.tag<<tagShift | uint64(pos+1)}
	switch {
	case pos == 0:
		e.Name, e.Ino = ".", h.d.ino
	case pos == 1:
		e.Name, e.Ino = "..", parentIno(&h.d.Inode)
	case pos-dots < h.len():
		name, dir, id := h.at(pos - dots)
		e.Name, e.Ino = name, h.d.entryIno(name, id)
		if !dir {
			e.Mode = syscall.S_IFREG
		}
	default:
		return nil, 0
	}
	h.pos++
	return e, 0
}

func (h *dirHandle) begin(ctx context.Context) syscall.Errno {
	t := h.d.t
	c, end := newCall(ctx, t.repo.m.ctx)
	defer end()
	t.repo.m.kernel.listings.Add(1)
	if b := t.branch.Load(); b != nil {
		path, gone := h.d.standing()
		if gone {
			return syscall.ENOENT
		}
		entries, err := b.List(c, path)
		if err != nil {
			return t.repo.m.fail("readdir", t, path, err)
		}
		h.merged = append(make([]writeback.Entry, 0, len(entries)), entries...)
		h.tag = 0
		return 0
	}
	v, _, err := t.show(c, h.d)
	if err == nil && v.gone {
		return syscall.ENOENT
	}
	if err != nil {
		return t.repo.m.fail("readdir", t, h.d.path(), err)
	}
	h.v, h.tag = v, v.tag()
	return 0
}

// len is how many names are listed.
func (h *dirHandle) len() int {
	if h.v != nil {
		return len(h.v.listing.Entries)
	}
	return len(h.merged)
}

// at is what is listed at an index.
func (h *dirHandle) at(i int) (name string, dir bool, id uint64) {
	if h.v != nil {
		e := &h.v.listing.Entries[i]
		return e.Name, e.Dir, 0
	}
	e := &h.merged[i]
	return e.Name, e.Dir, e.ID
}

// entryIno is the inode number that a lookup of the name would give.
func (d *dirNode) entryIno(name string, id uint64) uint64 {
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	if n := d.t.naming.live[id]; n != nil {
		return inoOf(n)
	}
	if len(d.t.naming.away) == 0 {
		return childIno(d.ino, name)
	}
	if child := d.GetChild(name); child != nil && *spotOf(child.Operations()) == (spot{in: d, name: name}) {
		return child.StableAttr().Ino
	}
	return d.t.naming.ino(d, name)
}

// Lookup answers for the entry that Readdirent has returned last. Once the tree
// has moved, the rest of a stream is names only: the kernel would remember what
// nobody takes back any more. Where things are changed here, what was listed may be
// of the past, so it is looked up.
func (h *dirHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	i := h.pos - 1 - dots
	if i < 0 || i >= h.len() {
		return nil, syscall.EINVAL
	}
	if listed, _, _ := h.at(i); listed != name {
		return nil, syscall.EINVAL
	}
	if b := h.d.t.branch.Load(); b != nil {
		c, end := newCall(ctx, h.d.t.repo.m.ctx)
		defer end()
		return h.d.lookupMerged(c, ctx, b, name, out)
	}
	if !h.d.t.lasts(h.d, h.v) {
		return nil, syscall.ESTALE
	}
	return h.d.child(ctx, h.v, &h.v.listing.Entries[i], true, out), 0
}

// Seekdir goes to a position that an entry told. Rewinding shows the directory as
// it is then. The beginning of a stream may have come from the kernel's cache, of which
// nothing is known here.
func (h *dirHandle) Seekdir(ctx context.Context, off uint64) syscall.Errno {
	tag, pos := off>>tagShift, int(off&(1<<tagShift-1))
	switch {
	case off == 0:
		h.v, h.merged = nil, nil
	case h.v == nil && h.merged == nil:
		if no := h.resume(ctx, tag); no != 0 {
			return no
		}
	}
	switch {
	case off == 0:
	case tag != h.tag:
		return syscall.ESTALE // the tree has moved twice meanwhile
	case pos > h.len()+dots:
		return syscall.EINVAL
	}
	h.pos = pos
	return 0
}

// resume goes on with what a stream has begun with, if that is still known.
func (h *dirHandle) resume(ctx context.Context, tag uint64) syscall.Errno {
	t := h.d.t
	t.mu.Lock()
	known := []*view{h.opened, h.d.shown, h.d.former}
	t.mu.Unlock()
	for _, v := range known {
		if v != nil && v.tag() == tag && !v.gone && !v.unknown {
			h.v, h.tag = v, tag
			return 0
		}
	}
	return h.begin(ctx)
}

// Fsyncdir commits what is changed in the directory: it is what sync PATH does.
func (h *dirHandle) Fsyncdir(ctx context.Context, _ uint32) syscall.Errno {
	return h.d.t.syncPath(ctx, h.d.path)
}

func parentIno(n *fs.Inode) uint64 {
	if _, parent := n.Parent(); parent != nil {
		return parent.StableAttr().Ino
	}
	return n.StableAttr().Ino
}
