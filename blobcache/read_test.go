package blobcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
)

func TestSmallFile(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	for _, f := range []struct {
		name string
		make func(string, []byte) File
		n    int
	}{{"dir/a.json", h.regular, 700}, {"b.bin", h.lfs, 100_000}, {"full", h.lfs, smallFile}} {
		data := random(f.n, uint64(f.n))
		file := f.make(f.name, data)
		c.want(file, data)
		if got := mustRead(t, c.snapshot(file)); string(got) != string(data) {
			t.Fatalf("%s: the snapshot has other bytes", f.name)
		}
		target, err := os.Readlink(c.snapshot(file))
		if err != nil || filepath.IsAbs(target) || !strings.HasSuffix(target, "blobs/"+file.Hash) {
			t.Fatalf("link to %q, %v", target, err)
		}
	}
	if ref := mustRead(t, filepath.Join(c.opts.CacheDir, "models--ns--repo/refs/main")); string(ref) != commitA {
		t.Fatalf("ref %q", ref)
	}
	n := h.requests.Load()
	c.reopen()
	c.want(h.regular("dir/a.json", random(700, 700)), random(700, 700))
	if h.requests.Load() != n {
		t.Fatal("a file that is here was fetched")
	}
}

func TestEmptyFile(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	for _, f := range []File{h.regular("empty", nil), h.lfs("empty.bin", nil)} {
		b := c.open(f)
		if n, err := b.ReadAt(t.Context(), make([]byte, 1), 0); n != 0 || !errors.Is(err, io.EOF) {
			t.Fatal(n, err)
		}
		b.Close()
		eventually(t, "the empty file is in the shared cache", func() bool { _, ok := regular(c.snapshot(f)); return ok })
	}
	if h.requests.Load()+h.resolves.Load() != 0 {
		t.Fatal("an empty file cost a request")
	}
}

func TestEndOfFile(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	for _, n := range []int{1000, 3 << 20} {
		data := random(n, 3)
		b := c.open(h.lfs("f"+string(rune('0'+n%10)), data))
		defer b.Close()
		p := make([]byte, 100)
		if got, err := b.ReadAt(t.Context(), p, int64(n-40)); got != 40 || !errors.Is(err, io.EOF) {
			t.Fatalf("at the end: %d, %v", got, err)
		}
		if got, err := b.ReadAt(t.Context(), p, int64(n)); got != 0 || !errors.Is(err, io.EOF) {
			t.Fatalf("behind the end: %d, %v", got, err)
		}
		if got, err := b.ReadAt(t.Context(), p[:0], 0); got != 0 || err != nil {
			t.Fatalf("nothing: %d, %v", got, err)
		}
		if _, err := b.ReadAt(t.Context(), p, -1); err == nil {
			t.Fatal("negative offset")
		}
	}
}

func TestLargeFileSequential(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(40<<20+12345, 4)
	f := h.lfs("big.bin", data)
	b := c.open(f)
	defer b.Close()
	for off := 0; off < len(data); off += 128 << 10 {
		wantAt(t, b, data, off, min(128<<10, len(data)-off))
	}
	// The last read has waited for the verdict, so all names are there.
	path, ok := b.LocalPath()
	if !ok || path != c.blob(f) {
		t.Fatalf("local path %q %v", path, ok)
	}
	if string(mustRead(t, c.snapshot(f))) != string(data) {
		t.Fatal("the snapshot has other bytes")
	}
	// On a busy machine an answer may be given up that was only slow.
	if n := h.sent.Load(); n < int64(len(data)) || n > int64(len(data))*21/20 {
		t.Errorf("%d bytes sent for a file of %d", n, len(data))
	}
	if n := h.requests.Load(); n > 150 {
		t.Errorf("%d requests", n)
	}
	if n := h.resolves.Load(); n != 1 {
		t.Errorf("%d resolves", n)
	}
	left, _ := filepath.Glob(filepath.Join(c.opts.Dir, "partial/*/*"))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	wantAt(t, b, data, 12345, 100) // the same handle, from the file under its new name
}

