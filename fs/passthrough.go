package fs

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hubfs/hubfs/blobcache"
)

// A whole blob is read past this program: the kernel gets its file at open
// (passthrough), and serves reads and maps from it at the disk's own speed.
//
// The kernel has an inode open in one way at a time, and answers an open of the
// other kind with EIO. So a file is opened in passthrough only while no handle
// with pages of its own is open on the node, and the other way round. When the
// last handle is gone, the next open decides afresh.

// openModes counts the open handles of a node by their kind. At most one of the
// numbers isn't zero.
type openModes struct {
	mu      sync.Mutex // guards both, and that the choice is made once at a time
	kept    int        // with pages of the node's own, filled by Read
	through int        // in passthrough
}

// canPassthrough tells whether the kernel does it, and for us: it takes
// CAP_SYS_ADMIN.
func (m *Mount) canPassthrough() bool {
	return os.Geteuid() == 0 && m.server.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH != 0
}

// enter decides how a handle of the node is opened, and counts it. For
// passthrough it gives the blob's file. The blob is asked under the lock: a
// handle that found it in parts must not come in after one that found it whole.
func (o *openModes) enter(blob *blobcache.Blob) (whole *os.File, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	whole, ok := blob.WholeFile()
	switch {
	case ok && o.kept == 0:
		o.through++
		return whole, nil
	case ok:
		whole.Close()
	case o.through > 0:
		return nil, errors.New("the local copy was lost while it is open")
	}
	o.kept++
	return nil, nil
}

// leave counts a handle off, after go-fuse is done with it: see rawFS.
func (o *openModes) leave(through bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if through {
		o.through--
	} else {
		o.kept--
	}
}

// openWhole opens h in passthrough, if that can be.
func (h *fileHandle) openWhole(ctx context.Context) (err error) {
	// That content which somebody else put there is hashed before its first use
	// is worth waiting for here: the first read would wait, too.
	h.blob.Locate(ctx) //nolint:errcheck // the first read will tell
	if h.whole, err = h.f.modes.enter(h.blob); h.whole == nil {
		return err
	}
	// The one read that the cache sees: it links the blob where huggingface_hub
	// looks for it, and notes when it was used.
	h.blob.ReadAt(ctx, make([]byte, min(1, h.blob.Size())), 0) //nolint:errcheck // the kernel's own reads will tell
	return nil
}

var _ fs.FilePassthroughFder = (*fileHandle)(nil)

// PassthroughFd gives the file to the kernel.
func (h *fileHandle) PassthroughFd() (int, bool) {
	if h.whole == nil {
		return 0, false
	}
	return int(h.whole.Fd()), true
}

// rawFS is go-fuse's own file system, but for the end of a handle. When a
// handle's Release has returned, go-fuse takes a reference off the file that the
// node gave to the kernel, also if the handle had no part in that. A handle that
// was opened in between would find its file withdrawn. So a handle counts as open
// until go-fuse is done with it, too.
type rawFS struct {
	fuse.RawFileSystem
	released sync.Map // of functions, by the Done channel of the request
}

func (r *rawFS) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	r.RawFileSystem.Release(cancel, in)
	if leave, ok := r.released.LoadAndDelete(cancel); ok {
		leave.(func())()
	}
}

// afterRelease has f called when go-fuse is done with the handle whose Release
// got ctx.
func (r *rawFS) afterRelease(ctx context.Context, f func()) { r.released.Store(ctx.Done(), f) }
