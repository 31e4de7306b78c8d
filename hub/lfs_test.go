package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// someBytes are n bytes that no other seed gives.
func someBytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

func TestMultipart(t *testing.T) {
	h := newWriteHub(t)
	h.chunkSize, h.verify = 1000, true
	var adds []*Add
	for i, size := range []int{1, 999, 1000, 1001, 2000, 12_345} {
		adds = append(adds, &Add{Path: fmt.Sprintf("f%d.bin", i), Content: BytesContent(someBytes(uint64(i), size))})
	}
	if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", adds, nil); err != nil {
		t.Fatal(err)
	}
	for i, a := range adds {
		if !a.State.Uploaded || a.State.Multipart != nil || !bytes.Equal(h.objects[a.Content.SHA256], someBytes(uint64(i), int(a.Content.Size))) {
			t.Errorf("%s: %+v", a.Path, a.State)
		}
	}
	if h.count("part") != 1+1+1+2+2+13 || h.count("complete") != len(adds) || h.count("verify") != len(adds) {
		t.Errorf("requests: %v", h.counts)
	}
}

// partFails makes the parts from the n-th on fail.
func partFails(h *writeHub, from, status int) {
	h.on(func(w http.ResponseWriter, r *http.Request) bool {
		n, err := strconv.Atoi(path.Base(r.URL.Path))
		if !strings.HasPrefix(r.URL.Path, "/part/") || err != nil || n < from {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		reply(status, `no`)(w, r)
		return true
	})
}

// An upload that was broken off goes on where it was, also in another process,
// whether or not the server begins another upload when it is asked again.
func TestMultipartResume(t *testing.T) {
	for _, newUpload := range []bool{false, true} {
		t.Run(fmt.Sprintf("newUpload=%v", newUpload), func(t *testing.T) {
			h := newWriteHub(t)
			h.chunkSize, h.newUpload = 1000, newUpload
			data := someBytes(1, 9500)
			partFails(h, 7, 500)
			a := &Add{Path: "f.bin", Content: BytesContent(data)}
			var kept []byte
			opts := &PreuploadOptions{UploadOptions: UploadOptions{Workers: 1, Checkpoint: func(a *Add) { kept, _ = json.Marshal(a.State) }}}
			err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{a}, opts)
			if !errors.Is(err, ErrUnavailable) || len(FailedPaths(err)) != 0 {
				t.Fatalf("got %v", err)
			}
			h.on(nil)
			before := h.count("part")

			var state AddState
			if err := json.Unmarshal(kept, &state); err != nil || len(state.Multipart.ETags) != 6 {
				t.Fatalf("kept %s: %v", kept, err)
			}
			var last Progress
			opts.Progress = func(p Progress) { last = p }
			a = &Add{Path: "f.bin", Content: BytesContent(data), State: state}
			if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{a}, opts); err != nil {
				t.Fatal(err)
			}
			if n := h.count("part") - before; n != 4 {
				t.Errorf("%d parts were sent again", n)
			}
			if !bytes.Equal(h.objects[sum256(data)], data) {
				t.Error("wrong content")
			}
			if want := (Progress{"f.bin", 9500, 9500, 1, 9500, 9500}); last != want {
				t.Errorf("the last progress is %+v", last)
			}
		})
	}
}

// A server that has forgotten the upload gets all parts anew.
func TestMultipartForgotten(t *testing.T) {
	for _, where := range []string{"part", "complete"} {
		t.Run(where, func(t *testing.T) {
			h := newWriteHub(t)
			h.chunkSize = 1000
			data := someBytes(1, 3500)
			state := &MultipartState{SHA256: sum256(data), Size: 3500, ChunkSize: 1000, Complete: h.storage.URL + "/complete/" + sum256(data) + "?uploadId=gone",
				ETags: map[int]string{1: `"x"`}}
			if where == "complete" {
				// It looks like the upload that the server goes on with.
				state.Complete = h.storage.URL + "/complete/" + sum256(data) + "?uploadId=upload-" + sum256(data)[:8]
			}
			for n := range 4 {
				state.Parts = append(state.Parts, fmt.Sprintf("%s/part/%d?uploadId=gone", h.storage.URL, n+1))
			}
			a := &Add{Path: "f.bin", Content: BytesContent(data), State: AddState{Multipart: state}}
			if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{a}, nil); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(h.objects[sum256(data)], data) {
				t.Error("wrong content")
			}
		})
	}
}

