package fs

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/hubfs/hubfs/hub/hubtest"
)

// Long runs: see soak_test.go.
var (
	modelChecks = 25
	modelSeed   = "1" // "0" is another one each time
)

// checks runs a property as often as it should be, from the same seed each time.
func checks(t *testing.T, n int, property func(*rapid.T)) {
	t.Helper()
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(n), "rapid.seed": modelSeed} {
		f := flag.Lookup(name)
		if before := f.Value.String(); before == f.DefValue {
			if err := f.Value.Set(value); err != nil {
				t.Fatal(err)
			}
			defer f.Value.Set(before) //nolint:errcheck // it was its value
		}
	}
	rapid.Check(t, property)
}

// modelPaths are few, so that they meet.
var modelPaths = []string{"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "e", "e/a", "e/d", "f.log"}

// modelHandle is a file that is open in the mount and in the plain folder.
type modelHandle struct {
	real, ref *os.File
	flags     int
	// before is what a file that was opened for reading had then: who has it in passthrough goes on
	// with that when others begin to write to it.
	before []byte
}

// modelRun compares a folder of a mount with a plain one.
type modelRun struct {
	*rapid.T
	rig     *modelRig
	name    string // of the folder in the mount
	ref     string // the plain one
	handles []*modelHandle
}

// modelRig is what all runs have in common.
type modelRig struct {
	t    *testing.T
	s    *hubtest.Server
	m    *mounted
	cfg  func(*daemonConfig)
	runs int
	ops  int
}

func TestModel(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"README.md": "x"})
	state, cache := filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "hub")
	rig := &modelRig{t: t, s: s, cfg: func(c *daemonConfig) { c.Write.StateDir, c.CacheDir = state, cache }}
	rig.m = mountWritable(t, s, "alice/m", rig.cfg)
	checks(t, modelChecks, func(rt *rapid.T) {
		rig.runs++
		r := &modelRun{T: rt, rig: rig, name: fmt.Sprintf("run%d", rig.runs), ref: t.TempDir()}
		defer r.closeAll()
		if err := os.Mkdir(rig.m.path(r.name), 0o755); err != nil {
			rt.Fatal(err)
		}
		actions := make(map[string]func(*rapid.T))
		for name, do := range map[string]func(){
			"open": r.open, "open2": r.open, "open3": r.open, "write": r.write, "write2": r.write, "write3": r.write, "read": r.read,
			"truncate": r.truncate, "map": r.mapWrite, "close": r.close, "fsync": r.fsync, "names": r.names, "names2": r.names,
			"names3": r.names, "flush": r.flush, "other": r.otherCommits, "again": r.remount,
		} {
			actions[name] = func(rt *rapid.T) { r.T = rt; rig.ops++; do() }
		}
		actions[""] = func(rt *rapid.T) { r.T = rt; r.check() }
		rt.Repeat(actions)
		r.closeAll()
		if err := os.RemoveAll(rig.m.path(r.name)); err != nil {
			rt.Fatalf("%v; there are %v, changed are %v\n%s", err, r.tree(rig.m.path(r.name)), rig.m.changes(), rig.m.log)
		}
	})
	t.Logf("%d operations", rig.ops)
	checkBlobsIfAny(t, cache)
}

func (r *modelRun) path() (real, ref string) {
	p := rapid.SampledFrom(modelPaths).Draw(r.T, "path")
	return r.rig.m.path(r.name, p), filepath.Join(r.ref, p)
}

// same fails unless both errors are the same.
func (r *modelRun) same(what string, got, want error) {
	r.Helper()
	var a, b syscall.Errno
	errors.As(got, &a)
	errors.As(want, &b)
	if (got == nil) != (want == nil) || a != b {
		r.Fatalf("%s: %v, and in a plain folder %v\n%s", what, got, want, r.rig.m.log)
	}
}

func (r *modelRun) open() {
	real, ref := r.path()
	flags := rapid.SampledFrom([]int{
		os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_CREATE, os.O_RDWR | os.O_CREATE, os.O_RDWR | os.O_CREATE | os.O_TRUNC,
		os.O_RDWR | os.O_CREATE | os.O_EXCL, os.O_RDWR | os.O_APPEND | os.O_CREATE, os.O_RDONLY | os.O_CREATE,
	}).Draw(r.T, "flags")
	if fi, err := os.Stat(ref); err == nil && fi.IsDir() || len(r.handles) > 5 {
		return
	}
	f, err := os.OpenFile(real, flags, 0o644)
	g, refErr := os.OpenFile(ref, flags, 0o644)
	r.same("open", err, refErr)
	if err == nil {
		h := &modelHandle{real: f, ref: g, flags: flags}
		if flags&syscall.O_ACCMODE == os.O_RDONLY {
			if h.before, err = os.ReadFile(ref); err != nil {
				r.Fatal(err)
			}
		}
		r.handles = append(r.handles, h)
	}
}

