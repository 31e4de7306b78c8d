package writeback

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// quietTime is how long the last writer in a folder must have been closed before the
// timer takes anything from there.
const quietTime = 10 * time.Second

// A selection says which changes a commit is to take.
type selection struct {
	path string // at or below it; "" is all
	// explicit is for somebody who waits: what failed is tried again, and neither
	// busy folders nor the limit of commits an hour hold anything back.
	explicit bool
	// wanted takes only files that a program has fsynced.
	wanted bool
	// open takes the file at path as it is, though it is open.
	open bool
}

// An item is one path of a commit.
type item struct {
	path    string
	node    *node
	ino     *inode // nil: a deletion
	ver     uint64
	folder  bool // a deletion of all that was in a folder
	content content
	release func()
	prefix  bool // content is less than what is staged
	lines   bool // only whole lines of it are taken
	sum     *sum // of content, as far as it goes; or nil
	// inTheWay is a deletion without which others of the batch can't be made.
	inTheWay bool

	add  *hub.Add
	now  *Was    // what the Hub has there afterwards
	was  *Was    // and before
	move *Source // of a file that only got another name
}

// done notes that the Hub has what there was to commit of a file. It requires the inode's mu.
func (it *item) done() {
	if it.move == nil {
		it.ino.doneVer = it.ver
	}
	if it.ino.ver == it.ver && !it.ino.dirty {
		it.ino.wanted = false
	}
}

// A batch is what goes into one commit.
type batch struct {
	tree  Tree // on top of it
	items []*item
}

func (x *batch) done() {
	for _, it := range x.items {
		it.release()
	}
}

// take gathers what a selection has, at this instant: files go on being written to, and
// the batch keeps what they hold now. At most limit items; 0 is all. putBack ends it. An
// error is of what can't be taken now; the rest is.
func (b *Branch) take(ctx context.Context, sel selection, limit int) (*batch, error) {
	x := b.takeNow(sel, limit)
	var failed error
	x.keep(func(it *item) bool {
		if !it.lines {
			return true
		}
		size, err := it.content.wholeLines(ctx)
		if err != nil {
			failed = pathError(it.path, err)
			return false
		}
		if it.prefix = size < it.content.size; it.prefix {
			it.content.size, it.now = size, nil
		}
		return size > 0
	})
	return x, failed
}

func (b *Branch) takeNow(sel selection, limit int) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &selector{b: b, sel: sel, now: b.now(), busy: make(map[*node]bool)}
	if !sel.explicit {
		s.findBusy(b.root)
	}
	x := &batch{tree: b.tree}
	if b.opts.Atomic && !sel.explicit && b.anyFailed() {
		return x
	}
	var wanted []*node
	b.root.all(func(path string, n *node) {
		if s.selects(path, n) {
			wanted = append(wanted, n)
		}
	})
	wanted = s.inTheWay(s.otherHalves(wanted))
	for _, n := range append(wanted, s.folders(wanted)...) {
		x.items = append(x.items, s.item(n))
	}
	x.sort()
	if limit > 0 && len(x.items) > limit {
		for _, it := range x.items[limit:] {
			it.release()
		}
		x.items = x.items[:limit]
	}
	for _, it := range x.items {
		b.committing[it.node] = true
		b.flies(it.path)
	}
	return x
}

// anyFailed says whether the Hub has refused a path that hasn't been changed since. It requires mu.
func (b *Branch) anyFailed() bool {
	found := false
	b.root.all(func(_ string, n *node) {
		found = found || n.changed() && n.fail != nil && n.failVer == n.ver() && n.fail.State == Failed
	})
	return found
}

// sort puts the items into the order in which they may be split: deletions last, so that a
// rename never shows less than before, but for what is in the way of something new.
func (x *batch) sort() {
	above := make(map[string]bool)
	for _, it := range x.items {
		if it.ino != nil {
			for dir, _ := split(it.path); dir != "" && !above[dir]; dir, _ = split(dir) {
				above[dir] = true
			}
		}
	}
	rank := func(it *item) int {
		switch {
		case it.ino != nil:
			return 1
		case above[it.path]:
			it.inTheWay = true
			return 0
		}
		return 2
	}
	slices.SortFunc(x.items, func(p, q *item) int { return cmp.Or(cmp.Compare(rank(p), rank(q)), cmp.Compare(p.path, q.path)) })
}

