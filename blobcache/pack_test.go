package blobcache

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/localhub"
)

// smallSizes are those of files, of which embedded puts every second one into LFS.
func smallSizes(n int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = 100 + 37*i
	}
	return sizes
}

func TestPack(t *testing.T) {
	srv, c, files, contents := embedded(t, smallSizes(400)...)
	srv.Hub.ResetCounts()
	var readers sync.WaitGroup
	begun := func(n int) {
		if n != 200 {
			t.Errorf("the pack has %d files, not 200", n)
		}
		for i := 1; i < len(files); i += 2 {
			readers.Go(func() {
				c.want(files[i], contents[i])
			})
		}
	}
	repo := files[0].Repo
	if err := c.FetchPack(t.Context(), repo, files, begun); err != nil {
		t.Fatal(err)
	}
	readers.Wait()
	if n := srv.Hub.Counts(); n.API > 2 || n.Resolve != 0 { // one, but for a very slow machine
		t.Errorf("200 files cost %+v", n)
	}
	for i := 1; i < len(files); i += 2 {
		path, err := c.shared.SnapshotPath(repo, files[i].Commit, files[i].Path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, contents[i]) {
			t.Errorf("the shared cache lacks %s: %v", files[i].Path, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(must(c.shared.BlobPath(repo, files[1].Hash))), "*.incomplete")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	// What is here isn't asked for again.
	if err := c.FetchPack(t.Context(), repo, files, func(n int) {
		if n != 0 {
			t.Errorf("%d files are fetched twice", n)
		}
	}); err != nil {
		t.Error(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestPackWithout has readers fetch for themselves what a pack doesn't bring.
func TestPackWithout(t *testing.T) {
	srv, c, files, contents := embedded(t, smallSizes(20)...)
	srv.Hub.SetNetwork(localhub.Network{Seed: 3, Faults: map[localhub.Fault]float64{localhub.FaultReset: 0.3, localhub.FaultStatus503: 0.2}})
	var readers sync.WaitGroup
	err := c.FetchPack(t.Context(), files[0].Repo, files, func(int) {
		for i := range files {
			readers.Go(func() { c.want(files[i], contents[i]) })
		}
	})
	readers.Wait()
	t.Logf("the pack: %v", err)

	// One that the Hub refuses keeps nobody waiting, and isn't tried twice.
	lone := files[1]
	lone.Repo = hub.Repo{Type: hub.Model, ID: "alice/none"}
	lone.Hash = gitHash([]byte("something else"))
	if err := c.FetchPack(t.Context(), lone.Repo, []File{lone}, func(int) {}); err == nil {
		t.Error("a pack of a repository that doesn't exist")
	}
	if _, err := c.open(lone).ReadAt(t.Context(), make([]byte, 1), 0); err == nil {
		t.Error("a file of a repository that doesn't exist")
	}
}

// TestPackWithoutDisk serves from memory what no disk takes.
func TestPackWithoutDisk(t *testing.T) {
	_, c, files, contents := embedded(t, smallSizes(20)...)
	for _, dir := range []string{c.opts.CacheDir, c.opts.Dir} {
		if err := os.WriteFile(dir, nil, 0o600); err != nil { // no folder can be made
			t.Fatal(err)
		}
	}
	b := c.open(files[1])
	if err := c.FetchPack(t.Context(), files[0].Repo, files, func(int) {}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(contents[1]))
	if _, err := b.ReadAt(t.Context(), got, 0); err != nil || !bytes.Equal(got, contents[1]) {
		t.Errorf("read: %v", err)
	}
	c.want(files[3], contents[3])
}
