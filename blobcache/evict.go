package blobcache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hubfs/hubfs/hub"
	"golang.org/x/sys/unix"
)

// limiter keeps the size limit.
type limiter struct {
	max int64 // bytes; 0: none

	mu      sync.Mutex
	seen    int64 // bytes fetched at the last check
	running bool
	futile  time.Time // when making room was tried last, in vain
	pinned  func() []string
}

// errNotOurs keeps a blob from eviction.
var errNotOurs = errors.New("not ours alone")

// PruneResult is what Prune removed.
type PruneResult struct {
	Blobs int64 `json:"blobs"`
	Links int64 `json:"links"`
	Bytes int64 `json:"bytes"` // freed on disk
	Kept  int64 `json:"kept"`  // bytes that hubfs still keeps
}

// Pin keeps contents from eviction, also by Prune: those whose hashes pinned gives, which is
// asked each time. It is for what is needed without being open: what staged edits are edits of.
func (c *Cache) Pin(pinned func() []string) {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	c.limiter.pinned = pinned
}

// pinned are the hashes that Pin was given.
func (c *Cache) pinned() map[string]bool {
	c.limiter.mu.Lock()
	ask := c.limiter.pinned
	c.limiter.mu.Unlock()
	hashes := make(map[string]bool)
	if ask != nil {
		for _, hash := range ask() {
			hashes[hash] = true
		}
	}
	return hashes
}

// limit begins an eviction if enough has been fetched since the last look.
func (c *Cache) limit() {
	l := &c.limiter
	if l.max <= 0 {
		return
	}
	fetched := c.stats.fetched.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running || fetched-l.seen < min(l.max/20, 64<<20) {
		return
	}
	l.running = c.workers.start(func() {
		if _, err := c.shrink(c.ctx, l.max, l.max-l.max/10); err != nil && c.ctx.Err() == nil {
			c.log.Warn("the cache can't be kept below its limit", "err", err)
		}
		l.mu.Lock()
		l.seen, l.running = fetched, false
		l.mu.Unlock()
	})
}

// makeRoom evicts after the disk was found full. It tells whether that freed
// anything.
func (c *Cache) makeRoom(ctx context.Context, need int64) bool {
	l := &c.limiter
	l.mu.Lock()
	futile := time.Since(l.futile) < 10*time.Second
	l.mu.Unlock()
	if futile {
		return false
	}
	kept := c.kept()
	need = max(min(need, kept/4), 64<<20)
	r, err := c.shrink(ctx, 0, max(kept-need, 0))
	if err != nil {
		c.log.Warn("no room can be made in the cache", "err", err)
	}
	if r.Bytes == 0 {
		l.mu.Lock()
		l.futile = time.Now()
		l.mu.Unlock()
	}
	return r.Bytes > 0
}

// Prune removes what hubfs made, least recently used first, until at most
// target bytes are kept. Open blobs stay, and so do those that anybody else
// links.
func (c *Cache) Prune(ctx context.Context, target int64) (PruneResult, error) {
	return c.shrink(ctx, 0, max(target, 0))
}

// kept is the bytes of all that hubfs keeps.
func (c *Cache) kept() int64 {
	_, n := c.ledger.sizes()
	for _, p := range c.partials() {
		n += p.disk
	}
	return n
}

// evictable is a blob that eviction may take.
type evictable struct {
	name    blobName // of a whole blob; repo "" is hubfs's own folder
	partial *partialInfo
	size    int64
	used    time.Time
}

func (it *evictable) hash() string {
	if it.partial != nil {
		return it.partial.hash
	}
	return it.name.hash
}

// shrink evicts until at most target bytes are kept, if more than limit are.
func (c *Cache) shrink(ctx context.Context, limit, target int64) (PruneResult, error) {
	var r PruneResult
	c.dir.sweep()
	items := c.evictables()
	for _, it := range items {
		r.Kept += it.size
	}
	if r.Kept <= limit {
		return r, nil
	}
	pinned := c.pinned()
	items = slices.DeleteFunc(items, func(it evictable) bool { return pinned[it.hash()] })
	slices.SortFunc(items, func(a, b evictable) int { return a.used.Compare(b.used) })
	var errs []error
	for len(items) > 0 && r.Kept > target && ctx.Err() == nil {
		// As many as would do, if all of them may go; then look again.
		n, sum := 0, int64(0)
		for n < len(items) && r.Kept-sum > target {
			sum += items[n].size
			n++
		}
		errs = append(errs, c.evict(ctx, items[:n], &r))
		items = items[n:]
	}
	return r, errors.Join(append(errs, ctx.Err())...)
}

// evictables lists all that hubfs made and that is still there.
func (c *Cache) evictables() []evictable {
	var out []evictable
	for name, b := range c.ledger.all() {
		if !b.made {
			continue
		}
		path, ok := c.blobPath(name)
		if !ok {
			continue
		}
		fi, err := os.Lstat(path)
		if err != nil || !fi.Mode().IsRegular() {
			// Removed, or replaced by a link into the shared store: no longer ours.
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				_ = c.ledger.add(ledgerLine{Op: opGone, Repo: name.repo, Hash: name.hash})
			}
			continue
		}
		out = append(out, evictable{name: name, size: b.size, used: b.used})
	}
	for _, p := range c.partials() {
		out = append(out, evictable{partial: &p, size: p.disk, used: p.used})
	}
	return out
}

