package fs

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
)

// writable makes a mount that takes changes, and commits only when it is asked to.
func writable(more ...func(*WriteOptions)) func(*daemonConfig) {
	return func(cfg *daemonConfig) {
		cfg.Write = &WriteOptions{SyncTimeout: 20 * time.Second}
		for _, f := range more {
			f(cfg.Write)
		}
	}
}

// mountWritable mounts so that changes can be made.
func mountWritable(t testing.TB, s *hubtest.Server, source string, more ...func(*daemonConfig)) *mounted {
	t.Helper()
	all := append([]func(*daemonConfig){writable()}, more...)
	return mount(t, s, source, append(all, func(cfg *daemonConfig) {
		if cfg.Write.StateDir == "" {
			cfg.Write.StateDir = filepath.Join(t.TempDir(), "state")
		}
	})...)
}

// flush commits what is changed at path, and gives what came of it.
func (m *mounted) flush(path string) PushResult {
	m.t.Helper()
	a := m.tell(command{Do: "flush", Path: path})
	if a.Err != "" {
		m.t.Fatalf("flush %q: %s\n%s", path, a.Err, m.log)
	}
	return a.Push
}

// commits asks for exactly one commit of everything.
func (m *mounted) commitAll() Commit {
	m.t.Helper()
	res := m.flush("")
	if len(res.Commits) != 1 || len(res.Failed) != 0 {
		m.t.Fatalf("flush made %v, and failed with %v\n%s", res.Commits, res.Failed, m.log)
	}
	return res.Commits[0]
}

func (m *mounted) changes() []Change { m.t.Helper(); return m.tell(command{Do: "changes"}).Changes }

