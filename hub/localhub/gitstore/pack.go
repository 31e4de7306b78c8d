package gitstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// pack is one pack file with its index.
type pack struct {
	name string // "pack-<40 hex>"

	idx *idxfile.MemoryIndex // is safe for concurrent use

	// mu guards r, which has one position in the file. It is held while one
	// object is read; objects above looseSize are kept out of our own packs for
	// that reason.
	mu sync.Mutex
	r  *packfile.Packfile
}

// openPack opens a pack of the folder dir.
func (s *Store) openPack(dir, name string) (*pack, error) {
	fi, err := os.Open(filepath.Join(dir, name+".idx"))
	if err != nil {
		return nil, err
	}
	defer fi.Close()
	idx := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(fi).Decode(idx); err != nil {
		return nil, fmt.Errorf("%s.idx: %w", name, err)
	}
	f, err := osfs.New(dir, osfs.WithBoundOS()).Open(name + ".pack")
	if err != nil {
		return nil, err
	}
	return &pack{name: name, idx: idx, r: packfile.NewPackfileWithCache(idx, nil, f, s.bases, 0)}, nil
}

// loadPacks opens the packs that have come and drops the ones that have gone.
// Requires packMu.
func (s *Store) loadPacks() error {
	dir := filepath.Join(s.dir, "objects", "pack")
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var packs []*pack
	for _, n := range names {
		name, ok := strings.CutSuffix(n.Name(), ".idx")
		if !ok || !strings.HasPrefix(name, "pack-") {
			continue
		}
		if i := slices.IndexFunc(s.packs, func(p *pack) bool { return p.name == name }); i >= 0 {
			packs = append(packs, s.packs[i])
			continue
		}
		p, err := s.openPack(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // repacked meanwhile
		}
		if err != nil {
			return err
		}
		packs = append(packs, p)
	}
	// A reader may still hold a pack that is gone: its file is closed when the
	// garbage collector finds it.
	s.packs = packs
	s.packTime = fi.ModTime()
	// A change within one tick of the clock after this stat would not show.
	if time.Since(s.packTime) < 10*time.Millisecond {
		s.packTime = time.Time{}
	}
	return nil
}

// packsChanged looks for packs that were added or removed since they were
// listed, and tells if there were any.
func (s *Store) packsChanged() bool {
	fi, err := os.Stat(filepath.Join(s.dir, "objects", "pack"))
	if err != nil {
		return false
	}
	s.packMu.Lock()
	defer s.packMu.Unlock()
	if fi.ModTime().Equal(s.packTime) {
		return false
	}
	before := s.packs
	if err := s.loadPacks(); err != nil {
		return false
	}
	return !slices.Equal(before, s.packs)
}

// closePacks requires packMu.
func (s *Store) closePacks() error {
	var errs []error
	for _, p := range s.packs {
		p.mu.Lock()
		errs = append(errs, p.r.Close())
		p.mu.Unlock()
	}
	s.packs = nil
	return errors.Join(errs...)
}

func (s *Store) listPacks() []*pack {
	s.packMu.Lock()
	defer s.packMu.Unlock()
	return s.packs
}

// inPack returns the pack that holds an object, or nil.
func (s *Store) inPack(h OID) *pack {
	for _, p := range s.listPacks() {
		if p.has(h) {
			return p
		}
	}
	return nil
}

func (p *pack) has(h OID) bool {
	ok, err := p.idx.Contains(h)
	return err == nil && ok
}

func (p *pack) read(h OID) (*Object, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, err := p.r.Get(h)
	if err != nil {
		return nil, fmt.Errorf("object %s in %s: %w", h, p.name, err)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, fmt.Errorf("object %s in %s: %w", h, p.name, err)
	}
	defer r.Close()
	b := make([]byte, o.Size())
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("object %s in %s: %w", h, p.name, err)
	}
	return &Object{Type: o.Type(), Content: b}, nil
}

func (s *Store) readPacked(h OID) (*Object, error) {
	p := s.inPack(h)
	if p == nil {
		return nil, fmt.Errorf("object %s: %w", h, ErrNotFound)
	}
	return p.read(h)
}

func (s *Store) packedHeader(h OID) (plumbing.ObjectType, int64, error) {
	p := s.inPack(h)
	if p == nil && s.packsChanged() {
		p = s.inPack(h)
	}
	if p == nil {
		return 0, 0, fmt.Errorf("object %s: %w", h, ErrNotFound)
	}
	o, err := p.read(h)
	if err != nil {
		return 0, 0, err
	}
	return o.Type, int64(len(o.Content)), nil
}

// packedWithPrefix lists the packed objects whose id starts with the given bytes.
func (s *Store) packedWithPrefix(prefix []byte) []OID {
	var found []OID
	for _, p := range s.listPacks() {
		it, err := p.idx.Entries()
		if err != nil {
			continue
		}
		for e, err := it.Next(); err == nil; e, err = it.Next() {
			if bytes.HasPrefix(e.Hash[:], prefix) {
				found = append(found, e.Hash)
			}
		}
	}
	return found
}