func (c *Cache) blobPath(n blobName) (string, bool) {
	if !validHash(n.hash) {
		return "", false
	}
	if n.repo == "" {
		return c.wholePath(n.hash), true
	}
	repo, err := hub.ParseRepo(n.repo)
	if err != nil {
		return "", false
	}
	path, err := c.shared.BlobPath(repo, n.hash)
	return path, err == nil
}

// evict removes those of items that may go.
func (c *Cache) evict(ctx context.Context, items []evictable, r *PruneResult) error {
	byRepo := map[string][]evictable{}
	var errs []error
	for _, it := range items {
		switch {
		case it.partial != nil:
			if release, ok := c.hold(it.partial.hash); ok {
				if c.removePartial(it.partial.hash) {
					c.evicted(r, it.size)
				}
				release()
			}
		case it.name.repo == "":
			if release, ok := c.hold(it.name.hash); ok {
				name := wholeName(it.name.hash)
				if !inUse(c.dir.abs(name)) && c.dir.remove(name) {
					_ = c.ledger.add(ledgerLine{Op: opGone, Hash: it.name.hash})
					c.evicted(r, it.size)
				}
				release()
			}
		default:
			byRepo[it.name.repo] = append(byRepo[it.name.repo], it)
		}
	}
	for name, items := range byRepo {
		if ctx.Err() != nil {
			break
		}
		repo, err := hub.ParseRepo(name)
		if err == nil {
			err = c.evictFrom(repo, items, r)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c *Cache) evicted(r *PruneResult, size int64) {
	r.Blobs++
	r.Bytes += size
	r.Kept -= size
	c.stats.evicted.Add(1)
	c.stats.evictedBytes.Add(size)
}

// evictFrom removes whole blobs of a repository: first the links, then, after a
// second look for links that came meanwhile, the blobs.
func (c *Cache) evictFrom(repo hub.Repo, items []evictable, r *PruneResult) error {
	scan, err := c.shared.Scan(repo)
	if err != nil {
		return err
	}
	links := linksOf(scan)
	var chosen []evictable
	commits := map[string]struct{}{}
	for _, it := range items {
		release, ok := c.hold(it.name.hash)
		if !ok {
			continue // open
		}
		defer release()
		b, _ := c.ledger.blob(it.name)
		if path, ok := c.blobPath(it.name); !ok || inUse(path) {
			continue
		}
		if c.mayGo(repo, scan, b, links[it.name.hash]) != nil {
			continue
		}
		gone := true
		for _, l := range links[it.name.hash] {
			if _, err := c.shared.RemoveSnapshot(repo, l.Commit, l.Path, it.name.hash); err != nil {
				gone = false
				break
			}
			_ = c.ledger.add(ledgerLine{
				Op: opUnlink, Repo: it.name.repo, Hash: it.name.hash, Commit: l.Commit, Path: l.Path,
			})
			commits[l.Commit] = struct{}{}
			r.Links++
		}
		if gone {
			chosen = append(chosen, it)
		}
	}
	if scan, err = c.shared.Scan(repo); err != nil {
		return err
	}
	links = linksOf(scan)
	for _, it := range chosen {
		if len(links[it.name.hash]) > 0 {
			continue
		}
		if err := c.shared.RemoveBlob(repo, it.name.hash); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_ = c.ledger.add(ledgerLine{Op: opGone, Repo: it.name.repo, Hash: it.name.hash})
		c.evicted(r, it.size)
	}
	for commit := range commits {
		ours := c.ledger.refsTo(repo.String(), commit)
		forgotten, err := c.shared.RemoveEmptySnapshot(repo, commit,
			func(revision string) bool { return slices.Contains(ours, revision) })
		for _, revision := range forgotten {
			_ = c.ledger.add(ledgerLine{Op: opUnref, Repo: repo.String(), Path: revision})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mayGo tells whether a blob is hubfs's alone: made by it, every link to it made
// by it, and none of them in a commit to which somebody else's ref points (whose
// files others count on: that ref may have been moved there by hubfs).
func (c *Cache) mayGo(repo hub.Repo, scan *hub.CachedRepo, b ledgerBlob, links []hub.CachedLink) error {
	if !b.made {
		return errNotOurs
	}
	for _, l := range links {
		if _, ok := b.links[linkName{l.Commit, l.Path}]; !ok {
			return errNotOurs
		}
		for revision, commit := range scan.Refs {
			if commit == l.Commit && !c.ledger.madeRef(refName{repo.String(), revision}, commit) {
				return errNotOurs
			}
		}
	}
	return nil
}

func linksOf(scan *hub.CachedRepo) map[string][]hub.CachedLink {
	out := map[string][]hub.CachedLink{}
	for _, b := range scan.Blobs {
		out[b.ETag] = b.Links
	}
	return out
}

// inUse tells whether another process has a whole blob open.
func inUse(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}
