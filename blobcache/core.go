package blobcache

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubfs/hubfs/hub"
)

const (
	// smallFile is fetched whole, and verified before its first byte is served.
	smallFile = 1 << 20
	// settleAtMost is how many bytes may be left to hash for a reader to wait for
	// the verdict, once all bytes of a blob are here.
	settleAtMost = 64 << 20
	// syncAtClose is how many bytes of ranges a crash of the machine may cost
	// after the last handle is closed.
	syncAtClose = 4 << 20
)

type coreKey struct {
	hash string
	size int64
}

// core is one content, shared by all handles of it; see the package comment for
// its states.
type core struct {
	c   *Cache
	key coreKey

	once    sync.Once
	located chan struct{} // closed when the state is no longer new

	mu      sync.Mutex // guards all below, and never held across I/O
	handles int
	busy    int    // goroutines at work for this core
	files   []File // places of this content: where to fetch it from, where to link it
	changed chan struct{}

	// At most one of these is set, and they are served in this order.
	err   error       // what every read gets
	mem   []byte      // content that the disk didn't take
	whole *sharedFile // verified
	part  *partialFile

	path   string      // of whole
	data   *sharedFile // of part
	noDisk error       // why there is neither: reads go past the disk
	bad    []fileIdentity

	fetches     []*fetch
	small       *smallFetch
	ahead       readahead
	description description
	pauseTo     time.Time // nothing is fetched ahead before, after that failed
	diskTo      time.Time // reads go past the disk before, after it took no bytes
	location    location

	hasher  hash.Hash // has seen the first hashed bytes of part
	hashed  int64
	hashing bool
}

func newCore(c *Cache, key coreKey) *core {
	return &core{
		c: c, key: key, located: make(chan struct{}), changed: make(chan struct{}),
		hasher: newHasher(key.hash, key.size),
	}
}

// sharedFile is a file that is closed when its last reader is done.
type sharedFile struct {
	*os.File
	users atomic.Int64
}

func share(f *os.File) *sharedFile {
	s := &sharedFile{File: f}
	s.users.Store(1)
	return s
}

func (s *sharedFile) acquire() *sharedFile { s.users.Add(1); return s }

func (s *sharedFile) release() {
	if s.users.Add(-1) == 0 {
		s.Close()
	}
}

// join counts a handle.
func (k *core) join(f File) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.handles++
	if !slices.Contains(k.files, f) {
		k.files = append(k.files, f)
	}
}

// quit counts a handle off.
func (k *core) quit() {
	k.mu.Lock()
	k.handles--
	idle := k.handles == 0 && k.busy == 0
	k.mu.Unlock()
	if idle {
		k.c.leave(k)
	}
}

func (k *core) idle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.handles == 0 && k.busy == 0
}

func (k *core) open() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.handles > 0
}

// work runs f for this core, which stays in the table meanwhile. Needs mu. It
// fails after Cache.Close.
func (k *core) work(f func()) bool {
	k.busy++
	ok := k.c.workers.start(func() {
		f()
		k.mu.Lock()
		k.busy--
		idle := k.handles == 0 && k.busy == 0
		k.mu.Unlock()
		if idle {
			k.c.leave(k)
		}
	})
	if !ok {
		k.busy--
	}
	return ok
}

// wake tells all waiting readers to look again. Needs mu.
func (k *core) wake() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// fail ends the core: every read gets err, and the next Open starts afresh.
func (k *core) fail(err error) {
	k.c.forget(k)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.err = err
	}
	k.wake()
}

// shut closes the files of a core that nobody uses any more, after a sync if
// more than limit bytes need one.
func (k *core) shut(limit int64) error {
	k.mu.Lock()
	part, data, whole := k.part, k.data, k.whole
	k.part, k.data, k.whole = nil, nil, nil
	if k.err == nil {
		k.err = ErrClosed
	}
	k.wake()
	k.mu.Unlock()
	var err error
	if part != nil {
		if part.needsSync(limit) {
			err = part.sync()
		}
		part.closeJournal()
	}
	if data != nil {
		data.release()
	}
	if whole != nil {
		whole.release()
	}
	return err
}

// locate begins to find out what is on local disk, once.
func (k *core) locate() {
	k.once.Do(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if !k.work(func() { k.look(k.c.ctx) }) {
			k.err = ErrClosed
			close(k.located)
		}
	})
}

