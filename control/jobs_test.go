package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/writeback"
)

func TestJobsRunInOrder(t *testing.T) {
	release := make(chan struct{})
	var mu sync.Mutex
	var order []string
	c, _ := start(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		mu.Lock()
		order = append(order, strings.TrimPrefix(r.URL.Path, "/api/models/me/"))
		mu.Unlock()
		fmt.Fprintf(w, `{"id":%q}`, strings.TrimPrefix(r.URL.Path, "/api/models/"))
	}))
	ctx := t.Context()
	var ids []string
	for i := range 5 {
		job, err := c.Background(ctx, "model_info", params("repo_id", fmt.Sprintf(`"me/m%d"`, i)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, job.ID)
	}
	// One by its parameter, and one by the method for it.
	res, err := c.Call(ctx, "run_as_future", params("method", `"repo_exists"`, "params", `{"repo_id":"me/m5"}`))
	if err != nil {
		t.Fatal(err)
	}
	var last Job
	if err := json.Unmarshal(res.Value.(json.RawMessage), &last); err != nil || last.State != JobQueued || last.Method != "repo_exists" {
		t.Errorf("%s: %v", res.Value, err)
	}
	waitFor(t, func() bool { // the first waits for the Hub, the others for it
		all, err := c.Jobs(ctx)
		return err == nil && len(all) == 6 && all[0].State == JobRunning && all[1].State == JobQueued && all[5].State == JobQueued
	})
	close(release)
	for i, id := range ids {
		job, err := c.WaitJob(ctx, id)
		if err != nil || job.State != JobDone || !strings.Contains(string(job.Result), fmt.Sprintf(`"id":"me/m%d"`, i)) || job.Started.IsZero() || job.Ended.Before(job.Started) {
			t.Errorf("%+v, %v", job, err)
		}
	}
	if job, err := c.WaitJob(ctx, last.ID); err != nil || string(job.Result) != "true" {
		t.Errorf("%+v, %v", job, err)
	}
	if got := strings.Join(order, " "); got != "m0 m1 m2 m3 m4 m5" {
		t.Errorf("ran %s", got)
	}
}

func TestJobsThatEndBadly(t *testing.T) {
	began := make(chan struct{}, 10)
	c, _ := start(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/none") {
			w.Header().Set("X-Error-Code", "RepoNotFound")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		began <- struct{}{}
		<-r.Context().Done()
	}))
	ctx := t.Context()
	submit := func(repo string) *Job {
		t.Helper()
		job, err := c.Background(ctx, "model_info", params("repo_id", `"me/`+repo+`"`))
		if err != nil {
			t.Fatal(err)
		}
		return job
	}
	none := submit("none")
	if job, err := c.WaitJob(ctx, none.ID); err != nil || job.State != JobFailed || job.Error == nil || job.Error.Kind != "repo_not_found" || job.Error.Status != 404 {
		t.Errorf("%+v, %v", job, err)
	}
	running, queued := submit("a"), submit("b")
	<-began
	for _, id := range []string{queued.ID, running.ID} {
		if _, err := c.CancelJob(ctx, id); err != nil {
			t.Error(err)
		}
		if job, err := c.WaitJob(ctx, id); err != nil || job.State != JobCanceled || job.Error.Kind != KindCanceled {
			t.Errorf("%+v, %v", job, err)
		}
	}
	if len(began) != 0 {
		t.Error("a job ran that was canceled before")
	}
	if job, err := c.CancelJob(ctx, none.ID); err != nil || job.State != JobFailed {
		t.Errorf("%+v, %v", job, err)
	}
	for _, bad := range []struct {
		method, params, kind string
	}{
		{"model_info", `{}`, KindBadParameter},
		{"no_such_method", `{}`, KindUnknownMethod},
		{"run_as_future", `{"method":"whoami"}`, KindBadParameter}, // in the background of the background
	} {
		var p map[string]json.RawMessage
		_ = json.Unmarshal([]byte(bad.params), &p)
		if _, err := c.Background(ctx, bad.method, p); AsError(err).Kind != bad.kind {
			t.Errorf("%s: %v", bad.method, err)
		}
	}
	for _, p := range []string{`{"method":"no_such_method"}`, `{"method":"model_info","params":{}}`, `{"method":"model_info","params":[]}`, `{}`} {
		if _, err := callThrough(t, c, "run_as_future", p); err == nil || AsError(err).Kind != KindBadParameter {
			t.Errorf("%s: %v", p, err)
		}
	}
	var e *Error
	if _, err := c.WaitJob(ctx, "99"); !errors.As(err, &e) || e.Status != 404 {
		t.Errorf("%v", err)
	}
	if _, err := c.CancelJob(ctx, "99"); !errors.As(err, &e) || e.Status != 404 {
		t.Errorf("%v", err)
	}
	if err := c.do(ctx, http.MethodGet, "/v1/jobs/1?wait=soon", nil, nil); AsError(err).Parameter != "wait" {
		t.Errorf("%v", err)
	}
	if err := c.do(ctx, http.MethodPost, "/v1/api/whoami?background=perhaps", nil, nil); AsError(err).Parameter != "background" {
		t.Errorf("%v", err)
	}
}

