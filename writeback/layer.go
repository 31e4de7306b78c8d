package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
)

// Blob is content of the Hub, read through the cache: *blobcache.Blob.
type Blob interface {
	// ReadAt fills p, or fails.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Close() error
}

// A layer is a sparse file over what is below it. What is above the mutex is
// guarded by the inode's mu, and doesn't change while the layer is pinned.
type layer struct {
	id      uint64
	below   int64   // bytes of what is below that are visible
	written extents // before below
	pending extents // written, and not in the log yet
	deltas  int     // records of extents in the log
	synced  bool
	shared  bool // the cache has the file, too: it is never written to again
	// loggedAt is the line of the log that was the last when it knew the layer.
	loggedAt int64
	pins     atomic.Int32 // snapshots that read it; grows under the inode's mu

	disk disk
	mu   sync.Mutex // guards what follows; held over opening
	f    diskFile   // nil: not open
	refs int        // who keeps it open
	kept bool       // one of refs is the inode's
}

// dataName is the file of a layer.
func dataName(id uint64) string { return dataDir + "/" + strconv.FormatUint(id, 10) }

// file gives the open file, for use until unref.
func (l *layer) file() (diskFile, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		f, err := l.disk.Open("stage open", dataName(l.id), false)
		if err != nil {
			return nil, fmt.Errorf("staged content: %w", err)
		}
		l.f = f
	}
	l.refs++
	return l.f, nil
}

func (l *layer) unref() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refs--; l.refs == 0 && l.f != nil {
		l.f.Close()
		l.f = nil
	}
}

// keep holds the file open, or stops doing so. A failure shows at the next use.
func (l *layer) keep(on bool) {
	l.mu.Lock()
	kept := l.kept
	l.mu.Unlock()
	switch {
	case on && !kept:
		if _, err := l.file(); err != nil {
			return
		}
	case !on && kept:
		defer l.unref()
	default:
		return
	}
	l.mu.Lock()
	l.kept = on
	l.mu.Unlock()
}

// with calls use with the open file.
func (l *layer) with(use func(diskFile) error) error {
	f, err := l.file()
	if err != nil {
		return err
	}
	defer l.unref()
	return use(f)
}

// wrote notes that [off, end) was written.
func (l *layer) wrote(off, end int64) {
	l.synced = false
	end = min(end, l.below)
	whole := true
	l.written.pieces(off, end, func(p piece) { whole = whole && p.in })
	if whole {
		return
	}
	l.written = l.written.add(off, end)
	l.pending = l.pending.add(off, end)
}

// hide lets the layer show nothing below at and behind size.
func (l *layer) hide(size int64) {
	if size < l.below {
		l.below = size
		l.written, l.pending = l.written.cut(size), l.pending.cut(size)
	}
}

// local is how many bytes of the layer, whose file has the given size, are its own.
func (l *layer) local(size int64) int64 { return l.written.total() + max(size-l.below, 0) }

func (l *layer) record() layerRec { return layerRec{File: l.id, Below: l.below, Deltas: l.deltas} }

// A content is a stack of layers on a blob, at one instant.
type content struct {
	blob   *sharedBlob // nil: none
	layers []*layer
	size   int64
}

// A hole is a part of a read that only the blob has.
type hole struct {
	p   []byte
	off int64
}

// readLocal fills p from the layers, and gives the parts that are the blob's.
func (c *content) readLocal(p []byte, off int64) ([]hole, error) {
	var holes []hole
	err := c.readBelow(len(c.layers), p, off, &holes)
	return holes, err
}

// readBelow fills p with what the layers before index n show.
func (c *content) readBelow(n int, p []byte, off int64, holes *[]hole) error {
	if len(p) == 0 {
		return nil
	}
	if n == 0 {
		*holes = append(*holes, hole{p, off})
		return nil
	}
	l := c.layers[n-1]
	end := off + int64(len(p))
	var err error
	read := func(from, to int64, own bool) {
		part := p[from-off : to-off]
		switch {
		case err != nil || len(part) == 0:
		case own:
			err = l.readOwn(part, from)
		default:
			err = c.readBelow(n-1, part, from, holes)
		}
	}
	if off < l.below {
		l.written.pieces(off, min(end, l.below), func(x piece) { read(x.Off, x.End, x.in) })
	}
	if end > l.below {
		read(max(off, l.below), end, true)
	}
	return err
}

// readOwn reads the layer's file; behind its end are zeros.
func (l *layer) readOwn(p []byte, off int64) error {
	return l.with(func(f diskFile) error {
		n, err := f.ReadAt(p, off)
		if n < len(p) && !errors.Is(err, io.EOF) {
			return fmt.Errorf("staged content: %w", err)
		}
		clear(p[n:])
		return nil
	})
}

// readBlob fills the holes.
func (c *content) readBlob(ctx context.Context, holes []hole) error {
	for _, h := range holes {
		if c.blob == nil {
			clear(h.p)
			continue
		}
		blob, err := c.blob.open()
		if err != nil {
			return err
		}
		if n, err := blob.ReadAt(ctx, h.p, h.off); n < len(h.p) {
			return fmt.Errorf("what the Hub has below an edit: %w", err)
		}
	}
	return nil
}

// A sharedBlob is opened when it is first read, and closed by its last user.
type sharedBlob struct {
	source Source
	from   func(Source) (Blob, error)

	mu   sync.Mutex
	blob Blob
	refs int
}

func (s *sharedBlob) open() (Blob, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blob == nil {
		b, err := s.from(s.source)
		if err != nil {
			return nil, err
		}
		s.blob = b
	}
	return s.blob, nil
}

func (s *sharedBlob) ref() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.refs++
	s.mu.Unlock()
}

func (s *sharedBlob) unref() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refs--; s.refs == 0 && s.blob != nil {
		s.blob.Close()
		s.blob = nil
	}
}
