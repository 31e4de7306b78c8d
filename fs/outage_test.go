package fs

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// What was read once is readable with the network gone, also after a remount,
// also with --offline.
func TestOutage(t *testing.T) {
	s := hubtest.New(t)
	head := create(t, s, "model", "alice/m", map[string]string{"f": "read", "d/g": "read too", "never": strings.Repeat("unread", blobcache.PackFile)})
	create(t, s, "dataset", "alice/d", map[string]string{"f": "data"})
	cache := filepath.Join(t.TempDir(), "hub")
	config := func(offline bool) func(*daemonConfig) {
		return func(c *daemonConfig) {
			c.CacheDir, c.Offline, c.Retries, c.Poll = cache, offline, -1, 100*time.Millisecond
		}
	}
	check := func(m *mounted, unread syscall.Errno) {
		t.Helper()
		wantContent(t, m.path("alice/m/f"), "read")
		wantContent(t, m.path("alice/m/d/g"), "read too")
		wantContent(t, m.path("alice/m@"+head+"/f"), "read")
		wantContent(t, m.path("models/alice/m/f"), "read")
		wantContent(t, m.path("datasets/alice/d/f"), "data")
		wantNames(t, m.path("alice"), "m")
		wantNames(t, m.path("alice/m"), ".gitattributes", "d", "f", "never")
		wantLink(t, m.path("alice/m@main"), "m")
		_, err := os.ReadFile(m.path("alice/m/never"))
		wantErrno(t, "what was never read", err, unread)
		_, err = os.Lstat(m.path("alice/other"))
		wantErrno(t, "what was never asked for", err, unread)
	}
	m := mount(t, s, "", config(false))
	wantNames(t, m.path(), "models", "datasets", "spaces", "alice")
	wantNames(t, m.path("alice"), "m")
	wantContent(t, m.path("alice/m/f"), "read")
	wantContent(t, m.path("alice/m/d/g"), "read too")
	wantContent(t, m.path("alice/m@"+head+"/f"), "read")
	wantContent(t, m.path("datasets/alice/d/f"), "data")
	wantContent(t, m.path("models/alice/m/f"), "read")

	s.Stop()
	eventually(t, "the status tells of the outage", func() bool {
		for _, b := range m.status().Branches {
			if b.Revision == "main" && b.Type == "model" {
				return b.Error != "" && b.Head == head
			}
		}
		return false
	})
	check(m, syscall.EIO)
	m.unmount()

	m = mount(t, s, "", config(false))
	check(m, syscall.EIO)
	wantNames(t, m.path(), "models", "datasets", "spaces", "alice")
	m.unmount()

	m = mount(t, s, "", config(true))
	check(m, syscall.ENETUNREACH)
	if st := m.status(); !st.Offline || st.User != "alice" && st.User != "" {
		t.Errorf("status: %+v", st)
	}
	m.unmount()

	for _, source := range []string{"alice/m", "alice/m@" + head, "alice/m@main/d"} {
		for _, offline := range []bool{false, true} {
			m := mount(t, s, source, config(offline))
			if strings.HasSuffix(source, "/d") {
				wantContent(t, m.path("g"), "read too")
			} else {
				wantContent(t, m.path("f"), "read")
			}
			m.unmount()
		}
	}
	if _, err := tryMount(t, s, "alice/unknown", config(false)); err == nil {
		t.Error("mounted what nobody has ever seen, without network")
	}

	// The Hub comes back: everything goes on by itself.
	m = mount(t, s, "", config(false))
	check(m, syscall.EIO)
	s.Start()
	commit(t, s, "model", "alice/m", "main", map[string]string{"f": "changed"})
	eventually(t, "the change is seen", reads(m.path("alice/m/f"), "changed"))
	wantContent(t, m.path("alice/m/never"), strings.Repeat("unread", blobcache.PackFile))
}

