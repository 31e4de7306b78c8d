package writeback

import (
	"errors"
	"syscall"
)

// isErrno says whether err is, or wraps, a number of the kernel.
func isErrno(err error, no syscall.Errno) bool {
	var e syscall.Errno
	return errors.As(err, &e) && e == no
}
