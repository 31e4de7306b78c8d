package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/hubfs/hubfs/fs"
)

// MountPoint is a mount of hubfs as the kernel lists it, whether its daemon lives or not.
type MountPoint struct {
	Dir    string `json:"dir"`
	Source string `json:"source"`
}

// MountPoints lists the mounts of hubfs that this process sees. It asks none of them anything.
func MountPoints() ([]MountPoint, error) {
	mounts, err := fs.KernelMounts()
	points := make([]MountPoint, len(mounts))
	for i, m := range mounts {
		points[i] = MountPoint{Dir: m.Dir, Source: m.Source}
	}
	return points, err
}

// Dead says whether a mount has lost its daemon: the kernel then answers ENOTCONN by itself. A mount
// that doesn't answer within a second isn't dead, but stuck, and err says so.
func (m MountPoint) Dead(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	answer := make(chan error, 1)
	// Nothing can break off a stat that the daemon doesn't answer; the goroutine ends with it.
	go func() {
		var st syscall.Statfs_t
		answer <- syscall.Statfs(m.Dir, &st)
	}()
	select {
	case err := <-answer:
		return errors.Is(err, syscall.ENOTCONN), nil
	case <-ctx.Done():
		return false, fmt.Errorf("%s doesn't answer: %w", m.Dir, ctx.Err())
	}
}

// UnmountDead unmounts a mount that has no daemon to ask: as root by itself, else through the helper
// that comes with FUSE. It never detaches lazily: a mount that is in use stays, with an [Error] of kind
// [KindBusy] that names the processes.
func UnmountDead(ctx context.Context, dir string) error {
	var err error
	if os.Getuid() == 0 {
		if err = syscall.Unmount(dir, 0); err != nil {
			err = &os.PathError{Op: "unmount", Path: dir, Err: err}
		}
	} else {
		err = fusermount(ctx, dir)
	}
	if err == nil {
		return nil
	}
	if users, busyErr := fs.Busy(dir); busyErr == nil && len(users) > 0 {
		return &Error{Status: 409, Kind: KindBusy, Message: dir + " is busy", Processes: users, cause: err}
	}
	return err
}

func fusermount(ctx context.Context, dir string) error {
	for _, program := range []string{"fusermount3", "fusermount"} {
		path, err := exec.LookPath(program)
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, path, "-u", dir)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s -u %s: %w: %s", program, dir, err, strings.TrimSpace(string(out)))
		}
		return nil
	}
	return errors.New("unmounting as a user needs fusermount3; install it with: apt-get install fuse3")
}
