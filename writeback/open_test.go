package writeback

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func openReal(t *testing.T, state string, tree *hubTree, blobs *hubBlobs) *rig {
	t.Helper()
	b, err := Open(t.Context(), testKey, Options{StateDir: state, Tree: tree, Blob: blobs.open})
	must(t, err)
	return &rig{Branch: b, tree: tree, blobs: blobs}
}

func TestOneMountAtATime(t *testing.T) {
	state := t.TempDir()
	tree, blobs := victimRig()
	r := openReal(t, state, tree, blobs)
	if _, err := Open(t.Context(), testKey, Options{StateDir: state, Tree: tree, Blob: blobs.open}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second mount: %v", err)
	}
	other := testKey
	other.User = "bob"
	b, err := Open(t.Context(), other, Options{StateDir: state, Tree: tree, Blob: blobs.open})
	must(t, err)
	must(t, b.Close())
	r.write(t, "new", "x")
	f := r.openFile(t, "new", os.O_RDWR)
	must(t, r.Close())
	if err := r.Mkdir(t.Context(), "later"); !errors.Is(err, ErrClosed) {
		t.Errorf("mkdir after close: %v", err)
	}
	if _, err := f.WriteAt([]byte("y"), 0); !errors.Is(err, ErrClosed) {
		t.Errorf("write after close: %v", err)
	}

	list, err := Journals(state)
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("journals: %+v", list)
	}
	for _, j := range list {
		if want := map[string]int{"alice": 1, "bob": 0}[j.Key.User]; j.Live || j.Err != nil || len(j.Changes) != want || j.Key.Repo != testKey.Repo {
			t.Errorf("journal: %+v", j)
		}
	}

	// The next mount has it, and a damaged index is no obstacle.
	name := filepath.Join(state, branchesDir, testKey.dir(), "index.db")
	must(t, os.WriteFile(name, make([]byte, 8192), 0o600))
	r = openReal(t, state, tree, blobs)
	if got := r.read(t, "new"); got != "x" {
		t.Errorf("new holds %q", got)
	}
	if rec := r.Recovered(); rec.Changes != 1 || len(rec.Torn) > 0 {
		t.Errorf("recovered %+v", rec)
	}
	must(t, r.Close())
}

func TestAttributesMoveToTheIndex(t *testing.T) {
	ctx := context.Background()
	state := t.TempDir()
	tree, blobs := victimRig()
	r := openReal(t, state, tree, blobs)
	when := time.Unix(1500000000, 0)
	must(t, r.Setattr(ctx, "a", Setattr{MTime: &when}))
	mode := uint32(0o700)
	must(t, r.compact())
	must(t, r.Setattr(ctx, "a", Setattr{Mode: &mode}))
	if n := len(r.attrs.recent); n != 1 {
		t.Errorf("%d attributes in memory", n)
	}
	must(t, r.compact())
	if n := len(r.attrs.recent); n != 0 {
		t.Errorf("%d attributes in memory after they were moved", n)
	}
	must(t, r.Close())
	r = openReal(t, state, tree, blobs)
	if e, err := r.Lookup(ctx, "a"); err != nil || !e.MTime.Equal(when) || e.Mode != mode {
		t.Errorf("%+v, %v", e, err)
	}
	must(t, r.Close())
}

func TestManyFilesDontUseUpDescriptors(t *testing.T) {
	state := t.TempDir()
	tree, blobs := victimRig()
	r := openReal(t, state, tree, blobs)
	before := descriptors(t)
	for i := range 200 {
		r.write(t, "f"+strconv.Itoa(i), "content")
		f := r.openFile(t, "f"+strconv.Itoa(i), os.O_RDWR)
		_, release := f.ino.snapshot()
		_, err := f.WriteAt([]byte("C"), 0)
		must(t, err)
		must(t, f.Release())
		release()
	}
	if n := descriptors(t); n > before+3 {
		t.Errorf("%d descriptors became %d", before, n)
	}
	must(t, r.Close())
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

func TestHolesAreHoles(t *testing.T) {
	tree, blobs := victimRig()
	r := openReal(t, t.TempDir(), tree, blobs)
	defer r.Close()
	f := r.openFile(t, "sparse", os.O_RDWR|os.O_CREATE)
	_, err := f.WriteAt(make([]byte, 1<<20), 0)
	must(t, err)
	_, err = f.WriteAt([]byte("x"), 1<<30)
	must(t, err)
	must(t, f.Zero(0, 1<<20))
	info, err := os.Stat(filepath.Join(r.disk0().dir, filepath.FromSlash(dataName(f.ino.layers[0].id))))
	must(t, err)
	if info.Size() != 1<<30+1 {
		t.Errorf("%d bytes", info.Size())
	}
	buf := make([]byte, 4096)
	if n, err := f.ReadAt(t.Context(), buf, 1<<29); n != len(buf) || err != nil {
		t.Errorf("read in the hole: %d, %v", n, err)
	}
	must(t, f.Release())
}

// disk0 is the real disk below a branch.
func (r *rig) disk0() osDisk { return r.Branch.disk.(osDisk) }
