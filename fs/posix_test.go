package fs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// What programs expect of any file system, as far as it can be read. go-fuse's own
// suite writes nearly everywhere; what it checks of reading is repeated here.
func TestPosix(t *testing.T) {
	s := hubtest.New(t)
	big := make([]byte, 5<<20+123)
	chacha := rand.NewChaCha8([32]byte{})
	if _, err := chacha.Read(big); err != nil {
		t.Fatal(err)
	}
	ref, err := s.Hub.PutLFS(bytes.NewReader(big))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Hub.CreateRepo("model", "alice/m", localhub.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	ops := []localhub.Operation{{Kind: localhub.OpAdd, Path: "big", LFS: &ref}, add("small", "hello"), add("empty", "")}
	for i := range 300 {
		ops = append(ops, add(fmt.Sprintf("d/%0100d", i), "x"))
	}
	if _, err := s.Hub.Commit("model", "alice/m", "main", localhub.CommitInput{Title: "c", Operations: ops}); err != nil {
		t.Fatal(err)
	}
	m := mount(t, s, "alice/m")
	for name, test := range map[string]func(*testing.T, *mounted, []byte){
		"ReadDirConsistency": func(t *testing.T, m *mounted, _ []byte) { posixtest.ReadDirConsistency(t, m.path("d")) },
		"DirSeek":            testDirSeek, "DirectoryIsNoFile": testDirectoryIsNoFile, "Lseek": testLseek, "ReadAtTheEnd": testReadAtTheEnd,
		"ParallelReads": testParallelReads, "DirectIO": testDirectIO, "Map": testMap, "Locks": testLocks, "FdLeak": testFdLeak,
		"Statx": testStatx, "OpenFlags": testOpenFlags, "CopyFileRange": testCopyFileRange,
	} {
		t.Run(name, func(t *testing.T) { test(t, m, big) })
	}
}

// dirents reads a directory by the system call, with positions.
func dirents(t *testing.T, fd int) (names []string, offs []int64) {
	t.Helper()
	buf := make([]byte, 2000)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return names, offs
		}
		for b := buf[:n]; len(b) > 0; {
			d := (*unix.Dirent)(unsafe.Pointer(&b[0]))
			name, _, _ := bytes.Cut(b[unsafe.Offsetof(d.Name):d.Reclen], []byte{0})
			names, offs = append(names, string(name)), append(offs, d.Off)
			b = b[d.Reclen:]
		}
	}
}

