package writeback

import (
	"context"
	"os"
	"sync"
	"syscall"

	"github.com/hubfs/hubfs/blobcache"
)

// OpenFile opens a file: flag is of O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL,
// O_TRUNC, O_APPEND. A new file gets mode, its permission bits. Errors are
// syscall.Errno or those of the tree.
func (b *Branch) OpenFile(ctx context.Context, path string, flag int, mode os.FileMode) (*File, error) {
	writable := flag&(os.O_WRONLY|os.O_RDWR) != 0
	var f *File
	err := b.again(ctx, func(tree Tree) error {
		found, err := b.gather(ctx, tree, path)
		if err != nil {
			return err
		}
		c, err := b.begin(tree)
		if err != nil {
			return err
		}
		defer b.mu.Unlock()
		e, ok, err := b.exists(path, found)
		switch {
		case err != nil:
			return err
		case ok && flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
			return pathError(path, syscall.EEXIST)
		case ok && e.Dir:
			return pathError(path, syscall.EISDIR)
		case !ok && flag&os.O_CREATE == 0:
			return notExist(path)
		}
		var ino *inode
		if ok {
			ino, err = b.openExisting(path, found[path], writable && flag&os.O_TRUNC != 0)
		} else {
			ino, err = b.create(c, path, found, mode)
		}
		if err != nil {
			return err
		}
		f = b.handle(ino, writable, flag&os.O_APPEND != 0)
		return nil
	})
	return f, err
}

// create makes an empty file. It requires mu.
func (b *Branch) create(c *change, path string, found bases, mode os.FileMode) (*inode, error) {
	if err := checkName(path); err != nil {
		return nil, err
	}
	if err := b.folderOf(path, found); err != nil {
		return nil, err
	}
	ino := b.newInode(nil)
	l, err := b.newLayer(0, 0)
	if err != nil {
		return nil, err
	}
	defer l.unref()
	ino.mu.Lock()
	defer ino.mu.Unlock()
	ino.layers, ino.dirty, ino.logged = []*layer{l}, true, true
	ino.mode, ino.mtime = uint32(mode.Perm()), b.now()
	c.forgetAttr(path)
	c.puts = append(c.puts, ino.record()...)
	c.set(path, state{kind: kindFile, was: b.was(path, found), since: b.stateAt(path).since}, ino)
	if err := c.commit(); err != nil {
		b.discard(l)
		return nil, err
	}
	b.inodes[ino.id] = ino
	return ino, nil
}

// openExisting gives the inode of a file. It requires mu.
func (b *Branch) openExisting(path string, base *blobcache.Entry, truncate bool) (*inode, error) {
	n := b.root.make(path)
	ino := n.ino
	if ino == nil { // so it is as the Hub has it
		ino = b.newInode(b.source(path, base))
		ino.opened = wasOf(base)
		ino.node, n.ino = n, ino
	}
	if !truncate {
		return ino, nil
	}
	ino.mu.Lock()
	defer ino.mu.Unlock()
	var err error
	switch {
	case ino.size == 0 && ino.syncErr == nil:
		// Nothing changes.
	case len(ino.layers) == 0:
		err = b.stage(ino, 0)
	default:
		if !ino.staged() {
			err = b.restage(ino)
		}
		if err == nil {
			err = ino.replace()
		}
	}
	if err != nil && ino.handles == 0 && n.kind == kindNone {
		n.ino, ino.node = nil, nil
		n.prune()
	}
	return ino, err
}

// stage gives an inode that is as the Hub has it a layer, of which size bytes show
// what is below. It requires mu and the inode's mu.
func (b *Branch) stage(ino *inode, size int64) error {
	if b.closed {
		return ErrClosed
	}
	if len(ino.layers) > 0 {
		return b.restage(ino)
	}
	l, err := b.newLayer(size, size)
	if err != nil {
		return err
	}
	defer l.unref()
	old, oldSize, logged, known := ino.blob, ino.size, ino.logged, ino.known
	ino.layers, ino.size, ino.dirty, ino.known = []*layer{l}, size, true, nil
	if size == 0 {
		ino.blob = nil
	}
	c := &change{b: b}
	n := ino.node
	if n != nil {
		ino.logged = true
		if n.kind == kindNone {
			if a := b.attrs.get(n.path()); a != nil && ino.opened != nil && a.Hash == ino.opened.Hash {
				ino.mode = a.Mode
			}
			c.setOpened(ino)
		}
		c.puts = append(ino.record(), c.puts...)
	}
	if err := c.commit(); err != nil {
		ino.layers, ino.blob, ino.size, ino.dirty, ino.logged, ino.known = nil, old, oldSize, false, logged, known
		b.discard(l)
		return err
	}
	if n != nil {
		b.inodes[ino.id] = ino
	}
	l.keep(ino.kept)
	if size == 0 && ino.kept {
		old.unref()
	}
	ino.touch()
	return nil
}

// setOpened makes a file ours that was as the Hub had it when it was opened.
func (c *change) setOpened(ino *inode) {
	n := ino.node
	c.set(n.path(), state{kind: kindFile, was: ino.opened}, ino)
	c.do(func() { n.theirs, ino.overtaken = ino.overtaken, nil })
}

// staged says whether the inode can be changed as it is. It requires ino.mu.
func (ino *inode) staged() bool { return len(ino.layers) > 0 && (ino.logged || ino.nameless) }

// restage lets the log know again an inode that was committed, and is still open
// with its layers. It requires mu and the inode's mu.
func (b *Branch) restage(ino *inode) error {
	dirty := ino.dirty
	ino.dirty, ino.logged = true, true
	c := &change{b: b}
	c.puts = ino.full()
	c.setOpened(ino)
	if err := c.commit(); err != nil {
		ino.dirty, ino.logged = dirty, false
		return err
	}
	ino.recordedFull()
	b.inodes[ino.id] = ino
	return nil
}

// handle makes a handle of an inode. It requires mu.
func (b *Branch) handle(ino *inode, writable, appends bool) *File {
	ino.handles++
	if writable {
		ino.writers++
	}
	ino.keep(true)
	if writable && appends {
		ino.mu.Lock()
		ino.appends = true
		ino.mu.Unlock()
	}
	f := &File{b: b, ino: ino, writable: writable}
	f.release = sync.OnceValue(f.close)
	return f
}
