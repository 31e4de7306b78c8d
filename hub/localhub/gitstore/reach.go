package gitstore

import (
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Reachable lists what a client needs who wants some objects and has the commits
// have with all that is below them: commits with their histories, folders with
// what is in them, tags with what they name, and files. Objects of have that
// aren't here are passed over. withBlobs false leaves out files that weren't asked
// for by name.
func (s *Store) Reachable(want, have []OID, withBlobs bool) ([]OID, error) {
	w := reachWalk{s: s, seen: make(map[OID]bool), withBlobs: withBlobs}
	for _, id := range have {
		if err := w.visit(id); err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
	if err := w.drain(); err != nil {
		return nil, err
	}
	w.found = nil
	for _, id := range want {
		if err := w.visit(id); err != nil {
			return nil, err
		}
	}
	if err := w.drain(); err != nil {
		return nil, err
	}
	return w.found, nil
}

// reachWalk visits each object once, without recursion: a history is long.
type reachWalk struct {
	s         *Store
	seen      map[OID]bool
	pending   []OID // commits, folders and tags
	found     []OID
	withBlobs bool
}

// visit notes an object that was named by its id alone.
func (w *reachWalk) visit(id OID) error {
	if w.seen[id] {
		return nil
	}
	t, _, err := w.s.Header(id)
	if err != nil {
		return err
	}
	w.note(id, t == plumbing.BlobObject)
	return nil
}

func (w *reachWalk) note(id OID, blob bool) {
	if w.seen[id] {
		return
	}
	w.seen[id] = true
	w.found = append(w.found, id)
	if !blob {
		w.pending = append(w.pending, id)
	}
}

func (w *reachWalk) drain() error {
	for len(w.pending) > 0 {
		id := w.pending[len(w.pending)-1]
		w.pending = w.pending[:len(w.pending)-1]
		o, err := w.s.Read(id)
		if err != nil {
			return err
		}
		if err := w.below(id, o); err != nil {
			return err
		}
	}
	return nil
}

// below notes what an object refers to.
func (w *reachWalk) below(id OID, o *Object) error {
	switch o.Type {
	case plumbing.CommitObject:
		c, err := w.s.Commit(id)
		if err != nil {
			return err
		}
		w.note(c.Tree, false)
		for _, p := range c.Parents {
			w.note(p, false)
		}
	case plumbing.TreeObject:
		t, err := decodeTree(id, o.Content)
		if err != nil {
			return err
		}
		for i := range t.Entries {
			switch e := &t.Entries[i]; {
			case e.Mode == ModeDir:
				w.note(e.OID, false)
			case e.Mode != ModeModule && w.withBlobs:
				w.note(e.OID, true)
			}
		}
	case plumbing.TagObject:
		var t object.Tag
		if err := t.Decode(memoryObject(o)); err != nil {
			return fmt.Errorf("tag %s is damaged: %w", id, err)
		}
		return w.visit(t.Target)
	default:
		return fmt.Errorf("%s is a %s: %w", id, o.Type, ErrNotFound)
	}
	return nil
}
