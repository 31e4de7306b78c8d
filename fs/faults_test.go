package fs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// On a bad network every read and listing is right, or an error, and none hangs;
// when the network is well again, so is everything else.
func TestFaults(t *testing.T) {
	s := hubtest.New(t)
	if err := s.Hub.CreateRepo("dataset", "alice/d", localhub.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	contents := make(map[string][]byte)
	var ops []localhub.Operation
	chacha := rand.NewChaCha8([32]byte{1})
	for i := range 4 {
		b := make([]byte, 3<<20+i)
		if _, err := chacha.Read(b); err != nil {
			t.Fatal(err)
		}
		ref, err := s.Hub.PutLFS(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("large/%d.bin", i)
		contents[name] = b
		ops = append(ops, localhub.Operation{Kind: localhub.OpAdd, Path: name, LFS: &ref})
	}
	for i := range 20 {
		name := fmt.Sprintf("small/%d/f.txt", i)
		contents[name] = []byte(strings.Repeat(name, 10))
		ops = append(ops, localhub.Operation{Kind: localhub.OpAdd, Path: name, Content: contents[name]})
	}
	if _, err := s.Hub.Commit("dataset", "alice/d", "main", localhub.CommitInput{Title: "c", Operations: ops}); err != nil {
		t.Fatal(err)
	}
	m := mount(t, s, "datasets/alice/d", poll(200*time.Millisecond), func(c *daemonConfig) {
		c.Progress, c.Retries = 500*time.Millisecond, 3
	})
	faults := make(map[localhub.Fault]float64)
	for _, f := range localhub.Faults() {
		if f != localhub.FaultCorrupt {
			faults[f] = 0.05
		}
	}
	s.Hub.SetNetwork(localhub.Network{Faults: faults, Seed: 7})

	var names []string
	for name := range contents {
		names = append(names, name)
	}
	var right, failed atomic.Int64
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, 2))
			for range 40 {
				name := names[random.IntN(len(names))]
				want := contents[name]
				off := random.IntN(len(want))
				n := min(1+random.IntN(100_000), len(want)-off)
				got, err := readAt(m.path(name), int64(off), n)
				switch {
				case err == nil && bytes.Equal(got, want[off:off+n]):
					right.Add(1)
				case errors.Is(err, syscall.EIO):
					failed.Add(1)
				default:
					t.Errorf("read %d of %s at %d: %d, %v", n, name, off, len(got), err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d right, %d failed", right.Load(), failed.Load())
	if right.Load() == 0 {
		t.Error("nothing could be read")
	}
	s.Hub.SetNetwork(localhub.Network{})
	time.Sleep(rememberFailure)
	for name, want := range contents {
		if got, err := os.ReadFile(m.path(name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s on a good network: %d bytes, %v", name, len(got), err)
		}
	}
}

func readAt(path string, off int64, n int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, n)
	got, err := f.ReadAt(buf, off)
	return buf[:got], err
}
