package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

func TestErrno(t *testing.T) {
	tests := []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{context.Canceled, syscall.EINTR},
		{context.DeadlineExceeded, syscall.ETIMEDOUT},
		{errGone, syscall.ENOENT},
		{hub.ErrNotFound, syscall.ENOENT},
		{hub.ErrRepoNotFound, syscall.ENOENT},
		{hub.ErrRevisionNotFound, syscall.ENOENT},
		{hub.ErrEntryNotFound, syscall.ENOENT},
		{&hub.ValidationError{}, syscall.ENOENT},
		{hub.ErrUnauthorized, syscall.EACCES},
		{hub.ErrForbidden, syscall.EACCES},
		{hub.ErrGatedRepo, syscall.EACCES},
		{hub.ErrDisabledRepo, syscall.EACCES},
		{&hub.Error{Status: 401}, syscall.EACCES},
		{hub.ErrOffline, syscall.ENETUNREACH},
		{hub.ErrUnavailable, syscall.EIO},
		{errors.Join(hub.ErrUnavailable, syscall.ECONNRESET), syscall.EIO},
		{errors.Join(hub.ErrUnavailable, syscall.ENOMEM), syscall.EIO},
		{hub.ErrRateLimited, syscall.EIO},
		{hub.ErrProtocol, syscall.EIO},
		{hub.ErrBadRequest, syscall.EIO},
		{hub.ErrLocationExpired, syscall.EIO},
		{blobcache.ErrCorrupt, syscall.EIO},
		{blobcache.ErrClosed, syscall.EIO},
		{io.ErrUnexpectedEOF, syscall.EIO},
		{syscall.ENOSPC, syscall.ENOSPC},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}, syscall.EDQUOT},
		{syscall.EMFILE, syscall.EMFILE},
		{syscall.ENFILE, syscall.ENFILE},
		{syscall.ENOMEM, syscall.ENOMEM},
		// What the local disk says about the cache is nothing about the mount.
		{&os.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, syscall.EIO},
		{syscall.EACCES, syscall.EIO},
		{syscall.EROFS, syscall.EIO},
		{syscall.ENOSYS, syscall.EIO},
		{errUnmounted, syscall.EIO},
		{errors.New("anything"), syscall.EIO},
	}
	for _, test := range tests {
		if got := errno(test.err); got != test.want {
			t.Errorf("errno(%v) = %v, want %v", test.err, got, test.want)
		}
		if test.err == nil {
			continue
		}
		if got := errno(fmt.Errorf("wrapped: %w", test.err)); got != test.want {
			t.Errorf("errno(wrapped %v) = %v, want %v", test.err, got, test.want)
		}
	}
}
