package fs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

var errUnmounted = errors.New("the file system has been unmounted")

// Options say what to mount and how.
type Options struct {
	Hub    *hub.Client
	Cache  *blobcache.Cache
	Source Source
	// User is the owner of the token, for Status, where the caller knows it.
	User string

	// Write makes branches and pull requests writable; nil is a read-only mount.
	Write *WriteOptions

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

// Mount is a mounted file system. Its methods may be called concurrently.
type Mount struct {
	opts  Options
	dir   string
	hub   *hub.Client
	cache *blobcache.Cache
	log   *slog.Logger
	owner owner
	began time.Time

	ctx      context.Context // ends with the mount; if it is writable, with Close
	cancel   context.CancelFunc
	unmount  context.CancelFunc // ends what is for the kernel: kernel.base
	ended    chan struct{}      // closed when the file system is unmounted
	closing  sync.Mutex         // guards closed and written
	closed   bool               // no tree is made writable any more
	written  []*tree            // those that are
	closeErr func() error

	spawning sync.Mutex     // guards the start of work against the end
	work     sync.WaitGroup // all that runs beside the kernel's requests

	catalog *catalog
	tree    *tree // of a mount of one tree; nil for the whole Hub
	kernel  *kernel
	reports reports
	pollers atomic.Int64 // repositories that are polled

	listings   *flight[*blobcache.Listing]
	refsAsked  *flight[*refs]
	infoAsked  *flight[*hub.RepoInfo]
	reposAsked *flight[repoInfo]
	listsAsked *flight[repoList]
	datesAsked *flight[int64]
	textAsked  *flight[string]
	userAsked  *flight[*userRecord]

	raw       *rawFS
	server    *fuse.Server
	unmounter sync.Mutex // one unmounts at a time
}

// New mounts on the directory dir and returns when programs can use it. The
// mount outlives ctx, which is for the mounting alone. Errors are those of the
// Hub (package hub) about the source, and *MountPointError about dir.
func New(ctx context.Context, dir string, opts Options) (*Mount, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = checkMountPoint(dir, opts.NonEmpty); err != nil {
		return nil, err
	}
	if w := opts.Write; w != nil {
		// So that what is full or forbidden is told now, and how much room there is.
		if err := os.MkdirAll(w.StateDir, 0o700); err != nil {
			return nil, fmt.Errorf("staged changes: %w", err)
		}
	}
	m := newMount(dir, opts)
	root, stable, err := m.root(ctx)
	if err == nil {
		m.adopt(ctx)
		err = m.mount(root, stable)
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	go m.serve()
	if err := m.server.WaitMount(); err != nil {
		return nil, errors.Join(fmt.Errorf("mount %s: %w", dir, err), m.Unmount(), m.Close())
	}
	return m, nil
}

func newMount(dir string, opts Options) *Mount {
	if opts.PollInterval <= 0 {
		opts.PollInterval = defaultPollInterval
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Mount{
		opts: opts, dir: dir, hub: opts.Hub, cache: opts.Cache, log: opts.Logger, began: time.Now(),
		owner: owner{uid: uint32(os.Getuid()), gid: uint32(os.Getgid()), umask: opts.Umask},
		ended: make(chan struct{}),
	}
	if opts.UID != nil {
		m.owner.uid = *opts.UID
	}
	if opts.GID != nil {
		m.owner.gid = *opts.GID
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.catalog = newCatalog(m)
	m.kernel = new(kernel)
	m.kernel.base, m.unmount = context.WithCancel(m.ctx)
	m.closeErr = sync.OnceValue(m.close)
	if opts.Write != nil {
		opts.Cache.Pin(m.bases)
	}
	m.listings = newFlight[*blobcache.Listing](m)
	m.refsAsked = newFlight[*refs](m)
	m.infoAsked = newFlight[*hub.RepoInfo](m)
	m.reposAsked = newFlight[repoInfo](m)
	m.listsAsked = newFlight[repoList](m)
	m.datesAsked = newFlight[int64](m)
	m.textAsked = newFlight[string](m)
	m.userAsked = newFlight[*userRecord](m)
	return m
}

// forgetFailures lets everything that has failed be asked for again.
func (m *Mount) forgetFailures() {
	m.listings.forget()
	m.refsAsked.forget()
	m.infoAsked.forget()
	m.reposAsked.forget()
	m.listsAsked.forget()
	m.datesAsked.forget()
	m.textAsked.forget()
	m.userAsked.forget()
}

// root finds what the mount shows. One tree must be there; so that a wrong name is
// an error now and not an empty directory later.
func (m *Mount) root(ctx context.Context) (fs.InodeEmbedder, fs.StableAttr, error) {
	src := m.opts.Source
	if src.WholeHub {
		return &upperNode{above: above{m}, m: m, shelf: newRootShelf(m.catalog), ino: rootIno}, fs.StableAttr{Mode: syscall.S_IFDIR, Ino: rootIno}, nil
	}
	t, err := m.findTree(ctx, src.Repo, src.Revision)
	if err != nil {
		return nil, fs.StableAttr{}, err
	}
	if src.Sub != "" {
		s, err := t.current(ctx)
		if err == nil {
			_, err = t.dir(ctx, s, src.Sub)
		}
		if errors.Is(err, errGone) {
			err = fmt.Errorf("%s has no folder %s: %w", t, src.Sub, hub.ErrEntryNotFound)
		}
		if err != nil {
			return nil, fs.StableAttr{}, err
		}
	}
	m.tree = t
	d := treeDir(t, src.Sub)
	return d, d.stable(), nil
}

// findTree gives the tree that the mount shows. The repository and its references
// are asked for at the same time: that they turn out to belong to another id, of a
// repository that was renamed, is rare.
func (m *Mount) findTree(ctx context.Context, id hub.Repo, revision string) (*tree, error) {
	ahead := newRepo(m, id.Type, repoInfo{ID: id.ID})
	var asked sync.WaitGroup
	asked.Go(func() { _, _ = ahead.references(ctx, needsPulls(revision)) }) // an error comes again below
	r, err := m.catalog.repo(ctx, id)
	asked.Wait()
	if err != nil {
		return nil, err
	}
	if r.id == id {
		r.takeReferences(ahead)
	}
	name := ""
	if revision != "" {
		if name, err = r.resolve(ctx, revision); err != nil {
			return nil, err
		}
		if r.isDefault(name) {
			name = ""
		}
	}
	t := r.tree(name)
	_, err = t.current(ctx)
	return t, err
}

// treeAt gives the tree that a path of the mount leads into.
func (m *Mount) treeAt(ctx context.Context, p string) (*tree, error) {
	t, _, err := m.locate(ctx, p)
	return t, err
}

// locate is treeAt, with the path in the tree.
func (m *Mount) locate(ctx context.Context, p string) (t *tree, rest string, err error) {
	p = cleanPath(p)
	if m.tree != nil {
		return m.tree, strings.Trim(path.Join(m.opts.Source.Sub, p), "/"), nil
	}
	for range maxLinks {
		t, rest, err := m.walk(ctx, p)
		if t != nil || err != nil {
			return t, rest, err
		}
		p = rest
	}
	return nil, "", fmt.Errorf("%s: %w", p, syscall.ELOOP)
}

// cleanPath makes a path one relative to the mount's root, which is "".
func cleanPath(p string) string { return strings.Trim(path.Clean("/"+p), "/") }

// maxLinks is as many links as the kernel follows.
const maxLinks = 40

// walk follows a path to a tree, and gives the rest of it; or to a link, where it gives
// the path to go on with.
func (m *Mount) walk(ctx context.Context, p string) (t *tree, rest string, err error) {
	var at shelf = newRootShelf(m.catalog)
	parts := strings.Split(p, "/")
	for i, name := range parts {
		it, err := at.lookup(ctx, name)
		switch {
		case err != nil:
			return nil, "", fmt.Errorf("%s: %w", p, err)
		case it.tree != nil:
			return it.tree, path.Join(parts[i+1:]...), nil
		case it.link != "":
			return nil, path.Join(append(append(slices.Clone(parts[:i]), it.link), parts[i+1:]...)...), nil
		}
		at = it.shelf
	}
	return nil, "", fmt.Errorf("%s is above the repositories: %w", orRoot(p), hub.ErrNotFound)
}

// mount asks the kernel.
func (m *Mount) mount(root fs.InodeEmbedder, stable fs.StableAttr) error {
	opts, err := m.kernelOptions()
	if err != nil {
		return err
	}
	negative := forever
	m.raw = &rawFS{RawFileSystem: fs.NewNodeFS(root, &fs.Options{
		MountOptions:    *opts,
		NegativeTimeout: &negative, // in trees; all others set their own
		NullPermissions: true,      // a mask may take all
		RootStableAttr:  &stable,
	})}
	m.server, err = fuse.NewServer(m.raw, m.dir, opts)
	if err != nil {
		return mountFailure(m.dir, err)
	}
	return nil
}

// serve answers the kernel until the file system is unmounted.
func (m *Mount) serve() {
	m.server.Serve()
	m.unmount()
	if m.opts.Write == nil {
		m.end()
	}
	close(m.ended)
}

// end ends all work.
func (m *Mount) end() {
	m.spawning.Lock()
	m.cancel()
	m.spawning.Unlock()
	m.work.Wait()
}

// spawn runs f beside, unless the mount has ended. The end waits for it.
func (m *Mount) spawn(f func()) bool {
	m.spawning.Lock()
	defer m.spawning.Unlock()
	if m.ctx.Err() != nil {
		return false
	}
	m.work.Go(f)
	return true
}

// Wait returns when the file system is unmounted, by whomever. What was changed in it may
// have to be committed yet: see Push and Close. Without Options.Write, nothing of the
// mount runs any more.
func (m *Mount) Wait() { <-m.ended }

// Unmount ends the mount. While programs use it, it fails with *BusyError.
func (m *Mount) Unmount() error {
	m.unmounter.Lock()
	defer m.unmounter.Unlock()
	select {
	case <-m.ended:
		return nil
	default:
	}
	if err := m.server.Unmount(); err != nil {
		select {
		case <-m.ended: // somebody else was faster
			return nil
		default:
		}
		if using, busyErr := Busy(m.dir); busyErr == nil && len(using) > 0 || errors.Is(err, syscall.EBUSY) {
			return &BusyError{Dir: m.dir, Processes: using}
		}
		return fmt.Errorf("unmount %s: %w", m.dir, err)
	}
	<-m.ended
	return nil
}

// Dir is the absolute path of the mount point.
func (m *Mount) Dir() string { return m.dir }
