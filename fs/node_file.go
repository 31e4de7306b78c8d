package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hubfs/hubfs/blobcache"
)

// fileNode is a file with the content and date that it had when it was looked up.
// With others, it is another node.
type fileNode struct {
	fs.Inode
	readOnly
	dir    *dirNode
	entry  blobcache.Entry
	commit string // one in which it is so
	modes  openModes
	// trusted is what the cache's Distrust was when the node's pages were last
	// known to be right.
	trusted atomic.Int64
}

var (
	_ fs.NodeOpener      = (*fileNode)(nil)
	_ fs.NodeGetattrer   = (*fileNode)(nil)
	_ fs.NodeGetxattrer  = (*fileNode)(nil)
	_ fs.NodeListxattrer = (*fileNode)(nil)
	_ fs.NodeStatfser    = (*fileNode)(nil)
)

func (f *fileNode) path() string { return joinPath(f.dir.path, f.entry.Name) }

// lastCommit is the newest commit that is known to have this content: commits can
// vanish from the Hub, when a history is squashed for instance.
func (f *fileNode) lastCommit() string {
	if v := f.dir.t.shown(f.dir.path); v != nil {
		if e, ok := v.listing.Find(f.entry.Name); ok && sameContent(e, &f.entry) {
			return v.snap.commit
		}
	}
	return f.commit
}

// blob is the content, as the cache knows it.
func (f *fileNode) blob() blobcache.File {
	return blobcache.File{
		Repo: f.dir.t.repo.id, Revision: f.dir.t.revision(), Commit: f.lastCommit(),
		Path: f.path(), Hash: f.entry.Hash(), Size: f.entry.Size,
	}
}

// Getattr answers for ever.
func (f *fileNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.dir.t.repo.m.owner.fileAttr(&out.Attr, &f.entry)
	out.SetTimeout(forever)
	return 0
}

// Open needs no request. The pages of former handles are good, unless wrong bytes
// were found since, and closing needs no word.
func (f *fileNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&syscall.O_TRUNC != 0 {
		return nil, 0, syscall.EROFS
	}
	cache, blob := f.dir.t.repo.m.cache, f.blob()
	if err := f.dir.t.denied(); err != nil && cache.Cached(blob) < blob.Size {
		return nil, 0, f.fail("open", err)
	}
	b, err := cache.Open(blob)
	if err != nil {
		return nil, 0, f.fail("open", err)
	}
	h := &fileHandle{f: f, blob: b}
	if s := f.dir.t.snap.Load(); s != nil && packable(&f.entry) {
		h.alone.Store(!s.packs.note(&f.entry))
	}
	if f.dir.t.repo.m.canPassthrough() {
		c, end := newCall(ctx, f.dir.t.repo.m.ctx)
		defer end()
		if err := h.openWhole(c); err != nil {
			b.Close()
			return nil, 0, f.fail("open", err)
		}
	}
	open := uint32(fuse.FOPEN_NOFLUSH)
	// After the cache was asked: what this handle reads is newer than the answer.
	if now := cache.Distrust(); f.trusted.Swap(now) == now {
		open |= fuse.FOPEN_KEEP_CACHE
	}
	return h, open, 0
}

// Statfs is that of the directory.
func (f *fileNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno { return statfs(out) }

// fail turns an error about content into an errno. That the Hub has it no more is
// no statement about the name.
func (f *fileNode) fail(op string, err error) syscall.Errno {
	no := f.dir.t.repo.m.fail(op, f.dir.t, f.path(), err)
	if no == syscall.ENOENT {
		return syscall.ESTALE
	}
	return no
}

// fileHandle is an open file.
type fileHandle struct {
	f     *fileNode
	blob  *blobcache.Blob
	whole *os.File // the blob's, for the kernel, which reads it in passthrough; else nil
	// alone is a small file that no pack brings, before its first read.
	alone atomic.Bool
}

var (
	_ fs.FileReader   = (*fileHandle)(nil)
	_ fs.FileFsyncer  = (*fileHandle)(nil)
	_ fs.FileReleaser = (*fileHandle)(nil)
)

// Read fills dest or fails: the kernel takes a short answer for the end of the
// file, and would shrink it.
func (h *fileHandle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	c, end := newCall(ctx, h.f.dir.t.repo.m.ctx)
	defer end()
	if h.alone.CompareAndSwap(true, false) {
		h.f.bringAlong(c, h.blob)
	}
	n, err := h.blob.ReadAt(c, dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		h.f.dir.t.deny(err)
		return nil, h.f.fail("read", err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Fsync has nothing to do, and says so.
func (h *fileHandle) Fsync(context.Context, uint32) syscall.Errno { return 0 }

// Release ends the handle. Nobody hears of an error.
func (h *fileHandle) Release(ctx context.Context) syscall.Errno {
	if m := h.f.dir.t.repo.m; m.canPassthrough() {
		through := h.whole != nil
		m.raw.afterRelease(ctx, func() { h.f.modes.leave(through) })
	}
	if h.whole != nil {
		h.whole.Close()
	}
	h.blob.Close()
	return 0
}
