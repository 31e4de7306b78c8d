package hub

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var testFile = FileRef{Repo: testRepo, Revision: "main", Path: "dir/a b.bin"}

// fileHub serves one file, as an LFS file from elsewhere or as a regular one.
type fileHub struct {
	t       *testing.T
	content []byte
	rec     recorder
	cdn     *httptest.Server // nil: the Hub itself
	expired atomic.Bool      // the signature of addresses given so far is refused
	version atomic.Int32
}

func newFileHub(t *testing.T, content []byte, elsewhere bool) (*fileHub, *Client) {
	h := &fileHub{t: t, content: content}
	if elsewhere {
		h.cdn = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.rec.note(r)
			if r.Header.Get("Authorization") != "" {
				t.Error("the token went elsewhere")
			}
			if r.URL.Query().Get("v") != strconv.Itoa(int(h.version.Load())) || h.expired.Load() {
				reply(403, "<Error><Code>AccessDenied</Code></Error>", "Content-Type", "application/xml")(w, r)
				return
			}
			w.Header().Set("ETag", `"cdn"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(h.content))
		}))
		t.Cleanup(h.cdn.Close)
	}
	c, _ := serve(t, h)
	return h, c
}

func (h *fileHub) etag() string {
	if h.cdn != nil {
		return fmt.Sprintf("%x", sha256.Sum256(h.content))
	}
	return fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(h.content), h.content)))
}

func (h *fileHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.rec.note(r)
	if r.Header.Get("Accept-Encoding") != "identity" {
		h.t.Errorf("Accept-Encoding: %s", r.Header.Get("Accept-Encoding"))
	}
	w.Header().Set("X-Repo-Commit", oid1)
	if h.cdn == nil {
		w.Header().Set("ETag", `"`+h.etag()+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(h.content))
		return
	}
	w.Header().Set("X-Linked-Etag", `W/"`+h.etag()+`"`)
	w.Header().Set("X-Linked-Size", strconv.Itoa(len(h.content)))
	w.Header().Set("Location", fmt.Sprintf("%s/blob?v=%d&Expires=4000000000", h.cdn.URL, h.version.Load()))
	w.WriteHeader(http.StatusFound)
}

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 / 3)
	}
	return b
}

func TestOpenFile(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		data := content(100_000)
		h, c := newFileHub(t, data, elsewhere)
		for _, r := range []Range{{0, -1}, {0, 10}, {5, 10}, {99_990, 100}, {99_999, -1}, {0, 100_000}, {0, 1 << 40}} {
			end := len(data)
			if r.Len >= 0 {
				end = int(min(r.Off+r.Len, int64(end)))
			}
			want := data[r.Off:end]
			f, err := c.OpenFile(t.Context(), testFile, r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(f)
			f.Close()
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v: %d bytes, %v", r, len(got), err)
			}
			if f.Off != r.Off || f.Len != int64(len(want)) || f.Size != 100_000 || f.Commit != oid1 || f.ETag != h.etag() {
				t.Errorf("%v: %+v", r, f)
			}
			asked := strings.Count(h.rec.take(), "\n") + 1
			if want := map[bool]int{false: 1, true: 2}[elsewhere]; asked != want {
				t.Errorf("%d requests", asked)
			}
			// The same address again takes one request.
			f, err = c.OpenLocation(t.Context(), f.Location, r)
			if err != nil {
				t.Fatal(err)
			}
			got, err = io.ReadAll(f)
			f.Close()
			if err != nil || !bytes.Equal(got, want) || f.ETag != h.etag() || f.Commit != oid1 || f.Size != 100_000 {
				t.Errorf("again %v: %d bytes, %v, %+v", r, len(got), err, f)
			}
			if asked := strings.Count(h.rec.take(), "\n") + 1; asked != 1 {
				t.Errorf("%d requests for a known address", asked)
			}
		}
		_, err := c.OpenFile(t.Context(), testFile, Range{100_000, 1})
		wantKind(t, err, ErrRangeNotSatisfiable)
		mustContain(t, err.Error(), "bytes=100000-100000", "bytes */100000")
		for _, r := range []Range{{-1, 1}, {0, 0}, {1, 1<<63 - 1}} {
			var ve *ValidationError
			if _, err := c.OpenFile(t.Context(), testFile, r); !errors.As(err, &ve) {
				t.Error(r, err)
			}
		}
		if got := c.Stats(); got.BytesReceived < 100_000 || got.Requests[classResolvers] == 0 || (got.Requests[classContent] > 0) != elsewhere {
			t.Errorf("%+v", got)
		}
	}
}

