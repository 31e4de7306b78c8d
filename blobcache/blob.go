package blobcache

import "context"

// Blob is a handle of a file's content. It is safe for concurrent use.
type Blob struct {
	file File
}

// ReadAt fills p from off, fetching what isn't here. It returns less than len(p)
// only with an error; io.EOF is the end of the file. A reader that leaves (ctx)
// doesn't stop the fetch. Errors are ErrCorrupt, ErrClosed, ctx's, or wrap those
// of package hub.
func (b *Blob) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return 0, errUnfinished
}

// Size is the length of the content in bytes.
func (b *Blob) Size() int64 { return b.file.Size }

// Hash is the content's sha256, or Git's blob id for a regular file.
func (b *Blob) Hash() string { return b.file.Hash }

// Cached tells how many bytes are on local disk.
func (b *Blob) Cached() int64 { return 0 }

// LocalPath is the file that holds the content, once it is whole and verified.
// Nobody may write to it. It may be evicted after Close.
func (b *Blob) LocalPath() (string, bool) { return "", false }

// Fetch makes the content whole and verified.
func (b *Blob) Fetch(ctx context.Context) error { return errUnfinished }

// Close ends the handle. Fetches under way go on to the end of their ranges.
func (b *Blob) Close() error { return nil }
