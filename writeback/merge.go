package writeback

import (
	"errors"
	"io"
	"maps"
	"slices"
)

// manyLayers is how many an inode may have before they are merged at once: each record
// in the log names all of them.
const manyLayers = 16

// stacked notes that an inode has several layers, for the sweeper. It requires the inode's mu.
func (b *Branch) stacked(ino *inode) {
	b.sweeper.mu.Lock()
	b.sweeper.stacks[ino] = true
	b.sweeper.mu.Unlock()
	if len(ino.layers) > manyLayers {
		select {
		case b.sweeper.wake <- struct{}{}:
		default:
		}
	}
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

// mergeDown copies the layers of an inode into the lowest of them and drops them. The
// uppermost stays, where there are more than two: it may be written to at any time. Layers
// that are large or pinned stay, too. All of them show the same while that goes on, so that
// it may stop anywhere. The log must be durable up to the upper layers: one on disk that
// doesn't know of them would take the lower one for whole.
func (b *Branch) mergeDown(ino *inode, durableLine int64) {
	ino.mu.Lock()
	defer ino.mu.Unlock()
	low, n := ino.mergeable(durableLine)
	if n == 0 {
		return
	}
	base, upper := ino.layers[low], slices.Clone(ino.layers[low+1:low+1+n])
	synced := base.synced
	durable := synced && !slices.ContainsFunc(upper, func(l *layer) bool { return !l.synced })
	ino.gen++
	var err error
	for i, l := range upper {
		end := ino.size
		if low+2+i < len(ino.layers) {
			end = ino.layers[low+2+i].below // what is behind that isn't seen
		}
		if err == nil {
			err = base.copyDown(l, end)
		}
	}
	base.synced = synced // what is seen of it, as long as the others are there
	if err == nil && durable {
		// What was durable stays so: the log may not drop the one before the other is.
		gen, all := ino.gen, slices.Clone(ino.layers[:low+1+n])
		ino.mu.Unlock()
		err = base.with(func(f diskFile) error { return f.Sync("merge sync") })
		ino.mu.Lock()
		same := len(ino.layers) >= len(all) && slices.Equal(ino.layers[:len(all)], all)
		if !same || ino.dropped || ino.gen != gen && len(all) == len(ino.layers) {
			return // all are still there, for another time
		}
	}
	if err != nil {
		b.log.Debug("layers of staged content stay apart", "inode", ino.id, "error", err)
		return
	}
	before := ino.layers
	ino.layers, base.synced = slices.Concat(before[:low+1], before[low+1+n:]), durable
	if err := ino.log(); err != nil {
		ino.layers, base.synced = before, synced
		return
	}
	for _, l := range upper {
		l.keep(false)
	}
	b.doom(upper...)
}

// mergeable says which layers can be merged: n of them into the one at low, which is
// the lowest that can take any. It requires mu.
func (ino *inode) mergeable(durableLine int64) (low, n int) {
	last := len(ino.layers) - 1
	if ino.dropped {
		return 0, 0
	}
	if last > 1 {
		last-- // it may be written to all the time
	}
	size := func(i int) int64 {
		if i+1 < len(ino.layers) {
			return ino.layers[i+1].below
		}
		return ino.size
	}
	for low = 0; low < last; low++ {
		for n = 0; low+n < last; n++ {
			l := ino.layers[low+n+1]
			if ino.layers[low].pins.Load() > 0 || ino.layers[low].shared || l.pins.Load() > 0 || l.local(size(low+n+1)) > mergeMax || l.loggedAt > durableLine {
				break
			}
		}
		if n > 0 {
			return low, n
		}
	}
	return 0, 0
}

// copyDown puts what a layer has before end into one below. It requires the inode's mu.
func (l *layer) copyDown(top *layer, end int64) error {
	return top.with(func(from diskFile) error {
		return l.with(func(to diskFile) error {
			// What the upper layer hides may not show up again.
			if err := to.Truncate("merge truncate", top.below); err != nil {
				return err
			}
			l.hide(top.below)
			if err := to.Truncate("merge truncate", end); err != nil {
				return err
			}
			var err error
			copyRange := func(off, end int64) {
				if err == nil && off < end {
					err = copyPiece(to, from, off, end)
					l.wrote(off, end)
				}
			}
			for _, x := range top.written {
				copyRange(x.Off, min(x.End, end))
			}
			copyRange(top.below, end)
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
