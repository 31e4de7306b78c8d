package hub

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"
)

// DownloadOptions refine DownloadTo and SnapshotTo.
type DownloadOptions struct {
	Force bool // fetch also what is there already
	// LocalOnly asks nobody: what is there is given, and what isn't is ErrOffline.
	LocalOnly bool
	// Cache is where a file may be copied from instead. Nil is none.
	Cache *CacheDir

	// Of SnapshotTo only: which files, and how many at a time; 0 is 8.
	Allow   []string
	Ignore  []string
	Workers int

	// Progress is told what was fetched, from one goroutine at a time.
	Progress func(Progress)
}

// DownloadTo puts a file into a local folder, under its path in the repository,
// and gives the path of it. The folder remembers in
// .cache/huggingface/download, as the official client has it, which commit and
// content its files are: what is up to date isn't fetched, and what was
// interrupted goes on. A file that is there is overwritten if it is another. Where
// the Hub can't be reached, what is there is good enough.
//
//	HEAD, GET /{prefix}{id}/resolve/{revision}/{path}
func (c *Client) DownloadTo(ctx context.Context, f FileRef, dir string, opts *DownloadOptions) (string, error) {
	if opts == nil {
		opts = &DownloadOptions{}
	}
	if err := f.check(); err != nil {
		return "", err
	}
	l := newLocalFile(dir, f.Path)
	known, there := l.known()
	switch {
	case opts.LocalOnly && there, !opts.Force && there && isOID(f.Revision) && known.commit == f.Revision:
		return l.path, nil
	case opts.LocalOnly:
		return "", fmt.Errorf("%s isn't in %s, and the network may not be asked: %w", f.Path, dir, ErrOffline)
	}
	m, err := c.FileMetadata(ctx, f)
	if err != nil {
		if (errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOffline)) && there && !opts.Force {
			return l.path, nil
		}
		return "", err
	}
	if m.CommitHash == "" || m.ETag == "" || m.Size < 0 {
		return "", fmt.Errorf("download %s of %s: the Hub gave no commit, ETag or size: %w", f.Path, f.Repo, ErrProtocol)
	}
	t := newTracker(opts.Progress)
	t.expect(f.Path, m.Size)
	return l.path, c.downloadTo(ctx, f, l, m, opts, t)
}

