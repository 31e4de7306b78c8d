package fs

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Process is a program that uses a mount.
type Process struct {
	PID     int    `json:"pid"`
	Program string `json:"program"`
	Uses    string `json:"uses"` // "cwd", "root", "exe", "map" or a descriptor's number
	Path    string `json:"path"`
}

// Busy lists the processes that use the mount at dir, each with one of its uses:
// working and root directory, program, open files, mapped files. Those that the
// caller may not look at are left out. It looks at the kernel's tables only, never
// at the mount itself.
func Busy(dir string) ([]Process, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	pids, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var using []Process
	for _, entry := range pids {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if uses, path, ok := usedBy(filepath.Join("/proc", entry.Name()), dir); ok {
			name, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "comm")) // it may have ended
			using = append(using, Process{PID: pid, Program: strings.TrimSpace(string(name)), Uses: uses, Path: path})
		}
	}
	return using, nil
}

// usedBy looks through a process's folder in /proc. What can't be read counts as
// unused: the process has ended, or is another user's.
func usedBy(proc, dir string) (uses, path string, ok bool) {
	for _, uses := range []string{"cwd", "root", "exe"} {
		if path, err := os.Readlink(filepath.Join(proc, uses)); err == nil && isBelow(path, dir) {
			return uses, path, true
		}
	}
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err == nil {
		for _, fd := range fds {
			if path, err := os.Readlink(filepath.Join(proc, "fd", fd.Name())); err == nil && isBelow(path, dir) {
				return fd.Name(), path, true
			}
		}
	}
	maps, err := os.Open(filepath.Join(proc, "maps"))
	if err != nil {
		return "", "", false
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if i := strings.IndexByte(lines.Text(), '/'); i >= 0 {
			if path := unescapeOctal(lines.Text()[i:]); isBelow(path, dir) {
				return "map", path, true
			}
		}
	}
	return "", "", false
}

func isBelow(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// BusyError is a mount that can't be unmounted while programs use it.
type BusyError struct {
	Dir       string
	Processes []Process // those that could be found
}

func (e *BusyError) Error() string {
	var who []string
	for _, p := range e.Processes {
		who = append(who, fmt.Sprintf("%s (pid %d, %s of %s)", p.Program, p.PID, p.use(), p.Path))
	}
	if len(who) == 0 {
		return e.Dir + " is in use"
	}
	return e.Dir + " is in use by " + strings.Join(who, ", ")
}

func (p Process) use() string {
	if _, err := strconv.Atoi(p.Uses); err == nil {
		return "descriptor " + p.Uses
	}
	return p.Uses
}
