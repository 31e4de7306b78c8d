package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hubfs/hubfs/blobcache"
)

// dirNode is a directory of a tree. It is the same node whatever commit the tree
// shows: who stands in it sees what it contains now.
type dirNode struct {
	fs.Inode
	readOnly
	t    *tree
	path string // in the tree; "" is its root
	ino  uint64

	// shown is the view that the kernel may remember names of, nil if there is
	// none. It is guarded by tree.mu.
	shown *view
}

var (
	_ fs.NodeLookuper       = (*dirNode)(nil)
	_ fs.NodeOpendirHandler = (*dirNode)(nil)
	_ fs.NodeGetattrer      = (*dirNode)(nil)
	_ fs.NodeGetxattrer     = (*dirNode)(nil)
	_ fs.NodeListxattrer    = (*dirNode)(nil)
	_ fs.NodeStatfser       = (*dirNode)(nil)
	_ fs.NodeOnForgetter    = (*dirNode)(nil)
)

// newDirNode makes the node of the directory at p, which has the inode number ino.
func newDirNode(t *tree, p string, ino uint64) *dirNode {
	return &dirNode{t: t, path: p, ino: ino}
}

// treeDir makes the node of a directory of a tree from its path.
func treeDir(t *tree, p string) *dirNode {
	if p == "" {
		return newDirNode(t, "", t.ino)
	}
	parent, name := splitPath(p)
	return newDirNode(t, p, childIno(treeDir(t, parent).ino, name))
}

func (d *dirNode) stable() fs.StableAttr { return fs.StableAttr{Mode: syscall.S_IFDIR, Ino: d.ino} }

func (d *dirNode) isForgotten() bool {
	return d.Forgotten() //nolint:staticcheck // the alternative, OnForget, is what asks
}

// OnForget is called when the kernel remembers nothing in this directory.
func (d *dirNode) OnForget() { d.t.forgotten(d) }

// Lookup finds a name in the commit that is shown.
func (d *dirNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	m := d.t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	v, lasting, err := d.t.show(c, d)
	if err != nil {
		return nil, m.fail("lookup", d.t, joinPath(d.path, name), err)
	}
	e, ok := v.listing.Find(name)
	if !ok {
		if !lasting {
			out.SetEntryTimeout(noTime)
		}
		return nil, syscall.ENOENT // remembered by the kernel if out doesn't say otherwise
	}
	return d.child(ctx, v, e, lasting, out), 0
}

// child makes the node of an entry and fills in what the kernel is told of it.
func (d *dirNode) child(ctx context.Context, v *view, e *blobcache.Entry, lasting bool, out *fuse.EntryOut) *fs.Inode {
	m := d.t.repo.m
	setTimes(out, lasting)
	ino := childIno(d.ino, e.Name)
	if e.Dir {
		m.owner.dirAttr(&out.Attr, e.MTime)
		n := newDirNode(d.t, joinPath(d.path, e.Name), ino)
		return d.NewInode(ctx, n, n.stable())
	}
	m.owner.fileAttr(&out.Attr, e)
	out.SetAttrTimeout(forever) // they never change
	return d.NewInode(ctx, &fileNode{dir: d, entry: *e, commit: v.snap.commit},
		fs.StableAttr{Mode: syscall.S_IFREG, Ino: ino, Gen: fileGeneration(e)})
}

// Getattr answers without asking the Hub for what is in the directory.
func (d *dirNode) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	m := d.t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	if d.path == "" {
		lasts := d.t.rootAttr(&out.Attr)
		out.SetTimeout(lasts)
		return 0
	}
	s, err := d.t.current(c)
	if err != nil {
		return m.fail("getattr", d.t, d.path, err)
	}
	// Not lasting: only what was told of a name in a directory that is shown is
	// taken back when it changes, and this may not be one.
	out.SetTimeout(briefly)
	e, err := d.t.entry(c, s, d.path)
	switch {
	case err == nil && e.Dir:
		m.owner.dirAttr(&out.Attr, e.MTime)
	case err == nil || errno(err) == syscall.ENOENT: // removed, and somebody is still in it
		m.owner.dirAttr(&out.Attr, s.date.Load())
		out.Nlink = 0
	default:
		return m.fail("getattr", d.t, d.path, err)
	}
	return 0
}

// OpendirHandle opens the directory for listing. What it lists is decided by the
// first read.
func (d *dirNode) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return &dirHandle{d: d}, 0, 0
}

// Statfs has nothing to tell: how large a Hub is, and how full, is unknown.
func (d *dirNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	return statfs(out)
}

func statfs(out *fuse.StatfsOut) syscall.Errno {
	*out = fuse.StatfsOut{Bsize: 4096, Frsize: 4096, NameLen: 255}
	return 0
}
