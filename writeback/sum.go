package writeback

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Large files are hashed while they are written, as far as that happens from their start to
// their end, so that who commits them needn't read them first. What differs from that
// has no sum, and is hashed when it is committed.

const (
	sumStep  = 1 << 20 // bytes that are hashed at a time
	sumBegin = 4 << 20 // bytes that are worth waking the goroutine that hashes
)

// A sum is the sha256 of the beginning of a content that only grows. It belongs to one inode
// with one layer that is a whole file; any other change of the content gives the inode another, or none.
type sum struct {
	mu   sync.Mutex // guards the rest; held over reads of the layer
	hash hash.Hash
	done int64 // bytes that are in it
}

// add hashes what a content has from done to its size, some steps or all of it.
func (s *sum) add(ctx context.Context, c *content, steps int) (whole bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	buf := sumBuffers.Get().(*[sumStep]byte)
	defer sumBuffers.Put(buf)
	for ; s.done < c.size && steps != 0; steps-- {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		p := buf[:min(sumStep, c.size-s.done)]
		if n, err := c.readAt(ctx, p, s.done); n < len(p) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return false, err
		}
		s.hash.Write(p)
		s.done += int64(len(p))
	}
	return s.done >= c.size, nil
}

var sumBuffers = sync.Pool{New: func() any { return new([sumStep]byte) }}

// hex is the hash of all of a content, "" if that isn't what was added.
func (s *sum) hex(c *content) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done != c.size {
		return ""
	}
	return hex.EncodeToString(s.hash.Sum(nil))
}

// grew notes that a write at off made the file longer, with nothing else changed since it had
// the sum that is given. It requires the inode's mu.
func (ino *inode) grew(s *sum, off int64) {
	if len(ino.layers) != 1 || ino.layers[0].below != 0 || ino.blob != nil {
		return
	}
	if s == nil && off == 0 {
		s = &sum{hash: sha256.New()}
	}
	ino.sum = s
	if s != nil && ino.size >= aheadSize && ino.size/sumBegin != off/sumBegin {
		ino.sumSoon()
	}
}

// sumSoon has the rest hashed by the goroutine that does that. It requires mu.
func (ino *inode) sumSoon() {
	select {
	case ino.b.summing <- ino:
	default: // there are others, and the next write asks again
	}
}

// sumUp hashes what is written, until ctx ends.
func (b *Branch) sumUp(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case ino := <-b.summing:
			for ino.sumStep(ctx) {
			}
		}
	}
}

// sumStep hashes some more of an inode, and says whether there was enough.
func (ino *inode) sumStep(ctx context.Context) bool {
	ino.mu.RLock()
	s := ino.sum
	c := content{layers: ino.layers, size: ino.size}
	ino.mu.RUnlock()
	if s == nil || len(c.layers) != 1 {
		return false
	}
	c.size -= c.size % sumStep
	if whole, err := s.add(ctx, &c, 1); err != nil {
		ino.mu.Lock()
		if ino.sum == s {
			ino.sum = nil // a read that fails will be told to who commits
		}
		ino.mu.Unlock()
		return false
	} else if whole {
		return false
	}
	return true
}

// sums gives items whose content was hashed while it was written its hash: what is left of it is
// hashed now.
func (x *batch) sums(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, it := range x.items {
		if it.sum == nil || it.add == nil || it.now != nil || it.prefix || it.content.size < aheadSize {
			continue
		}
		g.Go(func() error {
			if _, err := it.sum.add(ctx, &it.content, -1); err != nil {
				return ctx.Err() // others will see why it can't be read
			}
			it.add.Content.SHA256 = it.sum.hex(&it.content)
			return nil
		})
	}
	return g.Wait()
}
