package blobcache

import "sync/atomic"

// Stats is what the cache holds and did.
type Stats struct {
	WholeBytes   int64 `json:"whole_bytes"` // whole blobs made by hubfs
	WholeBlobs   int64 `json:"whole_blobs"`
	PartialBytes int64 `json:"partial_bytes"` // ranges in hubfs's own folder
	PartialBlobs int64 `json:"partial_blobs"`
	MaxSize      int64 `json:"max_size"` // 0: no limit

	OpenBlobs    int64 `json:"open_blobs"`    // contents with an open handle
	Fetches      int64 `json:"fetches"`       // range requests under way
	Requests     int64 `json:"requests"`      // range requests begun
	Retries      int64 `json:"retries"`       // of bodies that broke
	FetchedBytes int64 `json:"fetched_bytes"` // from the network
	ServedBytes  int64 `json:"served_bytes"`  // to readers
	Hits         int64 `json:"hits"`          // reads answered without waiting for the network
	Misses       int64 `json:"misses"`
	Uncached     int64 `json:"uncached"` // reads served past the disk, because it failed or is full

	Verified      int64 `json:"verified"`       // blobs of others that were hashed before first use
	VerifiedBytes int64 `json:"verified_bytes"` // of them, so far
	Verifying     int64 `json:"verifying"`      // under way now
	Corrupt       int64 `json:"corrupt"`        // wrong bytes found, from the network or on disk
	Evicted       int64 `json:"evicted"`        // blobs
	EvictedBytes  int64 `json:"evicted_bytes"`

	MemoryBytes int64 `json:"memory_bytes"` // listings, records and addresses in memory
}

// counters are the part of Stats that only grows, and what is under way.
type counters struct {
	fetches, requests, retries, fetched, served, hits, misses, uncached atomic.Int64
	verified, verifiedBytes, verifying, corrupt, evicted, evictedBytes  atomic.Int64
}

// Distrust is another number once bytes that readers may have been given have turned
// out to be wrong: what they keep of them is to be thrown away. It is to be asked
// after Open, so that it covers what the content's former readers got.
func (c *Cache) Distrust() int64 { return c.distrusted.Load() }

// Stats tells what the cache holds and did since it was opened.
func (c *Cache) Stats() Stats {
	n := &c.stats
	s := Stats{
		MaxSize: c.limiter.max,
		Fetches: n.fetches.Load(), Requests: n.requests.Load(), Retries: n.retries.Load(),
		FetchedBytes: n.fetched.Load(), ServedBytes: n.served.Load(),
		Hits: n.hits.Load(), Misses: n.misses.Load(), Uncached: n.uncached.Load(),
		Verified: n.verified.Load(), VerifiedBytes: n.verifiedBytes.Load(), Verifying: n.verifying.Load(),
		Corrupt: n.corrupt.Load(), Evicted: n.evicted.Load(), EvictedBytes: n.evictedBytes.Load(),
	}
	s.WholeBlobs, s.WholeBytes = c.ledger.sizes()
	for _, p := range c.partials() {
		s.PartialBlobs++
		s.PartialBytes += p.disk
	}
	c.mu.Lock()
	for _, k := range c.cores {
		if k.open() {
			s.OpenBlobs++
		}
	}
	c.mu.Unlock()
	if m := c.memory.Metrics; m != nil {
		s.MemoryBytes = int64(m.CostAdded() - m.CostEvicted())
	}
	return s
}
