package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/writeback"
)

// fakeMount stands for what package fs mounts, which needs a kernel and is tried by cmd/hubfs.
type fakeMount struct {
	dir     string
	busy    []fs.Process
	waited  chan [2]string
	refresh error

	mu       sync.Mutex // guards what follows
	changed  []fs.Change
	flushErr error
	flushed  []string
	gone     chan struct{}
	pushes   int
}

func (m *fakeMount) Dir() string { return m.dir }
func (m *fakeMount) Status() fs.Status {
	return fs.Status{Dir: m.dir, PID: 1, Source: "me/m", ReadOnly: true, Branches: []fs.BranchStatus{
		{Repo: "me/m", Type: "model", Revision: "main", Head: strings.Repeat("a", 40), Error: "the Hub is unavailable"},
	}}
}
func (m *fakeMount) Refresh(context.Context) error { return m.refresh }
func (m *fakeMount) WaitCommit(_ context.Context, path, commit string) error {
	m.waited <- [2]string{path, commit}
	return nil
}
func (m *fakeMount) Unmount() error {
	if m.busy != nil {
		return &fs.BusyError{Dir: m.dir, Processes: m.busy}
	}
	close(m.gone)
	return nil
}
func (m *fakeMount) Wait() { <-m.gone }
func (m *fakeMount) Flush(_ context.Context, path string) (fs.PushResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flushed = append(m.flushed, path)
	return m.push(path), m.flushErr
}

// push commits what is staged below path.
func (m *fakeMount) push(path string) (res fs.PushResult) {
	var rest []fs.Change
	for _, c := range m.changed {
		switch {
		case !strings.HasPrefix(c.Path, path) || c.State == writeback.Local:
			rest = append(rest, c)
		case c.State == writeback.Failed:
			rest, res.Failed = append(rest, c), append(res.Failed, c)
		default:
			res.Commits = append(res.Commits, fs.Commit{Repo: "me/m", Commit: writeback.Commit{OID: strings.Repeat("c", 40), Changes: 1}})
		}
	}
	m.changed = rest
	return res
}
func (m *fakeMount) Push(context.Context) (fs.PushResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pushes++
	return m.push(""), nil
}
func (m *fakeMount) WaitStaged(_ context.Context, path string) error {
	m.waited <- [2]string{path, ""}
	return nil
}
func (m *fakeMount) Discard(_ context.Context, path string) ([]fs.Change, error) {
	gone := m.Changes(path)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = nil
	return gone, nil
}
func (m *fakeMount) Changes(path string) (out []fs.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.changed {
		if strings.HasPrefix(c.Path, path) {
			out = append(out, c)
		}
	}
	return out
}
func (m *fakeMount) Uploads() []fs.Upload { return []fs.Upload{{Path: "big.bin", Bytes: 1, Total: 2}} }

// start serves an API on a socket of its own.
func start(t *testing.T, api *API) (*Client, *fakeMount) {
	t.Helper()
	_, c, m := startServer(t, api)
	return c, m
}

func startServer(t *testing.T, api *API) (*Server, *Client, *fakeMount) {
	t.Helper()
	runtimeDir(t)
	m := &fakeMount{dir: t.TempDir(), waited: make(chan [2]string, 1), gone: make(chan struct{})}
	l, err := Listen(t.Context(), m.dir)
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, ServerOptions{API: api, Mount: m, User: func() string { return "me" }, Writing: &Writing{Every: time.Minute, StopTimeout: time.Minute}})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	c, err := NewClient(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, c, m
}

// upstream is a Hub that answers as the test says.
func upstream(t *testing.T, h http.HandlerFunc) *API {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	client, err := hub.New(hub.Config{Endpoint: srv.URL, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	return apiOf(t, client)
}

func nothing(t *testing.T) *API {
	return upstream(t, func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("unexpected request %s %s", r.Method, r.URL)
		w.WriteHeader(http.StatusTeapot)
	})
}

func params(kv ...string) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = json.RawMessage(kv[i+1])
	}
	return m
}

