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
	t   *tree
	ino uint64
	at  spot
	top string // path in the tree of a node that stands in no other

	// shown is the view that the kernel may remember names of, nil if there is
	// none, and former what that was before the last change. They are guarded by tree.mu.
	shown, former *view
}

var (
	_ fs.NodeLookuper       = (*dirNode)(nil)
	_ fs.NodeOpendirHandler = (*dirNode)(nil)
	_ fs.NodeGetattrer      = (*dirNode)(nil)
	_ fs.NodeGetxattrer     = (*dirNode)(nil)
	_ fs.NodeListxattrer    = (*dirNode)(nil)
	_ fs.NodeStatfser       = (*dirNode)(nil)
	_ fs.NodeOnForgetter    = (*dirNode)(nil)
	_ fs.NodeSetattrer      = (*dirNode)(nil)
	_ fs.NodeSetxattrer     = (*dirNode)(nil)
	_ fs.NodeRemovexattrer  = (*dirNode)(nil)
	_ fs.NodeCreater        = (*dirNode)(nil)
	_ fs.NodeTmpfiler       = (*dirNode)(nil)
	_ fs.NodeMkdirer        = (*dirNode)(nil)
	_ fs.NodeMknoder        = (*dirNode)(nil)
	_ fs.NodeSymlinker      = (*dirNode)(nil)
	_ fs.NodeLinker         = (*dirNode)(nil)
	_ fs.NodeRenamer        = (*dirNode)(nil)
	_ fs.NodeUnlinker       = (*dirNode)(nil)
	_ fs.NodeRmdirer        = (*dirNode)(nil)
)

// treeDir makes the node of the directory of a tree that a mount shows at its root,
// or that stands above the trees.
func treeDir(t *tree, p string) *dirNode {
	if p == "" {
		return &dirNode{t: t, ino: t.ino}
	}
	parent, name := splitPath(p)
	return &dirNode{t: t, ino: childIno(treeDir(t, parent).ino, name), top: p}
}

// path is where the directory is in the tree; "" is its root. It may be renamed.
func (d *dirNode) path() string {
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	return d.pathLocked()
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
	if b := d.t.branch.Load(); b != nil {
		return d.lookupMerged(c, ctx, b, name, out)
	}
	v, lasting, err := d.t.show(c, d)
	if err != nil {
		return nil, m.fail("lookup", d.t, joinPath(d.path(), name), err)
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
	if e.Dir {
		m.owner.dirAttr(&out.Attr, e.MTime)
		return d.childDir(ctx, e.Name)
	}
	m.owner.fileAttr(&out.Attr, e)
	out.SetAttrTimeout(forever) // they never change
	return d.childFile(ctx, e, v.snap.commit)
}

// Getattr answers without asking the Hub for what is in the directory.
func (d *dirNode) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	m := d.t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	at := d.path()
	if at == "" {
		lasts := d.t.rootAttr(&out.Attr)
		out.SetTimeout(lasts)
		return 0
	}
	if b := d.t.branch.Load(); b != nil {
		return d.getattrMerged(c, b, out)
	}
	s, err := d.t.current(c)
	if err != nil {
		return m.fail("getattr", d.t, at, err)
	}
	// Not lasting: only what was told of a name in a directory that is shown is
	// taken back when it changes, and this may not be one.
	out.SetTimeout(briefly)
	e, err := d.t.entry(c, s, at)
	switch {
	case err == nil && e.Dir:
		m.owner.dirAttr(&out.Attr, e.MTime)
	case err == nil || errno(err) == syscall.ENOENT: // removed, and somebody is still in it
		m.owner.dirAttr(&out.Attr, s.date.Load())
		out.Nlink = 0
	default:
		return m.fail("getattr", d.t, at, err)
	}
	return 0
}

// Statfs tells of the disk on which changes are kept, where there may be some. How
// large a Hub is, and how full, is unknown.
func (d *dirNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	return d.t.statfs(out)
}

func statfs(out *fuse.StatfsOut) syscall.Errno {
	*out = fuse.StatfsOut{Bsize: 4096, Frsize: 4096, NameLen: 255}
	return 0
}
