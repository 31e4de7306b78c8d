package hub

import (
	"errors"
	"strings"
	"testing"
)

func TestParseRepo(t *testing.T) {
	for in, want := range map[string]Repo{
		"ns/name":                      {Model, "ns/name"},
		"hf://ns/name":                 {Model, "ns/name"},
		"models/ns/name":               {Model, "ns/name"},
		"datasets/ns/name":             {Dataset, "ns/name"},
		"hf://spaces/ns/name":          {Space, "ns/name"},
		"gpt2":                         {Model, "gpt2"},
		"datasets/squad":               {Dataset, "squad"},
		"_a/b_":                        {Model, "_a/b_"},
		"a.b/c-d.e":                    {Model, "a.b/c-d.e"},
		"ns.git/name":                  {Model, "ns.git/name"},
		"ns/name.GIT":                  {Model, "ns/name.GIT"},
		"é/ü":                          {Model, "é/ü"},
		"n/" + strings.Repeat("x", 96): {Model, "n/" + strings.Repeat("x", 96)},
	} {
		got, err := ParseRepo(in)
		if err != nil || got != want {
			t.Errorf("ParseRepo(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "/", "a/", "/a", "a/b/c", "datasets/a/b/c", "a b", "a--b", "a..b", "a.git", "n/a.git", "-a", "a-", ".a", "a.", "n/-a",
		"n/" + strings.Repeat("x", 97), "a\x00", "a\n", "a\\b", "../x", "a%2Fb", "\xff",
	} {
		_, err := ParseRepo(in)
		var ve *ValidationError
		if !errors.As(err, &ve) {
			t.Errorf("ParseRepo(%q): %v, want a ValidationError", in, err)
		}
	}
	if err := (Repo{"kernel", "a/b"}).Validate(); err == nil {
		t.Error("an unknown type is valid")
	}
}

func TestRepoParts(t *testing.T) {
	r := Repo{Dataset, "ns/name"}
	if r.Namespace() != "ns" || r.Name() != "name" || r.String() != "datasets/ns/name" {
		t.Error(r.Namespace(), r.Name(), r)
	}
	legacy := Repo{Model, "gpt2"}
	if legacy.Namespace() != "" || legacy.Name() != "gpt2" {
		t.Error(legacy.Namespace(), legacy.Name())
	}
	if got := r.resolvePath("refs/pr/1", "a dir/é+$.txt"); got != "/datasets/ns/name/resolve/refs%2Fpr%2F1/a%20dir/%C3%A9%2B%24.txt" {
		t.Error(got)
	}
	if got := below("tree", "v 1", "a/b c")(r); got != "/api/datasets/ns/name/tree/v%201/a%2Fb%20c" {
		t.Error(got)
	}
}

func FuzzParseRepo(f *testing.F) {
	for _, s := range []string{"ns/name", "hf://datasets/squad", "spaces/a/b", "..", "a//b", "models/models/x", "hf://hf://x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRepo(s)
		if err != nil {
			return
		}
		if strings.Contains(r.ID, "..") || strings.ContainsAny(r.ID, "\\\x00 ?#%") || strings.Count(r.ID, "/") > 1 {
			t.Fatalf("%q became %v", s, r)
		}
		// Only an id that is itself the word for a type is read otherwise.
		if again, err := ParseRepo("models/" + r.ID); r.Type == Model && (err != nil || again != r) {
			t.Fatalf("%v became %v, %v", r, again, err)
		}
	})
}
