package gitstore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/objfile"
)

// OID is the id of a git object.
type OID = plumbing.Hash

// ErrNotFound is the kind of every error about an object, a path or a ref that
// doesn't exist.
var ErrNotFound = errors.New("not found")

// Store is one repository. All methods may be called concurrently.
type Store struct {
	dir   string
	sync  durability
	cache *Cache
	bases cache.Object // of deltas, in packs that the git program made

	packMu   sync.Mutex // guards packs and packTime; never held over the reading of an object
	packs    []*pack
	packTime time.Time // mtime of objects/pack when it was read

	refMu  sync.RWMutex // held for reading while a ref moves, for writing to end that
	closed bool         // guarded by refMu
}

// Options are what is common to the stores of a Hub.
type Options struct {
	Cache *Cache
	// NoSync leaves it to the operating system when data reach the disk. They
	// survive a crash of the process, but not of the machine.
	NoSync bool
}

// Init makes an empty repository, whose HEAD is branch main.
func Init(dir string, o Options) error {
	sync := durability{o.NoSync}
	for _, d := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	files := []struct{ name, content string }{
		{"config", "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"},
		{"HEAD", "ref: refs/heads/main\n"},
	}
	for _, f := range files {
		if err := sync.create(filepath.Join(dir, f.name), []byte(f.content)); err != nil {
			return err
		}
	}
	for _, d := range []string{"objects", "refs", "."} {
		if err := sync.dir(filepath.Join(dir, d)); err != nil {
			return err
		}
	}
	return nil
}

// Open opens a repository. It removes what a crash has left of unfinished
// writes, so no other process may be writing to it.
func Open(dir string, o Options) (*Store, error) {
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil {
		return nil, fmt.Errorf("not a git repository: %w", err)
	}
	s := &Store{dir: dir, sync: durability{o.NoSync}, cache: o.Cache, bases: cache.NewObjectLRU(4 * cache.MiByte)}
	if err := s.sweep(); err != nil {
		return nil, err
	}
	s.packMu.Lock()
	defer s.packMu.Unlock()
	if err := s.loadPacks(); err != nil {
		return nil, errors.Join(err, s.closePacks())
	}
	return s, nil
}

// ErrClosed says that a store was closed.
var ErrClosed = errors.New("the repository is closed")

// Close closes the files of the store. No ref moves afterwards.
func (s *Store) Close() error {
	s.refMu.Lock()
	s.closed = true
	s.refMu.Unlock()
	s.packMu.Lock()
	defer s.packMu.Unlock()
	return s.closePacks()
}

// Dir is the folder of the repository.
func (s *Store) Dir() string { return s.dir }

// sweep removes temporary files and locks of a process that has died.
func (s *Store) sweep() error {
	if err := os.Remove(filepath.Join(s.dir, packedRefsFile+lockSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, top := range []string{"objects", "refs"} {
		err := filepath.WalkDir(filepath.Join(s.dir, top), func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := d.Name()
			// The 256 folders of loose objects hold no temporary files.
			if d.IsDir() && top == "objects" && len(name) == 2 {
				return fs.SkipDir
			}
			if !d.IsDir() && (strings.HasPrefix(name, tempPrefix) || strings.HasSuffix(name, lockSuffix)) {
				return os.Remove(p)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Object is a git object in memory. Its content must not be changed.
type Object struct {
	Type    plumbing.ObjectType
	Content []byte
}

// Read returns an object. The error is ErrNotFound if there is none.
func (s *Store) Read(h OID) (*Object, error) {
	for again := false; ; again = true {
		o, err := s.readPacked(h)
		if errors.Is(err, ErrNotFound) {
			o, err = s.readLoose(h)
		}
		if again || !errors.Is(err, ErrNotFound) {
			return o, err
		}
		// The git program may have packed it since the packs were listed.
		if !s.packsChanged() {
			return nil, err
		}
	}
}

// Header returns the type and size of an object without its content.
func (s *Store) Header(h OID) (plumbing.ObjectType, int64, error) {
	f, err := os.Open(s.loosePath(h))
	if errors.Is(err, fs.ErrNotExist) {
		return s.packedHeader(h)
	}
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	r, err := objfile.NewReader(f)
	if err != nil {
		return 0, 0, fmt.Errorf("object %s: %w", h, err)
	}
	defer r.Close()
	t, n, err := r.Header()
	if err != nil {
		return 0, 0, fmt.Errorf("object %s: %w", h, err)
	}
	return t, n, nil
}

// Has tells if there is an object.
func (s *Store) Has(h OID) (bool, error) {
	if s.inPack(h) != nil {
		return true, nil
	}
	_, err := os.Stat(s.loosePath(h))
	if errors.Is(err, fs.ErrNotExist) {
		return s.packsChanged() && s.inPack(h) != nil, nil
	}
	return err == nil, err
}

func (s *Store) loosePath(h OID) string {
	x := h.String()
	return filepath.Join(s.dir, "objects", x[:2], x[2:])
}

func (s *Store) readLoose(h OID) (*Object, error) {
	f, err := os.Open(s.loosePath(h))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("object %s: %w", h, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := objfile.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", h, err)
	}
	defer r.Close()
	t, n, err := r.Header()
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", h, err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("object %s: %w", h, err)
	}
	return &Object{Type: t, Content: b}, nil
}

// Abbreviated returns the one commit whose id starts with the given hex digits,
// at least 4 of them.
func (s *Store) Abbreviated(prefix string) (OID, error) {
	none := fmt.Errorf("commit %s: %w", prefix, ErrNotFound)
	if len(prefix) < 4 || len(prefix) > 40 || strings.Trim(prefix, "0123456789abcdef") != "" {
		return OID{}, none
	}
	var found []OID
	names, err := os.ReadDir(filepath.Join(s.dir, "objects", prefix[:2]))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return OID{}, err
	}
	for _, n := range names {
		x := prefix[:2] + n.Name()
		if strings.HasPrefix(x, prefix) && plumbing.IsHash(x) {
			found = append(found, plumbing.NewHash(x))
		}
	}
	first, _ := hex.DecodeString(prefix[:len(prefix)&^1])
	found = append(found, s.packedWithPrefix(first)...)
	var commit OID
	for _, h := range found {
		if !strings.HasPrefix(h.String(), prefix) || h == commit {
			continue
		}
		t, _, err := s.Header(h)
		if err != nil {
			return OID{}, err
		}
		if t != plumbing.CommitObject {
			continue
		}
		if !commit.IsZero() {
			return OID{}, fmt.Errorf("%s is ambiguous: %w", prefix, ErrNotFound)
		}
		commit = h
	}
	if commit.IsZero() {
		return OID{}, none
	}
	return commit, nil
}
