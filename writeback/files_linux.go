package writeback

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// fdatasync makes the content and the size of a file durable.
func fdatasync(f *os.File) error { return control(f, "fdatasync", unix.Fdatasync) }

// punch makes a hole in a file.
func punch(f *os.File, off, n int64) error {
	return control(f, "fallocate", func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
}

// control calls a system call on a file, again after an interrupt.
func control(f *os.File, op string, call func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	err = raw.Control(func(fd uintptr) {
		for {
			if callErr = call(int(fd)); !errors.Is(callErr, unix.EINTR) {
				return
			}
		}
	})
	if err == nil {
		err = callErr
	}
	if err != nil {
		return &os.PathError{Op: op, Path: f.Name(), Err: err}
	}
	return nil
}

// bootID names the time since the machine was started; "" is unknown.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(b[:min(36, len(b))])
}

// InMemory says whether a folder's content is gone when the machine stops.
func InMemory(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && (st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC)
}
