package blobcache

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
)

var (
	testRepo  = hub.Repo{Type: hub.Model, ID: "ns/repo"}
	otherRepo = hub.Repo{Type: hub.Dataset, ID: "ns/other"}
)

const (
	commitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	commitB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// fakeHub answers resolve requests with redirects to signed addresses on a second
// server, as the Hub does for LFS files, and serves regular files itself.
type fakeHub struct {
	t        testing.TB
	api      *httptest.Server
	content  *httptest.Server
	mu       sync.Mutex
	files    map[string]io.ReadSeeker // by path; of any repo and commit
	sizes    map[string]int64
	etags    map[string]string
	ranges   []string // Range headers that reached content, in order
	denied   map[string]bool
	token    atomic.Int64 // signed addresses of another generation are refused
	ttl      atomic.Int64
	resolves atomic.Int64
	requests atomic.Int64 // for content, here or there
	sent     atomic.Int64 // bytes of content

	// before is called for each request for content, and may answer it (true).
	before atomic.Pointer[func(w http.ResponseWriter, r *http.Request, path string) bool]
	// gate, if not nil, is waited for before each byte after the header.
	gate atomic.Pointer[chan struct{}]
}

func newFakeHub(t testing.TB) *fakeHub {
	h := &fakeHub{
		t: t, files: map[string]io.ReadSeeker{}, sizes: map[string]int64{}, etags: map[string]string{},
		denied: map[string]bool{},
	}
	h.api = httptest.NewServer(http.HandlerFunc(h.resolve))
	h.content = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(h.api.Close)
	t.Cleanup(h.content.Close)
	return h
}

func (h *fakeHub) client() *hub.Client {
	c, err := hub.New(hub.Config{Endpoint: h.api.URL, Retries: 2, ProgressTimeout: 5 * time.Second})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.CloseIdleConnections)
	return c
}

// lfs adds an LFS file, and regular one in Git.
func (h *fakeHub) lfs(path string, data []byte) File {
	sum := sha256.Sum256(data)
	return h.add(path, bytes.NewReader(data), int64(len(data)), hex.EncodeToString(sum[:]))
}

func (h *fakeHub) regular(path string, data []byte) File {
	return h.add(path, bytes.NewReader(data), int64(len(data)), gitHash(data))
}

func gitHash(data []byte) string {
	s := sha1.New()
	fmt.Fprintf(s, "blob %d\x00", len(data))
	s.Write(data)
	return hex.EncodeToString(s.Sum(nil))
}

func (h *fakeHub) add(path string, data io.ReadSeeker, size int64, hash string) File {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files[path], h.sizes[path], h.etags[path] = data, size, hash
	return File{Repo: testRepo, Revision: "main", Commit: commitA, Path: path, Hash: hash, Size: size}
}

func (h *fakeHub) resolve(w http.ResponseWriter, r *http.Request) {
	h.resolves.Add(1)
	repo, rest, ok := strings.Cut(r.URL.Path, "/resolve/")
	commit, path, _ := strings.Cut(rest, "/")
	h.mu.Lock()
	size, etag, denied := h.sizes[path], h.etags[path], h.denied[repo]
	_, known := h.files[path]
	h.mu.Unlock()
	if !ok || !known || denied {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	w.Header().Set("X-Repo-Commit", commit)
	if len(etag) == 40 {
		w.Header().Set("ETag", `"`+etag+`"`)
		h.body(w, r, path)
		return
	}
	w.Header().Set("X-Linked-Etag", `"`+etag+`"`)
	w.Header().Set("X-Linked-Size", fmt.Sprint(size))
	location := fmt.Sprintf("%s/%s?token=%d", h.content.URL, path, h.token.Load())
	if ttl := h.ttl.Load(); ttl > 0 {
		location += fmt.Sprintf("&Expires=%d", time.Now().Unix()+ttl)
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusFound)
}

func (h *fakeHub) serve(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		h.t.Error("the token went to another host")
	}
	if r.URL.Query().Get("token") != fmt.Sprint(h.token.Load()) {
		http.Error(w, "expired", http.StatusForbidden)
		return
	}
	h.body(w, r, strings.TrimPrefix(r.URL.Path, "/"))
}

