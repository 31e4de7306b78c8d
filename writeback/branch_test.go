package writeback

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var base = map[string]string{
	"README.md":     "# hello\n",
	"big.bin":       strings.Repeat("0123456789abcdef", 4096),
	"d/a":           "file a",
	"d/b":           "file b",
	"d/deep/down/c": "file c",
}

// view is what a tree shows, in the form of rig.walk.
func view(files map[string]string) map[string]string {
	out := maps.Clone(files)
	for path := range files {
		for dir, _ := split(path); dir != ""; dir, _ = split(dir) {
			out[dir+"/"] = ""
		}
	}
	return out
}

func wantView(t *testing.T, r *rig, want map[string]string) {
	t.Helper()
	got := r.walk(t)
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[path]; !ok {
			t.Errorf("%s is missing", path)
		} else if v != want[path] {
			t.Errorf("%s holds %.80q, want %.80q", path, v, want[path])
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s is there", path)
		}
	}
}

func TestViewIsTheTree(t *testing.T) {
	r := newRig(t, base)
	wantView(t, r, view(base))
	if c := r.Changes(); len(c) > 0 {
		t.Errorf("changes: %v", c)
	}
	if n := len(r.root.children); n > 0 {
		t.Errorf("reading left %d nodes", n)
	}
}

func TestWriteSurvivesKill(t *testing.T) {
	r := newRig(t, base)
	r.write(t, "new", "content")
	r.write(t, "d/a", "other")
	f := r.openFile(t, "big.bin", os.O_RDWR)
	_, err := f.WriteAt([]byte("HERE"), 100)
	must(t, err)
	must(t, f.Flush())
	must(t, f.Release())
	must(t, r.Mkdir(context.Background(), "empty"))
	must(t, r.Unlink(context.Background(), "README.md"))
	must(t, r.Rename(context.Background(), "d/deep", "moved", false))

	files := maps.Clone(base)
	files["new"], files["d/a"] = "content", "other"
	files["big.bin"] = base["big.bin"][:100] + "HERE" + base["big.bin"][104:]
	files["moved/down/c"] = files["d/deep/down/c"]
	delete(files, "d/deep/down/c")
	delete(files, "README.md")
	want := view(files)
	want["empty/"] = ""
	wantView(t, r, want)
	for range 3 {
		r.kill(t)
		wantView(t, r, want)
		if rec := r.Recovered(); len(rec.Torn)+len(rec.Lost)+rec.Damaged > 0 {
			t.Fatalf("recovered %+v", rec)
		}
	}
}

func TestEditFetchesNothing(t *testing.T) {
	r := newRig(t, base)
	f := r.openFile(t, "big.bin", os.O_RDWR)
	r.blobs.down.Store(true)
	_, err := f.WriteAt(make([]byte, 4096), 8191)
	must(t, err)
	must(t, f.Truncate(40000))
	must(t, f.Truncate(70000))
	must(t, f.Fsync())
	must(t, f.Flush())
	if n := r.blobs.fetched.Load(); n != 0 {
		t.Errorf("%d bytes were fetched", n)
	}
	buf := make([]byte, 5000)
	if n, err := f.ReadAt(context.Background(), buf[:4096], 8191); n != 4096 || err != nil {
		t.Errorf("reading what was written: %d, %v", n, err)
	}
	if _, err := f.ReadAt(context.Background(), buf, 100); err == nil {
		t.Error("the part of the blob was read without the Hub")
	}
	r.blobs.down.Store(false)
	want := base["big.bin"][:8191] + string(make([]byte, 4096)) + base["big.bin"][8191+4096:40000] + string(make([]byte, 30000))
	got, err := readAll(f)
	must(t, err)
	if got != want {
		t.Error("content differs")
	}
	must(t, f.Release())
}

