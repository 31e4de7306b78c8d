package writeback

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// What a dead mount left is committed by who has no mount, with trees read from the Hub.
func TestPushWithoutMount(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a.txt": "a", "dir/b.txt": "b", "dir/deep/c.bin": "weights"}, nil)
	r.write(t, "dir/b.txt", "ours")
	must(t, r.Mkdir(t.Context(), "new"))
	r.write(t, "new/d.bin", "more weights")
	must(t, r.Unlink(t.Context(), "dir/deep/c.bin"))
	must(t, r.Close())
	r.others(addOp("dir/theirs.txt", "theirs"))

	left, err := Journals(r.state)
	must(t, err)
	if len(left) != 1 || left[0].Live || left[0].Last.IsZero() || len(left[0].Changes) != 3 {
		t.Fatalf("journals: %+v", left)
	}
	trees := &HubTrees{Hub: r.client, Repo: r.repo}
	r.opts.OpenTree = trees.Open
	r.opts.Tree, err = trees.Open(t.Context(), "main", "")
	must(t, err)
	r.Branch, err = Open(t.Context(), left[0].Key, r.opts)
	must(t, err)
	if res := r.flush(""); len(res.Commits) != 1 || res.Commits[0].Changes != 3 || len(res.Failed) != 0 {
		t.Errorf("flush: %+v", res)
	}
	r.wantHub(map[string]string{"a.txt": "a", "dir/b.txt": "ours", "new/d.bin": "more weights", "dir/theirs.txt": "theirs"})
	if _, err := trees.Open(t.Context(), "nothere", ""); !errors.Is(err, hub.ErrRevisionNotFound) {
		t.Errorf("a branch that isn't there: %v", err)
	}
	if _, err := r.opts.Tree.List(t.Context(), "nothere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that isn't there: %v", err)
	}
}

// Files that are changed can be copied with the Hub out of reach, if what is below them is here.
func TestExport(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a.txt": "abc", "b.txt": "base of b", "gone.txt": "x"}, nil)
	f := r.openFile(t, "b.txt", os.O_WRONLY)
	_, err := f.WriteAt([]byte("edit"), 0)
	must(t, err)
	must(t, f.Release())
	must(t, r.Mkdir(t.Context(), "dir"))
	r.write(t, "dir/new.sh", "echo new\n")
	mode := uint32(0o755)
	must(t, r.Setattr(t.Context(), "dir/new.sh", Setattr{Mode: &mode}))
	must(t, r.Unlink(t.Context(), "gone.txt"))
	must(t, r.Close())

	blob := r.opts.Blob
	opts := Options{StateDir: r.state, Tree: Unlisted{}, Blob: func(f blobcache.File) (Blob, error) { return blob(f) }}
	key := Key{r.client.Endpoint(), "alice", r.repo, "main"}
	r.Branch, err = Open(t.Context(), key, opts)
	must(t, err)
	dir := t.TempDir()
	done, err := r.Export(t.Context(), dir)
	must(t, err)
	if len(done) != 3 || !done[2].Deleted {
		t.Errorf("exported %+v", done)
	}
	for name, want := range map[string]string{"b.txt": "edit of b", "dir/new.sh": "echo new\n"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		if string(got) != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "dir/new.sh"))
	must(t, err)
	if info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v", info.Mode())
	}
	// Nothing is written over, and one that fails keeps nobody from the rest.
	must(t, os.Remove(filepath.Join(dir, "dir/new.sh")))
	if done, err = r.Export(t.Context(), dir); !errors.Is(err, fs.ErrExist) || len(done) != 2 {
		t.Errorf("again: %+v, %v", done, err)
	}
	if n := len(r.Changes()); n != 3 {
		t.Errorf("%d changes are left", n)
	}
}
