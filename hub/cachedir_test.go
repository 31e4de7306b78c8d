package hub

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const (
	cacheCommitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	cacheCommitB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

var cacheRepo = Repo{Type: Dataset, ID: "ns/name"}

func addBlob(t *testing.T, d *CacheDir, r Repo, etag, content string) {
	t.Helper()
	if err := d.AddBlob(r, etag, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, d *CacheDir, r Repo, commit, path, etag string) {
	t.Helper()
	if _, err := d.LinkSnapshot(r, commit, path, etag); err != nil {
		t.Fatal(err)
	}
}

// updateRef knows nothing of the new commit.
func updateRef(t *testing.T, d *CacheDir, revision, commit string) RefUpdate {
	t.Helper()
	u, err := d.UpdateRef(cacheRepo, revision, commit, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestCacheDirLayout(t *testing.T) {
	d := OpenCacheDir(filepath.Join(t.TempDir(), "a", "hub"))
	addBlob(t, d, cacheRepo, "e1", "content")
	for path, target := range map[string]string{"x": "../../blobs/e1", "a/b/x": "../../../../blobs/e1"} {
		if made, err := d.LinkSnapshot(cacheRepo, cacheCommitA, path, "e1"); !made || err != nil {
			t.Fatal(made, err)
		}
		full := filepath.Join(d.Path(), "datasets--ns--name/snapshots", cacheCommitA, path)
		if got, err := os.Readlink(full); got != target || err != nil {
			t.Errorf("link %q, %v", got, err)
		}
		if b, err := os.ReadFile(full); string(b) != "content" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		if made, err := d.LinkSnapshot(cacheRepo, cacheCommitA, path, "e1"); made || err != nil {
			t.Error("made twice", err)
		}
	}
	if u := updateRef(t, d, "refs/pr/1", cacheCommitA); !u.Moved {
		t.Error("a new ref isn't made")
	}
	b, err := os.ReadFile(filepath.Join(d.Path(), "datasets--ns--name/refs/refs/pr/1"))
	if string(b) != cacheCommitA || err != nil {
		t.Errorf("ref %q, %v", b, err)
	}
	for _, revision := range []string{"refs/pr/1", cacheCommitA} {
		if p, err := d.Lookup(cacheRepo, revision, "a/b/x"); err != nil || !isFile(p) {
			t.Error(p, err)
		}
	}
	if _, err := d.Lookup(cacheRepo, "main", "x"); !errors.Is(err, fs.ErrNotExist) && err == nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(d.Path(), "*/*/*.incomplete")); len(left) > 0 {
		t.Error("left:", left)
	}
	if repos, err := d.Repos(); err != nil || !slices.Equal(repos, []Repo{cacheRepo}) {
		t.Error(repos, err)
	}
}

func TestCacheDirKnownMissing(t *testing.T) {
	d := OpenCacheDir(t.TempDir())
	p := filepath.Join(d.Path(), "datasets--ns--name/.no_exist", cacheCommitA, "adapter.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o777), os.WriteFile(p, nil, 0o666)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lookup(cacheRepo, cacheCommitA, "adapter.json"); !errors.Is(err, ErrEntryNotFound) {
		t.Error(err)
	}
	if _, err := d.Lookup(cacheRepo, cacheCommitA, "other.json"); errors.Is(err, ErrEntryNotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestCacheDirRefusesHostileNames(t *testing.T) {
	top := t.TempDir()
	d := OpenCacheDir(filepath.Join(top, "hub"))
	addBlob(t, d, cacheRepo, "e", "x")
	var v *ValidationError
	for _, path := range []string{"", "..", "../x", "a/../../x", "/etc/passwd", "a//b", ".git/config", "a\x00b", `..\x`} {
		if _, err := d.LinkSnapshot(cacheRepo, cacheCommitA, path, "e"); !errors.As(err, &v) {
			t.Errorf("path %q: %v", path, err)
		}
		if _, err := d.ReadRef(cacheRepo, path); !errors.As(err, &v) {
			t.Errorf("revision %q: %v", path, err)
		}
		if _, err := d.UpdateRef(cacheRepo, path, cacheCommitA, nil, nil); !errors.As(err, &v) {
			t.Errorf("revision %q: %v", path, err)
		}
		if _, err := d.WriteTrees(cacheRepo, cacheCommitA, map[string]CachedTreeFile{path: {}}); !errors.As(err, &v) {
			t.Errorf("listing with %q: %v", path, err)
		}
	}
	for _, etag := range []string{"", ".", "..", "../x", "a/b", "a b", "x.incomplete", `a\b`, "a\n", strings.Repeat("a", 300)} {
		if err := d.AddBlob(cacheRepo, etag, strings.NewReader(""), 0); !errors.As(err, &v) {
			t.Errorf("etag %q: %v", etag, err)
		}
		if err := d.RemoveBlob(cacheRepo, etag); !errors.As(err, &v) {
			t.Errorf("etag %q: %v", etag, err)
		}
	}
	for _, commit := range []string{"", "main", "..", strings.Repeat("g", 40), cacheCommitA[:39], strings.ToUpper(cacheCommitA)} {
		if _, err := d.SnapshotPath(cacheRepo, commit, "x"); !errors.As(err, &v) {
			t.Errorf("commit %q: %v", commit, err)
		}
	}
	for _, id := range []string{"../x", "a/b/c", "a--b", ""} {
		if err := d.AddBlob(Repo{Model, id}, "e", strings.NewReader(""), 0); !errors.As(err, &v) {
			t.Errorf("repo %q: %v", id, err)
		}
	}
	if e, _ := os.ReadDir(top); len(e) != 1 {
		t.Error("something was made outside:", e)
	}
}

func TestAddBlobIsAllOrNothing(t *testing.T) {
	d := OpenCacheDir(t.TempDir())
	addBlob(t, d, cacheRepo, "e", "old content")
	broken := errors.New("broken")
	for _, src := range []io.Reader{
		io.MultiReader(strings.NewReader("new"), iotestErr{broken}), strings.NewReader("short"), strings.NewReader("far too long"),
	} {
		if err := d.AddBlob(cacheRepo, "e", src, 9); err == nil {
			t.Fatal("no error")
		}
	}
	blobs, _ := filepath.Glob(filepath.Join(d.Path(), "*/blobs/*"))
	if b, err := os.ReadFile(blobs[0]); len(blobs) != 1 || string(b) != "old content" || err != nil {
		t.Fatalf("%v: %q, %v", blobs, b, err)
	}
}

type iotestErr struct{ err error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.err }

func TestMoveAndLinkBlob(t *testing.T) {
	top := t.TempDir()
	d := OpenCacheDir(filepath.Join(top, "hub"))
	file := filepath.Join(top, "file")
	if err := os.WriteFile(file, []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time over itself
		if err := d.LinkBlob(cacheRepo, "e", file); err != nil {
			t.Fatal(err)
		}
	}
	blob, _ := d.BlobPath(cacheRepo, "e")
	a, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.Stat(blob); err != nil || !os.SameFile(a, b) {
		t.Error("not a hard link", err)
	}
	if err := d.MoveBlob(cacheRepo, "m", file); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the file is still there")
	}
	if left, _ := filepath.Glob(filepath.Join(d.Path(), "*/blobs/*.incomplete")); len(left) > 0 {
		t.Error("left:", left)
	}
}

func TestUpdateRefKeepsWhatWorked(t *testing.T) {
	d := OpenCacheDir(t.TempDir())
	addBlob(t, d, cacheRepo, "same", "1")
	addBlob(t, d, cacheRepo, "old", "2")
	addBlob(t, d, cacheRepo, "new", "3")
	link(t, d, cacheRepo, cacheCommitA, "dir/same", "same")
	link(t, d, cacheRepo, cacheCommitA, "changed", "old")
	if _, err := d.UpdateRef(cacheRepo, "main", cacheCommitB, nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a ref to a commit without snapshot:", err)
	}
	updateRef(t, d, "main", cacheCommitA)
	noExist := filepath.Join(d.Path(), "datasets--ns--name/.no_exist")
	p := filepath.Join(noExist, cacheCommitA, "sub/adapter.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o777), os.WriteFile(p, nil, 0o666)); err != nil {
		t.Fatal(err)
	}

	link(t, d, cacheRepo, cacheCommitB, "added", "new")
	etags := map[string]string{"dir/same": "same", "changed": "new", "added": "new"}
	known := func(path string) (string, bool) { return etags[path], true }
	refused := errors.New("refused")
	if _, err := d.UpdateRef(cacheRepo, "main", cacheCommitB, known, func(LinkedFile) error { return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	u, err := d.UpdateRef(cacheRepo, "main", cacheCommitB, known, nil)
	if err != nil || u.Moved || !slices.Equal(u.Missing, []string{"changed"}) || !slices.Equal(u.Linked, []LinkedFile{{"dir/same", "same"}}) {
		t.Fatalf("%+v, %v", u, err)
	}
	if c, err := d.ReadRef(cacheRepo, "main"); c != cacheCommitA || err != nil {
		t.Fatal(c, err)
	}
	link(t, d, cacheRepo, cacheCommitB, "changed", "new")
	u, err = d.UpdateRef(cacheRepo, "main", cacheCommitB, known, nil)
	if err != nil || !u.Moved {
		t.Fatalf("%+v, %v", u, err)
	}
	if _, err := d.Lookup(cacheRepo, "main", "sub/adapter.json"); !errors.Is(err, ErrEntryNotFound) {
		t.Error("a file is no longer known to be missing:", err)
	}
	if u := updateRef(t, d, "main", cacheCommitB); u.Moved {
		t.Error("moved twice")
	}
	// Back, with a file that was removed in between: it stays.
	if u := updateRef(t, d, "main", cacheCommitA); u.Moved || !slices.Equal(u.Missing, []string{"added"}) {
		t.Errorf("%+v", u)
	}
}

func TestRemoveSnapshot(t *testing.T) {
	d := OpenCacheDir(t.TempDir())
	addBlob(t, d, cacheRepo, "e", "1")
	link(t, d, cacheRepo, cacheCommitA, "a/b/c", "e")
	link(t, d, cacheRepo, cacheCommitA, "a/d", "e")
	updateRef(t, d, "main", cacheCommitA)
	if ok, err := d.RemoveSnapshot(cacheRepo, cacheCommitA, "a/b/c", "other"); ok || err != nil {
		t.Error("a link to another blob:", ok, err)
	}
	for _, p := range []string{"a/b/c", "a/d"} {
		if ok, err := d.RemoveSnapshot(cacheRepo, cacheCommitA, p, "e"); !ok || err != nil {
			t.Error(p, ok, err)
		}
		if ok, err := d.RemoveSnapshot(cacheRepo, cacheCommitA, p, "e"); ok || err != nil {
			t.Error(p, ok, err)
		}
	}
	dir := filepath.Join(d.Path(), "datasets--ns--name/snapshots", cacheCommitA)
	if e, err := os.ReadDir(dir); err != nil || len(e) != 0 {
		t.Error(e, err)
	}
	if gone, err := d.RemoveEmptySnapshot(cacheRepo, cacheCommitA, func(string) bool { return false }); len(gone) > 0 || err != nil {
		t.Error(gone, err)
	}
	if gone, err := d.RemoveEmptySnapshot(cacheRepo, cacheCommitA, func(string) bool { return true }); len(gone) != 1 || err != nil {
		t.Error(gone, err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder stays")
	}
}

func TestTrees(t *testing.T) {
	d := OpenCacheDir(t.TempDir())
	sha, size := strings.Repeat("ab", 32), int64(9)
	files := map[string]CachedTreeFile{
		"a":   {Size: 1, BlobID: strings.Repeat("1", 40)},
		"d/b": {Size: 9, BlobID: strings.Repeat("2", 40), SHA256: &sha, LFSSize: &size},
	}
	if _, err := d.ReadTrees(cacheRepo, cacheCommitA); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if ok, err := d.WriteTrees(cacheRepo, cacheCommitA, files); !ok || err != nil {
		t.Fatal(ok, err)
	}
	got, err := d.ReadTrees(cacheRepo, cacheCommitA)
	if err != nil || len(got) != 2 || got["d/b"].ETag() != sha || got["a"].ETag() != files["a"].BlobID {
		t.Fatal(got, err)
	}
	// A snapshot with gaps and no listing counts as whole with the official client.
	addBlob(t, d, cacheRepo, "e", "1")
	link(t, d, cacheRepo, cacheCommitB, "a", "e")
	if ok, err := d.WriteTrees(cacheRepo, cacheCommitB, files); ok || err != nil {
		t.Error("a listing for a snapshot with gaps", err)
	}
	link(t, d, cacheRepo, cacheCommitB, "d/b", "e")
	if ok, err := d.WriteTrees(cacheRepo, cacheCommitB, files); !ok || err != nil {
		t.Error(ok, err)
	}
}

func TestScan(t *testing.T) {
	d := OpenCacheDir(t.TempDir())
	if _, err := d.Scan(cacheRepo); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	addBlob(t, d, cacheRepo, "e1", "12")
	addBlob(t, d, cacheRepo, "e2", "345")
	link(t, d, cacheRepo, cacheCommitA, "x", "e1")
	link(t, d, cacheRepo, cacheCommitB, "d/x", "e1")
	updateRef(t, d, "main", cacheCommitA)
	dir := filepath.Join(d.Path(), "datasets--ns--name")
	err := errors.Join(os.WriteFile(filepath.Join(dir, "blobs/e3.12345678.incomplete"), []byte("1"), 0o666),
		os.Symlink("../../blobs/gone", filepath.Join(dir, "snapshots", cacheCommitA, "dangling")))
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Scan(cacheRepo)
	if err != nil {
		t.Fatal(err)
	}
	if c.Size() != 5 || len(c.Blobs) != 2 || len(c.Blobs[0].Links) != 2 || len(c.Blobs[1].Links) != 0 ||
		len(c.Incomplete) != 1 || len(c.Commits) != 2 || c.Refs["main"] != cacheCommitA {
		t.Errorf("%+v", c)
	}
	if !slices.Equal(c.Dangling, []CachedLink{{cacheCommitA, "dangling"}}) {
		t.Errorf("dangling %v", c.Dangling)
	}
}

func TestRootGivesFilesToTheCachesOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	top := t.TempDir()
	home := filepath.Join(top, "home")
	if err := errors.Join(os.Mkdir(home, 0o777), os.Chown(home, 4321, 4322)); err != nil {
		t.Fatal(err)
	}
	d := OpenCacheDir(filepath.Join(home, ".cache/huggingface/hub"))
	addBlob(t, d, cacheRepo, "e", "1")
	link(t, d, cacheRepo, cacheCommitA, "a/b", "e")
	updateRef(t, d, "refs/pr/1", cacheCommitA)
	if _, err := d.WriteTrees(cacheRepo, cacheCommitB, nil); err != nil {
		t.Fatal(err)
	}
	n := 0
	err := filepath.WalkDir(home, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := os.Lstat(p)
		if err != nil {
			return err
		}
		if st := fi.Sys().(*syscall.Stat_t); st.Uid != 4321 || st.Gid != 4322 {
			t.Errorf("%s belongs to %d:%d", p, st.Uid, st.Gid)
		}
		n++
		return nil
	})
	if err != nil || n < 14 {
		t.Error(n, err)
	}

	// And isn't led out of it by links that the user has put there.
	victim := filepath.Join(top, "victim")
	evil := filepath.Join(d.Path(), "models--ns--evil")
	if err := errors.Join(os.Mkdir(victim, 0o755), os.Symlink(victim, evil)); err != nil {
		t.Fatal(err)
	}
	if err := d.AddBlob(Repo{Model, "ns/evil"}, "e", bytes.NewReader(nil), 0); err == nil {
		t.Error("root followed a link out of the cache")
	}
	if err := os.Symlink(victim, filepath.Join(d.Path(), "datasets--ns--name/snapshots", cacheCommitB)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.LinkSnapshot(cacheRepo, cacheCommitB, "x", "e"); err == nil {
		t.Error("root followed a link out of the cache")
	}
	if e, _ := os.ReadDir(victim); len(e) > 0 {
		t.Error(e)
	}
}

func FuzzDecodeTrees(f *testing.F) {
	f.Add([]byte(`{"format_version":1,"files":{"a":{"size":1,"blob_id":"1111111111111111111111111111111111111111"}}}`))
	f.Add([]byte(`{"format_version":1,"files":{"../a":{"size":-1}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		files, err := decodeTrees(bytes.NewReader(b))
		if err != nil {
			return
		}
		for p, e := range files {
			if ValidPath(p) != nil || e.Size < 0 || e.ETag() == "" {
				t.Errorf("%q: %+v", p, e)
			}
		}
	})
}
