package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// dirHandle is an open directory of a tree. All that it lists is of one commit:
// the one that was shown at the first read after opening or rewinding. go-fuse
// calls its methods one at a time.
//
// Positions in the stream are indices: 0 is ".", 1 is "..", then the entries.
type dirHandle struct {
	d   *dirNode
	v   *view // nil before the first read
	pos int   // of what Readdirent returns next
}

var (
	_ fs.FileReaddirenter = (*dirHandle)(nil)
	_ fs.FileLookuper     = (*dirHandle)(nil)
	_ fs.FileSeekdirer    = (*dirHandle)(nil)
	_ fs.FileFsyncdirer   = (*dirHandle)(nil)
)

const dots = 2 // "." and ".."

// Readdirent returns the next entry, nil at the end.
func (h *dirHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if h.v == nil {
		if no := h.begin(ctx); no != 0 {
			return nil, no
		}
	}
	pos := h.pos
	e := &fuse.DirEntry{Mode: syscall.S_IFDIR, Off: uint64(pos + 1)}
	switch {
	case pos == 0:
		e.Name, e.Ino = ".", h.d.ino
	case pos == 1:
		e.Name, e.Ino = "..", parentIno(&h.d.Inode)
	case pos-dots < len(h.v.listing.Entries):
		entry := &h.v.listing.Entries[pos-dots]
		e.Name, e.Ino = entry.Name, childIno(h.d.ino, entry.Name)
		if !entry.Dir {
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
	v, _, err := t.show(c, h.d)
	if err == nil && v.gone {
		return syscall.ENOENT
	}
	if err != nil {
		return t.repo.m.fail("readdir", t, h.d.path, err)
	}
	h.v = v
	return 0
}

// Lookup answers for the entry that Readdirent has returned last. Once the tree
// has moved, the rest of a stream is names only: the kernel would remember what
// nobody takes back any more.
func (h *dirHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	i := h.pos - 1 - dots
	if i < 0 || i >= len(h.v.listing.Entries) || h.v.listing.Entries[i].Name != name {
		return nil, syscall.EINVAL
	}
	if !h.d.t.lasts(h.d, h.v) {
		return nil, syscall.ESTALE
	}
	return h.d.child(ctx, h.v, &h.v.listing.Entries[i], true, out), 0
}

// Seekdir goes to a position that an entry told. Rewinding shows the directory as
// it is then.
func (h *dirHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		h.v = nil
	} else if h.v == nil || off > uint64(len(h.v.listing.Entries)+dots) {
		return syscall.EINVAL
	}
	h.pos = int(off)
	return 0
}

// Fsyncdir has nothing to do, and says so.
func (h *dirHandle) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }

func parentIno(n *fs.Inode) uint64 {
	if _, parent := n.Parent(); parent != nil {
		return parent.StableAttr().Ino
	}
	return n.StableAttr().Ino
}