// sparseFile is a server's file of 10 GiB that takes no room.
type sparseFile struct {
	io.ReadSeeker
	size int64
}

func (s sparseFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), s.size-off))
	for i := range p[:n] {
		p[i] = byte((off + int64(i)) / 4096)
	}
	return n, nil
}

func TestRandomReadFetchesLittle(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	const size = 10 << 30
	f := h.add("huge", sparseFile{size: size}, size, strings.Repeat("ab", 32))
	b := c.open(f)
	defer b.Close()
	p := make([]byte, 4096)
	if _, err := b.ReadAt(t.Context(), p, size/2+4096); err != nil {
		t.Fatal(err)
	}
	if want := byte((size/2 + 4096) / 4096 % 256); p[0] != want || p[4095] != want {
		t.Fatal("wrong bytes")
	}
	if n := h.sent.Load(); n > 256<<10 {
		t.Errorf("%d bytes fetched", n)
	}
	if n := h.requests.Load() + h.resolves.Load(); n != 2 {
		t.Errorf("%d round trips for the first read", n)
	}
	if _, err := b.ReadAt(t.Context(), p, size/3); err != nil {
		t.Fatal(err)
	}
	if n := h.requests.Load() + h.resolves.Load(); n != 3 {
		t.Errorf("%d round trips for two reads", n)
	}
	if n := h.sent.Load(); n > 512<<10 {
		t.Errorf("%d bytes fetched", n)
	}
	// What was read survives a restart, and costs nothing then.
	before := h.requests.Load()
	b.Close()
	c.reopen()
	b = c.open(f)
	defer b.Close()
	if _, err := b.ReadAt(t.Context(), p, size/2+4096); err != nil {
		t.Fatal(err)
	}
	if h.requests.Load() != before {
		t.Error("a range was fetched twice")
	}
	if n := c.Cached(f); n < 128<<10 || n > 512<<10 {
		t.Errorf("cached %d", n)
	}
}

func TestManyReadersOneRequest(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(8<<20, 5)
	f := h.lfs("f", data)
	gate := make(chan struct{})
	h.gate.Store(&gate)
	var wg sync.WaitGroup
	for range 20 {
		b := c.open(f) // handles of their own
		wg.Go(func() {
			defer b.Close()
			wantAt(t, b, data, 3<<20, 4096)
		})
	}
	eventually(t, "a request comes", func() bool { return h.requests.Load() > 0 })
	close(gate)
	wg.Wait()
	if n := h.requests.Load(); n != 1 {
		t.Errorf("%d requests for one range", n)
	}
	if n := h.resolves.Load(); n != 1 {
		t.Errorf("%d resolves", n)
	}
}

