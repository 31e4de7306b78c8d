package fs

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// What the kernel keeps of a large file that turned out to be wrong is thrown away
// by the next open, although somebody has it open still.
func TestWrongPagesAreForgotten(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", nil)
	content := addLFS(t, s, "alice/m", "w.bin", 24<<20)
	m := mount(t, s, "alice/m")
	s.Hub.SetNetwork(localhub.Network{Faults: map[localhub.Fault]float64{localhub.FaultCorrupt: 1}, Seed: 1})
	f, err := os.Open(m.path("w.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// To the end, or to the error that comes once the last range is here.
	if got, _ := io.ReadAll(f); bytes.HasPrefix(content, got) {
		t.Fatalf("%d bytes were read, and nothing was wrong", len(got))
	}
	s.Hub.SetNetwork(localhub.Network{})
	eventually(t, "the next open is right", reads(m.path("w.bin"), string(content)))
}
