package blobcache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/hubfs/hubfs/hub"
)

// ErrCorrupt is content that doesn't match its hash. The bytes are gone from
// the cache; opening the file again fetches it afresh.
var ErrCorrupt = errors.New("content does not match its hash")

// ErrClosed is the use of a Cache or Blob after Close.
var ErrClosed = errors.New("cache is closed")

// Options configure a Cache.
type Options struct {
	Hub      *hub.Client
	CacheDir string // huggingface_hub's HF_HUB_CACHE
	Dir      string // hubfs's own folder, of this CacheDir alone; "" is "hubfs" beside "hub", "NAME.hubfs" beside another NAME
	// MaxSize bounds the bytes that hubfs keeps on disk, in both folders, without
	// what others put there. 0 is no limit.
	MaxSize int64
	// MemoryBudget bounds listings, records and addresses in memory, in bytes.
	// 0 is 256 MiB.
	MemoryBudget int64
	Offline      bool // nothing is fetched: what isn't here is hub.ErrOffline
	Logger       *slog.Logger
}

// Limits on range requests at a time, for all blobs of a Cache.
const (
	maxFetches      = 32
	maxAheadFetches = 24 // the rest is for bytes that somebody waits for
)

// Cache is the local store of blobs, listings and records. It is safe for
// concurrent use, and by several processes at once.
type Cache struct {
	hub     *hub.Client
	shared  *hub.CacheDir
	dir     *ownDir
	log     *slog.Logger
	offline bool
	ledger  *ledger
	memory  *ristretto.Cache[string, any] // the fast path only: disk is the home
	stats   counters
	limiter limiter
	pace    pace // of storage
	hubPace pace // of the Hub itself
	refs    refMover
	index   blobIndex

	ctx     context.Context // of all fetches
	cancel  context.CancelFunc
	workers workers
	slots   chan struct{} // one for each fetch
	ahead   chan struct{} // one more for each that nobody waits for
	packs   chan struct{} // one for each pack
	reading atomic.Int64  // contents with a fetch under way

	// distrusted grows when bytes that readers were given turn out to be wrong.
	distrusted atomic.Int64

	mu     sync.Mutex
	closed bool
	cores  map[coreKey]*core
	// held are contents whose files are being closed or removed; a new core waits
	// for the end of that.
	held map[string]chan struct{}
}

// Open makes a Cache. Folders are made when they are first needed. A damaged
// folder isn't an error: what can't be read counts as absent.
func Open(opts Options) (*Cache, error) {
	if opts.CacheDir == "" {
		return nil, errors.New("blobcache: no cache folder given")
	}
	if opts.Hub == nil {
		return nil, errors.New("blobcache: no Hub given")
	}
	shared := hub.OpenCacheDir(opts.CacheDir)
	if opts.Dir == "" {
		opts.Dir = besides(shared.Path())
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.MemoryBudget <= 0 {
		opts.MemoryBudget = 256 << 20
	}
	memory, err := ristretto.NewCache(&ristretto.Config[string, any]{
		NumCounters: max(10_000, min(opts.MemoryBudget/100, 10_000_000)),
		MaxCost:     opts.MemoryBudget,
		BufferItems: 64,
		Metrics:     true,
	})
	if err != nil {
		return nil, fmt.Errorf("memory cache: %w", err)
	}
	c := &Cache{
		hub: opts.Hub, shared: shared, dir: newOwnDir(dir), log: opts.Logger, offline: opts.Offline,
		memory:  memory,
		limiter: limiter{max: opts.MaxSize},
		refs:    newRefMover(),
		slots:   make(chan struct{}, maxFetches),
		ahead:   make(chan struct{}, maxAheadFetches),
		packs:   make(chan struct{}, maxPacks),
		cores:   map[coreKey]*core{},
		held:    map[string]chan struct{}{},
	}
	c.ledger = newLedger(c.dir, c.log)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Close stops all fetches, waits for them, and makes durable what they got.
// Handles that are still open fail afterwards.
func (c *Cache) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.workers.close()

	c.mu.Lock()
	cores := c.cores
	c.cores = nil
	c.mu.Unlock()
	var errs []error
	for _, k := range cores {
		errs = append(errs, k.shut(0))
	}
	c.ledger.close()
	c.dir.close()
	c.memory.Close()
	return errors.Join(errs...)
}

// Open makes a handle of a file, without network and nearly without disk.
func (c *Cache) Open(f File) (*Blob, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	key := coreKey{f.Hash, f.Size}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	k := c.cores[key]
	if k == nil {
		k = newCore(c, key)
		c.cores[key] = k
	}
	k.join(f)
	if f.Size == 0 {
		k.locate() // nobody reads an empty file, but others should find it
	}
	return &Blob{core: k, file: f}, nil
}

// leave takes a core that is of no more use out of the table, and closes its
// files outside of all locks.
func (c *Cache) leave(k *core) {
	c.mu.Lock()
	if !k.idle() {
		c.mu.Unlock()
		return
	}
	var held chan struct{}
	if c.cores[k.key] == k { // else it has failed, and is forgotten already
		delete(c.cores, k.key)
		held = make(chan struct{})
		c.held[k.key.hash] = held
	}
	c.mu.Unlock()
	if err := k.shut(syncAtClose); err != nil {
		c.log.Warn("partial blob can't be made durable", "hash", k.key.hash, "err", err)
	}
	if held != nil {
		c.release(k.key.hash, held)
	}
}

// forget takes a core out of the table while it has handles: the next Open
// starts afresh.
func (c *Cache) forget(k *core) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cores[k.key] == k {
		delete(c.cores, k.key)
	}
}