func TestMountCalls(t *testing.T) {
	c, m := start(t, nothing(t))
	st, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Mounts) != 1 || st.Mounts[0].Dir != m.dir || st.Mounts[0].User != "me" || st.Mounts[0].Branches[0].Repo != "me/m" {
		t.Errorf("got %+v", st)
	}
	if st.Syncs == nil || st.Quota == nil {
		t.Errorf("syncs or quota would be null: %+v", st)
	}
	if got, err := c.Refresh(t.Context()); err != nil || got.Dir != m.dir {
		t.Errorf("got %+v, %v", got, err)
	}
	m.refresh = fmt.Errorf("look at me/m: %w", hub.ErrUnavailable)
	var e *Error
	if _, err := c.Refresh(t.Context()); !errors.Is(err, hub.ErrUnavailable) || !errors.As(err, &e) || e.Kind != "unavailable" {
		t.Errorf("got %v", err)
	}
	if err := c.WaitCommit(t.Context(), "a/b", strings.Repeat("c", 40)); err != nil {
		t.Error(err)
	}
	if got := <-m.waited; got != [2]string{"a/b", strings.Repeat("c", 40)} {
		t.Errorf("got %q", got)
	}
	m.busy = []fs.Process{{PID: 7, Program: "vi", Uses: "3", Path: "/x"}}
	if _, err := c.Unmount(t.Context(), nil); !errors.As(err, &e) || !errors.Is(err, syscall.EBUSY) || len(e.Processes) != 1 || e.Processes[0] != m.busy[0] {
		t.Errorf("got %+v", err)
	}
	m.busy = nil
	if res, err := c.Unmount(t.Context(), nil); err != nil || res.Dir != m.dir || res.PID == 0 {
		t.Errorf("got %+v, %v", res, err)
	}
	infos, err := c.Methods(t.Context())
	if err != nil || len(infos) != len(Methods()) {
		t.Errorf("got %d methods, %v", len(infos), err)
	}
}

func TestCollect(t *testing.T) {
	c, m := start(t, nothing(t))
	st, err := Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, got := range st.Mounts {
		found = found || got.Dir == m.dir
	}
	if !found {
		t.Errorf("%s isn't in %+v", m.dir, st.Mounts)
	}
	one, err := StatusOf(t.Context(), m.dir+"/below")
	if err != nil || len(one.Mounts) != 1 || one.Mounts[0].Dir != m.dir {
		t.Errorf("got %+v, %v", one, err)
	}
	_ = c
}

