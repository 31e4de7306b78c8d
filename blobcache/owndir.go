package blobcache

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/hubfs/hubfs/hub"
)

// ownDir is hubfs's own folder. What root makes in a user's folder belongs to
// that user, as in the shared cache.
type ownDir struct{ path string }

// mkdir makes a folder below.
func (d ownDir) mkdir(sub string) (dir string, uid, gid int, err error) {
	if uid, gid, err = hub.MkdirOwned(d.path, 0o700); err != nil {
		return "", 0, 0, err
	}
	dir = filepath.Join(d.path, sub)
	_, _, err = hub.MkdirOwned(dir, 0o700)
	return dir, uid, gid, err
}

// open opens a file in a folder below, and makes both if flag says so.
func (d ownDir) open(sub, name string, flag int, mode fs.FileMode) (*os.File, error) {
	path := filepath.Join(d.path, sub, name)
	f, err := os.OpenFile(path, flag&^os.O_CREATE, mode)
	if flag&os.O_CREATE == 0 || !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	_, uid, gid, err := d.mkdir(sub)
	if err != nil {
		return nil, err
	}
	if f, err = os.OpenFile(path, flag, mode); err != nil {
		return nil, err
	}
	if err := f.Chown(uid, gid); err != nil && uid >= 0 {
		f.Close()
		return nil, err
	}
	return f, nil
}

// replace writes a small file as a whole. It isn't synced: what is kept so has a
// checksum, and counts as absent where a crash of the machine tore it.
func (d ownDir) replace(sub, name string, data []byte) error {
	dir, uid, gid, err := d.mkdir(sub)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+name+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if uid >= 0 {
		if err := f.Chown(uid, gid); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	return nil
}

// walk gives all files below a folder. What can't be read is left out.
func (d ownDir) walk(sub string) iter.Seq2[string, fs.FileInfo] {
	return func(yield func(string, fs.FileInfo) bool) {
		_ = filepath.WalkDir(filepath.Join(d.path, sub), func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil //nolint:nilerr // left out
			}
			if fi, err := e.Info(); err == nil && !yield(path, fi) {
				return fs.SkipAll
			}
			return nil
		})
	}
}

// regular looks at a file, following links.
func regular(path string) (fs.FileInfo, bool) {
	fi, err := os.Stat(path)
	return fi, err == nil && fi.Mode().IsRegular()
}
