package fs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hubfs/hubfs/hub/hubtest"
)

// checkBlobs hashes all whole blobs of the cache: nobody may ever write into one.
func checkBlobs(t *testing.T, cacheDir string) {
	t.Helper()
	checked := 0
	err := filepath.WalkDir(cacheDir, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || len(d.Name()) != 64 || filepath.Base(filepath.Dir(p)) != "blobs" {
			return err
		}
		data, err := os.ReadFile(p)
		sum := sha256.Sum256(data)
		if err == nil && hex.EncodeToString(sum[:]) != d.Name() {
			t.Errorf("%s has other bytes than its name says", p)
		}
		checked++
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked == 0 {
		t.Error("there are no blobs to check")
	}
}

// Readers in passthrough and writers meet on the same files again and again: nobody
// gets an error, who was there before the writer keeps what he opened, and the blobs
// that others read from the cache stay as they are.
func TestReadersAndWriters(t *testing.T) {
	const size, rounds, workers = 256 << 10, 6, 8
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"README.md": "x"})
	names := []string{"a.bin", "b.bin", "c.bin"}
	content := make(map[string][]byte)
	for i, name := range names {
		content[name] = addLFS(t, s, "alice/m", name, size+i)
	}
	m := mountWritable(t, s, "alice/m")
	through := 0
	for round := range rounds {
		before := make(map[string]*os.File)
		for _, name := range names {
			wantContent(t, m.path(name), string(content[name])) // whole from now on
			f, err := os.Open(m.path(name))
			if err != nil {
				t.Fatal(err)
			}
			before[name] = f
		}
		var work sync.WaitGroup
		var opened atomic.Int64
		for w := range workers {
			work.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(w)))
				for range 40 {
					name := names[r.IntN(len(names))]
					if err := meet(m.path(name), r, len(content[name])); err != nil {
						t.Errorf("round %d: %v", round, err)
						return
					}
					opened.Add(1)
				}
			})
		}
		work.Wait()
		for _, name := range names {
			now, err := os.ReadFile(m.path(name))
			if err != nil || bytes.Equal(now, content[name]) || len(now) != len(content[name]) {
				t.Fatalf("round %d: %s wasn't written: %d bytes, %v", round, name, len(now), err)
			}
			// In passthrough it is what was opened, else what is there now.
			got, err := io.ReadAll(io.NewSectionReader(before[name], 0, 1<<30))
			if err != nil || !bytes.Equal(got, now) && !bytes.Equal(got, content[name]) {
				t.Errorf("round %d: who opened %s before it was written to reads a mixture (%v)", round, name, err)
			}
			if bytes.Equal(got, content[name]) {
				through++
			}
			before[name].Close()
			content[name] = now
		}
		checkBlobs(t, m.cfg.CacheDir)
		m.wait("", m.commitAll().OID)
		for _, name := range names {
			wantHub(t, s, "alice/m", "main", name, string(content[name]))
		}
	}
	checkBlobs(t, m.cfg.CacheDir)
	if m.status().Passthrough && through < len(names) {
		t.Errorf("%d readers were in passthrough", through)
	}
	t.Logf("%d of %d readers were in passthrough", through, rounds*len(names))
}

// meet reads or writes a file, in one of several ways.
func meet(path string, r *rand.Rand, size int) error {
	if r.IntN(2) == 0 {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("open to read: %w", err)
		}
		defer f.Close()
		buf := make([]byte, 4096)
		for range 3 {
			if _, err := f.ReadAt(buf, r.Int64N(int64(size-len(buf)))); err != nil {
				return fmt.Errorf("read: %w", err)
			}
		}
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open to write: %w", err)
	}
	buf := bytes.Repeat([]byte{byte(r.IntN(256))}, 1+r.IntN(9000))
	if _, err := f.WriteAt(buf, r.Int64N(int64(size-len(buf)))); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// Who has a file in passthrough keeps it when others truncate it by its name, give it
// another name and write to it then, or remove it.
func TestPassthroughAndNames(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"README.md": "x"})
	content := make(map[string][]byte)
	names := []string{"truncated.bin", "renamed.bin", "removed.bin", "replaced.bin"}
	for i, name := range names {
		content[name] = addLFS(t, s, "alice/m", name, 100_000+i)
	}
	m := mountWritable(t, s, "alice/m")
	before := make(map[string]*os.File)
	for _, name := range names {
		wantContent(t, m.path(name), string(content[name]))
		f, err := os.Open(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		before[name] = f
	}
	write := func(name, text string) {
		t.Helper()
		f, err := os.OpenFile(m.path(name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte(text), 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(m.path("truncated.bin"), 50); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(m.path("renamed.bin"), m.path("new.bin")); err != nil {
		t.Fatal(err)
	}
	write("new.bin", "written")
	if err := os.Rename(m.path("new.bin"), m.path("renamed.bin")); err != nil {
		t.Fatal(err)
	}
	write("renamed.bin", "WRITTEN")
	if err := os.Remove(m.path("removed.bin")); err != nil {
		t.Fatal(err)
	}
	m.write("removed.bin", "another")
	m.write("tmp", "a whole new one")
	if err := os.Rename(m.path("tmp"), m.path("replaced.bin")); err != nil {
		t.Fatal(err)
	}
	renamed := bytes.Clone(content["renamed.bin"])
	copy(renamed[10:], "WRITTEN")
	want := map[string]string{
		"truncated.bin": string(content["truncated.bin"][:50]), "renamed.bin": string(renamed),
		"removed.bin": "another", "replaced.bin": "a whole new one",
	}
	for name, text := range want {
		wantContent(t, m.path(name), text)
	}
	if m.status().Passthrough {
		for _, name := range names {
			got, err := io.ReadAll(io.NewSectionReader(before[name], 0, 1<<20))
			// A blob that isn't on disk yet isn't read in passthrough: then local writes show.
			if err != nil || !bytes.Equal(got, content[name]) && string(got) != want[name] {
				t.Errorf("who had %s open reads %d other bytes, %v", name, len(got), err)
			}
		}
	}
	checkBlobs(t, m.cfg.CacheDir)
	m.commitAll()
	for name, text := range want {
		wantHub(t, s, "alice/m", "main", name, text)
		wantContent(t, m.path(name), text)
	}
	checkBlobs(t, m.cfg.CacheDir)
}
