package blobcache

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"time"
)

// smallTries is how often a small file is fetched if its bytes are wrong.
const smallTries = 3

// smallFetch is the fetch of a whole small file. It belongs to the core.
type smallFetch struct {
	file File
	done chan struct{}
	err  error // set before done is closed
}

// startSmall begins to fetch a small file, or joins who does. Needs mu.
func (k *core) startSmall(file File) *smallFetch {
	if k.small != nil {
		return k.small
	}
	run := &smallFetch{file: file, done: make(chan struct{})}
	k.small = run
	if !k.work(func() { k.runSmall(run) }) {
		run.err = ErrClosed
		close(run.done)
	}
	return run
}

// awaitSmall waits for the fetch. If that was of another repository and failed,
// this reader's own may still do better.
func (k *core) awaitSmall(ctx context.Context, run *smallFetch, own File) error {
	select {
	case <-run.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if run.err != nil && run.file.Repo != own.Repo {
		return nil
	}
	return run.err
}

func (k *core) runSmall(run *smallFetch) {
	content, err := k.fetchSmall(run.file)
	if err == nil {
		k.keepSmall(run.file, content)
	}
	k.mu.Lock()
	run.err = err
	k.small = nil
	k.mu.Unlock()
	close(run.done)
}

// fetchSmall gives the verified content.
func (k *core) fetchSmall(file File) ([]byte, error) {
	if k.key.size > 0 {
		release, err := k.c.slot(k.c.ctx, false)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	content := make([]byte, k.key.size)
	pause := func(d time.Duration) error { return sleep(k.c.ctx, d) }
	for try := 1; ; try++ {
		if k.key.size > 0 {
			err := k.stream(k.c.ctx, file, span{0, k.key.size}, pause, func(b []byte, off int64) error {
				copy(content[off:], b)
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		h := newHasher(k.key.hash, k.key.size)
		_, _ = h.Write(content)
		if sumIs(h, k.key.hash) {
			return content, nil
		}
		k.c.stats.corrupt.Add(1)
		if try == smallTries || k.key.size == 0 {
			k.c.log.Warn("content is corrupt", "path", file.Path, "repo", file.Repo, "hash", k.key.hash)
			k.fail(ErrCorrupt)
			return nil, ErrCorrupt
		}
		k.mu.Lock()
		at := k.location.at
		k.mu.Unlock()
		k.expire(at)
	}
}

// keepSmall puts verified content on disk and makes the core whole; where no disk
// takes it, in memory.
func (k *core) keepSmall(file File, content []byte) {
	c := k.c
	path, err := c.keepShared(c.ctx, file, func() error {
		return c.shared.AddBlob(file.Repo, file.Hash, bytes.NewReader(content), file.Size)
	})
	if err != nil {
		c.log.Warn("the shared cache doesn't take a blob", "path", file.Path, "repo", file.Repo, "err", err)
		_ = c.ledger.add(ledgerLine{Op: opBlob, Hash: file.Hash, Size: file.Size},
			ledgerLine{Op: opUse, Hash: file.Hash, Time: time.Now().UnixNano()})
		if err = c.dir.replace(wholeName(file.Hash), content); err == nil {
			path = c.wholePath(file.Hash)
			c.remember(file.Hash, path)
		}
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if err != nil {
		c.stats.uncached.Add(1)
		k.mu.Lock()
		k.mem = content
		k.wake()
		k.mu.Unlock()
		return
	}
	k.becomeWhole(share(f), path)
	k.mu.Lock()
	files := slices.Clone(k.files)
	k.mu.Unlock()
	k.settleAll(files)
	c.limit()
}

func newSection(r io.ReaderAt, size int64) io.Reader { return io.NewSectionReader(r, 0, size) }
