package writeback

import (
	"context"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// commitRig is a branch on a real disk, with a real cache and an embedded Hub.
type commitRig struct {
	*rig
	t *testing.T
	*remote
	server *hubtest.Server
	cache  *blobcache.Cache
	state  string
	opts   Options
}

func newCommitRig(t *testing.T, files map[string]string, change func(*Options), server ...hubtest.Option) *commitRig {
	t.Helper()
	r := &commitRig{t: t, state: t.TempDir(), server: hubtest.New(t, server...)}
	r.remote = newRemote(r.server.Client(), hub.Repo{Type: hub.Model, ID: "alice/model"})
	must(t, r.server.Hub.CreateRepo("model", r.repo.ID, localhub.RepoOptions{}))
	ops := []localhub.Operation{{Kind: localhub.OpDelete, Path: ".gitattributes"}}
	for path, content := range files {
		ops = append(ops, localhub.Operation{Kind: localhub.OpAdd, Path: path, Content: []byte(content)})
	}
	ops = append(ops, localhub.Operation{Kind: localhub.OpAdd, Path: ".gitattributes", Content: []byte("*.bin filter=lfs diff=lfs merge=lfs -text\n")})
	r.others(ops[1:]...)
	r.openCache()
	r.opts = Options{
		StateDir: r.state, Hub: r.client, OpenTree: r.openTree, RetryPause: 10 * time.Millisecond,
		Blob: func(f blobcache.File) (Blob, error) { return r.cache.Open(f) },
		Keep: func(ctx context.Context, f blobcache.File, src io.ReaderAt) error {
			return r.cache.AddLocal(ctx, f, src)
		},
		KeepFile: func(ctx context.Context, f blobcache.File, file string) error { return r.cache.AddFile(ctx, f, file) },
	}
	if change != nil {
		change(&r.opts)
	}
	r.rig = &rig{}
	r.open()
	t.Cleanup(func() {
		if r.Branch != nil {
			_ = r.Close()
		}
		_ = r.cache.Close()
	})
	return r
}

func (r *commitRig) openCache() {
	c, err := blobcache.Open(blobcache.Options{Hub: r.client, CacheDir: filepath.Join(r.state, "cache"), Dir: filepath.Join(r.state, "own")})
	must(r.t, err)
	r.cache = c
}

func (r *commitRig) open() {
	r.t.Helper()
	tree, err := r.openTree(r.t.Context(), "main", "")
	must(r.t, err)
	r.opts.Tree = tree
	b, err := Open(r.t.Context(), Key{r.client.Endpoint(), "alice", r.repo, "main"}, r.opts)
	must(r.t, err)
	r.Branch = b
}

// reopen is what a remount does.
func (r *commitRig) reopen() {
	r.t.Helper()
	must(r.t, r.Close())
	r.open()
}

// others is a commit that somebody else makes.
func (r *commitRig) others(ops ...localhub.Operation) string {
	r.t.Helper()
	oid, err := r.server.Hub.Commit("model", r.repo.ID, "main", localhub.CommitInput{Author: "bob", Title: "by others", Operations: ops})
	must(r.t, err)
	return oid
}

func addOp(path, content string) localhub.Operation {
	return localhub.Operation{Kind: localhub.OpAdd, Path: path, Content: []byte(content)}
}

// onHub is what a revision of the Hub has, without .gitattributes.
func (r *commitRig) onHub(revision string) map[string]string {
	r.t.Helper()
	out := make(map[string]string)
	for e, err := range r.client.Tree(r.t.Context(), r.repo, revision, "", &hub.TreeOptions{Recursive: true}) {
		must(r.t, err)
		if e.Type != hub.TypeFile || e.Path == ".gitattributes" {
			continue
		}
		var buf strings.Builder
		_, err := r.client.Download(r.t.Context(), hub.FileRef{Repo: r.repo, Revision: revision, Path: e.Path}, &buf)
		must(r.t, err)
		out[e.Path] = buf.String()
	}
	return out
}

// history is the number of commits, each with a mark of its own or of others.
func (r *commitRig) history() (total int, marks map[string]int) {
	r.t.Helper()
	marks = make(map[string]int)
	for c, err := range r.client.Commits(r.t.Context(), r.repo, "main", nil) {
		must(r.t, err)
		total++
		if i := strings.Index(c.Message, "Hubfs-Change: "); i >= 0 {
			marks[c.Message[i:]]++
		}
	}
	return total, marks
}

func (r *commitRig) flush(path string) Result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	res, err := r.Flush(ctx, path)
	must(r.t, err)
	return res
}

// settled returns when what was committed is shown as the Hub's.
func (r *commitRig) settled() {
	r.t.Helper()
	waitFor(r.t, func() bool {
		r.Branch.mu.RLock()
		defer r.Branch.mu.RUnlock()
		return r.unsettled == ""
	})
}

func (r *commitRig) wantHub(want map[string]string) {
	r.t.Helper()
	got := r.onHub("main")
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[path]; !ok || v != want[path] {
			r.t.Errorf("the Hub has %s: %v %.60q, want %.60q", path, ok, v, want[path])
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			r.t.Errorf("the Hub has %s", path)
		}
	}
}

func (r *commitRig) wantClean() {
	r.t.Helper()
	r.settled()
	if c := r.Changes(); len(c) > 0 {
		r.t.Errorf("changes are left: %+v", c)
	}
	r.Branch.mu.RLock()
	n := len(r.inodes)
	r.Branch.mu.RUnlock()
	if n > 0 {
		r.t.Errorf("%d inodes are left", n)
	}
}

var weights = strings.Repeat("weights ", 300)

func TestCommit(t *testing.T) {
	ctx := t.Context()
	r := newCommitRig(t, map[string]string{"README.md": "# m\n", "old.bin": weights, "d/a": "a", "d/b": "b", "keep": "k"}, nil)
	r.write(t, "new.txt", "new")
	must(t, r.Mkdir(ctx, "sub"))
	r.write(t, "sub/model.bin", weights+"!")
	r.write(t, "keep", "k") // the same again
	must(t, r.Rename(ctx, "old.bin", "renamed.bin", false))
	must(t, r.Unlink(ctx, "d/a"))
	must(t, r.Unlink(ctx, "d/b"))
	must(t, r.Rmdir(ctx, "d"))
	r.server.Hub.ResetCounts()
	res := r.flush("")
	if len(res.Commits) != 1 || len(res.Failed) > 0 {
		t.Fatalf("flush: %+v", res)
	}
	want := map[string]string{"README.md": "# m\n", "new.txt": "new", "sub/model.bin": weights + "!", "renamed.bin": weights, "keep": "k"}
	r.wantHub(want)
	r.wantClean()
	wantView(t, r.rig, withAttributes(view(want)))
	if total, _ := r.history(); total != 3 {
		t.Errorf("%d commits", total)
	}
	if res := r.flush(""); len(res.Commits) != 0 {
		t.Errorf("nothing was changed, and %+v", res)
	}
}

func withAttributes(v map[string]string) map[string]string {
	v[".gitattributes"] = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
	return v
}
