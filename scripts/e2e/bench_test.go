//go:build bench

package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/localhub"
)

// rounds is how often each side of a ratio is measured, in turn: A B A B … One is
// enough for a look.
var rounds = 5

func init() {
	flag.IntVar(&rounds, "rounds", rounds, "how often each side of a ratio is measured")
}

// link is the network that the cold rows are measured on: 30 ms of round trip,
// 25 MB/s a connection, 200 MB/s in all.
var link = localhub.Network{Latency: 30 * time.Millisecond, ConnectionBandwidth: 25e6, Bandwidth: 200e6}

// row is one line of the table: what was measured, and against what.
type row struct {
	Name     string  `json:"name"`
	Measured float64 `json:"measured"`
	Unit     string  `json:"unit"`
	Aim      string  `json:"aim"`
	Detail   string  `json:"detail"`
}

// TestBench prints the table of measures, and writes it as JSON beside the
// machine's description to bench-results/. One part of it:
//
//	go test -tags bench -v -run TestBench/small ./scripts/e2e -rounds 1
func TestBench(t *testing.T) {
	var rows []row
	for _, bench := range []struct {
		name    string
		measure func(*testing.T) []row
	}{
		{"warm", warmReads}, {"cold", coldSequential}, {"middle", coldMiddle}, {"listing", listing}, {"million", million}, {"ready", ready},
		{"small", smallFiles}, {"shards", shards}, {"pretrained", pretrained}, {"tensor", oneTensor}, {"mapped", mappedFaults}, {"eight", eightReaders}, {"faults", underFaults}, {"peers", peers},
		{"writing", writing}, {"many", manySmall},
	} {
		t.Run(bench.name, func(t *testing.T) {
			memoryPeak = 0
			rows = append(rows, bench.measure(t)...)
			if memoryPeak > 0 {
				rows = append(rows, row{"memory of the daemon: " + bench.name, float64(memoryPeak) / (1 << 20), "MiB", "<= 150", "at most"})
			}
		})
	}
	var table strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&table, "%-58s %9.3f %-10s aim %-12s %s\n", r.Name, r.Measured, r.Unit, r.Aim, r.Detail)
	}
	fmt.Print(table.String())
	save(t, rows)
}

// warmReads compares a file that is whole in the cache with the same file on the
// local disk.
func warmReads(t *testing.T) []row {
	u := newUser(t)
	original := dense(t, 512<<20)
	u.addLFS("dense.bin", original)
	mounted := filepath.Join(u.mount(repoID), "dense.bin")
	readAll(t, mounted)
	readAll(t, original)
	sequential := ratio(func() float64 { return readAll(t, mounted) }, func() float64 { return readAll(t, original) })
	random := ratio(func() float64 { return readAt4K(t, mounted) }, func() float64 { return readAt4K(t, original) })
	return []row{
		{"warm sequential read over the local disk's", sequential, "x", ">= 0.95", "512 MiB"},
		{"warm random 4 KiB reads over the local disk's", random, "x", ">= 0.85", "20,000 reads"},
	}
}

// coldSequential reads 1 GiB that isn't in the cache, against one plain HTTP
// stream of the same file and against what the link can carry.
func coldSequential(t *testing.T) []row {
	const size = 1 << 30
	u := newUser(t)
	u.addLFS("big.bin", islands(t, size))
	plain := func() float64 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.srv.URL+"/"+repoID+"/resolve/main/big.bin", nil)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
			t.Fatalf("plain download: %d bytes, %v", n, err)
		}
		return size / time.Since(start).Seconds()
	}
	var speeds []float64
	mounted := func() float64 {
		u.srv.Hub.SetNetwork(localhub.Network{})
		u.forget()
		dir := u.mount(repoID)
		defer u.umount(dir)
		u.srv.Hub.SetNetwork(link)
		speed := readAll(t, filepath.Join(dir, "big.bin"))
		speeds = append(speeds, speed)
		return speed
	}
	versus := ratio(mounted, func() float64 { u.srv.Hub.SetNetwork(link); return plain() })
	cold := median(speeds)
	u.forget()
	dir := u.mount(repoID)
	u.srv.Hub.SetNetwork(link)
	u.profile("cold.pprof", func() { readAll(t, filepath.Join(dir, "big.bin")) })
	u.srv.Hub.SetNetwork(localhub.Network{})
	return []row{
		{"cold sequential read over one plain HTTP stream", versus, "x", ">= 4", "1 GiB at 30 ms, 25 MB/s a connection"},
		{"cold sequential read over the link", cold / float64(link.Bandwidth), "x", ">= 0.9", "200 MB/s in all"},
	}
}

