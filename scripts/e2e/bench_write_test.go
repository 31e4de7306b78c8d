//go:build bench

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// writing copies files into a mount, against onto the local disk, and commits them,
// against the official client. Each round has other content, for the Hub has what
// it was sent before.
func writing(t *testing.T) []row {
	const size = 1 << 30
	u := newUser(t)
	dir := u.mount(repoID, "--every", "0")
	local := t.TempDir()
	src := filepath.Join(t.TempDir(), "model.safetensors")
	round := 0
	fresh := func() string {
		round++
		noise(t, src, size, byte(round))
		return fmt.Sprintf("model-%d.safetensors", round)
	}
	cp := func(to string) float64 {
		settle()
		start := time.Now()
		if out, err := exec.CommandContext(t.Context(), "cp", src, to).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v: %s", err, out)
		}
		return time.Since(start).Seconds()
	}
	var copying, committing []float64
	for range rounds {
		name := fresh()
		toDisk := cp(filepath.Join(local, "copy"))
		settle()
		start := time.Now()
		toMount := cp(filepath.Join(dir, name))
		u.hubfs("flush", dir)
		ours := time.Since(start).Seconds()
		if err := os.Remove(filepath.Join(local, "copy")); err != nil {
			t.Fatal(err)
		}
		name = fresh()
		settle()
		theirs := u.python(`huggingface_hub.HfApi().upload_file(path_or_fileobj="`+src+`", path_in_repo="`+name+`", repo_id="`+repoID+`")`, local)
		t.Logf("cp to disk %.2f s, into the mount %.2f s, committed after %.2f s; upload_file %.2f s", toDisk, toMount, ours, theirs)
		copying, committing = append(copying, toDisk/toMount), append(committing, ours/theirs)
	}
	return []row{
		{"cp of 1 GiB into a mount over cp onto the local disk", median(copying), "x", ">= 0.8", "speed"},
		{"cp of 1 GiB and flush, over upload_file", median(committing), "x", "<= 1.1", "time"},
	}
}

// manySmall commits 1,000 files of 1 KiB.
func manySmall(t *testing.T) []row {
	u := newUser(t)
	dir := u.mount(repoID, "--every", "0")
	round := 0
	fresh := func() string {
		round++
		src := filepath.Join(t.TempDir(), fmt.Sprintf("folder-%d", round))
		if err := os.MkdirAll(src, 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			noise(t, filepath.Join(src, fmt.Sprintf("f%03d.json", i)), 1024, byte(round))
		}
		return src
	}
	ours := func() float64 {
		src := fresh()
		settle()
		start := time.Now()
		if out, err := exec.CommandContext(t.Context(), "cp", "-r", src, dir).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v: %s", err, out)
		}
		u.hubfs("flush", dir)
		return time.Since(start).Seconds()
	}
	theirs := func() float64 {
		src := fresh()
		settle()
		return u.python(`huggingface_hub.HfApi().upload_folder(folder_path="`+src+`", path_in_repo="`+filepath.Base(src)+`", repo_id="`+repoID+`")`, src)
	}
	return []row{{"cp of 1,000 files of 1 KiB and flush, over upload_folder", ratio(ours, theirs), "x", "<= 0.5", "time"}}
}

// settle lets the disk take what was written so far, so that nobody pays for another.
func settle() { unix.Sync() }

// noise fills a file with bytes that no other seed and name give.
func noise(t *testing.T, path string, size int64, seed byte) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	key := [32]byte{seed}
	copy(key[1:], filepath.Base(path))
	rng, buf := rand.NewChaCha8(key), make([]byte, min(size, 1<<20))
	for n := int64(0); n < size; n += int64(len(buf)) {
		rng.Read(buf)
		if _, err := f.Write(buf); err != nil {
			t.Fatal(err)
		}
	}
}
