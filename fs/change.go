package fs

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/writeback"
)

// Changes of names. The kernel makes one at a time in a directory, and doesn't look up
// names there meanwhile; each is made in package writeback first, then among the nodes.

// change gets ready for a change in the directory: it may be made in b.
func (d *dirNode) change(ctx context.Context) (b *writeback.Branch, path string, err error) {
	if b, err = d.t.writer(ctx); err != nil {
		return nil, "", err
	}
	path, gone := d.standing()
	if gone {
		return nil, "", errGone
	}
	return b, path, nil
}

// Create makes a file and opens it.
func (d *dirNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	m := d.t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	b, path, err := d.change(c)
	if err != nil {
		return nil, nil, 0, m.fail("create", d.t, path, err)
	}
	lasting := d.t.watch(c, d)
	path = joinPath(path, name)
	if flags&syscall.O_ACCMODE == syscall.O_RDONLY {
		flags |= syscall.O_RDWR // else nobody would ever say that the new file is whole
	}
	file, err := b.OpenFile(c, path, openFlags(flags)|os.O_CREATE, os.FileMode(mode)&os.ModePerm)
	if err != nil {
		return nil, nil, 0, m.fail("create", d.t, path, err)
	}
	e := file.Stat()
	e.Name, e.Local = name, true
	child := d.childStaged(ctx, &e)
	f := child.Operations().(*fileNode)
	f.modes.hold() // never fails: nothing staged is read in passthrough
	f.modes.add(file)
	setTimes(out, lasting)
	out.SetAttrTimeout(briefly)
	m.owner.mergedAttr(&out.Attr, &e)
	m.blockAttr(&out.Attr, &e, name)
	return child, newStagedHandle(f, file, flags), f.openFlags(), 0
}

// Tmpfile isn't supported; programs make a file with a name instead.
func (d *dirNode) Tmpfile(ctx context.Context, _, _ uint32, _ *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, d.t.refuse(ctx, syscall.EOPNOTSUPP)
}

// Mkdir makes a folder. It is local as long as it is empty.
func (d *dirNode) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	m := d.t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	b, path, err := d.change(c)
	if err != nil {
		return nil, m.fail("mkdir", d.t, path, err)
	}
	lasting := d.t.watch(c, d)
	path = joinPath(path, name)
	if err := b.Mkdir(c, path); err != nil {
		return nil, m.fail("mkdir", d.t, path, err)
	}
	if mode &= 0o7777; mode != 0o755&^m.owner.umask {
		if err := b.Setattr(c, path, writeback.Setattr{Mode: &mode}); err != nil {
			return nil, m.fail("mkdir", d.t, path, err)
		}
	}
	e, err := b.Lookup(c, path)
	if err != nil {
		return nil, m.fail("mkdir", d.t, path, err)
	}
	setTimes(out, lasting)
	m.owner.mergedAttr(&out.Attr, &e)
	return d.childDir(ctx, name), 0
}

// Mknod makes nothing: the Hub has regular files only, and those are made by open.
func (d *dirNode) Mknod(ctx context.Context, _ string, _, _ uint32, _ *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, d.t.refuse(ctx, syscall.EPERM)
}

// Symlink is EPERM, as on all file systems that have no symbolic links: the Hub
// refuses them.
func (d *dirNode) Symlink(ctx context.Context, _, _ string, _ *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, d.t.refuse(ctx, syscall.EPERM)
}

// Link is EPERM: Git has no hard links.
func (d *dirNode) Link(ctx context.Context, _ fs.InodeEmbedder, _ string, _ *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, d.t.refuse(ctx, syscall.EPERM)
}

// Unlink removes a file. Who has it open goes on with it.
func (d *dirNode) Unlink(ctx context.Context, name string) syscall.Errno {
	return d.remove(ctx, "unlink", name, (*writeback.Branch).Unlink)
}

// Rmdir removes an empty folder.
func (d *dirNode) Rmdir(ctx context.Context, name string) syscall.Errno {
	return d.remove(ctx, "rmdir", name, (*writeback.Branch).Rmdir)
}

func (d *dirNode) remove(ctx context.Context, op, name string, remove func(*writeback.Branch, context.Context, string) error) syscall.Errno {
	t := d.t
	m := t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	b, path, err := d.change(c)
	if err != nil {
		return m.fail(op, t, path, err)
	}
	t.watch(c, d) // the kernel remembers that the name isn't there
	path = joinPath(path, name)
	t.beginNaming()
	defer t.endNaming()
	if err := remove(b, c, path); err != nil {
		return m.fail(op, t, path, err)
	}
	t.vacated(d, name)
	return 0
}

