package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/writeback"
)

// A file that is written to, or was opened for it, is bound to one content of package
// writeback for as long as the kernel knows the node. All who have the node open share
// its pages, so they see what is written at once; only who has it in passthrough is on
// another node. Where another content has come to the node's path, behind the kernel's
// back, the node answers ESTALE: the kernel looks the name up again.

// errStale is a node that stands for another file than its path does.
var errStale = errors.New("another file has taken the place")

// openStaged opens the file where it is changed, or to change it.
func (f *fileNode) openStaged(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	m := f.t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	h, err := f.stage(c, flags)
	if err != nil {
		return nil, 0, f.fail("open", err)
	}
	open := f.openFlags()
	if !h.writable {
		open |= fuse.FOPEN_NOFLUSH
	}
	return h, open, 0
}

// stage makes a handle in package writeback.
func (f *fileNode) stage(ctx context.Context, flags uint32) (*stagedHandle, error) {
	b, err := f.t.writer(ctx)
	if err != nil {
		return nil, err
	}
	if !f.modes.hold() {
		f.t.spoil(f)
		return nil, errStale
	}
	file, err := f.openFile(ctx, b, flags)
	if err == nil {
		f.modes.add(file)
		err = f.readForOthers(ctx, b)
		if err != nil {
			f.modes.remove(file)
			err = errors.Join(err, file.Release())
		}
	}
	if err != nil {
		f.release(f.modes.leave(false))
		return nil, err
	}
	return newStagedHandle(f, file, flags), nil
}

// openFile opens what the node stands for, and binds the node to it.
func (f *fileNode) openFile(ctx context.Context, b *writeback.Branch, flags uint32) (*writeback.File, error) {
	for {
		file, err := f.tryOpen(ctx, b, flags)
		if !errors.Is(err, errStale) {
			return file, err
		}
		if !f.t.awaitNaming(ctx) {
			return nil, err
		}
	}
}

func (f *fileNode) tryOpen(ctx context.Context, b *writeback.Branch, flags uint32) (*writeback.File, error) {
	path, id, gone := f.standing()
	if gone {
		return nil, errStale
	}
	if id == 0 {
		switch e, err := b.Lookup(ctx, path); {
		case err != nil && errno(err) != syscall.ENOENT:
			return nil, err
		case err != nil, !f.is(&e, 0):
			if _, id, _ = f.standing(); id == 0 { // else somebody else was faster
				return nil, errStale
			}
		}
	}
	file, err := b.OpenFile(ctx, path, openFlags(flags), 0)
	if err != nil {
		if no := errno(err); no == syscall.ENOENT || no == syscall.EISDIR || no == syscall.ENOTDIR {
			return nil, errStale
		}
		return nil, err
	}
	opened := file.Stat().ID
	if id == 0 {
		// Between the two looks at it, the name may have come to stand for something else.
		e, err := b.Lookup(ctx, path)
		truncated := flags&syscall.O_TRUNC != 0
		if err == nil && e.ID == opened && (truncated || e.Base != nil && sameContent(e.Base, &f.entry)) {
			f.t.spoil(f)
			f.t.bind(f, opened)
		}
		_, id, _ = f.standing()
	}
	if id != opened {
		return nil, errors.Join(errStale, file.Release())
	}
	f.t.spoil(f)
	return file, nil
}

// openFlags are those that package writeback knows.
func openFlags(flags uint32) int {
	flag := int(flags) & (syscall.O_ACCMODE | os.O_TRUNC | os.O_APPEND | os.O_CREATE | os.O_EXCL)
	if flag&os.O_TRUNC != 0 && flag&syscall.O_ACCMODE == os.O_RDONLY {
		flag |= os.O_RDWR
	}
	return flag
}

// readForOthers sees to those who opened the file before it was staged.
func (f *fileNode) readForOthers(ctx context.Context, b *writeback.Branch) error {
	if !f.modes.lacksReader() {
		return nil
	}
	file, err := f.openFile(ctx, b, syscall.O_RDONLY)
	if err != nil {
		return err
	}
	f.release(f.modes.setReader(file))
	return nil
}

// release ends an open file that modes doesn't know any more. nil is none.
func (f *fileNode) release(file *writeback.File) {
	if file == nil {
		return
	}
	if err := f.closeFile(file); err != nil {
		f.t.repo.m.log.Warn("closing a staged file", "tree", f.t.String(), "path", f.path(), "error", err)
	}
}

