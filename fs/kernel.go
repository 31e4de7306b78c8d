package fs

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sync/errgroup"

	"github.com/hubfs/hubfs/blobcache"
)

// How long the kernel may remember. In trees, names and attributes are good until
// the kernel is told otherwise. Above them nobody is told of changes, so they are
// looked at again now and then, which costs a question to this process, not to
// the Hub.
const (
	forever   = 365 * 24 * time.Hour
	upperTime = time.Minute
	briefly   = time.Second
	// noTime is how go-fuse is kept from filling in its own default.
	noTime = time.Nanosecond
)

// setTimes says how long an answer about a name in a tree lasts.
func setTimes(out *fuse.EntryOut, lasting bool) {
	d := noTime
	if lasting {
		d = forever
	}
	out.SetEntryTimeout(d)
	out.SetAttrTimeout(d)
}

// notifiers is how many directories the kernel is told about at a time: it keeps
// us waiting while a lookup in the directory is waiting for the Hub.
const notifiers = 8

// kernel tells the kernel what to forget. It is never called with a lock held, by
// what a request of the kernel waits for, or after the mount has ended. It never
// drops pages of files: what a file contains doesn't change. The pages of a directory
// are the names that were listed.
type kernel struct {
	base    context.Context // ends with the mount
	names   atomic.Int64    // told to forget
	changes atomic.Int64    // directories of which something was told
	// listings are the directories that were read here, and not from the kernel's cache.
	listings atomic.Int64
}

// moved tells what a move changed, and returns when the kernel has forgotten it.
// late directories have been answered about during the move without being
// remembered; of them, it waits for the answers to have arrived.
func (k *kernel) moved(changes []change, late []*dirNode) {
	var all errgroup.Group
	all.SetLimit(notifiers)
	for _, c := range changes {
		if c.old.unknown || c.old.listing != c.new.listing || c.old.mtime != c.new.mtime || c.old.gone != c.new.gone {
			all.Go(func() error {
				k.changed(c)
				return nil
			})
		}
	}
	for _, d := range late {
		all.Go(func() error {
			k.forget(d.EmbeddedInode(), barrier)
			k.list(d.EmbeddedInode())
			return nil
		})
	}
	_ = all.Wait() // none fails
}

// barrier is a name that no tree has. Telling the kernel to forget it has no
// effect but that the kernel takes the lock of the directory.
const barrier = "/"

func (k *kernel) changed(c change) {
	k.changes.Add(1)
	dir := c.d.EmbeddedInode()
	if c.old.unknown {
		k.forgetAll(c.d, c.new.listing)
		return
	}
	compare(c.old.listing, c.new.listing, func(name string, was, is *blobcache.Entry) {
		if was != nil && is != nil && was.Dir && is.Dir {
			// The same directory with other content: its name stays good.
			if child := dir.GetChild(name); child != nil {
				k.attributes(child)
			}
			return
		}
		k.forgetChanged(c.d, name)
	})
	k.list(dir)
}

// forgetAll drops all names that the kernel may know in a directory, and those of
// the listing, which it may know not to be there.
func (k *kernel) forgetAll(d *dirNode, l *blobcache.Listing) {
	dir := d.EmbeddedInode()
	children := dir.Children()
	for name, child := range children {
		if e, ok := l.Find(name); child.IsDir() && (!ok || e.Dir) {
			k.attributes(child)
		} else {
			k.forget(dir, name)
		}
	}
	for i := range l.Entries {
		if name := l.Entries[i].Name; children[name] == nil {
			k.forget(dir, name)
		}
	}
	k.forget(dir, barrier)
	k.list(dir)
}

// forgetChanged drops a name, unless it is that of a directory which is still there: a
// folder that was made here comes to the Hub with the first commit of what is in it, and
// what the Hub has no more may be needed here. Dropping the name would take the
// directory away from under who stands in it.
func (k *kernel) forgetChanged(d *dirNode, name string) {
	if child := d.GetChild(name); child != nil && child.IsDir() && d.hasFolder(k.base, name) {
		k.attributes(child)
		return
	}
	k.forget(d.EmbeddedInode(), name)
}

// hasFolder says whether there is a folder of this name, in a tree that can be written to.
func (d *dirNode) hasFolder(ctx context.Context, name string) bool {
	b := d.t.branch.Load()
	path, gone := d.standing()
	if b == nil || gone {
		return false
	}
	e, err := b.Lookup(ctx, joinPath(path, name))
	return err == nil && e.Dir
}

// compare calls differs for each name that isn't the same in both listings, in
// order; was or is is nil where the name isn't there.
func compare(old, new *blobcache.Listing, differs func(name string, was, is *blobcache.Entry)) {
	a, b := old.Entries, new.Entries
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Name < b[0].Name:
			differs(a[0].Name, &a[0], nil)
			a = a[1:]
		case len(a) == 0 || b[0].Name < a[0].Name:
			differs(b[0].Name, nil, &b[0])
			b = b[1:]
		default:
			if a[0] != b[0] {
				differs(a[0].Name, &a[0], &b[0])
			}
			a, b = a[1:], b[1:]
		}
	}
}

// forget drops a name, whether a file is known under it or that there is none.
// The errors of notifications say nothing: ENOENT is a name or node that the
// kernel doesn't know, which is what was wanted, and all others that the mount is
// gone.
func (k *kernel) forget(dir *fs.Inode, name string) {
	if k.base.Err() == nil {
		k.names.Add(1)
		_ = dir.NotifyEntry(name)
	}
}

// list drops the attributes of a directory and what was listed of it. What was read
// before the change has to have arrived: the kernel takes the lock of the directory for
// a name, but not for this.
func (k *kernel) list(dir *fs.Inode) {
	if k.base.Err() == nil {
		_ = dir.NotifyContent(0, 0)
	}
}

// attributes drops those of a directory: a negative offset leaves its pages alone.
func (k *kernel) attributes(dir *fs.Inode) {
	if k.base.Err() == nil {
		_ = dir.NotifyContent(-1, 0)
	}
}
