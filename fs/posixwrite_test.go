package fs

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/hub/hubtest"
)

// notHere are tests of what the Hub can't have: links, and attributes of one's own.
// TestErrnos checks what programs are told of these. Locks are the kernel's own, where
// those of one process don't meet.
var notHere = []string{"FcntlFlockLocksFile", "Link", "LinkUnlinkRename", "OpenSymlinkRace", "SetattrSymlink", "SymlinkReadlink", "XAttr", "XAttrLarge"}

func TestPosixWrite(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"README.md": "x"})
	m := mountWritable(t, s, "alice/m")
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		if slices.Contains(notHere, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := m.path(name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			posixtest.All[name](t, dir)
		})
	}
	if res := m.flush(""); len(res.Failed) > 0 {
		t.Errorf("failed: %v", res.Failed)
	}
}

func TestErrnos(t *testing.T) {
	s := hubtest.New(t)
	head := create(t, s, "model", "alice/m", map[string]string{"f": "file", "d/x": "x", "e/y": "y"})
	if err := s.Client().CreateTag(t.Context(), repoOf("alice/m"), "v1", nil); err != nil {
		t.Fatal(err)
	}
	m := mountWritable(t, s, "")
	at := func(name string) string { return m.path("alice/m", name) }
	do := map[string]struct {
		err  error
		want syscall.Errno
	}{
		"symlink":             {os.Symlink("f", at("l")), syscall.EPERM},
		"link":                {os.Link(at("f"), at("l")), syscall.EPERM},
		"mknod":               {unix.Mknod(at("n"), unix.S_IFIFO|0o644, 0), syscall.EPERM},
		"mknod of a file":     {unix.Mknod(at("n"), unix.S_IFREG|0o644, 0), syscall.EPERM},
		"setxattr":            {unix.Setxattr(at("f"), "user.mine", []byte("x"), 0), syscall.EOPNOTSUPP},
		"removexattr":         {unix.Removexattr(at("f"), "user.mine"), syscall.EOPNOTSUPP},
		"setxattr of a dir":   {unix.Setxattr(at("d"), "user.mine", []byte("x"), 0), syscall.EOPNOTSUPP},
		"exchange":            {unix.Renameat2(unix.AT_FDCWD, at("f"), unix.AT_FDCWD, at("d/x"), unix.RENAME_EXCHANGE), syscall.EINVAL},
		"noreplace":           {unix.Renameat2(unix.AT_FDCWD, at("f"), unix.AT_FDCWD, at("d/x"), unix.RENAME_NOREPLACE), syscall.EEXIST},
		"whiteout":            {unix.Renameat2(unix.AT_FDCWD, at("f"), unix.AT_FDCWD, at("g"), unix.RENAME_WHITEOUT), syscall.EINVAL},
		"rename into itself":  {os.Rename(at("d"), at("d/z")), syscall.EINVAL},
		"dir over a full dir": {syscall.Rename(at("d"), at("e")), syscall.ENOTEMPTY},
		"rename to a tree":    {os.Rename(at("f"), m.path("alice/new")), syscall.EPERM},
		"rename a tree":       {os.Rename(m.path("alice/m"), m.path("alice/new")), syscall.EPERM},
		"rmdir of a full dir": {syscall.Rmdir(at("d")), syscall.ENOTEMPTY},
		"rmdir of a tree":     {syscall.Rmdir(m.path("alice/m")), syscall.EPERM},
		"rmdir of a file":     {syscall.Rmdir(at("f")), syscall.ENOTDIR},
		"unlink of a dir":     {syscall.Unlink(at("d")), syscall.EISDIR},
		"mkdir over a file":   {syscall.Mkdir(at("f"), 0o755), syscall.EEXIST},
		"mkdir of a repo":     {syscall.Mkdir(m.path("alice/new"), 0o755), syscall.EPERM},
		"mkdir of a user":     {syscall.Mkdir(m.path("bob"), 0o755), syscall.EPERM},
		"file above":          {os.WriteFile(m.path("alice/file"), nil, 0o644), syscall.EPERM},
		"excl":                {openErr(at("f"), os.O_CREATE|os.O_EXCL|os.O_WRONLY), syscall.EEXIST},
		"a dir for writing":   {openErr(at("d"), os.O_WRONLY), syscall.EISDIR},
		"a file as a dir":     {os.WriteFile(at("f/x"), nil, 0o644), syscall.ENOTDIR},
		"a long name":         {os.WriteFile(at(strings.Repeat("n", 256)), nil, 0o644), syscall.ENAMETOOLONG},
		"no utf-8":            {os.WriteFile(at("a\xff"), nil, 0o644), syscall.EILSEQ},
		"no such dir":         {os.WriteFile(at("no/x"), nil, 0o644), syscall.ENOENT},
		"tmpfile":             {openErr(at("d"), unix.O_TMPFILE|os.O_RDWR), syscall.EOPNOTSUPP},
		"a commit":            {os.WriteFile(m.path("alice/m@"+head, "f"), nil, 0o644), syscall.EROFS},
		"new in a commit":     {os.WriteFile(m.path("alice/m@"+head, "new"), nil, 0o644), syscall.EROFS},
		"a tag":               {os.WriteFile(m.path("alice/m@v1", "f"), nil, 0o644), syscall.EROFS},
		"mkdir in a tag":      {os.Mkdir(m.path("alice/m@v1", "n"), 0o755), syscall.EROFS},
		"rename in a tag":     {os.Rename(m.path("alice/m@v1", "f"), m.path("alice/m@v1", "g")), syscall.EROFS},
		"chmod in a tag":      {os.Chmod(m.path("alice/m@v1", "f"), 0o600), syscall.EROFS},
		"symlink in a tag":    {os.Symlink("f", m.path("alice/m@v1", "l")), syscall.EROFS},
		"to another tree":     {os.Rename(at("f"), m.path("alice/m@v1", "f2")), syscall.EXDEV},
	}
	for name, test := range do {
		if test.err == nil || !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", name, test.err, test.want)
		}
	}
	if got := m.changes(); len(got) != 0 {
		t.Errorf("refused, and changed: %v", got)
	}
	for _, b := range m.status().Branches {
		if want := b.Revision == "main"; b.Writable != want || b.Writable == (b.ReadOnlyReason != "") {
			t.Errorf("%s: writable %v, %q", b.Revision, b.Writable, b.ReadOnlyReason)
		}
	}
}

