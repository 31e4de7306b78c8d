package fs

import (
	"context"
	"errors"
	"path"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hubfs/hubfs/hub"
)

// upperNode is a directory above the trees.
type upperNode struct {
	fs.Inode
	above
	m     *Mount
	shelf shelf
	path  string // in the mount
	ino   uint64
}

var (
	_ fs.NodeLookuper       = (*upperNode)(nil)
	_ fs.NodeOpendirHandler = (*upperNode)(nil)
	_ fs.NodeGetattrer      = (*upperNode)(nil)
	_ fs.NodeGetxattrer     = (*upperNode)(nil)
	_ fs.NodeStatfser       = (*upperNode)(nil)
	_ fs.NodeMkdirer        = (*upperNode)(nil)
)

// Lookup finds a namespace, a repository or a tree.
func (u *upperNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	c, end := newCall(ctx, u.m.ctx)
	defer end()
	it, err := u.shelf.lookup(c, name)
	if err != nil {
		out.SetEntryTimeout(noTime) // the kernel isn't to remember it: we do, for less long
		return nil, u.m.failAt("lookup", joinPath(u.path, name), err)
	}
	return u.child(ctx, it, out), 0
}

// child makes the node of an item.
func (u *upperNode) child(ctx context.Context, it item, out *fuse.EntryOut) *fs.Inode {
	out.SetEntryTimeout(upperTime)
	out.SetAttrTimeout(upperTime)
	n, stable := u.node(it)
	switch n := n.(type) {
	case *dirNode:
		out.SetAttrTimeout(n.t.rootAttr(&out.Attr))
	case *upperNode:
		u.m.owner.dirAttr(&out.Attr, u.m.began.Unix())
	case *linkNode:
		u.m.owner.linkAttr(&out.Attr, n.target, u.m.began.Unix())
	}
	return u.NewInode(ctx, n, stable)
}

func (u *upperNode) node(it item) (fs.InodeEmbedder, fs.StableAttr) {
	ino := childIno(u.ino, it.name)
	switch {
	case it.tree != nil:
		d := treeDir(it.tree, "")
		return d, d.stable()
	case it.shelf != nil:
		return &upperNode{above: above{u.m}, m: u.m, shelf: it.shelf, path: joinPath(u.path, it.name), ino: ino},
			fs.StableAttr{Mode: syscall.S_IFDIR, Ino: ino}
	}
	// A link never changes: with another target, it is another node.
	return &linkNode{above: above{u.m}, m: u.m, target: it.link}, fs.StableAttr{Mode: syscall.S_IFLNK, Ino: ino, Gen: hash64([]byte(it.link))}
}

// Getattr tells what all of these directories have in common.
func (u *upperNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	u.m.owner.dirAttr(&out.Attr, u.m.began.Unix())
	out.SetTimeout(upperTime)
	return 0
}

// Getxattr has nothing to tell. Without it, the kernel would take it that no file
// of the mount has attributes.
func (u *upperNode) Getxattr(context.Context, string, []byte) (uint32, syscall.Errno) {
	return 0, syscall.ENODATA
}

// Statfs is that of all directories.
func (u *upperNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno { return statfs(out) }

// OpendirHandle opens the directory for listing.
func (u *upperNode) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return &upperHandle{u: u}, 0, 0
}

// upperHandle is an open directory above the trees. Its positions are those of
// dirHandle.
type upperHandle struct {
	u      *upperNode
	items  []item
	loaded bool
	pos    int
}

var (
	_ fs.FileReaddirenter = (*upperHandle)(nil)
	_ fs.FileLookuper     = (*upperHandle)(nil)
	_ fs.FileSeekdirer    = (*upperHandle)(nil)
	_ fs.FileFsyncdirer   = (*upperHandle)(nil)
)