func (m *mounted) write(name, content string) {
	m.t.Helper()
	if err := os.WriteFile(m.path(name), []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mounted) read(name string) string {
	m.t.Helper()
	b, err := os.ReadFile(m.path(name))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// wantHub checks what the Hub has at a path; "" for no such file.
func wantHub(t testing.TB, s *hubtest.Server, repo, rev, path, want string) {
	t.Helper()
	got, err := readHub(s, repo, rev, path)
	if want == deleted {
		if err == nil {
			t.Errorf("the Hub has %s still: %.80q", path, got)
		}
		return
	}
	if err != nil || got != want {
		t.Errorf("the Hub has at %s %.80q (%v), want %.80q", path, got, err, want)
	}
}

func TestWrite(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"README.md": "old", "keep": "same", "d/a": "a", "d/b": "b", "e/x": "x"})
	m := mountWritable(t, s, "alice/m")

	if got := m.read("README.md"); got != "old" {
		t.Fatalf("read %q", got)
	}
	m.write("README.md", "new text")
	m.write("d/c", "c")
	if err := os.Mkdir(m.path("n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.write("n/f", strings.Repeat("line\n", 1000))
	if err := os.Rename(m.path("e"), m.path("moved")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.path("d/a")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"README.md": "new text", "d/c": "c", "n/f": strings.Repeat("line\n", 1000), "moved/x": "x", "d/b": "b"} {
		if got := m.read(name); got != want {
			t.Errorf("%s is %.40q before the commit", name, got)
		}
	}
	wantHub(t, s, "alice/m", "main", "README.md", "old")
	c := m.commitAll()
	for name, want := range map[string]string{
		"README.md": "new text", "d/c": "c", "n/f": strings.Repeat("line\n", 1000), "moved/x": "x", "d/b": "b", "keep": "same",
		"d/a": deleted, "e/x": deleted,
	} {
		wantHub(t, s, "alice/m", c.OID, name, want)
		if want == deleted {
			if _, err := os.Lstat(m.path(name)); !os.IsNotExist(err) {
				t.Errorf("%s is there still: %v", name, err)
			}
			continue
		}
		if got := m.read(name); got != want {
			t.Errorf("%s is %.40q after the commit", name, got)
		}
	}
	if got := m.changes(); len(got) != 0 {
		t.Errorf("after the commit, changed: %v", got)
	}
}

// Who has a file open sees what others write to it, at once and always.
func TestWriteIsVisible(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "0123456789"})
	m := mountWritable(t, s, "alice/m")
	before, err := os.Open(m.path("f"))
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	buf := make([]byte, 4)
	if _, err := before.ReadAt(buf, 0); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(m.path("f"), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	after, err := os.Open(m.path("f"))
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	want := "0123456789"
	for _, part := range []string{"a", "bc", strings.Repeat("x", 10_000)} {
		if _, err := w.WriteString(part); err != nil {
			t.Fatal(err)
		}
		want += part
		for i, f := range []*os.File{w, after} {
			got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
			if err != nil || string(got) != want {
				t.Fatalf("handle %d reads %d bytes (%v), want %d", i, len(got), err, len(want))
			}
		}
		if fi, err := os.Stat(m.path("f")); err != nil || fi.Size() != int64(len(want)) {
			t.Fatalf("size %v, %v", fi, err)
		}
	}
	m.commitAllOpen(t, "f")
	if got, err := io.ReadAll(io.NewSectionReader(after, 0, 1<<20)); err != nil || string(got) != want {
		t.Fatalf("after a commit: %d bytes, %v", len(got), err)
	}
}

// commitAllOpen checks that an open file isn't committed.
func (m *mounted) commitAllOpen(t *testing.T, _ string) {
	t.Helper()
	if res := m.flush(""); len(res.Commits) != 0 {
		t.Errorf("an open file was committed: %v", res.Commits)
	}
}

func TestUnlinkWhileOpen(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"clean": "content", "other": "o"})
	m := mountWritable(t, s, "alice/m")
	m.write("staged", "mine")
	for _, name := range []string{"clean", "staged"} {
		f, err := os.OpenFile(m.path(name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		r, err := os.Open(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(m.path(name)); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("XX"), 1); err != nil {
			t.Errorf("write to what is removed: %v", err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Contains(got, []byte("XX")) {
			t.Errorf("read what is removed: %q, %v", got, err)
		}
		var st syscall.Stat_t
		if err := syscall.Fstat(int(f.Fd()), &st); err != nil || st.Nlink != 0 {
			t.Errorf("fstat of what is removed: %v, %d links", err, st.Nlink)
		}
		m.write(name, "again")
		if got := m.read(name); got != "again" {
			t.Errorf("a new file of the name has %q", got)
		}
		if got, err := io.ReadAll(io.NewSectionReader(f, 0, 100)); err != nil || !bytes.Contains(got, []byte("XX")) {
			t.Errorf("the removed file has %q now, %v", got, err)
		}
		f.Close()
		r.Close()
	}
	m.commitAll()
	wantHub(t, s, "alice/m", "main", "clean", "again")
	wantHub(t, s, "alice/m", "main", "staged", "again")
}

// readHub reads a file as the Hub has it.
func readHub(s *hubtest.Server, repo, rev, path string) (string, error) {
	var b strings.Builder
	_, err := s.Client().Download(context.Background(), hub.FileRef{Repo: hub.Repo{Type: hub.Model, ID: repo}, Revision: rev, Path: path}, &b)
	return b.String(), err
}

func repoOf(id string) hub.Repo { return hub.Repo{Type: hub.Model, ID: id} }

// Who stands in a folder goes on standing there, whatever of it is committed.
func TestStandingInFolder(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"README.md": "x", "theirs/f": "x"})
	m := mountWritable(t, s, "alice/m")
	if err := os.MkdirAll(m.path("work/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	stands := func(dir, after string) {
		t.Helper()
		if got, err := syscall.Getwd(); err != nil || got != m.path(dir) {
			t.Fatalf("after %s, who stands in %s finds himself in %q: %v", after, dir, got, err)
		}
	}
	for _, dir := range []string{"work/deep", "work", "theirs"} {
		t.Chdir(m.path(dir))
		stands(dir, "chdir")
		m.write(dir+"/f", "here")
		m.wait("", m.commitAll().OID)
		stands(dir, "a commit of a file in it")
		m.wait("", commit(t, s, "model", "alice/m", "main", map[string]string{dir + "/other": "x"}))
		stands(dir, "a commit of others")
		for _, name := range names(t, m.path(dir)) {
			if err := os.Remove(m.path(dir, name)); err != nil && dir != "work" {
				t.Fatal(err)
			}
		}
		m.wait("", m.commitAll().OID)
		stands(dir, "a commit that empties it")
		wantNames(t, ".", names(t, m.path(dir))...)
	}
}
