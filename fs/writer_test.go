package fs

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/hub/hubtest"
)

// TestSetIDIsLost wants a change of content or owner to take from a file what lets others run it as
// somebody else: the kernel leaves that to us, and in turn doesn't ask before each write.
func TestSetIDIsLost(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "file"})
	m := mountWritable(t, s, "alice/m")
	open := func(flags int, do func(f *os.File) error) func(string) error {
		return func(path string) error {
			f, err := os.OpenFile(path, flags, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			return do(f)
		}
	}
	write := func(f *os.File) error { _, err := f.WriteString("changed"); return err }
	for _, c := range []struct {
		name      string
		mode, end uint32
		change    func(path string) error
	}{
		{"write", 0o6755, 0o755, open(os.O_WRONLY, write)},
		{"append", 0o4711, 0o711, open(os.O_WRONLY|os.O_APPEND, write)},
		{"group-bit", 0o2644, 0o2644, open(os.O_WRONLY, write)},
		{"truncate", 0o6755, 0o755, func(path string) error { return os.Truncate(path, 3) }},
		{"open", 0o6755, 0o755, open(os.O_WRONLY|os.O_TRUNC, func(*os.File) error { return nil })},
		{"fallocate", 0o6755, 0o755, open(os.O_RDWR, func(f *os.File) error {
			return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 3)
		})},
		{"chown", 0o6755, 0o755, func(path string) error { return os.Chown(path, os.Getuid(), os.Getgid()) }},
		{"read", 0o6755, 0o6755, func(path string) error { _, err := os.ReadFile(path); return err }},
		{"touch", 0o6755, 0o6755, func(path string) error { return syscall.Utimes(path, make([]syscall.Timeval, 2)) }},
	} {
		path := m.path(c.name)
		m.write(c.name, "content")
		if err := syscall.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		if err := c.change(path); err != nil {
			t.Fatal(err)
		}
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil || st.Mode&0o7777 != c.end {
			t.Errorf("%s: mode %o became %o (%v), want %o", c.name, c.mode, st.Mode&0o7777, err, c.end)
		}
	}
}

// TestWritesAreNotAskedAbout wants the kernel to ask for a file's capabilities once, and not
// before each write.
func TestWritesAreNotAskedAbout(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "file"})
	m := mountWritable(t, s, "alice/m", func(cfg *daemonConfig) { cfg.Debug = true })
	f, err := os.Create(m.path("new"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 10 {
		if _, err := f.WriteString("some text"); err != nil {
			t.Fatal(err)
		}
	}
	// A request's line may come after its answer.
	count := func(of string) int { return strings.Count(m.log.String(), of) }
	eventually(t, "ten writes in the log", func() bool { return count(": WRITE ") == 10 })
	if asked := count("security.capability"); asked > 1 {
		t.Errorf("the kernel asked %d times", asked)
	}
}

// TestBlocksOfWriters wants programs to write much at a time, but not lines of a log.
func TestBlocksOfWriters(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"old.json": "{}"})
	m := mountWritable(t, s, "alice/m")
	for name, want := range map[string]int64{"new.json": writeBlock, "old.json": writeBlock, "train.log": 4096} {
		f, err := os.OpenFile(m.path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		var st syscall.Stat_t
		if err := syscall.Fstat(int(f.Fd()), &st); err != nil || st.Blksize != want {
			t.Errorf("%s has blocks of %d bytes, %v, want %d", name, st.Blksize, err, want)
		}
		f.Close()
	}
}
