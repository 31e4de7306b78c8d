package fs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// smallFiles makes a repository of folders with small files, and one in LFS.
func smallFiles(t testing.TB, s *hubtest.Server, folders, files int) map[string][]byte {
	t.Helper()
	if err := s.Hub.CreateRepo("dataset", "alice/small", localhub.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	r := rand.New(rand.NewPCG(3, 4))
	var ops []localhub.Operation
	for i := range folders {
		for j := range files {
			path := fmt.Sprintf("%03d/%05d.json", i, j)
			text := make([]byte, 100+(i*files+j)%400)
			for k := range text {
				text[k] = byte(r.Uint32())
			}
			all[path] = fmt.Appendf(nil, `{"folder":%d,"file":%d,"text":"%x"}`, i, j, text)
			ops = append(ops, localhub.Operation{Kind: localhub.OpAdd, Path: path, Content: all[path]})
		}
	}
	if _, err := s.Hub.Commit("dataset", "alice/small", "main", localhub.CommitInput{Title: "small", Operations: ops}); err != nil {
		t.Fatal(err)
	}
	return all
}

// Who reads all small files of a repository, one after the other or several at
// once, costs a handful of requests.
func TestPacksOfWalk(t *testing.T) {
	s := hubtest.New(t)
	const folders, files = 100, 40
	all := smallFiles(t, s, folders, files)
	for _, readers := range []int{1, 8} {
		t.Run(fmt.Sprint(readers), func(t *testing.T) {
			m := mount(t, s, "datasets/alice/small")
			s.Hub.ResetCounts()
			began := time.Now()
			paths := make(chan string)
			var wg sync.WaitGroup
			for range readers {
				wg.Go(func() {
					for p := range paths {
						if got, err := os.ReadFile(m.path(p)); err != nil || !bytes.Equal(got, all[p]) {
							t.Errorf("%s: %d bytes, %v", p, len(got), err)
						}
					}
				})
			}
			for i := range folders {
				if _, err := os.ReadDir(m.path(fmt.Sprintf("%03d", i))); err != nil {
					t.Fatal(err)
				}
				for j := range files {
					paths <- fmt.Sprintf("%03d/%05d.json", i, j)
				}
			}
			close(paths)
			wg.Wait()
			n := s.Hub.Counts()
			t.Logf("%d files in %v: %+v", folders*files, time.Since(began), n)
			if n.Resolve > 2*readers || n.API > 60 {
				t.Errorf("%d files took %d requests for files and %d others", folders*files, n.Resolve, n.API)
			}
		})
	}
}

// Who reads a few small files at random gets little more than those.
func TestPacksOfFew(t *testing.T) {
	s := hubtest.New(t)
	const folders, files = 10, 200
	all := smallFiles(t, s, folders, files)
	m := mount(t, s, "datasets/alice/small")
	total := 0
	for i := range folders {
		if _, err := os.ReadDir(m.path(fmt.Sprintf("%03d", i))); err != nil {
			t.Fatal(err)
		}
	}
	s.Hub.ResetCounts()
	r := rand.New(rand.NewPCG(1, 2))
	const few = 40
	for range few {
		p := fmt.Sprintf("%03d/%05d.json", r.IntN(folders), r.IntN(files))
		if got, err := os.ReadFile(m.path(p)); err != nil || !bytes.Equal(got, all[p]) {
			t.Errorf("%s: %d bytes, %v", p, len(got), err)
		}
		total += len(all[p])
	}
	got := 0
	for _, r := range s.Hub.Requests() {
		got += int(r.Bytes)
	}
	t.Logf("%d bytes were fetched to read %d", got, total)
	if got > freeBytes+(packRisk+2)*total {
		t.Errorf("%d bytes were fetched to read %d", got, total)
	}
	if n := s.Hub.Counts(); n.Resolve+n.API > few {
		t.Errorf("%d random reads took %+v", few, n)
	}
}

// Where packs break, the files come all the same.
func TestPacksThatBreak(t *testing.T) {
	s := hubtest.New(t)
	all := smallFiles(t, s, 1, 100)
	m := mount(t, s, "datasets/alice/small", func(c *daemonConfig) { c.Retries = 12 })
	if _, err := os.ReadDir(m.path("000")); err != nil {
		t.Fatal(err)
	}
	s.Hub.SetNetwork(localhub.Network{Seed: 1, Faults: map[localhub.Fault]float64{localhub.FaultTruncate: 0.2, localhub.FaultReset: 0.1}})
	for p, want := range all {
		if got, err := os.ReadFile(m.path(p)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", p, len(got), err)
		}
	}
}
