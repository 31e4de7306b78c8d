package hub

import (
	"path"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidPath(t *testing.T) {
	for _, p := range []string{"a", "a/b", "..a", "a..", ".gitattributes", ".github/x", "git", "x.git", "a b/ü", "a\nb", "...", strings.Repeat("x", 255)} {
		if err := ValidPath(p); err != nil {
			t.Error(err)
		}
	}
	for _, p := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "./a", "a/./b", ".git", ".GIT/config", "a/.git/b", "a\x00", `a\b`, "\xff",
		strings.Repeat("x", 256), strings.Repeat("x/", 2100) + "x",
	} {
		if ValidPath(p) == nil {
			t.Errorf("%.40q is valid", p)
		}
	}
}

func TestValidRevision(t *testing.T) {
	for _, r := range []string{"main", "refs/pr/1", "feat/x", "v 1", oid1, "refs/convert/parquet", "é"} {
		if err := validRevision(r); err != nil {
			t.Error(err)
		}
	}
	for _, r := range []string{"", ".", "..", "a/../b", "/a", "a/", "a\nb", "\xff", strings.Repeat("x", 2000)} {
		if validRevision(r) == nil {
			t.Errorf("%.40q is valid", r)
		}
	}
}

func FuzzValidPath(f *testing.F) {
	for _, s := range []string{"a/b", "../a", "a/./b", ".git/x", "/a", "a//b", "a\\..\\b", "a\x00b", ".GiT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ValidPath(s) != nil {
			return
		}
		if path.Clean(s) != s || !filepath.IsLocal(filepath.FromSlash(s)) {
			t.Fatalf("%q isn't a clean path below a folder", s)
		}
		for _, part := range strings.Split(strings.ToLower(s), "/") {
			if part == ".git" || len(part) > 255 {
				t.Fatalf("%q has the component %q", s, part)
			}
		}
	})
}
