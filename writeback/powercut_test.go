package writeback

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// TestPowerCutAtEveryStep lets the machine die at each change that a script makes
// to the disk, once with nothing on it but what was fsynced, and with other luck.
func TestPowerCutAtEveryStep(t *testing.T) {
	r := scriptRig(t)
	if _, _, err := script(r); err != nil {
		t.Fatal(err)
	}
	total := r.disk.steps
	seen := r.disk.seen
	for _, step := range []string{
		"stage create", "stage size", "stage write", "stage truncate", "stage punch", "stage sync", "stage dirsync", "stage remove",
		"journal append", "journal sync", "journal dirsync", "rewrite create", "rewrite write", "rewrite sync", "rewrite append",
		"rewrite rename", "merge truncate", "merge write",
	} {
		if seen[step] == 0 {
			t.Errorf("the script has no step %q", step)
		}
	}
	for at := 1; at <= total; at++ {
		for luck := range 4 {
			t.Run(fmt.Sprintf("%d/%d", at, luck), func(t *testing.T) { powerCut(t, at, luck) })
		}
	}
}

// scriptRig is a rig without a background, so that its steps are always the same.
func scriptRig(t *testing.T) *rig {
	t.Helper()
	return scriptRigOf(t, base)
}

func scriptRigOf(t *testing.T, files map[string]string) *rig {
	t.Helper()
	r := newRig(t, files)
	r.stop()
	_ = r.group.Wait()
	return r
}

func powerCut(t *testing.T, at, luck int) {
	r := scriptRig(t)
	start := r.disk.steps
	step := ""
	r.disk.fail = func(s string, n int) error {
		if n-start >= at {
			step = s
			return errPower
		}
		return nil
	}
	promised, closed, _ := script(r)
	var random *rand.Rand
	if luck > 0 {
		random = rand.New(rand.NewPCG(uint64(at), uint64(luck)))
	}
	r.disk = r.disk.powerCut(random)
	r.boot = "boot 2"
	r.Branch = nil
	r.open(t)
	got := r.walk(t)
	rec := r.Recovered()
	if rec.Damaged > 0 || len(rec.Lost) > 0 || len(rec.Aside) > 0 {
		t.Errorf("at %q: recovered %+v", step, rec)
	}
	for path, want := range promised {
		content, ok := got[path]
		switch {
		case want == nil && ok:
			t.Errorf("at %q: %s is back", step, path)
		case want != nil && !ok:
			t.Errorf("at %q: %s is gone", step, path)
		case want != nil && content != *want:
			t.Errorf("at %q: %s was fsynced with %.50q and holds %.50q", step, path, *want, content)
		}
	}
	for _, c := range r.Changes() {
		path := c.Path
		if c.Deleted || c.State == Failed || slices.Contains(closed[path], got[path]) {
			continue
		}
		if of := r.root.find(path).ino; len(of.layers) == 0 {
			continue // renamed, and as the Hub has it
		}
		t.Errorf("at %q: %s would be committed with %.50q, and was never closed so", step, path, got[path])
	}
}

// TestLostLayerIsMadeDurably lets the machine die when the log names a new file whose
// data file has no durable name yet. What is fsynced into it later is on disk.
func TestLostLayerIsMadeDurably(t *testing.T) {
	r := scriptRig(t)
	_ = r.openFile(t, "new", os.O_RDWR|os.O_CREATE)
	must(t, r.journal.sync())
	r.cutPower(t)
	f := r.openFile(t, "new", os.O_RDWR)
	must(t, f.Truncate(1))
	must(t, f.Fsync())
	r.cutPower(t)
	if got := r.read(t, "new"); got != "\x00" {
		t.Errorf("the file was fsynced with one zero, and holds %q", got)
	}
}

// cutPower lets the machine die with nothing on its disk but what was fsynced.
func (r *rig) cutPower(t *testing.T) {
	t.Helper()
	r.abandonTo(t, r.disk.powerCut(nil), r.boot+"'")
}

// TestKillBeforeTheLogsNameIsDurable kills the process when the new log has its name and that
// isn't durable, and lets the machine die after what the next process has fsynced.
func TestKillBeforeTheLogsNameIsDurable(t *testing.T) {
	r := scriptRig(t)
	r.disk.fail = func(step string, _ int) error {
		if step == "journal dirsync" {
			return errPower
		}
		return nil
	}
	if err := r.compact(); err == nil {
		t.Fatal("it wasn't killed")
	}
	r.abandonTo(t, r.disk.restart(), r.boot)
	f := r.openFile(t, "new", os.O_RDWR|os.O_CREATE)
	_, err := f.WriteAt([]byte("content"), 0)
	must(t, err)
	must(t, f.Fsync())
	r.cutPower(t)
	if got, err := r.tryRead("new"); got != "content" || err != nil {
		t.Errorf("the file was fsynced, and holds %q (%v)", got, err)
	}
}

// abandonTo goes on with what a dead process has left.
func (r *rig) abandonTo(t *testing.T, d *memDisk, boot string) {
	t.Helper()
	r.abandon()
	r.disk, r.boot = d, boot
	r.open(t)
}

// TestClosedFilesComeToRest lets the machine die a while after a file was copied by a
// program that doesn't sync.
func TestClosedFilesComeToRest(t *testing.T) {
	r := scriptRig(t)
	r.write(t, "copied", "content")
	open := r.openFile(t, "open", os.O_RDWR|os.O_CREATE)
	_, err := open.WriteAt([]byte("not yet"), 0)
	must(t, err)
	r.syncResting(t.Context())
	if r.disk.seen["stage sync"] > 0 {
		t.Error("it is made durable at once")
	}
	r.at(2 * restAfter)
	r.syncResting(t.Context())
	if n := r.disk.seen["stage sync"]; n != 1 {
		t.Errorf("%d files were synced", n)
	}
	must(t, r.journal.sync())
	r.cutPower(t)
	if got := r.read(t, "copied"); got != "content" || slices.Contains(r.Recovered().Torn, "copied") {
		t.Errorf("it holds %q; recovered %+v", got, r.Recovered())
	}
}
