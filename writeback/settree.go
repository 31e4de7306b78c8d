package writeback

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/hubfs/hubfs/blobcache"
)

// SetTree shows the changes on top of another commit of the branch, which others
// have made; asked is when the Hub was asked for the branch's head: what it said
// before our last commit is not taken, nor is a commit that the branch has left within the last two minutes. What others did to paths that are changed here
// is found out now; see Options.OnConflict for what becomes of it. It asks for the
// folders that have changes; on an error the tree stays what it was.
func (b *Branch) SetTree(ctx context.Context, tree Tree, asked time.Time) error {
	return b.inTurn(ctx, func() error {
		behind := b.isBehind(tree)
		b.mu.Lock()
		old := behind || asked.Before(b.landedAt) || b.tree == tree
		if !old && b.unsettled != "" {
			b.unsettled = tree.Commit() // which is that commit of ours, or comes after it
		}
		b.mu.Unlock()
		if old {
			return nil
		}
		return b.setTree(ctx, tree)
	})
}

// inTurn calls f, which shows another tree, when nobody else does: what is decided to be
// newer must not be overtaken by what is older.
func (b *Branch) inTurn(ctx context.Context, f func() error) error {
	select {
	case b.showing <- struct{}{}:
		defer func() { <-b.showing }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// staleFor is how long a commit that the branch was shown at before is taken for an answer
// that is late, and not for a branch that was set back.
const staleFor = 2 * time.Minute

// isBehind says whether a tree is one that the branch has left a short while ago: the
// Hub's servers don't all learn of a commit at the same time.
func (b *Branch) isBehind(tree Tree) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	at, ok := b.left[tree.Commit()]
	return ok && tree.Commit() != b.tree.Commit() && b.now().Sub(at) < staleFor
}

// leave notes that the branch isn't shown at a commit any more. It requires mu.
func (b *Branch) leave(commit string) {
	now := b.now()
	maps.DeleteFunc(b.left, func(_ string, at time.Time) bool { return now.Sub(at) >= staleFor })
	b.left[commit] = now
}

// compare does what Open could not, for want of the Hub: it finds out what others have changed. Without
// that a commit on top of theirs would undo it.
func (b *Branch) compare(ctx context.Context) error {
	b.mu.RLock()
	blind := b.blind
	b.mu.RUnlock()
	if !blind {
		return nil
	}
	err := b.inTurn(ctx, func() error { return b.setTree(ctx, b.Tree()) })
	if err != nil {
		return fmt.Errorf("comparing staged changes with the Hub: %w", err)
	}
	return nil
}

func (b *Branch) setTree(ctx context.Context, tree Tree) error {
	lists := make(map[string]*blobcache.Listing)
	for {
		for _, dir := range b.foldersWithChanges(lists) {
			l, err := baseList(ctx, tree, dir)
			if err != nil {
				return err
			}
			lists[dir] = l
		}
		done, err := b.trySetTree(tree, lists)
		if done || err != nil {
			return err
		}
	}
}

// foldersWithChanges are folders that aren't known yet and have nodes, or are deleted.
func (b *Branch) foldersWithChanges(known map[string]*blobcache.Listing) []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var dirs []string
	b.root.all(func(path string, n *node) {
		replaced := n.was != nil && n.was.Dir && n.kind == kindFile
		if len(n.children) > 0 || replaced || n.kind == kindGone && !n.was.file() {
			if _, ok := known[path]; !ok {
				dirs = append(dirs, path)
			}
		}
	})
	return dirs
}

func (b *Branch) trySetTree(tree Tree, lists map[string]*blobcache.Listing) (done bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &reconciler{change: &change{b: b, quiet: true}, lists: lists, complete: true}
	r.node("", b.root)
	if !r.complete {
		r.unlock()
		return false, nil // a change came in between
	}
	if err := r.commit(); err != nil {
		return false, err
	}
	if old := b.tree.Commit(); old != tree.Commit() {
		b.leave(old)
	}
	b.tree, b.blind = tree, false
	return true, nil
}

// A reconciler compares what is changed here with a tree of the Hub. Branch.mu is held.
type reconciler struct {
	*change
	lists    map[string]*blobcache.Listing
	complete bool
}

// node sees to a node and those below it, and says whether anything visible of ours is there.
func (r *reconciler) node(path string, n *node) (alive bool) {
	gone := false // something below is deleted
	for name, child := range n.children {
		alive = r.node(join(path, name), child) || alive
		gone = gone || child.kind == kindGone
	}
	if n.parent == nil {
		return alive
	}
	dir, name := split(path)
	l, ok := r.lists[dir]
	if !ok {
		r.complete = false
		return alive
	}
	e, _ := l.Find(name)
	switch n.kind {
	case kindNone:
		r.clean(path, n, e, alive)
	case kindFile:
		return r.file(path, n, e)
	case kindGone:
		r.gone(path, n, e)
	case kindDir:
		r.dir(path, n, e, alive || gone)
		return true
	}
	return alive
}