// Reading range after range takes one connection to each host.
func TestConnectionsAreReused(t *testing.T) {
	var opened atomic.Int32
	count := func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	data := content(10_000)
	storage := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	storage.Config.ConnState = count
	storage.Start()
	defer storage.Close()
	hub := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Repo-Commit", oid1)
		w.Header().Set("X-Linked-Etag", oid2)
		http.Redirect(w, r, storage.URL, http.StatusFound)
	}))
	hub.Config.ConnState = count
	hub.Start()
	defer hub.Close()
	c, err := New(Config{Endpoint: hub.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	for i := range int64(20) {
		f, err := c.OpenFile(t.Context(), testFile, Range{i * 100, 100})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(f, make([]byte, 100)); err != nil { // no read beyond it
			t.Fatal(err)
		}
		f.Close()
	}
	if n := opened.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// A server that refuses the start of a file that isn't empty.
func TestRangeRefused(t *testing.T) {
	c, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Repo-Commit", oid1)
		w.Header().Set("ETag", oid2)
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		_, _ = io.WriteString(w, "0123456789")
	}))
	f, err := c.OpenFile(t.Context(), testFile, Range{0, 4})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || string(got) != "0123" || f.Len != 4 || f.Size != 10 {
		t.Errorf("%q, %v, %+v", got, err, f)
	}
}

func TestOpenEmptyFile(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		h, c := newFileHub(t, nil, elsewhere)
		for _, r := range []Range{{0, -1}, {0, 4096}} {
			f, err := c.OpenFile(t.Context(), testFile, r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(f)
			if err != nil || len(got) != 0 || f.Size != 0 || f.Len != 0 || f.ETag != h.etag() {
				t.Errorf("%d bytes, %v, %+v", len(got), err, f)
			}
			f.Close()
			if f, err = c.OpenLocation(t.Context(), f.Location, r); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(f); err != nil || len(got) != 0 {
				t.Error(len(got), err)
			}
			f.Close()
		}
		_, err := c.OpenFile(t.Context(), testFile, Range{1, 1})
		wantKind(t, err, ErrRangeNotSatisfiable)
	}
}