func TestReaderLeavesFetchGoesOn(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(8<<20, 6)
	f := h.lfs("f", data)
	gate := make(chan struct{})
	h.gate.Store(&gate)
	b := c.open(f)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := b.ReadAt(ctx, make([]byte, 4096), 1<<20)
		done <- err
	}()
	eventually(t, "a request comes", func() bool { return h.requests.Load() > 0 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	b.Close()
	close(gate)
	eventually(t, "the fetch ends by itself", func() bool { return c.Cached(f) >= fetchUnit && c.Stats().Fetches == 0 })
	b = c.open(f)
	defer b.Close()
	wantAt(t, b, data, 1<<20, 4096)
	if n := h.requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestBrokenBodyIsResumed(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(6<<20, 7)
	f := h.lfs("f", data)
	breakEvery(h, 300<<10)
	b := c.open(f)
	defer b.Close()
	if err := b.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantAt(t, b, data, 0, len(data))
	if c.Stats().Retries == 0 {
		t.Error("nothing broke")
	}
	if n := h.sent.Load(); n > int64(len(data))*2 {
		t.Errorf("%d bytes sent for %d", n, len(data))
	}
}

// breakEvery cuts the connection after n bytes of each answer.
func breakEvery(h *fakeHub, n int) {
	cut := func(w http.ResponseWriter, r *http.Request, path string) bool {
		h.mu.Lock()
		data, size := h.files[path], h.sizes[path]
		h.mu.Unlock()
		http.ServeContent(&cutShort{ResponseWriter: w, left: n, h: h}, r, "", time.Time{},
			io.NewSectionReader(data.(io.ReaderAt), 0, size))
		return true
	}
	h.before.Store(&cut)
}

type cutShort struct {
	http.ResponseWriter
	left int
	h    *fakeHub
}

func (c *cutShort) Write(b []byte) (int, error) {
	if len(b) > c.left {
		n, _ := c.ResponseWriter.Write(b[:c.left])
		c.h.sent.Add(int64(n))
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(b)
	n, err := c.ResponseWriter.Write(b)
	c.h.sent.Add(int64(n))
	return n, err
}

func TestNoProgressEnds(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	f := h.lfs("f", random(4<<20, 8))
	breakEvery(h, 0)
	b := c.open(f)
	defer b.Close()
	_, err := b.ReadAt(t.Context(), make([]byte, 10), 1<<20)
	if !errors.Is(err, hub.ErrUnavailable) {
		t.Fatal(err)
	}
	h.before.Store(nil)
	if _, err := b.ReadAt(t.Context(), make([]byte, 10), 1<<20); err != nil {
		t.Fatal("after it got better:", err)
	}
}

func TestExpiredAddressIsRenewedOnce(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(32<<20, 9)
	f := h.lfs("f", data)
	b := c.open(f)
	defer b.Close()
	wantAt(t, b, data, 0, 10)
	h.token.Add(1) // all signed addresses end
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() { wantAt(t, b, data, (i+1)*2<<20, 4096) })
	}
	wg.Wait()
	if n := h.resolves.Load(); n != 2 {
		t.Errorf("%d resolves, want 2", n)
	}
	// An address whose end is known isn't even tried after it.
	h.ttl.Store(2) // within the margin
	h.token.Add(1)
	wantAt(t, b, data, 30<<20, 10)
	if n := h.resolves.Load(); n != 3 {
		t.Errorf("%d resolves, want 3", n)
	}
	wantAt(t, b, data, 31<<20, 10)
	if n := h.resolves.Load(); n != 4 {
		t.Errorf("%d resolves, want 4", n)
	}
}

func TestAddressSurvivesHandles(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(32<<20, 10)
	f := h.lfs("f", data)
	for i := range 5 {
		b := c.open(f)
		wantAt(t, b, data, (2*i+1)<<20, 100)
		b.Close()
		c.memory.Wait()
	}
	if n := h.resolves.Load(); n != 1 {
		t.Errorf("%d resolves for 5 handles", n)
	}
}

func TestWrongContentIsRefused(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(4<<20, 11)
	for name, f := range map[string]File{
		"size": h.lfs("a", data), "etag": h.lfs("b", data), "small size": h.lfs("c", data[:100]),
	} {
		if strings.HasSuffix(name, "size") {
			f.Size--
		} else {
			f.Hash = strings.Repeat("12", 32)
		}
		b := c.open(f)
		if _, err := b.ReadAt(t.Context(), make([]byte, 10), 0); !errors.Is(err, hub.ErrProtocol) {
			t.Errorf("wrong %s: %v", name, err)
		}
		b.Close()
	}
}

// corrupt flips a bit of what is sent from off on, as long as it is true.
func corrupt(h *fakeHub, path string, data []byte, off int) (heal func()) {
	bad := append([]byte(nil), data...)
	bad[off] ^= 1
	h.mu.Lock()
	good := h.files[path]
	h.files[path] = readerOf(bad)
	h.mu.Unlock()
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.files[path] = good
	}
}

func readerOf(b []byte) io.ReadSeeker { return strings.NewReader(string(b)) }

