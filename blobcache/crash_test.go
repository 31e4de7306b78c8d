package blobcache

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// crashJob is what the child process of a crash test is told to do.
type crashJob struct {
	Endpoint, CacheDir, Dir string
	Files                   []File
	Reads                   [][2]int64 // offset and length in the first file; none: fetch all files
}

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if job := os.Getenv("BLOBCACHE_CRASH_JOB"); job != "" {
		if err := crashChild([]byte(job)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// crashChild does its job, says on stdout what is done, and waits to be killed.
func crashChild(b []byte) error {
	var job crashJob
	if err := json.Unmarshal(b, &job); err != nil {
		return err
	}
	client, err := hub.New(hub.Config{Endpoint: job.Endpoint})
	if err != nil {
		return err
	}
	c, err := Open(Options{Hub: client, CacheDir: job.CacheDir, Dir: job.Dir})
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute) // should nobody kill it
	defer stop()
	for i, r := range job.Reads {
		blob, err := c.Open(job.Files[0])
		if err != nil {
			return err
		}
		if _, err := blob.ReadAt(ctx, make([]byte, r[1]), r[0]); err != nil {
			return err
		}
		fmt.Println("read", i)
	}
	if len(job.Reads) == 0 {
		for i, f := range job.Files {
			blob, err := c.Open(f)
			if err != nil {
				return err
			}
			if err := blob.Fetch(ctx); err != nil {
				return err
			}
			blob.Close()
			fmt.Println("fetched", i)
		}
	}
	fmt.Println("done")
	<-ctx.Done()
	return nil
}

// runAndKill runs a child until it has printed a line for which until is true,
// waits a little longer, and kills it.
func runAndKill(t *testing.T, job crashJob, until func(line string) bool, longer time.Duration) {
	t.Helper()
	b, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "BLOBCACHE_CRASH_JOB="+string(b))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !until(lines.Text()) {
		continue
	}
	time.Sleep(longer) // the moment of death is random on purpose
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

func TestRangesSurviveKill(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	data := random(32<<20, 200)
	f := h.lfs("f", data)
	job := crashJob{Endpoint: h.api.URL, CacheDir: c.opts.CacheDir, Dir: c.opts.Dir, Files: []File{f}}
	r := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		job.Reads = append(job.Reads, [2]int64{int64(r.IntN(len(data) - 5000)), 4096})
	}
	runAndKill(t, job, func(l string) bool { return l == "done" }, 0)
	c.opts.Offline = true
	c.reopen()
	b := c.open(f)
	defer b.Close()
	for _, r := range job.Reads {
		wantAt(t, b, data, int(r[0]), int(r[1]))
	}
}

// TestKilledAnywhere kills a process at random moments while it fetches, and
// checks each time that nothing wrong or dangling is left, and in the end that
// all is right.
func TestKilledAnywhere(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	var files []File
	contents := map[string][]byte{}
	for i, n := range []int{100, 3 << 20, 70_000, 9 << 20, 1 << 20, 2<<20 + 1, 0, 5 << 20} {
		d := random(n, uint64(210+i))
		f := h.lfs(fmt.Sprintf("dir/%d", i), d)
		files, contents[f.Hash] = append(files, f), d
	}
	job := crashJob{Endpoint: h.api.URL, CacheDir: c.opts.CacheDir, Dir: c.opts.Dir, Files: files}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for i := range 12 {
		stop := fmt.Sprint("fetched ", i%len(files))
		runAndKill(t, job, func(l string) bool { return l == stop || l == "done" }, time.Duration(r.IntN(10_000))*time.Microsecond)
		checkShared(t, c.opts.CacheDir, contents)
		if i%3 == 2 { // evicted halfway, too
			c.reopen()
			if _, err := c.Prune(t.Context(), int64(r.IntN(20<<20))); err != nil {
				t.Fatal(err)
			}
			checkShared(t, c.opts.CacheDir, contents)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.reopen()
	for _, f := range files {
		if f.Size > 0 {
			c.fetch(f)
			c.want(f, contents[f.Hash])
		}
	}
	// Everything that is there is known as hubfs's own.
	if _, err := c.Prune(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(c.opts.CacheDir, "models--ns--repo/blobs/*"))
	for _, p := range left {
		if filepath.Ext(p) != ".incomplete" { // of the killed, as the official client leaves them
			t.Error("left:", p)
		}
	}
}

// checkShared looks at what other programs would find.
func checkShared(t *testing.T, dir string, contents map[string][]byte) {
	t.Helper()
	blobs, _ := filepath.Glob(filepath.Join(dir, "*/blobs/*"))
	for _, p := range blobs {
		if filepath.Ext(p) == ".incomplete" {
			continue
		}
		if string(mustRead(t, p)) != string(contents[filepath.Base(p)]) {
			t.Fatalf("%s has the wrong bytes", p)
		}
	}
	links, _ := filepath.Glob(filepath.Join(dir, "*/snapshots/*/*/*"))
	for _, p := range links {
		if _, err := os.Stat(p); err != nil {
			t.Fatal(err)
		}
	}
	if ref, err := os.ReadFile(filepath.Join(dir, "models--ns--repo/refs/main")); err == nil {
		if _, err := os.Stat(filepath.Join(dir, "models--ns--repo/snapshots", string(ref))); err != nil {
			t.Fatal("ref to nothing:", err)
		}
	}
}
