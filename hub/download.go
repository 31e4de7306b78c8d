package hub

import (
	"context"
	"crypto/sha1" // Git's ids are made of it
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// maxResumes is how often in a row a download goes on without having got a byte.
const maxResumes = 5

// Download writes a whole file to w, resuming where a connection breaks, and
// verifies it against the Hub's hash at the end: what was written before an
// error is not to be used. All of it is of the commit that it returns.
func (c *Client) Download(ctx context.Context, f FileRef, w io.Writer) (*FileMetadata, error) {
	content, err := c.OpenFile(ctx, f, Range{Len: -1})
	if err != nil {
		return nil, err
	}
	f.Revision = content.Commit // should it have to be resolved again
	m := &FileMetadata{CommitHash: content.Commit, ETag: content.ETag, Size: content.Size, Location: content.Location}
	sum := newFileHash(m.ETag, m.Size)

	if err := c.copyRest(ctx, f, content, m, w, sum, 0); err != nil {
		return nil, err
	}
	return m, nil
}

// copyRest copies what follows the first done bytes, which the hash has had, and
// verifies the whole. It closes the content, and keeps in m where it was last.
func (c *Client) copyRest(ctx context.Context, f FileRef, content *Content, m *FileMetadata, w io.Writer, sum fileHash, done int64) error {
	defer func() { content.Close() }()
	for fails := 0; ; {
		n, werr, rerr := copyContent(w, sum, content)
		done += n
		switch {
		case werr != nil:
			return werr
		case rerr == nil && done == m.Size:
			if got := hex.EncodeToString(sum.Sum(nil)); !sum.unknown && got != m.ETag {
				return protocolError(content.req, "the content has the hash %s, and should have %s", got, m.ETag)
			}
			return nil
		case rerr == nil:
			return protocolError(content.req, "%d bytes came of %d", done, m.Size)
		case n > 0:
			fails = 0
		}
		if fails++; fails > maxResumes || !errors.Is(rerr, ErrUnavailable) {
			return rerr
		}
		content.Close()
		if err := sleep(ctx, backoff(fails-1)); err != nil {
			return rerr
		}
		next, err := c.resume(ctx, f, m.Location, Range{Off: done, Len: -1})
		if err != nil {
			return err
		}
		content = next
		if content.ETag != m.ETag || content.Size != m.Size {
			return protocolError(content.req, "the content of a commit has changed: it was %s, and is %s", m.ETag, content.ETag)
		}
		m.Location = content.Location
	}
}

// resume opens another part of a file, where it was or where it is now.
func (c *Client) resume(ctx context.Context, f FileRef, l Location, r Range) (*Content, error) {
	content, err := c.OpenLocation(ctx, l, r)
	if errors.Is(err, ErrLocationExpired) {
		return c.OpenFile(ctx, f, r)
	}
	return content, err
}

// copyContent copies to its end, and tells errors of the two sides apart.
func copyContent(w io.Writer, sum io.Writer, content *Content) (n int64, werr, rerr error) {
	buf := make([]byte, 256<<10)
	for {
		k, err := content.Read(buf)
		if k > 0 {
			_, _ = sum.Write(buf[:k]) // a hash takes all
			if _, werr := w.Write(buf[:k]); werr != nil {
				return n, werr, nil
			}
			n += int64(k)
		}
		if errors.Is(err, io.EOF) {
			return n, nil, nil
		}
		if err != nil {
			return n, nil, err
		}
	}
}

// fileHash is the hash that an ETag names: sha256 of an LFS file's content, or
// Git's id of the blob.
type fileHash struct {
	hash.Hash
	unknown bool // the ETag is neither
}

func newFileHash(etag string, size int64) fileHash {
	switch {
	case isSHA256(etag):
		return fileHash{Hash: sha256.New()}
	case isOID(etag):
		h := sha1.New()
		fmt.Fprintf(h, "blob %d\x00", size)
		return fileHash{Hash: h}
	}
	return fileHash{Hash: sha256.New(), unknown: true}
}
