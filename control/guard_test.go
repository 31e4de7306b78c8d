package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// This program is the daemon of TestGuard, and its guard, when it is run with one of these.
const (
	stuckArg = "stuck-daemon"
	guardArg = "guard"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		var run func(dir string) error
		switch os.Args[1] {
		case stuckArg:
			run = stuckDaemon
		case guardArg:
			run = Guard
		}
		if run != nil {
			if err := run(os.Args[2]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

// stuckDir never answers when a folder is to be made in it, and tells the kernel of a changed name meanwhile.
type stuckDir struct{ gofs.Inode }

func (d *stuckDir) Mkdir(context.Context, string, uint32, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	go d.NotifyEntry("other") //nolint:errcheck // it doesn't return
	select {}
}

func stuckDaemon(dir string) error {
	if _, err := StartGuard(guardArg, dir); err != nil {
		return err
	}
	server, err := gofs.Mount(dir, &stuckDir{}, &gofs.Options{MountOptions: fuse.MountOptions{Name: "hubfs", FsName: "stuck"}})
	if err != nil {
		return err
	}
	fmt.Println("mounted")
	server.Wait()
	return nil
}

// A daemon that is killed while it waits in the kernel for the lock of a folder, whose holder waits for the daemon,
// leaves nobody waiting.
func TestGuard(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	daemon := exec.CommandContext(ctx, "/proc/self/exe", stuckArg, dir)
	daemon.Stderr = os.Stderr
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Unmount(dir, syscall.MNT_FORCE) // frees all, whatever went wrong
		_ = syscall.Unmount(dir, syscall.MNT_DETACH)
	})
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatalf("the daemon doesn't mount: %v", err)
	}
	program := exec.CommandContext(ctx, "mkdir", filepath.Join(dir, "new"))
	var said bytes.Buffer
	program.Stderr = &said
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "a thread of the daemon to wait in the kernel", func() bool { return isStuck(daemon.Process.Pid) })

	if err := daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := program.Wait(); !errors.As(err, &exit) || !exit.Exited() || ctx.Err() != nil {
		t.Errorf("mkdir ended with %v: %s", err, said.String())
	}
	_ = daemon.Wait() // "signal: killed"
	if ctx.Err() != nil {
		t.Error("the daemon can't die")
	}
	// The mount is still there: what is written to it must not end up below it.
	if err := os.Mkdir(filepath.Join(dir, "new"), 0o755); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("mkdir in the dead mount: %v", err)
	}
}

// isStuck says whether a thread of a process waits where no signal reaches it, for longer than for a moment.
func isStuck(pid int) bool {
	for range 3 {
		states, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		stuck := false
		for _, p := range states {
			stat, _ := os.ReadFile(p)
			_, after, _ := strings.Cut(string(stat), ") ")
			stuck = stuck || strings.HasPrefix(after, "D")
		}
		if !stuck {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}

func until(ctx context.Context, t *testing.T, what string, is func() bool) {
	t.Helper()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// A guard ends with the process that started it, and when it is told to.
func TestGuardEnds(t *testing.T) {
	stop, err := StartGuard(guardArg, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := StartGuard("-test.list=^$"); err == nil {
		t.Error("what ends at once is taken for a guard")
	}
}