func TestHandlesFollowTheFile(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, base)
	reader := r.openFile(t, "d/a", os.O_RDONLY)
	writer := r.openFile(t, "d/a", os.O_RDWR)
	_, err := writer.WriteAt([]byte("FILE"), 0)
	must(t, err)
	if got, _ := readAll(reader); got != "FILE a" {
		t.Errorf("the reader sees %q", got)
	}
	must(t, r.Rename(ctx, "d/a", "x", false))
	must(t, r.Unlink(ctx, "x"))
	_, err = writer.WriteAt([]byte("!"), 6)
	must(t, err)
	if got, _ := readAll(reader); got != "FILE a!" {
		t.Errorf("after unlink the reader sees %q", got)
	}
	if _, err := r.Lookup(ctx, "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lookup after unlink: %v", err)
	}
	must(t, reader.Release())
	must(t, writer.Release())
	must(t, r.journal.sync())
	r.removeDoomed()
	if names, _ := r.disk.List(dataDir); len(names) > 0 {
		t.Errorf("left in data: %v", names)
	}
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, base)
	open := func(path string, flag int) error {
		f, err := r.OpenFile(ctx, path, flag, 0o644)
		if err == nil {
			must(t, f.Release())
		}
		return err
	}
	must(t, r.Mkdir(ctx, "empty"))
	for _, c := range []struct {
		what string
		err  error
		want syscall.Errno
	}{
		{"open missing", open("missing", os.O_RDONLY), syscall.ENOENT},
		{"open folder", open("d", os.O_RDONLY), syscall.EISDIR},
		{"create exclusively", open("d/a", os.O_WRONLY|os.O_CREATE|os.O_EXCL), syscall.EEXIST},
		{"create below file", open("d/a/x", os.O_WRONLY|os.O_CREATE), syscall.ENOTDIR},
		{"create below nothing", open("no/x", os.O_WRONLY|os.O_CREATE), syscall.ENOENT},
		{"name too long", open(strings.Repeat("n", 256), os.O_WRONLY|os.O_CREATE), syscall.ENAMETOOLONG},
		{"name not UTF-8", open("\xff", os.O_WRONLY|os.O_CREATE), syscall.EILSEQ},
		{"mkdir over file", r.Mkdir(ctx, "d/a"), syscall.EEXIST},
		{"mkdir over folder", r.Mkdir(ctx, "d"), syscall.EEXIST},
		{"rmdir of file", r.Rmdir(ctx, "d/a"), syscall.ENOTDIR},
		{"rmdir not empty", r.Rmdir(ctx, "d"), syscall.ENOTEMPTY},
		{"unlink of folder", r.Unlink(ctx, "d"), syscall.EISDIR},
		{"unlink missing", r.Unlink(ctx, "d/z"), syscall.ENOENT},
		{"rename missing", r.Rename(ctx, "z", "y", false), syscall.ENOENT},
		{"rename file over folder", r.Rename(ctx, "d/a", "empty", false), syscall.EISDIR},
		{"rename folder over file", r.Rename(ctx, "empty", "d/a", false), syscall.ENOTDIR},
		{"rename folder over full one", r.Rename(ctx, "empty", "d", false), syscall.ENOTEMPTY},
		{"rename into itself", r.Rename(ctx, "d", "d/deep/d", false), syscall.EINVAL},
		{"rename, no replace", r.Rename(ctx, "d/a", "d/b", true), syscall.EEXIST},
	} {
		if !isErrno(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.err, c.want)
		}
	}
	want := view(base)
	want["empty/"] = ""
	wantView(t, r, want)
}

func TestUnlinkedFolderStaysUntilRmdir(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, map[string]string{"d/e/f": "x"})
	must(t, r.Unlink(ctx, "d/e/f"))
	wantView(t, r, map[string]string{"d/": "", "d/e/": ""})
	// The commit that deletes it leaves no folder on the Hub.
	must(t, r.setTree(ctx, &hubTree{"c2", nil}))
	wantView(t, r, map[string]string{"d/": "", "d/e/": ""})
	r.tree = &hubTree{"c2", nil}
	r.kill(t)
	wantView(t, r, map[string]string{"d/": "", "d/e/": ""})
	must(t, r.Rmdir(ctx, "d/e"))
	must(t, r.Rmdir(ctx, "d"))
	wantView(t, r, nil)
	if len(r.root.children) > 0 {
		t.Error("nodes are left")
	}
}

func TestFileAndFolderChangePlaces(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, map[string]string{"f": "file", "d/x": "x"})
	must(t, r.Unlink(ctx, "f"))
	must(t, r.Mkdir(ctx, "f"))
	r.write(t, "f/inside", "1")
	must(t, r.Unlink(ctx, "d/x"))
	must(t, r.Rmdir(ctx, "d"))
	r.write(t, "d", "2")
	want := map[string]string{"f/": "", "f/inside": "1", "d": "2"}
	wantView(t, r, want)
	r.kill(t)
	wantView(t, r, want)
	must(t, r.Unlink(ctx, "f/inside"))
	must(t, r.Rmdir(ctx, "f"))
	r.write(t, "f", "file")
	must(t, r.Unlink(ctx, "d"))
	must(t, r.Mkdir(ctx, "d"))
	wantView(t, r, map[string]string{"f": "file", "d/": ""})
}