// A token that expires while a repository is mounted stops what is new, not what
// is known.
func TestTokenExpires(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "read", "never": strings.Repeat("unread", blobcache.PackFile)})
	if err := s.Hub.AddToken("alice", localhub.Token{Value: "hf_short", Name: "short"}); err != nil {
		t.Fatal(err)
	}
	m := mount(t, s, "", poll(100*time.Millisecond), func(c *daemonConfig) { c.Token = "hf_short" })
	wantContent(t, m.path("alice/m/f"), "read")
	if err := s.Hub.RevokeToken("hf_short"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the status tells", func() bool {
		b := m.status().Branches
		return len(b) == 1 && strings.Contains(b[0].Error, "401")
	})
	wantContent(t, m.path("alice/m/f"), "read")
	_, err := os.Lstat(m.path("alice/new"))
	wantErrno(t, "a new name", err, syscall.EACCES)
	_, err = os.ReadFile(m.path("alice/m/never"))
	wantErrno(t, "new content", err, syscall.EACCES)
}

// A gated repository can be seen, not entered, and the user learns why.
func TestGated(t *testing.T) {
	s := hubtest.New(t, hubtest.WithUsers(localhub.User{Name: "eve", Token: "hf_eve"}))
	create(t, s, "model", "alice/open", map[string]string{"f": "open"})
	create(t, s, "model", "alice/gated", map[string]string{"f": "gated", "g": "gated"})
	gated := "manual"
	if err := s.Hub.UpdateRepo("model", "alice/gated", localhub.RepoUpdate{Gated: &gated}); err != nil {
		t.Fatal(err)
	}
	m := mount(t, s, "", func(c *daemonConfig) { c.Token = "hf_eve" })
	wantNames(t, m.path("alice"), "gated", "open")
	_, err := os.ReadFile(m.path("alice/gated/f"))
	wantErrno(t, "a file of a gated repository", err, syscall.EACCES)
	wantContent(t, m.path("alice/open/f"), "open")
	s.Hub.ResetCounts()
	for _, name := range []string{"f", "g", "f", "g"} {
		_, err := os.ReadFile(m.path("alice/gated", name))
		wantErrno(t, name, err, syscall.EACCES)
	}
	if c := s.Hub.Counts(); c.API+c.Resolve > 0 {
		t.Errorf("it was asked for again: %v", s.Hub.Requests())
	}
	refusals := m.status().Errors
	if len(refusals) != 1 || refusals[0].Path != "alice/gated" || !strings.Contains(refusals[0].Error, "restricted") {
		t.Errorf("the status tells %+v", refusals)
	}
	if n := strings.Count(m.log.String(), "request failed"); n != 1 {
		t.Errorf("the log tells it %d times", n)
	}
	if err := s.Hub.GrantAccess("model", "alice/gated", "eve"); err != nil {
		t.Fatal(err)
	}
	m.refresh()
	wantContent(t, m.path("alice/gated/f"), "gated")
	if refusals := m.status().Errors; len(refusals) != 0 {
		t.Errorf("after access was granted, the status tells %+v", refusals)
	}
}

// front stands between a mount and the Hub and can misbehave.
type front struct {
	*httptest.Server
	hang  atomic.Bool
	spoil atomic.Pointer[func(path string, body []byte) []byte]
	hung  chan struct{} // gets one for each request that hangs
}

