package writeback

import (
	"context"
	"strings"
	"syscall"

	"github.com/hubfs/hubfs/blobcache"
)

// Rename moves a file or a folder, over what is there already unless noReplace is
// set. A folder of the Hub is moved file by file: their content isn't touched.
func (b *Branch) Rename(ctx context.Context, from, to string, noReplace bool) error {
	if err := checkName(to); err != nil {
		return err
	}
	if from == "" {
		return pathError("the root of the branch", syscall.EBUSY)
	}
	return b.again(ctx, func(tree Tree) error {
		found, err := b.gather(ctx, tree, from, to)
		if err != nil {
			return err
		}
		e, err := b.Lookup(ctx, from)
		if err != nil {
			return err
		}
		folders := make(map[string]*blobcache.Listing)
		if e.Dir {
			// A folder that is replaced must be empty, one that is moved is moved with all its files.
			for _, dir := range []string{from, to} {
				if err := gatherFolders(ctx, tree, dir, folders, dir == from); err != nil {
					return err
				}
			}
		} else if err := b.makeDurable(from, to); err != nil {
			return err
		}
		c, err := b.begin(tree)
		if err != nil {
			return err
		}
		defer b.mu.Unlock()
		if err := b.rename(c, from, to, noReplace, found, folders); err != nil {
			return err
		}
		return c.commit()
	})
}

// gatherFolders looks up a folder of the Hub's tree, and those below it.
func gatherFolders(ctx context.Context, tree Tree, dir string, into map[string]*blobcache.Listing, deep bool) error {
	l, err := baseList(ctx, tree, dir)
	if err != nil {
		return err
	}
	into[dir] = l
	for i := range l.Entries {
		if e := &l.Entries[i]; deep && e.Dir {
			if err := gatherFolders(ctx, tree, join(dir, e.Name), into, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeDurable makes content durable that is about to replace other staged content, as
// that may be durable itself: programs that save by rename count on having the one or the other.
func (b *Branch) makeDurable(from, to string) error {
	b.mu.RLock()
	var ino *inode
	if n, over := b.root.find(from), b.root.find(to); n != nil && n.kind == kindFile && over != nil && over.kind == kindFile {
		ino = n.ino
	}
	b.mu.RUnlock()
	if ino == nil {
		return nil
	}
	return ino.syncContent()
}

// rename is Rename with all that it needs. It requires mu.
func (b *Branch) rename(c *change, from, to string, noReplace bool, found bases, folders map[string]*blobcache.Listing) error {
	e, err := b.look(from, found)
	if err != nil {
		return err
	}
	if err := b.folderOf(to, found); err != nil {
		return err
	}
	over, replaces, err := b.exists(to, found)
	switch {
	case err != nil:
		return err
	case replaces && noReplace:
		return pathError(to, syscall.EEXIST)
	case from == to:
		return nil
	case e.Dir && strings.HasPrefix(to, from+"/"):
		return pathError(to, syscall.EINVAL)
	case replaces && e.Dir && !over.Dir:
		return pathError(to, syscall.ENOTDIR)
	case replaces && !e.Dir && over.Dir:
		return pathError(to, syscall.EISDIR)
	case e.Dir && folders[from] == nil:
		return errMoved // it was a file a moment ago
	case replaces && over.Dir:
		if err := b.emptyFolder(to, found, folders[to]); err != nil {
			return err
		}
	}
	m := &mover{change: c, found: found, folders: folders}
	if e.Dir {
		_, err := m.folder(from, to)
		return err
	}
	return m.file(from, to)
}

// A mover lets a change move names. Branch.mu is held.
type mover struct {
	*change
	found   bases
	folders map[string]*blobcache.Listing // of the Hub's tree, by path
}

// was is what the Hub had at a path.
func (m *mover) was(path string) *Was {
	dir, name := split(path)
	if l := m.folders[dir]; l != nil && m.found[path] == nil {
		if e, ok := l.Find(name); ok {
			m.found[path] = e
		}
	}
	return m.b.was(path, m.found)
}

// file moves a file.
func (m *mover) file(from, to string) error {
	b := m.b
	var ino *inode
	if n := b.root.find(from); n != nil {
		ino = n.ino
	}
	if over := b.root.find(to); over != nil && over.ino != nil {
		m.drop(over.ino)
	}
	m.forgetAttr(to)
	was := m.was(from)
	if ino == nil {
		ino = b.newInode(b.source(from, m.found[from]))
		ino.opened = was
	}
	if !ino.logged {
		m.adopt(from, ino, m.found[from])
	}
	st := state{kind: kindFile, was: m.was(to)}
	m.vacate(from, m.found) // the inode leaves before it arrives
	if o := ino.overtaken; o != nil {
		// What others have put there isn't what is moved away.
		m.set(from, state{kind: kindGone, was: ino.opened}, nil)
		m.do(func() { m.b.root.make(from).theirs, ino.overtaken = o, nil })
	}
	m.set(to, st, ino)
	m.forgetAttr(from)
	return nil
}

// adopt lets the log know an inode that is as the Hub has it, with the attributes of its path.
func (m *mover) adopt(path string, ino *inode, base *blobcache.Entry) {
	m.lock(ino)
	if a := m.b.attrs.get(path); a != nil && base != nil && a.Hash == base.Hash() {
		ino.mode, ino.mtime = a.Mode, unixNano(a.MTime)
	}
	m.puts = append(m.puts, ino.full()...)
	m.do(func() {
		ino.logged = true
		ino.recordedFull()
		m.b.inodes[ino.id] = ino
	})
}

// folder moves a folder and all that is visible in it. It says whether something stays: what others have made
// under the name of a new file of ours, which nobody here has seen yet.
func (m *mover) folder(from, to string) (stays bool, err error) {
	b := m.b
	l := m.folders[from]
	if l == nil {
		l = emptyListing // a folder of ours, that the Hub doesn't have
	}
	m.set(to, state{kind: kindDir, was: m.was(to)}, nil)
	if a := b.attrs.get(from); a != nil && a.Hash == attrDir {
		m.attr(to, a)
	}
	for _, e := range b.mergedList(from, l) {
		src, dst := join(from, e.Name), join(to, e.Name)
		if e.Base != nil {
			m.found[src] = e.Base
		}
		below := false
		if e.Dir {
			below, err = m.folder(src, dst)
		} else {
			n := b.root.find(src)
			below = n != nil && n.was == nil && n.theirs != nil && n.theirs.now != nil
			err = m.file(src, dst)
		}
		if err != nil {
			return false, err
		}
		stays = stays || below
	}
	m.was(from) // notes what the Hub has there
	m.removeFolder(from, m.found)
	if stays {
		m.set(from, state{}, nil)
	}
	return stays, nil
}
