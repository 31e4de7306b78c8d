package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// unauthenticated is the status with which the Hub answers who shows no token or
// a bad one, also about repositories that don't exist.
const unauthenticated = 401

// errno is the only place where an error becomes a number for the kernel. It is
// never ENOSYS: the kernel takes that for "not needed" and doesn't ask again.
func errno(err error) syscall.Errno {
	var refused *hub.Error
	var invalid *hub.ValidationError
	var local syscall.Errno
	var readOnly *readOnlyError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		return syscall.EINTR
	case errors.Is(err, errGone):
		return syscall.ENOENT
	case errors.Is(err, errStale):
		return syscall.ESTALE
	case errors.Is(err, syscall.EROFS) && errors.As(err, &readOnly):
		return syscall.EROFS
	case errors.Is(err, blobcache.ErrCorrupt):
		return syscall.EIO
	case errors.As(err, &refused) && refused.Status == unauthenticated,
		errors.Is(err, hub.ErrForbidden), // gated and disabled repositories, too
		errors.Is(err, hub.ErrUnauthorized):
		return syscall.EACCES
	case errors.Is(err, hub.ErrNotFound),
		errors.As(err, &invalid): // the Hub can't have such a name
		return syscall.ENOENT
	case errors.Is(err, hub.ErrOffline):
		return syscall.ENETUNREACH
	case errors.Is(err, hub.ErrUnavailable): // before the local disk's: it may wrap ECONNRESET
		return syscall.EIO
	case errors.Is(err, context.DeadlineExceeded):
		return syscall.ETIMEDOUT
	case errors.Is(err, io.ErrUnexpectedEOF):
		return syscall.EIO
	case errors.As(err, &local) && !isLocalDisk(err):
		switch local { // what package writeback says of a name, or of what was asked for
		case syscall.ENOENT, syscall.EEXIST, syscall.ENOTDIR, syscall.EISDIR, syscall.ENOTEMPTY, syscall.EINVAL, syscall.ENAMETOOLONG,
			syscall.EILSEQ, syscall.EBUSY, syscall.EBADF, syscall.ESTALE, syscall.EFBIG, syscall.EPERM,
			syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM:
			return local
		}
	case errors.As(err, &local):
		// Of the local disk's errors only those that the caller can act on: its ENOENT
		// or EACCES would be taken for a statement about the file in the mount.
		switch local {
		case syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EFBIG:
			return local
		}
	}
	return syscall.EIO
}

// isLocalDisk says whether an error is of a system call of ours.
func isLocalDisk(err error) bool {
	var path *os.PathError
	var link *os.LinkError
	var call *os.SyscallError
	return errors.As(err, &path) || errors.As(err, &link) || errors.As(err, &call)
}

// errGone is a directory that its tree has no more.
var errGone = errors.New("the directory has been removed")

// isRefusal says whether the Hub has answered, and its answer is no: asking again
// at once is pointless, and a record of former times must not hide it.
func isRefusal(err error) bool {
	no := errno(err)
	return no == syscall.EACCES || no == syscall.ENOENT
}

// isDenied says whether the Hub knows what was asked for, and doesn't show it to
// this user.
func isDenied(err error) bool { return errno(err) == syscall.EACCES }
