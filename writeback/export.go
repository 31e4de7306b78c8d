package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hubfs/hubfs/blobcache"
)

// Unlisted is a tree that can't be read: what is below the changes isn't needed to
// export them, and the Hub may be out of reach.
type Unlisted struct{}

// Commit isn't known.
func (Unlisted) Commit() string { return "" }

// List fails.
func (Unlisted) List(context.Context, string) (*blobcache.Listing, error) {
	return nil, errors.New("the Hub isn't asked")
}

// exportChunk is how much is copied at once.
const exportChunk = 1 << 20

// Export copies the files that are changed to a folder, which is made, with their modes
// and times, and tells which those are: what is deleted here, too, which there is
// nothing to copy of. Nothing that exists is written over, and the changes stay
// what they are. What it can't copy doesn't keep it from the rest; the error is of all
// of those.
func (b *Branch) Export(ctx context.Context, dir string) (done []Change, err error) {
	for _, c := range b.Changes() {
		if ctx.Err() != nil {
			return done, errors.Join(err, ctx.Err())
		}
		if !c.Deleted {
			if e := b.exportFile(ctx, c.Path, filepath.Join(dir, filepath.FromSlash(c.Path))); e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", c.Path, e))
				continue
			}
		}
		done = append(done, c)
	}
	return done, err
}

func (b *Branch) exportFile(ctx context.Context, from, to string) (err error) {
	src, err := b.OpenFile(ctx, from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Release()) }()
	e := src.Stat()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if e.Mode != 0 {
		mode = fs.FileMode(e.Mode).Perm()
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	buf := make([]byte, exportChunk)
	for off := int64(0); ; {
		n, readErr := src.ReadAt(ctx, buf, off)
		if _, err := dst.Write(buf[:n]); err != nil {
			return errors.Join(err, dst.Close(), os.Remove(to))
		}
		off += int64(n)
		if errors.Is(readErr, io.EOF) {
			break
		}
		if readErr != nil {
			return errors.Join(readErr, dst.Close(), os.Remove(to)) // no half of it looks like all
		}
	}
	if err := errors.Join(dst.Sync(), dst.Close()); err != nil {
		return err
	}
	if e.MTime.IsZero() {
		return nil
	}
	return os.Chtimes(to, e.MTime, e.MTime)
}
