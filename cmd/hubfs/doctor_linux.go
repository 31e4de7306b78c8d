package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/control"
)

// installFuse is what brings fusermount3.
const installFuse = "apt-get install fuse3   (or: dnf install fuse3, apk add fuse3)"

func checkDevice(*cli.Context, *config) []finding {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	switch {
	case err == nil:
		f.Close()
		return []finding{ok("can be opened")}
	case errors.Is(err, fs.ErrNotExist):
		return []finding{problem("modprobe fuse; in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN ...", "is missing")}
	case errors.Is(err, fs.ErrPermission) && os.Getuid() != 0:
		return []finding{problem("chmod 666 /dev/fuse as root", "may be opened by root alone")}
	case errors.Is(err, fs.ErrPermission):
		return []finding{problem("docker run --device /dev/fuse --cap-add SYS_ADMIN ...", "may not be opened, as in a container that wasn't given the device: %v", err)}
	}
	return []finding{problem("modprobe fuse", "can't be opened: %v", err)}
}

func checkFusermount(*cli.Context, *config) []finding {
	path, err := exec.LookPath("fusermount3")
	if err != nil {
		if path, err = exec.LookPath("fusermount"); err != nil {
			if os.Getuid() == 0 {
				return []finding{ok("not installed, and root doesn't need it")}
			}
			return []finding{problem(installFuse, "isn't installed, and without it only root can mount")}
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return []finding{problem(installFuse, "%v", err)}
	}
	if os.Getuid() != 0 && info.Mode()&fs.ModeSetuid == 0 {
		return []finding{problem("chmod u+s "+path+" as root", "%s isn't setuid root, so it can't mount for users", path)}
	}
	return []finding{ok("%s", path)}
}

func checkAllowOther(*cli.Context, *config) []finding {
	if os.Getuid() == 0 {
		return []finding{ok("root may let other users in")}
	}
	f, err := os.Open("/etc/fuse.conf")
	if err == nil {
		defer f.Close()
		sc := bufio.NewScanner(f)
		for sc.Scan() {
			if strings.TrimSpace(sc.Text()) == "user_allow_other" {
				return []finding{ok("users may let others in")}
			}
		}
	}
	return []finding{warning("echo user_allow_other | sudo tee -a /etc/fuse.conf", "off: mounts of users are for themselves alone, not even for root")}
}

func checkKernel(*cli.Context, *config) []finding {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return []finding{warning("", "unknown: %v", err)}
	}
	release := unix.ByteSliceToString(u.Release[:])
	major, minor := kernelVersion(release)
	switch {
	case major < 5 || major == 5 && minor < 4:
		return []finding{warning("run a kernel of at least 5.4", "%s is older than hubfs was tried on", release)}
	case major < 6 || major == 6 && minor < 9:
		return []finding{warning("run a kernel of at least 6.9 for reads at the speed of the local disk", "%s has no FUSE passthrough: cached files are read at about half the speed", release)}
	case os.Getuid() != 0:
		return []finding{ok("%s; passthrough is for root only, so cached files are read from kept pages, the first time at about half the speed of the disk", release)}
	}
	return []finding{ok("%s; files that are whole in the cache are read by the kernel itself (passthrough)", release)}
}

func kernelVersion(release string) (major, minor int) {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return 0, 0
	}
	major, _ = strconv.Atoi(parts[0])
	minor, _ = strconv.Atoi(parts[1])
	return major, minor
}

// requestLimitFile is where newer kernels keep the time, in seconds, after which they end
// a mount that hasn't answered a request; 0 is no limit.
const requestLimitFile = "/proc/sys/fs/fuse/max_request_timeout"

// requestLimit reads that time. Where the file isn't, there is no limit.
func requestLimit(file string) (limit time.Duration, limited bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	return time.Duration(n) * time.Second, err == nil && n > 0
}

func checkFuseLimits(*cli.Context, *config) []finding {
	limit, limited := requestLimit(requestLimitFile)
	if !limited {
		return []finding{ok("the kernel sets no time limit on requests")}
	}
	return []finding{warning("sysctl -w fs.fuse.max_request_timeout=0", "the kernel ends a mount of which a request takes longer than %s, such as a read while the Hub is slow", limit)}
}