// closeFile ends an open file. If nothing was changed, the node is as the Hub has it
// again: the number that it was bound to means nothing any more.
func (f *fileNode) closeFile(file *writeback.File) error {
	e := file.Stat()
	err := file.Release()
	if !e.Local && !f.modes.with(func(*writeback.File) {}) {
		f.t.unbind(f, e.ID)
	}
	return err
}

// stagedHandle is an open file of package writeback.
type stagedHandle struct {
	f        *fileNode
	file     *writeback.File
	writable bool
	appends  bool
}

var (
	_ fs.FileReader   = (*stagedHandle)(nil)
	_ fs.FileWriter   = (*stagedHandle)(nil)
	_ fs.FileFlusher  = (*stagedHandle)(nil)
	_ fs.FileFsyncer  = (*stagedHandle)(nil)
	_ fs.FileReleaser = (*stagedHandle)(nil)
)

func newStagedHandle(f *fileNode, file *writeback.File, flags uint32) *stagedHandle {
	flag := openFlags(flags)
	return &stagedHandle{f: f, file: file, writable: flag&syscall.O_ACCMODE != os.O_RDONLY, appends: flag&os.O_APPEND != 0}
}

// Read fills dest or fails, as fileHandle.Read.
func (h *stagedHandle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	c, end := newCall(ctx, h.f.t.repo.m.ctx)
	defer end()
	return readStaged(c, h.f, h.file, dest, off)
}

