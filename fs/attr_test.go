package fs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

func stat(t testing.TB, path string) syscall.Stat_t {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Errorf("stat %s: %v", path, err)
	}
	return st
}

func xattr(path, name string) (string, error) {
	buf := make([]byte, 1000)
	n, err := unix.Lgetxattr(path, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

func wantXattr(t testing.TB, path, name, want string) {
	t.Helper()
	got, err := xattr(path, name)
	if want == "" {
		wantErrno(t, name+" of "+path, err, syscall.ENODATA)
	} else if err != nil || got != want {
		t.Errorf("%s of %s = %q, %v; want %q", name, path, got, err, want)
	}
}

func listXattrs(t testing.TB, path string) []string {
	t.Helper()
	buf := make([]byte, 1000)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		t.Errorf("attributes of %s: %v", path, err)
		return nil
	}
	return strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 })
}

// commitAt makes a commit with a date of its own.
func commitAt(t testing.TB, s *hubtest.Server, date time.Time, ops ...localhub.Operation) string {
	t.Helper()
	oid, err := s.Hub.Commit("model", "alice/m", "main", localhub.CommitInput{Title: "change", Date: date, Operations: ops})
	if err != nil {
		t.Fatal(err)
	}
	return oid
}

func add(path, content string) localhub.Operation {
	return localhub.Operation{Kind: localhub.OpAdd, Path: path, Content: []byte(content)}
}

func TestAttributes(t *testing.T) {
	s := hubtest.New(t)
	first := time.Now().Add(1000 * time.Hour).Truncate(time.Second)
	create(t, s, "model", "alice/m", nil)
	head := commitAt(t, s, first, add("file", "12345"), add("dir/deep/x", strings.Repeat("x", 1000)), add("empty", ""))
	m := mount(t, s, "alice/m", func(c *daemonConfig) { c.Umask = 0o027 })

	for path, size := range map[string]int64{"file": 5, "empty": 0, "dir/deep/x": 1000} {
		st := stat(t, m.path(path))
		if st.Mode != syscall.S_IFREG|0o640 || st.Size != size || st.Nlink != 1 || st.Uid != uint32(os.Getuid()) || st.Gid != uint32(os.Getgid()) ||
			st.Mtim.Sec != first.Unix() || st.Blocks != (size+511)/512 || st.Blksize != 4096 {
			t.Errorf("%s: %+v", path, st)
		}
	}
	for _, path := range []string{"", "dir", "dir/deep"} {
		st := stat(t, m.path(path))
		if st.Mode != syscall.S_IFDIR|0o750 || st.Uid != uint32(os.Getuid()) || st.Nlink < 1 {
			t.Errorf("%s: %+v", path, st)
		}
		wantNames(t, m.path("dir/deep"), "x")
		if st := stat(t, m.path(path)); st.Mtim.Sec != first.Unix() {
			t.Errorf("%s has the date %v, want %v", path, time.Unix(st.Mtim.Unix()), first)
		}
	}

	// Facts.
	blob := "bd41cba781d8349272bf3eb92568285b411c027c" // git hash-object of "12345"
	f := m.path("file")
	for name, want := range map[string]string{
		"user.hub.oid": blob, "user.hub.sha256": "", "user.hub.commit": head, "user.hub.last_commit": head, "user.hub.repo": "alice/m",
		"user.hub.revision": "main", "user.hub.cached": "0", "user.hub.state": "clean", "user.hub.nothing": "", "user.other": "",
		"security.selinux": "", "security.capability": "", "trusted.x": "",
	} {
		wantXattr(t, f, name, want)
	}
	wantContent(t, f, "12345")
	wantXattr(t, f, "user.hub.cached", "5")
	want := []string{"user.hub.oid", "user.hub.commit", "user.hub.repo", "user.hub.revision", "user.hub.cached", "user.hub.state"}
	if got := listXattrs(t, f); !slices.Equal(got, want) {
		t.Errorf("the file has %q", got)
	}
	want = []string{"user.hub.oid", "user.hub.commit", "user.hub.repo", "user.hub.revision", "user.hub.state"}
	if got := listXattrs(t, m.path("dir")); !slices.Equal(got, want) {
		t.Errorf("the folder has %q", got)
	}
	if oid, err := xattr(m.path("dir"), "user.hub.oid"); err != nil || len(oid) != 40 {
		t.Errorf("the folder has the id %q, %v", oid, err)
	}
	wantXattr(t, m.path("dir"), "user.hub.commit", head)
	wantXattr(t, m.path(), "user.hub.commit", head)
	wantXattr(t, m.path(), "user.hub.oid", "")
	wantXattr(t, m.path(), "user.hub.last_commit", head)
	if n, err := unix.Lgetxattr(f, "user.hub.repo", make([]byte, 3)); !errors.Is(err, syscall.ERANGE) {
		t.Errorf("too small a buffer: %d, %v", n, err)
	}
	if n, err := unix.Lgetxattr(f, "user.hub.repo", nil); n != len("alice/m") || err != nil {
		t.Errorf("asked for the size: %d, %v", n, err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(f, &fs); err != nil || fs.Namelen != 255 || fs.Bsize == 0 || fs.Bavail != 0 {
		t.Errorf("statfs: %+v, %v", fs, err)
	}
}

func TestLFSAttributes(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "dataset", "alice/d", nil)
	content := strings.Repeat("large", 1000)
	sum := sha256.Sum256([]byte(content))
	ref, err := s.Hub.PutLFS(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hub.Commit("dataset", "alice/d", "main", localhub.CommitInput{
		Title: "lfs", Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: "x.bin", LFS: &ref}},
	}); err != nil {
		t.Fatal(err)
	}
	m := mount(t, s, "datasets/alice/d")
	f := m.path("x.bin")
	if st := stat(t, f); st.Size != int64(len(content)) {
		t.Errorf("size %d", st.Size)
	}
	wantXattr(t, f, "user.hub.sha256", hex.EncodeToString(sum[:]))
	wantXattr(t, f, "user.hub.repo", "datasets/alice/d")
	if oid, err := xattr(f, "user.hub.oid"); err != nil || len(oid) != 40 {
		t.Errorf("the pointer has the id %q, %v", oid, err)
	}
	wantContent(t, f, content)
	wantXattr(t, f, "user.hub.cached", strconv.Itoa(len(content)))
	if !slices.Contains(listXattrs(t, f), "user.hub.sha256") {
		t.Errorf("the file has %q", listXattrs(t, f))
	}
}