func (h *fakeHub) body(w http.ResponseWriter, r *http.Request, path string) {
	h.requests.Add(1)
	h.mu.Lock()
	data, size := h.files[path], h.sizes[path]
	h.ranges = append(h.ranges, r.Header.Get("Range"))
	h.mu.Unlock()
	if f := h.before.Load(); f != nil && (*f)(w, r, path) {
		return
	}
	var gate chan struct{}
	if g := h.gate.Load(); g != nil {
		gate = *g
	}
	// A reader of its own for each request.
	at := io.NewSectionReader(data.(io.ReaderAt), 0, size)
	http.ServeContent(&counted{w, h, gate}, r, "", time.Time{}, at)
}

type counted struct {
	http.ResponseWriter
	h    *fakeHub
	gate chan struct{}
}

func (c *counted) Write(b []byte) (int, error) {
	if c.gate != nil {
		<-c.gate
	}
	n, err := c.ResponseWriter.Write(b)
	c.h.sent.Add(int64(n))
	return n, err
}

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

// testCache is a cache on disk that can be opened again.
type testCache struct {
	*Cache
	t    testing.TB
	opts Options
}

func newTestCache(t testing.TB, h *fakeHub, change ...func(*Options)) *testCache {
	top := t.TempDir()
	opts := Options{Hub: h.client(), CacheDir: filepath.Join(top, "hub"), Dir: filepath.Join(top, "hubfs")}
	for _, f := range change {
		f(&opts)
	}
	tc := &testCache{t: t, opts: opts}
	tc.reopen()
	t.Cleanup(func() { tc.Close() })
	return tc
}

func (tc *testCache) reopen() {
	tc.t.Helper()
	if tc.Cache != nil {
		if err := tc.Close(); err != nil {
			tc.t.Fatal("close:", err)
		}
	}
	c, err := Open(tc.opts)
	if err != nil {
		tc.t.Fatal(err)
	}
	tc.Cache = c
}

// settled waits until nothing is open any more, and no work under way.
func (tc *testCache) settled() {
	tc.t.Helper()
	tc.settledBut(0)
}

// settledBut is settled, with that many contents open.
func (tc *testCache) settledBut(n int) {
	tc.t.Helper()
	eventually(tc.t, "all is closed", func() bool {
		tc.mu.Lock()
		defer tc.mu.Unlock()
		return len(tc.cores) == n
	})
}

func (tc *testCache) open(f File) *Blob {
	tc.t.Helper()
	b, err := tc.Open(f)
	if err != nil {
		tc.t.Fatal(err)
	}
	return b
}

// want reads all of a file and compares.
func (tc *testCache) want(f File, data []byte) {
	tc.t.Helper()
	b := tc.open(f)
	defer b.Close()
	wantAt(tc.t, b, data, 0, len(data))
}

func wantAt(t testing.TB, b *Blob, data []byte, off, n int) {
	t.Helper()
	p := make([]byte, n)
	got, err := b.ReadAt(t.Context(), p, int64(off))
	if err != nil || got != n {
		t.Fatalf("read %d at %d: %d, %v", n, off, got, err)
	}
	if !bytes.Equal(p, data[off:off+n]) {
		t.Fatalf("read %d at %d: wrong bytes", n, off)
	}
}

func (tc *testCache) snapshot(f File) string {
	p, err := tc.shared.SnapshotPath(f.Repo, f.Commit, f.Path)
	if err != nil {
		tc.t.Fatal(err)
	}
	return p
}

func (tc *testCache) blob(f File) string {
	p, err := tc.shared.BlobPath(f.Repo, f.Hash)
	if err != nil {
		tc.t.Fatal(err)
	}
	return p
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// eventually waits for something that a goroutine does after a read returned.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("never:", what)
}
