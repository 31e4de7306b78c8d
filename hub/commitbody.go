package hub

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"sync"
	"sync/atomic"
)

// A commitBody is what a commit sends: lines of JSON, one an operation. Regular
// files stand in it in base64, which is made while the body is read: only the
// rest is in memory. It can be read more than once.
type commitBody struct {
	pieces []bodyPiece
	length int64 // bytes, known from the sizes of the files
	// delivered says that a reader has given its last byte: from then on the
	// server may have the whole commit.
	delivered atomic.Bool
	progress  func(path string, n int64) // of the content
}

// bodyPiece is text, and after it the content of a file, if there is one.
type bodyPiece struct {
	text    []byte
	path    string
	content *ContentSource
}

func newCommitBody(progress func(path string, n int64)) *commitBody {
	return &commitBody{pieces: make([]bodyPiece, 1), progress: progress}
}

// commitHeader is the first line.
type commitHeader struct {
	Summary      string `json:"summary"`
	Description  string `json:"description"`
	ParentCommit string `json:"parentCommit,omitempty"`
}

type commitLFSFile struct {
	Path string `json:"path"`
	Algo string `json:"algo"`
	OID  string `json:"oid"`
	Size *int64 `json:"size,omitempty"` // of a copy the server knows it
}

type commitPath struct {
	Path string `json:"path"`
}

// line adds a line that is held in memory.
func (b *commitBody) line(key string, value any) error {
	data, err := json.Marshal(map[string]any{"key": key, "value": value})
	if err != nil {
		return err
	}
	b.text(append(data, '\n'))
	return nil
}

// file adds the line of a regular file.
func (b *commitBody) file(path string, content *ContentSource) error {
	name, err := json.Marshal(path)
	if err != nil {
		return err
	}
	b.text([]byte(`{"key":"file","value":{"content":"`))
	last := &b.pieces[len(b.pieces)-1]
	last.path, last.content = path, content
	b.length += base64Len(content.Size)
	b.pieces = append(b.pieces, bodyPiece{})
	b.text([]byte(`","path":` + string(name) + `,"encoding":"base64"}}` + "\n"))
	return nil
}

func (b *commitBody) text(data []byte) {
	last := &b.pieces[len(b.pieces)-1]
	last.text = append(last.text, data...)
	b.length += int64(len(data))
}

// base64Len is the length of n bytes in padded base64.
func base64Len(n int64) int64 { return (n + 2) / 3 * 4 }

// open reads the body from its start.
func (b *commitBody) open() (io.ReadCloser, error) { return &commitReader{body: b}, nil }

// commitReader reads a commitBody. Its methods may be called from two goroutines:
// net/http closes a body while it is being sent.
type commitReader struct {
	body *commitBody

	mu      sync.Mutex // guards the rest; held over reads of local files
	err     error      // what every Read from now on gives
	given   int64
	next    int    // piece to come
	ready   []byte // encoded and not yet given
	content *bodyPiece
	file    ContentReader
	off     int64     // in file
	sum     hash.Hash // of file, where its hash is known
	raw     []byte
	encoded []byte
}

// rawChunk is how much of a file is encoded at a time; a multiple of 3 bytes, so
// that only the last piece is padded.
const rawChunk = 48 << 10

func (r *commitReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.ready) == 0 && r.err == nil {
		r.err = r.fill()
	}
	if len(r.ready) == 0 {
		return 0, r.err
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	if r.given += int64(n); r.given == r.body.length {
		r.body.delivered.Store(true)
	}
	return n, nil
}

// fill makes the next bytes ready, or gives the error that ends the body.
func (r *commitReader) fill() error {
	if r.file != nil {
		return r.fillFile()
	}
	if r.content != nil { // its text is through
		file, err := r.content.content.Open()
		if err != nil {
			return &OperationError{r.content.path, err}
		}
		r.file, r.off, r.sum = file, 0, nil
		if r.content.content.GitSHA1 != "" {
			r.sum = newGitHash(r.content.content.Size)
		}
		return nil
	}
	if r.next == len(r.body.pieces) {
		return io.EOF
	}
	piece := &r.body.pieces[r.next]
	r.next++
	r.ready = piece.text
	if piece.content != nil {
		r.content = piece
	}
	return nil
}

func (r *commitReader) fillFile() error {
	c := r.content.content
	if r.off == c.Size {
		if err := r.endFile(); err != nil {
			return &OperationError{r.content.path, err}
		}
		r.content = nil
		return nil
	}
	if r.raw == nil {
		r.raw, r.encoded = make([]byte, rawChunk), make([]byte, base64Len(rawChunk))
	}
	raw := r.raw[:min(rawChunk, c.Size-r.off)]
	if n, err := r.file.ReadAt(raw, r.off); n < len(raw) {
		return &OperationError{r.content.path, shortContent(err)}
	}
	r.off += int64(len(raw))
	if r.sum != nil {
		r.sum.Write(raw)
	}
	base64.StdEncoding.Encode(r.encoded, raw)
	r.ready = r.encoded[:base64Len(int64(len(raw)))]
	r.body.progress(r.content.path, int64(len(raw)))
	return nil
}

// endFile closes the file and checks that it was what it had been: the commit
// isn't complete yet, so that it can still be called off.
func (r *commitReader) endFile() error {
	err := r.file.Close()
	r.file = nil
	if err != nil {
		return err
	}
	if r.sum != nil && hex.EncodeToString(r.sum.Sum(nil)) != r.content.content.GitSHA1 {
		return ErrContentChanged
	}
	return r.content.content.unchanged()
}

func (r *commitReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = errors.New("hub: the body of the commit was closed")
	}
	r.ready = nil
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
