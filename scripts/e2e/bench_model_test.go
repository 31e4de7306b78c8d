//go:build bench

package e2e

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/localhub"
)

// tensorBytes is the size of a tensor of the model.
const tensorBytes = 4 << 20

// model puts a model of two shards with so many tensors each on the Hub, with its
// index.
func (u *user) model(tensors int) {
	u.t.Helper()
	weights := make(map[string]string)
	for shard := range 2 {
		name := fmt.Sprintf("model-%05d-of-00002.safetensors", shard+1)
		header := make(map[string]any)
		for i := range tensors {
			tensor := fmt.Sprintf("layer.%d.%d.weight", shard, i)
			weights[tensor] = name
			header[tensor] = map[string]any{"dtype": "F32", "shape": []int{1024, 1024}, "data_offsets": []int{i * tensorBytes, (i + 1) * tensorBytes}}
		}
		path := filepath.Join(u.t.TempDir(), name)
		f, err := os.Create(path)
		if err != nil {
			u.t.Fatal(err)
		}
		head, err := json.Marshal(header)
		if err != nil {
			u.t.Fatal(err)
		}
		head = append(head, strings.Repeat(" ", (8-len(head)%8)%8)...)
		for _, part := range []any{uint64(len(head)), head} {
			if err := binary.Write(f, binary.LittleEndian, part); err != nil {
				u.t.Fatal(err)
			}
		}
		random := rand.NewChaCha8([32]byte{byte(shard)})
		tensor := make([]byte, tensorBytes)
		for range tensors {
			random.Read(tensor)
			if _, err := f.Write(tensor); err != nil {
				u.t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			u.t.Fatal(err)
		}
		u.addLFS(name, path)
	}
	index, err := json.Marshal(map[string]any{"metadata": map[string]any{}, "weight_map": weights})
	if err != nil {
		u.t.Fatal(err)
	}
	u.commit("index", localhub.Operation{Kind: localhub.OpAdd, Path: "model.safetensors.index.json", Content: index},
		localhub.Operation{Kind: localhub.OpAdd, Path: "config.json", Content: []byte(`{"model_type":"synthetic"}`)})
}

// load reads a model as transformers does: its configuration, its index, and then
// each tensor of each shard, in the shard's order, through a map.
const load = `
import json, os
json.load(open(os.path.join(where, "config.json")))
index = json.load(open(os.path.join(where, "model.safetensors.index.json")))
total = 0
for shard in sorted(set(index["weight_map"].values())):
    with safetensors.safe_open(os.path.join(where, shard), "numpy") as f:
        for name in f.keys():
            total += f.get_tensor(name).nbytes
assert total == %d, total
`

// shards loads a model of two shards through a cold mount, against snapshot_download
// and then loading.
func shards(t *testing.T) []row {
	const tensors = 64
	u := newUser(t)
	u.model(tensors)
	program := fmt.Sprintf(load, 2*tensors*tensorBytes)
	mounted := func() float64 {
		u.srv.Hub.SetNetwork(localhub.Network{})
		u.forget()
		dir := u.mount(repoID)
		defer u.umount(dir)
		u.srv.Hub.SetNetwork(link)
		return u.python("where = "+fmt.Sprintf("%q", dir)+program, t.TempDir())
	}
	downloaded := func() float64 {
		u.srv.Hub.SetNetwork(link)
		return u.python(`where = snapshot_download("`+repoID+`", cache_dir=WORK)`+program, t.TempDir())
	}
	versus := ratio(mounted, downloaded)
	u.srv.Hub.SetNetwork(localhub.Network{})
	return []row{{"loading two safetensors shards, cold, over snapshot_download then load", versus, "x", "<= 0.6", "of the time; 512 MiB"}}
}

// oneTensor reads one tensor out of a cold file.
func oneTensor(t *testing.T) []row {
	u := newUser(t)
	u.model(64)
	var fetched, trips []float64
	for range rounds {
		u.srv.Hub.SetNetwork(localhub.Network{})
		u.forget()
		dir := u.mount(repoID)
		shard := filepath.Join(dir, "model-00001-of-00002.safetensors")
		u.srv.Hub.SetNetwork(link)
		u.srv.Hub.ResetCounts()
		took := u.python(fmt.Sprintf(`f = safetensors.safe_open(%q, "numpy"); assert f.get_tensor("layer.0.40.weight").nbytes == %d`, shard, tensorBytes), t.TempDir())
		fetched = append(fetched, float64(u.srv.Hub.Counts().ContentBytes-tensorBytes)/(1<<20))
		trips = append(trips, took/link.Latency.Seconds())
		u.srv.Hub.SetNetwork(localhub.Network{})
		u.umount(dir)
	}
	return []row{
		{"one tensor of a cold safetensors file, fetched beside it", median(fetched), "MiB", "<= 1", "a tensor of 4 MiB"},
		{"one tensor of a cold safetensors file, time", median(trips), "RTT", "<= 8.6", "3 and the transfer at 25 MB/s"},
	}
}

// mappedFaults lets 64 threads touch the pages of a cold, mapped file, against a
// sequential read.
func mappedFaults(t *testing.T) []row {
	const size = 256 << 20
	u := newUser(t)
	u.addLFS("big.bin", dense(t, size))
	cold := func(use func(path string) float64) float64 {
		u.srv.Hub.SetNetwork(localhub.Network{})
		u.forget()
		dir := u.mount(repoID)
		defer u.umount(dir)
		u.srv.Hub.SetNetwork(link)
		return use(filepath.Join(dir, "big.bin"))
	}
	versus := ratio(
		func() float64 {
			return cold(func(path string) float64 {
				return size / u.python(fmt.Sprintf(`
import mmap, threading
f = open(%q, "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
part = len(m) // 64
def touch(i):
    view = numpy.frombuffer(m, dtype=numpy.uint8, count=part, offset=i * part)
    view[::4096].sum()
threads = [threading.Thread(target=touch, args=(i,)) for i in range(64)]
[t.start() for t in threads]
[t.join() for t in threads]
`, path), t.TempDir())
			})
		},
		func() float64 { return cold(func(path string) float64 { return readAll(t, path) }) })
	u.srv.Hub.SetNetwork(localhub.Network{})
	return []row{{"64 threads faulting a cold mapped file over a sequential read", versus, "x", ">= 0.8", "256 MiB"}}
}

// eightReaders reads eight files at once, and one file by eight processes, against
// one reader of as many bytes.
func eightReaders(t *testing.T) []row {
	const size = 64 << 20
	u := newUser(t)
	for i := range 8 {
		u.addLFS(fmt.Sprintf("f%d.bin", i), denseOf(t, size, byte(i)))
	}
	u.addLFS("all.bin", denseOf(t, 8*size, 8))
	var fetched, spread []float64
	cold := func(paths ...string) float64 {
		u.srv.Hub.SetNetwork(localhub.Network{})
		u.forget()
		dir := u.mount(repoID)
		defer u.umount(dir)
		u.srv.Hub.SetNetwork(link)
		u.srv.Hub.ResetCounts()
		ends := make(chan float64, len(paths))
		start := time.Now()
		for _, p := range paths {
			go func() {
				readAll(t, filepath.Join(dir, p))
				ends <- time.Since(start).Seconds()
			}()
		}
		first, last := 0.0, 0.0
		for range paths {
			last = <-ends
			if first == 0 {
				first = last
			}
		}
		fetched = append(fetched, float64(u.srv.Hub.Counts().ContentBytes)/(8*size))
		if len(paths) > 1 {
			spread = append(spread, first/last)
		}
		return 8 * size / last
	}
	several := []string{"f0.bin", "f1.bin", "f2.bin", "f3.bin", "f4.bin", "f5.bin", "f6.bin", "f7.bin"}
	one := func() float64 { return cold("all.bin") }
	files := ratio(func() float64 { return cold(several...) }, one)
	same := ratio(func() float64 {
		return cold("all.bin", "all.bin", "all.bin", "all.bin", "all.bin", "all.bin", "all.bin", "all.bin")
	}, one)
	u.srv.Hub.SetNetwork(localhub.Network{})
	return []row{
		{"eight readers of eight cold files over one reader", files, "x", ">= 0.9", "512 MiB in all"},
		{"eight readers of one cold file over one reader", same, "x", ">= 0.9", ""},
		{"the first of eight readers to end, over the last", median(spread), "x", "", "fairness: 1 is equal"},
		{"bytes fetched over bytes needed, eight readers", median(fetched), "x", "<= 1.05", ""},
	}
}

// underFaults reads a cold file while one answer in twenty goes wrong, in one of six
// ways each, against a network without faults.
func underFaults(t *testing.T) []row {
	const size = 1 << 30
	u := newUser(t)
	original := dense(t, size)
	u.addLFS("big.bin", original)
	bad := link
	bad.Faults = make(map[localhub.Fault]float64)
	for _, f := range []localhub.Fault{
		localhub.FaultReset, localhub.FaultTruncate, localhub.FaultStall, localhub.FaultStatus429, localhub.FaultStatus503, localhub.FaultExpireURL,
	} {
		bad.Faults[f] = 0.05
	}
	cold := func(network localhub.Network) float64 {
		u.srv.Hub.SetNetwork(localhub.Network{})
		u.forget()
		dir := u.mount(repoID)
		defer u.umount(dir)
		u.srv.Hub.SetNetwork(network)
		start := time.Now()
		out, err := exec.CommandContext(t.Context(), "cmp", filepath.Join(dir, "big.bin"), original).CombinedOutput()
		took := time.Since(start).Seconds()
		if err != nil {
			t.Fatalf("cmp: %v: %s", err, out)
		}
		return took
	}
	seed := uint64(0)
	versus := ratio(
		func() float64 { seed++; bad.Seed = int64(seed); return cold(bad) },
		func() float64 { return cold(link) })
	u.srv.Hub.SetNetwork(localhub.Network{})
	return []row{{"cold sequential read with faults over one without", versus, "x", "<= 2", "of the time; 1 GiB, six kinds at 5% each"}}
}
