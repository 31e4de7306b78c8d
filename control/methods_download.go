package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// cacheParams are what both downloads take.
type cacheParams struct {
	inRepo
	atRevision
	CacheDir       string `param:"cache_dir" doc:"another shared cache than HF_HUB_CACHE"`
	LocalDir       string `param:"local_dir" doc:"put the files into this folder, under their own names, instead of the cache (absolute, where a mount is asked)"`
	Force          bool   `param:"force_download" default:"false" doc:"ask the Hub although the commit is here already; right bytes aren't fetched twice"`
	LocalFilesOnly bool   `param:"local_files_only" default:"false" doc:"give what is here, without the network"`
}

// into is where a download goes.
func (p *cacheParams) into(s *session) string {
	if p.CacheDir != "" {
		return p.CacheDir
	}
	return s.CacheDir
}

// intoFolder is how the client downloads into the local folder.
func (p *cacheParams) intoFolder(ctx context.Context, s *session) (dir string, opts *hub.DownloadOptions, err error) {
	dir, err = expandHome(p.LocalDir)
	return dir, &hub.DownloadOptions{
		Force: p.Force, LocalOnly: p.LocalFilesOnly || s.Offline, Cache: hub.OpenCacheDir(p.into(s)), Progress: transferProgress(ctx),
	}, err
}

type downloadParams struct {
	cacheParams
	Filename  string `param:"filename" required:"true" doc:"path of the file in the repository"`
	Subfolder string `param:"subfolder" doc:"put before filename"`
}

func hfHubDownload(ctx context.Context, s *session, p *downloadParams) (any, error) {
	name := path.Join(p.Subfolder, p.Filename)
	if err := hub.ValidPath(name); err != nil {
		return nil, err
	}
	if p.LocalDir != "" {
		dir, opts, err := p.intoFolder(ctx, s)
		if err != nil {
			return nil, err
		}
		return s.Hub.DownloadTo(ctx, hub.FileRef{Repo: p.repo(), Revision: p.orMain(), Path: name}, dir, opts)
	}
	local := hub.OpenCacheDir(p.into(s))
	offline := p.LocalFilesOnly || s.Offline
	if offline || isCommit(p.Revision) && !p.Force {
		file, err := local.Lookup(p.repo(), p.orMain(), name)
		switch {
		case err == nil:
			return file, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case offline:
			return nil, notHere(p.repo(), p.orMain(), name)
		}
	}
	meta, err := s.Hub.FileMetadata(ctx, hub.FileRef{Repo: p.repo(), Revision: p.orMain(), Path: name})
	if err != nil {
		// What was downloaded once is still good when the Hub can't be reached.
		if transient(err) && !p.Force {
			if file, localErr := local.Lookup(p.repo(), p.orMain(), name); localErr == nil {
				return file, nil
			}
		}
		return nil, err
	}
	cache, done, err := s.OpenCache(s.Hub, p.into(s))
	if err != nil {
		return nil, err
	}
	err = newDownloads(ctx).fetch(ctx, cache, blobcache.File{
		Repo: p.repo(), Revision: p.orMain(), Commit: meta.CommitHash, Path: name, Hash: meta.ETag, Size: meta.Size,
	})
	if err := errors.Join(err, done()); err != nil {
		return nil, err
	}
	return local.SnapshotPath(p.repo(), meta.CommitHash, name)
}

// transient errors say nothing about the file.
func transient(err error) bool {
	return errors.Is(err, hub.ErrUnavailable) || errors.Is(err, hub.ErrRateLimited)
}

// downloads fetches files into the cache, and tells who wants to know how far it is.
type downloads struct {
	mu   sync.Mutex // guards sum; held over tell
	tell func(hub.Progress)
	sum  hub.Progress
}

func newDownloads(ctx context.Context) *downloads { return &downloads{tell: transferProgress(ctx)} }

// watchEvery is how often a file is looked at while it is fetched.
const watchEvery = 200 * time.Millisecond

func (d *downloads) fetch(ctx context.Context, cache *blobcache.Cache, f blobcache.File) error {
	if f.Commit == "" || f.Hash == "" || f.Size < 0 {
		return fmt.Errorf("download %s of %s: the Hub gave no commit, ETag or size: %w", f.Path, f.Repo, hub.ErrProtocol)
	}
	b, err := cache.Open(f)
	if err != nil {
		return fmt.Errorf("download %s of %s: %w", f.Path, f.Repo, err)
	}
	watched := d.watch(f, b)
	err = b.Fetch(ctx)
	watched(err == nil)
	if err := errors.Join(err, b.Close()); err != nil {
		return fmt.Errorf("download %s of %s: %w", f.Path, f.Repo, err)
	}
	return nil
}

