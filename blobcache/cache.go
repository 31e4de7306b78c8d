package blobcache

import (
	"context"
	"errors"
	"log/slog"
	"time"

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
	Dir      string // hubfs's own folder; "" is "hubfs" beside CacheDir
	// MaxSize bounds the bytes that hubfs keeps on disk, in both folders, without
	// what others put there. 0 is no limit.
	MaxSize int64
	// MemoryBudget bounds listings, records and addresses in memory, in bytes.
	// 0 is 256 MiB.
	MemoryBudget int64
	Offline      bool // nothing is fetched: what isn't here is hub.ErrOffline
	Logger       *slog.Logger
}

// Cache is the local store of blobs, listings and records. It is safe for
// concurrent use, and by several processes at once.
type Cache struct {
	opts Options
}

// Open makes a Cache. Folders are made when they are first needed. A damaged
// folder isn't an error: what can't be read counts as absent.
func Open(opts Options) (*Cache, error) {
	return &Cache{opts: opts}, nil
}

// Close stops all fetches, waits for them, and makes durable what they got.
// Handles that are still open fail afterwards.
func (c *Cache) Close() error { return errUnfinished }

// Open makes a handle of a file, without network and nearly without disk.
func (c *Cache) Open(f File) (*Blob, error) { return nil, errUnfinished }

// Cached tells how many bytes of a file are on local disk, without opening it.
func (c *Cache) Cached(f File) int64 { return 0 }

var errUnfinished = errors.New("not finished")

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

// Stats is what the cache holds and did.
type Stats struct {
	WholeBytes   int64 `json:"whole_bytes"`   // whole blobs made by hubfs
	WholeBlobs   int64 `json:"whole_blobs"`   //
	PartialBytes int64 `json:"partial_bytes"` // ranges in hubfs's own folder
	PartialBlobs int64 `json:"partial_blobs"`
	MaxSize      int64 `json:"max_size"` // 0: no limit

	OpenBlobs    int64 `json:"open_blobs"`    // contents with an open handle
	Fetches      int64 `json:"fetches"`       // range requests under way
	FetchedBytes int64 `json:"fetched_bytes"` // from the network
	ServedBytes  int64 `json:"served_bytes"`  // to readers
	Hits         int64 `json:"hits"`          // reads answered without waiting for the network
	Misses       int64 `json:"misses"`
	Requests     int64 `json:"requests"` // range requests begun
	Retries      int64 `json:"retries"`  // of bodies that broke

	Verified      int64 `json:"verified"`       // blobs of others that were hashed before first use
	VerifiedBytes int64 `json:"verified_bytes"` //
	Verifying     int64 `json:"verifying"`      // under way now
	Corrupt       int64 `json:"corrupt"`        // wrong bytes found, from the network or on disk
	Evicted       int64 `json:"evicted"`        // blobs
	EvictedBytes  int64 `json:"evicted_bytes"`
	Uncached      int64 `json:"uncached"` // reads served past the disk, because it failed or is full

	MemoryBytes int64 `json:"memory_bytes"` // listings, records and addresses in memory
}

// Stats tells what the cache holds and did since it was opened.
func (c *Cache) Stats() Stats { return Stats{} }

// PruneResult is what Prune removed.
type PruneResult struct {
	Blobs int64 `json:"blobs"`
	Links int64 `json:"links"`
	Bytes int64 `json:"bytes"` // freed on disk
	Kept  int64 `json:"kept"`  // bytes that hubfs still keeps
}

// Prune removes what hubfs made, least recently used first, until at most
// target bytes are kept. Open blobs stay, and so do those that anybody else
// links.
func (c *Cache) Prune(ctx context.Context, target int64) (PruneResult, error) {
	return PruneResult{}, errUnfinished
}

// VerifyResult is the check of one blob of the shared cache.
type VerifyResult struct {
	Repo hub.Repo `json:"-"`
	// Name is the repository as the shared cache's folder tells it.
	Name    string `json:"repo"`
	Hash    string `json:"hash"`
	Path    string `json:"path"` // on local disk
	Size    int64  `json:"size"`
	OK      bool   `json:"ok"`
	Removed bool   `json:"removed"`         // a bad blob, and its links
	Err     string `json:"error,omitempty"` // why it couldn't be checked
}

// VerifyOptions choose what Verify does.
type VerifyOptions struct {
	Repo *hub.Repo // only this one
	// Remove deletes bad blobs and the snapshot links to them, whoever made them:
	// the next reader fetches them again.
	Remove bool
}

// Verify hashes the whole blobs of the shared cache, whoever put them there, and
// calls report for each. It stops at the first error of report, or with ctx.
func (c *Cache) Verify(ctx context.Context, opts VerifyOptions, report func(VerifyResult) error) error {
	return errUnfinished
}

// Item is one blob that is here, for List.
type Item struct {
	Repo     string    `json:"repo,omitempty"` // "" for partial blobs, which belong to no repository
	Hash     string    `json:"hash"`
	Size     int64     `json:"size"`
	Cached   int64     `json:"cached"` // bytes here
	LastUsed time.Time `json:"last_used,omitzero"`
	Ours     bool      `json:"ours"` // made by hubfs, so that eviction may take it
	Open     bool      `json:"open"`
	Paths    []string  `json:"paths,omitempty"` // commit/path of the links
}

// List gives all blobs that are here, those of others too, sorted by repository
// and hash.
func (c *Cache) List(ctx context.Context) ([]Item, error) { return nil, errUnfinished }
