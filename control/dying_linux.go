package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/fs"
)

// A daemon that is killed while it tells the kernel of a changed name can wait there for a call to
// the mount to end, and that call for the daemon's answer: neither goes on, and the daemon can't die.
// The kernel ends such calls when it is told to abort the connection.

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
	if !isZombie(cred.Pid) {
		return false, nil
	}
	if err := abortMount(dir); err != nil {
		return true, err
	}
	return true, WaitExit(ctx, int(cred.Pid))
}

// isZombie says whether a process has ended but for threads that the kernel can't end.
func isZombie(pid int32) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// 123 (name) Z ...
	_, after, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return ok && len(after) > 0 && after[0] == 'Z'
}

// abortMount has the kernel answer all calls to a mount with an error: as root by the forced unmount, which
// begins with it, and as a user by the file that the kernel has for it.
func abortMount(dir string) error {
	if os.Getuid() == 0 {
		err := unix.Unmount(dir, unix.MNT_FORCE)
		if err == nil || errors.Is(err, syscall.EBUSY) {
			return nil
		}
		return &os.PathError{Op: "abort", Path: dir, Err: err}
	}
	mounts, err := fs.KernelMounts()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.Dir == dir {
			return os.WriteFile("/sys/fs/fuse/connections/"+m.Connection+"/abort", []byte("1"), 0)
		}
	}
	return fmt.Errorf("%s isn't mounted", dir)
}