// await waits until locate is done.
func (k *core) await(ctx context.Context) error {
	k.locate()
	select {
	case <-k.located:
	default:
		select {
		case <-k.located:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

func (k *core) cached() (n int64, known bool) {
	select {
	case <-k.located:
	default:
		return 0, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.whole != nil, k.mem != nil:
		return k.key.size, true
	case k.part != nil:
		return k.part.total(), true
	}
	return 0, true
}

func (k *core) localPath() (string, bool) {
	select {
	case <-k.located:
	default:
		return "", false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.path, k.whole != nil && k.path != ""
}

// wholeFile is the verified file, acquired for the caller; nil if there is none.
func (k *core) wholeFile() *sharedFile {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.whole == nil || k.err != nil {
		return nil
	}
	return k.whole.acquire()
}

// read fills p from off; all of it lies within the content.
func (k *core) read(ctx context.Context, b *Blob, p []byte, off int64) (int, error) {
	if err := k.await(ctx); err != nil {
		return 0, err
	}
	s := span{off, off + int64(len(p))}
	src, err := k.need(ctx, b, s)
	switch {
	case err != nil:
		return 0, err
	case src.file != nil:
		n, err := src.file.ReadAt(p, off)
		src.file.release()
		if n < len(p) {
			return n, k.lost(src, err)
		}
		return n, nil
	case src.mem != nil:
		return copy(p, src.mem[off:]), nil
	}
	return k.direct(ctx, b.file, p, off)
}

// lost is the error of a local file that can't be read. If it was whole, it
// isn't any more: the next Open looks at it again.
func (k *core) lost(src source, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // somebody cut it short
	}
	if errors.Is(err, os.ErrClosed) {
		return ErrClosed
	}
	err = fmt.Errorf("local copy: %w", err)
	if src.whole {
		k.fail(err)
	}
	return err
}

// source is where bytes can be read; neither file nor mem: past the disk.
type source struct {
	file  *sharedFile // acquired for the caller
	mem   []byte
	whole bool
}

// need waits until all of s can be read, and has fetched what isn't here.
func (k *core) need(ctx context.Context, b *Blob, s span) (source, error) {
	var deps []*fetch // that this reader waits for
	noted, hit := false, true
	for {
		k.mu.Lock()
		if k.err != nil {
			defer k.mu.Unlock()
			return source{}, k.err
		}
		if k.mem != nil || k.whole != nil {
			src := source{mem: k.mem, whole: true}
			if k.whole != nil {
				src.file = k.whole.acquire()
			}
			k.mu.Unlock()
			k.count(hit)
			k.place(ctx, b)
			return src, nil
		}
		if k.key.size <= smallFile {
			run := k.startSmall(b.file)
			k.mu.Unlock()
			hit = false
			if err := k.awaitSmall(ctx, run, b.file); err != nil {
				return source{}, err
			}
			continue
		}
		if k.part == nil {
			k.mu.Unlock()
			return source{}, nil
		}
		if !noted {
			noted = true
			k.ahead.note(s)
		}
		gaps := k.part.missing(s)
		if len(gaps) == 0 && !k.settling() {
			src := source{file: k.data.acquire()}
			k.describe()   //nolint:contextcheck // so does what is learnt
			k.pump(b.file) //nolint:contextcheck // a fetch belongs to the core
			k.mu.Unlock()
			k.count(hit)
			return src, nil
		}
		if len(gaps) > 0 {
			hit = false
			if time.Now().Before(k.diskTo) {
				k.mu.Unlock()
				return source{}, nil
			}
			if past, err := failed(deps, gaps, b.file); err != nil || past {
				k.mu.Unlock()
				return source{}, err
			}
			deps = k.demand(deps[:0], gaps, b.file) //nolint:contextcheck // a fetch belongs to the core
			k.pump(b.file)                          //nolint:contextcheck // a fetch belongs to the core
			if k.running() < k.c.aheadShare()/2 {
				k.ahead.widen(s)
				k.pump(b.file) //nolint:contextcheck // a fetch belongs to the core
			}
		}
		ch := k.changed
		k.mu.Unlock()
		select {
		case <-ch:
		case <-ctx.Done():
			return source{}, ctx.Err()
		}
	}
}

func (k *core) count(hit bool) {
	if hit {
		k.c.stats.hits.Add(1)
	} else {
		k.c.stats.misses.Add(1)
	}
}

// failed looks whether a fetch that a reader waited for has failed, and left
// gaps. It tells whether to go past the disk, which was the reason. The failure
// of a fetch from another repository is no reason to give up: this reader may
// have access where the other's had none. Needs mu.
func failed(deps []*fetch, gaps []span, own File) (past bool, err error) {
	for _, f := range deps {
		if !f.done || f.err == nil || f.file.Repo != own.Repo {
			continue
		}
		for _, g := range gaps {
			if g.off < f.end && g.end > f.off {
				var disk *diskError
				if errors.As(f.err, &disk) {
					return true, nil
				}
				return false, f.err
			}
		}
	}
	return false, nil
}

// settling tells that all bytes are here and the verdict on them is near. Needs
// mu.
func (k *core) settling() bool {
	return k.hashing && k.part.total() == k.key.size && k.key.size-k.hashed <= settleAtMost
}

// fetchAll makes the content whole.
func (k *core) fetchAll(ctx context.Context, b *Blob) error {
	if err := k.await(ctx); err != nil {
		return err
	}
	for off := int64(0); ; off += maxSegment {
		s := span{min(off, k.key.size), min(off+maxSegment, k.key.size)}
		src, err := k.need(ctx, b, s)
		if err != nil {
			return err
		}
		if src.file != nil {
			src.file.release()
		}
		switch {
		case src.whole:
			return nil
		case src.file == nil:
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.noDisk
		case s.end == k.key.size:
			return k.awaitVerdict(ctx, b)
		}
	}
}

// awaitVerdict waits until a complete content is verified, and has its name.
func (k *core) awaitVerdict(ctx context.Context, b *Blob) error {
	for {
		k.mu.Lock()
		ch, err, whole, hashing := k.changed, k.err, k.whole != nil || k.mem != nil, k.hashing
		if err == nil && !whole && !hashing && k.part != nil && k.part.total() == k.key.size {
			k.verify()
			hashing = k.hashing
		}
		k.mu.Unlock()
		switch {
		case err != nil:
			return err
		case whole:
			k.place(ctx, b)
			return nil
		case !hashing:
			return fmt.Errorf("content can't be verified: %w", hub.ErrUnavailable)
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
