package fs

import (
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub"
)

func TestParseSource(t *testing.T) {
	model := func(id string) hub.Repo { return hub.Repo{Type: hub.Model, ID: id} }
	tests := []struct {
		in   string
		want Source
		out  string // "" is in
	}{
		{"alice/m", Source{Repo: model("alice/m")}, ""},
		{"hf://alice/m", Source{Repo: model("alice/m")}, "alice/m"},
		{"models/alice/m", Source{Repo: model("alice/m")}, "alice/m"},
		{"alice/m/", Source{Repo: model("alice/m")}, "alice/m"},
		{"alice/m@v1", Source{Repo: model("alice/m"), Revision: "v1"}, ""},
		{"alice/m@v1/a/b", Source{Repo: model("alice/m"), Revision: "v1", Sub: "a/b"}, ""},
		{"alice/m/a/b", Source{Repo: model("alice/m"), Sub: "a/b"}, ""},
		{"alice/m/a@b/c", Source{Repo: model("alice/m"), Sub: "a@b/c"}, ""},
		{"alice/m@v1/a@b", Source{Repo: model("alice/m"), Revision: "v1", Sub: "a@b"}, ""},
		{"alice/m@feature%2Fx/a", Source{Repo: model("alice/m"), Revision: "feature/x", Sub: "a"}, ""},
		{"alice/m@feature%2fx", Source{Repo: model("alice/m"), Revision: "feature/x"}, "alice/m@feature%2Fx"},
		{"alice/m@50%", Source{Repo: model("alice/m"), Revision: "50%"}, ""},
		{"alice/m@a%252Fb", Source{Repo: model("alice/m"), Revision: "a%2Fb"}, ""},
		{"alice/m@refs/pr/12/a", Source{Repo: model("alice/m"), Revision: "refs/pr/12", Sub: "a"}, "alice/m@refs%2Fpr%2F12/a"},
		{"alice/m@refs/pr/12x", Source{Repo: model("alice/m"), Revision: "refs", Sub: "pr/12x"}, "alice/m@refs/pr/12x"},
		{"datasets/alice/d@refs/convert/parquet/default", Source{Repo: hub.Repo{Type: hub.Dataset, ID: "alice/d"}, Revision: "refs/convert/parquet", Sub: "default"},
			"datasets/alice/d@refs%2Fconvert%2Fparquet/default"},
		{"spaces/alice/s", Source{Repo: hub.Repo{Type: hub.Space, ID: "alice/s"}}, ""},
		{"gpt2", Source{Repo: model("gpt2")}, ""},
		{"gpt2@main/x", Source{Repo: model("gpt2"), Revision: "main", Sub: "x"}, ""},
		{"datasets/squad", Source{Repo: hub.Repo{Type: hub.Dataset, ID: "squad"}}, ""},
		{"hf://", Source{WholeHub: true}, "-"},
	}
	for _, test := range tests {
		got, err := ParseSource(test.in)
		if err != nil || got != test.want {
			t.Errorf("ParseSource(%q) = %+v, %v; want %+v", test.in, got, err, test.want)
			continue
		}
		want := test.out
		switch want {
		case "":
			want = test.in
		case "-":
			want = ""
		}
		if got.String() != want {
			t.Errorf("ParseSource(%q).String() = %q, want %q", test.in, got.String(), want)
		}
	}
}

func TestParseSourceRefuses(t *testing.T) {
	for _, in := range []string{
		"", "/", "//", "alice//m", "alice/m@", "alice/m@/x", "@v1", "/alice/m", "alice/../m", "alice/m/../x",
		"alice/m/a//b", "alice/m/.git", "alice/m@v1/.git/config", "alice/m/a\x00b", "al ice/m", ".alice/m", "alice/.m",
		"alice/m.git", "alice/a--b", "alice/" + strings.Repeat("a", 97), "alice/m/" + strings.Repeat("a", 256),
	} {
		if got, err := ParseSource(in); err == nil {
			t.Errorf("ParseSource(%q) = %+v, want an error", in, got)
		}
	}
}

