package writeback

import (
	"os"
	"strings"
	"testing"
)

// TestNumbersOfLayersAreNotReused has the log know extents of layers that are gone: those of
// later layers, after a restart, must not be taken for them.
func TestNumbersOfLayersAreNotReused(t *testing.T) {
	content := strings.Repeat("0123456789", 1000)
	r := newCommitRig(t, map[string]string{"a": content, "b": content}, nil)
	edit := func(path string, at int64) {
		t.Helper()
		f := r.openFile(t, path, os.O_RDWR)
		_, err := f.WriteAt([]byte("edited"), at)
		must(t, err)
		must(t, f.Release())
	}
	want := content
	for i := range int64(5) {
		edit("a", 100*i)
		_, err := r.Discard(t.Context(), "a")
		must(t, err)
		must(t, r.journal.sync())
		r.removeDoomed() // the files are gone, too
		r.crash()
		at := 1000 * (i + 1)
		edit("b", at)
		want = want[:at] + "edited" + want[at+6:]
		r.crash()
		if got := r.read(t, "b"); got != want {
			t.Fatalf("after %d restarts, the edit at %d is lost", 2*i+2, at)
		}
	}
}
