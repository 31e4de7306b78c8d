package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	treesVersion = 1
	maxTreesFile = 1 << 30 // bytes; a million files take about 200 MB
)

// CachedTreeFile is a file of a commit as the newer releases of huggingface_hub
// keep it in trees/<commit>.json.
type CachedTreeFile struct {
	Size    int64   `json:"size"`
	BlobID  string  `json:"blob_id"`
	SHA256  *string `json:"lfs_sha256,omitempty"`
	LFSSize *int64  `json:"lfs_size,omitempty"`
	XetHash *string `json:"xet_hash,omitempty"`
}

type treesFile struct {
	Version int                       `json:"format_version"`
	Files   map[string]CachedTreeFile `json:"files"`
}

// ETag names the content: its sha256 for an LFS file, else Git's blob id.
func (f CachedTreeFile) ETag() string {
	if f.SHA256 != nil {
		return *f.SHA256
	}
	return f.BlobID
}

// ReadTrees gives all files of a commit by path, where the cache has its listing;
// fs.ErrNotExist where it hasn't, or has one that can't be understood. Paths that
// ValidPath refuses are left out.
func (d *CacheDir) ReadTrees(r Repo, commit string) (map[string]CachedTreeFile, error) {
	dir, err := d.RepoFolder(r)
	if err != nil {
		return nil, err
	}
	if err := validCommit(commit); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, "trees", commit+".json"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := decodeTrees(io.LimitReader(f, maxTreesFile))
	if err != nil {
		return nil, fmt.Errorf("listing of %s at %s in the shared cache: %w: %w", r, commit, err, fs.ErrNotExist)
	}
	return t, nil
}

func decodeTrees(in io.Reader) (map[string]CachedTreeFile, error) {
	var t treesFile
	if err := json.NewDecoder(in).Decode(&t); err != nil {
		return nil, err
	}
	if t.Version != treesVersion || t.Files == nil {
		return nil, fmt.Errorf("format_version %d isn't known", t.Version)
	}
	for path, f := range t.Files {
		switch {
		case ValidPath(path) != nil:
			delete(t.Files, path)
		case f.Size < 0 || !isOID(f.BlobID) || f.SHA256 != nil && !isSHA256(*f.SHA256) ||
			f.XetHash != nil && !isSHA256(*f.XetHash):
			return nil, fmt.Errorf("bad entry for %q", path)
		}
	}
	return t.Files, nil
}

// WriteTrees keeps the complete listing of a commit, for whoever lists it
// without network. With a listing the official client refuses snapshots with
// gaps, which it took for whole before; so nothing is written, and false
// returned, where the commit has such a snapshot and no listing.
func (d *CacheDir) WriteTrees(r Repo, commit string, files map[string]CachedTreeFile) (bool, error) {
	dir, err := d.RepoFolder(r)
	if err != nil {
		return false, err
	}
	if err := validCommit(commit); err != nil {
		return false, err
	}
	if isFile(filepath.Join(dir, "trees", commit+".json")) {
		return false, nil // as right as ours: a commit doesn't change
	}
	snapshot := filepath.Join(dir, "snapshots", commit)
	_, err = os.Stat(snapshot)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	exists := err == nil
	for path := range files {
		if err := ValidPath(path); err != nil {
			return false, err
		}
		if exists && !isFile(filepath.Join(snapshot, filepath.FromSlash(path))) {
			return false, nil
		}
	}
	data, err := json.MarshalIndent(treesFile{Version: treesVersion, Files: files}, "", " ")
	if err != nil {
		return false, err
	}
	root, err := d.openRepo(r)
	if err != nil {
		return false, err
	}
	defer root.Close()
	return true, root.writeFile("trees/"+commit+".json", data)
}