func TestRepoName(t *testing.T) {
	for in, want := range map[string]repoName{
		"m":         {name: "m"},
		"m@v1":      {"m", "v1", true},
		"m@a%2Fb":   {"m", "a/b", true},
		"m@a@b":     {"m", "a@b", true},
		"m@100%":    {"m", "100%", true},
		"m@%25":     {"m", "%", true},
		"m@a%252Fb": {"m", "a%2Fb", true},
	} {
		got, ok := parseRepoName(in)
		if !ok || got != want {
			t.Errorf("parseRepoName(%q) = %+v, %v; want %+v", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "@", "@v1", "m@"} {
		if got, ok := parseRepoName(in); ok {
			t.Errorf("parseRepoName(%q) = %+v, want none", in, got)
		}
	}
}

func TestAnsweredLocally(t *testing.T) {
	for _, name := range []string{
		".git", ".Trash", ".Trash-1000", ".DS_Store", "._x", ".hidden", "autorun.inf", "Autorun.inf", "desktop.ini", "Thumbs.db",
		"HEAD", "System Volume Information", "$RECYCLE.BIN", "lost+found", "node_modules", "a b", "a:b", "x~", "#x#", "x.git",
		".git@main", "-x", "a--b", "..", "\x00", "a\nb",
	} {
		if !answeredLocally(name) {
			t.Errorf("%q would be asked for", name)
		}
	}
	for _, name := range []string{"alice", "gpt2", "bert-base-uncased", "m@main", "m@.x", "Llama-3.1-8B", "_x", "HEADS", "head", "config", "lib"} {
		if answeredLocally(name) {
			t.Errorf("%q isn't asked for", name)
		}
	}
}

func FuzzParseSource(f *testing.F) {
	for _, s := range []string{"alice/m", "datasets/alice/d@refs/convert/parquet/x", "gpt2@a%2Fb/c", "hf://spaces/a/b@%25%2f", "a/b/c@d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		src, err := ParseSource(in)
		if err != nil || src.WholeHub {
			return
		}
		if err := src.Repo.Validate(); err != nil {
			t.Errorf("%q: %v", in, err)
		}
		if src.Sub != "" {
			if err := hub.ValidPath(src.Sub); err != nil {
				t.Errorf("%q: %v", in, err)
			}
		}
		again, err := ParseSource(src.String())
		if err != nil || again != src {
			t.Errorf("%q is %+v, which is written %q and read as %+v, %v", in, src, src.String(), again, err)
		}
	})
}

func FuzzRevision(f *testing.F) {
	for _, s := range []string{"main", "a/b", "a%2Fb", "%25", "%", "refs/pr/1", "%2f%252F", "%%2F"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, revision string) {
		escaped := escapeRevision(revision)
		if strings.Contains(escaped, "/") {
			t.Errorf("%q is escaped as %q", revision, escaped)
		}
		if got := unescapeRevision(escaped); got != revision {
			t.Errorf("%q is escaped as %q, which is read as %q", revision, escaped, got)
		}
	})
}

func TestRefs(t *testing.T) {
	commit := func(digit string) string { return strings.Repeat(digit, 40) }
	r := newRefs(&hub.Refs{
		Branches:     []hub.Ref{{Name: "main", TargetCommit: commit("1")}, {Name: "a/b", TargetCommit: commit("2")}, {Name: "both", TargetCommit: commit("3")}},
		Tags:         []hub.Ref{{Name: "v1", TargetCommit: commit("4")}, {Name: "both", TargetCommit: commit("5")}},
		Converts:     []hub.Ref{{Name: "parquet", Ref: "refs/convert/parquet", TargetCommit: commit("6")}},
		PullRequests: []hub.Ref{{Name: "pr/1", Ref: "refs/pr/1", TargetCommit: commit("7")}},
	}, commit("1"), true)
	for revision, want := range map[string][2]string{
		"": {"main", "1"}, "main": {"main", "1"}, "refs/heads/main": {"main", "1"}, "a/b": {"a/b", "2"}, "refs/heads/a/b": {"a/b", "2"},
		"v1": {"v1", "4"}, "refs/tags/v1": {"v1", "4"}, "both": {"both", "3"}, "refs/tags/both": {"refs/tags/both", "5"},
		"refs/convert/parquet": {"refs/convert/parquet", "6"}, "refs/pr/1": {"refs/pr/1", "7"},
	} {
		if name, c, ok := r.find(revision); !ok || name != want[0] || c != commit(want[1]) {
			t.Errorf("find(%q) = %q, %q, %v; want %q", revision, name, c, ok, want)
		}
	}
	for _, revision := range []string{"v2", "refs/heads/v1", "refs/tags/main", "refs/pr/2", "parquet", "pr/1", "refs/heads/", "refs/"} {
		if name, c, ok := r.find(revision); ok {
			t.Errorf("find(%q) = %q, %q", revision, name, c)
		}
	}
	for _, test := range []struct {
		branches map[string]string
		head     string
		want     string
	}{
		{map[string]string{"main": "1", "x": "2"}, "2", "main"},
		{map[string]string{"master": "1", "x": "2"}, "1", "master"},
		{map[string]string{"master": "1", "x": "2"}, "", "master"},
		{map[string]string{"trunk": "1", "x": "2"}, "1", "trunk"},
		{map[string]string{"trunk": "1", "x": "2"}, "", "trunk"},
		{nil, "1", ""},
	} {
		r := &refs{Branches: test.branches}
		if got := r.defaultBranch(test.head); got != test.want {
			t.Errorf("the default of %v at %q is %q, want %q", test.branches, test.head, got, test.want)
		}
	}
}
