package hub

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// AddBlob keeps content under its etag, whatever was there: written aside,
// synced, then renamed. src must give exactly size bytes.
func (d *CacheDir) AddBlob(r Repo, etag string, src io.Reader, size int64) error {
	return d.addBlob(r, etag, func(root *cacheRoot, tmp string) error {
		f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		defer f.Close()
		n, err := io.Copy(f, src)
		switch {
		case err != nil:
			return err
		case n != size:
			return fmt.Errorf("got %d of %d bytes: %w", n, size, io.ErrUnexpectedEOF)
		}
		if err := f.Sync(); err != nil {
			return err
		}
		return f.Close()
	})
}

// BlobContent is a blob in memory.
type BlobContent struct {
	ETag    string
	Content []byte
}

// AddBlobs is AddBlob for many small blobs, which reach the disk together: each has
// its name only once all of them are durable. On an error some may have theirs.
func (d *CacheDir) AddBlobs(r Repo, blobs []BlobContent) error {
	for _, b := range blobs {
		if err := validETag(b.ETag); err != nil {
			return err
		}
	}
	root, err := d.openRepo(r)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.mkdirAll("blobs"); err != nil {
		return err
	}
	written := make([]string, 0, len(blobs))
	named := 0
	defer func() {
		for _, tmp := range written[named:] {
			_ = root.Remove(tmp) // others clean up what is left over
		}
	}()
	for _, b := range blobs {
		tmp := "blobs/" + b.ETag + "." + randomHex() + ".incomplete"
		written = append(written, tmp)
		if err := root.writeNew(tmp, b.Content); err != nil {
			return fmt.Errorf("add blob %s of %s: %w", b.ETag, r, err)
		}
	}
	if err := root.syncAll(written); err != nil {
		return err
	}
	for _, b := range blobs {
		if err := root.Rename(written[named], "blobs/"+b.ETag); err != nil {
			return err
		}
		named++
	}
	return nil
}

// MoveBlob keeps the content of a local file under its etag, and the file is
// gone: renamed, or copied where it lies on another file system. Its data must
// have been synced.
func (d *CacheDir) MoveBlob(r Repo, etag, file string) error {
	err := d.addBlob(r, etag, func(root *cacheRoot, tmp string) error {
		return root.at(tmp, func(dirfd int, name string) error {
			return unix.Renameat(unix.AT_FDCWD, file, dirfd, name)
		})
	})
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	if err := d.copyBlob(r, etag, file); err != nil {
		return err
	}
	return os.Remove(file)
}

// LinkBlob keeps the content of a local file under its etag, and leaves the
// file: as a hard link, or a copy where there can't be one.
func (d *CacheDir) LinkBlob(r Repo, etag, file string) error {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	if err = d.linkBlob(r, etag, real); canNotLink(err) {
		return d.copyBlob(r, etag, real)
	}
	return err
}

// ShareBlob is LinkBlob for a file that whoever calls it has made, and never writes to again:
// it gets the mode of a blob. Where there can't be a hard link, or the cache is another
// user's, the error is errors.ErrUnsupported. The file's data must have been synced.
func (d *CacheDir) ShareBlob(r Repo, etag, file string) error {
	fi, err := os.Lstat(file)
	if err != nil {
		return err
	}
	uid, _, err := MkdirOwned(d.path, 0o777)
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || !fi.Mode().IsRegular() || uid >= 0 && int(st.Uid) != uid {
		return fmt.Errorf("%s can't be shared: %w", file, errors.ErrUnsupported)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		return err
	}
	if err := d.linkBlob(r, etag, file); canNotLink(err) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	} else if err != nil {
		return err
	}
	return nil
}

func (d *CacheDir) linkBlob(r Repo, etag, file string) error {
	return d.addBlob(r, etag, func(root *cacheRoot, tmp string) error {
		return root.at(tmp, func(dirfd int, name string) error {
			return unix.Linkat(unix.AT_FDCWD, file, dirfd, name, 0)
		})
	})
}

// canNotLink says whether an error tells that there can be no hard link.
func canNotLink(err error) bool {
	return errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EMLINK) ||
		errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS)
}

func (d *CacheDir) copyBlob(r Repo, etag, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	return d.AddBlob(r, etag, f, fi.Size())
}

// addBlob lets fill make a file of a unique name beside the blobs, the one that
// the official client would choose, and renames it.
func (d *CacheDir) addBlob(r Repo, etag string, fill func(root *cacheRoot, tmp string) error) error {
	if err := validETag(etag); err != nil {
		return err
	}
	root, err := d.openRepo(r)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.mkdirAll("blobs"); err != nil {
		return err
	}
	tmp := "blobs/" + etag + "." + randomHex() + ".incomplete"
	// After a rename over another name of the same file both names stay.
	defer root.Remove(tmp) //nolint:errcheck // usually gone
	if err := fill(root, tmp); err != nil {
		return fmt.Errorf("add blob %s of %s: %w", etag, r, err)
	}
	if err := root.own(tmp); err != nil {
		return err
	}
	return root.Rename(tmp, "blobs/"+etag)
}

