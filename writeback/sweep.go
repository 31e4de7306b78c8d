package writeback

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sweepEvery is how long a change of names can wait to become durable without an fsync.
	sweepEvery = time.Second
	// restAfter is when what was closed becomes durable without an fsync: about when the
	// kernel has written it anyway.
	restAfter = 30 * time.Second
	restEvery = 10 // of sweeps
)

// A sweeper does what can wait: it removes files of layers when the log that drops
// them is durable.
type sweeper struct {
	created atomic.Uint64 // files made in data/
	wake    chan struct{} // there is a high stack

	dirMu  sync.Mutex // held for an fsync of data/
	synced uint64     // how many of the created have a durable name

	mu     sync.Mutex // guards what follows
	doomed []doomed
	stacks map[*inode]bool // that have several layers
}

// doomed is a layer that nothing shows any more.
type doomed struct {
	layer *layer
	seq   int64 // line of the log that says so
}

// doom lets the files of layers be removed. The log must have the change already.
func (b *Branch) doom(layers ...*layer) {
	seq := b.journal.last()
	b.sweeper.mu.Lock()
	defer b.sweeper.mu.Unlock()
	for _, l := range layers {
		b.sweeper.doomed = append(b.sweeper.doomed, doomed{l, seq})
	}
}

// sweep runs until ctx ends.
func (b *Branch) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-b.sweeper.wake:
			b.mergeAll()
			continue
		}
		if b.journal.grown() {
			if err := b.compact(); err != nil {
				b.log.Warn("the journal could not be rewritten", "error", err)
			}
		}
		if n%restEvery == 0 {
			b.syncResting(ctx)
		}
		if b.journal.dirty() {
			if err := b.journal.sync(); err != nil {
				b.log.Error("the journal could not be made durable", "error", err)
				continue
			}
		}
		b.mergeAll()
		b.removeDoomed()
	}
}

// syncResting makes files durable that were closed a while ago, so that the death of the
// machine doesn't leave them torn, whoever has written them without an fsync.
func (b *Branch) syncResting(ctx context.Context) {
	var resting []*inode
	b.mu.RLock()
	for _, ino := range b.inodes {
		ino.mu.RLock()
		open := ino.writers > 0 || ino.dirty || ino.torn || b.now().Sub(ino.closedAt) < restAfter
		if !open && slices.ContainsFunc(ino.layers, func(l *layer) bool { return !l.synced }) {
			resting = append(resting, ino)
		}
		ino.mu.RUnlock()
	}
	b.mu.RUnlock()
	for _, ino := range resting {
		if ctx.Err() != nil {
			return
		}
		if err := ino.syncContent(); err != nil {
			b.log.Error("staged content could not be made durable", "error", err)
		}
	}
}

// compact rewrites the log.
func (b *Branch) compact() error {
	if err := b.attrs.settle(); err != nil {
		b.log.Debug("modes and times stay in the journal", "error", err)
	}
	return b.journal.rewrite()
}

// removeDoomed removes the files of layers that no durable log names and nobody reads.
func (b *Branch) removeDoomed() {
	durable := b.journal.durable()
	var now []doomed
	b.sweeper.mu.Lock()
	var later []doomed
	for _, d := range b.sweeper.doomed {
		if d.seq <= durable && d.layer.pins.Load() == 0 {
			now = append(now, d)
		} else {
			later = append(later, d)
		}
	}
	b.sweeper.doomed = later
	b.sweeper.mu.Unlock()
	for _, d := range now {
		if err := b.disk.Remove("stage remove", dataName(d.layer.id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			b.log.Warn("a staged file that isn't needed any more could not be removed", "error", err)
		}
	}
}

// syncData makes the names of staged files durable.
func (b *Branch) syncData() error {
	s := &b.sweeper
	want := s.created.Load()
	s.dirMu.Lock()
	defer s.dirMu.Unlock()
	if s.synced >= want {
		return nil
	}
	created := s.created.Load()
	if err := b.disk.SyncDir("stage dirsync", dataDir); err != nil {
		return err
	}
	s.synced = created
	return nil
}