// The date of a file is that of the commit in which its content was seen first,
// also after a remount.
func TestDatesAreKept(t *testing.T) {
	s := hubtest.New(t)
	begin := time.Now().Truncate(time.Second) // the Hub lets no commit be older than its parent
	day := func(n int) time.Time { return begin.Add(time.Duration(n) * 24 * time.Hour) }
	create(t, s, "model", "alice/m", nil)
	commitAt(t, s, day(1), add("same", "1"), add("changes", "1"), add("d/same", "1"), add("d/changes", "1"), add("n/n/changes", "1"))
	cache := filepath.Join(t.TempDir(), "hub")
	withCache := func(c *daemonConfig) { c.CacheDir = cache }
	m := mount(t, s, "alice/m", withCache)
	dates := func(want map[string]int) {
		t.Helper()
		for path, n := range want {
			if st := stat(t, m.path(path)); st.Mtim.Sec != day(n).Unix() {
				t.Errorf("%s has the date %v, want %v", path, time.Unix(st.Mtim.Unix()).UTC(), day(n))
			}
		}
	}
	dates(map[string]int{"": 1, "same": 1, "changes": 1, "d": 1, "d/same": 1, "d/changes": 1, "n": 1, "n/n": 1, "n/n/changes": 1})
	m.wait("", commitAt(t, s, day(2), add("changes", "2"), add("d/changes", "2"), add("new", "2"), add("n/n/changes", "2")))
	want := map[string]int{"": 2, "same": 1, "changes": 2, "new": 2, "d": 2, "d/same": 1, "d/changes": 2, "n": 2, "n/n": 2, "n/n/changes": 2}
	dates(want)
	m.unmount()
	m = mount(t, s, "alice/m", withCache)
	dates(want)
	m.unmount()
	commitAt(t, s, day(3), add("d/changes", "3"))
	m = mount(t, s, "alice/m", withCache)
	dates(map[string]int{"": 3, "same": 1, "changes": 2, "new": 2, "d": 3, "d/same": 1, "d/changes": 3})
}