func readStaged(ctx context.Context, f *fileNode, file *writeback.File, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := file.ReadAt(ctx, dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, f.fail("read", err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Write never waits for the Hub.
func (h *stagedHandle) Write(_ context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	n, err := h.file.WriteAt(data, off)
	if err != nil && n == 0 {
		return 0, h.f.fail("write", err)
	}
	return uint32(n), 0 // of a part, the next write will tell
}

// Flush is for each close of a descriptor. It fails as long as what was written isn't
// safe.
func (h *stagedHandle) Flush(context.Context) syscall.Errno {
	if !h.writable {
		return 0
	}
	if err := h.file.Flush(); err != nil {
		return h.f.fail("flush", err)
	}
	return 0
}

// Fsync makes durable what was written. See FsyncMode for what it has to do with
// commits.
func (h *stagedHandle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	t := h.f.t
	if !h.writable && t.repo.m.opts.Write.Fsync != FsyncLocal {
		return t.syncPath(ctx, h.f.path)
	}
	if err := h.file.Fsync(); err != nil {
		return h.f.fail("fsync", err)
	}
	if t.repo.m.opts.Write.Fsync != FsyncCommit {
		return 0
	}
	path, _, gone := h.f.standing()
	if gone {
		return 0 // nobody will ever commit it
	}
	return t.syncNow(ctx, path, true)
}

// Release ends the handle. Nobody hears of an error.
func (h *stagedHandle) Release(ctx context.Context) syscall.Errno {
	h.f.modes.remove(h.file)
	h.f.release(h.file)
	h.f.t.repo.m.raw.afterRelease(ctx, func() { h.f.release(h.f.modes.leave(false)) })
	return 0
}

// Setattr changes size, mode and time. All files belong to the owner of the mount: who
// may give them away, root, is not refused, and nothing happens.
func (f *fileNode) Setattr(ctx context.Context, fh fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	m := f.t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	b, err := f.t.writer(c)
	if err != nil {
		return f.fail("setattr", err)
	}
	if no := mayChown(ctx, m.owner, in); no != 0 {
		return no
	}
	if size, ok := in.GetSize(); ok {
		if size > maxFileSize {
			return syscall.EFBIG
		}
		if err := f.truncate(c, fh, int64(size)); err != nil {
			return f.fail("truncate", err)
		}
	}
	set, ok := setattrOf(in)
	if in.Valid&(fuse.FATTR_UID|fuse.FATTR_GID) != 0 && set.Mode == nil {
		// The kernel leaves it to us to take from the file what a change of owner takes from it.
		if no := f.getattrMerged(ctx, b, out); no != 0 {
			return no
		}
		if mode := writeback.WithoutSetID(out.Mode & 0o7777); mode != out.Mode&0o7777 {
			set.Mode, ok = &mode, true
		}
	}
	if ok {
		if err := f.setattr(c, b, set); err != nil {
			return f.fail("setattr", err)
		}
	}
	return f.getattrMerged(ctx, b, out)
}

// maxFileSize is what offsets can tell.
const maxFileSize = 1<<63 - 1

// mayChown refuses to give files away.
func mayChown(ctx context.Context, o owner, in *fuse.SetAttrIn) syscall.Errno {
	uid, hasUID := in.GetUID()
	gid, hasGID := in.GetGID()
	if (!hasUID || uid == o.uid) && (!hasGID || gid == o.gid) {
		return 0
	}
	if caller, ok := fuse.FromContext(ctx); ok && caller.Uid == 0 {
		return 0
	}
	return syscall.EPERM
}

// setattrOf is what package writeback keeps, and whether that is anything.
func setattrOf(in *fuse.SetAttrIn) (set writeback.Setattr, any bool) {
	if mode, ok := in.GetMode(); ok {
		mode &= 0o7777
		set.Mode = &mode
	}
	if mtime, ok := in.GetMTime(); ok {
		if in.Valid&fuse.FATTR_MTIME_NOW != 0 {
			mtime = time.Now()
		}
		set.MTime = &mtime
	}
	return set, set.Mode != nil || set.MTime != nil
}

// truncate sets the length, by the handle if there is one that may.
func (f *fileNode) truncate(ctx context.Context, fh fs.FileHandle, size int64) error {
	if h, ok := fh.(*stagedHandle); ok && h.writable {
		return h.file.Truncate(size)
	}
	flags := uint32(syscall.O_RDWR)
	if size == 0 {
		flags |= syscall.O_TRUNC
	}
	h, err := f.stage(ctx, flags)
	if err != nil {
		return err
	}
	err = h.file.Truncate(size)
	f.modes.remove(h.file)
	err = errors.Join(err, f.closeFile(h.file))
	f.release(f.modes.leave(false))
	return err
}

// setattr sets mode and time, by an open file if there is one: it may have no name.
func (f *fileNode) setattr(ctx context.Context, b *writeback.Branch, set writeback.Setattr) error {
	for {
		path, id, gone := f.standing()
		var err error
		if gone || id != 0 {
			if f.modes.with(func(file *writeback.File) { err = file.Setattr(ctx, set) }) || gone {
				return err
			}
		}
		e, err := b.Lookup(ctx, path)
		switch {
		case err == nil && f.is(&e, id):
			return b.Setattr(ctx, path, set)
		case err != nil && errno(err) != syscall.ENOENT:
			return err
		}
		if !f.t.awaitNaming(ctx) {
			return errStale
		}
	}
}

// Allocate makes room, as far as that is asked of the disk at all, and punches holes.
func (f *fileNode) Allocate(_ context.Context, fh fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	h, ok := fh.(*stagedHandle)
	if !ok || !h.writable {
		return syscall.EBADF
	}
	end := off + size
	if end > maxFileSize || end < off {
		return syscall.EFBIG
	}
	keep := mode&unix.FALLOC_FL_KEEP_SIZE != 0
	var err error
	switch mode &^ unix.FALLOC_FL_KEEP_SIZE {
	case 0:
		err = f.t.repo.m.hasRoom(int64(end) - h.file.Stat().Size)
	case unix.FALLOC_FL_PUNCH_HOLE, unix.FALLOC_FL_ZERO_RANGE:
		err = h.file.Zero(int64(off), int64(size))
	default:
		return syscall.EOPNOTSUPP
	}
	if err == nil && !keep && mode&unix.FALLOC_FL_PUNCH_HOLE == 0 && h.file.Stat().Size < int64(end) {
		err = h.file.Truncate(int64(end))
	}
	if err != nil {
		return f.fail("fallocate", err)
	}
	return 0
}

// Setxattr keeps nothing: the Hub has no place for it.
func (f *fileNode) Setxattr(ctx context.Context, _ string, _ []byte, _ uint32) syscall.Errno {
	return f.t.noXattr(ctx)
}

// Removexattr finds none to remove.
func (f *fileNode) Removexattr(ctx context.Context, _ string) syscall.Errno { return f.t.noXattr(ctx) }
