package localhub

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// newDraft is a draft of a commit to a fresh repository.
func newTestDraft(t testing.TB) *draft {
	t.Helper()
	h, err := New(Options{Root: t.TempDir(), Users: []User{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if err := h.CreateRepo(Model, "a/m", RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := h.openRepo(Model, "a/m")
	if err != nil {
		t.Fatal(err)
	}
	return h.newDraft(r, "a")
}

func FuzzCommitBody(f *testing.F) {
	header := `{"key":"header","value":{"summary":"s","description":""}}` + "\n"
	for _, s := range []string{
		"", header, header + header, header + `{"key":"file","value":{"path":"a","content":"YQ==","encoding":"base64"}}`,
		header + `{"key":"deletedFolder","value":{"path":"a/"}}` + "\n\n\r\n", header + `{"key":"lfsFile","value":{"path":"a","algo":"sha256","oid":"x"}}`,
		header + `{"key":"file","value":{"path":"../a","content":"a","encoding":"utf-8"}}`, header + `{"key":1}`, header + `[]`, "\x00\n", strings.Repeat("x", 70<<10),
	} {
		f.Add([]byte(s))
	}
	base := newTestDraft(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		d := base.h.newDraft(base.repo, "a")
		if err := d.readCommit(bytes.NewReader(body)); err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status < 400 || e.Status > 499 || e.Code == "" {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if d.title == "" || len(d.ops) == 0 {
			t.Fatalf("accepted %q as %+v", body, d)
		}
		for _, op := range d.ops {
			if !validPath(op.path) {
				t.Fatalf("accepted path %q", op.path)
			}
		}
	})
}

func FuzzValidPath(f *testing.F) {
	for _, s := range []string{"a", "a/b", "", "/", "..", "a/../b", ".git", ".GIT ", "git~1", "a\\b", "a\x00", ".g\u200cit", "é", "a/.gitx", ".git::$INDEX_ALLOCATION"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if !validPath(p) {
			return
		}
		for seg := range strings.SplitSeq(p, "/") {
			if low := strings.ToLower(strings.TrimRight(seg, ". ")); seg == "" || seg == "." || seg == ".." || low == ".git" || strings.ContainsAny(seg, "\\\x00\n") {
				t.Errorf("%q is valid", p)
			}
		}
	})
}

func FuzzRoute(f *testing.F) {
	for _, s := range []string{"/api/models/a/m", "/a/m/resolve/main/x", "/api/models/a%2Fm/tree/main", "/%zz", "/api//", "/a/m.git/info/lfs/objects/batch", "/api/models/a/m/tree/%2e%2e/x?cursor=e30"} {
		f.Add(s)
	}
	d := newTestDraft(f)
	f.Fuzz(func(t *testing.T, target string) {
		if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \r\n\x00") {
			return
		}
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		u, err := req.URL.Parse("http://h" + target)
		if err != nil {
			return
		}
		req.URL = u
		w := httptest.NewRecorder()
		d.h.ServeHTTP(w, req)
		if w.Code >= 500 || w.Code >= 400 && w.Header().Get("X-Error-Code") == "" {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	})
}

func FuzzAttributes(f *testing.F) {
	f.Add("*.bin filter=lfs\n", "a/b.bin")
	f.Add("saved_model/**/* filter=lfs\n**/x/** filter=lfs -text\n\"a b\" filter=lfs", "saved_model/a/b")
	f.Add("foo/ filter=lfs\n[ filter=lfs\n[!a]* -filter", "foo/x")
	f.Fuzz(func(_ *testing.T, text, name string) { parseAttributes([]byte(text)).isLFS(name) })
}

func TestAttributes(t *testing.T) {
	for _, c := range []struct {
		rules, path string
		want        bool
	}{
		{defaultAttributes, "a.bin", true},
		{defaultAttributes, "deep/er/a.safetensors", true},
		{defaultAttributes, "saved_model/x", true},
		{defaultAttributes, "saved_model/a/b/c", true},
		{defaultAttributes, "x/saved_model/a", false},
		{defaultAttributes, "x/events.out.tfevents.1", true},
		{defaultAttributes, "a.tar.gz.txt", true},
		{defaultAttributes, "a.txt", false},
		{"*.txt filter=lfs\nkeep.txt -filter\n", "d/keep.txt", false},
		{"*.txt filter=lfs\n/keep.txt !filter\n", "d/keep.txt", true},
		{"d/** filter=lfs\n", "d/a/b", true},
		{"d/** filter=lfs\n", "d", false},
		{"**/e/*.x filter=lfs\n", "a/b/e/f.x", true},
		{"a/**/b filter=lfs\n", "a/b", true},
		{"a/**/b filter=lfs\n", "a/x/y/b", true},
		{"[!a]x filter=lfs\n", "bx", true},
		{"[!a]x filter=lfs\n", "ax", false},
		{"\"a b\" filter=lfs\n", "a b", true},
		{"# *.txt filter=lfs\n", "a.txt", false},
		{"*.txt text\n", "a.txt", false},
	} {
		if got := parseAttributes([]byte(c.rules)).isLFS(c.path); got != c.want {
			t.Errorf("%q, %s: %t", c.rules[:min(len(c.rules), 40)], c.path, got)
		}
	}
	for _, p := range []string{"a", "a b/c", "d/[1]*.x", `#a`, "é/ü", "a[!b]", "!x"} {
		rule := attributeRule(p)
		if !parseAttributes([]byte(rule)).isLFS(p) || p == "a" && parseAttributes([]byte(rule)).isLFS("d/a") {
			t.Errorf("%q doesn't track %q alone", rule, p)
		}
	}
}

func TestPointerIsWhatGitstoreReads(t *testing.T) {
	oid := strings.Repeat("0f", 32)
	for _, n := range []int64{0, 9, 1 << 40} {
		if p := gitstore.ParsePointer(gitstore.Pointer(oid, n)); p == nil || p.OID != oid || p.Size != n {
			t.Errorf("%d: %+v", n, p)
		}
	}
}
