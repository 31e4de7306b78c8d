package blobcache

import (
	"context"
	"errors"
	"path"
	"time"
)

// keep moves a verified partial file to its name in the shared cache, or, where
// that fails, in hubfs's own folder. It gives "" and an error where both fail;
// the partial file then stays, to be verified again.
func (c *Cache) keep(ctx context.Context, f File, part *partialFile, data *sharedFile) (string, error) {
	if err := data.Sync(); err != nil {
		return "", err
	}
	move := func() error { return c.shared.MoveBlob(f.Repo, f.Hash, c.dir.abs(part.name)) }
	if part.name == "" {
		move = func() error {
			return c.shared.AddBlob(f.Repo, f.Hash, newSection(data, f.Size), f.Size)
		}
	}
	at, err := c.keepShared(ctx, f, move)
	if err == nil {
		part.forget()
		return at, nil
	}
	if part.name == "" {
		return "", err
	}
	name := wholeName(f.Hash)
	if _, e := c.dir.made(path.Dir(name)); e != nil {
		return "", errors.Join(err, e)
	}
	_ = c.ledger.add(ledgerLine{Op: opBlob, Hash: f.Hash, Size: f.Size},
		ledgerLine{Op: opUse, Hash: f.Hash, Time: time.Now().UnixNano()})
	if e := c.dir.rename(part.name, name); e != nil {
		return "", errors.Join(err, e)
	}
	part.forget()
	at = c.dir.abs(name)
	c.remember(f.Hash, at)
	return at, err
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
