package writeback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// Names of the committer's values in the log.
const (
	sentValue   = "sent"   // []sentCommit: commits of which it isn't known whether they landed
	targetValue = "target" // string: the ref of our pull request
	timesValue  = "times"  // []int64: Unix seconds of the commits of the last hour
)

// value lets a change keep a value of the committer.
func (c *change) value(name string, v any) error {
	r := &valueRec{Name: name}
	if v != nil {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		r.Value = data
	}
	c.puts = append(c.puts, put{Value: r})
	c.do(func() {
		c.b.values[name] = r.Value
		if name == sentValue {
			c.b.noteInFlight()
		}
	})
	return nil
}

// putBack notes that a batch isn't under way any more.
func (b *Branch) putBack(x *batch) {
	x.done()
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.committing)
	b.noteInFlight()
	if b.unsettled != "" {
		return
	}
	b.root.all(func(_ string, n *node) {
		if n.kind == kindGone && n.was == nil {
			b.unsettled = b.tree.Commit() // it is forgotten when it is compared with the tree
		}
	})
}

// noteInFlight notes which paths the Hub may have by now without our knowing: one of
// them that is removed here stays as a deletion, until a tree without it is shown. It requires mu.
func (b *Branch) noteInFlight() {
	var all []sentCommit
	if data := b.values[sentValue]; len(data) > 0 {
		_ = json.Unmarshal(data, &all) // the log's checksum says that it is whole
	}
	clear(b.inFlight)
	for n := range b.committing {
		b.flies(n.path())
	}
	for _, s := range all {
		for _, it := range s.Items {
			b.flies(it.Path)
		}
	}
}

// flies notes that a path is in flight, and its folders with it. It requires mu.
func (b *Branch) flies(path string) {
	for ; path != "" && !b.inFlight[path]; path, _ = split(path) {
		b.inFlight[path] = true
	}
}

// readValue gives a value of the committer; false is none.
func (b *Branch) readValue(name string, v any) bool {
	b.mu.RLock()
	data := b.values[name]
	b.mu.RUnlock()
	return len(data) > 0 && json.Unmarshal(data, v) == nil
}

// target is the revision that commits go to, and whether the next one begins a
// pull request.
func (b *Branch) target() (revision string, newPR bool) {
	if !b.opts.CreatePR {
		return b.key.Branch, false
	}
	var ref string
	if b.readValue(targetValue, &ref) {
		return ref, false
	}
	return b.key.Branch, true
}

// Revision is the ref that the changes go to, and whose tree is shown below them: the
// branch, or with Options.CreatePR the pull request, as soon as there is one.
func (b *Branch) Revision() string {
	revision, _ := b.target()
	return revision
}

// sent are the commits of which it isn't known whether they landed.
func (b *Branch) sent() []sentCommit {
	var out []sentCommit
	b.readValue(sentValue, &out)
	return out
}

// noteSent makes a commit durable in the log before it is sent, with what its
// files are, so that they are known again.
func (b *Branch) noteSent(x *batch, sent sentCommit) error {
	all := append(b.sent(), sent)
	b.mu.Lock()
	c := &change{b: b, quiet: true}
	for _, it := range x.items {
		if it.ino != nil && !it.prefix {
			c.know(it.ino, it.ver, it.now)
		}
	}
	err := c.value(sentValue, all)
	if err == nil {
		err = c.commit()
	}
	c.unlock()
	b.mu.Unlock()
	if err != nil {
		return err
	}
	return b.journal.sync()
}

// know notes what the content of an inode is, unless it was changed meanwhile.
func (c *change) know(ino *inode, ver uint64, now *Was) {
	c.lock(ino)
	if ino.ver != ver || !ino.logged || ino.known.same(now) {
		return
	}
	before := ino.known
	ino.known = now
	c.puts = append(c.puts, ino.record()...)
	ino.known = before
	c.do(func() {
		ino.recorded()
		ino.known = now
	})
}

