package writeback

import (
	"os"
	"strings"
	"testing"
)

// crash is the death of the process and another start.
func (r *commitRig) crash() {
	r.t.Helper()
	r.stop()
	_ = r.group.Wait()
	must(r.t, r.journal.f.Close())
	must(r.t, r.index.close())
	must(r.t, r.lock.Unlock())
	r.open()
}

// TestEditedWhileHeldOpen edits a file in place through a handle that stays open over
// commits. What was flushed after a commit survives the death of the process, also where
// the log still has lines of the time before.
func TestEditedWhileHeldOpen(t *testing.T) {
	content := strings.Repeat("0123456789", 20)
	for _, rewrite := range []bool{false, true} {
		r := newCommitRig(t, map[string]string{"f.bin": content}, nil)
		f := r.openFile(t, "f.bin", os.O_RDWR)
		want := []byte(content)
		edit := func(off int) {
			t.Helper()
			copy(want[off:], "EDIT")
			_, err := f.WriteAt([]byte("EDIT"), int64(off))
			must(t, err)
			must(t, f.Flush())
		}
		for i := range 3 {
			edit(20 * i)
		}
		r.flush("")
		r.settled()
		if rewrite {
			must(t, r.compact())
		}
		edit(80)
		edit(100)
		r.crash()
		if got := r.read(t, "f.bin"); got != string(want) || len(r.Recovered().Torn) > 0 {
			t.Errorf("rewritten %v: the file holds %q, want %q; recovered %+v", rewrite, got, want, r.Recovered())
		}
		r.flush("")
		r.wantHub(map[string]string{"f.bin": string(want)})
		must(t, r.Close())
		r.Branch = nil
	}
}

// TestRenamedWhileHeldOpen renames such a file.
func TestRenamedWhileHeldOpen(t *testing.T) {
	content := strings.Repeat("0123456789", 20)
	for _, rewrite := range []bool{false, true} {
		r := newCommitRig(t, map[string]string{"f.bin": content}, nil)
		f := r.openFile(t, "f.bin", os.O_RDWR)
		for i := range int64(3) {
			_, err := f.WriteAt([]byte("EDIT"), 20*i)
			must(t, err)
			must(t, f.Flush())
		}
		r.flush("")
		r.settled()
		if rewrite {
			must(t, r.compact())
		}
		must(t, r.Rename(t.Context(), "f.bin", "g.bin", false))
		_, err := f.WriteAt([]byte("EDIT"), 100)
		must(t, err)
		must(t, f.Flush())
		want := []byte(content)
		for _, off := range []int{0, 20, 40, 100} {
			copy(want[off:], "EDIT")
		}
		r.crash()
		if got := r.read(t, "g.bin"); got != string(want) || len(r.Recovered().Torn) > 0 {
			t.Errorf("rewritten %v: the file holds %q, want %q; recovered %+v", rewrite, got, want, r.Recovered())
		}
		r.flush("")
		r.wantHub(map[string]string{"g.bin": string(want)})
		must(t, r.Close())
		r.Branch = nil
	}
}
