package hub

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the hash that git names objects by
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// MaxPack is how many bytes FetchBlobs takes from one answer, how many it unpacks of
// it, and how many of differences it keeps that came before what they differ from: git
// may send an object as its difference from any other in the same answer. Twice as much
// is about what it may hold in memory.
const MaxPack = 64 << 20

// packTries is how often an answer may break without a single object.
const packTries = 3

// FetchBlobs brings many regular files by one request: ids are the Git blob ids
// that the tree lists as OID. Each of them is given to each once, verified, in any
// order (servers tend to keep that of ids); its content must not be changed. All of
// them together must be less than [MaxPack] bytes. A file in LFS comes as its pointer.
//
// The Hub's quota of resolved files isn't touched. A server that doesn't serve
// packs answers with an error of kind [ErrNotFound], [ErrForbidden] or
// [ErrProtocol]; what has come until an error stands.
//
//	POST /{prefix}{id}.git/git-upload-pack   (Git's protocol, version 2)
func (c *Client) FetchBlobs(ctx context.Context, r Repo, ids []string, each func(id string, content []byte) error) error {
	if err := r.Validate(); err != nil {
		return err
	}
	missing := make(map[string]bool, len(ids))
	for _, id := range ids {
		if raw, err := hex.DecodeString(id); err != nil || len(raw) != sha1.Size {
			return &ValidationError{What: "blob id", Value: id, Reason: "isn't 40 hex digits"}
		}
		missing[id] = true
	}
	give := func(id string, content []byte) error {
		if !missing[id] {
			return nil // sent twice, or without being asked for
		}
		delete(missing, id)
		return each(id, content)
	}
	for tries := 0; len(missing) > 0; {
		before := len(missing)
		err := c.fetchPack(ctx, r, slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !missing[id] }), give)
		switch {
		case err == nil && len(missing) > 0:
			return c.packError(r, "the pack lacks %d of %d objects", len(missing), before)
		case err == nil:
			return nil
		case !errors.Is(err, ErrUnavailable) || ctx.Err() != nil:
			return err
		}
		if len(missing) < before {
			tries = 0
		}
		if tries++; tries >= packTries {
			return err
		}
		if sleep(ctx, backoff(tries-1)) != nil {
			return err
		}
		c.retrier.retries.Add(1)
	}
	return nil
}

func packPath(r Repo) string {
	return "/" + r.Type.prefix() + escapePath(r.ID) + ".git/git-upload-pack"
}

func (c *Client) packError(r Repo, format string, args ...any) error {
	return c.protocolError(&request{method: http.MethodPost, repo: r, path: packPath}, format, args...)
}

