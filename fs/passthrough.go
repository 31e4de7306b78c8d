package fs

import (
	"context"
	"os"
	"sync"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
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
	mu      sync.Mutex // guards both; held across no I/O
	kept    int        // with pages of the node's own, filled by Read
	through int        // in passthrough
}

// canPassthrough tells whether the kernel does it, and for us: it takes
// CAP_SYS_ADMIN.
func (m *Mount) canPassthrough() bool {
	return os.Geteuid() == 0 && m.server.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH != 0
}

// enter decides how a handle of the node is opened, and counts it. For
// passthrough the blob must have its file, or another handle have given it to
// the kernel.
func (o *openModes) enter(whole bool) (through bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.through > 0 || whole && o.kept == 0 {
		o.through++
		return true
	}
	o.kept++
	return false
}

func (o *openModes) leave(through bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if through {
		o.through--
	} else {
		o.kept--
	}
}

// passthrough opens h in passthrough, if that can be.
func (h *fileHandle) passthrough(ctx context.Context) {
	// That content which somebody else put there is hashed before its first use
	// is worth waiting for here: the first read would wait, too.
	if h.blob.Size() > 0 && h.blob.Locate(ctx) == nil {
		h.whole, _ = h.blob.WholeFile()
	}
	if h.through = h.f.modes.enter(h.whole != nil); !h.through {
		h.closeWhole()
		return
	}
	// The one read that the cache sees: it links the blob where huggingface_hub
	// looks for it, and notes when it was used.
	h.blob.ReadAt(ctx, make([]byte, 1), 0) //nolint:errcheck // the kernel's own reads will tell
}

func (h *fileHandle) closeWhole() {
	if h.whole != nil {
		h.whole.Close()
		h.whole = nil
	}
}

var _ fs.FilePassthroughFder = (*fileHandle)(nil)

// PassthroughFd gives the file to the kernel, unless it has it from another
// handle of the node already.
func (h *fileHandle) PassthroughFd() (int, bool) {
	if h.whole == nil {
		return 0, false
	}
	return int(h.whole.Fd()), true
}
