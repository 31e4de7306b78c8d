package fs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// addLFS commits an LFS file of random bytes, and returns them.
func addLFS(t *testing.T, s *hubtest.Server, repo, path string, size int) []byte {
	t.Helper()
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size)}).Read(content)
	ref, err := s.Hub.PutLFS(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Hub.Commit("model", repo, "main", localhub.CommitInput{
		Title: "add " + path, Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: path, LFS: &ref}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// needPassthrough skips a test where the kernel, or who runs it, can't.
func needPassthrough(t *testing.T, m *mounted) {
	t.Helper()
	if !m.status().Passthrough {
		t.Skip("passthrough needs root and Linux 6.9 or newer")
	}
}

// A whole blob is read although the daemon is stopped: the kernel doesn't ask it.
func TestPassthrough(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "x"})
	content := addLFS(t, s, "alice/m", "w.bin", 3<<20)
	m := mount(t, s, "alice/m")
	needPassthrough(t, m)
	wantContent(t, m.path("w.bin"), string(content)) // makes it whole, through pages
	f, err := os.Open(m.path("w.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := m.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer m.cmd.Process.Signal(syscall.SIGCONT) //nolint:errcheck // it has ended, then
	got := make([]byte, len(content))
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
		t.Errorf("read: %v", err)
	}
	mapped, err := syscall.Mmap(int(f.Fd()), 0, len(content), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(mapped, content) {
		t.Error("a map shows other bytes")
	}
	if err := syscall.Munmap(mapped); err != nil {
		t.Error(err)
	}
}

// Many open, read, map and close a file while it becomes whole: the two ways of
// opening it never meet on one inode, which would be EIO.
func TestPassthroughBesideReads(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "x"})
	var contents [][]byte
	for i := range 16 { // each becomes whole once: the moment that counts
		contents = append(contents, addLFS(t, s, "alice/m", fmt.Sprintf("w%d.bin", i), 2<<20+i))
	}
	m := mount(t, s, "alice/m")
	needPassthrough(t, m)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 0))
			for range 200 {
				n := rng.IntN(len(contents))
				off := rng.IntN(len(contents[n]))
				if err := readBack(m.path(fmt.Sprintf("w%d.bin", n)), contents[n], off, 1+rng.IntN(1<<16)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if st := m.status(); len(st.Errors) > 0 {
		t.Errorf("errors: %v", st.Errors)
	}
}

// readBack compares a piece of a file with what it should be.
func readBack(path string, want []byte, off, n int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	want = want[off:min(off+n, len(want))]
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, int64(off)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s: wrong bytes at %d", path, off)
	}
	return nil
}
