package blobcache

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Blob is a handle of a file's content. It is safe for concurrent use.
type Blob struct {
	core   *core
	file   File
	closed atomic.Bool
	placed atomic.Bool // the shared cache has this file under its name, as far as it can
}

// ReadAt fills p from off, fetching what isn't here. It returns less than len(p)
// only with an error; io.EOF is the end of the file. A reader that leaves (ctx)
// doesn't stop the fetch. Errors are ErrCorrupt, ErrClosed, ctx's, or wrap those
// of package hub.
func (b *Blob) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	switch {
	case b.closed.Load():
		return 0, ErrClosed
	case off < 0:
		return 0, fmt.Errorf("read %s: negative offset", b.file.Path)
	case len(p) == 0:
		return 0, nil
	case off >= b.file.Size:
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), b.file.Size-off)]
	n, err := b.core.read(ctx, b, want, off)
	if err != nil {
		return n, fmt.Errorf("read %s of %s: %w", b.file.Path, b.file.Repo, err)
	}
	b.core.c.stats.served.Add(int64(n))
	if len(want) < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Size is the length of the content in bytes.
func (b *Blob) Size() int64 { return b.file.Size }

// Hash is the content's sha256, or Git's blob id for a regular file.
func (b *Blob) Hash() string { return b.file.Hash }

// Locate waits until it is known what of the content is on local disk; for a
// blob that somebody else put there that includes hashing it, once. There is no
// network in it. After it LocalPath answers at once.
func (b *Blob) Locate(ctx context.Context) error { return b.core.await(ctx) }

// Cached tells how many bytes are on local disk.
func (b *Blob) Cached() int64 {
	if n, ok := b.core.cached(); ok {
		return n
	}
	return b.core.c.Cached(b.file)
}

// LocalPath is the file that holds the content, once it is whole and verified;
// see Locate. Nobody may write to it. It may be evicted after Close.
func (b *Blob) LocalPath() (string, bool) { return b.core.localPath() }

// WholeFile is the content in a file of the caller's own, to be closed, once it
// is whole and verified; see Locate. Nobody may write to it.
func (b *Blob) WholeFile() (*os.File, bool) {
	whole := b.core.wholeFile()
	if whole == nil {
		return nil, false
	}
	defer whole.release()
	fd, err := unix.FcntlInt(whole.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	return os.NewFile(uintptr(fd), whole.Name()), true
}

// Fetch makes the content whole and verified, and gives it its name in the shared
// cache as far as that can be.
func (b *Blob) Fetch(ctx context.Context) error {
	if b.closed.Load() {
		return ErrClosed
	}
	if err := b.core.fetchAll(ctx, b); err != nil {
		return fmt.Errorf("fetch %s of %s: %w", b.file.Path, b.file.Repo, err)
	}
	return nil
}

// Close ends the handle. Fetches under way go on to the end of their ranges.
func (b *Blob) Close() error {
	if b.closed.Swap(true) {
		return ErrClosed
	}
	b.core.quit()
	return nil
}
