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

// TestFolderRemovedDuringACommit moves a new folder away, or empties and removes it, while
// what was in it lands: it stays away.
func TestFolderRemovedDuringACommit(t *testing.T) {
	ctx := t.Context()
	for _, how := range []string{"unlink", "rename"} {
		r := newCommitRig(t, map[string]string{"a": "a"}, nil)
		must(t, r.Mkdir(ctx, "d"))
		must(t, r.Mkdir(ctx, "d/e"))
		r.write(t, "d/e/new", "x")
		x, err := r.take(ctx, selection{explicit: true}, 0)
		must(t, err)
		want := map[string]string{"a": "a"}
		if how == "unlink" {
			must(t, r.Unlink(ctx, "d/e/new"))
			must(t, r.Rmdir(ctx, "d/e"))
			must(t, r.Rmdir(ctx, "d"))
		} else {
			must(t, r.Rename(ctx, "d", "moved", false))
			want["moved/e/new"] = "x"
		}
		_, _, err = r.commit(ctx, x)
		must(t, err)
		r.putBack(x)
		r.settled()
		must(t, r.settle(ctx))
		wantView(t, r.rig, withAttributes(view(want)))
		r.write(t, "d", "a file now")
		want["d"] = "a file now"
		r.flush("")
		r.wantHub(want)
		r.wantClean()
		wantView(t, r.rig, withAttributes(view(want)))
	}
}

// TestFileReplacesNestedFolders commits a file in the place of a folder with folders in it, and back.
func TestFileReplacesNestedFolders(t *testing.T) {
	ctx := t.Context()
	r := newCommitRig(t, map[string]string{"d/e/f/x": "x", "d/y": "y"}, nil)
	for _, path := range []string{"d/e/f/x", "d/y"} {
		must(t, r.Unlink(ctx, path))
	}
	for _, dir := range []string{"d/e/f", "d/e", "d"} {
		must(t, r.Rmdir(ctx, dir))
	}
	r.write(t, "d", "a file")
	r.flush("")
	r.wantHub(map[string]string{"d": "a file"})
	must(t, r.Unlink(ctx, "d"))
	for _, dir := range []string{"d", "d/e", "d/e/f"} {
		must(t, r.Mkdir(ctx, dir))
	}
	r.write(t, "d/e/f/x", "x again")
	r.flush("")
	r.wantHub(map[string]string{"d/e/f/x": "x again"})
	r.wantClean()
}
