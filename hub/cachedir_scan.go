package hub

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// CachedBlob is content in the cache.
type CachedBlob struct {
	ETag     string
	Path     string // on local disk
	Size     int64
	Modified time.Time
	Accessed time.Time
	// Shared tells a link into the shared store: removing it frees nothing.
	Shared bool
	Links  []CachedLink // sorted by commit and path
}

// CachedLink is a file of a commit in the cache.
type CachedLink struct {
	Commit string
	Path   string
}

// CachedRepo is what the cache has of a repository.
type CachedRepo struct {
	Repo       Repo
	Path       string // on local disk
	Refs       map[string]string
	Commits    []string     // with a snapshot
	Blobs      []CachedBlob // sorted by etag
	Incomplete []CachedBlob // downloads that are under way, or were left
	// Dangling are links of snapshots that lead nowhere.
	Dangling []CachedLink
}

// Size is the bytes of all blobs, those of the shared store too.
func (c *CachedRepo) Size() int64 {
	var n int64
	for _, b := range c.Blobs {
		n += b.Size
	}
	return n
}

// Scan looks at what the cache has of a repository; fs.ErrNotExist if it has
// nothing.
func (d *CacheDir) Scan(r Repo) (*CachedRepo, error) {
	dir, err := d.RepoFolder(r)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	c := &CachedRepo{Repo: r, Path: dir}
	if c.Refs, err = d.Refs(r); err != nil {
		return nil, err
	}
	if err := c.scanBlobs(); err != nil {
		return nil, err
	}
	links, err := c.scanLinks()
	if err != nil {
		return nil, err
	}
	for i := range c.Blobs {
		c.Blobs[i].Links = links[c.Blobs[i].ETag]
		delete(links, c.Blobs[i].ETag)
	}
	for _, l := range links {
		c.Dangling = append(c.Dangling, l...)
	}
	return c, nil
}

func (c *CachedRepo) scanBlobs() error {
	entries, err := os.ReadDir(filepath.Join(c.Path, "blobs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		b := CachedBlob{ETag: e.Name(), Path: filepath.Join(c.Path, "blobs", e.Name())}
		b.Shared = e.Type()&fs.ModeSymlink != 0
		fi, err := os.Stat(b.Path)
		if err != nil || !fi.Mode().IsRegular() {
			continue
		}
		b.Size, b.Modified, b.Accessed = fi.Size(), fi.ModTime(), accessTime(fi)
		switch {
		case strings.HasSuffix(b.ETag, ".incomplete"):
			c.Incomplete = append(c.Incomplete, b)
		case validETag(b.ETag) == nil:
			c.Blobs = append(c.Blobs, b)
		}
	}
	return nil
}

// scanLinks gives all links of all snapshots by the etag that they name.
func (c *CachedRepo) scanLinks() (map[string][]CachedLink, error) {
	links := map[string][]CachedLink{}
	commits, err := os.ReadDir(filepath.Join(c.Path, "snapshots"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range commits {
		commit, top := e.Name(), filepath.Join(c.Path, "snapshots", e.Name())
		if !e.IsDir() || validCommit(commit) != nil {
			continue
		}
		c.Commits = append(c.Commits, commit)
		err := filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.Type()&fs.ModeSymlink == 0 {
				if errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				return err
			}
			if etag := blobOfLink(p, c.Path); etag != "" {
				rel, err := filepath.Rel(top, p)
				if err != nil {
					return err
				}
				links[etag] = append(links[etag], CachedLink{commit, filepath.ToSlash(rel)})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, l := range links {
		slices.SortFunc(l, func(a, b CachedLink) int {
			return strings.Compare(a.Commit+"/"+a.Path, b.Commit+"/"+b.Path)
		})
	}
	return links, nil
}
