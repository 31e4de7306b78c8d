package blobcache

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// plant puts a file into the shared cache as huggingface_hub does.
func (tc *testCache) plant(f File, data []byte) {
	tc.t.Helper()
	blob := tc.blob(f)
	if err := os.MkdirAll(filepath.Dir(blob), 0o777); err != nil {
		tc.t.Fatal(err)
	}
	if err := os.WriteFile(blob, data, 0o644); err != nil {
		tc.t.Fatal(err)
	}
	tc.plantLink(f)
}

func (tc *testCache) plantLink(f File) {
	tc.t.Helper()
	link := tc.snapshot(f)
	if err := os.MkdirAll(filepath.Dir(link), 0o777); err != nil {
		tc.t.Fatal(err)
	}
	rel, err := filepath.Rel(filepath.Dir(link), tc.blob(f))
	if err != nil {
		tc.t.Fatal(err)
	}
	if err := os.Symlink(rel, link); err != nil {
		tc.t.Fatal(err)
	}
}

func (tc *testCache) plantRef(repo hub.Repo, revision, commit string) {
	tc.t.Helper()
	dir, err := tc.shared.RepoFolder(repo)
	if err != nil {
		tc.t.Fatal(err)
	}
	path := filepath.Join(dir, "refs", revision)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		tc.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(commit), 0o644); err != nil {
		tc.t.Fatal(err)
	}
}

func (tc *testCache) ref(repo hub.Repo, revision string) string {
	c, _ := tc.shared.ReadRef(repo, revision)
	return c
}

func (tc *testCache) fetch(f File) {
	tc.t.Helper()
	b := tc.open(f)
	defer b.Close()
	if err := b.Fetch(tc.t.Context()); err != nil {
		tc.t.Fatal(err)
	}
}

