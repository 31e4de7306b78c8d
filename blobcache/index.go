package blobcache

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hubfs/hubfs/hub"
)

const (
	// indexAge is how old the index may be: a blob that others put into another
	// repository since is fetched again, which is only a pity.
	indexAge = time.Minute
	// indexWait is how long a reader waits for the first index; on a slow file
	// system with many repositories the network may well be faster.
	indexWait = time.Second
)

// blobIndex tells which repository of the shared cache has a content, whoever
// put it there. It is a hint, from the names of files.
type blobIndex struct {
	mu       sync.Mutex
	repos    []hub.Repo
	repoOf   map[uint64]int32 // by the first 8 bytes of the hash: index in repos
	built    time.Time
	building chan struct{} // not nil: under way
}

// otherRepo gives a repository, not f's own, that may have f's content.
func (c *Cache) otherRepo(f File) (hub.Repo, bool) {
	if r, ok := c.ledger.repoOf(f.Hash, f.Repo.String()); ok {
		if repo, err := hub.ParseRepo(r); err == nil {
			return repo, true
		}
	}
	x := &c.index
	x.mu.Lock()
	if x.building == nil && time.Since(x.built) > indexAge {
		ch := make(chan struct{})
		if c.workers.start(func() { c.buildIndex(ch) }) {
			x.building = ch
		}
	}
	building, first := x.building, x.repoOf == nil
	x.mu.Unlock()
	if building != nil && first {
		wait, cancel := context.WithTimeout(c.ctx, indexWait)
		defer cancel()
		select {
		case <-building:
		case <-wait.Done():
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	i, ok := x.repoOf[indexKey(f.Hash)]
	if !ok || x.repos[i] == f.Repo {
		return hub.Repo{}, false
	}
	return x.repos[i], true
}

func (c *Cache) buildIndex(done chan struct{}) {
	repos, err := c.shared.Repos()
	if err != nil {
		c.log.Debug("the shared cache can't be listed", "err", err)
	}
	repoOf := map[uint64]int32{}
	for i, r := range repos {
		dir, err := c.shared.RepoFolder(r)
		if err != nil || c.ctx.Err() != nil {
			continue
		}
		entries, err := os.ReadDir(filepath.Join(dir, "blobs"))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if validHash(e.Name()) {
				repoOf[indexKey(e.Name())] = int32(i)
			}
		}
	}
	x := &c.index
	x.mu.Lock()
	defer x.mu.Unlock()
	x.repos, x.repoOf, x.built, x.building = repos, repoOf, time.Now(), nil
	close(done)
}

func indexKey(hash string) uint64 {
	var b [8]byte
	_, _ = hex.Decode(b[:], []byte(hash[:16]))
	return binary.LittleEndian.Uint64(b[:])
}
