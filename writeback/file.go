package writeback

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// A File is an open handle. It stays with its file when that is renamed, removed,
// or changed by others on the Hub. It is safe for concurrent use.
type File struct {
	b        *Branch
	ino      *inode
	writable bool
	release  func() error
}

// change calls f with the inode's lock, when it can be changed.
func (f *File) change(do func(*inode) error) error {
	if !f.writable {
		return syscall.EBADF
	}
	ino := f.ino
	ino.mu.Lock()
	if ino.staged() {
		defer ino.mu.Unlock()
		return do(ino)
	}
	ino.mu.Unlock()

	f.b.mu.Lock()
	ino.mu.Lock()
	defer ino.mu.Unlock()
	var err error
	if !ino.staged() {
		err = f.b.stage(ino, ino.size)
	}
	f.b.mu.Unlock()
	if err != nil {
		return err
	}
	return do(ino)
}

// ReadAt fills p from off; io.EOF is the end of the file. What isn't here is
// fetched, until ctx ends.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return f.ino.readAt(ctx, p, off)
}

// WriteAt writes p at off. It never waits for the Hub. A full disk is ENOSPC, and
// what was written until then counts.
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.change(func(ino *inode) error {
		n, err = ino.write(p, off)
		return err
	})
	return n, err
}

// size is the length at this moment.
func (f *File) size() int64 {
	f.ino.mu.RLock()
	defer f.ino.mu.RUnlock()
	return f.ino.size
}

// Truncate cuts the file, or makes it longer with zeros.
func (f *File) Truncate(size int64) error {
	if f.writable && size == f.size() {
		return nil // no reason to stage it
	}
	return f.change(func(ino *inode) error {
		switch size {
		case ino.size:
			return nil
		case 0:
			return ino.replace()
		}
		return ino.truncate(size)
	})
}

// Zero makes n bytes at off zeros, where the file has them, and frees their space.
func (f *File) Zero(off, n int64) error {
	if f.writable && (n <= 0 || off >= f.size()) {
		return nil
	}
	return f.change(func(ino *inode) error { return ino.zero(off, n) })
}

// Flush is for each close of a descriptor: what was written survives the death of
// this process afterwards. That of a handle that can't write says nothing about
// what others write.
func (f *File) Flush() error {
	f.ino.mu.Lock()
	defer f.ino.mu.Unlock()
	if !f.writable {
		return f.ino.syncErr
	}
	return f.ino.flush()
}

// Fsync returns when what was written survives the death of the machine. A commit
// follows when the last writer has closed the file, see Options.NoFsyncCommit.
func (f *File) Fsync() error {
	if f.writable {
		f.b.want(f.ino)
	}
	return f.ino.sync()
}

// Sync returns when the names that were made, renamed and removed survive the death of
// the machine: it is the fsync of a folder. It says nothing about the content of files,
// see File.Fsync.
func (b *Branch) Sync() error { return b.journal.sync() }

// Release ends the handle. What Flush hasn't seen yet, stores through a map for
// example, is flushed; nobody may use the handle any more.
func (f *File) Release() error { return f.release() }

func (f *File) close() error {
	b, ino := f.b, f.ino
	var err error
	if f.writable {
		err = f.Flush()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	ino.handles--
	n := ino.node
	if f.writable {
		ino.writers--
		if n != nil && n.kind == kindFile && !b.opts.isLog(n.path(), ino.appends) {
			n.parent.active = b.now()
		}
	}
	if f.writable && ino.writers == 0 {
		if n != nil && n.kind == kindNone && ino.overtaken != nil {
			n.detach()
			n = nil
		}
		if ino.isWanted() {
			b.kick()
		}
		b.noteClosed(ino)
	}
	if ino.handles > 0 {
		return err
	}
	ino.keep(false)
	switch {
	case n == nil:
		b.release(ino)
	case n.kind == kindNone:
		n.ino, ino.node = nil, nil
		n.prune()
		b.release(ino)
	}
	return err
}

// noteClosed notes that nobody writes to a file any more.
func (b *Branch) noteClosed(ino *inode) {
	ino.mu.Lock()
	ino.closedAt = b.now()
	large := ino.size >= aheadSize && ino.known == nil
	ino.mu.Unlock()
	if !large {
		return
	}
	select {
	case b.largeClosed <- struct{}{}:
	default:
	}
}

func (ino *inode) isWanted() bool {
	ino.mu.RLock()
	defer ino.mu.RUnlock()
	return ino.wanted
}

// Stat describes the file, without its name.
func (f *File) Stat() Entry {
	ino := f.ino
	ino.mu.RLock()
	defer ino.mu.RUnlock()
	return Entry{Size: ino.size, Mode: ino.mode, MTime: ino.mtime, ID: ino.id, Local: len(ino.layers) > 0}
}

// Setattr are attributes to be set; nil ones stay.
type Setattr struct {
	Mode  *uint32 // permission bits
	MTime *time.Time
	Size  *int64
}

// Setattr changes attributes of the open file, also of one without a name.
func (f *File) Setattr(ctx context.Context, a Setattr) error {
	if a.Size != nil {
		if err := f.Truncate(*a.Size); err != nil {
			return err
		}
	}
	if a.Mode == nil && a.MTime == nil {
		return nil
	}
	f.b.mu.Lock()
	n := f.ino.node
	if n == nil || n.kind == kindFile {
		defer f.b.mu.Unlock()
		return f.ino.setattr(a)
	}
	path := n.path()
	f.b.mu.Unlock()
	return f.b.Setattr(ctx, path, a)
}

// setattr sets mode and time of an inode that the log knows, or that has no name.
func (ino *inode) setattr(a Setattr) error {
	ino.mu.Lock()
	defer ino.mu.Unlock()
	mode, mtime := ino.mode, ino.mtime
	if a.Mode != nil {
		ino.mode = *a.Mode & 0o7777
	}
	if a.MTime != nil {
		ino.mtime = *a.MTime
	}
	if err := ino.log(); err != nil {
		ino.mode, ino.mtime = mode, mtime
		return err
	}
	return nil
}

// Setattr changes attributes of a path. Mode and time are no content: they are kept
// here, for this path as long as the Hub has this content there.
func (b *Branch) Setattr(ctx context.Context, path string, a Setattr) error {
	if a.Size != nil {
		f, err := b.OpenFile(ctx, path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		err = f.Truncate(*a.Size)
		if err := errors.Join(err, f.Release()); err != nil {
			return err
		}
	}
	if a.Mode == nil && a.MTime == nil {
		return nil
	}
	return b.again(ctx, func(tree Tree) error {
		found, err := b.gather(ctx, tree, path)
		if err != nil {
			return err
		}
		c, err := b.begin(tree)
		if err != nil {
			return err
		}
		defer b.mu.Unlock()
		e, err := b.look(path, found)
		if err != nil {
			return err
		}
		if n := b.root.find(path); n != nil && n.kind == kindFile {
			return n.ino.setattr(a)
		}
		hash := attrDir
		if !e.Dir {
			hash = attrHash(found[path])
		}
		c.attr(path, b.attrs.get(path).with(hash, a))
		return c.commit()
	})
}
