package gitstore

import (
	"fmt"
	"strings"
)

// Lookup finds the entry at a path of a tree. The root, path "", is a folder
// without a name.
func (s *Store) Lookup(root OID, path string) (*Entry, error) {
	e := &Entry{Mode: ModeDir, OID: root}
	if path == "" {
		return e, nil
	}
	for name := range strings.SplitSeq(path, "/") {
		if !e.IsDir() {
			return nil, fmt.Errorf("path %s: %w", path, ErrNotFound)
		}
		t, err := s.Tree(e.OID)
		if err != nil {
			return nil, err
		}
		var ok bool
		if e, ok = t.Find(name); !ok {
			return nil, fmt.Errorf("path %s: %w", path, ErrNotFound)
		}
	}
	return e, nil
}

// Walk calls fn for the entries below a folder, folders before what is in them,
// in git's order, until fn returns false. With after, it starts behind that path
// (relative to the folder) without visiting what comes before. Without recursive
// it stays in the folder itself.
func (s *Store) Walk(dir OID, recursive bool, after string, fn func(path string, e *Entry) bool) error {
	var skip []string
	if after != "" {
		skip = strings.Split(after, "/")
	}
	_, err := s.walk(dir, "", recursive, skip, fn)
	return err
}

func (s *Store) walk(dir OID, prefix string, recursive bool, skip []string, fn func(string, *Entry) bool) (more bool, err error) {
	t, err := s.Tree(dir)
	if err != nil {
		return false, err
	}
	i := 0
	if len(skip) > 0 {
		at, ok := t.index(skip[0])
		if !ok {
			return false, fmt.Errorf("path %s: %w", prefix+skip[0], ErrNotFound)
		}
		// What is left of skip lies in this folder; with nothing left, the whole
		// folder comes behind its own entry.
		if e := &t.Entries[at]; recursive && e.IsDir() {
			if more, err := s.walk(e.OID, prefix+e.Name+"/", recursive, skip[1:], fn); err != nil || !more {
				return false, err
			}
		}
		i = at + 1
	}
	for ; i < len(t.Entries); i++ {
		e := &t.Entries[i]
		if !fn(prefix+e.Name, e) {
			return false, nil
		}
		if recursive && e.IsDir() {
			if more, err := s.walk(e.OID, prefix+e.Name+"/", recursive, nil, fn); err != nil || !more {
				return false, err
			}
		}
	}
	return true, nil
}
