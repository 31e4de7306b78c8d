package fs

import (
	"context"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hubfs/hubfs/writeback"
)

// A tree in which something was changed here shows what package writeback makes of the
// Hub's tree and the changes. What the kernel remembers of such a tree is taken back in
// the same way as that of others: by what differs between two commits. That is enough,
// since changes that are made here are made by the kernel itself, which knows of them,
// and a commit of them is a move to another commit. What else alters the view, such as
// a conflict that was solved, is told by path (tree.tell).

// lookupMerged finds a name among the changes and in the Hub's tree.
func (d *dirNode) lookupMerged(c, ctx context.Context, b *writeback.Branch, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	lasting := d.t.watch(c, d) // first: what is answered is no older than what is remembered
	path, gone := d.standing()
	if gone {
		out.SetEntryTimeout(noTime)
		return nil, syscall.ENOENT
	}
	path = joinPath(path, name)
	for {
		commit := b.Tree().Commit()
		e, err := b.Lookup(c, path)
		if err != nil {
			if !lasting || errno(err) != syscall.ENOENT {
				out.SetEntryTimeout(noTime)
			}
			return nil, d.t.repo.m.fail("lookup", d.t, path, err)
		}
		if b.Tree().Commit() == commit {
			setTimes(out, lasting)
			return d.childMerged(ctx, &e, commit, out), 0
		}
	}
}

// childMerged makes the node of an entry and fills in what the kernel is told of it.
func (d *dirNode) childMerged(ctx context.Context, e *writeback.Entry, commit string, out *fuse.EntryOut) *fs.Inode {
	m := d.t.repo.m
	m.owner.mergedAttr(&out.Attr, e)
	m.blockAttr(&out.Attr, e, e.Name)
	switch {
	case e.Dir:
		return d.childDir(ctx, e.Name)
	case !e.Local && !d.t.isLive(e.ID):
		out.SetAttrTimeout(forever)
		return d.childFile(ctx, e.Base, commit)
	}
	out.SetAttrTimeout(briefly)
	return d.childStaged(ctx, e)
}

// isLive says whether there is a node of a file that is, or may be, written to.
func (t *tree) isLive(id uint64) bool {
	if id == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.naming.live[id] != nil
}

// standing tells where the directory is, if it's there.
func (d *dirNode) standing() (path string, gone bool) {
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	for at := d; at.at.in != nil; at = at.at.in {
		if at.at.gone {
			return "", true
		}
	}
	return d.pathLocked(), false
}

// watch has the directory seen to by moves. It says whether the kernel may remember
// what it is told of it from now on.
func (t *tree) watch(ctx context.Context, d *dirNode) bool {
	_, lasting, err := t.show(ctx, d)
	if err == nil {
		return lasting
	}
	// The Hub doesn't tell what it has there, but much may be known all the same.
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.snap.Load()
	switch {
	case s == nil || d.at.gone:
		return false
	case t.moving:
		t.late[d] = struct{}{}
		return false
	}
	t.dirs[d.pathLocked()], d.shown = d, unknownView(s)
	return true
}

// mergedAttr tells what is known of an entry.
func (o owner) mergedAttr(out *fuse.Attr, e *writeback.Entry) {
	var mtime int64
	if !e.MTime.IsZero() {
		mtime = e.MTime.Unix()
	}
	if e.Dir {
		o.dirAttr(out, mtime)
	} else {
		out.Mode = syscall.S_IFREG | 0o644&^o.umask
		out.Nlink = 1
		out.Size = uint64(max(e.Size, 0))
		out.Blocks = (out.Size + 511) / 512
		o.common(out, mtime)
	}
	if e.Mode != 0 {
		out.Mode = out.Mode&syscall.S_IFMT | e.Mode
	}
	if mtime > 0 {
		nsec := uint32(e.MTime.Nanosecond())
		out.Mtimensec, out.Ctimensec, out.Atimensec = nsec, nsec, nsec
	}
}

// getattrMerged answers for a directory below the root.
func (d *dirNode) getattrMerged(ctx context.Context, b *writeback.Branch, out *fuse.AttrOut) syscall.Errno {
	m := d.t.repo.m
	out.SetTimeout(briefly)
	path, gone := d.standing()
	if !gone {
		e, err := b.Lookup(ctx, path)
		if err == nil && e.Dir {
			m.owner.mergedAttr(&out.Attr, &e)
			return 0
		}
		if err != nil && !isRefusal(err) && errno(err) != syscall.ENOTDIR {
			return m.fail("getattr", d.t, path, err)
		}
	}
	m.owner.dirAttr(&out.Attr, time.Now().Unix()) // removed, and somebody is still in it
	out.Nlink = 0
	return 0
}

// getattrMerged answers for a file.
func (f *fileNode) getattrMerged(ctx context.Context, b *writeback.Branch, out *fuse.AttrOut) syscall.Errno {
	m := f.t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	out.SetTimeout(briefly)
	path, id, gone := f.standing()
	var e writeback.Entry
	if f.modes.with(func(file *writeback.File) { e = file.Stat() }) {
		m.owner.mergedAttr(&out.Attr, &e)
		m.blockAttr(&out.Attr, &e, f.entry.Name)
		if e.MTime.IsZero() && id == 0 {
			f.setBaseTime(&out.Attr)
		}
		if gone {
			out.Nlink = 0
		}
		return 0
	}
	if !gone {
		e, err := b.Lookup(c, path)
		switch {
		case err != nil && errno(err) != syscall.ENOENT:
			return m.fail("getattr", f.t, path, err)
		case err == nil && f.is(&e, id):
			m.owner.mergedAttr(&out.Attr, &e)
			m.blockAttr(&out.Attr, &e, f.entry.Name)
			if id == 0 {
				out.SetTimeout(forever)
			}
			return 0
		}
	}
	if id != 0 && !gone {
		return syscall.ESTALE // another file stands there, and the kernel will find it
	}
	m.owner.fileAttr(&out.Attr, &f.entry)
	if gone {
		out.Nlink = 0
	}
	return 0
}

func (f *fileNode) setBaseTime(out *fuse.Attr) {
	mtime := uint64(max(f.entry.MTime, 0))
	out.Mtime, out.Ctime, out.Atime = mtime, mtime, mtime
}

// is says whether an entry that was found where the file should be is of it.
func (f *fileNode) is(e *writeback.Entry, id uint64) bool {
	if id != 0 {
		return e.ID == id
	}
	return !e.Dir && !e.Local && e.Base != nil && sameContent(e.Base, &f.entry)
}

// standing tells where the file is, and of which content.
func (f *fileNode) standing() (path string, id uint64, gone bool) {
	f.t.mu.Lock()
	defer f.t.mu.Unlock()
	return f.at.pathLocked(), f.id, f.at.gone
}

func (f *fileNode) isStaged() bool {
	if !f.tracked.Load() {
		return false
	}
	f.t.mu.Lock()
	defer f.t.mu.Unlock()
	return f.id != 0
}