// What was kept is checked before it is used.
func TestMultipartStateValid(t *testing.T) {
	good := func() *MultipartState {
		return &MultipartState{SHA256: sha1of, Size: 25, ChunkSize: 10, Complete: "http://x/", Parts: []string{"a", "b", "c"}, ETags: map[int]string{3: "x"}}
	}
	if !good().valid(sha1of, 25) || (*MultipartState)(nil).valid(sha1of, 25) {
		t.Error("a good one, or none")
	}
	for name, spoil := range map[string]func(*MultipartState){
		"hash": func(m *MultipartState) { m.SHA256 = oid1 }, "size": func(m *MultipartState) { m.Size = 24 },
		"chunk": func(m *MultipartState) { m.ChunkSize = 0 }, "parts": func(m *MultipartState) { m.Parts = m.Parts[1:] },
		"complete": func(m *MultipartState) { m.Complete = "" }, "number": func(m *MultipartState) { m.ETags[4] = "x" },
		"zero": func(m *MultipartState) { m.ETags[0] = "x" }, "etag": func(m *MultipartState) { m.ETags[1] = "" },
	} {
		m := good()
		spoil(m)
		if m.valid(sha1of, 25) {
			t.Errorf("%s: %+v is taken for valid", name, m)
		}
	}
}

// Addresses that expire half-way are asked for again, and stored parts stay.
func TestUploadAddressExpires(t *testing.T) {
	h := newWriteHub(t)
	h.chunkSize = 1000
	data := someBytes(1, 9500)
	var mu sync.Mutex
	refused := false
	h.on(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/part/5" || refused {
			return false
		}
		refused = true
		reply(403, `<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>`)(w, r)
		return true
	})
	a := &Add{Path: "f.bin", Content: BytesContent(data)}
	if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{a}, &PreuploadOptions{UploadOptions: UploadOptions{Workers: 1}}); err != nil {
		t.Fatal(err)
	}
	if h.count("part") != 11 || h.count("batch") != 2 {
		t.Errorf("requests: %v", h.counts)
	}
}

// The second of two completions fails, as storage knows the upload only once: the
// server is asked instead.
func TestLostCompletion(t *testing.T) {
	for _, basic := range []bool{false, true} {
		h := newWriteHub(t)
		if !basic {
			h.chunkSize = 1000
		}
		var once sync.Once
		h.on(func(w http.ResponseWriter, r *http.Request) bool {
			lost := false
			if strings.HasPrefix(r.URL.Path, "/complete/") || strings.HasPrefix(r.URL.Path, "/basic/") {
				once.Do(func() {
					body, _ := io.ReadAll(r.Body)
					h.mu.Lock()
					defer h.mu.Unlock()
					if basic {
						h.objects[sum256(body)] = body
					} else {
						h.objects[sum256(someBytes(1, 2500))] = someBytes(1, 2500)
						clear(h.uploads)
					}
					lost = true
				})
				if lost {
					hangUp(w)
				}
			}
			return lost
		})
		a := &Add{Path: "f.bin", Content: BytesContent(someBytes(1, 2500))}
		if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{a}, nil); err != nil {
			t.Fatal(err)
		}
		if h.count("complete") > 1 || h.count("basic") > 1 || h.count("batch") != 2 {
			t.Errorf("requests: %v", h.counts)
		}
	}
}

// A part that storage fails to take is sent again whole.
func TestUploadRetries(t *testing.T) {
	h := newWriteHub(t, func(c *Config) { c.Retries = 5 })
	fails := map[string]int{}
	var mu sync.Mutex
	h.on(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodPut {
			return false
		}
		fails[r.URL.Path]++
		switch fails[r.URL.Path] {
		case 1:
			_, _ = io.CopyN(io.Discard, r.Body, 100)
			hangUp(w)
			return true
		case 2:
			_, _ = io.Copy(io.Discard, r.Body)
			reply(503, `slow down`)(w, r)
			return true
		}
		return false
	})
	data := someBytes(1, 3<<20)
	var last Progress
	decreasing := false
	opts := &PreuploadOptions{UploadOptions: UploadOptions{Progress: func(p Progress) {
		decreasing = decreasing || p.TotalDone > p.Total || p.Done > p.Size || p.TotalDone < 0
		last = p
	}}}
	if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{{Path: "f.bin", Content: BytesContent(data)}}, opts); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(h.objects[sum256(data)], data) {
		t.Error("wrong content")
	}
	if decreasing || last.TotalDone != 3<<20 || last.Files != 1 {
		t.Errorf("the last progress is %+v", last)
	}
}