// handle is one that is open, nil if there is none.
func (r *modelRun) handle() *modelHandle {
	if len(r.handles) == 0 {
		return nil
	}
	return r.handles[rapid.IntRange(0, len(r.handles)-1).Draw(r.T, "handle")]
}

func (r *modelRun) write() {
	h := r.handle()
	if h == nil {
		return
	}
	data := bytes.Repeat([]byte{byte(rapid.IntRange('a', 'z').Draw(r.T, "data"))}, rapid.IntRange(1, 9000).Draw(r.T, "len"))
	if h.flags&os.O_APPEND != 0 {
		_, err := h.real.Write(data)
		_, refErr := h.ref.Write(data)
		r.same("append", err, refErr)
		return
	}
	off := int64(rapid.IntRange(0, 20_000).Draw(r.T, "off"))
	_, err := h.real.WriteAt(data, off)
	_, refErr := h.ref.WriteAt(data, off)
	r.same("write", err, refErr)
}

func (r *modelRun) read() {
	if h := r.handle(); h != nil && h.flags&os.O_WRONLY == 0 {
		r.readHandle(h)
	}
}

func (r *modelRun) readHandle(h *modelHandle) {
	got, err := io.ReadAll(io.NewSectionReader(h.real, 0, 1<<20))
	want, refErr := io.ReadAll(io.NewSectionReader(h.ref, 0, 1<<20))
	r.same("read", err, refErr)
	if !bytes.Equal(got, want) && (h.before == nil || !bytes.Equal(got, h.before)) {
		r.Fatalf("an open file has %d bytes, others than the %d in a plain folder", len(got), len(want))
	}
}

func (r *modelRun) truncate() {
	size := int64(rapid.IntRange(0, 20_000).Draw(r.T, "size"))
	if h := r.handle(); h != nil && rapid.Bool().Draw(r.T, "open") {
		r.same("ftruncate", h.real.Truncate(size), h.ref.Truncate(size))
		return
	}
	real, ref := r.path()
	r.same("truncate", os.Truncate(real, size), os.Truncate(ref, size))
}