func TestBlobOfOthersIsVerifiedOnce(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	for i, n := range []int{1000, 5 << 20} {
		data := random(n, uint64(20+i))
		f := h.lfs(fmt.Sprint("f", i), data)
		c.plant(f, data)
		for range 2 {
			c.want(f, data)
			if n := c.Stats().Verified; n != 1 {
				t.Fatalf("verified %d times", n)
			}
		}
		c.reopen()
		c.want(f, data)
		if n := c.Stats().Verified; n != 0 {
			t.Fatalf("verified %d times after a restart", n)
		}
		// Touched: it may have changed.
		c.settled()
		if err := os.Chtimes(c.blob(f), time.Now(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		c.want(f, data)
		if n := c.Stats().Verified; n != 1 {
			t.Fatalf("verified %d times after it was touched", n)
		}
		c.reopen()
	}
	if n := h.requests.Load() + h.resolves.Load(); n != 0 {
		t.Errorf("%d requests for what is here", n)
	}
}

func TestReaderLeavesVerification(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(48<<20, 29)
	f := h.lfs("f", data)
	c.plant(f, data)
	b := c.open(f)
	defer b.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.ReadAt(ctx, make([]byte, 10), 0); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, ok := b.LocalPath(); ok && c.Stats().Verified == 0 {
		t.Fatal("used before it was verified")
	}
	if err := b.Locate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, ok := b.LocalPath(); !ok || p != c.blob(f) {
		t.Fatal(p, ok)
	}
	wantAt(t, b, data, 40<<20, 100)
	if s := c.Stats(); s.Verified != 1 || s.VerifiedBytes != f.Size || s.Verifying != 0 {
		t.Errorf("%+v", s)
	}
}

func TestBadBlobOfOthersIsReplaced(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	for i, n := range []int{1000, 5 << 20} {
		data := random(n, uint64(30+i))
		f := h.lfs(fmt.Sprint("f", i), data)
		bad := append([]byte(nil), data...)
		bad[n/2] ^= 0x10
		c.plant(f, bad)
		old, err := os.Open(c.blob(f)) // somebody has it open, or mapped
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		c.fetch(f)
		c.want(f, data)
		if string(mustRead(t, c.snapshot(f))) != string(data) {
			t.Fatal("the snapshot still has the bad bytes")
		}
		if fi, err := old.Stat(); err != nil || fi.Size() != int64(n) {
			t.Fatal("the bad blob was changed in place")
		}
		cut := h.lfs(fmt.Sprint("cut", i), random(n, uint64(40+i)))
		c.plant(cut, random(n, uint64(40+i))[:n/2])
		c.want(cut, random(n, uint64(40+i)))
	}
	if n := c.Stats().Corrupt; n != 4 {
		t.Errorf("%d corrupt", n)
	}
}

func TestSharedStoreIsFollowedAndLeftAlone(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(2<<20, 50)
	f := h.lfs("w.safetensors", data)
	xet := strings.Repeat("9f", 32)
	store := filepath.Join(c.opts.CacheDir, "blobs", "9f", xet)
	if err := os.MkdirAll(filepath.Dir(store), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		store: data, store + ".refs": []byte("models--ns--repo/blobs/" + f.Hash + "\n"),
		filepath.Join(c.opts.CacheDir, "blobs", ".huggingface-shared-blobs"): []byte("1\n"),
	} {
		if err := os.WriteFile(name, content, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(c.blob(f)), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../blobs/9f/"+xet, c.blob(f)); err != nil {
		t.Fatal(err)
	}
	c.want(f, data)
	if repos, err := c.shared.Repos(); err != nil || len(repos) != 1 {
		t.Fatalf("repos %v, %v", repos, err)
	}
	// Another repository gets the same bytes without a request.
	other := f
	other.Repo, other.Path = otherRepo, "x/y"
	c.want(other, data)
	if n := h.requests.Load() + h.resolves.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
	c.settled()
	if _, err := c.Prune(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if string(mustRead(t, store)) != string(data) {
		t.Fatal("the shared store was touched")
	}
	if fi, err := os.Lstat(c.blob(f)); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Fatal("a blob of others was evicted", err)
	}
	if _, ok := regular(c.blob(other)); ok {
		t.Fatal("our blob was not evicted")
	}
	// Damaged: fetched again, and only the repository's link replaced.
	if err := os.Chmod(store, 0o644); err != nil {
		t.Fatal(err)
	}
	bad := append([]byte(nil), data...)
	bad[0] ^= 1
	if err := os.WriteFile(store, bad, 0o644); err != nil {
		t.Fatal(err)
	}
	c.reopen()
	c.fetch(f)
	c.want(f, data)
	if string(mustRead(t, store)) != string(bad) {
		t.Fatal("the shared store was written to")
	}
}

func TestSameBytesAreNotFetchedTwice(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(3<<20, 51)
	f := h.lfs("f", data)
	c.fetch(f)
	n := h.requests.Load()
	for _, other := range []File{
		{Repo: testRepo, Revision: "v2", Commit: commitB, Path: "renamed/f"},
		{Repo: otherRepo, Commit: commitA, Path: "f"},
	} {
		other.Hash, other.Size = f.Hash, f.Size
		c.want(other, data)
		if string(mustRead(t, c.snapshot(other))) != string(data) {
			t.Fatal("wrong bytes in the snapshot of", other.Repo)
		}
	}
	if h.requests.Load() != n {
		t.Error("bytes that are here were fetched")
	}
	// Both open at once, before anything is here.
	data = random(3<<20, 52)
	f = h.lfs("g", data)
	other := f
	other.Repo, other.Revision = otherRepo, ""
	a, b := c.open(f), c.open(other)
	defer a.Close()
	defer b.Close()
	if err := a.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantAt(t, b, data, 0, len(data))
	for _, f := range []File{f, other} {
		if string(mustRead(t, c.snapshot(f))) != string(data) {
			t.Fatal("not in the snapshot of", f.Repo)
		}
	}
}

// twoCommits plants a snapshot of commitA with a ref, and makes known what
// commitB has: "same" unchanged, "changed" not.
func twoCommits(t *testing.T, h *fakeHub, c *testCache) (same, changed File, newData []byte) {
	data := random(5000, 60)
	same = h.lfs("dir/same", data)
	c.plant(same, data)
	changed = h.lfs("changed", random(4000, 61))
	c.plant(changed, random(4000, 61))
	c.plantRef(testRepo, "main", commitA)

	newData = random(4000, 62)
	changed = h.lfs("changed", newData)
	same.Commit, changed.Commit = commitB, commitB
	entry := func(name string, f File) Entry {
		e := Entry{Name: name, Size: f.Size}
		if _, err := hex.Decode(e.SHA256[:], []byte(f.Hash)); err != nil {
			t.Fatal(err)
		}
		return e
	}
	dir := OID{5}
	for key, l := range map[string]*Listing{
		RootKey(testRepo, commitB): {Entries: []Entry{entry("changed", changed), {Name: "dir", Dir: true, OID: dir}}},
		TreeKey(testRepo, dir):     {Entries: []Entry{entry("same", same)}},
	} {
		if err := c.PutListing(key, l); err != nil {
			t.Fatal(err)
		}
	}
	return same, changed, newData
}

func TestRefMovesWhenNothingIsMissing(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	_, changed, newData := twoCommits(t, h, c)
	third := h.lfs("third", random(100, 63))
	third.Commit = commitB
	c.want(third, random(100, 63))
	if got := c.ref(testRepo, "main"); got != commitA {
		t.Fatalf("ref moved to %s though a file is missing", got)
	}
	same := File{Repo: testRepo, Commit: commitB, Path: "dir/same"}
	if _, ok := regular(c.snapshot(same)); !ok {
		t.Error("an unchanged file isn't linked")
	}
	c.want(changed, newData)
	if got := c.ref(testRepo, "main"); got != commitB {
		t.Fatalf("ref is %s though nothing is missing", got)
	}
	c.settled()
	// The ref was somebody else's: what it names is no longer hubfs's to evict.
	if _, err := c.Prune(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for _, f := range []File{same, changed} {
		if _, ok := regular(c.snapshot(f)); !ok {
			t.Errorf("%s was evicted from a commit that others use", f.Path)
		}
	}
}

func TestRefStaysWithoutListing(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(5000, 64)
	old := h.lfs("same", data)
	c.plant(old, data)
	c.plantRef(testRepo, "main", commitA)
	f := h.lfs("new", random(100, 65))
	f.Commit = commitB
	c.want(f, random(100, 65))
	if got := c.ref(testRepo, "main"); got != commitA {
		t.Fatalf("ref moved to %s, of which nothing is known", got)
	}
	// Reading the last missing file moves it, whatever is known.
	same := old
	same.Commit = commitB
	c.want(same, data)
	if got := c.ref(testRepo, "main"); got != commitB {
		t.Fatalf("ref is %s", got)
	}
}

func TestEviction(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	big := func(i int) (File, []byte) {
		d := random(2<<20, uint64(70+i))
		return h.lfs(fmt.Sprint("dir/f", i), d), d
	}
	for i := range 4 {
		f, _ := big(i)
		f.Revision = "main"
		c.fetch(f)
		_ = c.ledger.add(ledgerLine{Op: opUse, Repo: "ns/repo", Hash: f.Hash, Time: time.Now().Add(time.Duration(i) * time.Hour).UnixNano()})
	}
	partial := h.lfs("partial", random(4<<20, 80))
	b := c.open(partial)
	wantAt(t, b, random(4<<20, 80), 1<<20, 100)

	// One is open, one has a link of somebody else.
	f0, d0 := big(0)
	open := c.open(f0)
	wantAt(t, open, d0, 0, 10)
	f1, d1 := big(1)
	theirs := f1
	theirs.Commit = commitB
	c.plantLink(theirs)

	c.settledBut(2)
	r, err := c.Prune(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if r.Blobs != 2 {
		t.Errorf("%+v", r)
	}
	for i, want := range []bool{true, true, false, false} {
		f, _ := big(i)
		if _, ok := regular(c.blob(f)); ok != want {
			t.Errorf("blob %d is there: %v", i, ok)
		}
		if _, err := os.Lstat(c.snapshot(f)); (err == nil) != want {
			t.Errorf("link %d: %v", i, err)
		}
	}
	if string(mustRead(t, c.snapshot(theirs))) != string(d1) {
		t.Error("a link of others dangles")
	}
	if c.Cached(partial) == 0 {
		t.Error("an open partial blob was evicted")
	}
	wantAt(t, open, d0, 100, 10)
	open.Close()
	b.Close()
	c.settled()
	if _, err := c.Prune(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if c.Cached(partial) != 0 {
		t.Error("a partial blob stays")
	}
	if _, ok := regular(c.blob(f0)); ok {
		t.Error("a closed blob stays")
	}
	// And everything can be had again.
	c.want(f0, d0)
}

func TestEvictionRemovesItsOwnRef(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	f := h.lfs("dir/f", random(1000, 90))
	c.want(f, random(1000, 90))
	if c.ref(testRepo, "main") != commitA {
		t.Fatal("no ref")
	}
	c.settled()
	if _, err := c.Prune(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if got := c.ref(testRepo, "main"); got != "" {
		t.Errorf("ref to nothing: %s", got)
	}
	if _, err := os.Stat(filepath.Join(c.opts.CacheDir, "models--ns--repo/snapshots", commitA)); err == nil {
		t.Error("an empty snapshot stays")
	}
}

func TestSizeLimit(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h, func(o *Options) { o.MaxSize = 10 << 20 })
	for i := range 12 {
		c.fetch(h.lfs(fmt.Sprint("f", i), random(2<<20, uint64(100+i))))
	}
	eventually(t, "the cache is below its limit", func() bool { s := c.Stats(); return s.WholeBytes+s.PartialBytes <= 10<<20 })
	if c.Stats().Evicted == 0 {
		t.Error("nothing was evicted")
	}
	dangling := 0
	_ = filepath.WalkDir(filepath.Join(c.opts.CacheDir), func(p string, _ os.DirEntry, _ error) error {
		if _, err := os.Stat(p); err != nil {
			dangling++
		}
		return nil
	})
	if dangling != 0 {
		t.Errorf("%d dangling links", dangling)
	}
	c.want(h.lfs("f11", random(2<<20, 111)), random(2<<20, 111))
}

// What is pinned stays, though it was used longest ago.
func TestPin(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	var files []File
	for i := range 4 {
		f := h.lfs(fmt.Sprint("f", i), random(2<<20, uint64(100+i)))
		if i < 2 {
			c.fetch(f)
		} else {
			wantAt(t, c.open(f), random(2<<20, uint64(100+i)), 0, 100) // a part of it
		}
		files = append(files, f)
	}
	c.reopen()
	here := func(f File) bool {
		b := c.open(f)
		defer b.Close()
		return b.Cached() > 0
	}
	c.Pin(func() []string { return []string{files[0].Hash, files[2].Hash} })
	if _, err := c.Prune(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		if got := here(f); got != (i%2 == 0) {
			t.Errorf("file %d is here: %v", i, got)
		}
	}
}

func TestTwoProcessesShareFolders(t *testing.T) {
	h := newFakeHub(t)
	a := newTestCache(t, h)
	b := newTestCache(t, h, func(o *Options) { o.CacheDir, o.Dir = a.opts.CacheDir, a.opts.Dir })
	data := random(6<<20, 120)
	f := h.lfs("f", data)
	x, y := a.open(f), b.open(f)
	wantAt(t, x, data, 1<<20, 100)
	wantAt(t, y, data, 3<<20, 100) // in a private file
	if err := x.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := h.requests.Load()
	wantAt(t, y, data, 0, len(data)) // finds what the other one has made whole
	if h.requests.Load() != n {
		t.Error("fetched what another process has made whole")
	}
	y.Close()
	b.settled()
	// Whole and open there: not evicted here.
	if r, err := b.Prune(t.Context(), 0); err != nil || r.Blobs != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	x.Close()
	a.settled()
	b.settled()
	if r, err := b.Prune(t.Context(), 0); err != nil || r.Blobs != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if s := a.Stats(); s.WholeBlobs != 0 {
		t.Errorf("the other process doesn't know: %+v", s)
	}
}

func TestVerifyAndList(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	good, bad := h.lfs("good", random(1000, 130)), h.lfs("dir/bad", random(1000, 131))
	c.want(good, random(1000, 130))
	c.plant(bad, random(1000, 132))
	items, err := c.List(t.Context())
	if err != nil || len(items) != 2 {
		t.Fatal(items, err)
	}
	for _, it := range items {
		if it.Ours != (it.Hash == good.Hash) || len(it.Paths) != 1 || it.Repo != "ns/repo" {
			t.Errorf("%+v", it)
		}
	}
	for _, remove := range []bool{false, true} {
		var results []VerifyResult
		err := c.Verify(t.Context(), VerifyOptions{Remove: remove}, func(r VerifyResult) error {
			results = append(results, r)
			return nil
		})
		if err != nil || len(results) != 2 {
			t.Fatal(results, err)
		}
		for _, r := range results {
			if r.OK != (r.Hash == good.Hash) || r.Removed != (remove && !r.OK) || r.Err != "" {
				t.Errorf("%+v", r)
			}
		}
	}
	if _, err := os.Lstat(c.snapshot(bad)); err == nil {
		t.Error("the link to a bad blob stays")
	}
	stop := errors.New("stop")
	if err := c.Verify(t.Context(), VerifyOptions{Repo: &testRepo}, func(VerifyResult) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// What hubfs notes of one cache folder must not cost another one beside it a blob
// that somebody else put there.
func TestCacheFoldersBesideEachOther(t *testing.T) {
	h := newFakeHub(t)
	top := t.TempDir()
	data := random(2<<20, 95)
	f := h.lfs("dir/f", data)
	open := func(name string) *testCache {
		return newTestCache(t, h, func(o *Options) { o.CacheDir, o.Dir = filepath.Join(top, name), "" })
	}
	ours := open("ours")
	ours.fetch(f)
	theirs := filepath.Join(top, "theirs", "models--ns--repo")
	blob, link := filepath.Join(theirs, "blobs", f.Hash), filepath.Join(theirs, "snapshots", f.Commit, f.Path)
	for _, path := range []string{blob, link} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(blob, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../../blobs/"+f.Hash, link); err != nil {
		t.Fatal(err)
	}
	second := open("theirs")
	second.fetch(f)
	second.settled()
	if _, err := second.Prune(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(mustRead(t, link), data) {
		t.Error("a blob of others was evicted")
	}
}
