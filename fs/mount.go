package fs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

var errUnfinished = errors.New("fs: not finished")

// Options say what to mount and how.
type Options struct {
	Hub    *hub.Client
	Cache  *blobcache.Cache
	Source Source
	// User is the owner of the token, for Status, where the caller knows it.
	User string

	Pin        bool // branches and tags stay at the commit they have now, until Refresh
	Offline    bool // what isn't known already isn't asked for
	AllowOther bool // users other than the mounting one may enter
	NonEmpty   bool // a directory with something in it may be mounted over

	UID, GID *uint32 // owner of all files; nil is the mounting user
	Umask    uint32  // taken off 0644 and 0755

	// PollInterval is how often branches and tags are looked at; 0 is 30 s.
	PollInterval time.Duration
	// MountOptions are the kernel's, as in fstab: "noexec", "exec", "suid", "dev".
	MountOptions []string

	Logger *slog.Logger // nil is silent
	Debug  bool         // log every request of the kernel
}

// Mount is a mounted file system.
type Mount struct{}

// New mounts on the directory dir and returns when programs can use it. The
// mount outlives ctx, which is for the mounting alone. Errors are those of the
// Hub (package hub) about the source, and *MountPointError about dir.
func New(ctx context.Context, dir string, opts Options) (*Mount, error) {
	return nil, errUnfinished
}

// Wait returns when the file system is unmounted, by whomever.
func (m *Mount) Wait() {}

// Unmount ends the mount. While programs use it, it fails with *BusyError.
func (m *Mount) Unmount() error { return errUnfinished }

// Dir is the absolute path of the mount point.
func (m *Mount) Dir() string { return "" }

// Status tells what is mounted and how it is.
func (m *Mount) Status() Status { return Status{} }

// Refresh looks at the Hub now. It moves pinned trees, too, and returns when the
// kernel shows what it found.
func (m *Mount) Refresh(ctx context.Context) error { return errUnfinished }

// WaitCommit returns when the commit sha, or one after it, is visible in the tree
// that path is in, and everything older is gone from the kernel. path is relative to
// the mount; sha is 40 hex digits.
func (m *Mount) WaitCommit(ctx context.Context, path, sha string) error { return errUnfinished }