// mapWrite stores through a map. What is mapped was read before: a page fault stops
// this process, and with it the Hub.
func (r *modelRun) mapWrite() {
	h := r.handle()
	if h == nil || h.flags&os.O_RDWR == 0 {
		return
	}
	fi, err := h.ref.Stat()
	if err != nil || fi.Size() == 0 {
		return
	}
	r.readHandle(h) // a store that has to wait for its page would stop the Hub in this process
	at := rapid.IntRange(0, int(fi.Size())-1).Draw(r.T, "at")
	for _, f := range []*os.File{h.real, h.ref} {
		mem, err := unix.Mmap(int(f.Fd()), 0, int(fi.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			r.Fatal(err)
		}
		copy(mem[at:], "MAPPED")
		if err := errors.Join(unix.Msync(mem, unix.MS_SYNC), unix.Munmap(mem)); err != nil {
			r.Fatal(err)
		}
	}
}

func (r *modelRun) close() {
	if h := r.handle(); h != nil {
		r.same("close", h.real.Close(), h.ref.Close())
		for i := range r.handles {
			if r.handles[i] == h {
				r.handles = append(r.handles[:i], r.handles[i+1:]...)
				break
			}
		}
	}
}

func (r *modelRun) closeAll() {
	for _, h := range r.handles {
		r.same("close", h.real.Close(), h.ref.Close())
	}
	r.handles = nil
}

func (r *modelRun) fsync() {
	if h := r.handle(); h != nil {
		r.same("fsync", h.real.Sync(), h.ref.Sync())
	}
}

func (r *modelRun) names() {
	real, ref := r.path()
	switch rapid.SampledFrom([]string{"unlink", "mkdir", "rmdir", "rename", "noreplace", "mkdir2", "rename2"}).Draw(r.T, "op") {
	case "unlink":
		r.same("unlink", syscall.Unlink(real), syscall.Unlink(ref))
	case "mkdir", "mkdir2":
		r.same("mkdir", syscall.Mkdir(real, 0o755), syscall.Mkdir(ref, 0o755))
	case "rmdir":
		r.same("rmdir", syscall.Rmdir(real), syscall.Rmdir(ref))
	case "rename", "rename2":
		real2, ref2 := r.path()
		r.same("rename", syscall.Rename(real, real2), syscall.Rename(ref, ref2))
	case "noreplace":
		real2, ref2 := r.path()
		rename := func(from, to string) error {
			return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
		}
		r.same("rename without replacing", rename(real, real2), rename(ref, ref2))
	}
}

func (r *modelRun) flush() {
	if a := r.rig.m.tell(command{Do: "flush"}); a.Err != "" || len(a.Push.Failed) > 0 {
		r.Fatalf("flush: %s, %v\n%s", a.Err, a.Push.Failed, r.rig.m.log)
	}
}

// otherCommits has somebody else commit beside what is changed here.
func (r *modelRun) otherCommits() {
	name := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(r.T, "name")
	content := rapid.SampledFrom([]string{"one", "two", "three"}).Draw(r.T, "content")
	ref := filepath.Join(r.ref, "others", name)
	if old, err := os.ReadFile(ref); err == nil && string(old) == content {
		return
	}
	commit(r.rig.t, r.rig.s, "model", "alice/m", "main", map[string]string{r.name + "/others/" + name: content})
	if err := errors.Join(os.MkdirAll(filepath.Dir(ref), 0o755), os.WriteFile(ref, []byte(content), 0o644)); err != nil {
		r.Fatal(err)
	}
	if a := r.rig.m.tell(command{Do: "refresh"}); a.Err != "" {
		r.Fatalf("refresh: %s", a.Err)
	}
}

// remount ends the mount, well or not, and mounts again.
func (r *modelRun) remount() {
	if rapid.IntRange(0, 3).Draw(r.T, "whether") > 0 {
		return
	}
	r.closeAll()
	if rapid.Bool().Draw(r.T, "kill") {
		r.rig.m.kill()
	} else {
		r.rig.m.unmount()
	}
	r.rig.m = mountWritable(r.rig.t, r.rig.s, "alice/m", r.rig.cfg)
}

// check compares everything.
func (r *modelRun) check() {
	got, want := r.tree(r.rig.m.path(r.name)), r.tree(r.ref)
	for path, content := range want {
		if have, ok := got[path]; !ok || have != content {
			from, to := differ(have, content)
			r.Fatalf("%s has %d bytes (%v), want %d; [%d, %d) differs: %.20q, want %.20q\n%s", path, len(have), ok, len(content), from, to,
				have[min(from, len(have)):], content[min(from, len(content)):], r.rig.m.log)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			r.Fatalf("%s is there and shouldn't\n%s", path, r.rig.m.log)
		}
	}
}

// differ gives the range in which two contents aren't the same.
func differ(a, b string) (from, to int) {
	for from < min(len(a), len(b)) && a[from] == b[from] {
		from++
	}
	for to = min(len(a), len(b)); to > from && a[to-1] == b[to-1]; {
		to--
	}
	return from, to
}

// tree reads a folder: contents by path, folders end in a slash.
func (r *modelRun) tree(root string) map[string]string {
	all := make(map[string]string)
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil || rel == "." {
			return err
		}
		if d.IsDir() {
			all[rel+"/"] = ""
			return nil
		}
		content, err := os.ReadFile(p)
		if fi, statErr := os.Lstat(p); err == nil && (statErr != nil || fi.Size() != int64(len(content))) {
			err = fmt.Errorf("%s has %d bytes, and its size is %v (%w)", rel, len(content), fi, statErr)
		}
		all[rel] = string(content)
		return err
	})
	if err != nil {
		r.Fatalf("reading %s: %v\n%s", root, err, r.rig.m.log)
	}
	return all
}

// checkBlobsIfAny is checkBlobs for regular blobs, too.
func checkBlobsIfAny(t *testing.T, cacheDir string) {
	t.Helper()
	if matches, _ := filepath.Glob(filepath.Join(cacheDir, "models--*", "blobs", "????????????????????????????????????????????????????????????????")); len(matches) > 0 {
		checkBlobs(t, cacheDir)
	}
}