// forgetSent notes that a commit has not landed, and won't.
func (b *Branch) forgetSent(mark string) error {
	left := slices.DeleteFunc(b.sent(), func(s sentCommit) bool { return s.Mark == mark })
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &change{b: b, quiet: true}
	if err := c.value(sentValue, left); err != nil {
		return err
	}
	return c.commit()
}

// landed notes that the Hub has a commit of ours: each path is now what was sent, with
// what has happened here since on top. made is false if nothing had to be committed.
func (b *Branch) landed(sent sentCommit, oid, prRef string, made bool) error {
	var times []int64
	b.readValue(timesValue, &times)
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &change{b: b, quiet: true}
	shown := !sent.NewPR && b.tree.Commit() != sent.Parent // the tree has the commit already, or later ones
	if shown {
		oid = b.tree.Commit()
	}
	for _, it := range sent.Items {
		c.landed(it, shown)
	}
	err := c.value(sentValue, nil) // whatever else was sent with this parent can't land any more
	if made {
		hour := b.now().Add(-time.Hour).Unix()
		times = slices.DeleteFunc(times, func(t int64) bool { return t < hour })
		err = errors.Join(err, c.value(timesValue, append(times, b.now().Unix())))
	}
	if prRef != "" {
		err = errors.Join(err, c.value(targetValue, prRef))
	}
	c.do(func() { b.landedAt, b.unsettled = b.now(), oid })
	if err != nil {
		c.unlock()
		return err
	}
	return c.commit()
}

// landed notes it for one path. Branch.mu is held.
func (c *change) landed(it sentItem, shown bool) {
	if ino := c.b.inodes[it.Inode]; ino != nil && ino.logged { // else it was removed here meanwhile
		c.lock(ino)
		ino.origin = it.Path
		c.puts = append(c.puts, ino.record()...)
		c.do(ino.recorded)
	}
	n := c.b.root.find(it.Path)
	if n == nil || n.kind == kindNone || shown && n.theirs == nil {
		return // it was compared with a tree that has the commit; what is removed here leaves a node
	}
	theirs := n.theirs
	if !shown || theirs.now.same(it.Now) {
		theirs = nil // it was ours
	}
	st := n.state
	st.was, st.fail, st.since = it.Now, nil, c.b.now()
	c.set(it.Path, st, n.ino)
	c.do(func() { n.theirs = theirs })
}

// trySettle is settle; what fails is tried again later.
func (b *Branch) trySettle(ctx context.Context) (done bool) {
	err := b.settle(ctx)
	if err != nil && ctx.Err() == nil {
		b.log.Warn("a commit is on the Hub, and not yet shown", "repo", b.key.Repo, "error", err)
	}
	return err == nil
}

// settle lets go of what was committed: the content goes to the cache, so that
// nothing is downloaded again, and the view moves to the tree of the commit.
func (b *Branch) settle(ctx context.Context) error {
	b.mu.RLock()
	oid := b.unsettled
	b.mu.RUnlock()
	if oid == "" {
		return nil
	}
	tree, err := b.opts.OpenTree(ctx, b.Revision(), oid)
	if err != nil {
		return fmt.Errorf("reading the tree of commit %s: %w", oid, err)
	}
	b.keepBlobs(ctx, oid)
	overtaken := false
	err = b.inTurn(ctx, func() error {
		b.mu.RLock()
		overtaken = b.unsettled != oid // SetTree has shown a later one meanwhile
		b.mu.RUnlock()
		if overtaken {
			return nil
		}
		return b.setTree(ctx, tree)
	})
	switch {
	case err != nil:
		return fmt.Errorf("reading the tree of commit %s: %w", oid, err)
	case overtaken:
		return b.settle(ctx)
	}
	b.mu.Lock()
	if b.unsettled == oid {
		b.unsettled = ""
	}
	b.mu.Unlock()
	if b.opts.Moved != nil {
		b.opts.Moved(tree)
	}
	return nil
}