// LinkSnapshot names a blob, which must be there, as a file of a commit. It
// tells whether it made the link; one that leads to a file is left as it is.
func (d *CacheDir) LinkSnapshot(r Repo, commit, file, etag string) (made bool, err error) {
	full, err := d.SnapshotPath(r, commit, file)
	if err != nil {
		return false, err
	}
	blob, err := d.BlobPath(r, etag)
	if err != nil {
		return false, err
	}
	if isFile(full) {
		return false, nil
	}
	if !isFile(blob) {
		return false, fmt.Errorf("link %s of %s: blob %s: %w", file, r, etag, fs.ErrNotExist)
	}
	root, err := d.openRepo(r)
	if err != nil {
		return false, err
	}
	defer root.Close()
	name := path.Join("snapshots", commit, file)
	if err := root.mkdirAll(path.Dir(name)); err != nil {
		return false, err
	}
	target := linkTarget(file, etag)
	err = root.Symlink(target, name)
	if errors.Is(err, fs.ErrExist) {
		if isFile(full) {
			return false, nil // somebody else was faster
		}
		if err = root.Remove(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			err = root.Symlink(target, name) // it led nowhere
		}
	}
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) {
		// A file system without symbolic links.
		tmp := name + "." + randomHex() + ".incomplete"
		defer root.Remove(tmp) //nolint:errcheck // usually gone
		if err = root.copyFile(blob, tmp); err == nil {
			err = root.Rename(tmp, name)
		}
	}
	if err != nil {
		return false, err
	}
	return true, root.own(name)
}

// linkTarget is the path from the folder of a snapshot's file to a blob.
func linkTarget(file, etag string) string {
	return strings.Repeat("../", strings.Count(file, "/")+2) + "blobs/" + etag
}

// cacheRoot is a repository's folder, opened for changes.
type cacheRoot struct {
	*os.Root
	uid, gid int // -1: as they come
}

// openRepo makes and opens the folder of a repository.
func (d *CacheDir) openRepo(r Repo) (*cacheRoot, error) {
	name, err := repoFolderName(r)
	if err != nil {
		return nil, err
	}
	uid, gid, err := MkdirOwned(d.path, 0o777)
	if err != nil {
		return nil, err
	}
	full := filepath.Join(d.path, name)
	if os.Geteuid() != 0 {
		// Users may have put the folder of a large repository elsewhere, by a link.
		if err := os.Mkdir(full, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		root, err := os.OpenRoot(full)
		if err != nil {
			return nil, err
		}
		return &cacheRoot{root, -1, -1}, nil
	}
	outer, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, err
	}
	defer outer.Close()
	if err := (&cacheRoot{outer, uid, gid}).mkdirAll(name); err != nil {
		return nil, err
	}
	root, err := outer.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &cacheRoot{root, uid, gid}, nil
}

// MkdirOwned makes a folder with its parents. Where root makes it inside another
// user's folder it becomes that user's, and so should what is put into it: uid
// and gid tell who that is. They are -1 (leave as it comes) for everybody else.
func MkdirOwned(dir string, mode fs.FileMode) (uid, gid int, err error) {
	uid, gid = -1, -1
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		if uid, gid, err = MkdirOwned(filepath.Dir(dir), 0o777); err != nil {
			return -1, -1, err
		}
		if err = os.Mkdir(dir, mode); err == nil && uid >= 0 {
			err = os.Lchown(dir, uid, gid)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return -1, -1, err
		}
		fi, err = os.Stat(dir)
	}
	if err != nil {
		return -1, -1, err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		uid, gid = int(st.Uid), int(st.Gid)
	}
	return uid, gid, nil
}

func (c *cacheRoot) own(name string) error {
	if c.uid < 0 {
		return nil
	}
	return c.Lchown(name, c.uid, c.gid)
}

// writeNew makes a file, which isn't durable yet.
func (c *cacheRoot) writeNew(name string, content []byte) error {
	f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return c.own(name)
}

func (c *cacheRoot) mkdirAll(name string) error {
	var dir string
	for part := range strings.SplitSeq(name, "/") {
		dir = path.Join(dir, part)
		err := c.Mkdir(dir, 0o777)
		if err == nil {
			err = c.own(dir)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// at calls do with an open folder and a name in it.
func (c *cacheRoot) at(name string, do func(dirfd int, name string) error) error {
	dir, err := c.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return do(int(dir.Fd()), path.Base(name))
}

func (c *cacheRoot) copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := c.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer dst.Close()
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	return dst.Close()
}

// writeFile replaces a small file as a whole.
func (c *cacheRoot) writeFile(name string, data []byte) error {
	if err := c.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	tmp := name + "." + randomHex() + ".tmp"
	defer c.Remove(tmp) //nolint:errcheck // usually gone
	f, err := c.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := c.own(tmp); err != nil {
		return err
	}
	return c.Rename(tmp, name)
}

func randomHex() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
