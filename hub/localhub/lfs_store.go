package localhub

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// lfsStore keeps LFS objects by their sha256, once for all repositories. A file
// under its final name is whole, verified and synced.
type lfsStore struct {
	objects string   // <2 hex>/<2 hex>/<64 hex>
	temp    string   // what is being received
	uploads string   // <upload>/data and <upload>/<part>: uploads in parts
	noSync  bool     // see Options
	parts   sync.Map // *sync.Mutex by upload, while one is received: see partWriter
}

// staleUpload is the age at which an unfinished upload in parts is given up.
const staleUpload = 48 * time.Hour

func openLFS(root string, noSync bool) (*lfsStore, error) {
	s := &lfsStore{objects: filepath.Join(root, "lfs"), temp: filepath.Join(root, "tmp"), uploads: filepath.Join(root, "uploads"), noSync: noSync}
	// Nothing in temp outlives the process that wrote it.
	if err := os.RemoveAll(s.temp); err != nil {
		return nil, err
	}
	for _, d := range []string{s.objects, s.temp, s.uploads} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	return s, s.sweepUploads()
}

func (s *lfsStore) sweepUploads() error {
	dirs, err := os.ReadDir(s.uploads)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if fi, err := d.Info(); err == nil && time.Since(fi.ModTime()) > staleUpload {
			if err := os.RemoveAll(filepath.Join(s.uploads, d.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *lfsStore) path(oid string) string {
	return filepath.Join(s.objects, oid[:2], oid[2:4], oid)
}

// size returns the size of an object; fs.ErrNotExist if it isn't here.
func (s *lfsStore) size(oid string) (int64, error) {
	if !sha256Text.MatchString(oid) {
		return 0, fs.ErrNotExist
	}
	fi, err := os.Stat(s.path(oid))
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

func (s *lfsStore) open(oid string) (*os.File, error) {
	if !sha256Text.MatchString(oid) {
		return nil, fs.ErrNotExist
	}
	return os.Open(s.path(oid))
}

// errMismatch says that content isn't what its name says.
var errMismatch = errors.New("content doesn't match")

// put receives an object. With want set, its sha256 and size must be these, and
// no byte more is read.
func (s *lfsStore) put(r io.Reader, want *LFSRef) (LFSRef, error) {
	f, err := os.CreateTemp(s.temp, "put-")
	if err != nil {
		return LFSRef{}, err
	}
	defer os.Remove(f.Name())
	if want != nil {
		r = io.LimitReader(r, want.Size+1)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), r)
	if err == nil && !s.noSync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return LFSRef{}, err
	}
	got := LFSRef{hex.EncodeToString(h.Sum(nil)), n}
	if want != nil && got != *want {
		return LFSRef{}, fmt.Errorf("%w: sha256 %s and size %d, not %s and %d", errMismatch, got.OID, n, want.OID, want.Size)
	}
	return got, s.publish(f.Name(), got.OID)
}

// publish moves a finished file to its name.
func (s *lfsStore) publish(temp, oid string) error {
	name := s.path(oid)
	if err := s.makeDir(name); err != nil {
		return err
	}
	if err := os.Chmod(temp, 0o444); err != nil {
		return err
	}
	if err := os.Rename(temp, name); err != nil {
		return err
	}
	return s.syncDirs(filepath.Dir(name))
}

func (s *lfsStore) makeDir(name string) error {
	dir := filepath.Dir(name)
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return s.syncDirs(filepath.Dir(dir), s.objects)
}

// syncDirs makes the names in folders durable.
func (s *lfsStore) syncDirs(dirs ...string) error {
	for _, d := range dirs {
		if s.noSync {
			break
		}
		if err := syncDir(d); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// link makes a file of the local disk an object.
func (s *lfsStore) link(file, oid string) (LFSRef, error) {
	fi, err := os.Stat(file)
	if err != nil {
		return LFSRef{}, err
	}
	if !fi.Mode().IsRegular() {
		return LFSRef{}, fmt.Errorf("%s is no regular file", file)
	}
	if oid == "" {
		if oid, err = hashFile(file); err != nil {
			return LFSRef{}, err
		}
	} else if !sha256Text.MatchString(oid) {
		return LFSRef{}, badRequest("%q is no sha256", oid)
	}
	ref := LFSRef{oid, fi.Size()}
	name := s.path(oid)
	if err := s.makeDir(name); err != nil {
		return LFSRef{}, err
	}
	err = os.Link(file, name)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return ref, nil
	}
	// Another file system: a copy it is.
	f, err := os.Open(file)
	if err != nil {
		return LFSRef{}, err
	}
	defer f.Close()
	return s.put(f, &ref)
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// partBuffer is how much of a part is received before it is written.
const partBuffer = 128 << 10

// partWriter writes a part into the file of its upload, in turn with the others: the
// kernel lets one write to a file at a time, and would have all of them wait for it busily.
type partWriter struct {
	f    *os.File
	off  int64
	turn *sync.Mutex
}

func (w *partWriter) Write(p []byte) (int, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	n, err := w.f.WriteAt(p, w.off)
	w.off += int64(n)
	return n, err
}

// putPart receives part n of an upload in parts: size bytes for offset off. It
// returns the part's ETag, without quotes. Sending a part again replaces it.
func (s *lfsStore) putPart(upload string, n int, off, size int64, r io.Reader) (string, error) {
	dir := filepath.Join(s.uploads, upload)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	f, err := os.OpenFile(filepath.Join(dir, "data"), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	turn, _ := s.parts.LoadOrStore(upload, new(sync.Mutex))
	w := &partWriter{f: f, off: off, turn: turn.(*sync.Mutex)}
	got, err := io.CopyBuffer(io.MultiWriter(w, h), struct{ io.Reader }{io.LimitReader(r, size)}, make([]byte, partBuffer))
	if err == nil && !s.noSync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", err
	}
	if extra, _ := io.ReadFull(r, make([]byte, 1)); got != size || extra > 0 {
		return "", fmt.Errorf("%w: part %d must have %d bytes", errMismatch, n, size)
	}
	etag := hex.EncodeToString(h.Sum(nil))
	mark, err := os.CreateTemp(s.temp, "part-")
	if err != nil {
		return "", err
	}
	_, err = mark.WriteString(etag)
	if cerr := mark.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(mark.Name())
		return "", err
	}
	return etag, os.Rename(mark.Name(), filepath.Join(dir, strconv.Itoa(n)))
}

// complete verifies an upload in parts and makes it an object. etags are those of
// parts 1, 2, ... It may be repeated.
func (s *lfsStore) complete(upload string, etags []string, want LFSRef) error {
	dir := filepath.Join(s.uploads, upload)
	data := filepath.Join(dir, "data")
	defer s.parts.Delete(upload)
	if n, err := s.size(want.OID); err == nil && n == want.Size {
		return os.RemoveAll(dir)
	}
	for i, etag := range etags {
		b, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i+1)))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: part %d is missing", errMismatch, i+1)
		}
		if err != nil {
			return err
		}
		if string(b) != strings.Trim(etag, `"`) {
			return fmt.Errorf("%w: part %d has another ETag", errMismatch, i+1)
		}
	}
	fi, err := os.Stat(data)
	if err != nil {
		return err
	}
	oid, err := hashFile(data)
	if err != nil {
		return err
	}
	if fi.Size() != want.Size || oid != want.OID {
		return fmt.Errorf("%w: sha256 %s and size %d, not %s and %d", errMismatch, oid, fi.Size(), want.OID, want.Size)
	}
	if err := s.publish(data, oid); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
