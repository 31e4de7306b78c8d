package blobcache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// Item is one blob that is here, for List.
type Item struct {
	Repo     string    `json:"repo,omitempty"` // "" for blobs in hubfs's own folder, which belong to no repository
	Hash     string    `json:"hash"`
	Size     int64     `json:"size"`
	Cached   int64     `json:"cached"` // bytes here
	LastUsed time.Time `json:"last_used,omitzero"`
	Ours     bool      `json:"ours"` // made by hubfs
	Open     bool      `json:"open"` // by this process
	Paths    []string  `json:"paths,omitempty"`
}

// List gives all blobs that are here, those of others too, sorted by repository.
// Paths are those of their links, with the commit before.
func (c *Cache) List(ctx context.Context) ([]Item, error) {
	var out []Item
	ledger := c.ledger.all()
	for _, p := range c.partials() {
		out = append(out, Item{
			Hash: p.hash, Size: p.size, Cached: min(p.size, p.disk), LastUsed: p.used, Ours: true, Open: c.isOpen(p.hash),
		})
	}
	for name, b := range ledger {
		if fi, ok := regular(c.wholePath(name.hash)); ok && name.repo == "" {
			out = append(out, Item{
				Hash: name.hash, Size: fi.Size(), Cached: fi.Size(), LastUsed: b.used, Ours: true, Open: c.isOpen(name.hash),
			})
		}
	}
	repos, err := c.shared.Repos()
	if err != nil {
		return nil, err
	}
	for _, repo := range repos {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		scan, err := c.shared.Scan(repo)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, b := range scan.Blobs {
			l := ledger[blobName{repo.String(), b.ETag}]
			it := Item{
				Repo: repo.String(), Hash: b.ETag, Size: b.Size, Cached: b.Size,
				LastUsed: b.Accessed, Ours: l.made, Open: c.isOpen(b.ETag),
			}
			if l.used.After(it.LastUsed) {
				it.LastUsed = l.used
			}
			for _, k := range b.Links {
				it.Paths = append(it.Paths, k.Commit+"/"+k.Path)
			}
			out = append(out, it)
		}
	}
	slices.SortStableFunc(out, func(a, b Item) int {
		if a.Repo != b.Repo {
			return compare(a.Repo, b.Repo)
		}
		return compare(a.Hash, b.Hash)
	})
	return out, nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (c *Cache) isOpen(hash string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, k := range c.cores {
		if key.hash == hash && k.open() {
			return true
		}
	}
	return false
}

// VerifyResult is the check of one blob of the shared cache.
type VerifyResult struct {
	Repo    hub.Repo `json:"-"`
	Name    string   `json:"repo"`
	Hash    string   `json:"hash"`
	Path    string   `json:"path"` // on local disk
	Size    int64    `json:"size"`
	OK      bool     `json:"ok"`
	Removed bool     `json:"removed"`         // a bad blob, with its links
	Err     string   `json:"error,omitempty"` // why it couldn't be checked or removed
}

// VerifyOptions choose what Verify does.
type VerifyOptions struct {
	Repo *hub.Repo // only this one
	// Remove deletes bad blobs and the snapshot links to them, whoever made them:
	// the next reader fetches them again.
	Remove bool
}

// Verify hashes the whole blobs of the shared cache, whoever put them there, and
// calls report for each. Blobs whose name is no hash are left out. It stops at
// the first error of report, or with ctx.
func (c *Cache) Verify(ctx context.Context, opts VerifyOptions, report func(VerifyResult) error) error {
	repos := []hub.Repo{}
	if opts.Repo != nil {
		repos = append(repos, *opts.Repo)
	} else {
		all, err := c.shared.Repos()
		if err != nil {
			return err
		}
		repos = all
	}
	for _, repo := range repos {
		scan, err := c.shared.Scan(repo)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, b := range scan.Blobs {
			if !validHash(b.ETag) {
				continue
			}
			r := c.verifyBlob(ctx, repo, b, opts.Remove)
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := report(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Cache) verifyBlob(ctx context.Context, repo hub.Repo, b hub.CachedBlob, remove bool) VerifyResult {
	r := VerifyResult{Repo: repo, Name: repo.String(), Hash: b.ETag, Path: b.Path, Size: b.Size}
	f, err := os.Open(b.Path)
	if err != nil {
		r.Err = err.Error()
		return r
	}
	defer f.Close()
	fi, err := f.Stat()
	if err == nil {
		r.OK, err = c.check(ctx, f, fi, coreKey{b.ETag, fi.Size()})
	}
	switch {
	case err != nil:
		r.Err = err.Error()
	case r.OK:
		c.remember(b.ETag, b.Path)
	default:
		c.stats.corrupt.Add(1)
		if remove {
			err = c.removeBad(repo, b)
			r.Removed = err == nil
		}
		if err != nil {
			r.Err = err.Error()
		}
	}
	return r
}

// removeBad removes a blob that has the wrong bytes: links first, then the name.
// The payload of a link into the shared store stays.
func (c *Cache) removeBad(repo hub.Repo, b hub.CachedBlob) error {
	release, ok := c.hold(b.ETag)
	if !ok {
		return errors.New("is open: try again later")
	}
	defer release()
	for _, l := range b.Links {
		if _, err := c.shared.RemoveSnapshot(repo, l.Commit, l.Path, b.ETag); err != nil {
			return err
		}
	}
	if err := c.shared.RemoveBlob(repo, b.ETag); err != nil {
		return err
	}
	_ = c.ledger.add(ledgerLine{Op: opGone, Repo: repo.String(), Hash: b.ETag})
	return nil
}
