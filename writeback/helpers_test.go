package writeback

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // Git's own hash
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// hubTree is a tree of the Hub in memory.
type hubTree struct {
	commit string
	files  map[string]string
}

func (t *hubTree) Commit() string { return t.commit }

func (t *hubTree) List(_ context.Context, dir string) (*blobcache.Listing, error) {
	l := &blobcache.Listing{}
	seen := make(map[string]bool)
	prefix := ""
	if dir != "" {
		prefix = dir + "/"
	}
	for path, content := range t.files {
		rest, ok := strings.CutPrefix(path, prefix)
		if !ok {
			continue
		}
		name, _, isDir := strings.Cut(rest, "/")
		if seen[name] {
			continue
		}
		seen[name] = true
		e := blobcache.Entry{Name: name, Dir: isDir, OID: gitOID(content), Size: int64(len(content)), MTime: 1}
		if isDir {
			e.OID, e.Size = blobcache.OID{}, 0
		}
		l.Entries = append(l.Entries, e)
	}
	if len(l.Entries) == 0 && dir != "" {
		return nil, fs.ErrNotExist
	}
	sortEntries(l.Entries)
	return l, nil
}

func sortEntries(e []blobcache.Entry) {
	for i := range e {
		for k := i; k > 0 && e[k].Name < e[k-1].Name; k-- {
			e[k], e[k-1] = e[k-1], e[k]
		}
	}
}

func gitOID(content string) blobcache.OID {
	return sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content)) //nolint:gosec // as above
}

var discardLog = slog.New(slog.DiscardHandler)

// hubBlobs are the blobs of trees.
type hubBlobs struct {
	content map[string]string
	fetched atomic.Int64 // bytes read
	down    atomic.Bool
}

func (s *hubBlobs) open(f blobcache.File) (Blob, error) {
	content, ok := s.content[f.Hash]
	if !ok || int64(len(content)) != f.Size {
		return nil, fmt.Errorf("no blob %s of %d bytes", f.Hash, f.Size)
	}
	return &hubBlob{s, content}, nil
}

type hubBlob struct {
	s       *hubBlobs
	content string
}

func (b *hubBlob) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	if b.s.down.Load() {
		return 0, hub.ErrUnavailable
	}
	n, err := strings.NewReader(b.content).ReadAt(p, off)
	b.s.fetched.Add(int64(n))
	return n, err
}

func (b *hubBlob) Close() error { return nil }

// tester is what tests of both kinds are.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// rig is a branch on a disk in memory, with a tree of the Hub below.
type rig struct {
	*Branch
	disk  *memDisk
	tree  *hubTree
	blobs *hubBlobs
	boot  string

	started time.Time // of at's clock
}

func newRig(t testing.TB, files map[string]string) *rig {
	t.Helper()
	r := &rig{disk: newMemDisk(), tree: &hubTree{"c1", files}, blobs: &hubBlobs{content: make(map[string]string)}, boot: "boot 1", started: time.Now()}
	for _, content := range files {
		r.blobs.content[gitOID(content).String()] = content
	}
	r.open(t)
	t.Cleanup(func() {
		if r.Branch != nil {
			_ = r.Close()
		}
	})
	return r
}

var testKey = Key{Endpoint: "http://hub.test", User: "alice", Repo: hub.Repo{Type: hub.Model, ID: "alice/model"}, Branch: "main"}

func (r *rig) open(t testing.TB) {
	t.Helper()
	b, err := r.tryOpen()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	r.Branch = b
}

func (r *rig) tryOpen() (*Branch, error) {
	return openDisk(context.Background(), r.disk, r.boot, nil, testKey, Options{Tree: r.tree, Blob: r.blobs.open, Logger: discardLog})
}

// kill lets the process die, and starts it again.
func (r *rig) kill(t testing.TB) {
	t.Helper()
	next := r.disk.restart()
	r.abandon()
	r.disk = next
	r.open(t)
}

// abandon ends the goroutines of a branch whose process counts as dead.
func (r *rig) abandon() {
	r.stop()
	_ = r.group.Wait()
	r.Branch = nil
}

func (r *rig) write(t testing.TB, path, content string) {
	t.Helper()
	if err := r.tryWrite(path, content); err != nil {
		t.Fatalf("write %s: %v", path, err)
	}
}

func (r *rig) tryWrite(path, content string) error {
	f, err := r.OpenFile(context.Background(), path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(content), 0)
	return errors.Join(err, f.Flush(), f.Release())
}

func (r *rig) openFile(t testing.TB, path string, flag int) *File {
	t.Helper()
	f, err := r.OpenFile(context.Background(), path, flag, 0o644)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	return f
}

func (r *rig) read(t tester, path string) string {
	t.Helper()
	content, err := r.tryRead(path)
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return content
}

func (r *rig) tryRead(path string) (string, error) {
	f, err := r.OpenFile(context.Background(), path, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	content, err := readAll(f)
	return content, errors.Join(err, f.Release())
}

func readAll(f *File) (string, error) {
	var out bytes.Buffer
	buf := make([]byte, 37)
	for {
		n, err := f.ReadAt(context.Background(), buf, int64(out.Len()))
		out.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			return out.String(), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// walk gives all that is visible: content by path, "/" behind those of folders.
func (r *rig) walk(t tester) map[string]string {
	t.Helper()
	out := make(map[string]string)
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := r.List(context.Background(), dir)
		if err != nil {
			t.Fatalf("list %q: %v", dir, err)
		}
		for _, e := range entries {
			path := join(dir, e.Name)
			seen, err := r.Lookup(context.Background(), path)
			if err != nil || seen.Dir != e.Dir || seen.Size != e.Size {
				t.Fatalf("%s: listed as %+v, looked up as %+v, %v", path, e, seen, err)
			}
			if e.Dir {
				out[path+"/"] = ""
				walk(path)
				continue
			}
			out[path] = r.read(t, path)
			if int64(len(out[path])) != e.Size {
				t.Fatalf("%s: %d bytes, listed with %d", path, len(out[path]), e.Size)
			}
		}
	}
	walk("")
	return out
}

// must fails the test for an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// waitFor returns when something is so; the test's own time limit ends it.
func waitFor(t testing.TB, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}