func callThrough(t *testing.T, c *Client, method, p string) (*Result, error) {
	t.Helper()
	var params map[string]json.RawMessage
	if err := json.Unmarshal([]byte(p), &params); err != nil {
		t.Fatal(err)
	}
	return c.Call(t.Context(), method, params)
}

// Without a daemon there is nothing that would run a job.
func TestNoJobsWithoutDaemon(t *testing.T) {
	api := testAPI(t, "http://127.0.0.1:1")
	for method, p := range map[string]string{
		"run_as_future": `{"method":"whoami"}`,
		"upload_folder": `{"repo_id":"me/m","folder_path":".","run_as_future":true}`,
	} {
		if _, err := callOf(t, api, method, p); err == nil || AsError(err).Kind != KindNotRunning || !strings.Contains(err.Error(), "--mount") {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// fakeMethod is a row whose results the test makes.
func fakeMethod(run func() any) *Method {
	m := &Method{MethodInfo: MethodInfo{Name: "fake"}}
	m.check = func(map[string]json.RawMessage) error { return nil }
	m.run = func(context.Context, *API, map[string]json.RawMessage) (*Result, error) {
		return &Result{Value: run()}, nil
	}
	return m
}

func TestJobLimits(t *testing.T) {
	j := newJobs(&API{})
	defer j.close(t.Context())
	release := make(chan struct{})
	m := fakeMethod(func() any { <-release; return "x" })
	var last *Job
	n := 0
	for ; ; n++ {
		job, err := j.submit(7, m, nil)
		if err != nil {
			if e := AsError(err); e.Kind != KindOverloaded || e.Status != 429 || e.RetryAfter == 0 {
				t.Errorf("%v", err)
			}
			break
		}
		last = job
	}
	if n < maxQueued || n > maxQueued+1 {
		t.Errorf("%d jobs were taken", n)
	}
	close(release)
	if job, err := j.wait(t.Context(), last.ID); err != nil || job.State != JobDone {
		t.Errorf("%+v, %v", job, err)
	}
	if all := j.list(); len(all) != maxKept || all[maxKept-1].ID != last.ID {
		t.Errorf("%d jobs are kept", len(all))
	}
	if _, err := j.submit(7, m, params("x", `"`+strings.Repeat("x", maxQueuedSize)+`"`)); AsError(err).Kind != KindOverloaded {
		t.Errorf("%v", err)
	}
	// Of large results fewer are kept.
	big := strings.Repeat("x", maxResult/2)
	for range 2 * maxKeptSize / maxResult * 2 {
		job, err := j.submit(7, fakeMethod(func() any { return big }), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.wait(t.Context(), job.ID); err != nil {
			t.Fatal(err)
		}
	}
	size := 0
	for _, e := range j.order {
		size += len(e.Result)
	}
	if size > maxKeptSize || size < maxKeptSize-maxResult {
		t.Errorf("%d bytes are kept", size)
	}
}

// A list's elements are counted, files' bytes are; a result that nobody could keep fails.
func TestJobProgress(t *testing.T) {
	srv := hubtest.New(t)
	id := srv.Repo("m", map[string]string{"a": "A", "b": "B"})
	c, _ := start(t, apiOf(t, srv.Client()))
	job, err := c.Background(t.Context(), "list_repo_files", params("repo_id", `"`+id+`"`))
	if err != nil {
		t.Fatal(err)
	}
	if job, err = c.WaitJob(t.Context(), job.ID); err != nil || job.Progress == nil || job.Progress.Elements != 3 || !strings.Contains(string(job.Result), `"a",`) {
		t.Errorf("%+v, %v", job, err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "large.bin"), make([]byte, 11<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	res, err := callThrough(t, c, "upload_folder", fmt.Sprintf(`{"repo_id":%q,"folder_path":%q,"run_as_future":true}`, id, dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(res.Value.(json.RawMessage), job); err != nil {
		t.Fatal(err)
	}
	if job, err = c.WaitJob(t.Context(), job.ID); err != nil || job.State != JobDone || job.Progress == nil || job.Progress.TotalDone != 11<<20 || job.Progress.Files != 1 {
		t.Errorf("%+v %+v, %v", job, job.Progress, err)
	}
	many := &Method{MethodInfo: MethodInfo{Name: "many"}}
	many.check = func(map[string]json.RawMessage) error { return nil }
	many.run = func(context.Context, *API, map[string]json.RawMessage) (*Result, error) {
		return &Result{Elements: func(yield func(any, error) bool) {
			for yield(strings.Repeat("x", 1<<20), nil) {
			}
		}}, nil
	}
	j := newJobs(&API{})
	defer j.close(t.Context())
	job, err = j.submit(1, many, nil)
	if err != nil {
		t.Fatal(err)
	}
	if job, err = j.wait(t.Context(), job.ID); err != nil || job.State != JobFailed || job.Error.Kind != "too_large" {
		t.Errorf("%+v, %v", job, err)
	}
}

// stream reads server-sent events: their names and data.
func stream(ctx context.Context, t *testing.T, c *Client, path string) (next func() (name, data string, err error)) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+Host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %d %s", path, resp.StatusCode, b)
	}
	r := bufio.NewReader(resp.Body)
	return func() (name, data string, err error) {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return "", "", err
			}
			line = strings.TrimSuffix(line, "\n")
			switch {
			case line == "" && name != "":
				return name, data, nil
			case strings.HasPrefix(line, "event: "):
				name = line[len("event: "):]
			case strings.HasPrefix(line, "data: "):
				data = line[len("data: "):]
			}
		}
	}
}

func TestJobEvents(t *testing.T) {
	release := make(chan struct{})
	c, _ := start(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		fmt.Fprint(w, `{"id":"me/m"}`)
	}))
	job, err := c.Background(t.Context(), "model_info", params("repo_id", `"me/m"`))
	if err != nil {
		t.Fatal(err)
	}
	next := stream(t.Context(), t, c, "/v1/jobs/"+job.ID+"/events")
	name, data, err := next()
	if err != nil || name != "progress" || !strings.Contains(data, `"method":"model_info"`) {
		t.Errorf("%s %s, %v", name, data, err)
	}
	close(release)
	for name == "progress" && err == nil {
		name, data, err = next()
	}
	if name != JobDone || !strings.Contains(data, `"id":"me/m"`) {
		t.Errorf("%s %s, %v", name, data, err)
	}
	if _, _, err := next(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream goes on: %v", err)
	}
}

// branchMount is a mount whose one branch is as the test says.
type branchMount struct {
	*fakeMount
	mu sync.Mutex
	b  fs.BranchStatus
}

func (m *branchMount) Status() fs.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fs.Status{Dir: m.dir, Branches: []fs.BranchStatus{m.b}}
}

func (m *branchMount) change(fn func(*fs.BranchStatus)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn(&m.b)
}

func TestMountEvents(t *testing.T) {
	runtimeDir(t)
	m := &branchMount{fakeMount: &fakeMount{dir: t.TempDir()}, b: fs.BranchStatus{Repo: "me/m", Type: "model", Revision: "main", Head: "aaa"}}
	l, err := Listen(t.Context(), m.dir)
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, ServerOptions{API: testAPI(t, "http://127.0.0.1:1"), Mount: m})
	s.watch.every = time.Millisecond
	c, err := NewClient(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	leaves, leave := context.WithCancel(t.Context())
	other := stream(leaves, t, c, "/v1/events")
	next := stream(t.Context(), t, c, "/v1/events")
	for _, n := range []func() (string, string, error){other, next} {
		if name, _, err := n(); name != "ready" {
			t.Fatalf("%s, %v", name, err)
		}
	}
	want := func(name string, parts ...string) {
		t.Helper()
		got, data, err := next()
		if err != nil || got != name {
			t.Fatalf("%s %s, %v; want %s", got, data, err, name)
		}
		for _, p := range append(parts, `"repo":"me/m"`) {
			if !strings.Contains(data, p) {
				t.Errorf("%s: %s has no %s", name, data, p)
			}
		}
	}
	m.change(func(b *fs.BranchStatus) { b.Head = "bbb" })
	want("head", `"from":"aaa"`, `"to":"bbb"`)
	if name, _, err := other(); name != "head" {
		t.Errorf("%s, %v", name, err)
	}
	leave()
	m.change(func(b *fs.BranchStatus) { b.Head, b.LastCommit = "ccc", &writeback.Commit{OID: "ccc"} })
	want("commit", `"to":"ccc"`)
	want("head", `"to":"ccc"`)
	m.change(func(b *fs.BranchStatus) { b.Failed, b.WriteError = 2, "README.md: no" })
	want("failed", `"failed":2`, "README.md: no")
	m.change(func(b *fs.BranchStatus) { b.Error = "the Hub is unavailable" })
	want("error", "unavailable")

	// The end of the daemon is the end of the stream, which doesn't hold it up.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	if name, _, err := next(); err == nil {
		t.Errorf("%s", name)
	}
	waitFor(t, func() bool {
		s.watch.mu.Lock()
		defer s.watch.mu.Unlock()
		return s.watch.stop == nil && len(s.watch.listeners) == 0
	})
}

