package writeback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// ErrConflict is a commit that wasn't made because others have changed the same
// paths, and Options.OnConflict is Fail.
var ErrConflict = errors.New("others have changed the same files")

// Result is what a push came to.
type Result struct {
	Commits []Commit `json:"commits"`
	Failed  []Change `json:"failed"` // at or below the path, what could not be committed
}

const (
	pushRounds = 30 // how often a commit is tried again, on top of others' say, before giving up for now
	// maxPostpones is how often a push goes on without what can't be read now; then it is
	// taken for more than a few files.
	maxPostpones = 3
	lateCommit   = 90 * time.Second // how long a request to begin a pull request may take to land
)

// push commits what a selection has. Each path goes at most once: who is written to all
// the time waits for the next push.
func (b *Branch) push(ctx context.Context, sel selection) (res Result, err error) {
	limit, tries, postpones, followed := 0, 0, 0, false
	var held, postponed error // why something stays that isn't refused
	defer func() {
		if err == nil {
			err = cmp.Or(held, postponed) // one line, not all of them
		}
	}()
	b.mu.Lock()
	clear(b.refused)
	clear(b.pushed)
	b.mu.Unlock()
	for tries < pushRounds {
		b.trySettle(ctx)
		if err := b.compare(ctx); err != nil {
			return res, err
		}
		if err := b.findSent(ctx, &res); err != nil {
			return res, err
		}
		if held = b.solveConflicts(ctx, sel); errors.Is(held, ErrConflict) {
			return res, held
		}
		x, err := b.take(ctx, sel, limit)
		held = cmp.Or(held, err)
		n := len(x.items)
		if n == 0 {
			b.putBack(x)
			return res, b.findSent(ctx, &res) // of which the tree may have told meanwhile
		}
		made, more, err := b.commit(ctx, x)
		b.putBack(x)
		if made != nil {
			b.made(&res, *made)
		}
		switch {
		case err == nil && !more && limit == 0:
			return res, nil
		case err == nil:
			limit *= 2
		case errors.Is(err, hub.ErrPreconditionFailed), errors.Is(err, hub.ErrEntryNotFound) && !followed:
			// The branch has moved, or isn't what it was taken for.
			followed = true
			tries++
			if ferr := b.follow(ctx, &res); ferr != nil {
				return res, ferr
			}
			if b.Tree().Commit() == x.tree.Commit() { // what tells of the head is late
				if err := b.pause(ctx, err); err != nil {
					return res, err
				}
			}
		case !b.opts.Atomic && postpones < maxPostpones && b.postpone(ctx, x, err):
			postponed = cmp.Or(postponed, err)
			postpones++
		case b.blame(x, err):
			if b.opts.Atomic {
				return res, err
			}
		case hub.SplittingHelps(err) && n > 1 && !b.opts.Atomic:
			limit = (n + 1) / 2
		case hub.SplittingHelps(err) && n == 1:
			b.fail(x.items, err)
		case errors.Is(err, hub.ErrAmbiguousCommit) && ctx.Err() == nil:
			tries++
			if limit = n; n > 100 && !b.opts.Atomic {
				limit = n / 2 // it may be too much for the time that the server takes
			}
			if err := b.pause(ctx, err); err != nil {
				return res, err
			}
		default:
			return res, err
		}
	}
	return res, fmt.Errorf("the branch moves faster than commits can be made: %w", hub.ErrPreconditionFailed)
}

// made notes a commit that is on the Hub.
func (b *Branch) made(res *Result, c Commit) {
	res.Commits = append(res.Commits, c)
	b.mu.Lock()
	b.lastCommit = &c
	b.mu.Unlock()
	b.log.Info("committed", "repo", b.key.Repo, "commit", c.OID, "changes", c.Changes)
}