// hold keeps new cores of a content from looking at its files. It fails if there
// is a core, or somebody else holds it.
func (c *Cache) hold(hash string) (release func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[hash] != nil {
		return nil, false
	}
	for key := range c.cores {
		if key.hash == hash {
			return nil, false
		}
	}
	ch := make(chan struct{})
	c.held[hash] = ch
	return func() { c.release(hash, ch) }, true
}

func (c *Cache) release(hash string, ch chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[hash] == ch {
		delete(c.held, hash)
	}
	close(ch)
}

// waitHeld waits until nobody closes or removes the files of a content.
func (c *Cache) waitHeld(ctx context.Context, hash string) error {
	for {
		c.mu.Lock()
		ch := c.held[hash]
		c.mu.Unlock()
		if ch == nil {
			return nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Cached tells how many bytes of a file are on local disk, without opening it.
func (c *Cache) Cached(f File) int64 {
	if f.check() != nil {
		return 0
	}
	c.mu.Lock()
	k := c.cores[coreKey{f.Hash, f.Size}]
	c.mu.Unlock()
	if k != nil {
		if n, ok := k.cached(); ok {
			return n
		}
	}
	for path := range c.candidates(f) {
		if fi, ok := regular(path); ok && fi.Size() == f.Size {
			return f.Size
		}
	}
	return partialBytes(c.dir, f.Hash, f.Size)
}

// File names content and one place of it. Hash and Size decide the bytes, the
// other fields where to fetch them and where to link them.
type File struct {
	Repo     hub.Repo
	Revision string // as the user named it: moves the shared cache's ref; "" if by commit
	Commit   string
	Path     string
	Hash     string // sha256 (64 hex) of an LFS file, Git's blob id (40 hex) of others
	Size     int64
}

func (f *File) check() error {
	switch {
	case !validHash(f.Hash):
		return fmt.Errorf("blobcache: %q is no hash", f.Hash)
	case f.Size < 0:
		return fmt.Errorf("blobcache: %s has size %d", f.Path, f.Size)
	case len(f.Commit) != 40 || !validHash(f.Commit):
		return fmt.Errorf("blobcache: %q is no commit", f.Commit)
	}
	if err := f.Repo.Validate(); err != nil {
		return err
	}
	return hub.ValidPath(f.Path)
}

// ref is where to fetch the content.
func (f *File) ref() hub.FileRef {
	return hub.FileRef{Repo: f.Repo, Revision: f.Commit, Path: f.Path}
}

// workers are the goroutines of a Cache. None starts after close.
type workers struct {
	mu     sync.Mutex // guards closed, and Add against Wait
	closed bool
	wg     sync.WaitGroup
}

func (w *workers) start(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.wg.Go(f)
	return true
}

func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wg.Wait()
}