func TestTornFileIsKept(t *testing.T) {
	r := newRig(t, base)
	r.write(t, "whole", "1")
	f := r.openFile(t, "half", os.O_WRONLY|os.O_CREATE)
	_, err := f.WriteAt([]byte("half of"), 0)
	must(t, err)
	must(t, f.Fsync()) // is no close
	r.kill(t)
	if got := r.Recovered().Torn; !slices.Equal(got, []string{"half"}) {
		t.Errorf("torn: %v", got)
	}
	if got := r.read(t, "half"); got != "half of" {
		t.Errorf("it holds %q", got)
	}
	states := make(map[string]State)
	for _, c := range r.Changes() {
		states[c.Path] = c.State
	}
	if want := map[string]State{"half": Failed, "whole": Staged}; !maps.Equal(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
	r.kill(t)
	if e, _ := r.Lookup(context.Background(), "half"); e.State != Failed {
		t.Errorf("after another restart it is %v", e.State)
	}
	g := r.openFile(t, "half", os.O_WRONLY)
	must(t, g.Flush())
	must(t, g.Release())
	if e, _ := r.Lookup(context.Background(), "half"); e.State != Staged {
		t.Errorf("after it was saved it is %v", e.State)
	}
}

func TestFullDiskHarmsNothing(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, base)
	r.write(t, "before", "1")
	f := r.openFile(t, "growing", os.O_WRONLY|os.O_CREATE)
	r.disk.mu.Lock()
	r.disk.free = 300
	r.disk.mu.Unlock()
	var n int
	var err error
	for off := int64(0); err == nil; off += int64(n) {
		n, err = f.WriteAt(make([]byte, 64), off)
	}
	if !isErrno(err, syscall.ENOSPC) {
		t.Fatalf("write: %v", err)
	}
	if err := r.Mkdir(ctx, "folder"); !isErrno(err, syscall.ENOSPC) {
		t.Errorf("mkdir: %v", err)
	}
	if err := r.Rename(ctx, "before", "after", false); !isErrno(err, syscall.ENOSPC) {
		t.Errorf("rename: %v", err)
	}
	if _, err := r.OpenFile(ctx, "other", os.O_WRONLY|os.O_CREATE, 0); !isErrno(err, syscall.ENOSPC) {
		t.Errorf("create: %v", err)
	}
	if err := f.Flush(); !isErrno(err, syscall.ENOSPC) {
		t.Errorf("flush: %v", err)
	}
	want := view(base)
	want["before"], want["growing"] = "1", r.read(t, "growing")
	wantView(t, r, want)
	r.disk.mu.Lock()
	r.disk.free = -1
	r.disk.mu.Unlock()
	must(t, f.Flush())
	must(t, f.Release())
	r.kill(t)
	wantView(t, r, want)
	if rec := r.Recovered(); rec.Damaged > 0 || len(rec.Torn) > 0 {
		t.Errorf("recovered %+v", rec)
	}
}

func TestFailedFsyncStays(t *testing.T) {
	r := newRig(t, nil)
	f := r.openFile(t, "f", os.O_WRONLY|os.O_CREATE)
	other := r.openFile(t, "f", os.O_RDWR)
	_, err := f.WriteAt([]byte("x"), 0)
	must(t, err)
	r.disk.mu.Lock()
	r.disk.fail = func(step string, _ int) error {
		if step == "stage sync" {
			return syscall.EIO
		}
		return nil
	}
	r.disk.mu.Unlock()
	if err := f.Fsync(); !isErrno(err, syscall.EIO) {
		t.Fatalf("fsync: %v", err)
	}
	r.disk.mu.Lock()
	r.disk.fail = nil
	r.disk.mu.Unlock()
	for what, err := range map[string]error{"fsync": other.Fsync(), "flush": f.Flush(), "flush of another": other.Flush()} {
		if !isErrno(err, syscall.EIO) {
			t.Errorf("%s afterwards: %v", what, err)
		}
	}
	must(t, other.Truncate(0))
	_, err = other.WriteAt([]byte("y"), 0)
	must(t, err)
	must(t, other.Fsync())
	must(t, f.Release())
	must(t, other.Release())
}

