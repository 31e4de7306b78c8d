package syncer

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// writtenByOthers says whether a process has a file open for writing, as far as we may see: our own user's
// processes in our own process namespace. It looks at every descriptor, so it is for few files; it doesn't
// touch what they lead to, which may be a file system that hangs.
func writtenByOthers(name string, inode uint64) bool {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	pids, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, pid := range pids {
		if _, err := strconv.Atoi(pid.Name()); err != nil {
			continue
		}
		dir := filepath.Join("/proc", pid.Name())
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue // another user's, or gone
		}
		for _, fd := range fds {
			// Where its file system is mounted elsewhere, the folders differ, and the name doesn't.
			target, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
			if err == nil && filepath.Base(target) == filepath.Base(name) && writes(filepath.Join(dir, "fdinfo", fd.Name()), inode) {
				return true
			}
		}
	}
	return false
}

// writes says by a descriptor's fdinfo whether it is open for writing, and of that inode.
func writes(fdinfo string, inode uint64) bool {
	data, err := os.ReadFile(fdinfo)
	if err != nil {
		return false
	}
	writing := false
	for line := range bytes.Lines(data) {
		if octal, ok := bytes.CutPrefix(line, []byte("flags:")); ok {
			flags, err := strconv.ParseInt(string(bytes.TrimSpace(octal)), 8, 64)
			writing = err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
		}
		if number, ok := bytes.CutPrefix(line, []byte("ino:")); ok { // Linux 5.14 and later
			n, err := strconv.ParseUint(string(bytes.TrimSpace(number)), 10, 64)
			if err == nil && n != inode {
				return false
			}
		}
	}
	return writing
}