func (c *Client) fetchPack(ctx context.Context, r Repo, ids []string, give func(string, []byte) error) error {
	var body bytes.Buffer
	writePkt(&body, "command=fetch\n")
	writePkt(&body, "object-format=sha1\n")
	body.WriteString(pktDelim)
	writePkt(&body, "no-progress\n")
	writePkt(&body, "ofs-delta\n")
	for _, id := range ids {
		writePkt(&body, "want "+id+"\n")
	}
	writePkt(&body, "done\n")
	body.WriteString(pktFlush)
	resp, err := c.do(ctx, &request{
		method: http.MethodPost, repo: r, path: packPath, repeat: true, body: body.Bytes(),
		header: http.Header{
			"Content-Type": {"application/x-git-upload-pack-request"},
			"Accept":       {"application/x-git-upload-pack-result"},
			"Git-Protocol": {"version=2"},
		},
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if ct := resp.Header.Get("Content-Type"); ct != "application/x-git-upload-pack-result" {
		return protocolError(resp.Request, "the answer is %q, no pack", ct)
	}
	in := &trackedReader{r: io.LimitReader(resp.Body, MaxPack)}
	err = readPack(&packBand{r: bufio.NewReader(in)}, give)
	if err == nil {
		readSome(resp.Body) // the checksum, for the sake of the connection
	}
	var refused *packRefusal
	var mine *eachError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mine):
		return mine.err
	case in.n >= MaxPack:
		return protocolError(resp.Request, "the pack is larger than %d MiB", MaxPack>>20)
	case in.err != nil && !errors.Is(in.err, io.EOF):
		return requestError(resp.Request, in.err)
	case errors.As(err, &refused):
		return protocolError(resp.Request, "%v", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return requestError(resp.Request, io.ErrUnexpectedEOF)
	}
	return protocolError(resp.Request, "the pack is damaged: %v", err)
}

// eachError is an error of the caller's own.
type eachError struct{ err error }

func (e *eachError) Error() string { return e.err.Error() }

// readPack gives the blobs of a pack. Objects that come as a difference wait for
// their base.
func readPack(r io.Reader, give func(id string, content []byte) error) error {
	s := packfile.NewScanner(r)
	_, count, err := s.Header()
	if err != nil {
		return err
	}
	p := packReader{byOffset: make(map[int64][]byte), byID: make(map[string][]byte), give: give}
	for range count {
		h, err := s.NextObjectHeader()
		if err != nil {
			return err
		}
		if h.Length < 0 || h.Length > MaxPack {
			return fmt.Errorf("an object of %d bytes", h.Length)
		}
		var content bytes.Buffer
		content.Grow(int(h.Length))
		if _, _, err := s.NextObject(&content); err != nil {
			return err
		}
		if err := p.add(h, content.Bytes()); err != nil {
			return err
		}
	}
	// Every base may have come behind what is built on it.
	for len(p.waiting) > 0 {
		n := len(p.waiting)
		again := p.waiting
		p.waiting, p.delayed = nil, 0
		for _, d := range again {
			if err := p.add(d.head, d.delta); err != nil {
				return err
			}
		}
		if len(p.waiting) == n {
			return fmt.Errorf("%d objects lack what they differ from", n)
		}
	}
	return nil
}

type packReader struct {
	byOffset map[int64][]byte
	byID     map[string][]byte
	size     int64 // of the content that is held
	waiting  []waitingDelta
	delayed  int64 // bytes in waiting
	give     func(id string, content []byte) error
}

type waitingDelta struct {
	head  *packfile.ObjectHeader
	delta []byte
}

func (p *packReader) add(h *packfile.ObjectHeader, content []byte) error {
	switch h.Type {
	case plumbing.BlobObject:
	case plumbing.OFSDeltaObject, plumbing.REFDeltaObject:
		base, ok := p.byOffset[h.OffsetReference]
		if h.Type == plumbing.REFDeltaObject {
			base, ok = p.byID[h.Reference.String()]
		}
		if !ok {
			if p.delayed += int64(len(content)); p.delayed > MaxPack {
				return fmt.Errorf("differences of more than %d MiB wait for their base", MaxPack>>20)
			}
			p.waiting = append(p.waiting, waitingDelta{h, content})
			return nil
		}
		// A few bytes of a difference can stand for any number of its base's.
		if n := patchedSize(content); n > MaxPack {
			return fmt.Errorf("an object of %d bytes", n)
		}
		var err error
		if content, err = packfile.PatchDelta(base, content); err != nil {
			return err
		}
	default:
		return fmt.Errorf("a %s came, which nobody asked for", h.Type)
	}
	if p.size += int64(len(content)); p.size > MaxPack {
		return fmt.Errorf("it unpacks to more than %d MiB", MaxPack>>20)
	}
	id := blobID(content)
	p.byOffset[h.Offset], p.byID[id] = content, content
	if err := p.give(id, slices.Clip(content)); err != nil {
		return &eachError{err}
	}
	return nil
}

// patchedSize is how long a difference says that its object is. It begins with two numbers
// (binary.Uvarint reads them as git writes them), the length of the base and this one.
// What isn't a number is 0, and for PatchDelta to refuse.
func patchedSize(delta []byte) uint64 {
	_, n := binary.Uvarint(delta)
	size, _ := binary.Uvarint(delta[max(n, 0):])
	return size
}

// blobID is the name that git gives to content.
func blobID(content []byte) string {
	h := sha1.New() //nolint:gosec // git's
	fmt.Fprintf(h, "blob %d\x00", len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

// Packets of git's protocol: four hex digits of length, themselves counted, then
// so many bytes less four; the lengths 0 to 2 are marks.
const (
	pktFlush = "0000"
	pktDelim = "0001"
)

func writePkt(b *bytes.Buffer, line string) { fmt.Fprintf(b, "%04x%s", len(line)+4, line) }

// packRefusal is what the server says instead of a pack.
type packRefusal struct{ message string }

func (e *packRefusal) Error() string { return e.message }

// packBand reads the pack out of the answer's packets: one that announces it, then
// packets of band 1, which are its bytes, of band 2, progress, and of band 3, an
// error.
type packBand struct {
	r     *bufio.Reader
	begun bool
	left  int // of the packet that is being read
}

func (b *packBand) Read(p []byte) (int, error) {
	for b.left == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next goes to the data of the next packet that has any.
func (b *packBand) next() error {
	var head [4]byte
	if _, err := io.ReadFull(b.r, head[:]); err != nil {
		return io.ErrUnexpectedEOF
	}
	var raw [2]byte
	if _, err := hex.Decode(raw[:], head[:]); err != nil {
		return fmt.Errorf("a packet begins with %q", head)
	}
	n := int(raw[0])<<8 | int(raw[1])
	switch {
	case n < 3:
		if b.begun {
			return io.EOF
		}
		return nil // the end of another section
	case n < 5:
		return fmt.Errorf("a packet of %d bytes", n)
	}
	if !b.begun {
		line := make([]byte, n-4)
		if _, err := io.ReadFull(b.r, line); err != nil {
			return io.ErrUnexpectedEOF
		}
		if text, ok := bytes.CutPrefix(line, []byte("ERR ")); ok {
			return &packRefusal{string(bytes.TrimSpace(text))}
		}
		b.begun = string(bytes.TrimSuffix(line, []byte("\n"))) == "packfile"
		return nil
	}
	kind, err := b.r.ReadByte()
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	switch kind {
	case 1:
		b.left = n - 5
		return nil
	case 2:
		_, err := b.r.Discard(n - 5)
		return err
	case 3:
		text := make([]byte, n-5)
		_, _ = io.ReadFull(b.r, text)
		return &packRefusal{string(bytes.TrimSpace(text))}
	}
	return fmt.Errorf("a packet of band %d", kind)
}
