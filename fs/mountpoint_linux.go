package fs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// MountPointError is a directory that can't be mounted on. Its text says what to
// do next.
type MountPointError struct {
	Dir    string
	Reason string
	Err    error // cause, or nil
}

func (e *MountPointError) Error() string { return e.Dir + " " + e.Reason }

// Unwrap gives the cause.
func (e *MountPointError) Unwrap() error { return e.Err }

// answerTime is how long a mount that is there already may take to say that it is
// alive.
const answerTime = 5 * time.Second

// checkMountPoint refuses what can't be mounted on, and gives the path without
// symbolic links.
func checkMountPoint(dir string, nonEmpty bool) (string, error) {
	refuse := func(err error, format string, args ...any) (string, error) {
		return "", &MountPointError{Dir: dir, Reason: fmt.Sprintf(format, args...), Err: err}
	}
	type answer struct {
		real  string
		isDir bool
		names []string
		err   error
	}
	answered := make(chan answer, 1)
	go func() { // whoever serves what is there may be hanging
		var a answer
		defer func() { answered <- a }()
		if a.real, a.err = filepath.EvalSymlinks(dir); a.err != nil {
			return
		}
		var info os.FileInfo
		if info, a.err = os.Stat(a.real); a.err != nil {
			return
		}
		if a.isDir = info.IsDir(); a.isDir {
			a.names, a.err = firstNames(a.real)
		}
	}()
	var a answer
	late := time.NewTimer(answerTime)
	defer late.Stop()
	select {
	case a = <-answered:
	case <-late.C:
		return refuse(syscall.EBUSY, "is a mount whose daemon doesn't answer; end the daemon, then: %s", umountCommand(dir))
	}
	switch {
	case errors.Is(a.err, syscall.ENOTCONN):
		return refuse(a.err, "is a mount whose daemon has died; remove it with: %s", umountCommand(dir))
	case errors.Is(a.err, os.ErrNotExist):
		return refuse(a.err, "doesn't exist; make it with: mkdir -p %s", dir)
	case a.err != nil:
		return refuse(a.err, "can't be mounted on: %v", a.err)
	case !a.isDir:
		return refuse(syscall.ENOTDIR, "isn't a directory; mount on one")
	case isMounted(a.real):
		return refuse(syscall.EBUSY, "is mounted by hubfs already; unmount it with: hubfs umount %s", dir)
	case len(a.names) > 0 && !nonEmpty:
		return refuse(syscall.ENOTEMPTY, "isn't empty (%s), and what is in it would be hidden; mount on an empty directory", strings.Join(a.names, ", "))
	}
	return a.real, nil
}

// firstNames gives a few names of a directory.
func firstNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(3)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

func umountCommand(dir string) string {
	if os.Geteuid() == 0 {
		return "umount " + dir
	}
	return "fusermount3 -u " + dir
}

// background is how many requests of readahead the kernel has under way: with its
// default of 12, a file that is slow to come would keep all others waiting.
const background = 128

// maxRead is the largest read that the kernel may ask for.
const maxRead = 1 << 20

// kernelOptions says how to mount.
func (m *Mount) kernelOptions() (*fuse.MountOptions, error) {
	if m.opts.AllowOther && os.Geteuid() != 0 && !userAllowOther("/etc/fuse.conf") {
		return nil, &MountPointError{Dir: m.dir, Err: syscall.EPERM,
			Reason: "can't be opened to other users: have root put the line user_allow_other into /etc/fuse.conf"}
	}
	opts := &fuse.MountOptions{
		FsName: "hubfs", Name: "hubfs",
		AllowOther:    m.opts.AllowOther,
		MaxBackground: background,
		MaxWrite:      maxRead,
		Options:       append([]string{"default_permissions"}, m.opts.MountOptions...),
		// Pages are good for as long as the node is, whatever its attributes say.
		ExplicitDataCacheControl: true,
		EnableSymlinkCaching:     true,
		// The cache may lie on a stacked file system itself, as in every container.
		MaxStackDepth:        2,
		IgnoreSecurityLabels: true,
		DisableSplice:        true, // what is read lies in memory
		Logger:               slog.NewLogLogger(m.log.Handler(), slog.LevelWarn),
	}
	if m.opts.Debug {
		opts.Debug = true
		opts.Logger = log.New(debugWriter{m.log}, "", 0)
	}
	if os.Geteuid() == 0 {
		// Root needs no helper, which may not be installed.
		opts.DirectMountStrict = true
		opts.DirectMountFlags = syscall.MS_NOSUID | syscall.MS_NODEV
	}
	switch {
	case m.opts.Write != nil:
		// A file that is opened with O_TRUNC is replaced in one step.
		opts.ExtraCapabilities |= fuse.CAP_ATOMIC_O_TRUNC
		// Else the kernel asks before each write for what a change of content takes from the file.
		opts.ExtraCapabilities |= fuse.CAP_HANDLE_KILLPRIV_V2
	case os.Geteuid() == 0:
		opts.DirectMountFlags |= syscall.MS_RDONLY
	default:
		opts.Options = append(opts.Options, "ro")
	}
	return opts, nil
}

// debugWriter logs the kernel's requests.
type debugWriter struct{ log *slog.Logger }

func (w debugWriter) Write(p []byte) (int, error) {
	w.log.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}

// userAllowOther looks for the permission in fusermount's configuration.
func userAllowOther(file string) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool {
		return strings.TrimSpace(line) == "user_allow_other"
	})
}

// mountFailure says what the machine lacks.
func mountFailure(dir string, err error) error {
	hint := "hubfs doctor tells what is missing"
	_, devErr := os.Stat("/dev/fuse")
	switch {
	case devErr != nil:
		hint = "there is no /dev/fuse: run modprobe fuse as root, or give the container --device /dev/fuse --cap-add SYS_ADMIN"
	case os.Geteuid() != 0 && cmp.Or(lookPath("fusermount3"), lookPath("fusermount")) == "":
		hint = "fusermount3 is missing: install the package fuse3, or mount as root"
	case errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES):
		hint = "this root may not mount: give the container --cap-add SYS_ADMIN --device /dev/fuse"
	}
	return fmt.Errorf("mount %s: %w; %s", dir, err, hint)
}

func lookPath(program string) string {
	p, err := exec.LookPath(program)
	if err != nil {
		return ""
	}
	return p
}
