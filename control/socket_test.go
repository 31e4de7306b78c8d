package control

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// runtimeDir gives the test's sockets a folder with a short name.
func runtimeDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hubfs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	return dir
}

func TestSocketDir(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/7")
	if got := SocketDir(); got != "/run/user/7/hubfs" {
		t.Errorf("got %s", got)
	}
	t.Setenv("XDG_RUNTIME_DIR", "")
	if got := SocketDir(); os.Getuid() == 0 && got != "/run/hubfs" || os.Getuid() != 0 && !strings.HasPrefix(got, "/tmp/hubfs-") {
		t.Errorf("got %s", got)
	}
}

func TestSocketPathIsOfTheRealFolder(t *testing.T) {
	runtimeDir(t)
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "dir")
	link := filepath.Join(base, "link")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink("dir", link)); err != nil {
		t.Fatal(err)
	}
	a, err := SocketPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := SocketPath(link + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(base)
	c, err := SocketPath("link")
	if err != nil {
		t.Fatal(err)
	}
	if a != b || b != c {
		t.Errorf("%s, %s, %s differ", a, b, c)
	}
	if d, err := SocketPath(base); err != nil || d == a {
		t.Errorf("two folders share %s (%v)", a, err)
	}
	if err := os.Symlink("loop", filepath.Join(base, "loop")); err != nil {
		t.Fatal(err)
	}
	if _, err := SocketPath(filepath.Join(base, "loop")); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a loop: %v", err)
	}
}

func TestListenModes(t *testing.T) {
	run := runtimeDir(t)
	l, err := Listen(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]os.FileMode{filepath.Join(run, "hubfs"): 0o700, l.Addr().String(): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v (%v)", path, info.Mode().Perm(), want, err)
		}
	}
}

func TestListenLeavesTheLivingAlone(t *testing.T) {
	runtimeDir(t)
	dir := t.TempDir()
	l, err := Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), dir); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a second server: %v", err)
	}
	// A server that was killed leaves its file.
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := os.Lstat(l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	again, err := Listen(t.Context(), dir)
	if err != nil {
		t.Fatalf("after a dead one: %v", err)
	}
	again.Close()
}

func TestListenAtOnce(t *testing.T) {
	runtimeDir(t)
	dir := t.TempDir()
	// A dead socket makes all of them want to replace it.
	l, err := Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	var wg sync.WaitGroup
	won := make(chan net.Listener, 8)
	for range 8 {
		wg.Go(func() {
			l, err := Listen(t.Context(), dir)
			if err == nil {
				won <- l
			} else if !errors.Is(err, syscall.EBUSY) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(won)
	if n := len(won); n != 1 {
		t.Fatalf("%d servers listen", n)
	}
	defer (<-won).Close()
	conn, err := dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestSocketDirOfSomebodyElse(t *testing.T) {
	run := runtimeDir(t)
	dir := filepath.Join(run, "hubfs")
	for name, lay := range map[string]func() error{
		"link":  func() error { return os.Symlink(t.TempDir(), dir) },
		"file":  func() error { return os.WriteFile(dir, nil, 0o600) },
		"open":  func() error { return errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o777)) },
		"other": func() error { return errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, 12345, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "other" && os.Getuid() != 0 {
				t.Skip("only root can give a folder away")
			}
			if err := lay(); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			l, err := Listen(t.Context(), t.TempDir())
			if err == nil {
				l.Close()
				t.Error("listened in it")
			} else if !strings.Contains(err.Error(), "XDG_RUNTIME_DIR") {
				t.Errorf("%v doesn't say what to do", err)
			}
			c, err := NewClient(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			var e *Error
			if _, err := c.Status(t.Context()); !errors.As(err, &e) || e.Kind != KindForbidden {
				t.Errorf("a client speaks to it: %v", err)
			}
		})
	}
}

func TestListenLongName(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/tmp/"+strings.Repeat("x", 120))
	if _, err := Listen(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "XDG_RUNTIME_DIR") {
		t.Errorf("got %v", err)
	}
}

func TestFindMount(t *testing.T) {
	runtimeDir(t)
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "mnt")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink("mnt", filepath.Join(base, "link"))); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]string{"mnt": ".", "mnt/a/b": "a/b", "link/a": "a", "link/": "."} {
		got, rel, err := FindMount(filepath.Join(base, path))
		if err != nil || got != dir || rel != want {
			t.Errorf("%s: %s, %s, %v", path, got, rel, err)
		}
	}
	var e *Error
	if _, _, err := FindMount(base); !errors.As(err, &e) || e.Kind != KindNotRunning {
		t.Errorf("got %v", err)
	}
}

func TestAllowPeer(t *testing.T) {
	for _, tt := range []struct {
		peer, own uint32
		ok        bool
	}{{1000, 1000, true}, {0, 1000, true}, {1001, 1000, false}, {1000, 0, false}, {0, 0, true}} {
		if err := allowPeer(tt.peer, tt.own); (err == nil) != tt.ok {
			t.Errorf("%d at %d: %v", tt.peer, tt.own, err)
		}
	}
}

func TestWaitExit(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	if err := WaitExit(ctx, cmd.Process.Pid); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it runs: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := WaitExit(t.Context(), cmd.Process.Pid); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
}