// watch tells how far a file is until the function is called that it gives.
func (d *downloads) watch(f blobcache.File, b *blobcache.Blob) (end func(whole bool)) {
	if d.tell == nil {
		return func(bool) {}
	}
	var done int64
	move := func(to, total int64, files int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.sum.Path, d.sum.Done, d.sum.Size = f.Path, to, f.Size
		d.sum.TotalDone += to - done
		d.sum.Total += total
		d.sum.Files += files
		done = to
		d.tell(d.sum)
	}
	move(min(b.Cached(), f.Size), f.Size, 0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				move(min(b.Cached(), f.Size), 0, 0)
			case <-stop:
				return
			}
		}
	}()
	return func(whole bool) {
		close(stop)
		<-stopped
		if whole {
			move(f.Size, 0, 1)
		}
	}
}

func notHere(repo hub.Repo, revision, name string) error {
	what := "revision " + revision
	if name != "" {
		what = name + " at " + revision
	}
	return fmt.Errorf("%s of %s isn't in the cache, and the network may not be asked: %w", what, repo, hub.ErrOffline)
}

func isCommit(s string) bool {
	if len(s) != 40 {
		return false
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}

type snapshotParams struct {
	cacheParams
	Allow   *stringList `param:"allow_patterns" doc:"only files that match one, as in fnmatch"`
	Ignore  stringList  `param:"ignore_patterns" doc:"not files that match one, as in fnmatch"`
	Workers int         `param:"max_workers" default:"8" doc:"files at a time"`
}

func snapshotDownload(ctx context.Context, s *session, p *snapshotParams) (any, error) {
	if p.Workers < 1 || p.Workers > 256 {
		return nil, badParam("max_workers", "is %d, and must be from 1 to 256", p.Workers)
	}
	filter := hub.Patterns{Ignore: p.Ignore}
	if p.Allow != nil {
		filter.Allow = *p.Allow
	}
	if p.LocalDir != "" {
		dir, opts, err := p.intoFolder(ctx, s)
		if err != nil {
			return nil, err
		}
		opts.Allow, opts.Ignore, opts.Workers = filter.Allow, filter.Ignore, p.Workers
		return s.Hub.SnapshotTo(ctx, p.repo(), p.orMain(), dir, opts)
	}
	local := hub.OpenCacheDir(p.into(s))
	if p.LocalFilesOnly || s.Offline {
		return localSnapshot(local, p)
	}
	commit := p.Revision
	if !isCommit(commit) {
		info, err := s.Hub.RepoInfo(ctx, p.repo(), &hub.RepoInfoOptions{Revision: p.orMain(), Expand: []string{"sha"}})
		if err != nil {
			if dir, localErr := localSnapshot(local, p); localErr == nil && transient(err) {
				return dir, nil
			}
			return nil, err
		}
		commit = info.SHA
	}
	cache, done, err := s.OpenCache(s.Hub, p.into(s))
	if err != nil {
		return nil, err
	}
	all := newDownloads(ctx)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.Workers)
	for e, err := range s.Hub.Tree(gctx, p.repo(), commit, "", &hub.TreeOptions{Recursive: true}) {
		if err != nil {
			g.Go(func() error { return err })
			break
		}
		if e.Type != hub.TypeFile || !filter.Match(e.Path) {
			continue
		}
		f := blobcache.File{Repo: p.repo(), Revision: p.orMain(), Commit: commit, Path: e.Path, Hash: e.OID, Size: e.Size}
		if e.LFS != nil {
			f.Hash, f.Size = e.LFS.SHA256, e.LFS.Size
		}
		g.Go(func() error { return all.fetch(gctx, cache, f) })
	}
	if err := errors.Join(g.Wait(), done()); err != nil {
		return nil, err
	}
	return snapshotFolder(local, p.repo(), commit)
}

// localSnapshot is the folder of a revision as far as it is here; like Python's library it doesn't ask
// whether that is all of it.
func localSnapshot(local *hub.CacheDir, p *snapshotParams) (string, error) {
	commit := p.Revision
	if !isCommit(commit) {
		var err error
		if commit, err = local.ReadRef(p.repo(), p.orMain()); err != nil {
			return "", notHere(p.repo(), p.orMain(), "")
		}
	}
	dir, err := snapshotFolder(local, p.repo(), commit)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err != nil {
		return "", notHere(p.repo(), p.orMain(), "")
	}
	return dir, nil
}

func snapshotFolder(local *hub.CacheDir, repo hub.Repo, commit string) (string, error) {
	folder, err := local.RepoFolder(repo)
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, "snapshots", commit), nil
}
