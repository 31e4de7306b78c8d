package localhub

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// conflicts say why two histories can't be merged.
type conflicts struct {
	unrelated bool     // they have no commit in common
	paths     []string // that both have changed
}

// wire is the form for clients: the paths, or true if they can't be listed.
func (c *conflicts) wire() any {
	switch {
	case c == nil:
		return []string{}
	case c.unrelated:
		return true
	}
	return c.paths
}

// mergeBase is the newest commit that two have in common; zero if there is none.
func (r *repo) mergeBase(a, b gitstore.OID) (gitstore.OID, error) {
	of := map[gitstore.OID]bool{}
	if err := r.git.Log(a, func(c *gitstore.Commit) bool { of[c.OID] = true; return c.OID != b }); err != nil {
		return gitstore.OID{}, err
	}
	var base gitstore.OID
	err := r.git.Log(b, func(c *gitstore.Commit) bool {
		if of[c.OID] {
			base = c.OID
		}
		return base.IsZero()
	})
	return base, err
}

// mergeTrees merges two commits, and returns the tree of both, written to the
// batch, or what is in the way.
func (r *repo) mergeTrees(b *gitstore.Batch, ours, theirs gitstore.OID) (gitstore.OID, *conflicts, error) {
	fork, err := r.mergeBase(ours, theirs)
	if err != nil {
		return gitstore.OID{}, nil, err
	}
	if fork.IsZero() {
		return gitstore.OID{}, &conflicts{unrelated: true}, nil
	}
	var trees [3]gitstore.OID
	for i, oid := range []gitstore.OID{fork, ours, theirs} {
		c, err := r.git.Commit(oid)
		if err != nil {
			return gitstore.OID{}, nil, err
		}
		trees[i] = c.Tree
	}
	switch {
	case trees[0] == trees[1]:
		return trees[2], nil, nil
	case trees[0] == trees[2], trees[1] == trees[2]:
		return trees[1], nil, nil
	}
	changes, err := r.changes(trees[0], trees[2])
	if err != nil {
		return gitstore.OID{}, nil, err
	}
	ed := r.git.NewEdit(trees[1])
	var clash []string
	// Removals come first, for a file may take the place of a folder.
	slices.SortStableFunc(changes, func(a, b change) int {
		switch {
		case (a.new == nil) == (b.new == nil):
			return 0
		case a.new == nil:
			return -1
		}
		return 1
	})
	for _, ch := range changes {
		ok, err := r.applyChange(b, ed, ch)
		if err != nil {
			return gitstore.OID{}, nil, err
		}
		if !ok {
			clash = append(clash, ch.path)
		}
	}
	if len(clash) > 0 {
		slices.Sort(clash)
		return gitstore.OID{}, &conflicts{paths: clash}, nil
	}
	tree, err := ed.Write(b)
	return tree, nil, err
}

// applyChange makes a change to a tree that may have changed, too. It tells if that
// was possible.
func (r *repo) applyChange(b *gitstore.Batch, ed *gitstore.Edit, ch change) (bool, error) {
	have, err := ed.Find(ch.path)
	if errors.Is(err, gitstore.ErrNotFound) {
		have, err = nil, nil
	}
	if err != nil {
		return false, err
	}
	switch {
	case have != nil && have.IsDir():
		if ch.new == nil {
			return false, nil
		}
		// Set refuses the place of a folder that isn't empty.
	case sameEntry(have, ch.new):
		return true, nil
	case sameEntry(have, ch.old):
	case have == nil || ch.old == nil || ch.new == nil:
		return false, nil
	default:
		text, ok, err := r.mergeFiles(ch.old, have, ch.new)
		if err != nil || !ok {
			return false, err
		}
		oid, err := b.Add(plumbing.BlobObject, text)
		if err != nil {
			return false, err
		}
		return true, ed.Set(ch.path, gitstore.Entry{OID: oid, Size: int64(len(text))})
	}
	if ch.new == nil {
		return true, ed.Remove(ch.path)
	}
	err = ed.Set(ch.path, *ch.new)
	if errors.Is(err, gitstore.ErrNotFolder) {
		return false, nil
	}
	return err == nil, err
}

func sameEntry(a, b *gitstore.Entry) bool {
	return a == nil && b == nil || a != nil && b != nil && a.OID == b.OID && a.IsDir() == b.IsDir()
}

// maxMergeFile is the size in bytes above which a file isn't merged or compared by
// its lines.
const maxMergeFile = 1 << 20

// text is the content of a regular file that has lines; false if it hasn't.
func (r *repo) text(e *gitstore.Entry) ([]byte, bool, error) {
	if e.LFS != nil || e.Size > maxMergeFile || e.Mode == gitstore.ModeModule {
		return nil, false, nil
	}
	o, err := r.git.Read(e.OID)
	if err != nil {
		return nil, false, err
	}
	return o.Content, !bytes.ContainsRune(o.Content, 0) && bytes.Count(o.Content, []byte("\n")) < maxLines, nil
}

func (r *repo) mergeFiles(base, ours, theirs *gitstore.Entry) ([]byte, bool, error) {
	var texts [3]string
	for i, e := range []*gitstore.Entry{base, ours, theirs} {
		b, ok, err := r.text(e)
		if err != nil || !ok {
			return nil, false, err
		}
		texts[i] = string(b)
	}
	merged, ok := mergeText(texts[0], texts[1], texts[2])
	return []byte(merged), ok, nil
}

// change is a file that differs between two trees.
type change struct {
	path     string
	old, new *gitstore.Entry // nil: there is none
}

// changes lists the files that differ between two trees, by path. It reads only
// the folders that differ.
func (r *repo) changes(from, to gitstore.OID) ([]change, error) {
	var list []change
	err := r.compare("", from, to, &list)
	return list, err
}

func (r *repo) compare(dir string, from, to gitstore.OID, list *[]change) error {
	if from == to {
		return nil
	}
	names := map[string]*[2]*gitstore.Entry{}
	for side, oid := range []gitstore.OID{from, to} {
		if oid.IsZero() {
			continue
		}
		t, err := r.git.Tree(oid)
		if err != nil {
			return err
		}
		for i := range t.Entries {
			e := &t.Entries[i]
			if names[e.Name] == nil {
				names[e.Name] = &[2]*gitstore.Entry{}
			}
			names[e.Name][side] = e
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		var files [2]*gitstore.Entry
		var dirs [2]gitstore.OID
		for i, e := range names[name] {
			switch {
			case e == nil:
			case e.IsDir():
				dirs[i] = e.OID
			default:
				files[i] = e
			}
		}
		if !sameEntry(files[0], files[1]) {
			*list = append(*list, change{dir + name, files[0], files[1]})
		}
		if err := r.compare(dir+name+"/", dirs[0], dirs[1], list); err != nil {
			return err
		}
	}
	return nil
}
