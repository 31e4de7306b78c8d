package blobcache

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// embedded is a cache before the embedded Hub, with some files there.
func embedded(t *testing.T, sizes ...int) (*hubtest.Server, *testCache, []File, [][]byte) {
	srv := hubtest.New(t)
	if err := srv.Hub.CreateRepo("model", "alice/m", localhub.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	var in localhub.CommitInput
	var files []File
	var contents [][]byte
	for i, n := range sizes {
		data := random(n, uint64(300+i))
		f := File{Repo: hub.Repo{Type: hub.Model, ID: "alice/m"}, Revision: "main", Path: fmt.Sprintf("d %d/é%d", i, n), Size: int64(n)}
		op := localhub.Operation{Kind: localhub.OpAdd, Path: f.Path}
		if i%2 == 0 {
			ref, err := srv.Hub.PutLFS(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			op.LFS, f.Hash = &ref, ref.OID
		} else {
			op.Content, f.Hash = data, gitHash(data)
		}
		in.Operations = append(in.Operations, op)
		files, contents = append(files, f), append(contents, data)
	}
	in.Title = "files"
	commit, err := srv.Hub.Commit("model", "alice/m", "main", in)
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		files[i].Commit = commit
	}
	client, err := hub.New(hub.Config{
		Endpoint: srv.URL, Token: hub.StaticToken(srv.Token), ProgressTimeout: 300 * time.Millisecond,
		Retries: 12, // no dice may fall so that one read of all fails
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	top := t.TempDir()
	tc := &testCache{t: t, opts: Options{Hub: client, CacheDir: filepath.Join(top, "hub"), Dir: filepath.Join(top, "hubfs")}}
	tc.reopen()
	t.Cleanup(func() { tc.Close() })
	return srv, tc, files, contents
}

func TestEmbeddedHub(t *testing.T) {
	srv, c, files, contents := embedded(t, 3<<20, 2<<20, 1000, 1000, 0, 0)
	for i, f := range files {
		c.fetch(f)
		c.want(f, contents[i])
	}
	n := srv.Hub.Counts()
	for i, f := range files {
		c.want(f, contents[i])
	}
	if now := srv.Hub.Counts(); now != n {
		t.Errorf("what is here cost requests: %+v, %+v", n, now)
	}
}

func TestReadsUnderFaults(t *testing.T) {
	srv, c, files, contents := embedded(t, 24<<20, 3<<20, 5000, 7000, 300_000)
	faults := map[localhub.Fault]float64{}
	for _, f := range []localhub.Fault{
		localhub.FaultReset, localhub.FaultTruncate, localhub.FaultStall, localhub.FaultStatus503, localhub.FaultExpireURL,
	} {
		faults[f] = 0.05
	}
	srv.Hub.SetNetwork(localhub.Network{Faults: faults, Seed: time.Now().UnixNano()})
	var wg sync.WaitGroup
	var failed atomic.Int64
	const workers, reads = 8, 60
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(w)))
			for range reads {
				i := r.IntN(len(files))
				b := c.open(files[i])
				off := r.IntN(len(contents[i]))
				p := make([]byte, 1+r.IntN(min(200_000, len(contents[i])-off)))
				n, err := b.ReadAt(t.Context(), p, int64(off))
				switch {
				case err != nil:
					failed.Add(1)
					if !errors.Is(err, hub.ErrUnavailable) && !errors.Is(err, hub.ErrLocationExpired) && !errors.Is(err, hub.ErrProtocol) {
						t.Errorf("not a clean error: %v", err)
					}
				case n != len(p) || !bytes.Equal(p, contents[i][off:off+n]):
					t.Errorf("wrong bytes at %d of %s", off, files[i].Path)
				}
				b.Close()
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > workers*reads/20 {
		t.Errorf("%d of %d reads failed", n, workers*reads)
	}
	if s := c.Stats(); s.Corrupt != 0 {
		t.Errorf("%d corrupt", s.Corrupt)
	}
}

func TestReadsUnderCorruption(t *testing.T) {
	srv, c, files, contents := embedded(t, 9<<20, 2000, 5000, 7000, 300_000)
	srv.Hub.SetNetwork(localhub.Network{Faults: map[localhub.Fault]float64{localhub.FaultCorrupt: 0.3}, Seed: 1})
	good := map[string][]byte{}
	for i, f := range files {
		good[f.Hash] = contents[i]
	}
	for range 20 {
		for i, f := range files {
			b := c.open(f)
			p := make([]byte, f.Size)
			_, err := b.ReadAt(t.Context(), p, 0)
			if err == nil && f.Size <= smallFile && !bytes.Equal(p, contents[i]) {
				t.Fatal("a bad small file was served")
			}
			if err == nil && f.Size > smallFile && !bytes.Equal(p, contents[i]) {
				if err := b.Fetch(t.Context()); !errors.Is(err, ErrCorrupt) {
					t.Fatal("a bad large file isn't noticed:", err)
				}
			}
			b.Close()
			blobs, _ := filepath.Glob(filepath.Join(c.opts.CacheDir, "*/blobs/*"))
			for _, p := range blobs {
				if filepath.Ext(p) != ".incomplete" && !bytes.Equal(mustRead(t, p), good[filepath.Base(p)]) {
					t.Fatal("a bad blob got a name")
				}
			}
		}
		if err := os.RemoveAll(c.opts.CacheDir); err != nil {
			t.Fatal(err)
		}
		c.reopen()
	}
	srv.Hub.SetNetwork(localhub.Network{})
	for i, f := range files {
		c.fetch(f)
		c.want(f, contents[i])
	}
}