func TestLocationExpires(t *testing.T) {
	h, c := newFileHub(t, content(1000), true)
	f, err := c.OpenFile(t.Context(), testFile, Range{0, 10})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	h.version.Add(1) // the server has forgotten the old address
	_, err = c.OpenLocation(t.Context(), f.Location, Range{10, 10})
	wantKind(t, err, ErrLocationExpired)
	if f, err = c.OpenFile(t.Context(), testFile, Range{10, 10}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	h.rec.take()
	h.expired.Store(true) // every address is refused: not for ever
	_, err = c.OpenFile(t.Context(), testFile, Range{10, 10})
	wantKind(t, err, ErrUnavailable)
	if errors.Is(err, ErrLocationExpired) {
		t.Error("the caller is told to ask on")
	}
	if n := strings.Count(h.rec.take(), "\n") + 1; n != 8 {
		t.Errorf("%d requests", n)
	}
	// What is known to have expired isn't asked for.
	old := f.Location
	old.Expires = time.Now().Add(time.Second)
	_, err = c.OpenLocation(t.Context(), old, Range{10, 10})
	wantKind(t, err, ErrLocationExpired)
	if h.rec.take() != "" {
		t.Error("an expired address was used")
	}
}

// Storage that redirects, as a cache in front of it does.
func TestLocationRedirects(t *testing.T) {
	var rec recorder
	final := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
	}))
	defer final.Close()
	to := final.URL + "/final?Expires=4000000000"
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	defer front.Close()
	c, _ := serve(t, reply(302, "", "X-Repo-Commit", oid1, "X-Linked-Etag", oid2, "X-Linked-Size", "10", "Location", front.URL+"/front"))
	f, err := c.OpenFile(t.Context(), testFile, Range{2, 3})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || string(got) != "234" || f.ETag != oid2 || f.Location.URL != to || f.Location.Expires.Unix() != 4000000000 {
		t.Errorf("%q, %v, %+v", got, err, f)
	}
	if got := rec.take(); got != "GET /front\nGET /final?Expires=4000000000" {
		t.Error(got)
	}
	for _, to = range []string{"/front", "ftp://x/y", ""} {
		_, err := c.OpenFile(t.Context(), testFile, Range{2, 3})
		wantKind(t, err, ErrProtocol)
	}
	for _, u := range []string{"", "x", "http://[", "/path"} {
		var ve *ValidationError
		if _, err := c.OpenLocation(t.Context(), Location{URL: u}, Range{0, 1}); !errors.As(err, &ve) {
			t.Errorf("%q: %v", u, err)
		}
	}
}

// The bytes behind an address are others than before.
func TestLocationChanges(t *testing.T) {
	h, c := newFileHub(t, content(1000), false)
	f, err := c.OpenFile(t.Context(), testFile, Range{0, 10})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	h.content = bytes.Repeat([]byte("x"), 1000)
	_, err = c.OpenLocation(t.Context(), f.Location, Range{10, 10})
	wantKind(t, err, ErrLocationExpired)
}

func TestExpiry(t *testing.T) {
	for query, want := range map[string]time.Time{
		"X-Amz-Date=20240102T030405Z&X-Amz-Expires=3600":  time.Date(2024, 1, 2, 4, 4, 5, 0, time.UTC),
		"X-Goog-Date=20240102T030405Z&X-Goog-Expires=60":  time.Date(2024, 1, 2, 3, 5, 5, 0, time.UTC),
		"Expires=1700000000&Signature=x":                  time.Unix(1700000000, 0),
		"se=2024-01-02T03%3A04%3A05Z":                     time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC),
		"X-Amz-Date=x&X-Amz-Expires=1":                    {},
		"Expires=-1":                                      {},
		"Expires=99999999999999999999":                    {},
		"":                                                {},
		"X-Amz-Date=20240102T030405Z&X-Amz-Expires=99e99": {},
	} {
		if got := expiry(mustParse(t, "https://h/x?"+query)); !got.Equal(want) {
			t.Errorf("%s: %s", query, got)
		}
	}
}

