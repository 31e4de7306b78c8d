package fs

import (
	"bufio"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// fsType is the type of the file system in the kernel's tables.
const fsType = "fuse.hubfs"

// A KernelMount is a mount of hubfs as the kernel lists it, whether its daemon lives or not.
type KernelMount struct {
	Dir        string
	Source     string
	Connection string // its name in /sys/fs/fuse/connections
}

// KernelMounts lists the mounts of hubfs that this process sees. It asks none of them anything.
func KernelMounts() ([]KernelMount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseMountinfo(f)
}

// parseMountinfo reads the mounts of hubfs out of a table as in proc_pid_mountinfo(5).
func parseMountinfo(r io.Reader) ([]KernelMount, error) {
	var mounts []KernelMount
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		// 36 35 0:98 /root /mount/point options optional... - type source super-options
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 6 || len(tail) < 2 || tail[0] != fsType {
			continue
		}
		_, minor, _ := strings.Cut(fields[2], ":")
		mounts = append(mounts, KernelMount{Dir: unescapeOctal(fields[4]), Source: unescapeOctal(tail[1]), Connection: minor})
	}
	return mounts, lines.Err()
}

// isMounted says whether a hubfs is mounted on dir, by the kernel's table.
func isMounted(dir string) bool {
	mounts, err := KernelMounts()
	return err == nil && slices.ContainsFunc(mounts, func(m KernelMount) bool { return m.Dir == dir })
}

// unescapeOctal undoes the kernel's escapes of space, tab, newline and backslash: \040 is a space.
func unescapeOctal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
