package syncer

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A process that waits in the kernel is looked at again after busyPause, as it may only wait for a disk, and
// left out after so many times.
const (
	busyPause = 20 * time.Millisecond
	busyTries = 25
)

// openForWriting are the files that processes have open for writing, as far as we may see: our own user's in
// our own process namespace. It doesn't touch the files, which may be on a file system that hangs.
func openForWriting() map[openFile]bool {
	found := make(map[openFile]bool)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return found
	}
	var left []string
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			left = append(left, filepath.Join("/proc", e.Name()))
		}
	}
	for try := 0; len(left) > 0 && try < busyTries; try++ {
		if try > 0 {
			time.Sleep(busyPause)
		}
		var waiting []string
		for _, dir := range left {
			if waits(dir) {
				waiting = append(waiting, dir)
				continue
			}
			addWritten(dir, found)
		}
		left = waiting
	}
	return found
}

// waits says whether a process waits in the kernel and can't be interrupted. Where it does so in execve, as for
// a file system that hangs, who asks for its descriptors waits with it.
func waits(dir string) bool {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	end := bytes.LastIndexByte(stat, ')') // of its name, which can be anything
	return err == nil && end >= 0 && bytes.HasPrefix(stat[end:], []byte(") D"))
}

// addWritten adds what a process has open for writing.
func addWritten(dir string, found map[openFile]bool) {
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return // another user's, or gone
	}
	for _, fd := range fds {
		// Where its file system is mounted elsewhere, the folders differ, and the name doesn't.
		target, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
		if err != nil || !strings.HasPrefix(target, "/") {
			continue
		}
		if inode, writes := writesTo(filepath.Join(dir, "fdinfo", fd.Name())); writes {
			found[openFile{filepath.Base(target), inode}] = true
		}
	}
}

// writesTo says by a descriptor's fdinfo whether it is open for writing, and of which inode.
func writesTo(fdinfo string) (inode uint64, writes bool) {
	data, err := os.ReadFile(fdinfo)
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(data) {
		if octal, ok := bytes.CutPrefix(line, []byte("flags:")); ok {
			flags, err := strconv.ParseInt(string(bytes.TrimSpace(octal)), 8, 64)
			writes = err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
		}
		if number, ok := bytes.CutPrefix(line, []byte("ino:")); ok { // Linux 5.14 and later
			if n, err := strconv.ParseUint(string(bytes.TrimSpace(number)), 10, 64); err == nil {
				inode = n
			}
		}
	}
	return inode, writes
}
