package writeback

import (
	"context"
	"time"
)

// Status is how a branch's changes are.
type Status struct {
	Head     string `json:"head"`     // the commit below the changes
	Revision string `json:"revision"` // where they go

	Staged     int   `json:"staged"` // paths; so are the others
	Committing int   `json:"committing"`
	Failed     int   `json:"failed"`
	Conflict   int   `json:"conflict"`
	Local      int   `json:"local"`
	Ignored    int   `json:"ignored"`
	Bytes      int64 `json:"bytes"` // of staged files

	Oldest     time.Time `json:"oldest,omitzero"`      // of the staged changes
	NextCommit time.Time `json:"next_commit,omitzero"` // by the timer
	LastCommit *Commit   `json:"last_commit,omitempty"`
	Error      string    `json:"error,omitempty"` // why the last commit failed
	RetryAt    time.Time `json:"retry_at,omitzero"`
}

// Status tells how the changes are; Changes lists them.
func (b *Branch) Status() Status {
	s := Status{Revision: b.Revision(), Head: b.Tree().Commit()}
	for _, c := range b.Changes() {
		switch c.State {
		case Staged:
			s.Staged++
			if s.Oldest.IsZero() || c.Since.Before(s.Oldest) {
				s.Oldest = c.Since
			}
		case Committing:
			s.Committing++
		case Failed:
			s.Failed++
		case Conflict:
			s.Conflict++
		case Local:
			s.Local++
		case Ignored:
			s.Ignored++
		case Clean:
		}
		s.Bytes += c.Size
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	s.RetryAt, s.NextCommit, s.LastCommit = b.retryAt, b.nextTick, b.lastCommit
	if b.lastErr != nil {
		s.Error = b.lastErr.Error()
	}
	return s
}

func (b *Branch) noteError(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastErr, b.retryAt = err, time.Time{}
	if err != nil {
		b.log.Warn("changes could not be committed", "repo", b.key.Repo, "error", err)
	}
}

// noteTick notes when the timer, which was just set, will go off.
func (b *Branch) noteTick() {
	if b.opts.Every <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nextTick = b.now().Add(b.opts.Every)
}

func (b *Branch) noteRetry(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.retryAt = at
}

// Discard forgets the changes at or below path: what the Hub has is there again.
// Handles that are open go on with what they have, which has no name any more.
func (b *Branch) Discard(ctx context.Context, path string) ([]Change, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var gone []Change
	for _, c := range b.Changes() {
		if below(c.Path, path) {
			gone = append(gone, c)
		}
	}
	b.mu.Lock()
	c := &change{b: b, quiet: true}
	b.root.all(func(p string, n *node) {
		if n.kind == kindNone || !below(p, path) {
			return
		}
		if n.ino != nil {
			c.drop(n.ino)
		}
		c.set(p, state{}, nil)
		c.forgetAttr(p)
	})
	tree := b.tree
	err := c.commit()
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return gone, b.setTree(ctx, tree)
}
