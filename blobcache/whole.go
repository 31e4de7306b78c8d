package blobcache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// wholeDir holds whole blobs that the shared cache can't take.
const wholeDir = "whole"

func (c *Cache) wholePath(hash string) string {
	return filepath.Join(c.dir.path, wholeDir, hash[:2], hash)
}

// candidates are the local files that may hold the content of f, the likeliest
// first.
func (c *Cache) candidates(f File) iter.Seq[string] {
	return func(yield func(string) bool) {
		if p, err := c.shared.BlobPath(f.Repo, f.Hash); err == nil && !yield(p) {
			return
		}
		// Where there are no symbolic links, the snapshot has the content itself.
		if p, err := c.shared.SnapshotPath(f.Repo, f.Commit, f.Path); err == nil {
			if fi, err := os.Lstat(p); err == nil && fi.Mode().IsRegular() && !yield(p) {
				return
			}
		}
		if !yield(c.wholePath(f.Hash)) {
			return
		}
		if r, ok := c.otherRepo(f); ok {
			if p, err := c.shared.BlobPath(r, f.Hash); err == nil {
				yield(p)
			}
		}
	}
}

// look finds out what of the content is on local disk.
func (k *core) look(ctx context.Context) {
	defer close(k.located)
	if err := k.c.waitHeld(ctx, k.key.hash); err != nil {
		k.fail(ErrClosed)
		return
	}
	k.mu.Lock()
	files := slices.Clone(k.files)
	k.mu.Unlock()
	for path := range k.c.candidates(files[0]) {
		if k.use(ctx, path) {
			if k.key.size == 0 {
				k.settleAll(files)
			}
			return
		}
		if ctx.Err() != nil {
			k.fail(ErrClosed)
			return
		}
	}
	if k.key.size <= smallFile {
		if k.key.size == 0 { // there is nothing to fetch
			k.mu.Lock()
			k.startSmall(files[0])
			k.mu.Unlock()
		}
		return
	}
	part, err := openPartial(k.c.dir, k.key.hash, k.key.size)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.noDisk = err
		k.c.log.Warn("reading without a local copy", "path", files[0].Path, "repo", files[0].Repo, "err", err)
		return
	}
	k.part, k.data = part, share(part.data)
	k.verify() // complete, if the last process died before the verdict
}

// use takes a local file for the content, if it has the right bytes.
func (k *core) use(ctx context.Context, path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		f.Close()
		return false
	}
	id := identify(k.key.hash, fi)
	k.mu.Lock()
	known := slices.Contains(k.bad, id)
	k.mu.Unlock()
	if known || !k.c.trust(ctx, f, fi, k.key) {
		f.Close()
		k.mu.Lock()
		k.bad = append(k.bad, id)
		k.mu.Unlock()
		return false
	}
	k.becomeWhole(share(f), path)
	return true
}

// becomeWhole makes every read go to file from now on. It takes over the
// caller's share of it.
func (k *core) becomeWhole(file *sharedFile, path string) {
	k.mu.Lock()
	data := k.data
	// Eviction by another process leaves a locked file alone. One of a file system
	// without locks is readable still, after it lost its name.
	_ = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if k.err != nil || k.whole != nil {
		k.mu.Unlock()
		file.release()
		return
	}
	k.whole, k.path = file, path
	k.part, k.data, k.mem = nil, nil, nil
	k.wake()
	k.mu.Unlock()
	if data != nil {
		data.release()
	}
}

func identify(hash string, fi fs.FileInfo) fileIdentity {
	return fileIdentity{hash, inodeOf(fi), fi.Size(), fi.ModTime().UnixNano()}
}

func (id fileIdentity) line() ledgerLine {
	return ledgerLine{Op: opOK, Hash: id.hash, Inode: id.inode, Size: id.size, Time: id.mtime}
}

// trust tells whether an open file has the right bytes. It reads all of it the
// first time.
func (c *Cache) trust(ctx context.Context, f *os.File, fi fs.FileInfo, key coreKey) bool {
	id := identify(key.hash, fi)
	if fi.Size() == key.size && c.ledger.isVerified(id) {
		return true
	}
	ok, err := c.check(ctx, f, fi, key)
	if err != nil {
		if ctx.Err() == nil {
			c.log.Warn("blob can't be verified", "file", f.Name(), "err", err)
		}
		return false
	}
	if !ok {
		c.stats.corrupt.Add(1)
		c.log.Warn("blob has the wrong bytes; it is not used", "file", f.Name())
		return false
	}
	c.stats.verified.Add(1)
	if err := c.ledger.add(id.line()); err != nil {
		c.log.Debug("verification can't be remembered", "err", err)
	}
	return true
}

// check hashes an open file. One that changes meanwhile isn't right.
func (c *Cache) check(ctx context.Context, f *os.File, fi fs.FileInfo, key coreKey) (bool, error) {
	if fi.Size() != key.size {
		return false, nil
	}
	c.stats.verifying.Add(1)
	defer c.stats.verifying.Add(-1)
	h := newHasher(key.hash, key.size)
	for off := int64(0); off < key.size; off += settleAtMost {
		end := min(off+settleAtMost, key.size)
		if err := hashFile(ctx, h, f, off, end); err != nil {
			return false, err
		}
		c.stats.verifiedBytes.Add(end - off)
	}
	now, err := f.Stat()
	if err != nil {
		return false, err
	}
	return sumIs(h, key.hash) && identify(key.hash, now) == identify(key.hash, fi), nil
}

