package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/fs"
)

// A daemon that is killed while it tells the kernel of a changed name can wait there for a call to
// the mount to end, and that call for the daemon's answer: neither goes on, and the daemon can't die.
// The kernel ends such calls when it is told to abort the connection. The guard sees to that (guard_linux.go),
// unless it was killed together with the daemon.

// AbortDying makes the kernel end the calls to the mount at dir if its daemon was killed and can't
// die, and says whether it was so.
func AbortDying(ctx context.Context, dir string) (bool, error) {
	socket, err := SocketPath(dir)
	if err != nil {
		return false, err
	}
	conn, err := dial(ctx, socket)
	if err != nil {
		return false, nil //nolint:nilerr // who doesn't listen is alive, or wholly dead
	}
	defer conn.Close()
	cred, err := peerCred(conn.(*net.UnixConn))
	if err != nil {
		return false, err
	}
	if !isDying(int(cred.Pid)) {
		return false, nil
	}
	if err := abortMount(dir); err != nil {
		return true, err
	}
	return true, WaitExit(ctx, int(cred.Pid))
}

// isDying says whether a process was killed, or has ended but for threads that the kernel can't end.
func isDying(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "State":
			if strings.HasPrefix(value, "Z") {
				return true
			}
		case "SigPnd": // of the first thread, which may be the one that can't end
			pending, err := strconv.ParseUint(value, 16, 64)
			return err == nil && pending&(1<<(syscall.SIGKILL-1)) != 0
		}
	}
	return false
}

// abortMount has the kernel answer all calls to a mount with an error. The mount stays, so that nobody writes
// to what is below it.
func abortMount(dir string) error {
	mounts, err := fs.KernelMounts()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(mounts, func(m fs.KernelMount) bool { return m.Dir == dir })
	if i < 0 {
		return fmt.Errorf("%s isn't mounted", dir)
	}
	err = os.WriteFile("/sys/fs/fuse/connections/"+mounts[i].Connection+"/abort", []byte("1"), 0)
	if err == nil || os.Getuid() != 0 {
		return err
	}
	// What has the files for it isn't mounted everywhere. A forced unmount begins with the same; that it ends
	// there is seen to by using the mount, in a way that asks the daemon nothing.
	user, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "abort", Path: dir, Err: err}
	}
	defer unix.Close(user) //nolint:errcheck // nothing was written
	if err := unix.Unmount(dir, unix.MNT_FORCE); err != nil && !errors.Is(err, syscall.EBUSY) {
		return &os.PathError{Op: "abort", Path: dir, Err: err}
	}
	return nil
}
