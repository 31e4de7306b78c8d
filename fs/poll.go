package fs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// The branches and tags of a repository are looked at by one request, as long as
// the kernel remembers anything of one of its trees. A repository that nobody uses
// any more falls asleep, and is looked at again when it is used again.

const (
	defaultPollInterval = 30 * time.Second
	// pollShare is the least time between two polls of a mount on average. With
	// many repositories in use, each is looked at less often: at ten polls in half a
	// minute they would take a tenth of the quota of a free user.
	pollShare = 3 * time.Second
)

// pollInterval is how often each repository is looked at.
func (m *Mount) pollInterval() time.Duration {
	interval := m.opts.PollInterval
	if n := time.Duration(m.pollers.Load()); n*pollShare > interval && n > 1 {
		interval = n * pollShare
	}
	return interval
}

// isFresh says whether the references are kept up to date, or have been asked for
// not long ago.
func (r *repo) isFresh() bool {
	if r.m.opts.Offline {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.polling || time.Since(r.triedAt) < r.m.opts.PollInterval
}

// keepLooking starts the poller, unless it runs or there is nothing to look for.
func (r *repo) keepLooking() {
	m := r.m
	if m.opts.Offline || m.opts.Pin || m.kernel.base.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.polling || !r.inUseLocked() {
		return
	}
	if m.spawn(r.poll) {
		r.polling = true
		m.pollers.Add(1)
	}
}

// inUseLocked says whether there is a tree that may move and that the kernel may
// remember.
func (r *repo) inUseLocked() bool {
	for _, t := range r.trees {
		if !t.fixed && (t.inUse() || t.branch.Load() != nil) {
			return true
		}
	}
	return false
}

// poll looks at the Hub now and then, until nobody uses the repository.
func (r *repo) poll() {
	m := r.m
	defer m.pollers.Add(-1)
	ctx := hub.WithBackground(m.kernel.base)
	for {
		timer := time.NewTimer(m.pollInterval())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			r.mu.Lock()
			r.polling = false
			r.mu.Unlock()
			return
		}
		r.mu.Lock()
		if !r.inUseLocked() {
			r.polling = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		if err := r.look(ctx, false); err != nil && ctx.Err() == nil {
			m.log.Warn("can't look for changes; showing what is known", "repo", r.id.String(), "error", err)
		}
		for _, t := range r.allTrees() {
			t.tryAgain(ctx)
		}
	}
}

// Refresh looks at the Hub now. It moves pinned trees, too, and returns when the
// kernel shows what it found.
func (m *Mount) Refresh(ctx context.Context) error {
	m.catalog.forget()
	m.forgetFailures()
	m.reports.forget()
	var errs []error
	for _, r := range m.catalog.allRepos() {
		for _, t := range r.allTrees() {
			t.allow()
		}
		if !r.isShown() {
			continue
		}
		errs = append(errs, r.look(ctx, true))
	}
	return errors.Join(errs...)
}

// isShown says whether there is anything to move.
func (r *repo) isShown() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.trees {
		if !t.fixed && t.snap.Load() != nil {
			return true
		}
	}
	return false
}

// How often WaitCommit looks: at first often, since somebody is waiting, then
// less and less.
const (
	waitFirst = 500 * time.Millisecond
	waitMost  = 10 * time.Second
)

// WaitCommit returns when the commit sha, or one after it, is visible in the tree
// that path is in, and everything older is gone from the kernel. path is relative
// to the mount; sha is 40 hex digits. It fails at once where the commit can't
// become visible: in a tree of another commit, or a pinned one.
func (m *Mount) WaitCommit(ctx context.Context, path, sha string) error {
	if !isCommit(sha) {
		return fmt.Errorf("commit %q: want 40 hex digits", sha)
	}
	t, err := m.treeAt(ctx, path)
	if err != nil {
		return err
	}
	if _, err := t.current(ctx); err != nil {
		return err
	}
	var compared string // the commit whose history has been searched
	for wait := waitFirst; ; wait = min(2*wait, waitMost) {
		visible, moved := t.visibleCommit()
		if visible == sha {
			return nil
		}
		if visible != compared {
			contains, err := m.contains(ctx, t.repo, visible, sha)
			if contains {
				return nil
			}
			if err == nil {
				compared = visible
			}
		}
		if t.fixed || m.opts.Pin {
			return fmt.Errorf("%s shows %s, and stays at it; hubfs refresh moves what is pinned", t, visible)
		}
		var lookErr error
		if lookErr = t.repo.look(ctx, false); lookErr == nil {
			if now, _ := t.visibleCommit(); now != visible {
				continue
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-moved:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			err := fmt.Errorf("%s shows %s, not yet %s: %w", t, visible, sha, ctx.Err())
			return errors.Join(err, lookErr)
		case <-m.kernel.base.Done():
			timer.Stop()
			return errUnmounted
		}
		timer.Stop()
	}
}

func (t *tree) visibleCommit() (commit string, moved <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.visible, t.moved
}

// maxHistory is how far back contains looks.
const maxHistory = 1000

// contains says whether a commit is in the history of another.
func (m *Mount) contains(ctx context.Context, r *repo, head, sha string) (bool, error) {
	for c, err := range m.hub.Commits(ctx, r.id, head, &hub.CommitsOptions{Limit: maxHistory}) {
		if err != nil {
			return false, err
		}
		if c.ID == sha {
			return true, nil
		}
	}
	return false, nil
}