// keepBlobs gives the cache what was committed.
func (b *Branch) keepBlobs(ctx context.Context, oid string) {
	if b.opts.Keep == nil {
		return
	}
	type kept struct {
		path string
		ino  *inode
		now  Was
	}
	var list []kept
	b.mu.RLock()
	b.root.all(func(path string, n *node) {
		if n.clean() && n.theirs == nil {
			list = append(list, kept{path, n.ino, *n.was})
		}
	})
	b.mu.RUnlock()
	var g errgroup.Group
	g.SetLimit(keepAtOnce)
	for _, k := range list {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			c, release := k.ino.snapshot()
			defer release()
			if len(c.layers) == 0 || c.size != k.now.Size {
				return nil
			}
			f := blobcache.File{Repo: b.key.Repo, Revision: b.Revision(), Commit: oid, Path: k.path, Hash: k.now.Hash, Size: k.now.Size}
			if b.share(ctx, k.ino, &c, f) {
				return nil
			}
			if err := b.opts.Keep(ctx, f, contentReader{ctx, &c}); err != nil {
				b.log.Warn("the cache doesn't take what was committed", "path", k.path, "error", err)
			}
			return nil
		})
	}
	_ = g.Wait() // none of them fails
}

// share lets the cache have the file in which a content lies, if it is one whole file of
// the disk, and says whether it has. c is a snapshot of the inode.
func (b *Branch) share(ctx context.Context, ino *inode, c *content, f blobcache.File) bool {
	if b.opts.KeepFile == nil || c.blob != nil || len(c.layers) != 1 || c.size == 0 {
		return false
	}
	l := c.layers[0]
	file := b.disk.Path(dataName(l.id))
	if file == "" {
		return false
	}
	ino.mu.Lock()
	// What was written before the snapshot made known nil, and what comes after it goes elsewhere. What a
	// crash of the machine has left needn't be what was hashed.
	whole := l.below == 0 && !ino.torn && ino.known.same(&Was{Hash: f.Hash, Size: f.Size})
	had := l.shared
	l.shared = l.shared || whole // before the cache has it
	ino.mu.Unlock()
	if !whole {
		return false
	}
	err := l.with(func(f diskFile) error { return f.Sync("keep sync") })
	if err == nil {
		err = b.opts.KeepFile(ctx, f, file)
	}
	if err == nil {
		return true
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		b.log.Debug("what was committed is copied to the cache", "path", f.Path, "error", err)
		return false // it may have it all the same
	}
	ino.mu.Lock()
	defer ino.mu.Unlock()
	l.shared = had
	return false
}

// keepAtOnce is how many files the cache takes at a time: small ones wait for the disk.
const keepAtOnce = 8

// multipart is how far an upload of a path was when it was interrupted.
func (b *Branch) multipart(path string) *hub.MultipartState {
	var state hub.MultipartState
	if b.index.get(uploadBucket, path, &state) {
		return &state
	}
	return nil
}

// uploadOptions are how content is uploaded: what was done is kept for after a crash.
func (b *Branch) uploadOptions() hub.UploadOptions {
	return hub.UploadOptions{
		Progress: b.opts.Progress,
		Checkpoint: func(a *hub.Add) {
			if a.State.Multipart == nil {
				return
			}
			if err := b.index.put(uploadBucket, map[string]any{a.Path: a.State.Multipart}); err != nil {
				b.log.Debug("an upload would begin anew after a crash", "path", a.Path, "error", err)
			}
		},
	}
}

// noteUploads remembers how long large files took, and forgets their parts.
func (b *Branch) noteUploads(adds []*hub.Add, start time.Time) {
	forget := make(map[string]any)
	b.mu.Lock()
	for _, a := range adds {
		if a.Content.Size >= largeFile {
			b.uploads[a.Path] = upload{b.now(), b.now().Sub(start)}
			forget[a.Path] = nil
		}
	}
	b.mu.Unlock()
	if len(forget) > 0 {
		if err := b.index.put(uploadBucket, forget); err != nil {
			b.log.Debug("the index can't be written", "error", err)
		}
	}
}