func openErr(path string, flags int) error {
	fd, err := unix.Open(path, flags, 0o644)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// A directory above the trees takes one thing: a branch.
func TestMakeBranch(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "file"})
	m := mountWritable(t, s, "")
	if err := os.Mkdir(m.path("alice/m@dev%2Fx"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.write("alice/m@dev%2Fx/f", "in the branch")
	if got := m.read("alice/m/f"); got != "file" {
		t.Errorf("the default branch has %q", got)
	}
	c := m.commitAll()
	if c.Revision != "dev/x" {
		t.Errorf("committed to %q", c.Revision)
	}
	wantHub(t, s, "alice/m", "dev/x", "f", "in the branch")
	wantHub(t, s, "alice/m", "main", "f", "file")
	err := os.Mkdir(m.path("alice/m@dev%2Fx"), 0o755)
	wantErrno(t, "a branch that exists", err, syscall.EEXIST)
}

func TestAttributesThatAreSet(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "file", "d/x": "x"})
	m := mountWritable(t, s, "alice/m")
	m.write("new", "n")
	check := func(when string) {
		t.Helper()
		for name, mode := range map[string]os.FileMode{"f": 0o755, "new": 0o600, "d": 0o700} {
			fi, err := os.Stat(m.path(name))
			if err != nil || fi.Mode().Perm() != mode || fi.ModTime().Unix() != 1_000_000_000 {
				t.Errorf("%s: %s is %v, %v", when, name, fi, err)
			}
		}
	}
	for name, mode := range map[string]os.FileMode{"f": 0o755, "new": 0o600, "d": 0o700} {
		if err := os.Chmod(m.path(name), mode); err != nil {
			t.Fatal(err)
		}
		if err := unix.Utimes(m.path(name), []unix.Timeval{{Sec: 5}, {Sec: 1_000_000_000}}); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(m.path(name), os.Getuid(), os.Getgid()); err != nil {
			t.Errorf("chown to the owner: %v", err)
		}
	}
	check("set")
	if got := m.changes(); len(got) != 1 {
		t.Errorf("mode and time are no changes: %v", got)
	}
	m.commitAll()
	check("committed")
}

func TestFallocate(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": strings.Repeat("x", 10_000)})
	m := mountWritable(t, s, "alice/m")
	f, err := os.OpenFile(m.path("f"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := bytes.Repeat([]byte("x"), 10_000)
	check := func(what string) {
		t.Helper()
		got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes differ (%v)", what, len(got), err)
		}
	}
	for _, test := range []struct {
		what     string
		mode     uint32
		off, len int64
		want     error
	}{
		{"punch", unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, 100, 5000, nil},
		{"zero", unix.FALLOC_FL_ZERO_RANGE, 9000, 2000, nil},
		{"keep", unix.FALLOC_FL_KEEP_SIZE, 0, 50_000, nil},
		{"extend", 0, 0, 20_000, nil},
		{"collapse", unix.FALLOC_FL_COLLAPSE_RANGE, 0, 4096, syscall.EOPNOTSUPP},
		{"insert", unix.FALLOC_FL_INSERT_RANGE, 0, 4096, syscall.EOPNOTSUPP},
		{"too much", 0, 0, 1 << 60, syscall.ENOSPC},
	} {
		err := unix.Fallocate(int(f.Fd()), test.mode, test.off, test.len)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.what, err, test.want)
		}
		switch test.what {
		case "punch":
			clear(want[100:5100])
		case "zero":
			want = append(want[:9000], make([]byte, 2000)...)
		case "extend":
			want = append(want, make([]byte, 20_000-len(want))...)
		}
		check(test.what)
	}
	if off, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE); err != nil || off > 20_000 {
		t.Errorf("a hole at %d, %v", off, err)
	}
	if off, err := unix.Seek(int(f.Fd()), 5, unix.SEEK_DATA); err != nil || off != 5 {
		t.Errorf("data at %d, %v", off, err)
	}
	_, err = unix.Seek(int(f.Fd()), 20_001, unix.SEEK_DATA)
	wantErrno(t, "data behind the end", err, syscall.ENXIO)
}

