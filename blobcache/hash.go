package blobcache

import (
	"context"
	"crypto/sha1" //nolint:gosec // Git's ids
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"
)

// validHash accepts the names of contents: they become names of files.
func validHash(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// newHasher computes the hash that names content of that size: sha256, or Git's
// blob id if name is that long.
func newHasher(name string, size int64) hash.Hash {
	if len(name) == 64 {
		return sha256.New()
	}
	h := sha1.New() //nolint:gosec // Git's ids
	fmt.Fprintf(h, "blob %d\x00", size)
	return h
}

func sumIs(h hash.Hash, name string) bool { return hex.EncodeToString(h.Sum(nil)) == name }

// buffers are for moving bytes between network, disk and hashes.
var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// hashFile feeds [off, end) of f to h.
func hashFile(ctx context.Context, h hash.Hash, f io.ReaderAt, off, end int64) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for off < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := (*buf)[:min(int64(len(*buf)), end-off)]
		n, err := f.ReadAt(b, off)
		if n < len(b) {
			if err == nil || err == io.EOF { //nolint:errorlint // ReadAt's own
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		_, _ = h.Write(b)
		off += int64(n)
	}
	return nil
}