// A listener that doesn't read loses events and is told; nobody waits for it.
func TestEventsOfSlowListener(t *testing.T) {
	w := &watcher{status: func() fs.Status { return fs.Status{} }, every: time.Hour, listeners: map[chan Event]bool{}}
	slow, end := w.listen()
	defer end()
	for range backlog + 10 {
		w.tell(Event{Event: "head"})
	}
	var last Event
	for range backlog + 1 {
		last = <-slow
	}
	if last.Event != "lost" || len(slow) != 0 {
		t.Errorf("%+v, and %d more", last, len(slow))
	}
}

// What runs may end until the daemon's patience does; what waits is canceled.
func TestJobsEndWithDaemon(t *testing.T) {
	began := make(chan struct{}, 2)
	s, c, _ := startServer(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-r.Context().Done()
	}))
	for range 2 {
		if _, err := c.Background(t.Context(), "model_info", params("repo_id", `"me/m"`)); err != nil {
			t.Fatal(err)
		}
	}
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s.jobs.close(ctx)
	for _, job := range s.jobs.list() {
		if job.State != JobCanceled {
			t.Errorf("%+v", job)
		}
	}
	if len(began) != 0 {
		t.Error("a job began after the daemon's end")
	}
	if _, err := c.Background(t.Context(), "model_info", params("repo_id", `"me/m"`)); AsError(err).Kind != KindNotRunning {
		t.Errorf("%v", err)
	}
}

