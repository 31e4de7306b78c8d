package fs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/hub/hubtest"
)

func TestMountPointsThatCannotBe(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "1"})
	m := mount(t, s, "alice/m")
	dir := t.TempDir()
	file, full := filepath.Join(dir, "file"), filepath.Join(dir, "full")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(full, "something"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		dir  string
		want syscall.Errno
		text string // what to do next
	}{
		{filepath.Join(dir, "missing"), syscall.ENOENT, "mkdir -p"},
		{file, syscall.ENOTDIR, "directory"},
		{full, syscall.ENOTEMPTY, "empty directory"},
		{m.path(), syscall.EBUSY, "hubfs umount"},
	} {
		_, err := New(t.Context(), test.dir, Options{Source: Source{WholeHub: true}})
		var refused *MountPointError
		if !errors.As(err, &refused) || !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v; want %v, and to read %q", test.dir, err, test.want, test.text)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(m.cfg.Dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), link, Options{Source: Source{WholeHub: true}}); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a link to a mount: %v", err)
	}
}

func TestMountPointWithOddName(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"Ünï cödé ☃.txt": "1", "a b": "2"})
	dir := filepath.Join(t.TempDir(), "with space, comma\tand \\ more")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m := mount(t, s, "alice/m", func(c *daemonConfig) { c.Dir = dir })
	wantContent(t, m.path("Ünï cödé ☃.txt"), "1")
	wantContent(t, m.path("a b"), "2")
	if !isMounted(dir) {
		t.Error("the mount isn't found in the kernel's table")
	}
}

// While programs use a mount, it can't be unmounted, and they are named.
func TestBusy(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": strings.Repeat("1", 10000), "d/g": "2"})
	m := mount(t, s, "alice/m")
	if using, err := Busy(m.cfg.Dir); err != nil || len(using) != 0 {
		t.Errorf("used by %v, %v", using, err)
	}
	expect := func(uses, path string) {
		t.Helper()
		using, err := Busy(m.cfg.Dir)
		if err != nil || len(using) != 1 || using[0].PID != os.Getpid() || using[0].Path != path || uses != "" && using[0].Uses != uses {
			t.Errorf("used by %+v, %v; want %s of %s", using, err, uses, path)
		}
		text := (&BusyError{Dir: m.cfg.Dir, Processes: using}).Error()
		if !strings.Contains(text, "pid") || !strings.Contains(text, path) {
			t.Errorf("it reads %q", text)
		}
	}
	f, err := os.Open(m.path("f"))
	if err != nil {
		t.Fatal(err)
	}
	expect("", m.path("f"))
	mapped, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	expect("map", m.path("f"))
	if err := unix.Munmap(mapped); err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "60")
	child.Dir = m.path("d")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	using, err := Busy(m.cfg.Dir)
	if err != nil || len(using) != 1 || using[0].PID != child.Process.Pid || using[0].Uses != "cwd" || using[0].Program != "sleep" {
		t.Errorf("used by %+v, %v", using, err)
	}
	a := m.tell(command{Do: "unmount"})
	if !strings.Contains(a.Err, "sleep (pid") {
		t.Errorf("unmounting a mount in use: %q", a.Err)
	}
	wantContent(t, m.path("d/g"), "2")
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
}

// Unmount from within ends the daemon as well as a plain umount does.
func TestUnmountFromWithin(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "1"})
	m := mount(t, s, "alice/m")
	wantContent(t, m.path("f"), "1")
	if err := m.in.Encode(command{Do: "unmount", Timeout: 1}); err != nil {
		t.Fatal(err)
	}
	m.over.Store(true)
	if err := m.waitEnd(); err != nil {
		t.Errorf("%v\n%s", err, m.log)
	}
}

func TestMountinfo(t *testing.T) {
	const info = `22 1 0:21 / / rw,relatime - overlay overlay rw
36 22 0:50 / /mnt/a\040b\011c rw,nosuid,nodev shared:5 master:1 - fuse.hubfs datasets/me/d ro,user_id=0
37 22 0:51 / /mnt/other rw - fuse.sshfs host:/ rw
38 22 0:52 / /mnt/c\134d rw - fuse.hubfs hubfs rw

garbage
36 35 98:0 / /x rw
 - fuse.hubfs x y
`
	got, err := parseMountinfo(strings.NewReader(info))
	want := []KernelMount{{"/mnt/a b\tc", "datasets/me/d", "50"}, {`/mnt/c\d`, "hubfs", "52"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestAllowOther(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "fuse.conf")
	for text, want := range map[string]bool{
		"": false, "# user_allow_other\n": false, "mount_max = 10\nuser_allow_other\n": true, "  user_allow_other  ": true,
	} {
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := userAllowOther(conf); got != want {
			t.Errorf("%q allows: %v", text, got)
		}
	}
	if userAllowOther(conf + ".missing") {
		t.Error("a missing file allows")
	}
}