// vacated notes that what stood at a name stands nowhere any more.
func (t *tree) vacated(d *dirNode, name string) {
	child := d.GetChild(name)
	if child == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := child.Operations(); *spotOf(n) == (spot{in: d, name: name}) {
		t.goneLocked(n)
	}
}

// Rename moves a file or a folder. RENAME_EXCHANGE and RENAME_WHITEOUT are EINVAL. To
// another tree it is EXDEV, which has mv copy.
func (d *dirNode) Rename(ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	t := d.t
	m := t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	into, ok := to.(*dirNode)
	switch {
	case flags&^unix.RENAME_NOREPLACE != 0:
		return t.refuse(c, syscall.EINVAL)
	case !ok:
		return t.refuse(c, syscall.EPERM)
	case into.t != t:
		return t.refuse(c, syscall.EXDEV)
	}
	b, old, err := d.change(c)
	if err != nil {
		return m.fail("rename", t, old, err)
	}
	path, gone := into.standing()
	if gone {
		return syscall.ENOENT
	}
	t.watch(c, d)
	t.watch(c, into)
	old, path = joinPath(old, name), joinPath(path, newName)
	moved := d.GetChild(name)
	if moved != nil {
		t.keepSources(moved)
	}
	t.beginNaming()
	defer t.endNaming()
	if err := b.Rename(c, old, path, flags&unix.RENAME_NOREPLACE != 0); err != nil {
		return m.fail("rename", t, old, err)
	}
	if old == path {
		return 0
	}
	t.vacated(into, newName)
	if moved == nil {
		return 0
	}
	t.mu.Lock()
	t.renamedLocked(moved, into, newName, old, path)
	t.mu.Unlock()
	t.bindBelow(c, b, moved)
	return 0
}

// keepSources notes where the Hub has the content of files that are about to move.
func (t *tree) keepSources(n *fs.Inode) {
	if f, ok := n.Operations().(*fileNode); ok {
		commit, path := f.source()
		t.mu.Lock()
		f.commit, f.origin = commit, path
		t.mu.Unlock()
		return
	}
	for _, child := range n.Children() {
		t.keepSources(child)
	}
}

// bindBelow finds out what numbers files have that were moved, so that who looks them
// up finds the nodes that are there.
func (t *tree) bindBelow(ctx context.Context, b *writeback.Branch, n *fs.Inode) {
	f, ok := n.Operations().(*fileNode)
	if !ok {
		for _, child := range n.Children() {
			t.bindBelow(ctx, b, child)
		}
		return
	}
	path, id, gone := f.standing()
	if id != 0 || gone || f.modes.isThrough() { // a writer would need another node
		return
	}
	if e, err := b.Lookup(ctx, path); err == nil && e.Local && e.ID != 0 {
		t.bind(f, e.ID)
	}
}

// Setattr changes mode and time; that of the root of a tree are nobody's.
func (d *dirNode) Setattr(ctx context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	m := d.t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	b, path, err := d.change(c)
	if errors.Is(err, errGone) {
		return d.Getattr(ctx, nil, out)
	}
	if err != nil {
		return m.fail("setattr", d.t, path, err)
	}
	if no := mayChown(ctx, m.owner, in); no != 0 {
		return no
	}
	if set, ok := setattrOf(in); ok && path != "" {
		if err := b.Setattr(c, path, set); err != nil {
			return m.fail("setattr", d.t, path, err)
		}
	}
	return d.Getattr(ctx, nil, out)
}

// Setxattr keeps nothing: the Hub has no place for it.
func (d *dirNode) Setxattr(ctx context.Context, _ string, _ []byte, _ uint32) syscall.Errno {
	return d.t.noXattr(ctx)
}

// Removexattr finds none to remove.
func (d *dirNode) Removexattr(ctx context.Context, _ string) syscall.Errno { return d.t.noXattr(ctx) }

// noXattr is the answer to who wants to set an extended attribute.
func (t *tree) noXattr(ctx context.Context) syscall.Errno { return t.refuse(ctx, syscall.EOPNOTSUPP) }

// refuse answers what can't be done anywhere; in a tree that can't be changed at all,
// that is the reason.
func (t *tree) refuse(ctx context.Context, no syscall.Errno) syscall.Errno {
	c, end := newCall(ctx, t.repo.m.ctx)
	defer end()
	if _, err := t.writer(c); err != nil {
		return errno(err)
	}
	return no
}
