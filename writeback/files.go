package writeback

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A disk is the folder of one journal. Every change goes through it with the name
// of its step, at which tests let the process or the machine die. Names are
// relative, with slashes. Methods may be called concurrently.
type disk interface {
	// Open opens a file for reading and writing, or makes it: exclusively, and
	// without making the name durable.
	Open(step, name string, create bool) (diskFile, error)
	Rename(step, from, to string) error // replaces to
	Remove(step, name string) error     // a file
	Mkdir(step, name string) error      // no error if it is there
	SyncDir(step, name string) error    // makes durable which names the folder has
	List(name string) ([]string, error) // the files of a folder
	Path(name string) string            // where it is for others; "" if nowhere
}

// A diskFile is an open file of a disk.
type diskFile interface {
	io.ReaderAt
	WriteAt(step string, p []byte, off int64) (int, error)
	Truncate(step string, size int64) error
	Punch(step string, off, n int64) error // zeros, within the size
	Sync(step string) error
	Size() (int64, error)
	Shared() (bool, error) // it has another name, under which it may not change
	Close() error
}

// osDisk is a disk that is a folder.
type osDisk struct{ dir string }

func (d osDisk) path(name string) string { return filepath.Join(d.dir, filepath.FromSlash(name)) }

func (d osDisk) Path(name string) string { return d.path(name) }

func (d osDisk) Open(_, name string, create bool) (diskFile, error) {
	flag := os.O_RDWR
	if create {
		flag |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(d.path(name), flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osDisk) Rename(_, from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d osDisk) Remove(_, name string) error     { return os.Remove(d.path(name)) }

func (d osDisk) Mkdir(_, name string) error {
	err := os.Mkdir(d.path(name), 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (d osDisk) SyncDir(_, name string) error {
	f, err := os.Open(d.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (d osDisk) List(name string) ([]string, error) {
	entries, err := os.ReadDir(d.path(name))
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// osFile is a file of an osDisk.
type osFile struct{ f *os.File }

func (f osFile) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }
func (f osFile) Close() error                            { return f.f.Close() }

func (f osFile) WriteAt(_ string, p []byte, off int64) (int, error) { return f.f.WriteAt(p, off) }
func (f osFile) Truncate(_ string, size int64) error                { return f.f.Truncate(size) }
func (f osFile) Sync(string) error                                  { return fdatasync(f.f) }

func (f osFile) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Shared() (bool, error) {
	info, err := f.f.Stat()
	if err != nil {
		return false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1, nil
}

func (f osFile) Punch(_ string, off, n int64) error {
	if err := punch(f.f, off, n); err == nil {
		return nil
	}
	return writeZeros(f.f, off, n) // the file system has no holes
}

func writeZeros(w io.WriterAt, off, n int64) error {
	zeros := make([]byte, min(n, 1<<20))
	for n > 0 {
		k, err := w.WriteAt(zeros[:min(n, int64(len(zeros)))], off)
		if err != nil {
			return err
		}
		off, n = off+int64(k), n-int64(k)
	}
	return nil
}