// SnapshotTo puts the files of a revision into a local folder, as DownloadTo does,
// and gives the real path of it.
//
//	GET /api/{type}s/{id}/revision/{revision}
//	GET /api/{type}s/{id}/tree/{commit}?recursive=true
//	GET /{prefix}{id}/resolve/{commit}/{path}
func (c *Client) SnapshotTo(ctx context.Context, repo Repo, revision, dir string, opts *DownloadOptions) (string, error) {
	if opts == nil {
		opts = &DownloadOptions{}
	}
	if opts.LocalOnly {
		return existingFolder(dir, ErrOffline)
	}
	commit := revision
	if !isOID(commit) {
		info, err := c.RepoInfo(ctx, repo, &RepoInfoOptions{Revision: revision, Expand: []string{"sha"}})
		if err != nil {
			if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOffline) {
				return existingFolder(dir, err)
			}
			return "", err
		}
		commit = info.SHA
	}
	workers := opts.Workers
	if workers <= 0 {
		workers = defaultWorkers
	}
	filter := Patterns{Allow: opts.Allow, Ignore: opts.Ignore}
	t := newTracker(opts.Progress)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for e, err := range c.Tree(gctx, repo, commit, "", &TreeOptions{Recursive: true}) {
		if err != nil {
			g.Go(func() error { return err })
			break
		}
		if e.Type != TypeFile || !filter.Match(e.Path) {
			continue
		}
		m := &FileMetadata{CommitHash: commit, ETag: e.OID, Size: e.Size}
		if e.LFS != nil {
			m.ETag, m.Size = e.LFS.SHA256, e.LFS.Size
		}
		t.expect(e.Path, m.Size)
		g.Go(func() error {
			return c.downloadTo(gctx, FileRef{Repo: repo, Revision: commit, Path: e.Path}, newLocalFile(dir, e.Path), m, opts, t)
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil { // where nothing was chosen
		return "", err
	}
	return realPath(dir)
}

func existingFolder(dir string, err error) (string, error) {
	entries, readErr := os.ReadDir(dir)
	if readErr != nil || len(entries) == 0 {
		return "", fmt.Errorf("nothing is in %s: %w", dir, err)
	}
	return realPath(dir)
}

func realPath(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// downloadTo brings a file up to what m says.
func (c *Client) downloadTo(ctx context.Context, f FileRef, l *localFile, m *FileMetadata, opts *DownloadOptions, t *tracker) error {
	f.Revision = m.CommitHash
	if err := l.makeFolders(); err != nil {
		return err
	}
	lock := flock.New(l.state(".lock"))
	if ok, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil || !ok {
		return fmt.Errorf("lock %s: %w", f.Path, err)
	}
	err := c.downloadLocked(ctx, f, l, m, opts, t)
	if err := errors.Join(err, lock.Unlock()); err != nil {
		return fmt.Errorf("download %s of %s: %w", f.Path, f.Repo, err)
	}
	t.fileDone(f.Path)
	return nil
}

func (c *Client) downloadLocked(ctx context.Context, f FileRef, l *localFile, m *FileMetadata, opts *DownloadOptions, t *tracker) error {
	if known, there := l.known(); there && !opts.Force {
		same := known.etag == m.ETag
		if known.etag == "" { // not ours, or changed since
			sum := newFileHash(m.ETag, m.Size)
			n, err := hashFile(l.path, sum)
			same = err == nil && n == m.Size && !sum.unknown && hex.EncodeToString(sum.Sum(nil)) == m.ETag
		}
		if same {
			return l.note(m)
		}
	}
	if opts.Cache != nil && !opts.Force {
		if path, err := opts.Cache.Lookup(f.Repo, m.CommitHash, f.Path); err == nil {
			if err := l.copyFrom(path); err != nil {
				return err
			}
			return l.note(m)
		}
	}
	partial := l.state("." + m.ETag + ".incomplete")
	err := c.fetchTo(ctx, f, partial, m, opts.Force, t)
	if errors.Is(err, ErrProtocol) {
		// The part that was there may have been wrong.
		t.restart(f.Path)
		err = c.fetchTo(ctx, f, partial, m, true, t)
	}
	if err != nil {
		return err
	}
	if err := os.Rename(partial, l.path); err != nil {
		return err
	}
	return l.note(m)
}

// fetchTo makes a file whole, of which the beginning may be there.
func (c *Client) fetchTo(ctx context.Context, f FileRef, partial string, m *FileMetadata, anew bool, t *tracker) error {
	file, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	sum := newFileHash(m.ETag, m.Size)
	var done int64
	if !anew {
		if done, err = io.Copy(sum, file); err != nil || done > m.Size {
			anew = true
		}
	}
	if anew {
		done, sum = 0, newFileHash(m.ETag, m.Size)
		if err := file.Truncate(0); err != nil {
			return errors.Join(err, file.Close())
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	t.move(f.Path, done)
	if done > 0 && done == m.Size { // it ended just before it was renamed
		if got := hex.EncodeToString(sum.Sum(nil)); !sum.unknown && got != m.ETag {
			err = fmt.Errorf("%w: what was there has the hash %s, and should have %s", ErrProtocol, got, m.ETag)
		}
		return errors.Join(err, file.Close())
	}
	content, err := c.OpenFile(ctx, f, Range{Off: done, Len: -1})
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if content.ETag != m.ETag {
		content.Close()
		return errors.Join(fmt.Errorf("%w: the ETag is %s, and was %s", ErrUnavailable, content.ETag, m.ETag), file.Close())
	}
	m.Location = content.Location
	return errors.Join(c.copyRest(ctx, f, content, m, movingWriter{file, t, f.Path}, sum, done), file.Close())
}

// movingWriter tells the tracker what is written.
type movingWriter struct {
	w    io.Writer
	t    *tracker
	path string
}

func (w movingWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.t.move(w.path, int64(n))
	return n, err
}

// localFile is a file in a folder that is downloaded to, with what is remembered
// of it.
type localFile struct {
	dir, name, path string
}

func newLocalFile(dir, name string) *localFile {
	return &localFile{dir, name, filepath.Join(dir, filepath.FromSlash(name))}
}

func (l *localFile) state(suffix string) string {
	return filepath.Join(l.dir, filepath.FromSlash(largeStateDir), "download", filepath.FromSlash(l.name)+suffix)
}

func (l *localFile) makeFolders() error {
	for _, dir := range []string{filepath.Dir(l.path), filepath.Dir(l.state(""))} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	return ignoreStateDir(l.dir)
}

type localKnown struct{ commit, etag string }

// known is what is remembered of the file, if that is still about it, and whether
// there is one. The official client allows a second, for file systems whose times
// are coarse.
func (l *localFile) known() (k localKnown, there bool) {
	info, err := os.Stat(l.path)
	if err != nil || !info.Mode().IsRegular() {
		return k, false
	}
	text, err := os.ReadFile(l.state(".metadata"))
	if err != nil {
		return k, true
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 3 {
		return k, true
	}
	stamp, err := strconv.ParseFloat(strings.TrimSpace(lines[2]), 64)
	if err != nil || info.ModTime().Add(-time.Second).After(time.UnixMicro(int64(stamp*1e6))) {
		return k, true
	}
	return localKnown{strings.TrimSpace(lines[0]), strings.TrimSpace(lines[1])}, true
}

// note remembers what the file is, as of now.
func (l *localFile) note(m *FileMetadata) error {
	now := time.Now()
	text := fmt.Sprintf("%s\n%s\n%d.%06d\n", m.CommitHash, m.ETag, now.Unix(), now.Nanosecond()/1000)
	tmp := l.state(".hubfs-tmp")
	if err := os.WriteFile(tmp, []byte(text), 0o666); err != nil {
		return err
	}
	return os.Rename(tmp, l.state(".metadata"))
}

// copyFrom makes the file a copy of another.
func (l *localFile) copyFrom(path string) error {
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	defer src.Close()
	tmp := l.state(".hubfs-copy")
	dst, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err := errors.Join(err, dst.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return os.Rename(tmp, l.path)
}

func hashFile(path string, sum io.Writer) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.Copy(sum, f)
}