// One file that is refused doesn't keep the others from being stored.
func TestRefusedObject(t *testing.T) {
	h := newWriteHub(t)
	adds := []*Add{
		{Path: "a.bin", Content: BytesContent(someBytes(1, 666))}, add("b.bin", "1"),
		{Path: "c.bin", Content: BytesContent(someBytes(1, 666))}, {Path: "d.bin", Content: ReaderAtContent(bytes.NewReader(nil), 100)},
	}
	ops := make([]Operation, len(adds))
	for i, a := range adds {
		ops[i] = a
	}
	adds[3].Content.SHA256 = sha1of // so that the content is missing only when it is sent
	h.on(func(http.ResponseWriter, *http.Request) bool { return false })
	_, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: ops[:3]})
	var paths []string
	for _, f := range FailedPaths(err) {
		paths = append(paths, f.Path)
	}
	slices.Sort(paths)
	if !slices.Equal(paths, []string{"a.bin", "c.bin"}) || !errors.Is(err, ErrUnprocessable) || !adds[1].State.Uploaded {
		t.Errorf("got %v", err)
	}
	mustContain(t, err.Error(), "a.bin", "this object is refused")
	if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", adds[3:], nil); len(FailedPaths(err)) != 1 {
		t.Errorf("missing content: %v", err)
	}
	if _, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: ops[1:2]}); err != nil {
		t.Error(err)
	}
}

// Storage that stands still is given up, and one that is merely slow isn't.
func TestUploadProgressTimeout(t *testing.T) {
	h := newWriteHub(t, func(c *Config) { c.ProgressTimeout, c.AnswerTimeout = 200*time.Millisecond, 200*time.Millisecond })
	stuck := make(chan struct{})
	h.on(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
		return true
	})
	t.Cleanup(func() { close(stuck) })
	start := time.Now()
	err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{{Path: "f.bin", Content: ReaderAtContent(zeros{}, 64<<20)}}, nil)
	if !errors.Is(err, ErrUnavailable) || time.Since(start) > 15*time.Second {
		t.Errorf("got %v after %s", err, time.Since(start))
	}
}

// Storage on the Hub's own host gets no token either.
func TestUploadToOwnHost(t *testing.T) {
	h := newWriteHub(t)
	h.on(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/batch"):
			reply(200, fmt.Sprintf(`{"objects":[{"oid":%q,"size":1,"actions":{"upload":{"href":"https://huggingface.co/own/put"}}}]}`, sum256([]byte("1"))))(w, r)
			return true
		case r.URL.Path == "/own/put":
			if r.Header.Get("Authorization") != "" {
				t.Error("the token was sent")
			}
			return true
		}
		return false
	})
	// serveHub refuses requests without a token before it asks intercept.
	h.hub.Config.Handler = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/own/put" {
				h.note(w, r, "own")
				return
			}
			next.ServeHTTP(w, r)
		})
	}(h.hub.Config.Handler)
	if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{add("f.bin", "1")}, nil); err != nil {
		t.Fatal(err)
	}
	if h.count("own") != 1 {
		t.Errorf("requests: %v", h.counts)
	}
}

func TestUploadRedirect(t *testing.T) {
	h := newWriteHub(t)
	h.on(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/basic/") || r.URL.Query().Has("again") {
			return false
		}
		http.Redirect(w, r, h.storage.URL+r.URL.Path+"?again=1", http.StatusTemporaryRedirect)
		return true
	})
	if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{{Path: "f.bin", Content: BytesContent(someBytes(1, 5<<20))}}, nil); err != nil {
		t.Fatal(err)
	}
}

