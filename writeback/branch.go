package writeback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// ErrClosed is the use of a Branch after Close.
var ErrClosed = errors.New("the branch is closed")

// ErrInUse is a journal that another mount has open.
var ErrInUse = errors.New("another mount is writing to this branch")

const (
	dataDir  = "data"
	asideDir = "aside"
	// branchesDir holds the folders of all journals, below Options.StateDir.
	branchesDir = "branches"
)

// Key says whose changes these are, and where they go.
type Key struct {
	Endpoint string   `json:"endpoint"`
	User     string   `json:"user"` // "" if anonymous
	Repo     hub.Repo `json:"-"`
	Branch   string   `json:"branch"` // as the Hub names it
}

// keyFile is the content of key.json.
type keyFile struct {
	Key
	Type string `json:"type"`
	ID   string `json:"repo"`
}

// dir is the name of the key's folder.
func (k Key) dir() string {
	h := sha256.New()
	for _, s := range []string{k.Endpoint, k.User, string(k.Repo.Type), k.Repo.ID, k.Branch} {
		fmt.Fprintf(h, "%d %s ", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Options configure a Branch.
type Options struct {
	StateDir string // of all journals
	Tree     Tree   // of the branch, as it is shown first
	// Blob opens content that the Hub has. It shouldn't need the network.
	Blob   func(blobcache.File) (Blob, error)
	Logger *slog.Logger // nil is silent

	// Hub is where commits go; nil makes none. The rest is for commits only.
	Hub *hub.Client
	// OpenTree gives the tree of a commit of a revision; "" is its head as the Hub
	// says it now. Needed with Hub.
	OpenTree func(ctx context.Context, revision, commit string) (Tree, error)
	// Keep puts committed content into the cache, where Blob finds it. It is called
	// for several files at a time; src is valid until it returns.
	Keep func(ctx context.Context, f blobcache.File, src io.ReaderAt) error
	// KeepFile is Keep of a file that is durable and never changes, by giving it one more name; it
	// is errors.ErrUnsupported where that can't be. nil is never.
	KeepFile func(ctx context.Context, f blobcache.File, file string) error
	// Moved is told when the branch is shown at another commit, without a call of
	// SetTree; Changed, which paths look different because a conflict was solved.
	// Neither may call the Branch.
	Moved    func(Tree)
	Changed  func(paths []string)
	Progress func(hub.Progress) // of uploads

	OnConflict OnConflict    // "" is KeepBoth
	CreatePR   bool          // changes go to a pull request of their own
	Atomic     bool          // one refused path holds back all
	Every      time.Duration // between automatic commits; 0 makes none
	MaxDelay   time.Duration // how long a busy folder may be left out of them; 0 is for ever
	// NoFsyncCommit makes no commits because of an fsync.
	NoFsyncCommit     bool
	MaxCommitsPerHour int           // of automatic commits; 0 is 60
	LocalOnly         []string      // nil is DefaultLocalOnly
	CommitOpen        []string      // nil is DefaultCommitOpen
	RetryPause        time.Duration // before something is tried again; 0 is 2 s
}

// A Branch is a writable view of a branch of the Hub. It is safe for concurrent use.
type Branch struct {
	key  Key
	opts Options
	log  *slog.Logger
	now  func() time.Time

	disk      disk
	journal   *journal
	attrs     *attrStore
	lock      *flock.Flock // nil in tests that have no folder
	index     *index
	recovered Recovered

	mu     sync.RWMutex // see the package comment
	tree   Tree
	blind  bool                 // the changes were never compared with tree
	left   map[string]time.Time // commits that tree was at before, and until when
	root   *node
	inodes map[uint64]*inode // those that the log knows
	closed bool
	// What follows is the committer's, and guarded by mu for those who look.
	values     map[string]json.RawMessage // as the log has them
	committing map[*node]bool
	uploads    map[string]upload // of large files, by path
	refused    map[*node]uint64  // versions that the push under way has seen refused
	pushed     map[*node]bool    // what it has committed
	inFlight   map[string]bool   // paths of commits whose fate isn't known
	landedAt   time.Time         // of the last commit of ours
	unsettled  string            // a commit of ours that isn't shown yet
	lastCommit *Commit
	lastErr    error
	retryAt    time.Time
	nextTick   time.Time // zero: no timer

	ended   atomic.Bool   // closed, for those that don't hold mu
	nextID  atomic.Uint64 // of inodes and layers
	sweeper sweeper
	stop    context.CancelFunc
	group   errgroup.Group

	requests chan *request
	showing  chan struct{} // holds a token while another tree is being shown
	kicked   chan struct{}
	// largeClosed has a word for the committer when a large file was closed.
	largeClosed chan struct{}
	summing     chan *inode   // large files that have grown, for sumUp
	ahead       *ahead        // the committer's own; nil: none
	finished    chan struct{} // closed when the committer has ended
}

// Open opens the changes of a key, and takes over what a mount before has left.
// ErrInUse means that one is still alive, ErrFormat that it was a newer hubfs.
func Open(ctx context.Context, key Key, opts Options) (*Branch, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	dir := filepath.Join(opts.StateDir, branchesDir, key.dir())
	if err := os.MkdirAll(filepath.Join(dir, asideDir), 0o700); err != nil {
		return nil, fmt.Errorf("staged changes: %w", err)
	}
	if InMemory(dir) {
		opts.Logger.Warn("staged changes are kept in memory: they are lost when the machine stops", "dir", dir)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	if ok, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("staged changes: %w", err)
	} else if !ok {
		return nil, fmt.Errorf("%w: %s", ErrInUse, key.Repo)
	}
	b, err := openLocked(ctx, dir, key, opts)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	b.lock = lock
	return b, nil
}

func openLocked(ctx context.Context, dir string, key Key, opts Options) (*Branch, error) {
	if err := writeKey(dir, key); err != nil {
		return nil, err
	}
	x, err := openIndex(dir, opts.Logger)
	if err != nil {
		return nil, fmt.Errorf("staged changes: %w", err)
	}
	b, err := openDisk(ctx, osDisk{dir}, bootID(), x, key, opts)
	if err != nil {
		return nil, errors.Join(err, x.close())
	}
	return b, nil
}

// writeKey notes whose folder this is; the name of the folder doesn't tell. Its name is
// durable afterwards, also that of the folder.
func writeKey(dir string, key Key) error {
	name := filepath.Join(dir, "key.json")
	data, err := json.Marshal(keyFile{key, string(key.Repo.Type), key.Repo.ID})
	if err != nil {
		return err
	}
	data = append(data, '\n')
	switch had, err := os.ReadFile(name); {
	case err == nil && bytes.Equal(had, data):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	for range 3 { // the journal's folder, that of all journals, and the state directory
		if err := (osDisk{dir}).SyncDir("open", "."); err != nil {
			return err
		}
		dir = filepath.Dir(dir)
	}
	return nil
}

// openDisk opens a journal on a disk whose lock is held.
func openDisk(ctx context.Context, d disk, boot string, x *index, key Key, opts Options) (*Branch, error) {
	b := &Branch{
		key: key, opts: opts, log: opts.Logger, now: time.Now,
		disk: d, index: x, attrs: &attrStore{index: x, recent: make(map[string]*attr)},
		tree: opts.Tree, left: make(map[string]time.Time), root: &node{}, inodes: make(map[uint64]*inode),
		values: make(map[string]json.RawMessage), committing: make(map[*node]bool), refused: make(map[*node]uint64), pushed: make(map[*node]bool), inFlight: make(map[string]bool), uploads: make(map[string]upload),
		requests: make(chan *request), showing: make(chan struct{}, 1), kicked: make(chan struct{}, 1), largeClosed: make(chan struct{}, 1), summing: make(chan *inode, 4), finished: make(chan struct{}),
	}
	b.sweeper.stacks, b.sweeper.wake = make(map[*inode]bool), make(chan struct{}, 1)
	b.journal = &journal{disk: d, boot: boot, snapshot: b.snapshot}
	if err := b.recover(); err != nil {
		return nil, fmt.Errorf("staged changes of %s: %w", key.Repo, err)
	}
	// Without the Hub it is shown as it was left, and compared when the Hub is back.
	if err := b.setTree(ctx, opts.Tree); err != nil && ctx.Err() == nil {
		b.log.Warn("staged changes can't be compared with the Hub now", "repo", key.Repo, "error", err)
		b.blind = true
	} else if err != nil {
		return nil, errors.Join(err, b.journal.close())
	}
	ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	b.group.Go(func() error { b.sweep(ctx); return nil })
	b.group.Go(func() error { b.sumUp(ctx); return nil })
	if opts.Hub != nil {
		b.group.Go(func() error { b.run(ctx); return nil })
	}
	return b, nil
}

// Close makes everything durable and lets go of the journal. Handles that are
// still open fail afterwards.
func (b *Branch) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	b.closed = true
	b.ended.Store(true)
	inodes := make([]*inode, 0, len(b.inodes))
	for _, ino := range b.inodes {
		inodes = append(inodes, ino)
	}
	b.mu.Unlock()
	b.stop()
	err := b.group.Wait()
	for _, ino := range inodes {
		err = errors.Join(err, ino.syncContent())
	}
	err = errors.Join(err, b.journal.sync())
	if err == nil {
		b.removeDoomed()
	}
	err = errors.Join(err, b.journal.close(), b.index.close())
	if b.lock != nil {
		err = errors.Join(err, b.lock.Unlock())
	}
	return err
}

// newInode makes an inode of what the Hub has; nil is nothing.
func (b *Branch) newInode(source *Source) *inode {
	ino := &inode{b: b, id: b.nextID.Add(1)}
	if source != nil {
		ino.blob = b.blob(*source)
		ino.size = source.Size
		ino.known = &Was{Hash: source.Hash, Size: source.Size}
		ino.origin = source.Path
	}
	return ino
}

// source is where the content of a file of the Hub's tree can be had. It requires mu.
func (b *Branch) source(path string, e *blobcache.Entry) *Source {
	return &Source{Hash: e.Hash(), Size: e.Size, Commit: b.tree.Commit(), Path: path}
}

func (b *Branch) blob(s Source) *sharedBlob {
	return &sharedBlob{source: s, from: func(s Source) (Blob, error) {
		return b.opts.Blob(blobcache.File{Repo: b.key.Repo, Commit: s.Commit, Path: s.Path, Hash: s.Hash, Size: s.Size})
	}}
}

// newLayer makes the file of a layer, open for the caller: it calls unref.
func (b *Branch) newLayer(below, size int64) (*layer, error) {
	l := &layer{id: b.nextID.Add(1), below: below, disk: b.disk, refs: 1}
	f, err := b.disk.Open("stage create", dataName(l.id), true)
	if err != nil {
		return nil, fmt.Errorf("staging: %w", err)
	}
	l.f = f
	b.sweeper.created.Add(1)
	if size > 0 {
		err = f.Truncate("stage size", size)
	}
	if err != nil {
		l.unref()
		b.discard(l)
		return nil, fmt.Errorf("staging: %w", err)
	}
	return l, nil
}

// discard removes the file of a layer that the log has never known.
func (b *Branch) discard(l *layer) {
	if err := b.disk.Remove("stage undo", dataName(l.id)); err != nil {
		b.log.Debug("a staged file that isn't needed stays until the next start", "file", dataName(l.id), "error", err)
	}
}

// release gives up the content of an inode that has neither name nor handles. It requires mu.
func (b *Branch) release(ino *inode) {
	ino.mu.Lock()
	defer ino.mu.Unlock()
	if ino.dropped {
		return
	}
	ino.dropped = true
	delete(b.inodes, ino.id)
	b.doom(ino.layers...)
}

// Bases are the hashes of what the Hub has below staged edits, of which a block is here and the
// rest is read when it is committed.
func (b *Branch) Bases() []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var hashes []string
	for _, ino := range b.inodes {
		ino.mu.RLock()
		if ino.blob != nil && len(ino.layers) > 0 {
			hashes = append(hashes, ino.blob.source.Hash)
		}
		ino.mu.RUnlock()
	}
	return hashes
}

// snapshot is everything that the log must hold.
func (b *Branch) snapshot() []put {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var puts []put
	for _, ino := range b.inodes {
		ino.mu.RLock()
		if ino.logged {
			puts = append(puts, ino.full()...)
		}
		ino.mu.RUnlock()
	}
	b.root.all(func(path string, n *node) {
		if n.kind == kindNone {
			return
		}
		r := &nodeRec{Path: path, Kind: n.kind, Was: n.was, Fail: n.fail, Since: n.since.UnixNano()}
		if n.kind == kindFile {
			r.Inode = n.ino.id
		}
		puts = append(puts, put{Node: r})
	})
	for name, v := range b.values {
		if len(v) > 0 {
			puts = append(puts, put{Value: &valueRec{Name: name, Value: v}})
		}
	}
	return append(puts, b.attrs.records()...)
}
