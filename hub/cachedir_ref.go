package hub

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// RefUpdate is what UpdateRef did.
type RefUpdate struct {
	Moved bool // the ref names the commit now, and didn't before
	// Linked are files of the old commit that are the same in the new one, and got
	// their link there.
	Linked []LinkedFile
	// Missing are files of the old commit that the new one lacks: why the ref stays.
	Missing []string
}

// LinkedFile is a file of a snapshot and its blob.
type LinkedFile struct {
	Path string
	ETag string
}

// UpdateRef lets a revision name a commit of which something is in the cache. A
// ref that names another commit moves only when the new commit's snapshot has
// every file of the old one's, so that what worked without network goes on
// working; files whose content is the same are linked first. etagOf tells the
// content of a path in the new commit: its etag, "" for none, and false where it
// doesn't know; nil knows nothing. beforeLink, if not nil, is called before each
// link is made, and can forbid it by an error.
func (d *CacheDir) UpdateRef(r Repo, revision, commit string, etagOf func(path string) (string, bool),
	beforeLink func(LinkedFile) error,
) (RefUpdate, error) {
	var u RefUpdate
	if err := validCommit(commit); err != nil {
		return u, err
	}
	if err := validRevisionName(revision); err != nil {
		return u, err
	}
	if revision == commit {
		return u, nil
	}
	dir, err := d.RepoFolder(r)
	if err != nil {
		return u, err
	}
	if _, err := os.Stat(filepath.Join(dir, "snapshots", commit)); err != nil {
		return u, err // a ref to nothing counts as damage
	}
	old, err := d.ReadRef(r, revision)
	if err == nil && old == commit {
		return u, nil
	}
	if err == nil {
		if etagOf == nil {
			etagOf = func(string) (string, bool) { return "", false }
		}
		if err := d.carryOver(r, old, commit, etagOf, beforeLink, &u); err != nil {
			return u, err
		}
		if len(u.Missing) > 0 {
			return u, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return u, err
	}
	root, err := d.openRepo(r)
	if err != nil {
		return u, err
	}
	defer root.Close()
	// Somebody else may have moved the ref meanwhile, by fresher news or by the
	// rule of the official client, which is to move always. Either is as good.
	if err := root.writeFile(path.Join("refs", revision), []byte(commit)); err != nil {
		return u, err
	}
	u.Moved = true
	return u, nil
}

// carryOver gives the new commit what the old one has, as far as it is the same,
// and notes what is missing then.
func (d *CacheDir) carryOver(r Repo, old, commit string, etagOf func(string) (string, bool),
	beforeLink func(LinkedFile) error, u *RefUpdate,
) error {
	dir, err := d.RepoFolder(r)
	if err != nil {
		return err
	}
	err = d.walkSnapshot(r, old, func(file, etag string) error {
		if isFile(filepath.Join(dir, "snapshots", commit, filepath.FromSlash(file))) {
			return nil
		}
		if now, ok := etagOf(file); !ok || etag == "" || now != etag {
			u.Missing = append(u.Missing, file)
			return nil
		}
		l := LinkedFile{Path: file, ETag: etag}
		if beforeLink != nil {
			if err := beforeLink(l); err != nil {
				return err
			}
		}
		if _, err := d.LinkSnapshot(r, commit, file, etag); err != nil {
			return err
		}
		u.Linked = append(u.Linked, l)
		return nil
	})
	if err != nil || len(u.Missing) > 0 {
		return err
	}
	return d.carryAbsence(r, old, commit, etagOf)
}

// carryAbsence notes for the new commit what the old one is known to lack, as
// far as that is known of the new one, too.
func (d *CacheDir) carryAbsence(r Repo, old, commit string, etagOf func(string) (string, bool)) error {
	root, err := d.openRepo(r)
	if err != nil {
		return err
	}
	defer root.Close()
	top := path.Join(".no_exist", old)
	err = fs.WalkDir(root.FS(), top, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		file := strings.TrimPrefix(p, top+"/")
		if etag, ok := etagOf(file); !ok || etag != "" {
			return nil
		}
		name := path.Join(".no_exist", commit, file)
		if _, err := root.Lstat(name); err == nil {
			return nil
		}
		return root.writeFile(name, nil)
	})
	return err
}

// walkSnapshot calls do for every file of a commit that is here, with the etag
// of the blob that it links, "" for a plain file. Links that lead nowhere are
// left out.
func (d *CacheDir) walkSnapshot(r Repo, commit string, do func(file, etag string) error) error {
	dir, err := d.RepoFolder(r)
	if err != nil {
		return err
	}
	top := filepath.Join(dir, "snapshots", commit)
	err = filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed while walking, or not there at all
			}
			return err
		}
		if e.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		fi, err := os.Stat(p)
		if err != nil || !fi.Mode().IsRegular() || ValidPath(rel) != nil {
			return nil //nolint:nilerr // not a file of the snapshot
		}
		return do(rel, blobOfLink(p, dir))
	})
	return err
}

// blobOfLink is the etag of the blob of the repository's folder that a link
// leads to by its first step, which may itself be a link into the shared store.
func blobOfLink(link, repoDir string) string {
	target, err := os.Readlink(link)
	if err != nil {
		return ""
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(link), target)
	}
	rel, ok := strings.CutPrefix(target, filepath.Join(repoDir, "blobs")+string(filepath.Separator))
	if !ok || validETag(rel) != nil {
		return ""
	}
	return rel
}

// Refs are the revisions that the cache knows, with their commits.
func (d *CacheDir) Refs(r Repo) (map[string]string, error) {
	dir, err := d.RepoFolder(r)
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	top := filepath.Join(dir, "refs")
	err = filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && e.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		if commit, err := d.ReadRef(r, filepath.ToSlash(rel)); err == nil {
			refs[filepath.ToSlash(rel)] = commit
		}
		return nil
	})
	return refs, err
}