func TestMergeQuota(t *testing.T) {
	st := func(left int64, reset float64) *Status {
		return &Status{Quota: map[string]QuotaStatus{"api": {Limit: 100, Remaining: left, ResetIn: reset}}}
	}
	for _, tt := range []struct {
		all  []*Status
		want int64
	}{
		{[]*Status{st(50, 100), st(40, 100.2)}, 40}, // one window: the least
		{[]*Status{st(40, 100.2), st(50, 100)}, 40},
		{[]*Status{st(3, 10), st(90, 290)}, 90}, // an old window and a new one
		{[]*Status{st(90, 290), st(3, 10)}, 90},
	} {
		if got := merge(tt.all).Quota["api"].Remaining; got != tt.want {
			t.Errorf("got %d, want %d", got, tt.want)
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	c, _ := start(t, nothing(t))
	for name, tt := range map[string]struct {
		change func(*http.Request)
		status int
		kind   string
	}{
		"origin":         {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403, KindForbidden},
		"referer":        {func(r *http.Request) { r.Header.Set("Referer", "https://evil.example/") }, 403, KindForbidden},
		"host":           {func(r *http.Request) { r.Host = "evil.example" }, 403, KindForbidden},
		"localhost":      {func(r *http.Request) { r.Host = "localhost" }, 200, ""},
		"unknown method": {func(r *http.Request) { r.Method, r.URL.Path = "POST", "/v1/api/whoareyou" }, 404, KindUnknownMethod},
		"not JSON":       {func(r *http.Request) { post(r, "whoami", "{") }, 400, KindBadRequest},
		"array":          {func(r *http.Request) { post(r, "whoami", "[]") }, 400, KindBadRequest},
		"two values":     {func(r *http.Request) { post(r, "whoami", "{}{}") }, 400, KindBadRequest},
		"too large":      {func(r *http.Request) { post(r, "whoami", `{"token":"`+strings.Repeat("x", maxBody)+`"}`) }, 413, KindBadRequest},
		"bad parameter":  {func(r *http.Request) { post(r, "repo_info", `{"repo_id":1}`) }, 400, KindBadParameter},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+Host+"/v1/status", nil)
			if err != nil {
				t.Fatal(err)
			}
			tt.change(req)
			resp, err := c.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var e Error
			if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status || e.Kind != tt.kind {
				t.Errorf("got %d %+v, want %d %s", resp.StatusCode, e, tt.status, tt.kind)
			}
			if tt.kind != "" && (e.Message == "" || e.Status != tt.status) {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func post(r *http.Request, method, body string) {
	r.Method, r.URL.Path = "POST", "/v1/api/"+method
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}

func TestHubErrorsCrossTheSocket(t *testing.T) {
	c, _ := start(t, upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Error-Code", "GatedRepo")
		w.Header().Set("X-Error-Message", "Access to model me/m is restricted")
		w.Header().Set("X-Request-Id", "req-1")
		w.WriteHeader(http.StatusForbidden)
	}))
	for _, call := range []string{"repo_info", "list_repo_tree"} { // one value, and a list that fails at once
		res, err := c.Call(t.Context(), call, params("repo_id", `"me/m"`))
		if err == nil && res.Elements != nil {
			t.Errorf("%s: status 200 for what failed at once", call)
			continue
		}
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, hub.ErrGatedRepo) || !errors.Is(err, hub.ErrForbidden) {
			t.Errorf("%s: got %v", call, err)
			continue
		}
		if e.Status != 403 || e.Code != "GatedRepo" || e.RequestID != "req-1" || e.Kind != "gated_repo" || !strings.Contains(e.Message, "Access to model me/m is restricted") {
			t.Errorf("%s: got %+v", call, e)
		}
	}
}

// treePage answers with one page of a tree; more than 0 says where the next is.
func treePage(w http.ResponseWriter, r *http.Request, from, n int, more string) {
	var entries []string
	for i := range n {
		entries = append(entries, fmt.Sprintf(`{"type":"file","path":"f%04d","size":1,"oid":%q}`, from+i, strings.Repeat("a", 40)))
	}
	if more != "" {
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?cursor=%s>; rel="next"`, r.Host, r.URL.Path, more))
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "[%s]", strings.Join(entries, ","))
}

func TestListBreaksInTheMiddle(t *testing.T) {
	c, _ := start(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") == "" {
			treePage(w, r, 0, 10, "x")
			return
		}
		w.Header().Set("X-Error-Code", "RevisionNotFound")
		w.WriteHeader(http.StatusNotFound)
	}))
	res, err := c.Call(t.Context(), "list_repo_files", params("repo_id", `"me/m"`))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var last error
	for _, err := range res.Elements {
		if err != nil {
			last = err
			continue
		}
		n++
	}
	if n != 10 || !errors.Is(last, hub.ErrRevisionNotFound) {
		t.Errorf("got %d elements and %v", n, last)
	}
	// Whoever reads it as plain JSON must not take it for whole.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+Host+"/v1/api/list_repo_files", strings.NewReader(`{"repo_id":"me/m"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil && json.Valid(body) {
		t.Errorf("the broken list is valid JSON: %s", body)
	}
}

func TestListComesAsItIsRead(t *testing.T) {
	second := make(chan struct{})
	c, _ := start(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") == "" {
			treePage(w, r, 0, 1000, "x")
			return
		}
		select { // the second page comes only when the first has been read
		case <-second:
			treePage(w, r, 1000, 10, "")
		case <-r.Context().Done():
		}
	}))
	res, err := c.Call(t.Context(), "list_repo_files", params("repo_id", `"me/m"`))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, err := range res.Elements {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%q", fmt.Sprintf("f%04d", n)); string(e.(json.RawMessage)) != want {
			t.Fatalf("element %d is %s", n, e)
		}
		if n++; n == 100 {
			close(second)
		}
	}
	if n != 1010 {
		t.Errorf("got %d elements", n)
	}
}

func TestCallEndsWithItsCaller(t *testing.T) {
	asked, ended := make(chan struct{}), make(chan struct{})
	c, _ := start(t, upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(ended)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, "repo_info", params("repo_id", `"me/m"`))
		done <- err
	}()
	<-asked
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-ended // or the test hangs, and its timeout tells
}

// waitFor returns when something is so, which comes by itself.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