// commit makes a commit of a batch; none if nothing in it differs from what the Hub has.
func (b *Branch) commit(ctx context.Context, x *batch) (made *Commit, more bool, err error) {
	if err := x.check(); err != nil {
		return nil, false, err
	}
	b.endAhead(ctx, x)
	if err := b.upload(ctx, x); err != nil {
		return nil, false, err
	}
	b.dropIgnored(x)
	if err := b.dropUnchanged(x); err != nil {
		return nil, false, err
	}
	if len(x.items) == 0 {
		return nil, false, nil
	}
	more = !b.opts.Atomic && x.limit()
	made, err = b.send(ctx, x)
	if err == nil {
		b.mu.Lock()
		for _, it := range x.items {
			b.pushed[it.node] = true
			if it.ino != nil {
				it.ino.mu.Lock()
				it.done()
				it.ino.mu.Unlock()
			}
		}
		b.mu.Unlock()
	}
	return made, more, err
}

// check refuses names that the Hub doesn't take, before anything is uploaded: all of them
// in one error.
func (x *batch) check() error {
	var refused []error
	for _, it := range x.items {
		if it.ino == nil {
			continue
		}
		if err := validName(it.path); err != nil {
			refused = append(refused, &hub.OperationError{Path: it.path, Err: err})
		}
	}
	return errors.Join(refused...)
}

func validName(path string) error {
	if err := hub.ValidPath(path); err != nil {
		return err
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == ".git" || part == ".cache" {
			return fmt.Errorf("the Hub doesn't take a folder or file named %s", part)
		}
	}
	return nil
}

// dropIgnored leaves out what the repository's own rules ignore.
func (b *Branch) dropIgnored(x *batch) {
	x.keep(func(it *item) bool {
		if it.add == nil || !it.add.State.Ignored {
			return true
		}
		b.setFailure(it, Ignored, "the repository's .gitignore leaves it out")
		return false
	})
}

// dropUnchanged leaves out what the Hub has already: it is clean from now on.
func (b *Branch) dropUnchanged(x *batch) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &change{b: b, quiet: true}
	x.keep(func(it *item) bool {
		if it.ino == nil {
			return true
		}
		if !it.was.same(it.now) {
			return true
		}
		c.lock(it.ino)
		c.do(it.done)
		if !it.prefix {
			c.know(it.ino, it.ver, it.now)
			c.do(func() { b.unsettled = b.tree.Commit() })
		}
		return false
	})
	return c.commit()
}

// findSent finds out what became of commits whose answer was lost.
func (b *Branch) findSent(ctx context.Context, res *Result) error {
	for _, s := range b.sent() {
		if s.NewPR {
			if err := b.findPR(ctx, s, res); err != nil {
				return err
			}
			continue
		}
		// The head first: what isn't found below a head that has moved can't land any more.
		head := b.Tree()
		if head.Commit() == s.Parent {
			var err error
			if head, err = b.opts.OpenTree(ctx, b.Revision(), ""); err != nil {
				return err
			}
		}
		if head.Commit() == s.Parent {
			continue // it hasn't landed; with the same parent it can't do so twice
		}
		made, err := b.opts.Hub.FindCommit(ctx, b.key.Repo, b.Revision(), s.Parent, s.Mark)
		if err != nil {
			return err
		}
		if made == nil {
			if err := b.forgetSent(s.Mark); err != nil {
				return err
			}
			continue
		}
		if err := b.landed(s, made.ID, "", true); err != nil {
			return err
		}
		b.made(res, Commit{OID: made.ID, Time: made.Date, Changes: len(s.Items)})
		return nil
	}
	return nil
}

// findPR looks for a pull request whose beginning wasn't answered. As nothing keeps it
// from landing late, it counts as missing only after a while.
func (b *Branch) findPR(ctx context.Context, s sentCommit, res *Result) error {
	began := b.now()
	for {
		refs, err := b.opts.Hub.Refs(ctx, b.key.Repo, true)
		if err != nil {
			return err
		}
		for _, ref := range slices.Backward(refs.PullRequests) {
			made, err := b.opts.Hub.FindCommit(ctx, b.key.Repo, ref.Ref, s.Parent, s.Mark)
			if err != nil {
				return err
			}
			if made == nil {
				continue
			}
			if err := b.landed(s, made.ID, ref.Ref, true); err != nil {
				return err
			}
			b.made(res, Commit{OID: made.ID, Time: made.Date, Changes: len(s.Items)})
			return nil
		}
		late := time.Unix(s.Sent, 0).Add(lateCommit)
		if l := began.Add(lateCommit); l.Before(late) {
			late = l // the clock was set back since
		}
		if !b.now().Before(late) {
			return b.forgetSent(s.Mark)
		}
		if err := sleep(ctx, min(5*time.Second, late.Sub(b.now()))); err != nil {
			return err
		}
	}
}