// coldMiddle reads 4 KiB in the middle of 10 GiB.
func coldMiddle(t *testing.T) []row {
	u := newUser(t)
	u.addLFS("huge.bin", islands(t, 10<<30))
	var fetched, took, asked []float64
	for range rounds {
		u.forget()
		dir := u.mount(repoID)
		f, err := os.Open(filepath.Join(dir, "huge.bin"))
		if err != nil {
			t.Fatal(err)
		}
		u.srv.Hub.SetNetwork(link)
		u.srv.Hub.ResetCounts()
		start := time.Now()
		_, err = f.ReadAt(make([]byte, 4096), 5<<30)
		took = append(took, time.Since(start).Seconds()/link.Latency.Seconds())
		u.srv.Hub.SetNetwork(localhub.Network{})
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		n := u.srv.Hub.Counts()
		fetched = append(fetched, float64(n.ContentBytes)/1024)
		asked = append(asked, float64(n.API+n.Resolve+n.Content))
		u.umount(dir)
	}
	return []row{
		{"cold 4 KiB read in a 10 GiB file, fetched", median(fetched), "KiB", "<= 256", ""},
		{"cold 4 KiB read in a 10 GiB file, requests after open", median(asked), "requests", "<= 2", "one after the other"},
		{"cold 4 KiB read in a 10 GiB file, time over a round trip", median(took), "RTT", "", "with the transfer: 64 KiB are 0.09"},
	}
}

// listing counts what it costs to list 100,000 files in 100 folders, and to
// notice a change of one.
func listing(t *testing.T) []row {
	u := newUser(t)
	var ops []localhub.Operation
	for d := range 100 {
		for f := range 1000 {
			ops = append(ops, localhub.Operation{Kind: localhub.OpAdd, Path: fmt.Sprintf("d%02d/f%03d.txt", d, f), Content: []byte{byte(d), byte(f)}})
		}
	}
	u.commit("100,000 files", ops...)
	u.srv.Hub.ResetCounts()
	dir := u.mount(repoID)
	if n := find(t, dir); n < 100_000 {
		t.Fatalf("find saw %d entries", n)
	}
	first := u.srv.Hub.Counts().API
	oid := u.commit("one more", localhub.Operation{Kind: localhub.OpAdd, Path: "d50/new.txt", Content: []byte("new")})
	u.srv.Hub.ResetCounts()
	u.hubfs("refresh", dir)
	u.hubfs("wait", "--commit", oid, dir)
	find(t, dir)
	return []row{
		{"API requests to mount and list 100,000 files", float64(first), "requests", "<= 105", "100 folders"},
		{"API requests to notice a change of one file", float64(u.srv.Hub.Counts().API), "requests", "<= 5", ""},
	}
}

// ready times `hubfs mount` on the link.
func ready(t *testing.T) []row {
	u := newUser(t)
	u.srv.Hub.SetNetwork(link)
	var took []float64
	for range rounds {
		u.forget()
		start := time.Now()
		dir := u.mount(repoID)
		took = append(took, time.Since(start).Seconds()*1000)
		u.umount(dir)
	}
	return []row{{"mount ready", median(took), "ms", "<= 160", "two round trips of 30 ms and 100 ms"}}
}

// ratio measures two things in turn and returns the median of the ratios.
func ratio(a, b func() float64) float64 {
	var ratios []float64
	for range rounds {
		x := a()
		ratios = append(ratios, x/b())
	}
	return median(ratios)
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// readAll returns bytes a second.
func readAll(t *testing.T, path string) float64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	start := time.Now()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
	if err != nil {
		t.Fatal(err)
	}
	return float64(n) / time.Since(start).Seconds()
}

// readAt4K returns reads a second.
func readAt4K(t *testing.T, path string) float64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	const count = 20_000
	rng := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 4096)
	start := time.Now()
	for range count {
		if _, err := f.ReadAt(buf, rng.Int64N(info.Size()-4096)); err != nil {
			t.Fatal(err)
		}
	}
	return count / time.Since(start).Seconds()
}

// dense makes a file without holes.
func dense(t *testing.T, size int64) string { return denseOf(t, size, 1) }

// denseOf is dense with other bytes for each seed.
func denseOf(t *testing.T, size int64, seed byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dense.bin")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{seed}), size); err != nil {
		t.Fatal(err)
	}
	return path
}

// find counts the entries below a folder, with the program of that name.
func find(t *testing.T, dir string) int {
	t.Helper()
	out, err := exec.Command("find", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(out), "\n")
}

// profile keeps where the processor time of the only mount's daemon goes while f runs,
// in bench-results/.
func (u *user) profile(name string, f func()) {
	u.t.Helper()
	got := make(chan error, 1)
	go func() { got <- u.fetchProfile(name) }()
	f()
	if err := <-got; err != nil {
		u.t.Errorf("profile: %v", err)
	}
}

func (u *user) fetchProfile(name string) error {
	sockets, err := filepath.Glob(filepath.Join(u.home, "run", "hubfs", "*.sock"))
	if err != nil || len(sockets) != 1 {
		return fmt.Errorf("the sockets are %v", sockets)
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", sockets[0])
	}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://hubfs.local/v1/profile?seconds=5")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("a profile: %s: %s", resp.Status, data)
	}
	if err := os.MkdirAll(results, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(results, name), data, 0o644)
}

// results is where a run leaves its figures.
var results = filepath.Join("..", "..", "bench-results")

func save(t *testing.T, rows []row) {
	t.Helper()
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	data, err := json.MarshalIndent(map[string]any{
		"when": time.Now().UTC().Format(time.RFC3339), "cpus": runtime.NumCPU(), "go": runtime.Version(),
		"kernel": strings.TrimSpace(string(kernel)), "rounds": rounds, "rows": rows,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(results, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(results, "read.json"), append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