func TestInodeNumbersAreStable(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"a": "1", "d/b": "2"})
	inodes := func(m *mounted) map[string]uint64 {
		all := make(map[string]uint64)
		for _, p := range []string{"alice", "alice/m", "alice/m/a", "alice/m/d", "alice/m/d/b", "models/alice"} {
			all[p] = stat(t, m.path(p)).Ino
			entries, err := os.ReadDir(filepath.Dir(m.path(p)))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if info, err := e.Info(); err == nil && e.Name() == filepath.Base(p) && info.Sys().(*syscall.Stat_t).Ino != all[p] {
					t.Errorf("%s has another number in its directory", p)
				}
			}
		}
		return all
	}
	m := mount(t, s, "")
	before := inodes(m)
	m.wait("alice/m", commit(t, s, "model", "alice/m", "main", map[string]string{"a": "other", "d/b": "content"}))
	moved := inodes(m)
	m.unmount()
	after := inodes(mount(t, s, ""))
	for p, ino := range before {
		if moved[p] != ino || after[p] != ino {
			t.Errorf("%s had the number %d, %d after a commit, %d after a remount", p, ino, moved[p], after[p])
		}
	}
	seen := make(map[uint64]string)
	for p, ino := range before {
		if other, twice := seen[ino]; twice {
			t.Errorf("%s and %s have the same number", p, other)
		}
		seen[ino] = p
	}
}

func TestOwner(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"a": "1"})
	uid, gid := uint32(1234), uint32(5678)
	m := mount(t, s, "", func(c *daemonConfig) { c.UID, c.GID = &uid, &gid })
	for _, p := range []string{"", "alice", "alice/m", "alice/m/a", "models/alice"} {
		if st := stat(t, m.path(p)); st.Uid != uid || st.Gid != gid {
			t.Errorf("%s belongs to %d:%d", p, st.Uid, st.Gid)
		}
	}
}

// Nothing can be changed, whether the kernel itself refuses or asks.
func TestReadOnly(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"file": "1", "d/x": "2"})
	m := mount(t, s, "")
	changes := func(how string) {
		for _, dir := range []string{"", "alice", "alice/m", "alice/m/d", "datasets"} {
			n := m.path(dir, "new")
			for what, err := range map[string]error{
				"mkdir":   os.Mkdir(n, 0o755),
				"create":  createFile(n),
				"mknod":   unix.Mknod(n, unix.S_IFIFO|0o644, 0),
				"symlink": os.Symlink("x", n),
				"rename":  os.Rename(m.path("alice/m/file"), n),
				"chmod":   os.Chmod(m.path(dir), 0o700),
				"utimens": os.Chtimes(m.path(dir), time.Now(), time.Now()),
				"xattr":   unix.Setxattr(m.path(dir), "user.x", []byte("1"), 0),
				"tmpfile": tmpFile(m.path(dir)),
			} {
				if !errors.Is(err, syscall.EROFS) && (what != "tmpfile" || !errors.Is(err, syscall.EOPNOTSUPP)) {
					t.Errorf("%s: %s in %q: %v", how, what, dir, err)
				}
			}
		}
		f := m.path("alice/m/file")
		for what, err := range map[string]error{
			"open to write":    openWith(f, os.O_WRONLY),
			"open for both":    openWith(f, os.O_RDWR),
			"open to truncate": openWith(f, os.O_WRONLY|os.O_TRUNC),
			"open to append":   openWith(f, os.O_WRONLY|os.O_APPEND),
			"truncate":         os.Truncate(f, 0),
			"unlink":           os.Remove(f),
			"rmdir":            unix.Rmdir(m.path("alice/m/d")),
			"unlink a link":    unix.Unlink(m.path("models/alice")),
			"rmdir a tree":     unix.Rmdir(m.path("alice/m")),
			"link":             os.Link(f, m.path("alice/m/hard")),
			"chmod":            os.Chmod(f, 0o600),
			"chown":            os.Chown(f, 1, 1),
			"utimens":          os.Chtimes(f, time.Now(), time.Now()),
			"set an attribute": unix.Setxattr(f, "user.hub.state", []byte("x"), 0),
			"remove one":       unix.Removexattr(f, "user.hub.state"),
		} {
			wantErrno(t, how+": "+what, err, syscall.EROFS)
		}
		wantContent(t, f, "1")
		wantNames(t, m.path("alice/m/d"), "x")
		wantNames(t, m.path("alice"), "m")
	}
	changes("mounted")
	wantErrno(t, "access", unix.Access(m.path("alice/m/file"), unix.W_OK), syscall.EROFS)
	if err := unix.Access(m.path("alice/m/file"), unix.R_OK); err != nil {
		t.Errorf("access to read: %v", err)
	}
	if os.Geteuid() == 0 { // only root can remount
		if err := unix.Mount("", m.cfg.Dir, "", unix.MS_REMOUNT, ""); err != nil {
			t.Fatal(err)
		}
		changes("remounted to write")
	}
}

func openWith(path string, flags int) error {
	f, err := os.OpenFile(path, flags, 0)
	if err == nil {
		f.Close()
	}
	return err
}

func createFile(path string) error {
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func tmpFile(dir string) error {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY, 0o644)
	if err == nil {
		unix.Close(fd)
	}
	return err
}
