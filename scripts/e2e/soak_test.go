//go:build soak

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/localhub"
)

const (
	kills  = 500
	copies = 1000 // of a file into a mount, each with a flush
)

// readerEnv makes this program a child of its own tests: the reader of random
// ranges that readRandomly is.
const readerEnv = "HUBFS_E2E_READER"

func TestMain(m *testing.M) {
	if os.Getenv(readerEnv) == "" {
		os.Exit(m.Run())
	}
	if err := readRandomly(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Sixteen processes read a 5 GiB file in random pieces at once.
func TestManyProcessesOneLargeFile(t *testing.T) {
	u := newUser(t)
	original := islands(t, 5<<30)
	u.addLFS("large.bin", original)
	dir := u.mount(repoID)
	startReaders(t, 16, filepath.Join(dir, "large.bin"), original, readers{count: 200, maxLen: 1 << 20})
}

// A thousand reads of random ranges under every fault of the network that
// doesn't alter bytes: right bytes, or a clean error, and an end.
func TestRandomRangesUnderFaults(t *testing.T) {
	u := newUser(t)
	original := islands(t, 512<<20)
	u.addLFS("large.bin", original)
	dir := u.mount(repoID)
	faults := map[localhub.Fault]float64{
		"reset": 0.05, "truncate": 0.05, "stall": 0.05, "status-429": 0.05,
		"status-503": 0.05, "expire-url": 0.05, "stale-head": 0.05,
	}
	u.srv.Hub.SetNetwork(localhub.Network{Faults: faults, Seed: 1})
	// A stalled answer costs the time without progress that a client allows: many
	// readers wait side by side.
	startReaders(t, 20, filepath.Join(dir, "large.bin"), original, readers{count: 50, maxLen: 256 << 10, tolerate: true})
}

// A corrupting network: small files are right or fail, and once the network is
// sane again the large file, read to its end, is right as well.
func TestCorruption(t *testing.T) {
	u := newUser(t)
	original := islands(t, 64<<20)
	u.addLFS("large.bin", original)
	small := make(map[string][]byte)
	var ops []localhub.Operation
	for i := range 200 {
		name := fmt.Sprintf("small/%03d.txt", i)
		small[name] = bytes.Repeat([]byte(name+"\n"), 1+i)
		ops = append(ops, localhub.Operation{Kind: localhub.OpAdd, Path: name, Content: small[name]})
	}
	u.commit("small files", ops...)
	dir := u.mount(repoID)

	u.srv.Hub.SetNetwork(localhub.Network{Faults: map[localhub.Fault]float64{"corrupt": 0.3}, Seed: 2})
	failed := 0
	for name, want := range small {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			failed++
			continue
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%s: corrupt bytes were served", name)
		}
	}
	t.Logf("%d of %d small files failed cleanly", failed, len(small))
	if _, err := io.Copy(io.Discard, mustOpen(t, filepath.Join(dir, "large.bin"))); err == nil {
		t.Log("the large file met no corruption")
	}
	checkHubCache(t, filepath.Join(u.home, "hf", "hub"))

	u.srv.Hub.SetNetwork(localhub.Network{})
	same(t, filepath.Join(dir, "large.bin"), original)
	for name, want := range small {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s after the network is sane: %v", name, err)
		}
	}
	checkHubCache(t, filepath.Join(u.home, "hf", "hub"))
}

// A folder of 100,000 files is listed, and a file in it found and read.
func TestOneLargeFolder(t *testing.T) {
	u := newUser(t)
	var ops []localhub.Operation
	for i := range 100_000 {
		name := fmt.Sprintf("all/%06d.txt", i)
		ops = append(ops, localhub.Operation{Kind: localhub.OpAdd, Path: name, Content: []byte(name)})
	}
	u.commit("100,000 files in a folder", ops...)
	u.srv.Hub.ResetCounts()
	dir := u.mount(repoID)
	names, err := os.ReadDir(filepath.Join(dir, "all"))
	if err != nil || len(names) != len(ops) {
		t.Fatalf("%d names, %v", len(names), err)
	}
	for i, n := range names {
		if want := fmt.Sprintf("%06d.txt", i); n.Name() != want {
			t.Fatalf("name %d is %s, want %s", i, n.Name(), want)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "all", "077777.txt")); err != nil || string(got) != "all/077777.txt" {
		t.Errorf("%q, %v", got, err)
	}
	if n := u.srv.Hub.Counts().API; n > 105 {
		t.Errorf("%d API requests", n)
	}
}

