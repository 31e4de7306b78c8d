package writeback

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestManySavesStackNoLayers saves a file again and again, as programs do that open it for
// each line and make that durable.
func TestManySavesStackNoLayers(t *testing.T) {
	r := newRig(t, base)
	want := ""
	for i := range 400 {
		f := r.openFile(t, "log", os.O_RDWR|os.O_CREATE)
		line := fmt.Sprintf("line %d\n", i)
		_, err := f.WriteAt([]byte(line), int64(len(want)))
		must(t, err)
		want += line
		must(t, f.Fsync())
		must(t, f.Release())
	}
	ino := r.root.find("log").ino
	layers := func() int {
		ino.mu.RLock()
		defer ino.mu.RUnlock()
		return len(ino.layers)
	}
	waitFor(t, func() bool { return layers() <= 2 })
	if got := r.read(t, "log"); got != want {
		t.Errorf("the file holds %.80q", got)
	}
	if end := r.journal.end; end > 1<<20 {
		t.Errorf("the log has %d bytes", end)
	}
	r.abandon()
	r.disk = r.disk.powerCut(nil)
	r.boot = "boot 2"
	r.open(t)
	if got := r.read(t, "log"); got != want {
		t.Errorf("after a power cut the file holds %.80q", got)
	}
}

// TestMergeOfManyLayers merges the layers below one that is being written to, at every
// place where the machine may die.
func TestMergeOfManyLayers(t *testing.T) {
	content := strings.Repeat("0123456789", 10)
	run := func(t *testing.T, at int) (done bool) {
		r := scriptRigOf(t, map[string]string{"f": content})
		want := []byte(content)
		for i := range 5 {
			f := r.openFile(t, "f", os.O_RDWR)
			if i == 2 {
				must(t, f.Truncate(70))
				want = want[:70]
			}
			copy(want[11*i:], "EDIT")
			_, err := f.WriteAt([]byte("EDIT"), int64(11*i))
			must(t, err)
			must(t, f.Fsync())
			must(t, f.Release())
		}
		must(t, r.journal.sync())
		if n := len(r.root.find("f").ino.layers); n != 5 {
			t.Fatalf("%d layers", n)
		}
		start := r.disk.steps
		r.disk.fail = func(_ string, n int) error {
			if n-start == at {
				return errPower
			}
			return nil
		}
		r.mergeAll()
		r.mergeAll()
		_ = r.journal.sync()
		r.removeDoomed()
		done = r.disk.steps-start < at
		if done && len(r.root.find("f").ino.layers) != 1 {
			t.Errorf("%d layers are left", len(r.root.find("f").ino.layers))
		}
		r.disk.fail = nil
		r.abandon()
		r.disk = r.disk.powerCut(nil)
		r.boot = "boot 2"
		r.open(t)
		if got, rec := r.read(t, "f"), r.Recovered(); got != string(want) || len(rec.Torn) > 0 {
			t.Errorf("at step %d: %q, want %q; recovered %+v", at, got, want, rec)
		}
		return done
	}
	for at := 1; !run(t, at); at++ {
		if at > 200 {
			t.Fatal("it has no end")
		}
	}
}