// adopt looks whether somebody else has put the whole content into the shared
// cache meanwhile. A large one that would have to be hashed first is left for
// the next Open.
func (k *core) adopt(ctx context.Context) bool {
	k.mu.Lock()
	files, part := slices.Clone(k.files), k.part
	k.mu.Unlock()
	for _, f := range files {
		path, err := k.c.shared.BlobPath(f.Repo, k.key.hash)
		if err != nil {
			continue
		}
		fi, ok := regular(path)
		if !ok || fi.Size() != k.key.size ||
			k.key.size > settleAtMost && !k.c.ledger.isVerified(identify(k.key.hash, fi)) {
			continue
		}
		if k.use(ctx, path) {
			if part != nil {
				part.drop()
			}
			return true
		}
	}
	return false
}

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
		k.fail(ErrCorrupt)
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

// keep moves a verified partial file to its name in the shared cache, or, where
// that fails, in hubfs's own folder. It gives "" and an error where both fail;
// the partial file then stays, to be verified again.
func (c *Cache) keep(ctx context.Context, f File, part *partialFile, data *sharedFile) (string, error) {
	if err := data.Sync(); err != nil {
		return "", err
	}
	move := func() error { return c.shared.MoveBlob(f.Repo, f.Hash, part.path) }
	if part.path == "" {
		move = func() error {
			return c.shared.AddBlob(f.Repo, f.Hash, newSection(data, f.Size), f.Size)
		}
	}
	path, err := c.keepShared(ctx, f, move)
	if err == nil {
		part.forget()
		return path, nil
	}
	if part.path == "" {
		return "", err
	}
	path = c.wholePath(f.Hash)
	if _, _, _, e := c.dir.mkdir(filepath.Join(wholeDir, f.Hash[:2])); e != nil {
		return "", errors.Join(err, e)
	}
	_ = c.ledger.add(ledgerLine{Op: opBlob, Hash: f.Hash, Size: f.Size},
		ledgerLine{Op: opUse, Hash: f.Hash, Time: time.Now().UnixNano()})
	if e := os.Rename(part.path, path); e != nil {
		return "", errors.Join(err, e)
	}
	part.forget()
	c.remember(f.Hash, path)
	return path, err
}

// keepShared notes in the ledger that a blob is going to be made, lets make do
// it, and notes that its bytes are right.
func (c *Cache) keepShared(ctx context.Context, f File, make func() error) (string, error) {
	path, err := c.shared.BlobPath(f.Repo, f.Hash)
	if err != nil {
		return "", err
	}
	err = c.ledger.add(ledgerLine{Op: opBlob, Repo: f.Repo.String(), Hash: f.Hash, Size: f.Size},
		ledgerLine{Op: opUse, Repo: f.Repo.String(), Hash: f.Hash, Time: time.Now().UnixNano()})
	if err != nil {
		c.log.Debug("blob isn't in the ledger, and won't be evicted", "err", err)
	}
	if err = make(); isFull(err) && c.makeRoom(ctx, f.Size) {
		err = make()
	}
	if err != nil {
		if _, ok := regular(path); !ok {
			_ = c.ledger.add(ledgerLine{Op: opGone, Repo: f.Repo.String(), Hash: f.Hash})
		}
		return "", err
	}
	c.remember(f.Hash, path)
	return path, nil
}

// remember notes that a file has the right bytes.
func (c *Cache) remember(hash, path string) {
	if fi, ok := regular(path); ok {
		if err := c.ledger.add(identify(hash, fi).line()); err != nil {
			c.log.Debug("verification can't be remembered", "err", err)
		}
	}
}

// place gives a content that is whole at path the name of f in the shared cache:
// blob, link and ref, as far as each is missing. Failures cost only others'
// finding it.
func (c *Cache) place(ctx context.Context, f File, path string) {
	if err := c.tryPlace(ctx, f, path); err != nil {
		c.log.Debug("file isn't in the shared cache", "path", f.Path, "repo", f.Repo, "err", err)
	}
}

func (c *Cache) tryPlace(ctx context.Context, f File, path string) error {
	own, err := c.shared.BlobPath(f.Repo, f.Hash)
	if err != nil {
		return err
	}
	snapshot, err := c.shared.SnapshotPath(f.Repo, f.Commit, f.Path)
	if err != nil {
		return err
	}
	if path != own && path != snapshot {
		fi, ok := regular(own)
		if !ok || !c.ledger.isVerified(identify(f.Hash, fi)) {
			_, err := c.keepShared(ctx, f, func() error { return c.shared.LinkBlob(f.Repo, f.Hash, path) })
			if err != nil {
				return err
			}
		}
	}
	name := blobName{f.Repo.String(), f.Hash}
	if _, ok := regular(snapshot); !ok {
		err := c.ledger.add(ledgerLine{Op: opLink, Repo: name.repo, Hash: name.hash, Commit: f.Commit, Path: f.Path})
		if err != nil {
			c.log.Debug("link isn't in the ledger, and won't be evicted", "err", err)
		}
		if _, err := c.shared.LinkSnapshot(f.Repo, f.Commit, f.Path, f.Hash); err != nil {
			return err
		}
	}
	c.ledger.touch(name)
	return c.moveRef(ctx, f)
}

// place is Cache.place at the first read of a handle.
func (k *core) place(ctx context.Context, b *Blob) {
	if b.placed.Load() {
		return
	}
	if path, ok := k.wholePath(); ok && !b.placed.Swap(true) {
		k.c.place(ctx, b.file, path)
	}
}
