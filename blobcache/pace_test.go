package blobcache

import (
	"context"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/localhub"
)

func TestPace(t *testing.T) {
	var p pace
	if got := p.patience(0); got != firstPatience {
		t.Errorf("before the first answer: %v", got)
	}
	for range 50 {
		p.answered(30*time.Millisecond, 0)
	}
	if got := p.patience(0); got != minPatience {
		t.Errorf("with even answers: %v", got)
	}
	if got := p.patience(2 * anyStall); got != 16*minPatience {
		t.Errorf("after two stalls: %v", got)
	}
	for i := range 50 {
		p.answered(time.Duration(i%2)*600*time.Millisecond, 1)
	}
	if got := p.patience(0); got < time.Second || got > maxPatience {
		t.Errorf("with answers from 0 to 600 ms: %v", got)
	}
}

// One answer in five stands still for good. The client would wait 20 s for each.
func TestStallsAreCheap(t *testing.T) {
	srv, c, files, contents := embedded(t, 48<<20)
	patient := srv.Client()
	c.Close()
	c.opts.Hub = patient
	c.reopen()
	srv.Hub.SetNetwork(localhub.Network{Seed: 5, Faults: map[localhub.Fault]float64{localhub.FaultStall: 0.2}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b := c.open(files[0])
	defer b.Close()
	for off := 0; off < len(contents[0]); off += 1 << 20 {
		if _, err := b.ReadAt(ctx, make([]byte, 1<<20), int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	if c.Stats().Retries == 0 {
		t.Error("nothing stood still")
	}
}
