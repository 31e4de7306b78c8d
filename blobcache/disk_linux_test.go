package blobcache

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// tmpfs mounts a small file system of its own.
func tmpfs(t *testing.T, size string) string {
	dir := t.TempDir()
	err := unix.Mount("hubfs-test", dir, "tmpfs", 0, "size="+size)
	if errors.Is(err, unix.EPERM) {
		t.Skip("only root can mount a small file system to fill")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	h := newFakeHub(t)
	disk := tmpfs(t, "6m")
	c := newTestCache(t, h, func(o *Options) { o.CacheDir, o.Dir = filepath.Join(disk, "hub"), filepath.Join(disk, "hubfs") })
	// Something of somebody else, which must survive.
	theirs := filepath.Join(disk, "theirs")
	if err := os.WriteFile(theirs, random(2<<20, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	small := random(900_000, 2)
	c.want(h.lfs("small", small), small)
	c.settled()

	big := random(12<<20, 3) // more than the disk
	b := c.open(h.lfs("big", big))
	defer b.Close()
	for off := 0; off < len(big); off += 256 << 10 {
		wantAt(t, b, big, off, 256<<10)
	}
	s := c.Stats()
	if s.Evicted == 0 {
		t.Error("nothing was evicted to make room")
	}
	if s.Uncached == 0 {
		t.Error("nothing was served past the disk")
	}
	more := random(500_000, 4)
	for range 2 {
		c.want(h.lfs("more", more), more)
	}
	if !bytes.Equal(mustRead(t, theirs), random(2<<20, 1)) {
		t.Error("somebody else's file was damaged")
	}
	checkShared(t, c.opts.CacheDir, map[string][]byte{
		h.lfs("small", small).Hash: small, h.lfs("big", big).Hash: big, h.lfs("more", more).Hash: more,
	})
}

func TestOtherFileSystem(t *testing.T) {
	h := newFakeHub(t)
	disk := tmpfs(t, "32m")
	c := newTestCache(t, h, func(o *Options) { o.CacheDir = filepath.Join(disk, "hub") })
	data := random(6<<20, 5)
	f := h.lfs("f", data)
	b := c.open(f)
	defer b.Close()
	wantAt(t, b, data, 1<<20, 1000)
	if err := b.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantAt(t, b, data, 2<<20, 1000)
	if p, ok := b.LocalPath(); !ok || p != c.blob(f) || !bytes.Equal(mustRead(t, p), data) {
		t.Error(p, ok)
	}
	if left, _ := filepath.Glob(filepath.Join(c.opts.Dir, "partial/*/*")); len(left) != 0 {
		t.Error("left:", left)
	}
}

// readOnly makes a folder that even root can't write to.
func readOnly(t *testing.T) string {
	dir := tmpfs(t, "1m")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestReadOnlySharedCache(t *testing.T) {
	h := newFakeHub(t)
	ro := readOnly(t)
	c := newTestCache(t, h, func(o *Options) { o.CacheDir = ro })
	small, big := random(1000, 6), random(3<<20, 7)
	fs, fb := h.lfs("small", small), h.lfs("big", big)
	c.want(fs, small)
	c.fetch(fb)
	n := h.requests.Load()
	c.reopen()
	c.want(fs, small)
	c.want(fb, big)
	if h.requests.Load() != n {
		t.Error("fetched again, with room in hubfs's own folder")
	}
	if c.Stats().Verified != 0 {
		t.Error("verified twice")
	}
	c.settled()
	if r, err := c.Prune(t.Context(), 0); err != nil || r.Blobs != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNoDiskAtAll(t *testing.T) {
	h := newFakeHub(t)
	ro := readOnly(t)
	c := newTestCache(t, h, func(o *Options) { o.CacheDir, o.Dir = ro, filepath.Join(ro, "hubfs") })
	small, big := random(1000, 8), random(3<<20, 9)
	c.want(h.lfs("small", small), small)
	c.want(h.lfs("big", big), big)
	b := c.open(h.lfs("big", big))
	defer b.Close()
	wantAt(t, b, big, 2<<20, 12345)
	if err := b.Fetch(t.Context()); err == nil {
		t.Error("made whole without a disk")
	}
	if err := c.PutRecord("refs", "k", 1); err == nil {
		t.Error("no error")
	}
	var v int
	if _, ok := c.Record("refs", "k", &v); !ok || v != 1 {
		t.Error("not in memory either")
	}
}

// TestDamagedFolder puts garbage everywhere: all reads are right nevertheless.
func TestDamagedFolder(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	small, big := random(1000, 10), random(4<<20, 11)
	fs, fb := h.lfs("small", small), h.lfs("big", big)
	damages := map[string]func(path string) error{
		"garbage":   func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("garbage\n"), 100), 0o600) },
		"empty":     func(p string) error { return os.Truncate(p, 0) },
		"cut short": func(p string) error { return os.Truncate(p, 50) },
		"removed":   os.Remove,
		"a folder": func(p string) error {
			return errors.Join(os.Remove(p), os.Mkdir(p, 0o700))
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			c.t = t
			c.want(fs, small)
			b := c.open(fb)
			wantAt(t, b, big, 2<<20, 4096)
			b.Close()
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			n := 0
			for name := range c.dir.walk(".") {
				p := c.dir.abs(name)
				n++
				if err := damage(p); err != nil {
					t.Fatal(err)
				}
			}
			if n < 2 {
				t.Fatalf("only %d files", n)
			}
			c.reopen()
			b = c.open(fb)
			wantAt(t, b, big, 2<<20, 4096)
			wantAt(t, b, big, 0, len(big))
			b.Close()
			c.want(fs, small)
			c.reopen()
			if err := os.RemoveAll(c.opts.Dir); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(c.opts.CacheDir); err != nil {
				t.Fatal(err)
			}
			c.reopen()
		})
	}
}

// TestRootStaysInside: root's cache may lie in a folder of a user, who puts links
// there.
func TestRootStaysInside(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root needs care")
	}
	h := newFakeHub(t)
	top := t.TempDir()
	home, victim := filepath.Join(top, "home"), filepath.Join(top, "victim")
	own := filepath.Join(home, "hubfs")
	err := errors.Join(os.Mkdir(home, 0o755), os.Mkdir(own, 0o755), os.Chown(home, 4321, 4321), os.Chown(own, 4321, 4321),
		os.Mkdir(victim, 0o755), os.WriteFile(filepath.Join(victim, "file"), []byte("secret"), 0o600),
		os.Symlink(filepath.Join(victim, "file"), filepath.Join(own, "ledger")),
		os.Symlink(victim, filepath.Join(own, "partial")), os.Symlink(victim, filepath.Join(own, "records")))
	if err != nil {
		t.Fatal(err)
	}
	c := newTestCache(t, h, func(o *Options) { o.CacheDir, o.Dir = filepath.Join(home, "hub"), own })
	small, big := random(1000, 1), random(3<<20, 2)
	c.want(h.lfs("small", small), small)
	c.want(h.lfs("big", big), big)
	_ = c.PutRecord("refs", "k", 1)
	_ = c.PutListing("k", &Listing{})
	if e, _ := os.ReadDir(victim); len(e) != 1 || string(mustRead(t, filepath.Join(victim, "file"))) != "secret" {
		t.Error("root was led out:", e)
	}
	for _, p := range []string{filepath.Join(home, "hub/models--ns--repo/blobs"), filepath.Join(own, "listings")} {
		fi, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if st := fi.Sys().(*syscall.Stat_t); st.Uid != 4321 {
			t.Errorf("%s belongs to %d", p, st.Uid)
		}
	}
}
