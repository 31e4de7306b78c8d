package writeback

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"testing"
)

// TestSumOfWhatIsWritten writes files in every way, and wants each sum that there is to be that
// of what the file holds.
func TestSumOfWhatIsWritten(t *testing.T) {
	old := aheadSize
	aheadSize = 1
	defer func() { aheadSize = old }()
	rng := rand.New(rand.NewPCG(4, 8))
	r := newCommitRig(t, map[string]string{"old.bin": "what the Hub has"}, nil)
	sums, none := 0, 0
	for round := range 48 {
		path := "old.bin"
		flags := os.O_RDWR
		if round%4 > 0 {
			path, flags = "new.bin", os.O_RDWR|os.O_CREATE|os.O_TRUNC
		}
		f := r.openFile(t, path, flags)
		tidy := round%2 == 0
		for range 8 {
			size := f.size()
			p := make([]byte, rng.IntN(1<<20))
			for i := 0; i < len(p); i += 1 + rng.IntN(65536) {
				p[i] = byte(rng.Uint32())
			}
			var err error
			switch k := rng.IntN(20); {
			case tidy || k < 14:
				_, err = f.WriteAt(p, size)
			case k == 14:
				_, err = f.WriteAt(p, rng.Int64N(size+1))
			case k == 15:
				_, err = f.WriteAt(p, size+rng.Int64N(1<<20))
			case k == 16:
				err = f.Truncate(rng.Int64N(size + 1))
			case k == 17:
				err = f.Truncate(size + 1 + rng.Int64N(1<<20))
			case k == 18:
				err = f.Zero(rng.Int64N(size+1), 1<<20)
			default:
				err = f.Flush()
			}
			must(t, err)
			if rng.IntN(8) == 0 {
				for f.ino.sumStep(t.Context()) {
				}
			}
			if !tidy && rng.IntN(16) == 0 { // as a commit does
				_, release := f.ino.snapshot()
				defer release()
			}
		}
		must(t, f.Flush())
		r.Branch.mu.Lock()
		it := (&selector{b: r.Branch}).item(r.root.find(path))
		r.Branch.mu.Unlock()
		if it.sum == nil {
			none++
			if tidy && path == "new.bin" && len(it.content.layers) == 1 {
				t.Errorf("round %d: no sum of what was written in order", round)
			}
		} else {
			sums++
			_, err := it.sum.add(t.Context(), &it.content, -1)
			must(t, err)
			h := sha256.New()
			p := make([]byte, it.content.size)
			_, err = it.content.readAt(t.Context(), p, 0)
			must(t, err)
			h.Write(p)
			if want, got := hex.EncodeToString(h.Sum(nil)), it.sum.hex(&it.content); got != want {
				t.Fatalf("round %d: the sum of %d bytes is %s, want %s", round, len(p), got, want)
			}
		}
		it.release()
		must(t, f.Release())
	}
	if sums < 10 || none < 10 {
		t.Errorf("%d sums, %d none", sums, none)
	}
	r.flush("")
	r.wantClean()
}
