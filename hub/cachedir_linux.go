package hub

import (
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func accessTime(fi fs.FileInfo) time.Time {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return time.Unix(int64(st.Atim.Sec), int64(st.Atim.Nsec)) //nolint:unconvert // 32-bit platforms
	}
	return fi.ModTime()
}

// syncAll makes files durable that were written just now: by one sync of their file
// system, which costs about as much as that of one file.
func (c *cacheRoot) syncAll(names []string) error {
	if len(names) == 0 {
		return nil
	}
	return c.at(names[0], func(dirfd int, _ string) error { return unix.Syncfs(dirfd) })
}