// clean sees to a path that has nothing of ours but open handles, and what is below.
func (r *reconciler) clean(path string, n *node, e *blobcache.Entry, alive bool) {
	if ino := n.ino; ino != nil {
		switch now := wasOf(e); {
		case ino.opened.same(now):
			r.do(func() { ino.overtaken = nil })
		case ino.writers > 0:
			r.do(func() { ino.overtaken = &conflict{now} })
		default:
			r.do(n.detach)
		}
	}
	if alive && (e == nil || !e.Dir) {
		r.set(path, state{kind: kindDir, was: &Was{Dir: true}}, nil)
		r.theirs(path, &Was{Dir: true}, e)
	}
}

// detach takes a file's name away: handles stay with what they opened, and who opens the path
// gets what the Hub has there. It requires mu.
func (n *node) detach() {
	ino := n.ino
	ino.mu.Lock()
	ino.nameless = true
	ino.mu.Unlock()
	ino.node, n.ino = nil, nil
	n.prune()
}

// file sees to a file of ours, and says whether it stays one.
func (r *reconciler) file(path string, n *node, e *blobcache.Entry) bool {
	now := wasOf(e)
	n.ino.mu.RLock()
	known := n.ino.known
	n.ino.mu.RUnlock()
	switch {
	case known != nil && (known.same(now) || known.same(n.was)):
		// The Hub has it; or had it, and others have changed it since.
		r.settle(path, n, known, now)
		return false
	case n.was.same(now) && (now == nil || !now.Dir || r.allGone(path, n)):
		r.do(func() { n.theirs = nil })
	default: // also if others have put something into the folder that it is in the place of
		r.do(func() { n.theirs = &conflict{now} })
	}
	return true
}

// settle ends the staging of a file that was committed. Who has it open goes on
// with what is staged.
func (r *reconciler) settle(path string, n *node, known, now *Was) {
	ino := n.ino
	r.lock(ino)
	if !ino.known.same(known) {
		r.complete = false // written to just now
		return
	}
	r.attr(path, &attr{Hash: known.Hash, Mode: ino.mode, MTime: mtimeOf(ino)})
	r.puts = append(r.puts, put{Inode: &inodeRec{ID: ino.id, Gone: true}})
	stays := ino.handles > 0 && (known.same(now) || ino.writers > 0)
	at := ino
	if !stays {
		at = nil
	}
	r.set(path, state{}, at)
	r.do(func() {
		ino.logged, ino.nameless = false, !stays
		ino.opened, ino.overtaken = known, nil
		if stays && !known.same(now) {
			ino.overtaken = &conflict{now}
		}
		delete(r.b.inodes, ino.id)
	})
	r.after = append(r.after, func() {
		if ino.handles == 0 {
			r.b.release(ino)
		}
	})
}

// gone sees to a path that was deleted here.
func (r *reconciler) gone(path string, n *node, e *blobcache.Entry) {
	switch now := wasOf(e); {
	case e == nil:
		st := state{}
		if r.b.inFlight[path] {
			st = state{kind: kindGone, since: n.since} // it may still come
		}
		r.set(path, st, nil)
	case e.Dir && !n.was.file() && !r.allGone(path, n):
		r.set(path, state{}, nil) // others have put something in it
	case e.Dir && n.was == nil: // it came with a commit of ours
		st := n.state
		st.was = now
		r.set(path, st, nil)
	case !n.was.same(now):
		r.do(func() { n.theirs = &conflict{now} })
	default:
		r.do(func() { n.theirs = nil })
	}
}

// allGone says whether everything that the Hub has in a folder was deleted here, at any depth.
func (r *reconciler) allGone(path string, n *node) bool {
	l, ok := r.lists[path]
	if !ok {
		r.complete = false
		return true
	}
	for _, e := range l.Entries {
		child := n.children[e.Name]
		if child == nil || child.kind == kindNone || e.Dir && child.kind == kindGone && !r.allGone(join(path, e.Name), child) {
			return false
		}
	}
	return true
}

// dir sees to a folder of ours; used says that something is in it or was.
func (r *reconciler) dir(path string, n *node, e *blobcache.Entry, used bool) {
	switch {
	case e != nil && e.Dir && !used:
		r.set(path, state{}, nil) // the Hub has it, too
	case e == nil && n.was != nil:
		st := n.state
		st.was = nil
		r.set(path, st, nil)
	case e != nil && e.Dir && n.was == nil: // who removes it has to remove it there, too
		st := n.state
		st.was = &Was{Dir: true}
		r.set(path, st, nil)
	default:
		r.theirs(path, n.was, e)
	}
}

// theirs notes whether others have put a file where a folder of ours is.
func (r *reconciler) theirs(path string, was *Was, e *blobcache.Entry) {
	if now := wasOf(e); now.file() && !was.same(now) {
		r.do(func() { r.b.root.make(path).theirs = &conflict{now} })
	}
}