func TestFailedFsyncOfTheLog(t *testing.T) {
	r := newRig(t, nil)
	f := r.openFile(t, "f", os.O_WRONLY|os.O_CREATE)
	_, err := f.WriteAt([]byte("x"), 0)
	must(t, err)
	must(t, f.Flush())
	r.disk.mu.Lock()
	r.disk.fail = func(step string, _ int) error {
		if step == "journal sync" || step == "rewrite sync" {
			return syscall.EIO
		}
		return nil
	}
	r.disk.mu.Unlock()
	for range 2 {
		if err := f.Fsync(); !isErrno(err, syscall.EIO) {
			t.Fatalf("fsync: %v", err)
		}
	}
	r.disk.mu.Lock()
	r.disk.fail = nil
	r.disk.mu.Unlock()
	must(t, f.Fsync()) // a new log has it all
	r.boot = "boot 2"
	next := r.disk.powerCut(nil)
	r.abandon()
	r.disk = next
	r.open(t)
	wantView(t, r, map[string]string{"f": "x"})
}

func TestAttributesStay(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, base)
	when := time.Unix(1234567890, 42)
	mode := uint32(0o755)
	r.write(t, "new", "x")
	paths := []string{"new", "d/a", "d/deep"}
	for _, path := range paths {
		must(t, r.Setattr(ctx, path, Setattr{Mode: &mode, MTime: &when}))
	}
	check := func() {
		t.Helper()
		for _, path := range paths {
			if e, err := r.Lookup(ctx, path); err != nil || e.Mode != mode || !e.MTime.Equal(when) {
				t.Errorf("%s: %+v, %v", path, e, err)
			}
		}
	}
	check()
	r.kill(t)
	check()
	must(t, r.Rename(ctx, "d", "e", false))
	paths = []string{"new", "e/a", "e/deep"}
	check()
	r.kill(t)
	check()
	// They belong to the content: another one has others.
	changed := maps.Clone(base)
	changed["d/a"] = "file by somebody else"
	r2 := newRig(t, base)
	must(t, r2.Setattr(ctx, "d/a", Setattr{Mode: &mode}))
	must(t, r2.setTree(ctx, &hubTree{"c2", changed}))
	if e, _ := r2.Lookup(ctx, "d/a"); e.Mode != 0 {
		t.Errorf("mode %o for other content", e.Mode)
	}
	if len(r2.Changes()) > 0 {
		t.Errorf("a mode is a change: %v", r2.Changes())
	}
}

func TestOthersMoveTheBranch(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, base)
	r.write(t, "d/a", "ours")
	r.write(t, "d/n", "ours, too")
	reader := r.openFile(t, "d/b", os.O_RDONLY)
	next := maps.Clone(base)
	next["d/b"], next["d/new"] = "b by others", "new by others"
	delete(next, "README.md")
	for _, content := range next {
		r.blobs.content[gitOID(content).String()] = content
	}
	must(t, r.setTree(ctx, &hubTree{"c2", next}))
	want := view(next)
	want["d/a"], want["d/n"] = "ours", "ours, too"
	wantView(t, r, want)
	if got, err := readAll(reader); got != base["d/b"] || err != nil {
		t.Errorf("the open handle reads %q, %v", got, err)
	}
	must(t, reader.Release())
	// A folder with something of ours stays when others remove the rest of it.
	must(t, r.setTree(ctx, &hubTree{"c3", map[string]string{"README.md": base["README.md"]}}))
	wantView(t, r, map[string]string{"README.md": base["README.md"], "d/": "", "d/a": "ours", "d/n": "ours, too"})
}

func TestSyncMakesNamesDurable(t *testing.T) {
	r := newRig(t, nil)
	r.write(t, "f", "x")
	f := r.openFile(t, "f", os.O_RDONLY)
	must(t, f.Fsync())
	must(t, f.Release())
	must(t, r.Mkdir(context.Background(), "made"))
	must(t, r.Rename(context.Background(), "f", "made/g", false))
	must(t, r.Sync())
	r.boot = "boot 2"
	next := r.disk.powerCut(nil)
	r.abandon()
	r.disk = next
	r.open(t)
	wantView(t, r, map[string]string{"made/": "", "made/g": "x"})
}
