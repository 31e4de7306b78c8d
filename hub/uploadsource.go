package hub

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // Git's own hash
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// ErrContentChanged is a file that was written to while it was being uploaded.
// Nothing of it is committed; trying again takes it as it is then.
var ErrContentChanged error = &kind{"the content changed while it was uploaded", nil}

// A ContentSource is where the bytes of an addition come from. They are read
// several times (to hash, to upload, after a failure), in pieces and from
// several goroutines, and never held in memory as a whole.
type ContentSource struct {
	Size int64 // bytes

	// SHA256 and GitSHA1 (of the content as a Git blob) are in lower-case hex.
	// What is "" is computed when it is needed.
	SHA256  string
	GitSHA1 string

	// Open gives the content, which must be the same each time: else it fails
	// with ErrContentChanged.
	Open func() (ContentReader, error)
}

// A ContentReader is open content. ReadAt may be called from several goroutines.
type ContentReader interface {
	io.ReaderAt
	io.Closer
}

// FileContent is the content of a local file. It must stay as it is, by its
// modification time and size, until the commit is through.
func FileContent(path string) (ContentSource, error) {
	first, err := os.Stat(path)
	if err != nil {
		return ContentSource{}, err
	}
	if !first.Mode().IsRegular() {
		return ContentSource{}, &os.PathError{Op: "upload", Path: path, Err: errors.New("not a regular file")}
	}
	stamp := fileStamp{first, first.ModTime(), first.Size()}
	return ContentSource{Size: first.Size(), Open: func() (ContentReader, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err == nil && !stamp.same(info) {
			err = &os.PathError{Op: "upload", Path: path, Err: ErrContentChanged}
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}}, nil
}

// BytesContent is content in memory.
func BytesContent(data []byte) ContentSource {
	return ReaderAtContent(bytes.NewReader(data), int64(len(data)))
}

// ReaderAtContent is the first size bytes of r.
func ReaderAtContent(r io.ReaderAt, size int64) ContentSource {
	return ContentSource{Size: size, Open: func() (ContentReader, error) { return nopCloserAt{r}, nil }}
}

type nopCloserAt struct{ io.ReaderAt }

func (nopCloserAt) Close() error { return nil }

// prefix is the first n bytes, fewer of shorter content.
func (s *ContentSource) prefix(n int64) ([]byte, error) {
	r, err := s.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	buf := make([]byte, min(n, s.Size))
	if k, err := r.ReadAt(buf, 0); k < len(buf) {
		return nil, shortContent(err)
	}
	return buf, nil
}

// sum256 is the sha256 in hex, computed once.
func (s *ContentSource) sum256(ctx context.Context) (string, error) {
	if s.SHA256 != "" {
		return s.SHA256, nil
	}
	sum, err := s.hash(ctx, sha256.New())
	s.SHA256 = sum
	return sum, err
}

// sumGit is the id of the content as a Git blob, computed once.
func (s *ContentSource) sumGit(ctx context.Context) (string, error) {
	if s.GitSHA1 != "" {
		return s.GitSHA1, nil
	}
	sum, err := s.hash(ctx, newGitHash(s.Size))
	s.GitSHA1 = sum
	return sum, err
}

// newGitHash hashes a blob of the given size as Git does.
func newGitHash(size int64) hash.Hash {
	h := sha1.New() //nolint:gosec // as above
	fmt.Fprintf(h, "blob %d\x00", size)
	return h
}

func (s *ContentSource) hash(ctx context.Context, h hash.Hash) (string, error) {
	r, err := s.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	buf := make([]byte, min(max(s.Size, 1), 1<<20))
	for off := int64(0); off < s.Size; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := r.ReadAt(buf[:min(int64(len(buf)), s.Size-off)], off)
		h.Write(buf[:n])
		off += int64(n)
		if err != nil && off < s.Size {
			return "", shortContent(err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// unchanged opens the content once more to see that it is still the same.
func (s *ContentSource) unchanged() error {
	r, err := s.Open()
	if err != nil {
		return err
	}
	return r.Close()
}

// shortContent is content that ends before its size.
func shortContent(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return ErrContentChanged
	}
	return err
}
