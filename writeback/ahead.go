package writeback

import (
	"context"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// Large files that are closed are uploaded before a commit takes them, so that it has less
// to wait for. An object that no commit comes to name is dropped by the Hub after a while.

var aheadSize int64 = 10 << 20 // of a file that is uploaded ahead; tests have smaller ones

var aheadAfter = 3 * time.Second // its last writer has closed it; many temporary files don't live as long

// An ahead is the upload of one file ahead of its commit. The committer has at most one.
type ahead struct {
	it     *item
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
}

func (a *ahead) ended() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// nextAhead finds a file to upload ahead, or when to look again; 0 is when another is closed.
func (b *Branch) nextAhead() (*item, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	var found *node
	wait := time.Duration(0)
	b.root.all(func(path string, n *node) {
		if found != nil || n.kind != kindFile || !n.changed() || n.theirs != nil || n.fail != nil ||
			b.isLocalOnly(n) || validName(path) != nil {
			return
		}
		if last, ok := b.uploads[path]; ok && now.Sub(last.at) < uploadPauses*last.took {
			return // it changes all the time
		}
		ino := n.ino
		ino.mu.RLock()
		due := len(ino.layers) > 0 && ino.known == nil && ino.writers == 0 && !ino.dirty && !ino.torn &&
			ino.size >= aheadSize && ino.aheadVer != ino.ver
		left := aheadAfter - now.Sub(ino.closedAt)
		ino.mu.RUnlock()
		switch {
		case !due:
		case left <= 0 || left > aheadAfter: // a clock that was set back
			found = n
		case wait == 0 || left < wait:
			wait = left
		}
	})
	if found == nil {
		return nil, wait
	}
	return (&selector{b: b}).item(found), 0
}

// beginAhead uploads a file in the background; done gets a word when it has ended.
func (b *Branch) beginAhead(ctx context.Context, it *item, done chan<- struct{}) *ahead {
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{it: it, cancel: cancel, done: make(chan struct{})}
	b.group.Go(func() error {
		defer func() {
			close(a.done)
			select {
			case done <- struct{}{}:
			default: // there is a word already
			}
		}()
		defer cancel()
		defer it.release()
		err := b.uploadAhead(ctx, it)
		if err != nil && ctx.Err() == nil {
			b.log.Debug("a file could not be uploaded ahead of its commit", "path", it.path, "error", err)
		}
		if ctx.Err() == nil {
			it.ino.mu.Lock()
			it.ino.aheadVer = it.ver // once; the commit tries again
			it.ino.mu.Unlock()
		}
		return nil
	})
	return a
}

func (b *Branch) uploadAhead(ctx context.Context, it *item) error {
	x := &batch{items: []*item{it}}
	if err := b.upload(ctx, x); err != nil {
		return err
	}
	if it.add.State.Mode != hub.UploadLFS || it.add.State.Ignored {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &change{b: b, quiet: true}
	c.know(it.ino, it.ver, it.now)
	if n := it.ino.node; n != nil && n.was.same(it.now) {
		c.do(func() { b.unsettled = b.tree.Commit() }) // it is as the Hub has it
	}
	return c.commit()
}

// endAhead ends the upload that is under way: one of a batch that is to be committed is
// waited for, since it would be begun anew otherwise.
func (b *Branch) endAhead(ctx context.Context, x *batch) {
	a := b.ahead
	if a == nil {
		return
	}
	wanted := false
	for _, it := range x.items {
		wanted = wanted || it.ino == a.it.ino && it.ver == a.it.ver
	}
	if wanted {
		select {
		case <-a.done:
		case <-ctx.Done():
		}
	}
	a.cancel()
	<-a.done
	b.ahead = nil
	for _, it := range x.items {
		if it.ino == a.it.ino && it.ver == a.it.ver && it.now == nil {
			it.now = a.it.now
		}
	}
}