// A selector decides what a commit takes. Branch.mu is held.
type selector struct {
	b    *Branch
	sel  selection
	now  time.Time
	busy map[*node]bool // folders in which somebody is at work
}

// findBusy finds the folders that the timer leaves out with all that is below them.
func (s *selector) findBusy(dir *node) {
	busy := s.now.Sub(dir.active) < quietTime
	for _, n := range dir.children {
		if n.kind == kindFile && n.ino.writers > 0 && !s.isLog(n) {
			busy = true
		}
		s.findBusy(n)
	}
	s.busy[dir] = busy
}

func (s *selector) isLog(n *node) bool {
	n.ino.mu.RLock()
	defer n.ino.mu.RUnlock()
	return s.b.opts.isLog(n.path(), n.ino.appends)
}

// selects says whether a change goes into the commit.
func (s *selector) selects(path string, n *node) bool {
	switch {
	case !n.changed(), !below(path, s.sel.path), s.b.isLocalOnly(n), n.theirs != nil, s.b.pushed[n]:
		return false
	case n.fail != nil && n.failVer == n.ver() && (n.fail.State != Failed || !s.sel.explicit):
		return false // nothing has changed since it was refused
	}
	if ver, refused := s.b.refused[n]; refused && ver == n.ver() {
		return false // in this very push
	}
	if n.kind != kindFile {
		return s.sel.explicit || s.sel.wanted || !s.waits(n)
	}
	ino := n.ino
	ino.mu.RLock()
	open := ino.writers > 0 && (!s.sel.explicit || ino.dirty) && (!s.sel.open || path != s.sel.path)
	torn, done, wants := ino.torn, ino.doneVer == ino.ver && ino.ver > 0, ino.wanted
	ino.mu.RUnlock()
	switch {
	case open || torn:
		return s.isLog(n) && !done
	case s.sel.wanted:
		return wants
	case s.sel.explicit:
		return true
	}
	return !s.waits(n) && !s.b.recentlyUploaded(path, n, s.now)
}

// waits says whether a change is left out of this tick.
func (s *selector) waits(n *node) bool {
	if d := s.b.opts.MaxDelay; d > 0 && s.now.Sub(n.since) > d {
		return false
	}
	for dir := n.parent; dir != nil; dir = dir.parent {
		if s.busy[dir] {
			// A log that is appended to doesn't tear what is beside it.
			return n.kind != kindFile || !s.isLog(n)
		}
	}
	return false
}

// below says whether path is dir or below it.
func below(path, dir string) bool {
	return dir == "" || path == dir || strings.HasPrefix(path, dir+"/")
}

// otherHalves adds the other half of each rename: what was moved away from where, and to.
func (s *selector) otherHalves(nodes []*node) []*node {
	if s.sel.path == "" && s.sel.explicit {
		return nodes
	}
	have := make(map[*node]bool, len(nodes))
	for _, n := range nodes {
		have[n] = true
	}
	s.b.root.all(func(_ string, n *node) {
		if n.kind != kindFile || !n.changed() || n.theirs != nil || n.fail != nil || s.b.isLocalOnly(n) || s.b.pushed[n] {
			return
		}
		n.ino.mu.RLock()
		origin, closed := n.ino.origin, n.ino.writers == 0 && !n.ino.dirty && !n.ino.torn
		n.ino.mu.RUnlock()
		if origin == "" {
			return
		}
		from := s.b.root.find(origin)
		if from == nil || from == n || !from.changed() || from.theirs != nil || from.kind == kindFile {
			return
		}
		switch {
		case have[n] && !have[from]:
			nodes, have[from] = append(nodes, from), true
		case have[from] && !have[n] && closed:
			nodes, have[n] = append(nodes, n), true
		}
	})
	return nodes
}

// inTheWay adds the files of the Hub that folders have replaced which nodes are in.
func (s *selector) inTheWay(nodes []*node) []*node {
	have := make(map[*node]bool, len(nodes))
	for _, n := range nodes {
		have[n] = true
	}
	for _, n := range slices.Clone(nodes) {
		for dir := n.parent; dir != nil; dir = dir.parent {
			if dir.changed() && dir.theirs == nil && !have[dir] {
				nodes, have[dir] = append(nodes, dir), true
			}
		}
	}
	return nodes
}

