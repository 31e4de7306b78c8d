package fs

import (
	"os"
	"testing"

	"github.com/hubfs/hubfs/hub/hubtest"
)

func TestReadOneTree(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"README.md": "hello", "a/b/c.txt": "deep", "empty": ""})
	m := mount(t, s, "alice/m")
	for name, want := range map[string]string{"README.md": "hello", "a/b/c.txt": "deep", "empty": ""} {
		got, err := os.ReadFile(m.path(name))
		if err != nil || string(got) != want {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
	t.Logf("%+v", s.Hub.Counts())
	for _, r := range s.Hub.Requests() {
		t.Logf("%s %s?%s %d", r.Method, r.Path, r.Query, r.Status)
	}
}