func TestCorruptSmallFileIsNeverServed(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(50_000, 12)
	f := h.lfs("f", data)
	heal := corrupt(h, "f", data, 49_999)
	b := c.open(f)
	defer b.Close()
	if n, err := b.ReadAt(t.Context(), make([]byte, 10), 0); !errors.Is(err, ErrCorrupt) || n != 0 {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := os.Lstat(c.blob(f)); err == nil {
		t.Fatal("bad bytes got a name")
	}
	heal()
	if _, err := b.ReadAt(t.Context(), make([]byte, 10), 0); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("the old handle: %v", err)
	}
	c.want(f, data)
	if c.Stats().Corrupt != smallTries {
		t.Errorf("%d corrupt", c.Stats().Corrupt)
	}
}

func TestCorruptLargeFile(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(9<<20, 13)
	f := h.lfs("f", data)
	heal := corrupt(h, "f", data, 5<<20)
	b := c.open(f)
	defer b.Close()
	wantAt(t, b, data, 0, 1000) // not known yet
	if err := b.Fetch(t.Context()); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	if _, err := b.ReadAt(t.Context(), make([]byte, 10), 0); !errors.Is(err, ErrCorrupt) {
		t.Fatal("open handle:", err)
	}
	if _, err := os.Lstat(c.blob(f)); err == nil {
		t.Fatal("bad bytes got a name")
	}
	heal()
	c.want(f, data)
	c.fetch(f) // reads don't wait for the name
	if _, ok := regular(c.snapshot(f)); !ok {
		t.Error("the file has no name")
	}
}

func TestRandomReadsAgainstModel(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(24<<20+77, 14)
	f := h.lfs("f", data)
	breakEvery(h, 900<<10)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for range 30 {
				b := c.open(f)
				off := r.IntN(len(data))
				wantAt(t, b, data, off, 1+r.IntN(min(300<<10, len(data)-off)))
				b.Close()
			}
		})
	}
	wg.Wait()
}

func TestOffline(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(4<<20, 15)
	f := h.lfs("f", data)
	b := c.open(f)
	wantAt(t, b, data, 2<<20, 4096)
	b.Close()
	c.opts.Offline = true
	c.reopen()
	b = c.open(f)
	defer b.Close()
	wantAt(t, b, data, 2<<20, 4096)
	if _, err := b.ReadAt(t.Context(), make([]byte, 10), 0); !errors.Is(err, hub.ErrOffline) {
		t.Fatal(err)
	}
}

func TestOtherRepositoryMayHaveAccess(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(4<<20, 16)
	f := h.lfs("f", data)
	h.denied["/ns/repo"] = true
	other := f
	other.Repo = otherRepo
	a, b := c.open(f), c.open(other)
	defer a.Close()
	defer b.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := a.ReadAt(t.Context(), make([]byte, 10), 0); err != nil && !errors.Is(err, hub.ErrNotFound) {
			t.Error(err)
		}
	})
	wantAt(t, b, data, 0, 10)
	wg.Wait()
}

func TestCloseEndsEverything(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	gate := make(chan struct{})
	h.gate.Store(&gate)
	defer close(gate)
	f := h.lfs("f", random(4<<20, 17))
	b := c.open(f)
	done := make(chan error)
	go func() {
		_, err := b.ReadAt(t.Context(), make([]byte, 10), 0)
		done <- err
	}()
	eventually(t, "a request comes", func() bool { return h.requests.Load() > 0 })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if _, err := b.ReadAt(t.Context(), make([]byte, 10), 0); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if _, err := c.Open(f); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func TestGlobalLimitOfFetches(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	gate := make(chan struct{})
	h.gate.Store(&gate)
	var wg sync.WaitGroup
	for i := range 50 {
		data := random(2<<20, uint64(400+i))
		f := h.lfs(fmt.Sprint("f", i), data)
		wg.Go(func() {
			b := c.open(f)
			defer b.Close()
			wantAt(t, b, data, 1<<20, 100)
		})
	}
	eventually(t, "the limit is reached", func() bool { return h.requests.Load() >= maxFetches })
	if n := c.Stats().Fetches; n != maxFetches {
		t.Errorf("%d fetches", n)
	}
	close(gate)
	wg.Wait()
	if n := h.requests.Load(); n < 50 { // more, where one was given up that stood at the gate
		t.Errorf("%d requests", n)
	}
}
