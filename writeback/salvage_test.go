package writeback

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/blobcache"
)

// TestUnreadableJournal damages all of a journal, or its end: what it named is kept aside, whatever that was.
func TestUnreadableJournal(t *testing.T) {
	for what, damage := range map[string]func([]byte) []byte{
		"emptied":   func([]byte) []byte { return nil },
		"zeros":     func(b []byte) []byte { return make([]byte, len(b)) },
		"garbage":   func(b []byte) []byte { return bytes.Repeat([]byte("x\n"), len(b)/2) },
		"last line": func(b []byte) []byte { b[len(b)-5] ^= 0x10; return b },
	} {
		r := newRig(t, base)
		r.write(t, "f", "the only copy")
		must(t, r.Close())
		r.disk = r.disk.restart()
		r.Branch = nil
		j := r.journalData()
		j.data = damage(bytes.Clone(j.data))
		r.open(t)
		rec := r.Recovered()
		found := false
		for _, name := range rec.Aside {
			found = found || string(r.disk.files[name].data) == "the only copy"
		}
		if got, err := r.tryRead("f"); !found && (err != nil || got != "the only copy") {
			t.Errorf("%s: the content is gone; recovered %+v", what, rec)
		}
		r.write(t, "g", "after it")
		r.kill(t)
		if got := r.read(t, "g"); got != "after it" || r.Recovered().Damaged > 0 {
			t.Errorf("%s: afterwards: %q, %+v", what, got, r.Recovered())
		}
	}
}

// TestFileBecomesFolder commits what is in a folder that is in the place of a file of the Hub's.
func TestFileBecomesFolder(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "file", "d/x": "x"}, nil)
	must(t, r.Unlink(t.Context(), "a"))
	must(t, r.Mkdir(t.Context(), "a"))
	r.write(t, "a/b", "in it")
	if res := r.flush("a/b"); len(res.Failed) > 0 || len(res.Commits) != 1 {
		t.Errorf("%+v", res)
	}
	r.wantHub(map[string]string{"a/b": "in it", "d/x": "x"})
	r.wantClean()
	// And back.
	must(t, r.Unlink(t.Context(), "d/x"))
	must(t, r.Rmdir(t.Context(), "d"))
	r.write(t, "d", "a file")
	if res := r.flush("d"); len(res.Failed) > 0 || len(res.Commits) != 1 {
		t.Errorf("%+v", res)
	}
	r.wantHub(map[string]string{"a/b": "in it", "d": "a file"})
	r.wantClean()
}

// TestFsyncWhileMerged merges the layers of a file away while they are being made durable.
func TestFsyncWhileMerged(t *testing.T) {
	r := newRig(t, map[string]string{"f": strings.Repeat("0123456789", 10)})
	f := r.openFile(t, "f", os.O_RDWR)
	defer f.Release() //nolint:errcheck // a test
	for i := range 3 {
		_, release := f.ino.snapshot()
		_, err := f.WriteAt([]byte("edit"), int64(20*i))
		must(t, err)
		release()
	}
	must(t, f.Flush())
	must(t, r.journal.sync())
	if n := len(f.ino.layers); n != 3 {
		t.Fatalf("%d layers", n)
	}
	merged := false
	r.disk.mu.Lock()
	r.disk.fail = func(step string, _ int) error {
		if step == "stage sync" && !merged {
			merged = true
			r.disk.mu.Unlock()
			defer r.disk.mu.Lock()
			r.mergeAll()
			if err := r.journal.sync(); err != nil {
				return errors.Join(err)
			}
			r.removeDoomed()
		}
		return nil
	}
	r.disk.mu.Unlock()
	must(t, f.Fsync())
	must(t, f.Flush())
	if !merged || len(f.ino.layers) > 2 {
		t.Errorf("merged %v, %d layers", merged, len(f.ino.layers))
	}
}

// TestTornAfterItWasHashed has a power cut tear a file whose hash is known: what is saved of it is hashed anew.
func TestTornAfterItWasHashed(t *testing.T) {
	r := newRig(t, nil)
	r.write(t, "f.log", "whole\n")
	ino := r.root.find("f.log").ino
	r.mu.Lock()
	c := &change{b: r.Branch}
	c.know(ino, ino.ver, &Was{Hash: strings.Repeat("a", 40), Size: 6})
	must(t, c.commit())
	r.mu.Unlock()
	must(t, r.syncData()) // its name, and not what is in it
	must(t, r.journal.sync())
	r.abandon()
	r.disk = r.disk.powerCut(nil)
	r.boot = "boot 2"
	r.open(t)
	if !slices.Equal(r.Recovered().Torn, []string{"f.log"}) {
		t.Fatalf("recovered %+v", r.Recovered())
	}
	x := r.takeNow(selection{explicit: true}, 0)
	for _, it := range x.items {
		if it.now != nil {
			t.Errorf("a torn log is taken for %+v", it.now)
		}
	}
	r.putBack(x)
	f := r.openFile(t, "f.log", os.O_RDWR)
	must(t, f.Release())
	if known := r.root.find("f.log").ino.known; known != nil {
		t.Errorf("a torn file that was saved counts as %+v", known)
	}
}

// TestTornIsNotShared has a power cut tear a file between its commit and its way to the cache: the cache doesn't
// take it for what was committed.
func TestTornIsNotShared(t *testing.T) {
	r := newCommitRig(t, nil, nil)
	r.write(t, "f", strings.Repeat("\x00", 7)) // what the disk has of it
	committed := &Was{Hash: gitOID("content").String(), Size: 7}
	ino := r.root.find("f").ino
	ino.mu.Lock()
	ino.torn, ino.known = true, committed
	ino.mu.Unlock()
	c, release := ino.snapshot()
	defer release()
	f := blobcache.File{Repo: r.repo, Revision: "main", Commit: r.Tree().Commit(), Path: "f", Hash: committed.Hash, Size: committed.Size}
	if r.share(t.Context(), ino, &c, f) || r.cache.Cached(f) != 0 {
		t.Error("the cache has bytes that nobody has checked")
	}
}
