package writeback

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/hubfs/hubfs/blobcache"
)

// A clash is a conflict that is being solved.
type clash struct {
	path   string
	node   *node
	kind   nodeKind
	ino    *inode
	ver    uint64
	theirs *conflict
	second string // name of what gives way
	sum    string // sha256 of it

	content content
	release func()
}

// solveConflicts decides about paths that were changed here and on the Hub. Files that
// are being written to wait until they are closed. ErrConflict stops the push; any other
// error is of paths that wait, too, and keeps nothing else back.
func (b *Branch) solveConflicts(ctx context.Context, sel selection) error {
	clashes := b.clashes(sel)
	defer func() {
		for _, k := range clashes {
			k.release()
		}
	}()
	if len(clashes) > 0 && b.opts.OnConflict == Fail {
		return fmt.Errorf("%w: %s and %d more", ErrConflict, clashes[0].path, len(clashes)-1)
	}
	var changed []string
	var failed error
	for _, k := range clashes {
		done, err := b.settleClash(ctx, k)
		if err != nil {
			failed = pathError(k.path, err)
			b.log.Warn("a conflict can't be solved now", "repo", b.key.Repo, "path", k.path, "error", err)
			continue
		}
		if done {
			changed = append(changed, k.path)
			if k.second != "" {
				changed = append(changed, k.second)
				b.log.Warn("others have changed the same path; both are kept", "repo", b.key.Repo, "path", k.path, "other", k.second)
			}
		}
	}
	if len(changed) == 0 {
		return failed
	}
	if b.opts.Changed != nil {
		b.opts.Changed(changed)
	}
	return b.solveConflicts(ctx, sel) // one that is solved can show another
}

// settleClash decides one.
func (b *Branch) settleClash(ctx context.Context, k *clash) (done bool, err error) {
	v, err := b.judge(ctx, k)
	if err != nil || v == holdBack {
		return false, err
	}
	return b.solve(ctx, k, v)
}

// clashes gathers what there is to decide.
func (b *Branch) clashes(sel selection) []*clash {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &selector{b: b, sel: sel}
	var out []*clash
	b.root.all(func(path string, n *node) {
		if n.theirs == nil || n.kind == kindNone || b.isLocalOnly(n) || b.inFlight[path] {
			return
		}
		k := &clash{path: path, node: n, kind: n.kind, ino: n.ino, theirs: n.theirs, release: func() {}}
		if n.kind == kindFile {
			if n.ino.writers > 0 && !s.isLog(n) {
				return
			}
			k.ver = n.ver()
			k.content, k.release = n.ino.snapshot()
		}
		out = append(out, k)
	})
	return out
}

// judge finds out what a clash needs to be decided, and decides it.
func (b *Branch) judge(ctx context.Context, k *clash) (verdict, error) {
	var ours *Was
	if now := k.theirs.now; k.kind == kindFile && now.file() && now.Size == k.content.size {
		sum := sha256Of
		if len(now.Hash) == 40 {
			sum = gitHash
		}
		hash, err := sum(ctx, &k.content)
		if err != nil {
			return 0, err
		}
		ours = &Was{Hash: hash, Size: k.content.size}
	}
	v := judge(b.opts.OnConflict, k.kind, ours, k.theirs.now)
	var err error
	switch v {
	case moveOurs:
		k.sum, err = sha256Of(ctx, &k.content)
	case moveTheir:
		k.sum, err = b.sumOfTheirs(ctx, k)
	default:
		return v, nil
	}
	for try := 0; err == nil; try++ {
		k.second = conflictName(k.path, k.sum, try)
		if _, err := b.Lookup(ctx, k.second); isErrno(err, syscall.ENOENT) {
			break
		} else if err != nil {
			return v, err
		}
	}
	return v, err
}

// sumOfTheirs is the sha256 of the file that others have put in the place of a folder.
func (b *Branch) sumOfTheirs(ctx context.Context, k *clash) (string, error) {
	now := k.theirs.now
	if len(now.Hash) == 64 {
		return now.Hash, nil
	}
	blob := b.blob(Source{Hash: now.Hash, Size: now.Size, Commit: b.Tree().Commit(), Path: k.path})
	blob.ref()
	defer blob.unref()
	return sha256Of(ctx, &content{blob: blob, size: now.Size})
}

// solve does what was decided, unless the path was changed meanwhile: then it is
// decided again another time.
func (b *Branch) solve(ctx context.Context, k *clash, v verdict) (done bool, err error) {
	tree := b.Tree()
	var second *blobcache.Entry
	if k.second != "" {
		if second, err = baseEntry(ctx, tree, k.second); err != nil {
			return false, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.root.find(k.path)
	if b.tree != tree || n != k.node || n.theirs != k.theirs || n.kind != k.kind || n.ino != k.ino || n.ver() != k.ver {
		return false, nil
	}
	if k.second != "" {
		if at := b.root.find(k.second); second != nil || at != nil && at.kind != kindNone {
			return false, nil
		}
	}
	c := &change{b: b, quiet: true}
	now := k.theirs.now
	st := n.state
	switch v {
	case keepOurs:
		st.was = now
		c.set(k.path, st, n.ino)
	case takeTheir:
		if n.ino != nil {
			c.drop(n.ino)
		}
		c.set(k.path, state{}, nil)
		if now != nil {
			c.restoreFolders(k.path)
		}
	case moveOurs:
		c.set(k.path, state{}, nil)
		c.set(k.second, state{kind: kindFile, since: n.since}, n.ino)
	case moveTheir:
		ino := b.newInode(&Source{Hash: now.Hash, Size: now.Size, Commit: tree.Commit(), Path: k.path})
		m := &mover{change: c}
		m.adopt(k.second, ino, nil)
		st.was = now
		c.set(k.path, st, nil)
		c.set(k.second, state{kind: kindFile}, ino)
	}
	return true, c.commit()
}

// restoreFolders takes back that the folders of a path were removed, as the Hub has something in them that is
// shown again; what else was removed in them stays so. A file in the place of one is a conflict, too. Branch.mu
// is held.
func (c *change) restoreFolders(path string) {
	for dir, _ := split(path); dir != ""; dir, _ = split(dir) {
		n := c.b.root.find(dir)
		switch {
		case n == nil || n.was.file():
		case n.kind == kindGone:
			c.set(dir, state{}, nil)
		case n.kind == kindFile && n.was != nil:
			c.do(func() { n.theirs = &conflict{n.was} })
		}
	}
}

// sha256Of hashes content, in hex.
func sha256Of(ctx context.Context, c *content) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, io.NewSectionReader(contentReader{ctx, c}, 0, c.size))
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
