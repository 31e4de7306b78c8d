package writeback

import (
	"context"
	"encoding/hex"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// remote is a repository of a real Hub, whose trees it reads.
type remote struct {
	client *hub.Client
	repo   hub.Repo

	mu    sync.Mutex
	trees map[string]*remoteTree
}

func newRemote(client *hub.Client, repo hub.Repo) *remote {
	return &remote{client: client, repo: repo, trees: make(map[string]*remoteTree)}
}

// remoteTree is a tree of the embedded Hub.
type remoteTree struct {
	commit string
	dirs   map[string]*blobcache.Listing
}

func (t *remoteTree) Commit() string { return t.commit }

func (t *remoteTree) List(_ context.Context, dir string) (*blobcache.Listing, error) {
	if l := t.dirs[dir]; l != nil {
		return l, nil
	}
	return nil, fs.ErrNotExist
}

// openTree is Options.OpenTree.
func (r *remote) openTree(ctx context.Context, revision, commit string) (Tree, error) {
	if commit == "" && !strings.HasPrefix(revision, "refs/") {
		info, err := r.client.RepoInfo(ctx, r.repo, &hub.RepoInfoOptions{Revision: revision})
		if err != nil {
			return nil, err
		}
		commit = info.SHA // which may be late
	}
	if commit == "" {
		refs, err := r.client.Refs(ctx, r.repo, true)
		if err != nil {
			return nil, err
		}
		for _, ref := range slices.Concat(refs.Branches, refs.PullRequests) {
			if ref.Name == revision || ref.Ref == revision {
				commit = ref.TargetCommit
			}
		}
		if commit == "" {
			return nil, hub.ErrRevisionNotFound
		}
	}
	r.mu.Lock()
	t := r.trees[commit]
	r.mu.Unlock()
	if t != nil {
		return t, nil
	}
	t = &remoteTree{commit: commit, dirs: map[string]*blobcache.Listing{"": {}}}
	for e, err := range r.client.Tree(ctx, r.repo, commit, "", &hub.TreeOptions{Recursive: true}) {
		if err != nil {
			return nil, err
		}
		dir, name := split(e.Path)
		oid, err := blobcache.ParseOID(e.OID)
		if err != nil {
			return nil, err
		}
		entry := blobcache.Entry{Name: name, Dir: e.Type == hub.TypeDirectory, OID: oid, Size: e.Size}
		if e.LFS != nil {
			if _, err := hex.Decode(entry.SHA256[:], []byte(e.LFS.SHA256)); err != nil {
				return nil, err
			}
		}
		if entry.Dir && t.dirs[e.Path] == nil {
			t.dirs[e.Path] = &blobcache.Listing{}
		}
		if t.dirs[dir] == nil {
			t.dirs[dir] = &blobcache.Listing{}
		}
		t.dirs[dir].Entries = append(t.dirs[dir].Entries, entry)
	}
	for _, l := range t.dirs {
		sortEntries(l.Entries)
	}
	r.mu.Lock()
	r.trees[commit] = t
	r.mu.Unlock()
	return t, nil
}
