package blobcache

import (
	"fmt"
	"os"
	"slices"
)

// verify begins to hash what is here, if it may soon be all. Needs mu.
func (k *core) verify() {
	if k.hashing || k.part == nil || k.err != nil {
		return
	}
	total, front := k.part.total(), k.part.until(k.hashed)
	// Most blobs are never whole: hash ahead only where it looks as if.
	if total < k.key.size && (total < k.key.size/4 || front-k.hashed < maxSegment) {
		return
	}
	part, data := k.part, k.data.acquire()
	k.hashing = k.work(func() { k.hash(part, data) })
	if !k.hashing {
		data.release()
	}
}

// hash is the goroutine that verify begins: it hashes what is here from the
// start on without a gap, and ends with the verdict if that is all.
func (k *core) hash(part *partialFile, data *sharedFile) {
	defer data.release()
	k.mu.Lock()
	hashed := k.hashed
	k.mu.Unlock()
	for {
		front := min(part.until(hashed), hashed+settleAtMost)
		if front == hashed {
			break
		}
		if err := hashFile(k.c.ctx, k.hasher, data, hashed, front); err != nil {
			k.unreadable(part, err)
			return
		}
		hashed = front
		k.mu.Lock()
		k.hashed = hashed
		k.mu.Unlock()
	}
	if hashed == k.key.size {
		k.verdict(part, data)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hashing = false
	if hashed < k.key.size {
		k.verify() // more may have come since
	}
	k.wake()
}

// unreadable ends a core whose partial file fails.
func (k *core) unreadable(part *partialFile, err error) {
	if k.c.ctx.Err() != nil {
		err = ErrClosed
	} else {
		part.drop()
	}
	k.fail(fmt.Errorf("partial blob can't be read back: %w", err))
}

// verdict ends the partial state.
func (k *core) verdict(part *partialFile, data *sharedFile) {
	if !sumIs(k.hasher, k.key.hash) {
		k.c.stats.corrupt.Add(1)
		k.c.log.Warn("content is corrupt; it will be fetched again", "hash", k.key.hash)
		part.drop()
		k.mu.Lock()
		at := k.location.at
		k.mu.Unlock()
		k.expire(at)
		// Twice: who asks in between may still be given bytes of these.
		k.c.distrusted.Add(1)
		k.fail(ErrCorrupt)
		k.c.distrusted.Add(1)
		return
	}
	k.mu.Lock()
	files := slices.Clone(k.files)
	k.mu.Unlock()
	path, err := k.c.keep(k.c.ctx, files[0], part, data)
	if err != nil {
		k.c.log.Warn("whole blob isn't in the shared cache", "path", files[0].Path, "repo", files[0].Repo, "err", err)
	}
	if path == "" { // it stays a partial file, of which nothing is missing
		_ = part.sync()
		part.closeJournal()
	}
	file := data.acquire()
	if f, err := os.Open(path); err == nil {
		if sameFile(f, data.File) {
			f.Close()
		} else { // a copy: that is on another file system
			file.release()
			file = share(f)
		}
	}
	k.becomeWhole(file, path)
	k.settleAll(files)
	k.c.limit()
}

func sameFile(a, b *os.File) bool {
	x, err := a.Stat()
	if err != nil {
		return false
	}
	y, err := b.Stat()
	return err == nil && os.SameFile(x, y)
}

// settleAll gives a whole content all the names that were asked for so far.
func (k *core) settleAll(files []File) {
	path, ok := k.wholePath()
	if !ok {
		return
	}
	for _, f := range files {
		k.c.place(k.c.ctx, f, path)
	}
}

func (k *core) wholePath() (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.path, k.whole != nil && k.path != ""
}
