package gitstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNotFolder says that a path leads through a file, or that a file's name is a
// folder's.
var ErrNotFolder = errors.New("a file and a folder of one name")

// Edit is a tree that is being changed. It reads only the folders that are
// touched, and writes only those that differ. It is for one goroutine.
type Edit struct {
	s    *Store
	root *editDir
}

// editDir is a folder of an Edit.
type editDir struct {
	base  OID  // zero: new
	read  bool // names holds the entries of base
	dirty bool
	names map[string]*editEntry
}

type editEntry struct {
	Entry
	dir *editDir // of a folder that was entered
}

// NewEdit starts to change a tree; zero is the empty one.
func (s *Store) NewEdit(root OID) *Edit {
	return &Edit{s: s, root: &editDir{base: root, read: root.IsZero()}}
}

func (ed *Edit) load(d *editDir) error {
	if d.read {
		if d.names == nil {
			d.names = map[string]*editEntry{}
		}
		return nil
	}
	t, err := ed.s.Tree(d.base)
	if err != nil {
		return err
	}
	d.names = make(map[string]*editEntry, len(t.Entries))
	for _, e := range t.Entries {
		d.names[e.Name] = &editEntry{Entry: e}
	}
	d.read = true
	return nil
}

// descend returns the folder that holds path and the last name of path, with the
// folders on the way. Folders are made if they are missing and make is set, else
// the error is ErrNotFound.
func (ed *Edit) descend(path string, make bool) (way []*editDir, name string, err error) {
	d := ed.root
	parts := strings.Split(path, "/")
	for _, p := range parts[:len(parts)-1] {
		if err := ed.load(d); err != nil {
			return nil, "", err
		}
		way = append(way, d)
		e := d.names[p]
		switch {
		case e == nil && !make:
			return nil, "", fmt.Errorf("path %s: %w", path, ErrNotFound)
		case e == nil:
			e = &editEntry{Entry: Entry{Name: p, Mode: ModeDir}, dir: &editDir{read: true}}
			d.names[p] = e
		case !e.IsDir() && make:
			return nil, "", fmt.Errorf("path %s: %w", path, ErrNotFolder)
		case !e.IsDir():
			return nil, "", fmt.Errorf("path %s: %w", path, ErrNotFound)
		case e.dir == nil:
			e.dir = &editDir{base: e.OID}
		}
		d = e.dir
	}
	if err := ed.load(d); err != nil {
		return nil, "", err
	}
	return append(way, d), parts[len(parts)-1], nil
}

// Set puts a file at a path, in place of another one. An executable file stays
// one.
func (ed *Edit) Set(path string, f Entry) error {
	way, name, err := ed.descend(path, true)
	if err != nil {
		return err
	}
	d := way[len(way)-1]
	f.Name, f.Mode = name, ModeFile
	if old := d.names[name]; old != nil {
		if old.IsDir() && (old.dir == nil || !old.dir.empty()) {
			return fmt.Errorf("path %s: %w", path, ErrNotFolder)
		}
		if old.Mode == ModeExec {
			f.Mode = ModeExec
		}
	}
	d.names[name] = &editEntry{Entry: f}
	markDirty(way)
	return nil
}

// Remove removes a file, or a folder with all that is in it.
func (ed *Edit) Remove(path string) error {
	way, name, err := ed.descend(path, false)
	if err != nil {
		return err
	}
	d := way[len(way)-1]
	if d.names[name] == nil {
		return fmt.Errorf("path %s: %w", path, ErrNotFound)
	}
	delete(d.names, name)
	markDirty(way)
	return nil
}

// Find returns the entry at a path as it is now. A folder that was changed has
// no id yet.
func (ed *Edit) Find(path string) (*Entry, error) {
	way, name, err := ed.descend(path, false)
	if err != nil {
		return nil, err
	}
	e := way[len(way)-1].names[name]
	if e == nil {
		return nil, fmt.Errorf("path %s: %w", path, ErrNotFound)
	}
	return &e.Entry, nil
}

// empty tells if a folder holds no file any more.
func (d *editDir) empty() bool {
	if !d.read {
		return false // git has no empty folders
	}
	for _, e := range d.names {
		if !e.IsDir() || e.dir == nil || !e.dir.empty() {
			return false
		}
	}
	return true
}

func markDirty(way []*editDir) {
	for _, d := range way {
		d.dirty = true
	}
}

// Write adds the changed folders to the batch and returns the new root. Empty
// folders vanish, as git has none; an empty root stays.
func (ed *Edit) Write(b *Batch) (OID, error) {
	if !ed.root.dirty && !ed.root.base.IsZero() {
		return ed.root.base, nil
	}
	trees, root, err := ed.write(b, ed.root, nil)
	if err != nil {
		return OID{}, err
	}
	// What was just written is what is read next.
	for _, t := range slices.Backward(trees) {
		ed.s.putTree(t)
	}
	return root, nil
}

func (ed *Edit) write(b *Batch, d *editDir, trees []*Tree) ([]*Tree, OID, error) {
	entries := make([]Entry, 0, len(d.names))
	for _, e := range d.names {
		if e.dir != nil && e.dir.dirty {
			if e.dir.empty() {
				continue
			}
			var err error
			if trees, e.OID, err = ed.write(b, e.dir, trees); err != nil {
				return nil, OID{}, err
			}
		}
		if !e.OID.IsZero() {
			entries = append(entries, e.Entry)
		}
	}
	t, err := b.addTree(entries)
	if err != nil {
		return nil, OID{}, err
	}
	return append(trees, t), t.OID, nil
}
