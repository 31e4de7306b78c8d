package blobcache

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hubfs/hubfs/hub"
)

const tempPrefix = ".tmp-"

// ownDir is hubfs's own folder. Names are relative to it, with slashes. What
// root makes in a user's folder belongs to that user, as in the shared cache; and
// no link that the user puts there leads root out of it.
type ownDir struct {
	path string

	mu       sync.Mutex
	root     *os.Root // nil until it is needed
	uid, gid int      // of the owner; -1: as it comes
}

func newOwnDir(path string) *ownDir { return &ownDir{path: path, uid: -1, gid: -1} }

func (d *ownDir) abs(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }

// opened is the folder, if it exists.
func (d *ownDir) opened() (*os.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root == nil {
		root, err := os.OpenRoot(d.path)
		if err != nil {
			return nil, err
		}
		d.root = root
	}
	return d.root, nil
}

// made makes the folder, and those of sub below it.
func (d *ownDir) made(sub string) (*os.Root, error) {
	uid, gid, err := hub.MkdirOwned(d.path, 0o700)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.uid, d.gid = uid, gid
	if d.root != nil {
		// It may have been removed and made again under our feet.
		was, err := d.root.Stat(".")
		is, err2 := os.Stat(d.path)
		if err != nil || err2 != nil || !os.SameFile(was, is) {
			d.root.Close()
			d.root = nil
		}
	}
	d.mu.Unlock()
	root, err := d.opened()
	if err != nil {
		return nil, err
	}
	return root, d.mkdirAll(root, sub)
}

func (d *ownDir) mkdirAll(root *os.Root, sub string) error {
	if sub == "." || sub == "" {
		return nil
	}
	err := root.Mkdir(sub, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err = d.mkdirAll(root, path.Dir(sub)); err == nil {
			err = root.Mkdir(sub, 0o700)
		}
	}
	if err == nil {
		return d.own(root, sub)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (d *ownDir) own(root *os.Root, name string) error {
	d.mu.Lock()
	uid, gid := d.uid, d.gid
	d.mu.Unlock()
	if uid < 0 {
		return nil
	}
	return root.Lchown(name, uid, gid)
}

// open opens a file, and makes it with its folders if flag says so.
func (d *ownDir) open(name string, flag int, mode fs.FileMode) (*os.File, error) {
	root, err := d.opened()
	for range 3 { // it may come and go
		if err == nil {
			var f *os.File
			if f, err = root.OpenFile(name, flag&^os.O_CREATE, mode); err == nil {
				return f, nil
			}
		}
		if flag&os.O_CREATE == 0 || !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if root, err = d.made(path.Dir(name)); err != nil {
			return nil, err
		}
		f, err := root.OpenFile(name, flag|os.O_EXCL, mode)
		if err == nil {
			if err = d.own(root, name); err == nil {
				return f, nil
			}
			f.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return nil, err
}

// temp makes a file of a new name beside name.
func (d *ownDir) temp(name string) (*os.File, string, error) {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	tmp := path.Join(path.Dir(name), tempPrefix+hex.EncodeToString(b[:]))
	f, err := d.open(tmp, os.O_RDWR|os.O_CREATE, 0o600)
	return f, tmp, err
}

// replace writes a small file as a whole. It isn't synced: what is kept so has a
// checksum, and counts as absent where a crash of the machine tore it.
func (d *ownDir) replace(name string, data []byte) error {
	f, tmp, err := d.temp(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = d.rename(tmp, name)
	}
	if err != nil {
		d.remove(tmp)
		return fmt.Errorf("replace %s: %w", name, err)
	}
	return nil
}

func (d *ownDir) rename(from, to string) error {
	root, err := d.opened()
	if err != nil {
		return err
	}
	return root.Rename(from, to)
}

// remove tells whether the file was there, and is gone.
func (d *ownDir) remove(name string) bool {
	root, err := d.opened()
	return err == nil && root.Remove(name) == nil
}

func (d *ownDir) read(name string) ([]byte, error) {
	root, err := d.opened()
	if err != nil {
		return nil, err
	}
	return root.ReadFile(name)
}

func (d *ownDir) stat(name string) (fs.FileInfo, error) {
	root, err := d.opened()
	if err != nil {
		return nil, err
	}
	return root.Lstat(name)
}

// touch notes that a file was used now.
func (d *ownDir) touch(name string) {
	if root, err := d.opened(); err == nil {
		now := time.Now()
		_ = root.Chtimes(name, now, now)
	}
}

// walk gives all files below a folder. What can't be read is left out.
func (d *ownDir) walk(sub string) iter.Seq2[string, fs.FileInfo] {
	return func(yield func(string, fs.FileInfo) bool) {
		root, err := d.opened()
		if err != nil {
			return
		}
		_ = fs.WalkDir(root.FS(), sub, func(name string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil //nolint:nilerr // left out
			}
			if fi, err := e.Info(); err == nil && !yield(name, fi) {
				return fs.SkipAll
			}
			return nil
		})
	}
}

// sweep removes what killed processes have left unfinished.
func (d *ownDir) sweep() {
	for name, fi := range d.walk(".") {
		if strings.HasPrefix(path.Base(name), tempPrefix) && time.Since(fi.ModTime()) > 24*time.Hour {
			d.remove(name)
		}
	}
}

func (d *ownDir) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root != nil {
		d.root.Close()
		d.root = nil
	}
}

// regular looks at a file, following links.
func regular(path string) (fs.FileInfo, bool) {
	fi, err := os.Stat(path)
	return fi, err == nil && fi.Mode().IsRegular()
}

// besides is hubfs's own folder for a cache folder where none is given. Two cache
// folders never have the same: what is noted of a blob in one of them says nothing
// of the blob of that name in the other.
func besides(cacheDir string) string {
	dir, base := filepath.Split(cacheDir)
	if base == "hub" { // as huggingface_hub calls it
		return filepath.Join(dir, "hubfs")
	}
	return filepath.Join(dir, base+".hubfs")
}
