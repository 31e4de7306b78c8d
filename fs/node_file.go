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

// fileNode is a file. Most have the content and date that they had when they were
// looked up; with others, they are another node. A file that is written to stays the
// same node, for all who have it open: see staged.go.
type fileNode struct {
	fs.Inode
	t      *tree
	at     spot
	entry  blobcache.Entry // as the Hub had it; only the name of what is staged
	commit string          // one in which it is so
	modes  openModes
	// trusted is what the cache's Distrust was when the node's pages were last
	// known to be right.
	trusted atomic.Int64
	tracked atomic.Bool // the tree's naming knows it

	// What follows is guarded by tree.mu.
	id     uint64 // of its content in package writeback; 0: it is as the Hub has it
	origin string // path in commit, if it isn't where it stands
	spoils bool   // see tree.spoil
}

var (
	_ fs.NodeOpener        = (*fileNode)(nil)
	_ fs.NodeGetattrer     = (*fileNode)(nil)
	_ fs.NodeSetattrer     = (*fileNode)(nil)
	_ fs.NodeGetxattrer    = (*fileNode)(nil)
	_ fs.NodeSetxattrer    = (*fileNode)(nil)
	_ fs.NodeRemovexattrer = (*fileNode)(nil)
	_ fs.NodeListxattrer   = (*fileNode)(nil)
	_ fs.NodeStatfser      = (*fileNode)(nil)
	_ fs.NodeAllocater     = (*fileNode)(nil)
	_ fs.NodeOnForgetter   = (*fileNode)(nil)
)

// path is where the file is in the tree. It may be renamed.
func (f *fileNode) path() string {
	f.t.mu.Lock()
	defer f.t.mu.Unlock()
	return f.at.pathLocked()
}

// source is where the Hub has the file's content: in which commit, under which path.
// The newest commit that is known to have it is best: commits can vanish from the
// Hub, when a history is squashed for instance.
func (f *fileNode) source() (commit, path string) {
	t := f.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.origin != "" {
		return f.commit, f.origin
	}
	path = f.at.pathLocked()
	if in := f.at.in; t.dirs[in.pathLocked()] == in {
		if e, ok := in.shown.listing.Find(f.entry.Name); ok && sameContent(e, &f.entry) {
			return in.shown.snap.commit, path
		}
	}
	return f.commit, path
}

func (f *fileNode) lastCommit() string {
	commit, _ := f.source()
	return commit
}

// blob is the content, as the cache knows it.
func (f *fileNode) blob() blobcache.File {
	commit, path := f.source()
	return blobcache.File{
		Repo: f.t.repo.id, Revision: f.t.revision(), Commit: commit,
		Path: path, Hash: f.entry.Hash(), Size: f.entry.Size,
	}
}

func (f *fileNode) isForgotten() bool {
	return f.Forgotten() //nolint:staticcheck // the alternative, OnForget, is what asks
}

// OnForget is called when the kernel may know the file no more.
func (f *fileNode) OnForget() {
	if f.tracked.Load() {
		f.t.forgottenFile(f)
	}
}

// Getattr answers for ever where nothing can change.
func (f *fileNode) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if b := f.t.branch.Load(); b != nil {
		return f.getattrMerged(ctx, b, out)
	}
	f.t.repo.m.owner.fileAttr(&out.Attr, &f.entry)
	out.SetTimeout(forever)
	return 0
}

// Open of what is as the Hub has it, for reading, needs no request. The pages of
// former handles are good, unless wrong bytes were found since, and closing needs
// no word.
func (f *fileNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&syscall.O_TRUNC != 0 || f.isStaged() {
		return f.openStaged(ctx, flags)
	}
	m := f.t.repo.m
	blob := f.blob()
	if err := f.t.denied(); err != nil && m.cache.Cached(blob) < blob.Size {
		return nil, 0, f.fail("open", err)
	}
	b, err := m.cache.Open(blob)
	if err != nil {
		return nil, 0, f.fail("open", err)
	}
	h := &fileHandle{f: f, blob: b}
	if s := f.t.snap.Load(); s != nil && packable(&f.entry) {
		h.alone.Store(!s.packs.note(&f.entry))
	}
	c, end := newCall(ctx, m.ctx)
	defer end()
	if err := h.openWhole(c); err != nil {
		b.Close()
		return nil, 0, f.fail("open", err)
	}
	if h.whole == nil && f.isStaged() { // by a writer that came in between
		h.leave()
		b.Close()
		return f.openStaged(ctx, flags)
	}
	return h, f.openFlags() | fuse.FOPEN_NOFLUSH, 0
}

// openFlags are those of a handle that was opened just now. After it, the cache is
// asked: what the handle reads is newer than the answer.
func (f *fileNode) openFlags() uint32 {
	if now := f.t.repo.m.cache.Distrust(); f.trusted.Swap(now) == now {
		return fuse.FOPEN_KEEP_CACHE
	}
	return 0
}

// mayPassthrough says whether the kernel may read the file past this program. Not if
// somebody is about to write to it, or it looks as if somebody will.
func (f *fileNode) mayPassthrough() bool {
	t := f.t
	return t.repo.m.canPassthrough() && (t.repo.m.opts.Write == nil || t.fixed || !t.repo.m.looksLikeLog(f.entry.Name) && !t.isSpoiled(f))
}

// Statfs is that of the directory.
func (f *fileNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	return f.t.statfs(out)
}

// fail turns an error about content into an errno. That the Hub has it no more is
// no statement about the name.
func (f *fileNode) fail(op string, err error) syscall.Errno {
	no := f.t.repo.m.fail(op, f.t, f.path(), err)
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
	c, end := newCall(ctx, h.f.t.repo.m.ctx)
	defer end()
	if file := h.f.modes.staging(); file != nil {
		return readStaged(c, h.f, file, dest, off)
	}
	if h.alone.CompareAndSwap(true, false) {
		h.f.bringAlong(c, h.blob)
	}
	n, err := h.blob.ReadAt(c, dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		h.f.t.deny(err)
		return nil, h.f.fail("read", err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Fsync is what sync PATH does: it commits what is changed there.
func (h *fileHandle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	return h.f.t.syncPath(ctx, h.f.path)
}

// Release ends the handle. Nobody hears of an error.
func (h *fileHandle) Release(ctx context.Context) syscall.Errno {
	h.f.t.repo.m.raw.afterRelease(ctx, h.leave)
	if h.whole != nil {
		h.whole.Close()
	}
	h.blob.Close()
	return 0
}

func (h *fileHandle) leave() { h.f.release(h.f.modes.leave(h.whole != nil)) }