func newFront(t testing.TB, s *hubtest.Server) *front {
	t.Helper()
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{hung: make(chan struct{}, 1000)}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		spoil := f.spoil.Load()
		if spoil == nil {
			return nil
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(r.Body); err != nil {
			return err
		}
		changed := (*spoil)(r.Request.URL.Path, body.Bytes())
		r.Body, r.ContentLength = readCloser{bytes.NewReader(changed)}, int64(len(changed))
		r.Header.Set("Content-Length", fmt.Sprint(len(changed)))
		return nil
	}
	ended := make(chan struct{})
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.hang.Load() {
			f.hung <- struct{}{}
			select {
			case <-r.Context().Done():
			case <-ended:
			}
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		close(ended)
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

func (f *front) at(c *daemonConfig) { c.Endpoint = f.URL }

// A server that hangs makes requests fail in bounded time, and keeps nothing that
// is cached from being read.
func TestHangingServer(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "read", "never": "unread", "d/g": "unread"})
	f := newFront(t, s)
	m := mount(t, s, "alice/m", f.at, func(c *daemonConfig) { c.Progress, c.Retries = 500*time.Millisecond, -1 })
	wantContent(t, m.path("f"), "read")
	f.hang.Store(true)
	began := time.Now()
	_, err := os.ReadFile(m.path("never"))
	wantErrno(t, "content", err, syscall.EIO)
	_, err = os.ReadDir(m.path("d"))
	wantErrno(t, "a folder", err, syscall.EIO)
	wantContent(t, m.path("f"), "read")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	f.hang.Store(false)
	eventually(t, "all is well again", func() bool {
		_, err := os.ReadDir(m.path("d"))
		return err == nil && reads(m.path("never"), "unread")()
	})
}

// While a reader waits for a server that hangs, it can be killed, a signal that it
// merely handles doesn't disturb it, and others go on.
func TestWaitingReaderCanBeKilled(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "read", "never": "unread", "d/g": "in d"})
	f := newFront(t, s)
	m := mount(t, s, "alice/m", f.at, func(c *daemonConfig) { c.Progress, c.Retries = time.Minute, -1 })
	wantContent(t, m.path("f"), "read")
	f.hang.Store(true)
	for _, test := range []struct {
		script string
		signal syscall.Signal
	}{
		{"cat never", syscall.SIGKILL},
		{"cat never", syscall.SIGTERM},
		{"cat never", syscall.SIGINT},
		{"ls d", syscall.SIGKILL},
		{"ls d", syscall.SIGINT},
		{"stat d/g", syscall.SIGKILL},
	} {
		t.Run(test.script+" "+test.signal.String(), func(t *testing.T) {
			cmd := exec.Command("sh", "-c", "exec "+test.script)
			cmd.Dir = "/"
			cmd.Args[2] = "cd " + m.path() + " && exec " + test.script
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- cmd.Wait() }()
			waitBlocked(t, cmd.Process.Pid)
			if err := cmd.Process.Signal(syscall.SIGCHLD); err != nil { // of no importance
				t.Fatal(err)
			}
			select {
			case err := <-done:
				t.Fatalf("it ended by itself: %v", err)
			case <-time.After(300 * time.Millisecond):
			}
			if err := cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != test.signal {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(30 * time.Second):
				t.Error("it can't be killed")
			}
			wantContent(t, m.path("f"), "read")
		})
	}
	f.hang.Store(false)
	f.CloseClientConnections()
	eventually(t, "all is well again", func() bool {
		return reads(m.path("never"), "unread")() && reads(m.path("d/g"), "in d")()
	})
}

// waitBlocked waits until a process waits for an answer of the file system, or
// for a page of it.
func waitBlocked(t testing.TB, pid int) {
	t.Helper()
	eventually(t, "the reader waits", func() bool {
		where, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
		if err == nil && len(where) > 1 {
			return bytes.Contains(where, []byte("fuse")) || bytes.Contains(where, []byte("folio")) || bytes.Contains(where, []byte("request_wait_answer"))
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return false
		}
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		return err == nil && string(comm) != "sh\n" && (fields[0] == "S" || fields[0] == "D")
	})
}