// Stores through a map reach the file, and so does what others wrote into it.
func TestMapWrite(t *testing.T) {
	s := hubtest.New(t)
	old := strings.Repeat("old.", 5000)
	create(t, s, "model", "alice/m", map[string]string{"f": old})
	m := mountWritable(t, s, "alice/m")
	f, err := os.OpenFile(m.path("f"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	// A page fault stops this process, and with it the Hub in it, until the page is there.
	wantContent(t, m.path("f"), old)
	mem, err := unix.Mmap(int(f.Fd()), 0, len(old), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	copy(mem[4096:], "mapped")
	if _, err := f.WriteAt([]byte("written"), 8192); err != nil {
		t.Fatal(err)
	}
	if got := string(mem[8192:8199]); got != "written" {
		t.Errorf("the map shows %q", got)
	}
	want := []byte(old)
	copy(want[4096:], "mapped")
	copy(want[8192:], "written")
	if err := unix.Msync(mem, unix.MS_SYNC); err != nil {
		t.Fatal(err)
	}
	if got := m.read("f"); got != string(want) {
		t.Error("after msync, the file differs")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	copy(mem, "after close")
	copy(want, "after close")
	if err := unix.Munmap(mem); err != nil {
		t.Fatal(err)
	}
	if got := m.read("f"); got != string(want) {
		t.Error("after munmap, the file differs")
	}
	m.commitAll()
	wantHub(t, s, "alice/m", "main", "f", string(want))
}

// A folder keeps who stands in it, and what is open in it, when it is renamed.
func TestRenameFolder(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"a/b/f": "one", "a/b/g": "two", "a/h": "three"})
	m := mountWritable(t, s, "alice/m")
	fd, err := unix.Open(m.path("a/b"), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	wantContent(t, m.path("a/b/f"), "one")
	g, err := os.OpenFile(m.path("a/b/g"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := os.Rename(m.path("a"), m.path("z")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(m.path("a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.write("a/b/f", "another")
	wantContent(t, m.path("z/b/f"), "one")
	wantContent(t, m.path("z/h"), "three")
	wantNames(t, m.path("a/b"), "f")
	wantNames(t, m.path("z/b"), "f", "g")
	under, err := unix.Openat(fd, "f", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(under), "f")
	got, err := io.ReadAll(file)
	file.Close()
	if err != nil || string(got) != "one" {
		t.Errorf("who stands in the folder reads %q, %v", got, err)
	}
	if _, err := g.WriteAt([]byte("TW"), 0); err != nil {
		t.Fatal(err)
	}
	wantContent(t, m.path("z/b/g"), "TWo")
	if err := os.Rename(m.path("z/b"), m.path("a/c")); err != nil {
		t.Fatal(err)
	}
	wantContent(t, m.path("a/c/g"), "TWo")
	g.Close()
	inos := make(map[uint64]string)
	err = filepath.WalkDir(m.path(), func(p string, d os.DirEntry, err error) error {
		var st syscall.Stat_t
		if err == nil {
			err = syscall.Lstat(p, &st)
		}
		if other := inos[st.Ino]; other != "" {
			t.Errorf("%s and %s have one inode number", p, other)
		}
		inos[st.Ino] = p
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	m.commitAll()
	for name, want := range map[string]string{"a/c/f": "one", "a/c/g": "TWo", "z/h": "three", "a/b/f": "another", "a/h": deleted} {
		wantHub(t, s, "alice/m", "main", name, want)
		if want != deleted {
			wantContent(t, m.path(name), want)
		}
	}
}

// Who stands in a folder stays there when the folder comes to the Hub, and when the Hub
// has it no more.
func TestFolderInUseIsCommitted(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "x", "theirs/old": "x"})
	m := mountWritable(t, s, "alice/m")
	if err := os.Mkdir(m.path("ours"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.write("ours/f", "new")
	m.write("theirs/new", "new")
	for _, name := range []string{"ours", "theirs"} {
		fd, err := unix.Open(m.path(name), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		defer func() {
			// Of what was taken away, the kernel writes "(deleted)" behind the name.
			at, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
			if err != nil || at != m.path(name) {
				t.Errorf("who stands in %s is in %q, %v", name, at, err)
			}
		}()
	}
	m.wait("", commit(t, s, "model", "alice/m", "main", map[string]string{"theirs/old": deleted}))
	wantNames(t, m.path("theirs"), "new")
	m.wait("", m.commitAll().OID)
	wantNames(t, m.path("ours"), "f")
}
