package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// dialTimeout bounds a connection to a socket of this machine: a daemon that can't accept for so
// long is stuck.
const dialTimeout = 5 * time.Second

// maxSocketPath is what sun_path holds on every system that hubfs may run on, without the final NUL.
const maxSocketPath = 103

// SocketDir is where the sockets of this user lie: $XDG_RUNTIME_DIR/hubfs, else /run/hubfs for root
// or /tmp/hubfs-<uid>.
func SocketDir() string {
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) {
		return filepath.Join(d, "hubfs")
	}
	if os.Getuid() == 0 {
		return "/run/hubfs"
	}
	return fmt.Sprintf("/tmp/hubfs-%d", os.Getuid())
}

// SocketPath is the socket of the mount at dir, which needn't exist.
func SocketPath(dir string) (string, error) {
	real, err := RealPath(dir)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(real))
	return filepath.Join(SocketDir(), hex.EncodeToString(sum[:8])+".sock"), nil
}

// RealPath is dir made absolute and without symbolic links. Unlike [filepath.EvalSymlinks] it never
// asks a file system about its own root, so it answers also for a mount whose daemon is dead or stuck.
func RealPath(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for range 40 {
		if dir == "/" {
			return dir, nil
		}
		parent, err := filepath.EvalSymlinks(filepath.Dir(dir))
		if err != nil {
			return "", err
		}
		dir = filepath.Join(parent, filepath.Base(dir))
		target, isLink := readlink(dir)
		if !isLink {
			return dir, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(parent, target)
		}
		dir = filepath.Clean(target)
	}
	return "", &fs.PathError{Op: "resolve", Path: dir, Err: syscall.ELOOP}
}

func readlink(path string) (target string, isLink bool) {
	target, err := os.Readlink(path)
	return target, err == nil
}

// FindMount finds the mount that path lies in: the nearest folder at or above it that has a socket.
// rel is path below that mount, "." for its root, with symbolic links unresolved. The error of a path
// in no mount is an [Error] of kind [KindNotRunning].
func FindMount(path string) (dir, rel string, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", "", err
	}
	// From the root downwards, so that nothing below the mount is ever looked at from here.
	parts := strings.Split(strings.TrimPrefix(abs, "/"), "/")
	for i := range parts {
		candidate := "/" + filepath.Join(parts[:i+1]...)
		real, err := RealPath(candidate)
		if err != nil {
			break
		}
		socket, err := SocketPath(real)
		if err != nil {
			break
		}
		if _, err := os.Lstat(socket); err == nil {
			return real, filepath.Join(append([]string{"."}, parts[i+1:]...)...), nil
		}
	}
	return "", "", &Error{Status: 404, Kind: KindNotRunning,
		Message: fmt.Sprintf("%s is in no mount of hubfs; hubfs status lists them", path)}
}

// ensureSocketDir makes the folder of the sockets and refuses one that somebody else could have laid
// there, as anybody can in /tmp.
func ensureSocketDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("control socket: %w; set XDG_RUNTIME_DIR", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("control socket: %w; set XDG_RUNTIME_DIR", err)
	}
	return CheckSocketDir(dir)
}

// CheckSocketDir says whether dir can hold sockets: a folder of this user that nobody else may enter.
func CheckSocketDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	var wrong string
	switch {
	case !info.IsDir():
		wrong = "is not a folder"
	case ok && st.Uid != uint32(os.Getuid()):
		wrong = fmt.Sprintf("belongs to user %d", st.Uid)
	case info.Mode().Perm()&0o077 != 0:
		wrong = "may be entered by others"
	default:
		return nil
	}
	return &socketDirError{dir, wrong}
}

// socketDirError is a folder for sockets that others could have laid there.
type socketDirError struct{ dir, wrong string }

func (e *socketDirError) Error() string {
	return fmt.Sprintf("control socket: %s %s; remove it, or set XDG_RUNTIME_DIR", e.dir, e.wrong)
}

// listen makes the socket at path. A socket that a live server listens on is left alone, and the
// error is an [Error] of kind [KindBusy]; one that a dead server left is replaced.
func listen(ctx context.Context, path string) (*net.UnixListener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("control socket: %s is longer than the %d bytes that a socket's name may have; set XDG_RUNTIME_DIR to a shorter folder", path, maxSocketPath)
	}
	if err := ensureSocketDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	// Two servers that start at once both find nobody listening; the lock lets them ask in turn.
	lock := flock.New(filepath.Join(filepath.Dir(path), ".lock"), flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if ok, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil || !ok {
		return nil, fmt.Errorf("control socket: lock %s: %w", lock.Path(), err)
	}
	defer lock.Unlock() //nolint:errcheck // closing the file ends the lock in any case

	conn, err := dial(ctx, path)
	switch {
	case err == nil:
		conn.Close()
		return nil, &Error{Status: 409, Kind: KindBusy, Message: fmt.Sprintf("a hubfs daemon listens on %s already", path)}
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
	default:
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l.(*net.UnixListener), nil
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
}

func secondsUntil(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, time.Until(t).Round(time.Millisecond).Seconds())
}

// RemoveDeadSocket removes the socket that a dead daemon of the mount at dir has left, and says whether
// there was one.
func RemoveDeadSocket(ctx context.Context, dir string) bool {
	path, err := SocketPath(dir)
	if err != nil {
		return false
	}
	conn, err := dial(ctx, path)
	if err == nil {
		conn.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED) && os.Remove(path) == nil
}