func testDirSeek(t *testing.T, m *mounted, _ []byte) {
	fd, err := unix.Open(m.path("d"), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	all, offs := dirents(t, fd)
	if len(all) != 302 || all[0] != "." || all[1] != ".." {
		t.Fatalf("%d entries, the first are %q", len(all), all[:2])
	}
	for _, i := range []int{250, 3, 0, 301, 120, 119} {
		if _, err := unix.Seek(fd, offs[i], io.SeekStart); err != nil {
			t.Fatal(err)
		}
		rest, _ := dirents(t, fd)
		if strings.Join(rest, "/") != strings.Join(all[i+1:], "/") {
			t.Errorf("after entry %d there are %d others, want %d", i, len(rest), len(all)-i-1)
		}
	}
	if _, err := unix.Seek(fd, 1<<40, io.SeekStart); err == nil {
		if _, err := unix.ReadDirent(fd, make([]byte, 1000)); err == nil {
			t.Error("there is something at an impossible position")
		}
	}
}

func testDirectoryIsNoFile(t *testing.T, m *mounted, _ []byte) {
	fd, err := unix.Open(m.path("d"), unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	_, err = unix.Read(fd, make([]byte, 10))
	wantErrno(t, "read a directory", err, syscall.EISDIR)
	_, err = unix.Open(m.path("small"), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	wantErrno(t, "open a file as a directory", err, syscall.ENOTDIR)
	_, err = os.Lstat(m.path(strings.Repeat("n", 256)))
	if !errors.Is(err, syscall.ENAMETOOLONG) && !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a name that is too long: %v", err)
	}
}

func testLseek(t *testing.T, m *mounted, big []byte) {
	f, err := os.Open(m.path("big"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := int64(len(big))
	for _, test := range []struct {
		off    int64
		whence int
		want   int64
		err    error
	}{
		{0, unix.SEEK_DATA, 0, nil}, {size / 2, unix.SEEK_DATA, size / 2, nil}, {size / 2, unix.SEEK_HOLE, size, nil},
		{size, unix.SEEK_DATA, 0, syscall.ENXIO}, {size + 1, unix.SEEK_HOLE, 0, syscall.ENXIO}, {-1, io.SeekEnd, size - 1, nil},
	} {
		got, err := unix.Seek(int(f.Fd()), test.off, test.whence)
		if !errors.Is(err, test.err) || err == nil && got != test.want {
			t.Errorf("seek %d from %d: %d, %v; want %d, %v", test.off, test.whence, got, err, test.want, test.err)
		}
	}
}

func testReadAtTheEnd(t *testing.T, m *mounted, big []byte) {
	f, err := os.Open(m.path("big"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := int64(len(big))
	for _, off := range []int64{size - 10, size - 1, size, size + 1, size + 1<<20} {
		buf := make([]byte, 100)
		n, err := unix.Pread(int(f.Fd()), buf, off)
		if want := max(0, min(100, size-off)); err != nil || int64(n) != want || !bytes.Equal(buf[:n], big[min(off, size):min(off+want, size)]) {
			t.Errorf("read at %d of %d: %d, %v", off, size, n, err)
		}
	}
	empty, err := os.ReadFile(m.path("empty"))
	if err != nil || len(empty) != 0 {
		t.Errorf("the empty file has %d bytes, %v", len(empty), err)
	}
}

func testParallelReads(t *testing.T, m *mounted, big []byte) {
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			f, err := os.Open(m.path("big"))
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			for range 50 {
				off, n := random.IntN(len(big)), 1+random.IntN(200_000)
				n = min(n, len(big)-off)
				buf := make([]byte, n)
				if got, err := f.ReadAt(buf, int64(off)); err != nil || got != n || !bytes.Equal(buf, big[off:off+n]) {
					t.Errorf("read %d at %d: %d, %v", n, off, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func testDirectIO(t *testing.T, m *mounted, big []byte) {
	fd, err := unix.Open(m.path("big"), unix.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 2<<20) // larger than one request of the kernel
	for _, off := range []int{0, 4096, len(big) - len(big)%4096 - 4096} {
		n, err := unix.Pread(fd, buf, int64(off))
		if want := min(len(buf), len(big)-off); err != nil || n != want || !bytes.Equal(buf[:n], big[off:off+n]) {
			t.Errorf("read at %d: %d, %v", off, n, err)
		}
	}
}

func testMap(t *testing.T, m *mounted, big []byte) {
	f, err := os.Open(m.path("big"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// A page that isn't here would stop a thread that the Hub, in this process, may
	// need to run on.
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, big) {
		t.Errorf("read %d, %v", len(got), err)
	}
	for _, flags := range []int{unix.MAP_SHARED, unix.MAP_PRIVATE} {
		mapped, err := unix.Mmap(int(f.Fd()), 0, len(big), unix.PROT_READ, flags)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(mapped, big) {
			t.Errorf("mapped with flags %d, the file is another", flags)
		}
		if err := unix.Munmap(mapped); err != nil {
			t.Error(err)
		}
	}
	if _, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		t.Error("the file can be mapped to write")
	}
}

func testLocks(t *testing.T, m *mounted, _ []byte) {
	open := func() int {
		fd, err := unix.Open(m.path("small"), unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	a, b := open(), open()
	defer unix.Close(a)
	defer unix.Close(b)
	if err := unix.Flock(a, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("lock: %v", err)
	}
	wantErrno(t, "lock what is locked", unix.Flock(b, unix.LOCK_SH|unix.LOCK_NB), syscall.EWOULDBLOCK)
	if err := unix.Flock(a, unix.LOCK_UN); err != nil {
		t.Errorf("unlock: %v", err)
	}
	if err := unix.FcntlFlock(uintptr(b), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK}); err != nil {
		t.Errorf("lock a range: %v", err)
	}
}

// Neither the reader nor the daemon keeps descriptors of files that are closed.
func testFdLeak(t *testing.T, m *mounted, _ []byte) {
	count := func() int {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	wantContent(t, m.path("small"), "hello")
	before := count()
	for range 100 {
		for _, name := range []string{"small", "empty"} {
			if _, err := os.ReadFile(m.path(name)); err != nil {
				t.Fatal(err)
			}
		}
		names(t, m.path("d"))
	}
	eventually(t, "the daemon closes what it has opened", func() bool { return count() <= before+5 })
}

func testStatx(t *testing.T, m *mounted, big []byte) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, m.path("big"), unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st); err != nil || st.Size != uint64(len(big)) {
		t.Errorf("%+v, %v", st, err)
	}
	if err := unix.Statx(unix.AT_FDCWD, m.path("big"), unix.AT_STATX_FORCE_SYNC, unix.STATX_ALL, &st); err != nil || st.Size != uint64(len(big)) {
		t.Errorf("forced: %+v, %v", st, err)
	}
}

func testOpenFlags(t *testing.T, m *mounted, _ []byte) {
	for _, flags := range []int{unix.O_RDONLY, unix.O_RDONLY | unix.O_APPEND, unix.O_RDONLY | unix.O_NONBLOCK, unix.O_RDONLY | unix.O_NOFOLLOW,
		unix.O_RDONLY | unix.O_CREAT, unix.O_PATH, unix.O_RDONLY | unix.O_SYNC} {
		fd, err := unix.Open(m.path("small"), flags, 0o644)
		if err != nil {
			t.Errorf("open with flags %#x: %v", flags, err)
			continue
		}
		unix.Close(fd)
	}
	for _, flags := range []int{unix.O_WRONLY, unix.O_RDWR, unix.O_RDONLY | unix.O_TRUNC} {
		_, err := unix.Open(m.path("small"), flags, 0)
		wantErrno(t, fmt.Sprintf("open with flags %#x", flags), err, syscall.EROFS)
	}
	_, err := unix.Open(m.path("small"), unix.O_RDONLY|unix.O_CREAT|unix.O_EXCL, 0o644)
	wantErrno(t, "create what is there", err, syscall.EEXIST)
	fd, err := unix.Open(m.path("small"), unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Fsync(fd); err != nil {
		t.Errorf("fsync of a file open to read: %v", err)
	}
	for _, dir := range []string{"", "d"} {
		fd, err := unix.Open(m.path(dir), unix.O_RDONLY|unix.O_NONBLOCK, 0) // as sync PATH does
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Fsync(fd); err != nil {
			t.Errorf("fsync of a directory: %v", err)
		}
		unix.Close(fd)
	}
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL); err != nil {
		t.Errorf("fadvise: %v", err)
	}
}

func testCopyFileRange(t *testing.T, m *mounted, big []byte) {
	from, err := os.Open(m.path("big"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if n, err := io.Copy(to, from); err != nil || n != int64(len(big)) { // by copy_file_range, sendfile or splice
		t.Errorf("copied %d, %v", n, err)
	}
	if got, err := os.ReadFile(to.Name()); err != nil || !bytes.Equal(got, big) {
		t.Errorf("the copy is another: %v", err)
	}
}
