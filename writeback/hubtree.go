package writeback

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// HubTrees reads trees of a repository from the Hub, folder by folder: for who commits
// changes without a mount, which has listings of its own. Its Open is Options.OpenTree.
type HubTrees struct {
	Hub  *hub.Client
	Repo hub.Repo
}

// Open gives the tree of a commit of a revision; "" is its head.
func (h *HubTrees) Open(ctx context.Context, revision, commit string) (Tree, error) {
	if commit == "" {
		refs, err := h.Hub.Refs(ctx, h.Repo, strings.HasPrefix(revision, "refs/pr/"))
		if err != nil {
			return nil, err
		}
		all := slices.Concat(refs.Branches, refs.PullRequests)
		i := slices.IndexFunc(all, func(r hub.Ref) bool { return r.Name == revision || r.Ref == revision })
		if i < 0 {
			return nil, fmt.Errorf("%s has no branch %q: %w", h.Repo, revision, hub.ErrRevisionNotFound)
		}
		commit = all[i].TargetCommit
	}
	return &hubTreeOf{from: h, commit: commit, dirs: make(map[string]*blobcache.Listing)}, nil
}

// hubTreeOf is the tree of one commit.
type hubTreeOf struct {
	from   *HubTrees
	commit string

	mu   sync.Mutex // guards dirs; not held while the Hub is asked
	dirs map[string]*blobcache.Listing
}

func (t *hubTreeOf) Commit() string { return t.commit }

func (t *hubTreeOf) List(ctx context.Context, dir string) (*blobcache.Listing, error) {
	t.mu.Lock()
	l := t.dirs[dir]
	t.mu.Unlock()
	if l != nil {
		return l, nil
	}
	l = new(blobcache.Listing)
	for e, err := range t.from.Hub.Tree(ctx, t.from.Repo, t.commit, dir, nil) {
		if errors.Is(err, hub.ErrEntryNotFound) {
			return nil, fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
		}
		if err != nil {
			return nil, fmt.Errorf("list %q of %s: %w", dir, t.from.Repo, err)
		}
		entry, err := listed(dir, &e)
		if err != nil {
			return nil, fmt.Errorf("list %q of %s: %w", dir, t.from.Repo, err)
		}
		l.Entries = append(l.Entries, entry)
	}
	slices.SortFunc(l.Entries, func(a, b blobcache.Entry) int { return strings.Compare(a.Name, b.Name) })
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dirs[dir] = l
	return l, nil
}

// listed is an entry of a folder as the Hub tells it.
func listed(dir string, e *hub.TreeEntry) (blobcache.Entry, error) {
	parent, name := split(e.Path)
	if parent != dir || hub.ValidPath(name) != nil {
		return blobcache.Entry{}, fmt.Errorf("%q isn't a name in it", e.Path)
	}
	oid, err := blobcache.ParseOID(e.OID)
	if err != nil {
		return blobcache.Entry{}, err
	}
	entry := blobcache.Entry{Name: name, Dir: e.Type == hub.TypeDirectory, OID: oid, Size: e.Size}
	if e.LFS != nil {
		n, err := hex.Decode(entry.SHA256[:], []byte(e.LFS.SHA256))
		if err != nil || n != len(entry.SHA256) {
			return blobcache.Entry{}, fmt.Errorf("%q has the sha256 %q", e.Path, e.LFS.SHA256)
		}
	}
	return entry, nil
}
