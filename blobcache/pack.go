package blobcache

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// PackFile is the size up to which a file is fetched in packs, in bytes: a file
// of at most this size is brought whole in any case.
const PackFile = smallFile

// maxPacks is how many packs are fetched at a time. Their files are in memory
// until they are on disk.
const maxPacks = 2

// pack is the fetch of many files by one request. It is of one goroutine, but
// for what waits for its files, which are small fetches as any other.
type pack struct {
	c     *Cache
	blobs []*Blob // handles, which keep the cores
	files map[string]*packFile
	ids   []string // in the order in which they are asked for
	here  []*packFile
}

// packFile is a content of a pack.
type packFile struct {
	core    *core
	run     *smallFetch
	content []byte // nil until it has come
}

// FetchPack fetches small regular files of one repository with one request, as far
// as they aren't here or on their way. Files in LFS, and those larger than
// [PackFile], are left out; together they must stay below hub.MaxPack bytes, all of
// which may be in memory for a while.
//
// It calls begun when whoever reads one of the files will wait for the pack, which
// then fetches so many, and returns when what came is on disk. Where the pack
// fails, or lacks a file, readers fetch for themselves. The error is that of
// hub.FetchBlobs; that a disk takes nothing is none.
func (c *Cache) FetchPack(ctx context.Context, repo hub.Repo, files []File, begun func(files int)) error {
	p := &pack{c: c, files: make(map[string]*packFile)}
	defer p.close()
	if !c.offline {
		p.register(ctx, repo, files)
	}
	begun(len(p.ids))
	if len(p.ids) == 0 {
		return ctx.Err()
	}
	select {
	case c.packs <- struct{}{}:
		defer func() { <-c.packs }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c.stats.fetches.Add(1)
	err := c.hub.FetchBlobs(ctx, repo, p.ids, p.arrived)
	c.stats.fetches.Add(-1)
	p.giveUp()
	p.keep()
	return err
}

// register finds out which files are to be fetched, and lets their readers wait.
func (p *pack) register(ctx context.Context, repo hub.Repo, files []File) {
	for _, f := range files {
		if f.Repo != repo || len(f.Hash) != 40 || f.Size <= 0 || f.Size > smallFile {
			continue
		}
		b, err := p.c.Open(f)
		if err != nil {
			continue // its reader will hear of it
		}
		b.core.locate()
		p.blobs = append(p.blobs, b)
	}
	for _, b := range p.blobs {
		k := b.core
		if k.await(ctx) != nil {
			continue
		}
		k.mu.Lock()
		if k.err == nil && k.mem == nil && k.whole == nil && k.small == nil {
			k.small = &smallFetch{file: b.file, done: make(chan struct{})}
			p.files[k.key.hash] = &packFile{core: k, run: k.small}
			p.ids = append(p.ids, k.key.hash)
		}
		k.mu.Unlock()
	}
}

// arrived serves a file from memory. Its content is verified.
func (p *pack) arrived(id string, content []byte) error {
	f := p.files[id]
	k := f.core
	if int64(len(content)) != k.key.size {
		return nil // the listing was wrong about it, which its reader will find out
	}
	p.c.stats.fetched.Add(int64(len(content)))
	f.content = content
	p.here = append(p.here, f)
	k.mu.Lock()
	k.mem = content
	k.mu.Unlock()
	f.finish()
	return nil
}

// finish lets the readers of a file look again.
func (f *packFile) finish() {
	k := f.core
	k.mu.Lock()
	if k.small == f.run {
		k.small = nil
	}
	k.wake()
	k.mu.Unlock()
	close(f.run.done)
}

// giveUp leaves what hasn't come to its readers.
func (p *pack) giveUp() {
	for _, f := range p.files {
		if f.content == nil {
			f.finish()
		}
	}
}

// keep puts on disk what came: all of it in the shared cache at once, and what that
// doesn't take one by one.
func (p *pack) keep() {
	c := p.c
	var lines []ledgerLine
	var blobs []hub.BlobContent
	now := time.Now().UnixNano()
	for _, f := range p.here {
		repo, key := f.run.file.Repo.String(), f.core.key
		lines = append(lines, ledgerLine{Op: opBlob, Repo: repo, Hash: key.hash, Size: key.size},
			ledgerLine{Op: opUse, Repo: repo, Hash: key.hash, Time: now})
		blobs = append(blobs, hub.BlobContent{ETag: key.hash, Content: f.content})
	}
	if len(blobs) == 0 {
		return
	}
	if err := c.ledger.add(lines...); err != nil {
		c.log.Debug("blobs aren't in the ledger, and won't be evicted", "err", err)
	}
	repo := p.here[0].run.file.Repo
	if err := c.shared.AddBlobs(repo, blobs); err != nil {
		c.log.Debug("files are kept one by one", "repo", repo, "err", err)
		for _, f := range p.here {
			f.core.keepSmall(f.run.file, f.content)
		}
		return
	}
	lines = lines[:0]
	var whole []*packFile
	for _, f := range p.here {
		path, err := c.shared.BlobPath(repo, f.core.key.hash)
		if err != nil {
			continue
		}
		if fi, ok := regular(path); ok {
			lines = append(lines, identify(f.core.key.hash, fi).line())
			whole = append(whole, f)
		}
	}
	if err := c.ledger.add(lines...); err != nil {
		c.log.Debug("verification can't be remembered", "err", err)
	}
	for _, f := range whole {
		f.settle(repo)
	}
	c.limit()
}

// settle serves a file from its blob, and names it where it was asked for.
func (f *packFile) settle(repo hub.Repo) {
	k := f.core
	path, err := k.c.shared.BlobPath(repo, k.key.hash)
	if err != nil {
		return
	}
	if file, err := os.Open(path); err == nil {
		k.becomeWhole(share(file), path)
	}
	k.mu.Lock()
	files := slices.Clone(k.files)
	k.mu.Unlock()
	k.settleAll(files)
}

func (p *pack) close() {
	for _, b := range p.blobs {
		_ = b.Close() // only says that it was closed before
	}
}
