package writeback

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/blobcache"
)

// blobOf is the file of the cache with the content of a path that was committed.
func (r *commitRig) blobOf(path string) string {
	r.t.Helper()
	found, err := filepath.Glob(filepath.Join(r.state, "cache", "models--alice--model", "snapshots", r.Tree().Commit(), path))
	must(r.t, err)
	if len(found) != 1 {
		r.t.Fatalf("the snapshot has %d files %s", len(found), path)
	}
	real, err := filepath.EvalSymlinks(found[0])
	must(r.t, err)
	return real
}

// TestSharedWithCache wants the cache to have what was committed without a copy, and
// never to see what is written to the file afterwards, also by another process.
func TestSharedWithCache(t *testing.T) {
	r := newCommitRig(t, nil, nil)
	content := strings.Repeat("0123456789abcdef", 1<<10)
	r.write(t, "a.txt", content)
	f := r.openFile(t, "a.txt", os.O_RDWR) // keeps the staged file
	defer f.Release()                      //nolint:errcheck // a test
	must(t, f.Flush())
	r.flush("")
	r.settled()
	blob := r.blobOf("a.txt")
	f.ino.mu.RLock()
	layer := f.ino.layers[0]
	f.ino.mu.RUnlock()
	staged := r.disk0().Path(dataName(layer.id))
	one, err := os.Stat(staged)
	must(t, err)
	other, err := os.Stat(blob)
	must(t, err)
	if !os.SameFile(one, other) {
		t.Error("the cache has a copy")
	}

	same := func(when string) {
		t.Helper()
		if b, err := os.ReadFile(blob); err != nil || string(b) != content {
			t.Errorf("%s, the blob has %d bytes, %v", when, len(b), err)
		}
	}
	changed := content
	change := func(f *File, at int64) {
		t.Helper()
		_, err := f.WriteAt([]byte("changed"), at)
		must(t, err)
		changed = changed[:at] + "changed" + changed[at+7:]
		must(t, f.Flush())
		same("after a write")
		r.mergeAll() // no layer below is big enough to stay for that reason
		must(t, r.journal.sync())
		r.mergeAll()
		same("after merging")
		if got := r.read(t, "a.txt"); got != changed {
			t.Errorf("the file has %d bytes that differ from what was written", len(got))
		}
	}
	change(f, 100)

	// Another process finds the layer below by its file alone.
	r.crash()
	g := r.openFile(t, "a.txt", os.O_RDWR)
	if got := r.read(t, "a.txt"); got != changed {
		t.Errorf("after a crash, the file has %d bytes that differ", len(got))
	}
	change(g, 5000)
	must(t, g.Truncate(6000))
	changed = changed[:6000]
	same("after cutting")
	must(t, g.Release())
	r.flush("")
	r.wantHub(map[string]string{"a.txt": changed})
	r.wantClean()
	same("after the second commit")
}

// TestSharedBeforeCrash has a process die between giving the cache a staged file and
// letting go of it.
func TestSharedBeforeCrash(t *testing.T) {
	r := newCommitRig(t, nil, nil)
	content := strings.Repeat("weights ", 1<<10)
	r.write(t, "m.bin", content)
	f := r.openFile(t, "m.bin", os.O_RDONLY)
	ino := f.ino
	sum, err := sha256Of(t.Context(), &ino.content)
	must(t, err)
	tree := r.Tree().Commit()
	file := blobcache.File{Repo: r.repo, Revision: "main", Commit: tree, Path: "m.bin", Hash: sum, Size: int64(len(content))}
	must(t, r.cache.AddFile(t.Context(), file, r.disk0().Path(dataName(ino.layers[0].id))))
	blob, err := filepath.Glob(filepath.Join(r.state, "cache", "*", "blobs", sum))
	must(t, err)
	r.crash()

	g := r.openFile(t, "m.bin", os.O_RDWR)
	_, err = g.WriteAt([]byte("CHANGED!"), 0)
	must(t, err)
	must(t, g.Truncate(16))
	must(t, g.Release())
	if b, err := os.ReadFile(blob[0]); err != nil || string(b) != content {
		t.Errorf("the blob has %.20q, %v", b, err)
	}
	if got := r.read(t, "m.bin"); got != "CHANGED!weights " {
		t.Errorf("the file has %.40q", got)
	}
	r.flush("")
	r.wantHub(map[string]string{"m.bin": "CHANGED!weights "})
}
