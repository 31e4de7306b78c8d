package writeback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"syscall"
	"time"

	"github.com/hubfs/hubfs/blobcache"
)

// Tree is the tree of one commit of the branch. It never changes.
type Tree interface {
	Commit() string
	// List gives a folder, "" is the root. Where there is no such folder, also
	// where a file is in its place, the error is fs.ErrNotExist.
	List(ctx context.Context, dir string) (*blobcache.Listing, error)
}

// Entry is a name of the merged view.
type Entry struct {
	Name  string
	Dir   bool
	Size  int64
	Mode  uint32    // permission bits that were set here; 0: the default
	MTime time.Time // zero: not known here
	// Local says that content or name differ from what the tree of the Hub has;
	// Base is that of the Hub otherwise, and nil for what is ours.
	Local bool
	Base  *blobcache.Entry
	State State
	ID    uint64 // of the content, as long as it is staged or open here; else 0
}

// errMoved is a view that has changed while it was prepared: again.
var errMoved = errors.New("the branch has moved")

// again calls f until it doesn't find that the branch has moved meanwhile.
func (b *Branch) again(ctx context.Context, f func(Tree) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := f(b.Tree())
		if !errors.Is(err, errMoved) {
			return err
		}
	}
}

// Tree is the tree of the Hub that is shown below the changes.
func (b *Branch) Tree() Tree {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.tree
}

// baseEntry is what the Hub's tree has at a path, or nil.
func baseEntry(ctx context.Context, tree Tree, path string) (*blobcache.Entry, error) {
	dir, name := split(path)
	l, err := baseList(ctx, tree, dir)
	if err != nil {
		return nil, err
	}
	e, _ := l.Find(name)
	return e, nil
}

var emptyListing = &blobcache.Listing{}

// baseList is a folder of the Hub's tree, empty where there is none.
func baseList(ctx context.Context, tree Tree, dir string) (*blobcache.Listing, error) {
	l, err := tree.List(ctx, dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return emptyListing, nil
	}
	return l, err
}

// Lookup describes a path; "" is the root. A path that doesn't exist is
// fs.ErrNotExist. The Hub is asked only about what has no change here.
func (b *Branch) Lookup(ctx context.Context, path string) (Entry, error) {
	if path == "" {
		return Entry{Dir: true}, nil
	}
	var e Entry
	err := b.again(ctx, func(tree Tree) error {
		b.mu.RLock()
		ent, known, err := b.ours(path)
		b.mu.RUnlock()
		if known {
			e = ent
			return err
		}
		base, err := baseEntry(ctx, tree, path)
		if err != nil {
			return err
		}
		b.mu.RLock()
		defer b.mu.RUnlock()
		if b.tree != tree {
			return errMoved
		}
		e, err = b.merged(path, base)
		return err
	})
	return e, err
}

// ours describes a path by our changes alone, if they suffice. It requires mu.
func (b *Branch) ours(path string) (e Entry, known bool, err error) {
	at, rest := b.root.walk(path)
	for n := at; n != nil; n = n.parent {
		if n == at && rest == "" {
			continue
		}
		switch n.kind {
		case kindGone:
			return e, true, notExist(path)
		case kindFile:
			return e, true, pathError(path, syscall.ENOTDIR)
		}
	}
	if rest != "" {
		return e, false, nil
	}
	switch at.kind {
	case kindNone:
		return e, false, nil
	case kindGone:
		return e, true, notExist(path)
	}
	return b.entry(at.name, path, at, nil), true, nil
}

// merged describes a path, given what the Hub's tree has there. It requires mu.
func (b *Branch) merged(path string, base *blobcache.Entry) (Entry, error) {
	e, known, err := b.ours(path)
	switch {
	case known:
		return e, err
	case base == nil:
		return e, notExist(path)
	}
	_, name := split(path)
	return b.entry(name, path, b.root.find(path), base), nil
}

// entry describes a name that exists, from its node and the Hub's entry; one may
// be nil. It requires mu.
func (b *Branch) entry(name, path string, n *node, base *blobcache.Entry) Entry {
	e := Entry{Name: name}
	// Where a writer stays on what others have replaced, so does the name.
	overtaken := n != nil && n.ino != nil && n.ino.overtaken != nil && (base == nil || !base.Dir)
	if n == nil || n.kind == kindNone && !overtaken {
		e.Base, e.Dir, e.Size, e.State = base, base.Dir, base.Size, Clean
		if base.MTime != 0 {
			e.MTime = time.Unix(base.MTime, 0)
		}
		if a := b.attrs.get(path); a != nil && a.Hash == attrHash(base) {
			a.apply(&e)
		}
		if n != nil && n.ino != nil {
			e.ID = n.ino.id
		}
		return e
	}
	e.Local, e.State = true, b.stateOf(n)
	if n.kind == kindDir {
		e.Dir = true
		e.Local = n.was == nil || !n.was.Dir
		e.MTime = n.active
		if a := b.attrs.get(path); a != nil && a.Hash == attrDir {
			a.apply(&e)
		}
		return e
	}
	ino := n.ino
	ino.mu.RLock()
	e.Size, e.Mode, e.MTime, e.ID = ino.size, ino.mode, ino.mtime, ino.id
	ino.mu.RUnlock()
	return e
}

// List gives the names of a folder, sorted; "" is the root.
func (b *Branch) List(ctx context.Context, dir string) ([]Entry, error) {
	var entries []Entry
	err := b.again(ctx, func(tree Tree) error {
		if dir != "" {
			e, err := b.Lookup(ctx, dir)
			if err != nil {
				return err
			}
			if !e.Dir {
				return pathError(dir, syscall.ENOTDIR)
			}
		}
		base, err := baseList(ctx, tree, dir)
		if err != nil {
			return err
		}
		b.mu.RLock()
		defer b.mu.RUnlock()
		if b.tree != tree {
			return errMoved
		}
		if _, known, err := b.ours(dir); known && err != nil {
			return err
		}
		entries = b.mergedList(dir, base)
		return nil
	})
	return entries, err
}

// mergedList merges a folder of the Hub with our changes in it. It requires mu.
func (b *Branch) mergedList(dir string, base *blobcache.Listing) []Entry {
	n := b.root.find(dir)
	var children map[string]*node
	if n != nil {
		children = n.children
	}
	entries := make([]Entry, 0, len(base.Entries)+len(children))
	for i := range base.Entries {
		e := &base.Entries[i]
		child := children[e.Name]
		if child == nil || child.kind == kindNone {
			entries = append(entries, b.entry(e.Name, join(dir, e.Name), child, e))
		}
	}
	ours := false
	for name, child := range children {
		if child.kind == kindFile || child.kind == kindDir {
			entries = append(entries, b.entry(name, join(dir, name), child, nil))
			ours = true
		}
	}
	if ours {
		slices.SortFunc(entries, func(x, y Entry) int { return cmp.Compare(x.Name, y.Name) })
	}
	return entries
}

// pathError is a path and what is wrong with it: a syscall.Errno, or an error
// of the tree.
func pathError(path string, err error) error { return fmt.Errorf("%s: %w", path, err) }

func notExist(path string) error { return pathError(path, syscall.ENOENT) }
