package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/syncer"
)

// startSync runs the sync of a folder with its socket, as its daemon does.
func startSync(t *testing.T, srv *hubtest.Server) (*Client, string) {
	t.Helper()
	runtimeDir(t)
	folder := filepath.Join(t.TempDir(), "runs")
	s, err := syncer.Open(syncer.Options{
		Hub: srv.Client(), Endpoint: srv.URL, Folder: folder, Repo: hub.Repo{Type: hub.Dataset, ID: "alice/runs"},
		StateDir: t.TempDir(), StopTimeout: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ListenSync(t.Context(), s.Folder())
	if err != nil {
		t.Fatal(err)
	}
	server := Serve(l, ServerOptions{API: apiOf(t, srv.Client()), Sync: s})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = s.Run(ctx, context.Background())
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(server.Close(ctx), s.Close()); err != nil {
			t.Error(err)
		}
	})
	c, err := NewSyncClient(s.Folder())
	if err != nil {
		t.Fatal(err)
	}
	return c, s.Folder()
}

func put(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSyncCalls(t *testing.T) {
	srv := hubtest.New(t)
	c, folder := startSync(t, srv)
	put(t, filepath.Join(folder, "a"), "a")
	if found, err := FindSync(filepath.Join(folder, "not", "there")); err != nil || found != folder {
		t.Errorf("%q, %v", found, err)
	}
	if _, err := ListenSync(t.Context(), folder); AsError(err).Kind != KindBusy {
		t.Errorf("a second socket: %v", err)
	}
	if _, _, err := FindMount(folder); AsError(err).Kind != KindNotRunning {
		t.Errorf("the folder isn't a mount: %v", err)
	}
	res, err := c.FlushSync(t.Context(), time.Minute)
	if err != nil || len(res.Commits) != 1 || res.Commits[0].Files != 1 || res.PID != os.Getpid() {
		t.Fatalf("%+v, %v", res, err)
	}
	st, err := StatusOf(t.Context(), folder)
	if err != nil || len(st.Syncs) != 1 || len(st.Mounts) != 0 || st.Syncs[0].Folder != folder || st.Syncs[0].LastCommit.OID != res.Commits[0].OID {
		t.Fatalf("%+v, %v", st, err)
	}
	if all, err := Collect(t.Context()); err != nil || len(all.Syncs) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := c.Refresh(t.Context()); err == nil {
		t.Error("a sync has nothing to refresh")
	}
	if _, err := c.FlushSync(t.Context(), -time.Second); AsError(err).Kind != KindBadParameter {
		t.Error(err)
	}
	put(t, filepath.Join(folder, "b"), "b")
	m, err := LookupMethod("CommitScheduler.push_to_hub")
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Call(t.Context(), apiOf(t, srv.Client()), params("folder", fmt.Sprintf("%q", folder)))
	if err != nil {
		t.Fatal(err)
	}
	if info, ok := out.Value.(map[string]any); !ok || info["commit_message"] != "Scheduled Commit" || info["oid"] == res.Commits[0].OID {
		t.Errorf("%+v", out.Value)
	}
	// The same through the socket of the sync itself.
	put(t, filepath.Join(folder, "c"), "c")
	if _, err := c.Call(t.Context(), "CommitScheduler.push_to_hub", params("folder", fmt.Sprintf("%q", folder))); err != nil {
		t.Error(err)
	}
	put(t, filepath.Join(folder, "d"), "d")
	if res, err = c.StopSync(t.Context()); err != nil || len(res.Commits) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	if res, err = c.StopSync(t.Context()); err != nil { // it is what it was
		t.Errorf("%+v, %v", res, err)
	}
	if _, err := c.FlushSync(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Error(err)
	}
}

// TestSyncCrowd: among many who ask for pushes some vanish and some send half of a request. The others are
// answered, one push serves many, and nothing is left of any.
func TestSyncCrowd(t *testing.T) {
	srv := hubtest.New(t)
	c, folder := startSync(t, srv)
	put(t, filepath.Join(folder, "first"), "first")
	if _, err := c.FlushSync(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	goroutines, fds := runtime.NumGoroutine(), openFiles(t)
	path, err := SyncSocketPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	var rude []net.Conn
	for i := range 40 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		rude = append(rude, conn)
		length := []int{100, 2}[i%2] // half a body, or a whole one whose answer isn't read
		if _, err := fmt.Fprintf(conn, "POST /v1/flush HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n{}", Host, length); err != nil {
			t.Fatal(err)
		}
	}
	before := srv.Hub.Counts().Commit
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			put(t, filepath.Join(folder, fmt.Sprint(i)), fmt.Sprint(i))
			switch i % 5 {
			case 0: // it leaves before the answer
				time.AfterFunc(time.Millisecond, cancel)
				_, _ = c.FlushSync(ctx, 0)
			case 1:
				if err := c.TriggerSync(ctx); err != nil {
					t.Error(err)
				}
			case 2:
				if _, err := c.Status(ctx); err != nil {
					t.Error(err)
				}
			default:
				if _, err := c.FlushSync(ctx, time.Minute); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := c.FlushSync(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if n := srv.Hub.Counts().Commit - before; n == 0 || n > 100 {
		t.Errorf("%d commits for 500 callers", n)
	}
	st, err := c.Status(t.Context())
	if err != nil || st.Syncs[0].Files != 501 {
		t.Errorf("%+v, %v", st, err)
	}
	for _, conn := range rude {
		conn.Close()
	}
	waitFor(t, func() bool { return runtime.NumGoroutine() < goroutines+50 && openFiles(t) < fds+50 })
	srv.Stop()
	waitFor(t, func() bool { return runtime.NumGoroutine() <= goroutines && openFiles(t) <= fds })
}
