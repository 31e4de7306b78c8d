package writeback

import (
	"os"
	"testing"
)

// TestTakenAtOneInstant takes a log that is being written to: what is taken is the content of the version that
// it is taken for.
func TestTakenAtOneInstant(t *testing.T) {
	r := newRig(t, nil)
	f := r.openFile(t, "train.log", os.O_RDWR|os.O_CREATE)
	write := func(off int64) {
		if _, err := f.WriteAt([]byte{'\n'}, off); err != nil {
			t.Error(err)
		}
	}
	write(0)
	ver := f.ino.ver
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for off := int64(1); ; off++ {
			select {
			case <-stop:
				return
			default:
				write(off)
			}
		}
	}()
	for range 3000 {
		x := r.takeNow(selection{explicit: true}, 0)
		if len(x.items) == 1 {
			if it := x.items[0]; it.content.size != 1+int64(it.ver-ver) {
				t.Errorf("%d bytes are taken for version %d", it.content.size, it.ver-ver)
			}
		}
		r.putBack(x)
	}
	close(stop)
	<-stopped
	must(t, f.Release())
}

// TestSyncedAgainWhileCommitted syncs and closes a file twice, the second time while a commit of the first is under
// way: another commit is due.
func TestSyncedAgainWhileCommitted(t *testing.T) {
	r := newCommitRig(t, nil, func(o *Options) { o.NoFsyncCommit = true }) // nobody else commits
	save := func(content string) {
		r.write(t, "f", content)
		ino := r.root.find("f").ino
		ino.mu.Lock()
		ino.wanted = true
		ino.mu.Unlock()
	}
	wanted := func() int {
		clear(r.pushed) // as another push does
		x := r.takeNow(selection{wanted: true}, 0)
		defer r.putBack(x)
		return len(x.items)
	}
	save("first")
	x, err := r.take(t.Context(), selection{wanted: true}, 0)
	must(t, err)
	save("second")
	_, _, err = r.commit(t.Context(), x)
	must(t, err)
	r.putBack(x)
	r.wantHub(map[string]string{"f": "first"})
	if n := wanted(); n != 1 {
		t.Errorf("%d files are wanted by a commit", n)
	}
	r.flush("")
	r.wantHub(map[string]string{"f": "second"})
	r.write(t, "f", "third, without an fsync")
	if n := wanted(); n != 0 {
		t.Errorf("%d files are wanted though nothing was synced", n)
	}
}