// A listing with paths that must not be followed shows the others.
func TestHostileListing(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"good": "good"})
	f := newFront(t, s)
	oid := strings.Repeat("1", 40)
	spoil := func(path string, body []byte) []byte {
		if !strings.Contains(path, "/tree/") {
			return body
		}
		var more strings.Builder
		for _, p := range []string{"..", ".", "", "/etc/passwd", "../up", "a/../../b", ".git", ".GIT", ".git/config", "x/y", "nul\\u0000x", "back\\\\slash",
			strings.Repeat("n", 256), "good", "good"} {
			fmt.Fprintf(&more, `,{"type":"file","oid":%q,"size":3,"path":"%s"}`, oid, p)
		}
		fmt.Fprintf(&more, `,{"type":"directory","oid":%q,"size":0,"path":".."}`, oid)
		fmt.Fprintf(&more, `,{"type":"file","oid":"no id","size":3,"path":"bad-id"},{"type":"file","oid":%q,"size":-3,"path":"bad-size"}`, oid)
		fmt.Fprintf(&more, `,{"type":"file","oid":%q,"size":3,"path":"fine","lfs":null}`, oid)
		return append(bytes.TrimSuffix(bytes.TrimSpace(body), []byte("]")), more.String()+"]"...)
	}
	f.spoil.Store(&spoil)
	m := mount(t, s, "alice/m", f.at)
	wantNames(t, m.path(), ".gitattributes", "fine", "good")
	wantContent(t, m.path("good"), "good")
	for _, name := range []string{".git", "x", "bad-id", "up"} {
		_, err := os.Lstat(m.path(name))
		wantErrno(t, name, err, syscall.ENOENT)
	}
}

// Answers that aren't what they should be are errors, not wrong names.
func TestWrongAnswers(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"d/f": "1"})
	f := newFront(t, s)
	m := mount(t, s, "", f.at, func(c *daemonConfig) { c.Retries = -1 })
	html := func(string, []byte) []byte { return []byte("<html>Sign in to the hotel's network</html>") }
	f.spoil.Store(&html)
	for _, path := range []string{"alice", "alice/m", "nobody"} {
		_, err := os.Lstat(m.path(path))
		wantErrno(t, path, err, syscall.EIO)
	}
	f.spoil.Store(nil)
	eventually(t, "all is well again", reads(m.path("alice/m/d/f"), "1"))
	for what, change := range map[string][2]string{
		"another namespace": {`"id":"alice/`, `"id":"../`},
		"a path as an id":   {`"id":"alice/m"`, `"id":"../../etc"`},
	} {
		spoil := func(_ string, body []byte) []byte {
			return bytes.ReplaceAll(body, []byte(change[0]), []byte(change[1]))
		}
		f.spoil.Store(&spoil)
		m := mount(t, s, "", f.at, func(c *daemonConfig) { c.Retries = -1 })
		if info, err := os.Lstat(m.path("alice/m")); err == nil {
			t.Errorf("%s: it is shown as %v", what, info)
		}
	}
}

// A daemon that is killed leaves a mount point that says what to do, and the next
// one goes on.
func TestKillAndRemount(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": strings.Repeat("x", 100000), "d/g": "2"})
	m := mount(t, s, "alice/m")
	wantContent(t, m.path("d/g"), "2")
	ino := stat(t, m.path("d/g")).Ino
	open, err := os.Open(m.path("f"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := m.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Wait(); err == nil {
		t.Error("the daemon ended well")
	}
	m.over.Store(true)
	_, err = os.ReadDir(m.path("d"))
	wantErrno(t, "a dead mount", err, syscall.ENOTCONN)
	_, err = New(t.Context(), m.cfg.Dir, Options{Source: Source{WholeHub: true}})
	var refused *MountPointError
	if !errors.As(err, &refused) || !errors.Is(err, syscall.ENOTCONN) || !strings.Contains(err.Error(), "umount") && !strings.Contains(err.Error(), "fusermount3 -u") {
		t.Errorf("mounting over a dead mount: %v", err)
	}
	open.Close()
	if err := unmountDir(m.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	again := mount(t, s, "alice/m", func(c *daemonConfig) { c.Dir, c.CacheDir = m.cfg.Dir, m.cfg.CacheDir })
	s.Hub.ResetCounts()
	wantContent(t, again.path("d/g"), "2")
	if now := stat(t, again.path("d/g")).Ino; now != ino {
		t.Errorf("the file had the number %d and has %d", ino, now)
	}
	if c := s.Hub.Counts(); c.API+c.Resolve > 0 {
		t.Errorf("what was known was asked for again: %v", s.Hub.Requests())
	}
	wantContent(t, again.path("f"), strings.Repeat("x", 100000))
}