func checkMounts(c *cli.Context, _ *config) []finding {
	points, err := control.MountPoints()
	if err != nil {
		return []finding{warning("", "%v", err)}
	}
	var findings []finding
	for _, p := range points {
		dead, err := p.Dead(c.Context)
		switch {
		case err != nil:
			findings = append(findings, problem("kill the daemon, then: hubfs umount "+p.Dir, "%v", err))
		case dead:
			findings = append(findings, problem("hubfs umount "+p.Dir, "%s: the daemon is dead", p.Dir))
		}
	}
	if findings == nil {
		findings = []finding{ok("%d, all of them alive", len(points))}
	}
	return findings
}

// fsNames are the file systems that matter to somebody who keeps files on them.
var fsNames = map[int64]string{
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.NFS_SUPER_MAGIC: "nfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	unix.EXT4_SUPER_MAGIC: "ext", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.FUSE_SUPER_MAGIC: "fuse",
	unix.SMB2_SUPER_MAGIC: "smb", unix.CIFS_SUPER_MAGIC: "cifs", 0x0bd00bd0: "lustre", 0x47504653: "gpfs", 0x2fc12fc1: "zfs",
}

// place tells about the folder, or the nearest one above it that is there: its file system, its free
// bytes, and whether files can be made in it.
func place(dir string) (at, fsName string, free int64, err error) {
	at = dir
	for {
		if _, err := os.Stat(at); err == nil || at == "/" {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return at, "", 0, err
		}
		at = filepath.Dir(at)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		return at, "", 0, &os.PathError{Op: "statfs", Path: at, Err: err}
	}
	fsName = fsNames[st.Type]
	if fsName == "" {
		fsName = fmt.Sprintf("type %#x", st.Type)
	}
	free = int64(st.Bavail) * st.Bsize
	if err := unix.Access(at, unix.W_OK|unix.X_OK); err != nil {
		return at, fsName, free, &os.PathError{Op: "write to", Path: at, Err: err}
	}
	return at, fsName, free, nil
}

func checkCache(_ *cli.Context, cfg *config) []finding {
	at, name, free, err := place(cfg.HubCache)
	if err != nil {
		return []finding{problem("sudo chown -R $USER "+at+", or set HF_HUB_CACHE to another folder", "%v", err)}
	}
	detail := fmt.Sprintf("%s on %s, %s free", cfg.HubCache, name, size(free))
	switch {
	case name == "tmpfs" || name == "ramfs":
		return []finding{warning("set HF_HUB_CACHE to a folder on a disk", "%s: what is cached takes memory and is lost when the machine stops", detail)}
	case name == "overlayfs":
		return []finding{warning("put HF_HUB_CACHE on a volume", "%s: a container's own layer, which is slow and goes with it", detail)}
	case name == "nfs" || name == "smb" || name == "cifs":
		return []finding{warning("set HF_HUB_CACHE to a folder on a local disk", "%s: cached reads go over the network", detail)}
	case free < 1<<30:
		return []finding{warning("hubfs cache prune --to SIZE, or set HF_HUB_CACHE to a larger disk", "%s", detail)}
	}
	return []finding{ok("%s", detail)}
}

func checkState(c *cli.Context, _ *config) []finding {
	dir := c.String("state-dir")
	if dir == "" {
		var err error
		if dir, err = stateDir(); err != nil {
			return []finding{problem("set HOME or XDG_STATE_HOME", "%v", err)}
		}
	}
	at, name, _, err := place(dir)
	switch {
	case err != nil:
		return []finding{problem("sudo chown -R $USER "+at+", or set XDG_STATE_HOME", "%v", err)}
	case name == "tmpfs" || name == "ramfs":
		return []finding{warning("set XDG_STATE_HOME to a folder on a disk", "%s is on %s: logs and state are lost when the machine stops", dir, name)}
	}
	return []finding{ok("%s on %s", dir, name)}
}

func checkSocket(*cli.Context, *config) []finding {
	dir := control.SocketDir()
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		parent := filepath.Dir(dir)
		if err := unix.Access(parent, unix.W_OK|unix.X_OK); err != nil {
			return []finding{problem("set XDG_RUNTIME_DIR to a folder of your own", "%s can't be made in %s: %v", dir, parent, err)}
		}
		return []finding{ok("%s, made by the first mount", dir)}
	}
	if err := control.CheckSocketDir(dir); err != nil {
		return []finding{problem("rm -r "+dir+", or set XDG_RUNTIME_DIR to a folder of your own", "%v", err)}
	}
	return []finding{ok("%s", dir)}
}