// Answers that can't be right, each for bytes 10-19 of a file of 100.
func TestOpenHostile(t *testing.T) {
	good := []string{"X-Repo-Commit", oid1, "ETag", `"` + oid2 + `"`, "Content-Type", "application/octet-stream"}
	ten := "0123456789"
	for _, tt := range []struct {
		name   string
		status int
		body   string
		header []string
		want   error
	}{
		{"range ignored", 200, strings.Repeat("x", 100), nil, ErrProtocol},
		{"no Content-Range", 206, ten, nil, ErrProtocol},
		{"other unit", 206, ten, []string{"Content-Range", "lines 10-19/100"}, ErrProtocol},
		{"from elsewhere", 206, ten, []string{"Content-Range", "bytes 0-9/100"}, ErrProtocol},
		{"too short", 206, "01234", []string{"Content-Range", "bytes 10-14/100"}, ErrProtocol},
		{"too long", 206, ten + ten, []string{"Content-Range", "bytes 10-29/100"}, ErrProtocol},
		{"length contradicts", 206, ten + "x", []string{"Content-Range", "bytes 10-19/100"}, ErrProtocol},
		{"beyond its end", 206, ten, []string{"Content-Range", "bytes 10-19/15"}, ErrProtocol},
		{"backwards", 206, ten, []string{"Content-Range", "bytes 19-10/100"}, ErrProtocol},
		{"no number", 206, ten, []string{"Content-Range", "bytes +10-19/100"}, ErrProtocol},
		{"size contradicts", 206, ten, []string{"Content-Range", "bytes 10-19/100", "X-Linked-Size", "99"}, ErrProtocol},
		{"size is no number", 206, ten, []string{"Content-Range", "bytes 10-19/100", "X-Linked-Size", "-5"}, ErrProtocol},
		{"compressed", 206, ten, []string{"Content-Range", "bytes 10-19/100", "Content-Encoding", "gzip"}, ErrProtocol},
		{"no content", 204, "", nil, ErrProtocol},
		{"hostile commit", 206, ten, []string{"Content-Range", "bytes 10-19/100", "X-Repo-Commit", "../../x"}, ErrProtocol},
		{"hostile etag", 206, ten, []string{"Content-Range", "bytes 10-19/100", "X-Linked-Etag", `"../../x"`}, ErrProtocol},
		{"etag with a slash", 206, ten, []string{"Content-Range", "bytes 10-19/100", "X-Linked-Etag", `a/b`}, ErrProtocol},
		{"416", 416, "", []string{"Content-Range", "bytes */5"}, ErrRangeNotSatisfiable},
		{"500", 500, "", nil, ErrUnavailable},
		{"fine", 206, ten, []string{"Content-Range", "bytes 10-19/100"}, nil},
		{"fine without a total", 206, ten, []string{"Content-Range", "bytes 10-19/*"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for _, list := range [][]string{good, tt.header} {
					for i := 0; i < len(list); i += 2 {
						w.Header().Set(list[i], list[i+1])
					}
				}
				w.Header().Set("Content-Length", strconv.Itoa(len(tt.body)))
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			f, err := c.OpenFile(t.Context(), testFile, Range{10, 10})
			if tt.want != nil {
				wantKind(t, err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if got, err := io.ReadAll(f); err != nil || string(got) != ten {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	c, _ := serve(t, reply(200, "a login page", "Content-Type", "text/html"))
	_, err := c.OpenFile(t.Context(), testFile, Range{0, -1})
	wantKind(t, err, ErrProtocol)
	// A whole answer from the start has the range in it.
	c, _ = serve(t, reply(200, "0123456789", good...))
	f, err := c.OpenFile(t.Context(), testFile, Range{0, 4})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || string(got) != "0123" || f.Size != 10 {
		t.Errorf("%q, %v", got, err)
	}
}

// hijack answers with raw bytes and cuts the connection.
func hijack(raw string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = buf.WriteString(raw)
		_ = buf.Flush()
		conn.Close()
	}
}

func TestBrokenBody(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nX-Repo-Commit: " + oid1 + "\r\nETag: \"" + oid2 + "\"\r\n"
	for name, raw := range map[string]string{
		"truncated":         head + "Content-Length: 10\r\n\r\n01234",
		"chunked truncated": head + "X-Linked-Size: 10\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
		"chunked short":     head + "X-Linked-Size: 10\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n\r\n",
		"until close":       head + "X-Linked-Size: 10\r\nConnection: close\r\n\r\n01234",
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, hijack(raw))
			f, err := c.OpenFile(t.Context(), testFile, Range{0, -1})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := io.ReadAll(f)
			wantKind(t, err, ErrUnavailable)
			wantKind(t, err, io.ErrUnexpectedEOF)
			if string(got) != "01234" {
				t.Errorf("%q", got)
			}
			if _, again := f.Read(make([]byte, 1)); again != err { //nolint:errorlint // it is to be the same
				t.Errorf("then %v", again)
			}
		})
	}
	c, _ := serve(t, hijack(head+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
	_, err := c.OpenFile(t.Context(), testFile, Range{0, -1})
	wantKind(t, err, ErrProtocol) // no length at all
	c, _ = serve(t, hijack("HTTP/1.1 200"))
	_, err = c.OpenFile(t.Context(), testFile, Range{0, -1})
	wantKind(t, err, ErrUnavailable)
}

func TestReadIsCancelled(t *testing.T) {
	c, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Repo-Commit", oid1)
		w.Header().Set("ETag", oid2)
		w.Header().Set("Content-Length", "10")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	f, err := c.OpenFile(ctx, testFile, Range{0, -1})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cancel()
	_, err = f.Read(make([]byte, 1))
	wantKind(t, err, context.Canceled)
	if errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

func TestReadAfterClose(t *testing.T) {
	_, c := newFileHub(t, content(100), false)
	f, err := c.OpenFile(t.Context(), testFile, Range{0, -1})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := f.Read(make([]byte, 1)); err == nil {
		t.Error("a closed content can be read")
	}
}

func TestFileMetadata(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		h, c := newFileHub(t, content(1234), elsewhere)
		m, err := c.FileMetadata(t.Context(), testFile)
		if err != nil {
			t.Fatal(err)
		}
		if m.CommitHash != oid1 || m.ETag != h.etag() || m.Size != 1234 {
			t.Errorf("%+v", m)
		}
		if got := h.rec.take(); got != "HEAD /ns/name/resolve/main/dir/a%20b.bin" {
			t.Error(got)
		}
		if elsewhere && (!strings.HasPrefix(m.Location.URL, h.cdn.URL) || m.Location.Expires.Unix() != 4000000000) {
			t.Errorf("%+v", m.Location)
		}
		f, err := c.OpenLocation(t.Context(), m.Location, Range{1000, -1})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, h.content[1000:]) {
			t.Error(len(got), err)
		}
		f.Close()
	}
	// Whatever is missing is missing.
	c, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	m, err := c.FileMetadata(t.Context(), FileRef{Repo: testRepo, Path: "x"})
	if err != nil || m.CommitHash != "" || m.ETag != "" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestFileExists(t *testing.T) {
	for _, tt := range []struct {
		status int
		code   string
		want   bool
		kind   error
	}{
		{200, "", true, nil},
		{404, "EntryNotFound", false, nil},
		{404, "RevisionNotFound", false, nil},
		{404, "RepoNotFound", false, nil},
		{404, "", false, ErrNotFound}, // says nothing of the file
		{403, "GatedRepo", false, ErrGatedRepo},
	} {
		c, _ := serve(t, reply(tt.status, "", "X-Error-Code", tt.code))
		got, err := c.FileExists(t.Context(), testFile)
		if got != tt.want || !errors.Is(err, tt.kind) {
			t.Errorf("%d %s: %v, %v", tt.status, tt.code, got, err)
		}
	}
}

// A missing file is known to be missing from a certain commit.
func TestMissingFileHasCommit(t *testing.T) {
	for _, commit := range []string{oid1, "../x"} {
		c, _ := serve(t, reply(404, "", "X-Error-Code", "EntryNotFound", "X-Repo-Commit", commit))
		_, err := c.FileMetadata(t.Context(), testFile)
		wantKind(t, err, ErrEntryNotFound)
		var e *Error
		if !errors.As(err, &e) || e.Commit != map[string]string{oid1: oid1}[commit] {
			t.Errorf("%+v", e)
		}
	}
}

func TestNormalETag(t *testing.T) {
	for in, want := range map[string]string{`"abc"`: "abc", `W/"abc"`: "abc", "abc": "abc", "": "", `W/`: "", `""`: ""} {
		if got := normalETag(in); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
}

func TestDownload(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		h, c := newFileHub(t, content(300_000), elsewhere)
		var buf bytes.Buffer
		m, err := c.Download(t.Context(), testFile, &buf)
		if err != nil || !bytes.Equal(buf.Bytes(), h.content) || m.ETag != h.etag() || m.Size != 300_000 || m.CommitHash != oid1 {
			t.Errorf("%d bytes, %+v, %v", buf.Len(), m, err)
		}
	}
}

// breaking serves its content in pieces: each answer breaks off after n bytes.
func breaking(rec *recorder, data []byte, etag string, n int) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		rec.note(r)
		w := httptest.NewRecorder()
		w.Header().Set("X-Repo-Commit", oid1)
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		resp := w.Result()
		resp.Request = r
		resp.Body = io.NopCloser(io.LimitReader(resp.Body, int64(n)))
		return resp, nil
	}
}

func TestDownloadResumes(t *testing.T) {
	data := content(1000)
	good := fmt.Sprintf("%x", sha256.Sum256(data))
	synctest.Test(t, func(t *testing.T) {
		var rec recorder
		c := fake(t, nil, func(cfg *Config) { cfg.Transport = breaking(&rec, data, good, 90) })
		var buf bytes.Buffer
		if _, err := c.Download(t.Context(), testFile, &buf); err != nil || !bytes.Equal(buf.Bytes(), data) {
			t.Errorf("%d bytes, %v", buf.Len(), err)
		}
		if n := strings.Count(rec.take(), "\n") + 1; n != 12 {
			t.Errorf("%d requests", n)
		}
	})
	synctest.Test(t, func(t *testing.T) { // no byte ever comes
		var rec recorder
		c := fake(t, nil, func(cfg *Config) { cfg.Transport = breaking(&rec, data, good, 0) })
		_, err := c.Download(t.Context(), testFile, io.Discard)
		wantKind(t, err, ErrUnavailable)
		if n := strings.Count(rec.take(), "\n") + 1; n != 6 {
			t.Errorf("%d requests", n)
		}
	})
	synctest.Test(t, func(t *testing.T) { // wrong bytes of the right length
		c := fake(t, nil, func(cfg *Config) { cfg.Transport = breaking(new(recorder), data, sha1of, 1000) })
		_, err := c.Download(t.Context(), testFile, io.Discard)
		wantKind(t, err, ErrProtocol)
	})
	synctest.Test(t, func(t *testing.T) { // the disk is full
		c := fake(t, nil, func(cfg *Config) { cfg.Transport = breaking(new(recorder), data, good, 1000) })
		_, err := c.Download(t.Context(), testFile, failingWriter{})
		wantKind(t, err, io.ErrShortWrite)
	})
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 0-9/*", "bytes */10", "bytes 9-0/10", "bytes -1-5/9", "bytes 0-9223372036854775807/*", "bytes 1-2/3/4", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, err := parseContentRange(s)
		if err == nil && (first < 0 || last < first || total != -1 && last >= total || last-first+1 <= 0) {
			t.Fatalf("%q: %d-%d/%d", s, first, last, total)
		}
	})
}

func FuzzETag(f *testing.F) {
	for _, s := range []string{`"abc"`, `W/"abc"`, `WW//""`, `"../x"`, `"a"b"`, "\x00", "..", strings.Repeat("x", 300)} {
		f.Add(s, "5")
	}
	f.Fuzz(func(t *testing.T, etag, size string) {
		req := &http.Request{Method: http.MethodHead, URL: mustParse(t, "http://h/x")}
		h := http.Header{"X-Linked-Etag": {etag}, "X-Linked-Size": {size}}
		a := &answer{resp: &http.Response{StatusCode: http.StatusOK, Header: h, Request: req}, hops: []http.Header{h}}
		m, err := a.metadata()
		if err != nil {
			return
		}
		if m.Size < -1 || m.ETag != "" && (strings.Contains(m.ETag, "/") || ValidPath(m.ETag) != nil) {
			t.Fatalf("%+v", m)
		}
	})
}
