package hub

import (
	"errors"
	"io/fs"
	"path"
	"syscall"
)

// RemoveSnapshot removes the link of a file of a commit if it leads to the blob
// of that etag, and the folders that are empty then, except the commit's own: see
// RemoveEmptySnapshot. It tells whether the link was there.
func (d *CacheDir) RemoveSnapshot(r Repo, commit, file, etag string) (bool, error) {
	if _, err := d.SnapshotPath(r, commit, file); err != nil {
		return false, err
	}
	root, err := d.openRepo(r)
	if err != nil {
		return false, err
	}
	defer root.Close()
	top := path.Join("snapshots", commit)
	name := path.Join(top, file)
	target, err := root.Readlink(name)
	if err != nil || path.Join(path.Dir(name), target) != "blobs/"+etag {
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) {
			return false, nil
		}
		return false, err
	}
	if err := root.Remove(name); err != nil {
		return false, err
	}
	for dir := path.Dir(name); dir != top; dir = path.Dir(dir) {
		if root.Remove(dir) != nil {
			break // not empty
		}
	}
	return true, nil
}

// RemoveEmptySnapshot removes the folder of a commit that has no files, and the
// refs that name the commit: a ref to nothing counts as damage. The folder stays
// where it has files, and where mayForget refuses a ref. It tells which refs are
// gone.
func (d *CacheDir) RemoveEmptySnapshot(r Repo, commit string, mayForget func(revision string) bool) ([]string, error) {
	if err := validCommit(commit); err != nil {
		return nil, err
	}
	root, err := d.openRepo(r)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	top := path.Join("snapshots", commit)
	if entries, err := fs.ReadDir(root.FS(), top); err != nil || len(entries) > 0 {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, err
	}
	refs, err := d.Refs(r)
	if err != nil {
		return nil, err
	}
	var gone []string
	for revision, c := range refs {
		if c == commit && !mayForget(revision) {
			return nil, nil
		}
	}
	for revision, c := range refs {
		if c != commit {
			continue
		}
		if err := root.Remove(path.Join("refs", revision)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return gone, err
		}
		gone = append(gone, revision)
	}
	return gone, root.Remove(top)
}

// RemoveBlob removes the name of a blob from a repository. A link into the
// shared store is removed as the link that it is. Links of snapshots to the
// blob are the caller's to remove before.
func (d *CacheDir) RemoveBlob(r Repo, etag string) error {
	if err := validETag(etag); err != nil {
		return err
	}
	root, err := d.openRepo(r)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.Remove("blobs/" + etag)
}