// Readdirent returns the next entry, nil at the end.
func (h *upperHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if !h.loaded {
		c, end := newCall(ctx, h.u.m.ctx)
		defer end()
		items, err := h.u.shelf.list(c)
		if err != nil {
			return nil, h.u.m.failAt("readdir", h.u.path, err)
		}
		h.items, h.loaded = items, true
	}
	pos := h.pos
	e := &fuse.DirEntry{Mode: syscall.S_IFDIR, Off: uint64(pos + 1)}
	switch {
	case pos == 0:
		e.Name, e.Ino = ".", h.u.ino
	case pos == 1:
		e.Name, e.Ino = "..", parentIno(&h.u.Inode)
	case pos-dots < len(h.items):
		it := h.items[pos-dots]
		_, stable := h.u.node(it)
		e.Name, e.Ino, e.Mode = it.name, stable.Ino, stable.Mode
	default:
		return nil, 0
	}
	h.pos++
	return e, 0
}

// Lookup answers for the entry that Readdirent has returned last, from the list.
func (h *upperHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	i := h.pos - 1 - dots
	if i < 0 || i >= len(h.items) || h.items[i].name != name {
		return nil, syscall.EINVAL
	}
	return h.u.child(ctx, h.items[i], out), 0
}

// Seekdir goes to a position that an entry told. Rewinding lists anew.
func (h *upperHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		h.items, h.loaded = nil, false
	} else if !h.loaded || off > uint64(len(h.items)+dots) {
		return syscall.EINVAL
	}
	h.pos = int(off)
	return 0
}

// Fsyncdir commits what is changed in the trees below.
func (h *upperHandle) Fsyncdir(ctx context.Context, _ uint32) syscall.Errno {
	return h.u.m.syncBelow(ctx, h.u.path)
}

// Mkdir makes a branch, of the name name@branch. It begins where the default branch is.
// Nothing else can be made here: hubfs api makes repositories.
func (u *upperNode) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	c, end := newCall(ctx, u.m.ctx)
	defer end()
	at := joinPath(u.path, name)
	if err := u.makeBranch(c, name); err != nil {
		return nil, u.m.failAt("mkdir", at, err)
	}
	it, err := u.shelf.lookup(c, name)
	if err == nil && it.tree == nil { // in another spelling
		err = syscall.EPERM
	}
	if err != nil {
		return nil, u.m.failAt("mkdir", at, err)
	}
	return u.child(ctx, it, out), 0
}

func (u *upperNode) makeBranch(ctx context.Context, name string) error {
	if u.m.opts.Write == nil {
		return &readOnlyError{path.Join(u.path, name), "it is mounted so"}
	}
	n, ok := parseRepoName(name)
	s, canHave := u.shelf.(interface{ repo(string) hub.Repo })
	if !ok || !n.hasRevision || !canHave || isCommit(n.revision) || strings.HasPrefix(n.revision, "refs/") {
		return syscall.EPERM
	}
	r, err := u.m.catalog.repo(ctx, s.repo(n.name))
	if err != nil {
		return err
	}
	known, err := r.references(ctx, false)
	if err != nil {
		return err
	}
	err = u.m.hub.CreateBranch(ctx, r.id, n.revision, &hub.CreateBranchOptions{Revision: known.Default})
	if errors.Is(err, hub.ErrConflict) {
		return syscall.EEXIST
	}
	if err != nil {
		return err
	}
	u.m.forgetFailures()
	_, err = r.askReferences(ctx, false)
	return err
}

// linkNode is a symbolic link.
type linkNode struct {
	fs.Inode
	above
	m      *Mount
	target string
}

var (
	_ fs.NodeReadlinker = (*linkNode)(nil)
	_ fs.NodeGetattrer  = (*linkNode)(nil)
	_ fs.NodeGetxattrer = (*linkNode)(nil)
)

// Readlink answers for ever.
func (l *linkNode) Readlink(context.Context) ([]byte, syscall.Errno) { return []byte(l.target), 0 }

// Getattr answers for ever.
func (l *linkNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	l.m.owner.linkAttr(&out.Attr, l.target, l.m.began.Unix())
	out.SetTimeout(forever)
	return 0
}

// Getxattr has nothing to tell, see upperNode.Getxattr.
func (l *linkNode) Getxattr(context.Context, string, []byte) (uint32, syscall.Errno) {
	return 0, syscall.ENODATA
}
