package gitstore

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/objfile"
)

const (
	// packFrom is the number of objects from which on a flush makes a pack. Below
	// it they become loose objects: each read looks into every pack.
	packFrom = 48
	// looseSize is the size above which an object is always loose, so that it can
	// be read without holding up others.
	looseSize = 1 << 20
	// maxPending is how many bytes of objects wait in memory for a flush.
	maxPending = 64 << 20
)

// Batch writes objects of one commit: loose ones if they are few, else packs.
// They are durable after Flush, which must come before a ref names any of them.
// A Batch is for one goroutine.
type Batch struct {
	s       *Store
	pending []pendingObject
	known   map[OID]struct{}
	size    int64
	dirs    map[string]struct{} // whose new names aren't synced yet
}

type pendingObject struct {
	oid OID
	Object
}

// NewBatch starts a batch.
func (s *Store) NewBatch() *Batch {
	return &Batch{s: s, known: map[OID]struct{}{}, dirs: map[string]struct{}{}}
}

// Add adds an object and returns its id. The content must not be changed until
// Flush.
func (b *Batch) Add(t plumbing.ObjectType, content []byte) (OID, error) {
	h := plumbing.ComputeHash(t, content)
	if _, ok := b.known[h]; ok {
		return h, nil
	}
	ok, err := b.s.Has(h)
	if err != nil || ok {
		return h, err
	}
	b.known[h] = struct{}{}
	o := pendingObject{h, Object{t, content}}
	if len(content) > looseSize {
		return h, b.writeLoose(o)
	}
	b.pending = append(b.pending, o)
	b.size += int64(len(content))
	if b.size > maxPending {
		return h, b.writePending()
	}
	return h, nil
}

// Flush writes what was added and syncs it.
func (b *Batch) Flush() error {
	if err := b.writePending(); err != nil {
		return err
	}
	for d := range b.dirs {
		if err := b.s.sync.dir(d); err != nil {
			return err
		}
	}
	clear(b.dirs)
	return nil
}

func (b *Batch) writePending() error {
	if len(b.pending) >= packFrom {
		if err := b.writePack(); err != nil {
			return err
		}
	} else {
		for _, o := range b.pending {
			if err := b.writeLoose(o); err != nil {
				return err
			}
		}
	}
	b.pending, b.size = nil, 0
	return nil
}

func (b *Batch) writeLoose(o pendingObject) (err error) {
	name := b.s.loosePath(o.oid)
	dir := filepath.Dir(name)
	if err := os.Mkdir(dir, 0o755); err == nil {
		b.dirs[filepath.Dir(dir)] = struct{}{}
	} else if !errors.Is(err, os.ErrExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(dir), tempPrefix+"obj_")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	w := objfile.NewWriter(f)
	err = w.WriteHeader(o.Type, int64(len(o.Content)))
	if err == nil {
		_, err = w.Write(o.Content)
	}
	if err == nil {
		err = w.Close()
	}
	if err = b.s.sync.finish(f, err); err != nil {
		return err
	}
	b.dirs[dir] = struct{}{}
	return publish(f.Name(), name)
}

// writePack writes the pending objects as a pack, without deltas.
func (b *Batch) writePack() (err error) {
	dir := filepath.Join(b.s.dir, "objects", "pack")
	f, err := os.CreateTemp(dir, tempPrefix+"pack_")
	if err != nil {
		return err
	}
	fi, err := os.CreateTemp(dir, tempPrefix+"idx_")
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			os.Remove(fi.Name())
		}
	}()
	idx, sum, err := encodePack(f, b.pending)
	if err = b.s.sync.finish(f, err); err != nil {
		fi.Close()
		return err
	}
	_, err = idxfile.NewEncoder(fi).Encode(idx)
	if err = b.s.sync.finish(fi, err); err != nil {
		return err
	}
	// The index comes last: a pack is seen by its index.
	name := filepath.Join(dir, "pack-"+sum.String())
	if err := publish(f.Name(), name+".pack"); err != nil {
		return err
	}
	if err := publish(fi.Name(), name+".idx"); err != nil {
		return err
	}
	b.dirs[dir] = struct{}{}
	b.s.packMu.Lock()
	defer b.s.packMu.Unlock()
	return b.s.loadPacks()
}