func TestTooManyCalls(t *testing.T) {
	const running = 8
	var asked sync.WaitGroup
	asked.Add(running)
	release := make(chan struct{})
	s, c, _ := startServer(t, upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-release:
		default:
			asked.Done()
		}
		<-release
		fmt.Fprint(w, `{"id":"me/m"}`)
	}))
	s.calls, s.waiting = make(chan struct{}, running), make(chan struct{}, 1)
	var calls sync.WaitGroup
	for range running {
		calls.Go(func() {
			if _, err := c.Call(t.Context(), "repo_info", params("repo_id", `"me/m"`)); err != nil {
				t.Error(err)
			}
		})
	}
	asked.Wait()
	// One more waits until a call has ended; the next is refused.
	calls.Go(func() {
		if _, err := c.Call(t.Context(), "repo_info", params("repo_id", `"me/m"`)); err != nil {
			t.Error(err)
		}
	})
	waitFor(t, func() bool { return len(s.waiting) == 1 })
	var e *Error
	if _, err := c.Call(t.Context(), "whoami", nil); !errors.As(err, &e) || e.Kind != KindOverloaded || e.RetryAfter == 0 {
		t.Errorf("got %v", err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("its health must still be told: %v", err)
	}
	close(release)
	calls.Wait()
}

// An element is on its way although the next takes long.
func TestFirstElementAtOnce(t *testing.T) {
	release := make(chan struct{})
	var more string
	c, _ := start(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") != "" {
			<-release
			fmt.Fprint(w, `[{"id":"me/b"}]`)
			return
		}
		more = "http://" + r.Host + r.URL.Path + "?cursor=2"
		w.Header().Set("Link", "<"+more+`>; rel="next"`)
		fmt.Fprint(w, `[{"id":"me/a"}]`)
	}))
	res, err := c.Call(t.Context(), "list_models", nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, err := range res.Elements {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			if !strings.Contains(string(e.(json.RawMessage)), "me/a") {
				t.Errorf("%s", e)
			}
			close(release) // or the test hangs: the second page waits for the first element's reader
		}
	}
	if n != 2 {
		t.Errorf("%d elements", n)
	}
}

func TestMetrics(t *testing.T) {
	api := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit", `"api";r=489;t=189`)
		w.Header().Set("RateLimit-Policy", `"fixed window";"api";q=500;w=300`)
		fmt.Fprint(w, `{"id":"me/m"}`)
	})
	c, m := start(t, api)
	if _, err := c.Call(t.Context(), "repo_info", params("repo_id", `"me/m"`)); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+Host+"/v1/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v: %s", resp.Status, err, body)
	}
	for _, want := range []string{
		`hubfs_hub_requests_total{class="api",dir="` + m.dir + `"} 1`,
		`hubfs_hub_quota_remaining{class="api",dir="` + m.dir + `"}`,
		`hubfs_hub_received_bytes_total{`, `hubfs_branches{dir="` + m.dir + `"} 1`, `hubfs_branch_errors{dir="` + m.dir + `"} 1`,
		"process_resident_memory_bytes", "go_goroutines",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	runtimeDir(t)
	dir := t.TempDir()
	c, err := NewClient(dir)
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := c.Status(t.Context()); !errors.As(err, &e) || e.Kind != KindNotRunning || !strings.Contains(e.Message, "hubfs mount SOURCE "+dir) {
		t.Errorf("got %v", err)
	}
	l, err := Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := c.Status(t.Context()); !errors.As(err, &e) || e.Kind != KindNotRunning || !strings.Contains(e.Message, "hubfs umount "+dir) {
		t.Errorf("got %v", err)
	}
	if !RemoveDeadSocket(t.Context(), dir) || RemoveDeadSocket(t.Context(), dir) {
		t.Error("the dead socket isn't removed once")
	}
}

func TestDaemonDiesInTheMiddle(t *testing.T) {
	runtimeDir(t)
	dir := t.TempDir()
	l, err := Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		buf := make([]byte, 4096)
		if _, err := conn.Read(buf); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[\"a\",\r\n")
		}
		conn.(*net.UnixConn).Close()
	}()
	c, err := NewClient(dir)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Call(t.Context(), "list_repo_files", params("repo_id", `"me/m"`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var last error
	for e, err := range res.Elements {
		if err != nil {
			last = err
			continue
		}
		got = append(got, string(e.(json.RawMessage)))
	}
	var e *Error
	if len(got) != 1 || !errors.As(last, &e) || e.Kind != KindNotRunning {
		t.Errorf("got %q and %v", got, last)
	}
}
