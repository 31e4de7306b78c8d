package writeback

import (
	"context"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/hubfs/hubfs/blobcache"
)

const maxName = 255 // bytes, as on other file systems

// checkName refuses what can't be a name here: what isn't UTF-8 couldn't be
// committed, and not be told apart in the log.
func checkName(path string) error {
	_, name := split(path)
	switch {
	case len(name) > maxName:
		return pathError(path, syscall.ENAMETOOLONG)
	case !utf8.ValidString(name):
		return pathError(path, syscall.EILSEQ)
	case name == "" || name == "." || name == ".." || strings.ContainsRune(name, 0):
		return pathError(path, syscall.EINVAL)
	}
	return nil
}

// bases are entries of the Hub's tree, looked up ahead of an operation.
type bases map[string]*blobcache.Entry

// gather looks up those of the paths, and their folders, that our changes don't decide.
func (b *Branch) gather(ctx context.Context, tree Tree, paths ...string) (bases, error) {
	found := make(bases)
	for _, path := range paths {
		dir, _ := split(path)
		for _, p := range []string{dir, path} {
			if p == "" {
				continue
			}
			b.mu.RLock()
			_, known, _ := b.ours(p)
			b.mu.RUnlock()
			if known {
				continue
			}
			e, err := baseEntry(ctx, tree, p)
			if err != nil {
				return nil, pathError(p, err)
			}
			found[p] = e
		}
	}
	return found, nil
}

// begin starts a change of names, if the branch is still at tree. It takes mu.
func (b *Branch) begin(tree Tree) (*change, error) {
	b.mu.Lock()
	switch {
	case b.closed:
		b.mu.Unlock()
		return nil, ErrClosed
	case b.tree != tree:
		b.mu.Unlock()
		return nil, errMoved
	}
	return &change{b: b}, nil
}

// look describes a path that was gathered. It requires mu.
func (b *Branch) look(path string, found bases) (Entry, error) {
	if path == "" {
		return Entry{Dir: true}, nil
	}
	e, known, err := b.ours(path)
	if known {
		return e, err
	}
	base, ok := found[path]
	if !ok {
		return e, errMoved // our changes decided it before
	}
	return b.merged(path, base)
}

// folderOf checks that the folder of a path is there. It requires mu.
func (b *Branch) folderOf(path string, found bases) error {
	dir, _ := split(path)
	e, err := b.look(dir, found)
	switch {
	case err != nil:
		return err
	case !e.Dir:
		return pathError(dir, syscall.ENOTDIR)
	}
	return nil
}

// exists is look, where a path that doesn't exist isn't an error. It requires mu.
func (b *Branch) exists(path string, found bases) (e Entry, ok bool, err error) {
	e, err = b.look(path, found)
	if isErrno(err, syscall.ENOENT) {
		return e, false, nil
	}
	return e, err == nil, err
}

// was is what the Hub had at a path when it was first changed. It requires mu.
func (b *Branch) was(path string, found bases) *Was {
	if n := b.root.find(path); n != nil && n.kind != kindNone {
		return n.was
	}
	return wasOf(found[path])
}

// stateAt is the state of a path. It requires mu.
func (b *Branch) stateAt(path string) state {
	if n := b.root.find(path); n != nil {
		return n.state
	}
	return state{}
}

// vacate lets a change remove a name. Its folder stays, empty or not: Git has no
// empty folders, so those that would vanish from the Hub become ours. It requires mu.
func (c *change) vacate(path string, found bases) {
	c.set(path, state{kind: kindGone, was: c.b.was(path, found), since: c.b.stateAt(path).since}, nil)
	for dir, _ := split(path); dir != ""; dir, _ = split(dir) {
		if n := c.b.root.find(dir); !c.kept[dir] && (n == nil || n.kind == kindNone) {
			c.set(dir, state{kind: kindDir, was: &Was{Dir: true}}, nil)
			if c.kept == nil {
				c.kept = make(map[string]bool)
			}
			c.kept[dir] = true
		}
	}
}

// Unlink removes a file. Handles that are open go on working.
func (b *Branch) Unlink(ctx context.Context, path string) error {
	return b.again(ctx, func(tree Tree) error {
		found, err := b.gather(ctx, tree, path)
		if err != nil {
			return err
		}
		c, err := b.begin(tree)
		if err != nil {
			return err
		}
		defer b.mu.Unlock()
		e, err := b.look(path, found)
		switch {
		case err != nil:
			return err
		case e.Dir:
			return pathError(path, syscall.EISDIR)
		}
		c.remove(path, found)
		return c.commit()
	})
}

// remove lets a change remove a file. It requires mu.
func (c *change) remove(path string, found bases) {
	if n := c.b.root.find(path); n != nil && n.ino != nil {
		c.drop(n.ino)
	}
	c.vacate(path, found)
	c.forgetAttr(path)
}

func (c *change) forgetAttr(path string) {
	if c.b.attrs.get(path) != nil {
		c.attr(path, nil)
	}
}

// Mkdir makes a folder. It is local as long as it is empty.
func (b *Branch) Mkdir(ctx context.Context, path string) error {
	if err := checkName(path); err != nil {
		return err
	}
	return b.again(ctx, func(tree Tree) error {
		found, err := b.gather(ctx, tree, path)
		if err != nil {
			return err
		}
		c, err := b.begin(tree)
		if err != nil {
			return err
		}
		defer b.mu.Unlock()
		if err := b.folderOf(path, found); err != nil {
			return err
		}
		if _, ok, err := b.exists(path, found); err != nil {
			return err
		} else if ok {
			return pathError(path, syscall.EEXIST)
		}
		c.set(path, state{kind: kindDir, was: b.was(path, found), since: b.stateAt(path).since}, nil)
		return c.commit()
	})
}

// Rmdir removes an empty folder.
func (b *Branch) Rmdir(ctx context.Context, path string) error {
	if path == "" {
		return pathError("the root of the branch", syscall.EBUSY)
	}
	return b.again(ctx, func(tree Tree) error {
		found, err := b.gather(ctx, tree, path)
		if err != nil {
			return err
		}
		base, err := baseList(ctx, tree, path)
		if err != nil {
			return err
		}
		c, err := b.begin(tree)
		if err != nil {
			return err
		}
		defer b.mu.Unlock()
		if err := b.emptyFolder(path, found, base); err != nil {
			return err
		}
		c.removeFolder(path, found)
		return c.commit()
	})
}

// emptyFolder checks that a path is a folder with nothing in it. It requires mu.
func (b *Branch) emptyFolder(path string, found bases, base *blobcache.Listing) error {
	e, err := b.look(path, found)
	switch {
	case err != nil:
		return err
	case !e.Dir:
		return pathError(path, syscall.ENOTDIR)
	case len(b.mergedList(path, base)) > 0:
		return pathError(path, syscall.ENOTEMPTY)
	}
	return nil
}

// removeFolder lets a change remove an empty folder. It requires mu.
func (c *change) removeFolder(path string, found bases) {
	c.vacate(path, found)
	c.forgetAttr(path)
}
