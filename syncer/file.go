package syncer

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // Git's own hash
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/hub"
)

const (
	// settled is for how long a file of lines must have been left alone to count as finished, where it
	// isn't asked for.
	settled = 10 * time.Second
	// lookTime is for how long who writes to files is looked for.
	lookTime = 2 * time.Second
	// grain is how coarse the times of a file system can be: two writes within it may leave the same.
	grain = 2 * time.Second
	// gitHashLimit is the size from which a file isn't hashed as Git does: it won't be a regular one.
	gitHashLimit = 64 << 20
	// largeFile is the size from which uploads are timed: one that changes all the time isn't uploaded all
	// the time.
	largeFile = 64 << 20
	// Files up to smallFile are held in memory from the time they are hashed, as far as smallFiles goes in
	// all: one that is replaced all the time would else never be the same long enough to be sent.
	smallFile  = 32 << 10
	smallFiles = 32 << 20
)

// An item is a file on its way into a commit: its first size bytes, which have these hashes.
type item struct {
	path   string // relative to the folder
	stamp  stamp  // when it was hashed
	size   int64
	sha256 string
	again  bool // see record.Again
	took   time.Duration
	at     int64 // see record.At
	held   bool  // in memory
	add    *hub.Add
}

// record is what is known of the file if it is committed.
func (it *item) record() *record {
	return &record{
		stamp: it.stamp, Sent: it.size, SHA256: it.sha256, Again: it.again, Cut: it.size < it.stamp.Size,
		Took: it.took.Milliseconds(), At: it.at,
	}
}

// take hashes a candidate, as far as it was there when the folder was looked at. It gives nil where there
// is nothing to push: the file is gone, or has no more whole lines than were committed.
func (p *push) take(ctx context.Context, c candidate) (*item, error) {
	s := p.s
	name := filepath.Join(s.o.Folder, filepath.FromSlash(c.path))
	f, err := openRegular(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	now, err := fileStamp(f)
	if err != nil {
		return nil, err
	}
	if now.Inode != c.Inode || now.Dev != c.Dev || now.Size < c.Size {
		return nil, hub.ErrContentChanged
	}
	it := &item{path: c.path, stamp: now, size: c.Size}
	it.stamp.Size = c.Size // what came since is for the next push
	if it.size > 0 && !p.last && isLines(c.path) {
		if it.size, err = p.wholeLines(f, c); err != nil {
			return nil, err
		}
		rec := s.store.files[c.path]
		if it.size == 0 || rec != nil && rec.Cut && !rec.Again && rec.stamp == c.stamp && rec.Sent == it.size && rec.Failure == "" {
			return nil, nil
		}
	}
	it.again = s.now().Add(-grain).Before(time.Unix(0, now.CTime))
	sum256, sumGit := sha256.New(), hash.Hash(nil)
	if it.size < gitHashLimit {
		sumGit = sha1.New() //nolint:gosec // as above
		fmt.Fprintf(sumGit, "blob %d\x00", it.size)
	}
	it.add = &hub.Add{Path: path.Join(s.o.PathInRepo, c.path), Content: prefixContent(name, now, it.size)}
	var from io.ReaderAt = f
	if it.size <= smallFile && p.small.Add(it.size) <= smallFiles {
		data, err := readStill(f, now, it.size)
		if err != nil {
			return nil, err
		}
		it.held, it.add.Content = true, hub.BytesContent(data)
		from = bytes.NewReader(data)
	}
	if err := readPrefix(ctx, from, it.size, sum256, sumGit); err != nil {
		return nil, err
	}
	it.sha256 = hex.EncodeToString(sum256.Sum(nil))
	it.add.Content.SHA256 = it.sha256
	if sumGit != nil {
		it.add.Content.GitSHA1 = hex.EncodeToString(sumGit.Sum(nil))
	}
	return it, nil
}

// readStill reads the first size bytes of a file: twice, if it was written to meanwhile, to see that they
// aren't half old and half new.
func readStill(f *os.File, before stamp, size int64) ([]byte, error) {
	read := func() ([]byte, error) {
		data := make([]byte, size)
		if n, err := f.ReadAt(data, 0); n < len(data) {
			if err == nil || errors.Is(err, io.EOF) {
				err = hub.ErrContentChanged
			}
			return nil, err
		}
		return data, nil
	}
	data, err := read()
	if err != nil {
		return nil, err
	}
	after, err := fileStamp(f)
	if err != nil || after == before {
		return data, err
	}
	again, err := read()
	if err == nil && !bytes.Equal(data, again) {
		err = hub.ErrContentChanged
	}
	return data, err
}

// readPrefix hashes the first size bytes of a file.
func readPrefix(ctx context.Context, f io.ReaderAt, size int64, hashes ...hash.Hash) error {
	buf := make([]byte, min(max(size, 1), 1<<20))
	for off := int64(0); off < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		for _, h := range hashes {
			if h != nil {
				h.Write(buf[:n])
			}
		}
		if off += int64(n); err != nil && off < size {
			if errors.Is(err, io.EOF) {
				return hub.ErrContentChanged
			}
			return err
		}
	}
	return nil
}