// follow moves to the commit that the branch is at now.
func (b *Branch) follow(ctx context.Context, res *Result) error {
	if err := b.findSent(ctx, res); err != nil {
		return err
	}
	b.trySettle(ctx)
	return b.inTurn(ctx, func() error {
		tree, err := b.opts.OpenTree(ctx, b.Revision(), "")
		if err != nil || b.isBehind(tree) {
			return err
		}
		if err := b.setTree(ctx, tree); err != nil {
			return err
		}
		if b.opts.Moved != nil {
			b.opts.Moved(tree)
		}
		return nil
	})
}

// passing says whether an error tells nothing about a path: it may be gone the next time.
func passing(err error) bool {
	for _, kind := range []error{hub.ErrUnavailable, hub.ErrRateLimited, hub.ErrUnauthorized, hub.ErrOffline, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// postpone leaves paths out of the push under way that an error names without blaming
// them: the base of an edit could not be fetched, say. It says whether there are any.
func (b *Branch) postpone(ctx context.Context, x *batch, err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := false
	for _, f := range hub.FailedPaths(err) {
		for _, it := range x.items {
			if it.path == f.Path && passing(f.Err) && ctx.Err() == nil {
				b.refused[it.node], found = it.ver, true
			}
		}
	}
	return found
}

// blame marks the paths that an error names as failed, and says whether there are any.
func (b *Branch) blame(x *batch, err error) bool {
	var guilty []*item
	reasons := make(map[*item]error)
	add := func(path string, why error) {
		for _, it := range x.items {
			if it.path == path && reasons[it] == nil {
				guilty = append(guilty, it)
				reasons[it] = why
			}
		}
	}
	for _, f := range hub.FailedPaths(err) {
		if !passing(f.Err) {
			add(f.Path, f.Err)
		}
	}
	var invalid *hub.ValidationError
	if len(guilty) == 0 && errors.As(err, &invalid) {
		add(invalid.Value, err)
	}
	var refused *hub.Error
	if len(guilty) == 0 && errors.As(err, &refused) && hub.SplittingHelps(err) {
		paths := make([]string, len(x.items))
		for i, it := range x.items {
			paths[i] = it.path
		}
		if path := hub.PathIn(refused.Message, paths); path != "" {
			add(path, err)
		}
	}
	for _, it := range guilty {
		b.fail([]*item{it}, reasons[it])
	}
	return len(guilty) > 0
}

// fail marks items as failed.
func (b *Branch) fail(items []*item, err error) {
	for _, it := range items {
		b.setFailure(it, Failed, err.Error())
		b.log.Warn("not committed", "repo", b.key.Repo, "path", it.path, "error", err)
	}
}

// setFailure notes why a path isn't committed, until it is changed.
func (b *Branch) setFailure(it *item, s State, message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.root.find(it.path)
	if n == nil || n.kind == kindNone || n.ino != it.ino {
		return
	}
	b.refused[n] = it.ver
	st := n.state
	st.fail = &Failure{State: s, Message: message, Time: b.now().Unix()}
	theirs := n.theirs
	c := &change{b: b, quiet: true}
	c.set(it.path, st, n.ino)
	c.do(func() { n.failVer, n.theirs = it.ver, theirs })
	if err := c.commit(); err != nil {
		b.log.Warn("a failure can't be kept", "path", it.path, "error", err)
		n.fail, n.failVer = st.fail, it.ver
	}
}

// pause waits before something is tried again.
func (b *Branch) pause(ctx context.Context, why error) error {
	wait := b.opts.RetryPause
	if wait == 0 {
		wait = 2 * time.Second
	}
	if err := sleep(ctx, max(wait, retryAfter(why))); err != nil {
		return errors.Join(why, err)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