// Two thousand callers at once, among whom some never read, some vanish, and some send half of a request:
// the others are answered, and nothing is left of any.
func TestCrowd(t *testing.T) {
	const crowd = 2000
	srv := hubtest.New(t)
	files := map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("f%03d", i)] = "x"
	}
	id := srv.Repo("m", files)
	_, c, m := startServer(t, apiOf(t, srv.Client()))
	if _, err := c.Call(t.Context(), "repo_exists", params("repo_id", `"`+id+`"`)); err != nil {
		t.Fatal(err)
	}
	goroutines, fds := runtime.NumGoroutine(), openFiles(t)
	path, err := SocketPath(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	var rude []net.Conn
	for i := range 60 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		rude = append(rude, conn)
		list := fmt.Sprintf(`{"repo_id":%q}`, id)
		switch i % 3 {
		case 0: // a head without an end
			_, err = fmt.Fprintf(conn, "POST /v1/api/list_repo_files HTTP/1.1\r\nHost: %s\r\nContent-", Host)
		case 1: // half of a body
			_, err = fmt.Fprintf(conn, "POST /v1/api/list_repo_files HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n{", Host, len(list))
		case 2: // it doesn't read
			_, err = fmt.Fprintf(conn, "POST /v1/api/list_repo_files HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", Host, len(list), list)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for i := range crowd {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			switch i % 10 {
			case 0: // it leaves in the middle of the list
				res, err := c.Call(ctx, "list_repo_files", params("repo_id", `"`+id+`"`))
				if err != nil {
					t.Error(err)
					return
				}
				for _, err := range res.Elements {
					if err != nil {
						t.Error(err)
					}
					break
				}
			case 1: // it leaves before the answer
				time.AfterFunc(time.Millisecond, cancel)
				_, _ = c.Call(ctx, "list_models", nil)
			default:
				res, err := c.Call(ctx, "get_full", nil)
				if err == nil || AsError(err).Kind != KindUnknownMethod {
					t.Errorf("%v, %v", res, err)
				}
				if res, err = c.Call(ctx, "get_paths_info", params("repo_id", `"`+id+`"`, "paths", `"f001"`)); err != nil {
					t.Error(err)
					return
				}
				for _, err := range res.Elements {
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, conn := range rude {
		conn.Close()
	}
	waitFor(t, func() bool { // connections to the Hub may be idle
		return runtime.NumGoroutine() < goroutines+300 && openFiles(t) < fds+150
	})
	srv.Stop()
	waitFor(t, func() bool { return runtime.NumGoroutine() <= goroutines && openFiles(t) <= fds })
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
