package blobcache

import (
	"context"
	"fmt"
	"hash"
	"io"
)

// AddLocal keeps content that this machine has made, and the Hub has by now, so
// that nobody downloads it: at f's place in the shared cache, whole and verified. src
// holds f.Size bytes; it isn't used after the return. Content that doesn't match
// f.Hash is ErrCorrupt, and not kept.
func (c *Cache) AddLocal(ctx context.Context, f File, src io.ReaderAt) error {
	return c.addLocal(ctx, f, func() error {
		h := newHasher(f.Hash, f.Size)
		return c.shared.AddBlob(f.Repo, f.Hash, &verifyingReader{ctx, io.NewSectionReader(src, 0, f.Size), h, f.Hash}, f.Size)
	})
}

// AddFile is AddLocal of a file that the caller has hashed and synced, and that nobody
// writes to any more, without copying it: the cache has it, too, from now on. Where that
// can't be, the error is errors.ErrUnsupported.
func (c *Cache) AddFile(ctx context.Context, f File, file string) error {
	if fi, ok := regular(file); !ok || fi.Size() != f.Size {
		return fmt.Errorf("keeping %s: %w", f.Path, ErrCorrupt)
	}
	return c.addLocal(ctx, f, func() error { return c.shared.ShareBlob(f.Repo, f.Hash, file) })
}

// addLocal lets add put f's content into the shared cache, if it isn't there.
func (c *Cache) addLocal(ctx context.Context, f File, add func() error) error {
	if err := f.check(); err != nil {
		return err
	}
	path, err := c.shared.BlobPath(f.Repo, f.Hash)
	if err != nil {
		return err
	}
	if fi, ok := regular(path); !ok || fi.Size() != f.Size || !c.ledger.isVerified(identify(f.Hash, fi)) {
		path, err = c.keepShared(ctx, f, add)
		if err != nil {
			return fmt.Errorf("keeping %s: %w", f.Path, err)
		}
	}
	c.place(ctx, f, path)
	c.limiter.mu.Lock()
	c.limiter.seen -= f.Size // it takes room as what is fetched does
	c.limiter.mu.Unlock()
	c.limit()
	return nil
}

// A verifyingReader ends with ErrCorrupt if what was read doesn't have the right hash.
type verifyingReader struct {
	ctx  context.Context //nolint:containedctx // io.Reader has no place for one
	src  io.Reader
	hash hash.Hash
	want string
}

func (r *verifyingReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.src.Read(p)
	_, _ = r.hash.Write(p[:n])
	if err == io.EOF && !sumIs(r.hash, r.want) { //nolint:errorlint // a reader's own
		return n, ErrCorrupt
	}
	return n, err
}
