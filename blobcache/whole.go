package blobcache

import (
	"context"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/blobcache/pieces"
)

// wholeDir holds whole blobs that the shared cache can't take.
const wholeDir = "whole"

func wholeName(hash string) string { return path.Join(wholeDir, hash[:2], hash) }

func (c *Cache) wholePath(hash string) string { return c.dir.abs(wholeName(hash)) }

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
	if f := pieces.Of(files[0].Path); f != nil {
		first := f.First(k.key.size)
		k.description = description{format: f, next: span{first.Off, first.End}}
	}
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
	// Eviction by another process leaves a locked file alone. One of a file system
	// without locks is readable still, after it lost its name.
	_ = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	k.mu.Lock()
	data := k.data
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
