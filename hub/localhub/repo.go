package localhub

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// repo is an open repository: its record as it was when the request found it, and
// its git store.
type repo struct {
	*repoRec
	*openStore
}

// openStore is a git store with the lock that keeps its writers apart.
type openStore struct {
	git *gitstore.Store
	// commit is held from reading a branch's head to moving it, so over writes
	// to the disk, never over the network.
	commit sync.Mutex
	// moved is told of every ref that has moved.
	moved func(name string, old, oid gitstore.OID)
}

// stores opens git stores when they are first asked for.
type stores struct {
	dir string
	opt gitstore.Options
	// moved is told of every ref that has moved; it is set before any store is opened.
	moved func(uid, name string, old, oid gitstore.OID)

	mu     sync.Mutex // guards open and closed, and is held while a store is opened
	open   map[string]*openStore
	closed bool
}

// objectCache is how many bytes of parsed trees and commits are kept in memory.
const objectCache = 128 << 20

func openStores(root string, noSync bool, known func(uid string) bool) (*stores, error) {
	s := &stores{
		dir: filepath.Join(root, "repos"), opt: gitstore.Options{Cache: gitstore.NewCache(objectCache), NoSync: noSync}, open: map[string]*openStore{},
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	// A repository is made before it is known, and forgotten before it is removed.
	dirs, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		if !known(strings.TrimSuffix(d.Name(), ".git")) {
			if err := os.RemoveAll(filepath.Join(s.dir, d.Name())); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

func (s *stores) path(uid string) string { return filepath.Join(s.dir, uid+".git") }

func (s *stores) get(uid string) (*openStore, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	if o := s.open[uid]; o != nil {
		return o, nil
	}
	g, err := gitstore.Open(s.path(uid), s.opt)
	if errors.Is(err, os.ErrNotExist) {
		return nil, repoNotFound() // it was deleted a moment ago
	}
	if err != nil {
		return nil, err
	}
	o := &openStore{git: g, moved: func(name string, old, oid gitstore.OID) { s.moved(uid, name, old, oid) }}
	s.open[uid] = o
	return o, nil
}

// create makes the folder of a new repository.
func (s *stores) create(uid string) (*openStore, error) {
	if err := gitstore.Init(s.path(uid), s.opt); err != nil {
		return nil, err
	}
	if !s.opt.NoSync {
		if err := syncDir(s.dir); err != nil {
			return nil, err
		}
	}
	return s.get(uid)
}

// remove removes a repository's folder. Requests that still read from it fail.
func (s *stores) remove(uid string) error {
	s.mu.Lock()
	delete(s.open, uid)
	s.mu.Unlock()
	return os.RemoveAll(s.path(uid))
}

func (s *stores) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, o := range s.open {
		errs = append(errs, o.git.Close())
	}
	s.open = nil
	return errors.Join(errs...)
}

var errClosed = errors.New("the Hub is closed")

// Prefixes of refs.
const (
	refsHeads   = "refs/heads/"
	refsTags    = "refs/tags/"
	refsPR      = "refs/pr/"
	refsConvert = "refs/convert/"
)

// resolve finds the commit that a revision names. A branch comes before a tag of
// the same name, then a commit id (also abbreviated to 7 digits or more), then
// a full ref.
func (r *repo) resolve(rev string) (gitstore.OID, error) {
	var names []string
	switch {
	case rev == "HEAD": // the npm client asks for it where no revision is given
		names = []string{refsHeads + "main"}
	case strings.HasPrefix(rev, "refs/"):
		names = []string{rev}
	default:
		names = []string{refsHeads + rev, refsTags + rev}
	}
	for _, n := range names {
		h, err := r.git.Ref(n)
		if err == nil {
			h, err = r.git.Peel(h)
		}
		if err == nil || !errors.Is(err, gitstore.ErrNotFound) {
			return h, err
		}
	}
	h, err := r.commitID(rev)
	if errors.Is(err, gitstore.ErrNotFound) {
		err = revisionNotFound(rev)
	}
	return h, err
}

// commitID finds a commit by its id, also an abbreviated one.
func (r *repo) commitID(s string) (gitstore.OID, error) {
	if len(s) < 7 || len(s) > 40 || !hexPattern.MatchString(s) {
		return gitstore.OID{}, gitstore.ErrNotFound
	}
	if len(s) < 40 {
		return r.git.Abbreviated(s)
	}
	h, _ := gitstore.ParseOID(s)
	c, err := r.git.Commit(h)
	if err != nil {
		return gitstore.OID{}, err
	}
	return c.OID, nil
}

func (r *repo) resolveCommit(rev string) (*gitstore.Commit, error) {
	h, err := r.resolve(rev)
	if err != nil {
		return nil, err
	}
	return r.git.Commit(h)
}

// branchRef is the ref that a commit to a revision moves: of a branch, named by
// its name or its full ref, or of a pull request.
func (r *repo) branchRef(rev string) (name string, head gitstore.OID, err error) {
	switch {
	case strings.HasPrefix(rev, refsHeads), strings.HasPrefix(rev, refsPR):
		name = rev
	case strings.HasPrefix(rev, "refs/"):
		return "", gitstore.OID{}, revisionNotFound(rev)
	default:
		name = refsHeads + rev
	}
	head, err = r.git.Ref(name)
	if errors.Is(err, gitstore.ErrNotFound) {
		err = revisionNotFound(rev)
	}
	return name, head, err
}
