package fs

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/writeback"
)

// A whole blob is read past this program: the kernel gets its file at open
// (passthrough), and serves reads and maps from it at the disk's own speed.
//
// The kernel has an inode open in one way at a time, and answers an open of the
// other kind with EIO. So a file is opened in passthrough only while no handle
// with pages of its own is open on the node, and the other way round. When the
// last handle is gone, the next open decides afresh.

// Writing has the same rule, and one more: a node that is read in passthrough can't be
// written to, since the kernel would write into the blob. A writer that meets such
// readers spoils the node (tree.spoil) and answers ESTALE once. The kernel looks the
// name up again and gets another node, of which nothing is opened in passthrough as
// long as the old one is known; the old readers keep the old one and what they opened.

// openModes counts the open handles of a node by their kind. At most one of the
// numbers isn't zero.
type openModes struct {
	mu      sync.Mutex // guards the rest, and that the choice is made once at a time
	kept    int        // with pages of the node's own, filled by Read
	through int        // in passthrough
	// staged are the handles of package writeback among those that are kept. reader is
	// one for the others, which were opened before the file was staged.
	staged map[*writeback.File]struct{}
	reader *writeback.File
}

// hold counts a handle that isn't for passthrough; false if there are some that are.
func (o *openModes) hold() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.through > 0 {
		return false
	}
	o.kept++
	return true
}

// isThrough says whether there are handles in passthrough.
func (o *openModes) isThrough() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.through > 0
}

// add notes the file of a handle that is held.
func (o *openModes) add(f *writeback.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.staged == nil {
		o.staged = make(map[*writeback.File]struct{})
	}
	o.staged[f] = struct{}{}
}

// remove undoes add, before the file is released.
func (o *openModes) remove(f *writeback.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.staged, f)
}

// lacksReader says whether handles were opened before the file was staged, and nobody
// reads for them what is.
func (o *openModes) lacksReader() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.reader == nil && o.kept > len(o.staged)
}

// setReader gives what reads for them; it returns what isn't needed.
func (o *openModes) setReader(f *writeback.File) (unneeded *writeback.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reader != nil || o.kept == 0 {
		return f
	}
	o.reader = f
	return nil
}

// staging is what reads for a handle that was opened before the file was staged, nil if
// it isn't. It lasts as long as the handle does.
func (o *openModes) staging() *writeback.File {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.reader
}

// with calls f with any open file that is staged, and says whether there is one.
func (o *openModes) with(f func(*writeback.File)) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reader != nil {
		f(o.reader)
		return true
	}
	for file := range o.staged {
		f(file)
		return true
	}
	return false
}

// canPassthrough tells whether the kernel does it, and for us: it takes
// CAP_SYS_ADMIN.
func (m *Mount) canPassthrough() bool {
	return os.Geteuid() == 0 && m.server.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH != 0
}

// enter decides how a handle of the node is opened, and counts it. For
// passthrough, which may can forbid, it gives the blob's file. The blob is asked under
// the lock: a handle that found it in parts must not come in after one that found it
// whole. errStale is a node that others have in passthrough, and this one may not.
func (o *openModes) enter(blob *blobcache.Blob, may bool) (whole *os.File, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ok := false
	if may {
		whole, ok = blob.WholeFile()
	}
	switch {
	case ok && o.kept == 0:
		o.through++
		return whole, nil
	case ok:
		whole.Close()
	case o.through > 0 && !may:
		return nil, errStale
	case o.through > 0:
		return nil, errors.New("the local copy was lost while it is open")
	}
	o.kept++
	return nil, nil
}

// leave counts a handle off, after go-fuse is done with it: see rawFS. It returns what
// nobody needs any more.
func (o *openModes) leave(through bool) (unneeded *writeback.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if through {
		o.through--
	} else {
		o.kept--
	}
	if o.kept == 0 {
		unneeded, o.reader = o.reader, nil
	}
	return unneeded
}

// openWhole opens h in passthrough, if that can be.
func (h *fileHandle) openWhole(ctx context.Context) (err error) {
	may := h.f.mayPassthrough()
	if !may {
		_, err = h.f.modes.enter(h.blob, false)
		return err
	}
	// That content which somebody else put there is hashed before its first use
	// is worth waiting for here: the first read would wait, too.
	h.blob.Locate(ctx) //nolint:errcheck // the first read will tell
	if h.whole, err = h.f.modes.enter(h.blob, true); h.whole == nil {
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
