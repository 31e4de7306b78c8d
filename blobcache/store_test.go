package blobcache

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub"
)

func TestListingsSurvive(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	key := TreeKey(testRepo, OID{1, 2})
	if _, ok := c.Listing(key); ok {
		t.Fatal("out of nothing")
	}
	l := &Listing{Entries: []Entry{{Name: "z", Size: 5, OID: OID{9}}, {Name: "a", Dir: true, OID: OID{8}}, {Name: "m", SHA256: [32]byte{7}, MTime: 1700000000}}}
	want := []Entry{l.Entries[1], l.Entries[2], l.Entries[0]}
	if err := c.PutListing(key, l); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, ok := c.Listing(key)
		if !ok || !slices.Equal(got.Entries, want) {
			t.Fatalf("%v %v", got, ok)
		}
		if e, ok := got.Find("m"); !ok || !e.LFS() || e.Hash() != strings.Repeat("00", 32)[:0]+"07"+strings.Repeat("00", 31) {
			t.Fatal("find", e, ok)
		}
		if _, ok := got.Find("n"); ok {
			t.Fatal("found what isn't there")
		}
		c.reopen()
	}
	if err := c.PutListing(key, &Listing{Entries: []Entry{{Name: "a"}, {Name: "a"}}}); err == nil {
		t.Fatal("two entries of one name")
	}
}

func TestDamagedFilesAreAbsent(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	if err := c.PutListing("k", &Listing{Entries: []Entry{{Name: "a"}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.PutRecord("refs", "k", map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	for _, garbage := range [][]byte{nil, []byte("garbage"), bytes.Repeat([]byte{0xff}, 4096)} {
		c.reopen()
		files := 0
		for name := range c.dir.walk(".") {
			path := c.dir.abs(name)
			if strings.Contains(path, "listings/") || strings.Contains(path, "records/") {
				files++
				if err := os.WriteFile(path, garbage, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if files != 2 {
			t.Fatalf("%d files", files)
		}
		var v any
		if _, ok := c.Listing("k"); ok {
			t.Error("a damaged listing")
		}
		if _, ok := c.Record("refs", "k", &v); ok {
			t.Error("a damaged record")
		}
		for name := range c.dir.walk(".") {
			path := c.dir.abs(name)
			if strings.Contains(path, "listings/") || strings.Contains(path, "records/") {
				t.Error("left:", path)
			}
		}
		_ = c.PutListing("k", &Listing{Entries: []Entry{{Name: "a"}}})
		_ = c.PutRecord("refs", "k", map[string]int{"a": 1})
	}
}

func TestRecords(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	type value struct {
		A string
		B []int
	}
	for i := range 3 {
		if err := c.PutRecord("refs", "ns/repo", value{"<x>", []int{i}}); err != nil {
			t.Fatal(err)
		}
	}
	var first string
	for range 2 {
		var v value
		at, ok := c.Record("refs", "ns/repo", &v)
		if !ok || v.A != "<x>" || v.B[0] != 2 || at.IsZero() {
			t.Fatal(v, at, ok)
		}
		if first == "" {
			first = at.String()
		} else if at.String() != first {
			t.Fatalf("written at %s, then at %s", first, at)
		}
		if _, ok := c.Record("refs", "ns/other", &v); ok {
			t.Fatal("of another key")
		}
		if _, ok := c.Record("info", "ns/repo", &v); ok {
			t.Fatal("of another kind")
		}
		c.reopen()
	}
}

func TestManyEntries(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h, func(o *Options) { o.MemoryBudget = 8 << 20 })
	for f := range 10 {
		l := &Listing{}
		for i := range 20_000 {
			l.Entries = append(l.Entries, Entry{Name: fmt.Sprintf("f%07d", i), OID: OID{byte(f)}})
		}
		if err := c.PutListing(fmt.Sprint(f), l); err != nil {
			t.Fatal(err)
		}
	}
	c.memory.Wait()
	if s := c.Stats(); s.MemoryBytes > 8<<20 {
		t.Errorf("%d bytes in memory", s.MemoryBytes)
	}
	for f := range 10 { // what memory has dropped comes from the disk
		if l, ok := c.Listing(fmt.Sprint(f)); !ok || len(l.Entries) != 20_000 || l.Entries[0].OID[0] != byte(f) {
			t.Fatal(f, ok)
		}
	}
}

func TestListingFromTrees(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	sha, size := strings.Repeat("cd", 32), int64(77)
	files := map[string]hub.CachedTreeFile{
		"README.md":     {Size: 5, BlobID: strings.Repeat("1", 40)},
		"a/b/c.bin":     {Size: 77, BlobID: strings.Repeat("2", 40), SHA256: &sha, LFSSize: &size},
		"a/x.txt":       {Size: 6, BlobID: strings.Repeat("3", 40)},
		"same":          {Size: 1, BlobID: strings.Repeat("4", 40)},
		"same/and/file": {Size: 1, BlobID: strings.Repeat("5", 40)},
	}
	delete(files, "same/and/file")
	if err := c.PutTrees(testRepo, commitA, files); err != nil {
		t.Fatal(err)
	}
	names := func(dir string) string {
		l, ok := c.ListingFromTrees(testRepo, commitA, dir)
		if !ok {
			return "none"
		}
		var out []string
		for _, e := range l.Entries {
			n := e.Name
			if e.Dir {
				n += "/"
			}
			out = append(out, n)
		}
		return strings.Join(out, " ")
	}
	for dir, want := range map[string]string{"": "README.md a/ same", "a": "b/ x.txt", "a/b": "c.bin", "q": "none"} {
		if got := names(dir); got != want {
			t.Errorf("%q: %q, want %q", dir, got, want)
		}
	}
	l, _ := c.ListingFromTrees(testRepo, commitA, "a/b")
	if e := l.Entries[0]; e.Hash() != sha || e.Size != 77 {
		t.Errorf("%+v", e)
	}
	if etag, ok := c.etagAt(testRepo, commitA, "a/b/c.bin"); !ok || etag != sha {
		t.Error(etag, ok)
	}
	if etag, ok := c.etagAt(testRepo, commitA, "a/q"); !ok || etag != "" {
		t.Error(etag, ok)
	}
	if _, ok := c.etagAt(testRepo, commitB, "a/q"); ok {
		t.Error("knows a commit that it has never seen")
	}
	if err := os.WriteFile(filepath.Join(c.opts.CacheDir, "models--ns--repo/trees", commitB+".json"), []byte(`{"format_version":2,"files":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.ListingFromTrees(testRepo, commitB, ""); ok {
		t.Error("a format of the future")
	}
}
