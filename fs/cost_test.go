package fs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// manyFiles makes a repository of folders with files each.
func manyFiles(t testing.TB, s *hubtest.Server, folders, files int) {
	t.Helper()
	if err := s.Hub.CreateRepo("dataset", "alice/many", localhub.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	content := []byte("x")
	var ops []localhub.Operation
	for i := range folders {
		for j := range files {
			ops = append(ops, localhub.Operation{Kind: localhub.OpAdd, Path: fmt.Sprintf("%04d/%05d.txt", i, j), Content: content})
		}
	}
	if _, err := s.Hub.Commit("dataset", "alice/many", "main", localhub.CommitInput{Title: "many", Operations: ops}); err != nil {
		t.Fatal(err)
	}
}

func countFiles(t testing.TB, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

// Mounting and listing 100,000 files in 100 folders costs one request for each
// thousand entries, and five; to notice a change of one file, five at most.
func TestCostOfManyFiles(t *testing.T) {
	const folders, files = 100, 1000
	s := hubtest.New(t)
	manyFiles(t, s, folders, files)
	s.Hub.ResetCounts()
	m := mount(t, s, "datasets/alice/many")
	if n := s.Hub.Counts().API; n > 2 {
		t.Errorf("mounting took %d requests: %v", n, s.Hub.Requests())
	}
	began := time.Now()
	if n := countFiles(t, m.path()); n != folders*files+1 {
		t.Errorf("the mount has %d files", n)
	}
	t.Logf("listed in %v", time.Since(began))
	if n, most := s.Hub.Counts().API, (folders*files+folders+1+999)/1000+5; n > most {
		t.Errorf("mounting and listing took %d requests, want at most %d", n, most)
	}
	s.Hub.ResetCounts()
	if n := countFiles(t, m.path()); n != folders*files+1 {
		t.Errorf("the mount has %d files", n)
	}
	if n := s.Hub.Counts().API; n > 0 {
		t.Errorf("listing again took %d requests", n)
	}
	oid, err := s.Hub.Commit("dataset", "alice/many", "main", localhub.CommitInput{
		Title: "one", Operations: []localhub.Operation{add("0050/00500.txt", "changed")},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Hub.ResetCounts()
	m.refresh()
	wantContent(t, m.path("0050/00500.txt"), "changed")
	wantXattr(t, m.path(), "user.hub.commit", oid)
	if n := s.Hub.Counts().API; n > 5 {
		t.Errorf("noticing a change of one file took %d requests: %v", n, s.Hub.Requests())
	}
	m.unmount()
	s.Hub.ResetCounts()
	m = mount(t, s, "datasets/alice/many", func(c *daemonConfig) { c.CacheDir = m.cfg.CacheDir })
	if n := countFiles(t, m.path()); n != folders*files+1 {
		t.Errorf("the mount has %d files", n)
	}
	if n := s.Hub.Counts().API; n > 2 {
		t.Errorf("mounting and listing again took %d requests: %v", n, s.Hub.Requests())
	}
}

// Whoever walks through many small folders doesn't pay a request for each, and
// whoever opens one file pays for no more than the folders on its way.
func TestCostOfManyFolders(t *testing.T) {
	s := hubtest.New(t)
	manyFiles(t, s, 600, 3)
	m := mount(t, s, "datasets/alice/many")
	s.Hub.ResetCounts()
	wantContent(t, m.path("0300/00001.txt"), "x")
	if n := s.Hub.Counts().API; n > 3 {
		t.Errorf("opening one file took %d requests: %v", n, s.Hub.Requests())
	}
	s.Hub.ResetCounts()
	if n := countFiles(t, m.path()); n != 600*3+1 {
		t.Errorf("the mount has %d files", n)
	}
	if n := s.Hub.Counts().API; n > 20 {
		t.Errorf("walking through 600 folders took %d requests", n)
	}
	// What was listed at once is what is listed one by one.
	other := mount(t, s, "datasets/alice/many")
	for _, name := range []string{"0000", "0299", "0599"} {
		wantNames(t, m.path(name), names(t, other.path(name))...)
		for _, attr := range []string{"user.hub.oid", "user.hub.commit"} {
			want, err := xattr(other.path(name, "00001.txt"), attr)
			if err != nil {
				t.Fatal(err)
			}
			wantXattr(t, m.path(name, "00001.txt"), attr, want)
		}
		if a, b := stat(t, m.path(name, "00001.txt")), stat(t, other.path(name, "00001.txt")); a.Mtim != b.Mtim || a.Ino != b.Ino || a.Size != b.Size {
			t.Errorf("%+v isn't %+v", a, b)
		}
	}
	m.wait("", commit(t, s, "dataset", "alice/many", "main", map[string]string{"0123/00001.txt": "changed"}))
	wantContent(t, m.path("0123/00001.txt"), "changed")
}

// A commit that changes every folder doesn't cost a request for each.
func TestCostOfChangeEverywhere(t *testing.T) {
	const folders = 200
	s := hubtest.New(t)
	manyFiles(t, s, folders, 2)
	m := mount(t, s, "datasets/alice/many")
	if n := countFiles(t, m.path()); n != folders*2+1 {
		t.Errorf("the mount has %d files", n)
	}
	change := make(map[string]string)
	for i := range folders {
		change[fmt.Sprintf("%04d/00001.txt", i)] = "changed"
		change[fmt.Sprintf("%04d/00000.txt", i)] = deleted
	}
	oid := commit(t, s, "dataset", "alice/many", "main", change)
	s.Hub.ResetCounts()
	m.refresh()
	if n := s.Hub.Counts().API; n > 6 {
		t.Errorf("noticing it took %d requests: %v", n, s.Hub.Requests())
	}
	m.wait("", oid)
	for i := range folders {
		wantNames(t, m.path(fmt.Sprintf("%04d", i)), "00001.txt")
	}
	wantContent(t, m.path("0199/00001.txt"), "changed")
}

func TestWalks(t *testing.T) {
	for _, test := range []struct {
		name           string
		folders, files int // of the folder that is walked through
		seen           int // folders so far
		promising      bool
	}{
		{"too early to tell", 10_000, 10, 7, false},
		{"a guess that is too dear yet", 10_000, 10, 20, false},
		{"spent as much already", 10_000, 10, 28, true},
		{"large folders", 100, 1000, 50, false},
		{"few folders", 20, 3, 10, true},
		{"nearly through", 20, 3, 18, false},
	} {
		var w walks
		for i := range test.seen {
			w.note(fmt.Sprintf("top/%d", i), test.files)
		}
		top, _, ok := w.promising("top/next", func(p string) int {
			if p != "top" {
				return 1
			}
			return test.folders
		})
		if ok != test.promising || ok && top != "top" {
			t.Errorf("%s: %q, %v", test.name, top, ok)
		}
		if ok && (!w.try(top) || w.try(top)) {
			t.Errorf("%s: not tried once", test.name)
		}
		if _, _, again := w.promising("top/next", func(string) int { return test.folders }); ok && again {
			t.Errorf("%s: promising after it was tried", test.name)
		}
	}
}

// A walk that turns out to be larger than it looked goes on folder by folder.
func TestWalkGivenUp(t *testing.T) {
	s := hubtest.New(t)
	if err := s.Hub.CreateRepo("dataset", "alice/many", localhub.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	var ops []localhub.Operation
	const folders = 60
	for i := range folders {
		files := 1
		if i >= folders/2 {
			files = 800
		}
		for j := range files {
			ops = append(ops, add(fmt.Sprintf("%04d/%05d", i, j), "x"))
		}
	}
	if _, err := s.Hub.Commit("dataset", "alice/many", "main", localhub.CommitInput{Title: "many", Operations: ops}); err != nil {
		t.Fatal(err)
	}
	m := mount(t, s, "datasets/alice/many")
	s.Hub.ResetCounts()
	if n := countFiles(t, m.path()); n != folders/2*801+1 {
		t.Errorf("the mount has %d files", n)
	}
	if n := s.Hub.Counts().API; n > folders+20 {
		t.Errorf("it took %d requests", n)
	}
}

// One folder may have 100,000 entries.
func TestLargeFolder(t *testing.T) {
	const files = 100_000
	s := hubtest.New(t)
	manyFiles(t, s, 1, files)
	s.Hub.ResetCounts()
	m := mount(t, s, "datasets/alice/many")
	began := time.Now()
	entries, err := os.ReadDir(m.path("0000"))
	if err != nil || len(entries) != files || !slices.IsSortedFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) }) {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	t.Logf("listed in %v", time.Since(began))
	for _, i := range []int{0, 1, files / 2, files - 1} {
		wantContent(t, m.path("0000", entries[i].Name()), "x")
	}
	if n, most := s.Hub.Counts().API, files/1000+6; n > most {
		t.Errorf("it took %d requests, want at most %d", n, most)
	}
	began = time.Now()
	m.wait("", commit(t, s, "dataset", "alice/many", "main", map[string]string{"0000/new": "new", "0000/00000.txt": deleted}))
	t.Logf("moved in %v", time.Since(began))
	wantContent(t, m.path("0000/new"), "new")
	if n := len(names(t, m.path("0000"))); n != files {
		t.Errorf("%d entries after a move", n)
	}
}

// Who walks through large folders in order finds the next two listed already, and whoever
// picks some pays for these.
func TestListingAheadOfWalk(t *testing.T) {
	const files = pageEntries // a request for each folder
	s := hubtest.New(t)
	if err := s.Hub.CreateRepo("dataset", "alice/many", localhub.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	var ops []localhub.Operation
	for i := range 12 {
		for j := range files {
			ops = append(ops, add(fmt.Sprintf("%04d/%05d", i, j), fmt.Sprint(i)))
		}
	}
	if _, err := s.Hub.Commit("dataset", "alice/many", "main", localhub.CommitInput{Title: "many", Operations: ops}); err != nil {
		t.Fatal(err)
	}
	listed := func() (all []string) {
		for _, r := range s.Hub.Requests() {
			if _, folder, ok := strings.Cut(r.Path, "/tree/"); ok {
				if _, folder, ok = strings.Cut(folder, "/"); ok {
					all = append(all, folder)
				}
			}
		}
		slices.Sort(all)
		return all
	}
	until := func(want ...string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if slices.Equal(listed(), want) {
				return
			}
		}
		t.Errorf("listed are %q, want %q", listed(), want)
	}
	picks := mount(t, s, "datasets/alice/many")
	s.Hub.ResetCounts()
	for _, name := range []string{"0001", "0004", "0006", "0009", "0011"} {
		names(t, picks.path(name))
	}
	until("0001", "0004", "0006", "0009", "0011")
	walks := mount(t, s, "datasets/alice/many")
	s.Hub.ResetCounts()
	for i := range 3 {
		names(t, walks.path(fmt.Sprintf("%04d", i)))
	}
	until("0000", "0001", "0002", "0003", "0004")
	names(t, walks.path("0003"))
	until("0000", "0001", "0002", "0003", "0004", "0005")
	for i := range 12 {
		names(t, walks.path(fmt.Sprintf("%04d", i)))
	}
	if n := len(listed()); n != 12 {
		t.Errorf("%d requests for 12 folders: %q", n, listed())
	}
}