// What a server says about uploads is not trusted.
func TestHostileUploadAnswers(t *testing.T) {
	data := []byte("0123456789")
	oid := sum256(data)
	object := func(rest string) string {
		return fmt.Sprintf(`{"objects":[{"oid":%q,"size":10%s}]}`, oid, rest)
	}
	for name, answer := range map[string]string{
		"nothing":        `{}`,
		"html":           `<html>`,
		"no objects":     `{"objects":[]}`,
		"other object":   `{"objects":[{"oid":"x","size":1}]}`,
		"no href":        object(`,"actions":{"upload":{}}`),
		"odd href":       object(`,"actions":{"upload":{"href":"file:///etc/passwd"}}`),
		"relative href":  object(`,"actions":{"upload":{"href":"/upload"}}`),
		"user in href":   object(`,"actions":{"upload":{"href":"http://a:b@localhost/"}}`),
		"chunk 0":        object(`,"actions":{"upload":{"href":"http://x/","header":{"chunk_size":"0","1":"http://x/"}}}`),
		"chunk -1":       object(`,"actions":{"upload":{"href":"http://x/","header":{"chunk_size":-1,"1":"http://x/"}}}`),
		"chunk text":     object(`,"actions":{"upload":{"href":"http://x/","header":{"chunk_size":"many"}}}`),
		"too few parts":  object(`,"actions":{"upload":{"href":"http://x/","header":{"chunk_size":"5","1":"http://x/"}}}`),
		"too many parts": object(`,"actions":{"upload":{"href":"http://x/","header":{"chunk_size":"10","1":"http://x/","2":"http://x/"}}}`),
		"part twice":     object(`,"actions":{"upload":{"href":"http://x/","header":{"chunk_size":"5","1":"http://x/","01":"http://x/"}}}`),
		"part no text":   object(`,"actions":{"upload":{"href":"http://x/","header":{"chunk_size":"10","1":7}}}`),
		"huge number":    object(`,"actions":{"upload":{"href":"http://x/","header":{"chunk_size":"10","99999999999999999999":"http://x/"}}}`),
	} {
		h := newWriteHub(t)
		h.on(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/batch") {
				return false
			}
			reply(200, answer)(w, r)
			return true
		})
		err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{add("f.bin", string(data))}, nil)
		if !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, answer := range map[string]string{
		"nothing": `{}`, "no mode": `{"files":[{"path":"f.bin"}]}`, "odd mode": `{"files":[{"path":"f.bin","uploadMode":"xet"}]}`, "other path": `{"files":[{"path":"g","uploadMode":"lfs"}]}`,
	} {
		h := newWriteHub(t)
		h.on(func(w http.ResponseWriter, r *http.Request) bool { reply(200, answer)(w, r); return true })
		if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{add("f.bin", "1")}, nil); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A part's answer without an ETag can't be completed.
func TestPartWithoutETag(t *testing.T) {
	h := newWriteHub(t)
	h.chunkSize = 1000
	h.on(func(_ http.ResponseWriter, r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/part/") })
	err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{{Path: "f.bin", Content: BytesContent(someBytes(1, 2500))}}, nil)
	if !errors.Is(err, ErrProtocol) || strings.Contains(err.Error(), "Signature=1") || strings.Contains(err.Error(), "Signature=2") {
		t.Errorf("got %v", err)
	}
}

func TestSameUpload(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"https://h/c?uploadId=1&sig=a", "https://h/c?sig=b&uploadId=1", true},
		{"https://h/c?upload=1&X-Amz-Date=1&expires=2", "https://h/c?upload=1&X-Amz-Date=2&expires=3", true},
		{"https://h/c?upload=1&expires=2", "https://h/c?upload=2&expires=2", false},
		{"https://h/c?uploadId=1", "https://h/c?uploadId=2", false},
		{"https://h/c?uploadId=1", "https://h/c", false},
		{"https://h/c/1", "https://h/c/2", false},
		{"https://h/c?sig=1", "https://h/c?sig=2", true},
		{"https://g/c", "https://h/c", false},
		{"https://h/c", "://", false},
	} {
		if got := sameUpload(test.a, test.b); got != test.want {
			t.Errorf("%s and %s: %v", test.a, test.b, got)
		}
	}
}

func FuzzBatchAnswer(f *testing.F) {
	f.Add([]byte(`{"objects":[{"oid":"` + sha1of + `","size":25,"actions":{"upload":{"href":"http://x/","header":{"chunk_size":"10","1":"a","2":"b","3":"c"}},"verify":{"href":"http://y"}}}]}`))
	f.Add([]byte(`{"objects":[{"oid":"` + sha1of + `","error":{"code":422,"message":"no"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fake(t, reply(200, string(data)), func(c *Config) { c.Retries = -1 })
		uploads, failed, err := c.lfsBatch(t.Context(), testRepo, "main", []lfsObject{{sha1of, 25}})
		if err != nil {
			return
		}
		up, ok := uploads[sha1of]
		if !ok && failed[sha1of] == nil {
			t.Fatal("neither an answer nor an error")
		}
		if up == nil {
			return
		}
		if m := up.multipart; m != nil && !m.valid(sha1of, 25) || m == nil && up.put == "" {
			t.Fatalf("took %s for %+v", data, up)
		}
	})
}
