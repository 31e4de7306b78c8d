package fs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Errorf("list %s: %v", dir, err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func wantNames(t testing.TB, dir string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", dir, got, want)
	}
}

func wantContent(t testing.TB, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s has %.50q, %v; want %.50q", path, got, err, want)
	}
}

func wantLink(t testing.TB, path, want string) {
	t.Helper()
	if got, err := os.Readlink(path); err != nil || got != want {
		t.Errorf("%s is a link to %q, %v; want %q", path, got, err, want)
	}
}

func wantErrno(t testing.TB, what string, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func wantRealDir(t testing.TB, path string) {
	t.Helper()
	if info, err := os.Lstat(path); err != nil || !info.IsDir() {
		t.Errorf("%s isn't a directory: %v, %v", path, info, err)
	}
}

// fill makes a Hub with one repository of each kind of name.
func fill(t testing.TB, s *hubtest.Server) (head string) {
	t.Helper()
	for _, err := range []error{
		s.Hub.CreateOrg(localhub.Org{Name: "Big-Org"}),
		s.Hub.CreateOrg(localhub.Org{Name: "openai"}),
		s.Hub.CreateOrg(localhub.Org{Name: "empty"}),
		s.Hub.CreateUser(localhub.User{Name: "bob"}),
		s.Hub.AddMember("Big-Org", "alice", localhub.MemberWrite),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	head = create(t, s, "model", "alice/m", map[string]string{"f": "main", "d/g": "deep"})
	create(t, s, "model", "Big-Org/Model-1.5", map[string]string{"f": "org"})
	create(t, s, "model", "bob/b", map[string]string{"f": "bob"})
	create(t, s, "dataset", "alice/d", map[string]string{"f": "data"})
	create(t, s, "dataset", "bob/only-data", map[string]string{"f": "bob's data"})
	if err := s.Hub.CreateRepo("space", "alice/s", localhub.RepoOptions{SDK: "static"}); err != nil {
		t.Fatal(err)
	}
	create(t, s, "model", "gpt2", map[string]string{"f": "gpt2"})
	create(t, s, "model", "bert", map[string]string{"f": "bert"})
	create(t, s, "dataset", "squad", map[string]string{"f": "squad"})
	create(t, s, "model", "alice/old", map[string]string{"f": "renamed"})
	for _, err := range []error{
		s.Hub.CreateBranch("model", "alice/m", "dev", ""),
		s.Hub.CreateBranch("model", "alice/m", "feature/x", ""),
		s.Hub.CreateTag("model", "alice/m", "v1", "main", ""),
		s.Hub.CreateTag("model", "alice/m", "annotated", "main", "a message"),
		s.Hub.CreateTag("model", "alice/m", "dev", "main", ""), // called like the branch
		s.Hub.CreateConvert("dataset", "alice/d", "parquet", "main"),
		s.Hub.MoveRepo("model", "gpt2", "openai/gpt2"),
		s.Hub.MoveRepo("model", "alice/old", "bob/new"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	commit(t, s, "model", "alice/m", "dev", map[string]string{"f": "dev"})
	commit(t, s, "model", "alice/m", "feature/x", map[string]string{"f": "feature"})
	if _, _, err := s.Hub.CreatePR("model", "alice/m", "", localhub.CommitInput{
		Title: "pr", Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: "f", Content: []byte("pr")}},
	}); err != nil {
		t.Fatal(err)
	}
	return head
}

func TestWholeHubNames(t *testing.T) {
	s := hubtest.New(t)
	head := fill(t, s)
	m := mount(t, s, "")

	// The root lists types, the user's own namespaces, and those that were visited.
	wantNames(t, m.path(), "models", "datasets", "spaces", "alice", "Big-Org")
	wantNames(t, m.path("bob"), "b", "new")
	wantNames(t, m.path(), "models", "datasets", "spaces", "alice", "Big-Org", "bob")
	wantNames(t, m.path("datasets"), "alice", "Big-Org")
	wantNames(t, m.path("datasets/alice"), "d")
	wantNames(t, m.path("datasets/bob"), "only-data")
	wantNames(t, m.path("spaces/alice"), "s")
	wantNames(t, m.path("alice"), "m")
	wantNames(t, m.path("models"), "alice", "Big-Org", "bob")
	wantNames(t, m.path("empty"))

	// Trees.
	for path, want := range map[string]string{
		"alice/m/f": "main", "alice/m/d/g": "deep", "alice/m@dev/f": "dev", "alice/m@v1/f": "main", "alice/m@annotated/f": "main",
		"alice/m@feature%2Fx/f": "feature", "alice/m@refs%2Fpr%2F1/f": "pr", "alice/m@refs%2Ftags%2Fdev/f": "main",
		"alice/m@" + head + "/f": "main", "Big-Org/Model-1.5/f": "org",
		"datasets/alice/d/f": "data", "datasets/alice/d@refs%2Fconvert%2Fparquet/f": "data",
		"bert/f": "bert", "datasets/squad/f": "squad",
	} {
		wantContent(t, m.path(path), want)
		wantRealDir(t, m.path(filepath.Dir(path)))
	}

	// Other spellings are links, and each leads to where it says.
	for path, want := range map[string]string{
		"alice/m@main":                     "m",
		"alice/m@refs%2Fheads%2Fmain":      "m",
		"alice/M":                          "m",
		"alice/M@dev":                      "m@dev",
		"alice/m@feature%2fx":              "m@feature%2Fx",
		"alice/m@refs%2Ftags%2Fv1":         "m@v1",
		"alice/m@refs%2Fheads%2Fdev":       "m@dev",
		"alice/m@" + head[:8]:              "m@" + head,
		"alice/m@" + strings.ToUpper(head): "m@" + head,
		"Alice":                            "alice",
		"big-org":                          "Big-Org",
		"alice/old":                        "../bob/new",
		"alice/old@main":                   "../bob/new",
		"gpt2":                             "openai/gpt2",
		"gpt2@main":                        "openai/gpt2",
		"models/alice":                     "../alice",
		"models/gpt2":                      "../gpt2",
		"models/bert":                      "../bert",
		"models/ALICE":                     "../ALICE",
		"datasets/Alice":                   "alice",
		"datasets/squad@main":              "squad",
	} {
		wantLink(t, m.path(path), want)
		wantRealDir(t, m.path(filepath.Dir(path), want)+"/.")
	}
	wantContent(t, m.path("models/gpt2/f"), "gpt2")
	wantContent(t, m.path("models/ALICE/M@DEV/../m/f"), "main")

	// What isn't there.
	for _, path := range []string{
		"nobody", "alice/nothing", "alice/m@nothing", "alice/m@", "alice/@v1", "@main", "datasets/nobody", "datasets/alice/m",
		"alice/m@refs%2Fpr%2F9", "alice/m@" + strings.Repeat("0", 40), "alice/m@0000000", "alice/m@refs%2Fheads%2Fv1",
		"models/nobody", "empty/x", "alice/m/nothing", "alice/m/d/nothing", "nolegacy@main", "alice/m@..", "alice/m@DEV",
	} {
		_, err := os.Lstat(m.path(path))
		if path == "alice/m@.." { // not a way up
			_, err = os.Lstat(m.cfg.Dir + "/alice/m@..")
		}
		wantErrno(t, path, err, syscall.ENOENT)
	}
	_, err := os.Lstat(m.path("alice/m/f/x"))
	wantErrno(t, "below a file", err, syscall.ENOTDIR)
}

// A namespace wins over a legacy repository of its name.
func TestNamespaceBeforeLegacy(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "carol", map[string]string{"f": "legacy"})
	m := mount(t, s, "")
	wantContent(t, m.path("carol/f"), "legacy")
	if err := s.Hub.CreateUser(localhub.User{Name: "carol"}); err != nil {
		t.Fatal(err)
	}
	create(t, s, "model", "carol/x", map[string]string{"f": "in the namespace"})
	m = mount(t, s, "")
	wantContent(t, m.path("carol/x/f"), "in the namespace")
	wantNames(t, m.path("carol"), "x")
}

func TestSingleTreeSources(t *testing.T) {
	s := hubtest.New(t)
	head := fill(t, s)
	for source, want := range map[string]string{
		"alice/m": "main", "hf://models/alice/m": "main", "alice/m@main": "main", "alice/m@dev": "dev", "alice/m@feature%2Fx": "feature",
		"alice/m@" + head: "main", "alice/m@" + head[:10]: "main", "alice/m@refs/pr/1": "pr", "alice/m@v1": "main",
		"datasets/alice/d@refs/convert/parquet": "data", "ALICE/M": "main", "alice/old": "renamed", "gpt2": "gpt2", "datasets/squad": "squad",
	} {
		m := mount(t, s, source)
		wantContent(t, m.path("f"), want)
		m.unmount()
	}
	m := mount(t, s, "alice/m/d")
	wantNames(t, m.path(), "g")
	wantContent(t, m.path("g"), "deep")
	m.unmount()
	m = mount(t, s, "spaces/alice/s")
	if got := names(t, m.path()); !slices.Contains(got, ".gitattributes") {
		t.Errorf("the Space has %q", got)
	}
	m.unmount()
}

func TestSourceThatIsNotThere(t *testing.T) {
	s := hubtest.New(t, hubtest.WithUsers(localhub.User{Name: "eve", Token: "hf_eve"}))
	head := fill(t, s)
	if err := s.Hub.CreateRepo("model", "alice/secret", localhub.RepoOptions{Private: true}); err != nil {
		t.Fatal(err)
	}
	token := func(token string) func(*daemonConfig) { return func(c *daemonConfig) { c.Token = token } }
	for _, test := range []struct {
		source string
		token  string
		want   syscall.Errno
		text   string
	}{
		{"alice/nothing", s.Token, syscall.ENOENT, "alice/nothing"},
		{"nobody/nothing", s.Token, syscall.ENOENT, "nobody/nothing"},
		{"alice/m@nothing", s.Token, syscall.ENOENT, `"nothing"`},
		{"alice/m@" + strings.Repeat("1", 40), s.Token, syscall.ENOENT, ""},
		{"alice/m/nothing", s.Token, syscall.ENOENT, "nothing"},
		{"alice/m/f", s.Token, syscall.ENOENT, "no folder f"},
		{"alice/m@" + head + "/d/g", s.Token, syscall.ENOENT, "no folder d/g"},
		{"alice/secret", "hf_eve", syscall.ENOENT, ""},
		{"alice/secret", "", syscall.EACCES, ""},
		{"alice/m", "hf_wrong", syscall.EACCES, ""},
	} {
		_, err := tryMount(t, s, test.source, token(test.token))
		var failed mountError
		if !errors.As(err, &failed) || syscall.Errno(failed.Errno) != test.want || !strings.Contains(failed.Err, test.text) {
			t.Errorf("mount %s with token %q: %v; want %v, and to read %q", test.source, test.token, err, test.want, test.text)
		}
	}
}

// Tools that look everywhere for their own files must not cost requests, and
// neither must asking twice.
func TestNamesThatCostNothing(t *testing.T) {
	s := hubtest.New(t)
	fill(t, s)
	m := mount(t, s, "")
	wantContent(t, m.path("alice/m/f"), "main")
	s.Hub.ResetCounts()
	for _, name := range []string{".git", ".Trash", ".Trash-0", ".xdg-volume-info", ".hidden", "autorun.inf", "desktop.ini", ".DS_Store", "._alice", "HEAD", "node_modules"} {
		for _, dir := range []string{"", "alice", "datasets", "datasets/alice", "models", "alice/m", "alice/m/d"} {
			_, err := os.Lstat(m.path(dir, name))
			wantErrno(t, dir+"/"+name, err, syscall.ENOENT)
		}
	}
	if n := s.Hub.Counts().API; n > 1 { // the listing of alice/m/d
		t.Errorf("%d requests for names that no repository has: %v", n, s.Hub.Requests())
	}
	for _, name := range []string{"alice/nothing", "alice/m@nothing", "nobody", "alice/m@" + strings.Repeat("a", 40)} {
		_, err := os.Lstat(m.path(name))
		wantErrno(t, name, err, syscall.ENOENT)
		s.Hub.ResetCounts()
		for range 5 {
			_, err := os.Lstat(m.path(name))
			wantErrno(t, name, err, syscall.ENOENT)
		}
		if n := s.Hub.Counts().API; n != 0 {
			t.Errorf("%s was asked for again, with %d requests", name, n)
		}
	}
}

// Listing a namespace in full costs no request for each repository.
func TestNamespaceCost(t *testing.T) {
	s := hubtest.New(t)
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		create(t, s, "model", "alice/"+name, map[string]string{"f": name})
	}
	m := mount(t, s, "")
	s.Hub.ResetCounts()
	entries, err := os.ReadDir(m.path("alice"))
	if err != nil || len(entries) != 7 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := os.Lstat(m.path("alice", e.Name())); err != nil || !info.IsDir() {
			t.Errorf("%s: %v, %v", e.Name(), info, err)
		}
	}
	if n := s.Hub.Counts().API; n > 2 { // does the namespace exist, and what is in it
		t.Errorf("ls -l of a namespace cost %d requests: %v", n, s.Hub.Requests())
	}
}
