package hub

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// The wanted results are those of Python's fnmatch.fnmatchcase.
func TestMatchPattern(t *testing.T) {
	for _, test := range []struct {
		pattern, path string
		want          bool
	}{
		{"*.json", "a/b/c.json", true},
		{"**", "a/b", true},
		{"*.json", "a.jsonl", false},
		{"a?c", "a/c", true},
		{"a?c", "ac", false},
		{"?", "ü", true},
		{"[abc].txt", "b.txt", true},
		{"[a-c].txt", "d.txt", false},
		{"[!a-c].txt", "d.txt", true},
		{"[^a].txt", "^.txt", true},
		{"[^a].txt", "b.txt", false},
		{"[]]", "]", true},
		{"[]", "[]", true},
		{"[!]a]", "b", true},
		{"[!]a]", "]", false},
		{"[abc", "[abc", true},
		{"[abc", "a", false},
		{"[z-a]", "b", false},
		{"[!z-a]", "b", true},
		{"[a-]", "-", true},
		{"[-a]", "-", true},
		{"[a-c-e]", "-", true},
		{"[a-c-e]", "d", false},
		{"data/", "data/a/b", true},
		{"data/", "data", false},
		{"data/", "other/data/a", false},
		{`data\*`, "data/a", true},
		{`a/*`, `a\b`, true},
		{"", "", true},
		{"", "a", false},
		{"A", "a", false},
		{"a*b*c", "aXbYbZc", true},
		{"a*b*c", "aXbYbZ", false},
		{"*", "", true},
		{"a**", "a", true},
		{"{a,b}", "{a,b}", true},
		{"a.c", "abc", false},
	} {
		if got := MatchPattern(test.pattern, test.path); got != test.want {
			t.Errorf("%q and %q: %v", test.pattern, test.path, got)
		}
	}
}

func TestMatchPatternIsFast(t *testing.T) {
	if MatchPattern(strings.Repeat("a*", 1000)+"b", strings.Repeat("a", 20_000)) {
		t.Error("it doesn't match")
	}
}

func TestDefaultIgnorePatterns(t *testing.T) {
	p := Patterns{Ignore: DefaultIgnorePatterns()}
	for path, want := range map[string]bool{
		".git": false, ".git/config": false, "a/.git": false, "a/.git/b/c": false, ".cache/huggingface/x": false, "a/b/.cache/huggingface/x": false,
		".gitignore": true, "x.git/f": true, ".git_x/f": true, ".cache/huggingface_x": true, ".cache/other": true, "a/.gitattributes": true,
	} {
		if got := p.Match(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		p    Patterns
		want string // of a.txt, b.txt, c.bin: those that match
	}{
		{Patterns{}, "a.txt b.txt c.bin"},
		{Patterns{Allow: []string{}}, ""},
		{Patterns{Allow: []string{"*.txt", "c*"}}, "a.txt b.txt c.bin"},
		{Patterns{Allow: []string{"*.txt"}, Ignore: []string{"b*", "c*"}}, "a.txt"},
		{Patterns{Ignore: []string{"*"}}, ""},
	} {
		var got []string
		for _, path := range []string{"a.txt", "b.txt", "c.bin"} {
			if test.p.Match(path) {
				got = append(got, path)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%+v: %q", test.p, got)
		}
	}
}

// Where a pattern has no sets, a regular expression says the same.
func FuzzMatchPattern(f *testing.F) {
	f.Add("a*b?c", "aXXbYc")
	f.Add("[!a-c]*", "xyz")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if len(pattern) > 50 || len(path) > 200 {
			return
		}
		got := MatchPattern(pattern, path)
		if strings.ContainsAny(pattern, `[\`) || strings.Contains(path, `\`) || !utf8.ValidString(pattern) || !utf8.ValidString(path) {
			return
		}
		if strings.HasSuffix(pattern, "/") {
			pattern += "*"
		}
		expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
		if want := regexp.MustCompile(`(?s)^(?:` + expr + `)\z`).MatchString(path); got != want {
			t.Fatalf("%q and %q: %v, the expression %s says %v", pattern, path, got, expr, want)
		}
	})
}
