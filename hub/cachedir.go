package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// CacheDir is the folder in which huggingface_hub keeps what it downloaded
// (HF_HUB_CACHE), shared by every program of this ecosystem:
//
//	<type>s--<ns>--<name>/blobs/<etag>                content, or a link into the shared store
//	<type>s--<ns>--<name>/snapshots/<commit>/<path>   relative links to blobs
//	<type>s--<ns>--<name>/refs/<revision>             40 hex digits, no newline
//	<type>s--<ns>--<name>/.no_exist/<commit>/<path>   empty: known to be missing
//	<type>s--<ns>--<name>/trees/<commit>.json         complete listings, by newer releases
//	blobs/<2 hex>/<hash>                              shared store of newer releases
//
// Whoever writes here does so by rename, and takes no lock that others wait for.
// The shared store is keyed by a hash that only the Xet protocol can verify, and
// only what came by it is put there; so a CacheDir reads through its links, and
// never writes, deletes or counts anything in it.
//
// Methods refuse names that could lead elsewhere with a [*ValidationError].
// What root makes in another user's folder belongs to that user, and root
// doesn't follow links out of it. Methods are safe for concurrent use, in
// several processes.
type CacheDir struct {
	path string
}

// OpenCacheDir names a cache folder. It need not exist; writing makes it.
func OpenCacheDir(path string) *CacheDir {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return &CacheDir{path: path}
}

// Path is the folder.
func (d *CacheDir) Path() string { return d.path }

// RepoFolder is where a repository is kept.
func (d *CacheDir) RepoFolder(r Repo) (string, error) {
	name, err := repoFolderName(r)
	if err != nil {
		return "", err
	}
	return filepath.Join(d.path, name), nil
}

// BlobPath is where content of that etag is kept, whether or not it is there.
func (d *CacheDir) BlobPath(r Repo, etag string) (string, error) {
	dir, err := d.RepoFolder(r)
	if err != nil {
		return "", err
	}
	if err := validETag(etag); err != nil {
		return "", err
	}
	return filepath.Join(dir, "blobs", etag), nil
}

// SnapshotPath is where a file of a commit is found, whether or not it is there.
func (d *CacheDir) SnapshotPath(r Repo, commit, path string) (string, error) {
	dir, err := d.RepoFolder(r)
	if err != nil {
		return "", err
	}
	if err := validCommit(commit); err != nil {
		return "", err
	}
	if err := ValidPath(path); err != nil {
		return "", err
	}
	return filepath.Join(dir, "snapshots", commit, filepath.FromSlash(path)), nil
}

// ReadRef gives the commit that the cache knows for a revision; fs.ErrNotExist
// if it knows none.
func (d *CacheDir) ReadRef(r Repo, revision string) (string, error) {
	dir, err := d.RepoFolder(r)
	if err != nil {
		return "", err
	}
	if err := validRevisionName(revision); err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(dir, "refs", filepath.FromSlash(revision)))
	if err != nil {
		return "", err
	}
	commit := strings.TrimSpace(string(b))
	if validCommit(commit) != nil {
		return "", fmt.Errorf("ref %s of %s holds no commit: %w", revision, r, fs.ErrNotExist)
	}
	return commit, nil
}

// Lookup finds a file as the official client does without network: revision is
// a commit, or a ref that the cache knows. The error is fs.ErrNotExist where the
// cache doesn't know, and ErrEntryNotFound where it knows that there is none.
func (d *CacheDir) Lookup(r Repo, revision, path string) (string, error) {
	commit := revision
	if c, err := d.ReadRef(r, revision); err == nil {
		commit = c
	} else if !isHex(revision, 40) {
		return "", fmt.Errorf("%s at %s isn't in the cache: %w", path, revision, err)
	}
	file, err := d.SnapshotPath(r, commit, path)
	if err != nil {
		return "", err
	}
	dir, err := d.RepoFolder(r)
	if err != nil {
		return "", err
	}
	if isFile(filepath.Join(dir, ".no_exist", commit, filepath.FromSlash(path))) {
		return "", fmt.Errorf("%s at %s: %w", path, commit, ErrEntryNotFound)
	}
	if !isFile(file) {
		return "", fmt.Errorf("%s at %s isn't in the cache: %w", path, commit, fs.ErrNotExist)
	}
	return file, nil
}

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// Repos lists the repositories of the cache, in the order of their folders'
// names. Folders of other kinds are left out, the shared store among them.
func (d *CacheDir) Repos() ([]Repo, error) {
	entries, err := os.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var repos []Repo
	for _, e := range entries {
		if r, ok := parseRepoFolder(e.Name()); ok {
			repos = append(repos, r)
		}
	}
	return repos, nil
}

func repoFolderName(r Repo) (string, error) {
	if err := r.Validate(); err != nil {
		return "", err
	}
	return r.Type.plural() + "--" + strings.ReplaceAll(r.ID, "/", "--"), nil
}

func parseRepoFolder(name string) (Repo, bool) {
	typ, id, ok := strings.Cut(name, "--")
	if !ok {
		return Repo{}, false
	}
	r := Repo{Type: RepoType(strings.TrimSuffix(typ, "s")), ID: strings.ReplaceAll(id, "--", "/")}
	back, err := repoFolderName(r)
	return r, err == nil && back == name
}

// validETag accepts what may become the name of a blob. The Hub's are 40 or 64
// hex digits; other servers may have their own.
func validETag(etag string) error {
	bad := func(reason string) error { return &ValidationError{What: "etag", Value: etag, Reason: reason} }
	switch {
	case etag == "" || etag[0] == '.':
		return bad("must not be empty or start with a dot")
	case len(etag) > 200:
		return bad("is too long")
	case strings.HasSuffix(etag, ".incomplete"):
		return bad("names an unfinished download")
	}
	for _, c := range []byte(etag) {
		if c <= ' ' || c >= 0x7f || c == '/' || c == '\\' {
			return bad("has characters that don't belong there")
		}
	}
	return nil
}

func validCommit(commit string) error {
	if !isOID(commit) {
		return &ValidationError{What: "commit", Value: commit, Reason: "must be 40 lower-case hex digits"}
	}
	return nil
}

// validRevisionName accepts revisions that may become paths below refs.
func validRevisionName(revision string) error {
	if err := ValidPath(revision); err != nil {
		return &ValidationError{What: "revision", Value: revision, Reason: "can't be a path below refs"}
	}
	return nil
}