type readers struct {
	count    int // of reads, each
	maxLen   int // of one read, bytes
	tolerate bool
}

// startReaders runs n children over one file and waits for all of them.
func startReaders(t *testing.T, n int, mounted, original string, r readers) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], mounted, original, strconv.Itoa(i+1), strconv.Itoa(r.count), strconv.Itoa(r.maxLen), strconv.FormatBool(r.tolerate))
			cmd.Env = append(os.Environ(), readerEnv+"=1")
			cmd.WaitDelay = time.Second
			timer := time.AfterFunc(10*time.Minute, func() { cmd.Process.Kill() }) //nolint:errcheck // then it has ended
			defer timer.Stop()
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("reader %d: %v: %s", i, err, out)
				return
			}
			t.Logf("reader %d: %s", i, bytes.TrimSpace(out))
		})
	}
	wg.Wait()
}

// readRandomly is the child: MOUNTED ORIGINAL SEED COUNT MAXLEN TOLERATE. Where
// TOLERATE is true a failed read is counted and not an end; wrong bytes always
// are.
func readRandomly(args []string) error {
	seed, _ := strconv.ParseUint(args[2], 10, 64)
	count, _ := strconv.Atoi(args[3])
	maxLen, _ := strconv.Atoi(args[4])
	tolerate := args[5] == "true"
	want, err := os.Open(args[1])
	if err != nil {
		return err
	}
	defer want.Close()
	info, err := want.Stat()
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	buf, ref := make([]byte, maxLen), make([]byte, maxLen)
	failed := 0
	for i := range count {
		off, n := rng.Int64N(info.Size()), 1+rng.IntN(maxLen)
		wantN, err := want.ReadAt(ref[:n], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		gotN, err := readRange(args[0], buf[:n], off)
		if err != nil {
			if !tolerate {
				return fmt.Errorf("read %d, of %d bytes at %d: %w", i, n, off, err)
			}
			failed++
			continue
		}
		if gotN != wantN || !bytes.Equal(buf[:gotN], ref[:wantN]) {
			return fmt.Errorf("read %d, of %d bytes at %d: wrong bytes (%d, not %d)", i, n, off, gotN, wantN)
		}
	}
	fmt.Printf("%d of %d reads failed cleanly\n", failed, count)
	return nil
}

func readRange(path string, p []byte, off int64) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func mustOpen(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// same fails unless two files hold the same bytes.
func same(t *testing.T, a, b string) {
	t.Helper()
	if out, err := exec.Command("cmp", a, b).CombinedOutput(); err != nil {
		t.Fatalf("cmp: %v: %s", err, out)
	}
}

// checkHubCache fails if a blob in huggingface_hub's cache isn't what its name
// says.
func checkHubCache(t *testing.T, cache string) {
	t.Helper()
	blobs, err := filepath.Glob(filepath.Join(cache, "*", "blobs", "*"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, blob := range blobs {
		name := filepath.Base(blob)
		var out []byte
		switch len(name) {
		case 64:
			out, err = exec.Command("sha256sum", blob).Output()
		case 40:
			out, err = exec.Command("git", "hash-object", "--no-filters", blob).Output()
		default: // a download under way
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(out, []byte(name)) {
			t.Errorf("%s holds other bytes", blob)
		}
		checked++
	}
	t.Logf("%d blobs in the cache of huggingface_hub are right", checked)
}
