package writeback

import (
	"errors"
	"io"
	"maps"
	"slices"
)

// stacked notes that an inode has several layers, for the sweeper.
func (b *Branch) stacked(ino *inode) {
	b.sweeper.mu.Lock()
	defer b.sweeper.mu.Unlock()
	b.sweeper.stacks[ino] = true
}

// mergeAll merges what can be merged.
func (b *Branch) mergeAll() {
	b.sweeper.mu.Lock()
	stacks := slices.Collect(maps.Keys(b.sweeper.stacks))
	b.sweeper.mu.Unlock()
	if len(stacks) == 0 {
		return
	}
	durable := b.journal.durable()
	for _, ino := range stacks {
		b.mergeDown(ino, durable)
		ino.mu.RLock()
		done := len(ino.layers) < 2 || ino.dropped
		ino.mu.RUnlock()
		if done {
			b.sweeper.mu.Lock()
			delete(b.sweeper.stacks, ino)
			b.sweeper.mu.Unlock()
		}
	}
}

// mergeDown copies the top layer of an inode into the one below and drops it, if
// nobody pins them and it is small. Both show the same while that goes on, so that
// it may stop anywhere. The log must be durable up to the upper layer: one on disk
// that doesn't know of it would take the lower one for whole.
func (b *Branch) mergeDown(ino *inode, durableLine int64) {
	ino.mu.Lock()
	defer ino.mu.Unlock()
	n := len(ino.layers)
	if n < 2 || ino.dropped {
		return
	}
	if durableLine < ino.stackedAt {
		return
	}
	low, top := ino.layers[n-2], ino.layers[n-1]
	if low.pins.Load() > 0 || top.pins.Load() > 0 || top.local(ino.size) > mergeMax {
		return
	}
	durable := low.synced && top.synced
	err := ino.copyDown(low, top)
	if gen := ino.gen; err == nil && durable {
		// What was durable stays so: the log may not drop the one before the other is.
		ino.mu.Unlock()
		err = low.with(func(f diskFile) error { return f.Sync("merge sync") })
		ino.mu.Lock()
		if ino.gen != gen || ino.dropped {
			return // both are still there, for another time
		}
		low.synced = err == nil
	}
	if err != nil {
		b.log.Debug("layers of staged content stay apart", "inode", ino.id, "error", err)
		return
	}
	ino.layers = ino.layers[: n-1 : n-1]
	if err := ino.log(); err != nil {
		ino.layers = append(ino.layers, top)
		return
	}
	top.keep(false)
	b.doom(top)
}

// copyDown puts what a layer has into the one below. It requires mu.
func (ino *inode) copyDown(low, top *layer) error {
	ino.gen++
	low.synced = false
	return top.with(func(from diskFile) error {
		return low.with(func(to diskFile) error {
			// What the upper layer hides may not show up again.
			if err := to.Truncate("merge truncate", top.below); err != nil {
				return err
			}
			low.hide(top.below)
			if err := to.Truncate("merge truncate", ino.size); err != nil {
				return err
			}
			var err error
			copyRange := func(off, end int64) {
				if err == nil && off < end {
					err = copyPiece(to, from, off, end)
					low.wrote(off, end)
				}
			}
			for _, x := range top.written {
				copyRange(x.Off, x.End)
			}
			copyRange(top.below, ino.size)
			return err
		})
	})
}

func copyPiece(to, from diskFile, off, end int64) error {
	buf := make([]byte, min(end-off, 1<<20))
	for off < end {
		p := buf[:min(int64(len(buf)), end-off)]
		n, err := from.ReadAt(p, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		clear(p[n:])
		if _, err := to.WriteAt("merge write", p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}
