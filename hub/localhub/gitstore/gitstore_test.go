package gitstore

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// newStore makes an empty repository.
func newStore(t testing.TB) *Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "r.git")
	if err := Init(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{Cache: NewCache(64 << 20)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// reopen opens a store again with nothing in memory.
func reopen(t testing.TB, s *Store) *Store {
	t.Helper()
	n, err := Open(s.dir, Options{Cache: NewCache(64 << 20), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// git runs the git program on a store.
func git(t testing.TB, s *Store, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"--git-dir", s.dir}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// fsck lets the git program check a store.
func fsck(t testing.TB, s *Store) {
	t.Helper()
	if out := git(t, s, "fsck", "--strict", "--full", "--no-dangling"); strings.Contains(out, "error") || strings.Contains(out, "warning") {
		t.Errorf("git fsck: %s", out)
	}
}

type change struct{ path, content string } // content "-" removes

// commit makes a commit on main.
func commit(t testing.TB, s *Store, title string, at int64, changes ...change) OID {
	t.Helper()
	head, err := s.Ref("refs/heads/main")
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	c := &Commit{Author: "alice", Email: "alice@example.com", Date: time.Unix(at, 0), Message: title}
	var root OID
	if !head.IsZero() {
		p, err := s.Commit(head)
		if err != nil {
			t.Fatal(err)
		}
		root, c.Parents = p.Tree, []OID{head}
	}
	b, ed := s.NewBatch(), s.NewEdit(root)
	for _, ch := range changes {
		if ch.content == "-" {
			err = ed.Remove(ch.path)
		} else {
			var h OID
			if h, err = b.Add(plumbing.BlobObject, []byte(ch.content)); err == nil {
				err = ed.Set(ch.path, Entry{OID: h, Size: int64(len(ch.content)), LFS: ParsePointer([]byte(ch.content))})
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if c.Tree, err = ed.Write(b); err != nil {
		t.Fatal(err)
	}
	h, err := b.AddCommit(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateRef("refs/heads/main", head, h); err != nil {
		t.Fatal(err)
	}
	return h
}

// listing returns the paths of a commit, folders with a slash.
func listing(t testing.TB, s *Store, h OID, recursive bool, after string) []string {
	t.Helper()
	c, err := s.Commit(h)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = s.Walk(c.Tree, recursive, after, func(p string, e *Entry) bool {
		if e.IsDir() {
			p += "/"
		}
		got = append(got, p)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCommitsThatGitReads(t *testing.T) {
	s := newStore(t)
	sha := strings.Repeat("ab", 32)
	commit(t, s, "one", 1000, change{"a.txt", "A"}, change{"a/b/c", "C"}, change{"a.b", "AB"}, change{"ü/ x", ""}, change{"big", string(Pointer(sha, 1<<40))})
	second := commit(t, s, "two\n\nbody\nof it", 2000, change{"a/b/c", "-"}, change{"a/d", "D"})
	third := commit(t, s, "three", 3000, change{"a/d", "-"}, change{"a", "now a file"})
	fsck(t, s)
	if got := git(t, s, "log", "--format=%s|%an|%ae|%ct", "main"); got != "three|alice|alice@example.com|3000\ntwo|alice|alice@example.com|2000\none|alice|alice@example.com|1000" {
		t.Errorf("git log: %s", got)
	}
	for _, st := range []*Store{s, reopen(t, s)} {
		if got := fmt.Sprint(listing(t, st, second, true, "")); got != "[a.b a.txt a/ a/d big ü/ ü/ x]" {
			t.Errorf("tree of two: %s", got)
		}
		if got := fmt.Sprint(listing(t, st, third, true, "")); got != "[a a.b a.txt big ü/ ü/ x]" {
			t.Errorf("tree of three: %s", got)
		}
		c, err := st.Commit(second)
		if err != nil || c.Title() != "two" || c.Body() != "body\nof it" {
			t.Errorf("commit: %+v, %v", c, err)
		}
		e, err := st.Lookup(c.Tree, "big")
		if err != nil || e.LFS == nil || e.LFS.Size != 1<<40 || e.LFS.OID != sha {
			t.Errorf("pointer: %+v, %v", e, err)
		}
		if _, err := st.Lookup(c.Tree, "a.txt/x"); !errors.Is(err, ErrNotFound) {
			t.Errorf("path through a file: %v", err)
		}
	}
	// The same after the git program has packed everything.
	git(t, s, "gc", "--quiet", "--prune=now")
	for _, st := range []*Store{s, reopen(t, s)} {
		st.cache = NewCache(0)
		if got := fmt.Sprint(listing(t, st, second, true, "")); got != "[a.b a.txt a/ a/d big ü/ ü/ x]" {
			t.Errorf("tree of two, packed: %s", got)
		}
		if h, err := st.Ref("refs/heads/main"); err != nil || h != third {
			t.Errorf("packed ref: %s, %v", h, err)
		}
		for _, n := range []int{4, 7, 12, 13} {
			if h, err := st.Abbreviated(second.String()[:n]); err != nil || h != second {
				t.Errorf("%d digits: %s, %v", n, h, err)
			}
		}
	}
}

func TestWalkAfter(t *testing.T) {
	s := newStore(t)
	h := commit(t, s, "c", 1, change{"a-", "1"}, change{"a/x/1", "1"}, change{"a/x/2", "1"}, change{"a/y", "1"}, change{"a0", "1"}, change{"z/z", "1"})
	all := listing(t, s, h, true, "")
	for i, p := range all {
		got := listing(t, s, h, true, strings.TrimSuffix(p, "/"))
		if fmt.Sprint(got) != fmt.Sprint(all[i+1:]) {
			t.Errorf("after %s: %v, want %v", p, got, all[i+1:])
		}
	}
	if got := fmt.Sprint(listing(t, s, h, false, "a")); got != "[a0 z/]" {
		t.Errorf("flat after a: %v", got)
	}
	c, _ := s.Commit(h)
	err := s.Walk(c.Tree, true, "no/such", func(string, *Entry) bool { return true })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("after a missing path: %v", err)
	}
}

func TestLastCommits(t *testing.T) {
	s := newStore(t)
	one := commit(t, s, "one", 1, change{"d/a", "1"}, change{"d/b", "1"}, change{"e", "1"})
	two := commit(t, s, "two", 2, change{"d/b", "2"})
	three := commit(t, s, "three", 3, change{"e", "3"})
	four := commit(t, s, "four", 4, change{"e", "1"})
	check := func(dir string, want map[string]OID) {
		t.Helper()
		got, err := s.LastCommits(four, dir)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%q: %v, %v", dir, got, err)
		}
		for n, h := range want {
			if got[n].OID != h {
				t.Errorf("%s/%s: %s, want %s", dir, n, got[n].OID, h)
			}
		}
	}
	check("", map[string]OID{"d": two, "e": four})
	check("d", map[string]OID{"a": one, "b": two})
	if _, err := s.LastCommits(three, "e"); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a file: %v", err)
	}
}

func TestRefs(t *testing.T) {
	s := newStore(t)
	one, two := commit(t, s, "one", 1, change{"a", "1"}), commit(t, s, "two", 2, change{"a", "2"})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.UpdateRef("refs/heads/feat/x", OID{}, one))
	must(s.UpdateRef("refs/tags/v1", OID{}, one))
	must(s.UpdateRef("refs/pr/1", OID{}, two))
	for _, c := range []struct {
		name     string
		old, new OID
		want     error
	}{
		{"refs/heads/feat/x", OID{}, two, ErrRefChanged},
		{"refs/heads/feat/x", two, one, ErrRefChanged},
		{"refs/heads/nope", one, two, ErrRefChanged},
		{"refs/heads/feat", OID{}, two, ErrRefClash},
		{"refs/heads/feat/x/y", OID{}, two, ErrRefClash},
		{"refs/heads/a..b", OID{}, two, ErrNotFound},
		{"refs/heads/../x", OID{}, two, ErrNotFound},
		{"refs/heads/x.lock", OID{}, two, ErrNotFound},
		{"heads/x", OID{}, two, ErrNotFound},
	} {
		if err := s.UpdateRef(c.name, c.old, c.new); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	git(t, s, "pack-refs", "--all")
	must(s.UpdateRef("refs/tags/v1", one, two))
	must(s.UpdateRef("refs/heads/feat/x", one, OID{}))
	must(s.UpdateRef("refs/heads/feat", OID{}, two))
	refs, err := s.Refs("refs/")
	must(err)
	want := []Ref{{"refs/heads/feat", two}, {"refs/heads/main", two}, {"refs/pr/1", two}, {"refs/tags/v1", two}}
	if fmt.Sprint(refs) != fmt.Sprint(want) {
		t.Errorf("refs: %v, want %v", refs, want)
	}
	fsck(t, s)
}

func TestManyFiles(t *testing.T) {
	s := newStore(t)
	const dirs = 20
	var ch []change
	for d := range dirs {
		for f := range 1000 {
			ch = append(ch, change{fmt.Sprintf("d%02d/f%03d", d, f), fmt.Sprintf("%d-%d", d, f)})
		}
	}
	start := time.Now()
	h := commit(t, s, "many", 1, ch...)
	t.Logf("commit: %v", time.Since(start))
	start = time.Now()
	if n := len(listing(t, s, h, true, "")); n != dirs*1001 {
		t.Errorf("%d entries", n)
	}
	t.Logf("listing: %v", time.Since(start))
	start = time.Now()
	if n := len(listing(t, reopen(t, s), h, true, "")); n != dirs*1001 {
		t.Errorf("%d entries", n)
	}
	t.Logf("listing, cold: %v", time.Since(start))
	start = time.Now()
	commit(t, s, "one", 2, change{"d05/f500", "changed"})
	t.Logf("small commit: %v", time.Since(start))
	fsck(t, s)
}
