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