// prefixContent is the first size bytes of a file that may grow. It is another file's content, and an
// error, once the name leads elsewhere.
func prefixContent(name string, was stamp, size int64) hub.ContentSource {
	return hub.ContentSource{Size: size, Open: func() (hub.ContentReader, error) {
		f, err := openRegular(name)
		if errors.Is(err, os.ErrNotExist) {
			err = &os.PathError{Op: "upload", Path: name, Err: hub.ErrContentChanged}
		}
		if err != nil {
			return nil, err
		}
		now, err := fileStamp(f)
		if err == nil && (now.Inode != was.Inode || now.Dev != was.Dev || now.Size < size) {
			err = &os.PathError{Op: "upload", Path: name, Err: hub.ErrContentChanged}
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}}
}

// same says whether the file still has the bytes that were hashed; they are read again only if its times
// say that it was written to.
func (s *Syncer) same(ctx context.Context, it *item) (bool, error) {
	if it.held {
		return true, nil
	}
	name := filepath.Join(s.o.Folder, filepath.FromSlash(it.path))
	now, regular := look(name)
	if !regular {
		return false, nil
	}
	was := it.stamp
	if was.Size = now.Size; now == was && !it.again {
		return true, nil
	}
	r, err := it.add.Content.Open()
	if errors.Is(err, hub.ErrContentChanged) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer r.Close()
	sum := sha256.New()
	if err := readPrefix(ctx, r, it.size, sum); err != nil {
		if errors.Is(err, hub.ErrContentChanged) {
			return false, nil
		}
		return false, err
	}
	return hex.EncodeToString(sum.Sum(nil)) == it.sha256, nil
}

// openRegular opens a file for reading. What has become a pipe or a device meanwhile isn't waited for.
func openRegular(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "sync", Path: name, Err: hub.ErrContentChanged}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func fileStamp(f *os.File) (stamp, error) {
	var st unix.Stat_t
	if err := retryInterrupted(func() error { return unix.Fstat(int(f.Fd()), &st) }); err != nil {
		return stamp{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	s, _ := stampOf(&st)
	return s, nil
}

// isLines says whether a file is one of lines, which are appended one by one.
func isLines(name string) bool {
	switch path.Ext(name) {
	case ".log", ".jsonl", ".csv", ".txt", ".out":
		return true
	}
	return false
}

// wholeLines is how much of a file of lines is pushed: all of it if nobody is writing, else up to its last
// newline. 0 is nothing yet.
func (p *push) wholeLines(f *os.File, c candidate) (int64, error) {
	end, err := lastNewline(f, c.Size)
	if err != nil || end == c.Size {
		return end, err
	}
	fresh := p.s.now().Sub(time.Unix(0, c.MTime)) < settled
	if fresh && !p.asked || p.writers().has(f.Name(), c.Inode) {
		return end, nil
	}
	return c.Size, nil
}

// An openFile is a file that somebody has open, by the last name of its path and its inode, which is 0 where
// the system doesn't tell.
type openFile struct {
	name  string
	inode uint64
}

// writers are the files that somebody had open for writing at one time.
type writers struct {
	files   map[openFile]bool
	unknown bool // any file may be one
}

// has says whether a file is one of them.
func (w writers) has(name string, inode uint64) bool {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	name = filepath.Base(name)
	return w.unknown || w.files[openFile{name, inode}] || w.files[openFile{name, 0}]
}

// findWriters looks for writers. Somebody's process can hold that up for ever, if it is stuck in the kernel; so
// the look has an end, and then every file may be written to. One look at most is left behind: while it
// lasts, there is no other.
func (s *Syncer) findWriters() writers {
	select {
	case s.looking <- struct{}{}:
	default:
		return writers{unknown: true}
	}
	found := make(chan map[openFile]bool, 1)
	go func() {
		files := s.look()
		<-s.looking
		found <- files
	}()
	deadline := time.NewTimer(lookTime)
	defer deadline.Stop()
	select {
	case files := <-found:
		return writers{files: files}
	case <-deadline.C:
		return writers{unknown: true}
	}
}

// lastNewline is where the last line that has an end ends, within the first size bytes.
func lastNewline(f io.ReaderAt, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for end := size; end > 0; {
		piece := buf[:min(int64(len(buf)), end)]
		if n, err := f.ReadAt(piece, end-int64(len(piece))); n < len(piece) {
			if err == nil || errors.Is(err, io.EOF) {
				err = hub.ErrContentChanged
			}
			return 0, err
		}
		if i := bytes.LastIndexByte(piece, '\n'); i >= 0 {
			return end - int64(len(piece)) + int64(i) + 1, nil
		}
		end -= int64(len(piece))
	}
	return 0, nil
}