// folders are the folders that are gone with everything that was in them, the
// uppermost of each: the commit deletes them as a whole.
func (s *selector) folders(nodes []*node) []*node {
	left := make(map[*node]int) // deletions that are not in the commit
	s.b.root.all(func(_ string, n *node) {
		if n.changed() {
			for dir := n.parent; dir != nil; dir = dir.parent {
				left[dir]++
			}
		}
	})
	for _, n := range nodes {
		for dir := n.parent; dir != nil; dir = dir.parent {
			left[dir]--
		}
	}
	var out []*node
	var walk func(n *node)
	walk = func(n *node) {
		if n.kind == kindGone && n.was != nil && n.was.Dir && len(n.children) > 0 && left[n] == 0 && n.theirs == nil {
			out = append(out, n)
			return
		}
		for _, child := range n.children {
			walk(child)
		}
	}
	walk(s.b.root)
	return out
}

// item makes the item of a node.
func (s *selector) item(n *node) *item {
	it := &item{path: n.path(), node: n, was: n.was, release: func() {}}
	if n.kind != kindFile {
		it.folder = n.kind == kindGone && n.was != nil && n.was.Dir
		return it
	}
	it.ino = n.ino
	n.ino.mu.Lock() // for all of it: what is taken is this version
	defer n.ino.mu.Unlock()
	it.content, it.release = n.ino.pin()
	it.ver = n.ino.ver
	if !n.ino.torn { // what was hashed isn't what a crash has left
		it.now = n.ino.known
	}
	it.sum = n.ino.sum
	if len(it.content.layers) == 0 && it.content.blob != nil {
		it.move = &it.content.blob.source
		return it
	}
	it.lines = (n.ino.writers > 0 && n.ino.dirty || n.ino.torn) && !s.sel.open && isText(it.path)
	return it
}

// wholeLines is the length of the content up to its last newline.
func (c *content) wholeLines(ctx context.Context) (int64, error) {
	buf := make([]byte, 64<<10)
	for end := c.size; end > 0; {
		off := max(end-int64(len(buf)), 0)
		p := buf[:end-off]
		// The tail of a log that is written to is here; should it not be, it waits.
		holes, err := c.readLocal(p, off)
		if err == nil && len(holes) > 0 {
			err = c.readBlob(ctx, holes)
		}
		if err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(p, '\n'); i >= 0 {
			return off + int64(i) + 1, nil
		}
		end = off
	}
	return 0, nil
}

// contentSource is the item's content for an upload.
func (it *item) contentSource(ctx context.Context) hub.ContentSource {
	src := hub.ContentSource{Size: it.content.size, Open: func() (hub.ContentReader, error) {
		return contentReader{ctx, &it.content}, nil
	}}
	if it.now != nil {
		if len(it.now.Hash) == 64 {
			src.SHA256 = it.now.Hash
		} else {
			src.GitSHA1 = it.now.Hash
		}
	}
	return src
}

// contentReader reads a snapshot for as long as the commit takes.
type contentReader struct {
	ctx     context.Context //nolint:containedctx // io.ReaderAt has no place for one
	content *content
}

func (r contentReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.content.readAt(r.ctx, p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = pathError("reading staged content", err)
	}
	return n, err
}

func (contentReader) Close() error { return nil }

// An upload is how long a large file took.
type upload struct {
	at   time.Time
	took time.Duration
}

const (
	largeFile    = 10 << 20
	uploadPauses = 10
)

// recentlyUploaded says whether a tick leaves out a large file that is edited in
// place, since its upload takes long, and wasn't done ahead. It requires mu.
func (b *Branch) recentlyUploaded(path string, n *node, now time.Time) bool {
	last, ok := b.uploads[path]
	if !ok || !n.was.file() || now.Sub(last.at) >= uploadPauses*last.took {
		return false
	}
	n.ino.mu.RLock()
	defer n.ino.mu.RUnlock()
	return n.ino.known == nil || n.ino.aheadVer != n.ino.ver
}
