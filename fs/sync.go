package fs

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hubfs/hubfs/writeback"
)

// syncPath is an fsync of a directory, or of a file that is open for reading: what is
// changed there is committed. It fails as long as it isn't. A place in which nothing was
// ever changed has nothing to do, and says so. With FsyncLocal the names become durable.
func (t *tree) syncPath(ctx context.Context, at func() string) syscall.Errno {
	b := t.branch.Load()
	if b == nil {
		return 0
	}
	if t.repo.m.opts.Write.Fsync != FsyncLocal {
		return t.syncNow(ctx, at(), false)
	}
	if err := b.Sync(); err != nil {
		return t.repo.m.fail("fsync", t, at(), err)
	}
	return 0
}

// syncNow commits what is changed at or below a path, also, with open, a file that is
// open for writing.
func (t *tree) syncNow(ctx context.Context, at string, open bool) syscall.Errno {
	m, b := t.repo.m, t.branch.Load()
	c, end := newCall(ctx, m.ctx)
	defer end()
	within, cancel := context.WithTimeout(c, m.syncTimeout())
	defer cancel()
	flush := b.Flush
	if open {
		flush = b.FlushOpen
	}
	res, err := flush(within, at)
	switch {
	case err != nil && c.Err() != nil:
		return syscall.EINTR
	case err != nil && within.Err() != nil:
		err = errors.Join(err, within.Err())
	}
	if err == nil && len(res.Failed) > 0 {
		err = refused(len(res.Failed), res.Failed[0])
	}
	if err != nil {
		_ = m.fail("fsync", t, at, err) // the log tells why; the caller hears of an error all the same
		if errors.Is(err, context.DeadlineExceeded) {
			return syscall.ETIMEDOUT
		}
		return syscall.EIO
	}
	return 0
}

// refused is the error of so many files that the Hub doesn't take, of which one is told.
func refused(files int, first writeback.Change) error {
	return fmt.Errorf("%d files are not committed; %s: %s", files, first.Path, first.Message)
}

// syncBelow is syncPath above the trees.
func (m *Mount) syncBelow(ctx context.Context, at string) syscall.Errno {
	if w := m.opts.Write; w == nil || w.Fsync == FsyncLocal {
		return 0
	}
	c, end := newCall(ctx, m.ctx)
	defer end()
	within, cancel := context.WithTimeout(c, m.syncTimeout())
	defer cancel()
	res, err := m.Flush(within, at)
	if err == nil && len(res.Failed) > 0 {
		err = refused(len(res.Failed), res.Failed[0].Change)
	}
	if err == nil {
		return 0
	}
	_ = m.failAt("fsync", at, err) // for the log
	switch {
	case c.Err() != nil:
		return syscall.EINTR
	case within.Err() != nil:
		return syscall.ETIMEDOUT
	}
	return syscall.EIO
}

// looksLikeLog says whether a file is of the kind that somebody writes to while others
// read it.
func (m *Mount) looksLikeLog(name string) bool {
	patterns := m.opts.Write.CommitOpen
	if patterns == nil {
		patterns = writeback.DefaultCommitOpen()
	}
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok && err == nil
	})
}

// statfs tells of the disk on which changes are kept. A tree without is as large as
// nobody knows.
func (t *tree) statfs(out *fuse.StatfsOut) syscall.Errno {
	if t.readOnlyKind() != "" {
		return statfs(out)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(t.repo.m.opts.Write.StateDir, &st); err != nil {
		return statfs(out) // it isn't there before something is staged
	}
	out.FromStatfsT(&st)
	out.NameLen = 255
	return 0
}

// hasRoom says whether the disk on which changes are kept has room for n bytes more.
func (m *Mount) hasRoom(n int64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(m.opts.Write.StateDir, &st); err != nil {
		return err
	}
	if n > 0 && uint64(n) > st.Bavail*uint64(st.Bsize) {
		return syscall.ENOSPC
	}
	return nil
}
