package writeback

import (
	"strings"
	"time"
)

// nodeKind is what a path is here.
type nodeKind uint8

const (
	kindNone nodeKind = iota // what the Hub has shows through
	kindFile                 // a file of ours
	kindDir                  // a folder of ours, with what the Hub has below it
	kindGone                 // deleted here
)

// A node is a path that has something of ours, at it or below it. All its fields are
// guarded by Branch.mu.
type node struct {
	name     string
	parent   *node // nil: the root
	children map[string]*node
	state

	// ino is the file that is open there, also if it is clean (kindNone).
	ino *inode
	// active is when a name directly below was last changed, or a writer of a file that
	// isn't a log was closed; not kept.
	active time.Time
	theirs *conflict // what the Hub has there now, if others changed it, too
	// failVer is the version of the content that state.fail is about.
	failVer uint64
}

// state is what the log keeps of a path.
type state struct {
	kind  nodeKind
	was   *Was // what the Hub had there when it was changed; nil: nothing
	fail  *Failure
	since time.Time // of the oldest change that isn't committed
}

// conflict is what others made of a path that was changed here; nil Was: they deleted it.
type conflict struct{ now *Was }

// path is the node's place below the root of the branch, "" for the root.
func (n *node) path() string {
	if n.parent == nil {
		return ""
	}
	if p := n.parent.path(); p != "" {
		return p + "/" + n.name
	}
	return n.name
}

// walk finds the deepest node on the way to path, and what remains of the path.
func (n *node) walk(path string) (at *node, rest string) {
	for path != "" {
		name, after, _ := strings.Cut(path, "/")
		child := n.children[name]
		if child == nil {
			return n, path
		}
		n, path = child, after
	}
	return n, ""
}

// find gives the node of a path, or nil.
func (n *node) find(path string) *node {
	at, rest := n.walk(path)
	if rest != "" {
		return nil
	}
	return at
}

// make gives the node of a path; those that don't exist are made, without a state.
func (n *node) make(path string) *node {
	at, rest := n.walk(path)
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if at.children == nil {
			at.children = make(map[string]*node)
		}
		child := &node{name: name, parent: at}
		at.children[name] = child
		at = child
	}
	return at
}

// prune removes the node, and those above it, if they say nothing.
func (n *node) prune() {
	for n.parent != nil && n.kind == kindNone && n.ino == nil && len(n.children) == 0 {
		delete(n.parent.children, n.name)
		n = n.parent
	}
}

// all calls yield for each node at and below n, parents first. yield may not
// remove nodes.
func (n *node) all(yield func(path string, n *node)) {
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		yield(path, n)
		for name, child := range n.children {
			walk(join(path, name), child)
		}
	}
	walk(n.path(), n)
}

// join is the path of a name in a folder.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// split gives the folder and the last name of a path.
func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// A change is a set of new states of paths that count together or not at all.
// Branch.mu is held from its begin to its end.
type change struct {
	b     *Branch
	puts  []put
	apply []func()
	kept  map[string]bool // folders that this change has made ours
	quiet bool            // nobody here has asked for it

	locked map[*inode]bool
	after  []func()
}

// set gives a path a state, and the inode that it has if it is a file.
func (c *change) set(path string, st state, ino *inode) {
	if st.kind == kindGone && st.was == nil && !c.b.mayShow(path) {
		st = state{}
	}
	if st.kind == kindNone {
		st = state{}
	} else if st.since.IsZero() {
		st.since = c.b.now()
	}
	r := &nodeRec{Path: path, Kind: st.kind, Was: st.was, Fail: st.fail}
	if !st.since.IsZero() {
		r.Since = st.since.UnixNano()
	}
	if ino != nil && st.kind == kindFile {
		r.Inode = ino.id
	}
	c.puts = append(c.puts, put{Node: r})
	c.apply = append(c.apply, func() {
		n := c.b.root.make(path)
		if n.ino != nil && n.ino != ino && n.ino.node == n {
			n.ino.node = nil
		}
		n.state, n.ino = st, ino
		if c.quiet || st.kind == kindNone {
			n.theirs = nil // else it is still there, whatever is done here
		}
		if ino != nil {
			ino.node = n
		}
		if n.parent != nil && !c.quiet {
			n.parent.active = c.b.now()
		}
		n.prune()
	})
}

// lock takes the inode's mu until the change is in the log: a record of it may not
// overtake another that a writer makes meanwhile. Only changes hold several of them.
func (c *change) lock(ino *inode) {
	if c.locked[ino] {
		return
	}
	if c.locked == nil {
		c.locked = make(map[*inode]bool)
	}
	ino.mu.Lock()
	c.locked[ino] = true
}

// unlock lets go of what lock took. A change that isn't committed ends with it.
func (c *change) unlock() {
	for ino := range c.locked {
		ino.mu.Unlock()
	}
	c.locked = nil
}

// mayShow says whether the tree may show something at a path though the Hub has had
// nothing there by what is known here: a commit of ours is in flight, or isn't shown yet.
// It requires mu.
func (b *Branch) mayShow(path string) bool { return b.inFlight[path] || b.unsettled != "" }

// do adds what is done when the log has the change.
func (c *change) do(f func()) { c.apply = append(c.apply, f) }

// attr sets or forgets the mode and time of a path.
func (c *change) attr(path string, a *attr) {
	c.puts = append(c.puts, put{Attr: &attrRec{path, a}})
	c.apply = append(c.apply, func() { c.b.attrs.set(path, a) })
}

// commit writes the change to the log, and then makes it.
func (c *change) commit() error {
	if err := c.write(); err != nil {
		return err
	}
	for _, f := range c.after {
		f()
	}
	return nil
}

func (c *change) write() error {
	defer c.unlock()
	if len(c.puts) > 0 {
		if err := c.b.journal.append(c.puts...); err != nil {
			return err
		}
	}
	for _, f := range c.apply {
		f()
	}
	return nil
}

// drop gives up an inode whose name is gone: its content goes when its last
// handle is closed.
func (c *change) drop(ino *inode) {
	c.lock(ino)
	if ino.logged {
		c.puts = append(c.puts, put{Inode: &inodeRec{ID: ino.id, Gone: true}})
	}
	c.do(func() {
		ino.logged, ino.nameless = false, true
		if ino.node != nil && ino.node.ino == ino {
			ino.node.ino = nil
		}
		ino.node = nil
	})
	c.after = append(c.after, func() {
		if ino.handles == 0 {
			c.b.release(ino)
		}
	})
}
