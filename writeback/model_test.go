package writeback

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// The model: a plain file system in memory, with what a crash may leave of it.

type modelFile struct {
	id      int
	content string
	dirty   bool     // written to since a writer was last closed
	synced  string   // content at the last fsync
	whole   bool     // nothing was written since then
	flushed []string // contents at closes: what may be committed
}

type modelHandle struct {
	file     *modelFile
	real     *File
	writable bool
}

type model struct {
	files map[string]*modelFile
	dirs  map[string]bool
}

func (m *model) clone() *model {
	c := &model{files: make(map[string]*modelFile), dirs: maps.Clone(m.dirs)}
	for path, f := range m.files {
		one := *f
		one.flushed = slices.Clone(f.flushed)
		c.files[path] = &one
	}
	return c
}

func (m *model) view() map[string]string {
	out := make(map[string]string)
	for path, f := range m.files {
		out[path] = f.content
	}
	for dir := range m.dirs {
		out[dir+"/"] = ""
	}
	return out
}

func (m *model) parentOK(path string) bool {
	dir, _ := split(path)
	return dir == "" || m.dirs[dir]
}

func (m *model) empty(dir string) bool {
	for path := range m.view() {
		if strings.HasPrefix(path, dir+"/") && path != dir+"/" {
			return false
		}
	}
	return true
}

// errParent stands for a path whose folder is missing, or is a file.
const errParent = syscall.Errno(10001)

func (m *model) unlink(path string) syscall.Errno {
	switch {
	case m.dirs[path]:
		return syscall.EISDIR
	case m.files[path] == nil:
		return errParent
	}
	delete(m.files, path)
	return 0
}

func (m *model) mkdir(path string) syscall.Errno {
	switch {
	case !m.parentOK(path):
		return errParent
	case m.dirs[path] || m.files[path] != nil:
		return syscall.EEXIST
	}
	m.dirs[path] = true
	return 0
}

func (m *model) rmdir(path string) syscall.Errno {
	switch {
	case m.files[path] != nil:
		return syscall.ENOTDIR
	case !m.dirs[path]:
		return errParent
	case !m.empty(path):
		return syscall.ENOTEMPTY
	}
	delete(m.dirs, path)
	return 0
}

func (m *model) rename(from, to string) syscall.Errno {
	isDir, file := m.dirs[from], m.files[from]
	overDir, overFile := m.dirs[to], m.files[to] != nil
	switch {
	case !isDir && file == nil, !m.parentOK(to):
		return errParent
	case from == to:
		return 0
	case isDir && strings.HasPrefix(to, from+"/"):
		return syscall.EINVAL
	case isDir && overFile:
		return syscall.ENOTDIR
	case !isDir && overDir:
		return syscall.EISDIR
	case overDir && !m.empty(to):
		return syscall.ENOTEMPTY
	}
	if !isDir {
		m.files[to] = file
		delete(m.files, from)
		return 0
	}
	for path, f := range maps.Clone(m.files) {
		if rest, ok := strings.CutPrefix(path, from+"/"); ok {
			delete(m.files, path)
			m.files[to+"/"+rest] = f
		}
	}
	for path := range maps.Clone(m.dirs) {
		if rest, ok := strings.CutPrefix(path, from+"/"); ok {
			delete(m.dirs, path)
			m.dirs[to+"/"+rest] = true
		}
	}
	delete(m.dirs, from)
	m.dirs[to] = true
	return 0
}

var modelPaths = []string{"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "e", "e/a", "e/d"}

var modelBase = map[string]string{"a": "base of a", "d/a": strings.Repeat("d/a is longer ", 8), "d/e/a": "deep", "d/b": ""}

// modelRun drives a branch and the model side by side.
type modelRun struct {
	*rapid.T
	rig     *rig
	model   *model
	past    []*model // since the last fsync: a power cut may go back to any of them
	handles []*modelHandle
	pinned  []pinned
	boots   int
	ids     int
}

type pinned struct {
	content content
	release func()
	want    string
}

func newModelRun(t *rapid.T) *modelRun {
	r := &modelRun{T: t, model: &model{files: make(map[string]*modelFile), dirs: make(map[string]bool)}}
	for path, content := range modelBase {
		r.ids++
		r.model.files[path] = &modelFile{id: r.ids, content: content, synced: content, whole: true, flushed: []string{content}}
		for dir, _ := split(path); dir != ""; dir, _ = split(dir) {
			r.model.dirs[dir] = true
		}
	}
	blobs := &hubBlobs{content: make(map[string]string)}
	for _, content := range modelBase {
		blobs.content[gitOID(content).String()] = content
	}
	r.rig = &rig{disk: newMemDisk(), tree: &hubTree{"c1", modelBase}, blobs: blobs, boot: "boot 0"}
	r.reopen()
	r.remember()
	return r
}

// reopen opens the branch; what goes on in the background is a step of its own here.
func (r *modelRun) reopen() {
	b, err := r.rig.tryOpen()
	if err != nil {
		r.Fatalf("open: %v", err)
	}
	b.stop()
	_ = b.group.Wait()
	r.rig.Branch = b
	r.handles, r.pinned = nil, nil
}

func (r *modelRun) remember() { r.past = append(r.past, r.model.clone()) }

func (r *modelRun) path(label string) string { return rapid.SampledFrom(modelPaths).Draw(r.T, label) }

// same compares what an operation said with what the model says.
func (r *modelRun) same(what string, err error, want syscall.Errno) {
	r.Helper()
	switch {
	case want == 0 && err == nil:
	case want == errParent && (isErrno(err, syscall.ENOENT) || isErrno(err, syscall.ENOTDIR)):
	case want != 0 && want != errParent && isErrno(err, want):
	default:
		r.Fatalf("%s: %v, want %v", what, err, want)
	}
}

// names does an operation on names on both sides; the last bool asks for a crash in the middle.
func (r *modelRun) names() {
	ctx := context.Background()
	from, to := r.path("from"), r.path("to")
	var real func() error
	var do func(*model) syscall.Errno
	kind := rapid.SampledFrom([]string{"unlink", "mkdir", "rmdir", "rename"}).Draw(r.T, "op")
	switch kind {
	case "unlink":
		real, do = func() error { return r.rig.Unlink(ctx, from) }, func(m *model) syscall.Errno { return m.unlink(from) }
	case "mkdir":
		real, do = func() error { return r.rig.Mkdir(ctx, from) }, func(m *model) syscall.Errno { return m.mkdir(from) }
	case "rmdir":
		real, do = func() error { return r.rig.Rmdir(ctx, from) }, func(m *model) syscall.Errno { return m.rmdir(from) }
	case "rename":
		real = func() error { return r.rig.Rename(ctx, from, to, false) }
		do = func(m *model) syscall.Errno { return m.rename(from, to) }
	}
	crash := rapid.IntRange(0, 12).Draw(r.T, "crash")
	if crash > 2 {
		r.same(kind, real(), do(r.model))
		r.remember()
		return
	}
	before := r.model.clone()
	r.failAt(crash)
	err := real()
	if !errors.Is(err, errPower) {
		r.rig.disk.fail = nil
		r.same(kind, err, do(r.model))
		r.remember()
		return
	}
	after := before.clone()
	_ = do(after)
	r.past = append(r.past, after)
	r.crash(before, after)
}

// failAt lets the machine go off at a change to come.
func (r *modelRun) failAt(n int) {
	d := r.rig.disk
	at := d.steps + 1 + n
	d.fail = func(_ string, step int) error {
		if step >= at {
			return errPower
		}
		return nil
	}
}

func (r *modelRun) open() {
	if len(r.handles) >= 4 {
		return
	}
	path := r.path("path")
	flag := rapid.SampledFrom([]int{os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE, os.O_RDWR | os.O_CREATE | os.O_TRUNC, os.O_RDWR | os.O_CREATE | os.O_EXCL}).Draw(r.T, "flag")
	f, err := r.rig.OpenFile(context.Background(), path, flag, 0o644)
	file := r.model.files[path]
	var want syscall.Errno
	switch {
	case file != nil && flag&os.O_EXCL != 0:
		want = syscall.EEXIST
	case r.model.dirs[path] && flag&os.O_EXCL != 0:
		want = syscall.EEXIST
	case r.model.dirs[path]:
		want = syscall.EISDIR
	case file == nil && (flag&os.O_CREATE == 0 || !r.model.parentOK(path)):
		want = errParent
	}
	r.same("open "+path, err, want)
	if err != nil {
		return
	}
	if file == nil {
		r.ids++
		file = &modelFile{id: r.ids, dirty: true}
		r.model.files[path] = file
	} else if flag&os.O_TRUNC != 0 && file.content != "" {
		file.content, file.dirty, file.whole = "", true, false
	}
	r.handles = append(r.handles, &modelHandle{file, f, flag != os.O_RDONLY})
	r.remember()
}

func (r *modelRun) handle() *modelHandle {
	if len(r.handles) == 0 {
		r.SkipNow()
	}
	return r.handles[rapid.IntRange(0, len(r.handles)-1).Draw(r.T, "handle")]
}

func (r *modelRun) write() {
	h := r.handle()
	off := rapid.IntRange(0, 150).Draw(r.T, "off")
	data := strings.Repeat(rapid.SampledFrom([]string{"x", "yz", "0"}).Draw(r.T, "data"), rapid.IntRange(1, 40).Draw(r.T, "len"))
	n, err := h.real.WriteAt([]byte(data), int64(off))
	if !h.writable {
		r.same("write", err, syscall.EBADF)
		return
	}
	if err != nil || n != len(data) {
		r.Fatalf("write: %d, %v", n, err)
	}
	c := h.file.content
	if len(c) < off+len(data) {
		c += string(make([]byte, off+len(data)-len(c)))
	}
	h.file.content = c[:off] + data + c[off+len(data):]
	r.wrote(h.file)
}

func (r *modelRun) truncate() {
	h := r.handle()
	size := rapid.IntRange(0, 150).Draw(r.T, "size")
	err := h.real.Truncate(int64(size))
	if !h.writable {
		r.same("truncate", err, syscall.EBADF)
		return
	}
	r.same("truncate", err, 0)
	c := h.file.content
	if size == len(c) {
		return
	}
	h.file.content = (c + string(make([]byte, max(0, size-len(c)))))[:size]
	r.wrote(h.file)
}

func (r *modelRun) zero() {
	h := r.handle()
	off, n := rapid.IntRange(0, 150).Draw(r.T, "off"), rapid.IntRange(1, 60).Draw(r.T, "n")
	if !h.writable {
		return
	}
	r.same("zero", h.real.Zero(int64(off), int64(n)), 0)
	c := h.file.content
	if off >= len(c) {
		return
	}
	n = min(n, len(c)-off)
	h.file.content = c[:off] + string(make([]byte, n)) + c[off+n:]
	r.wrote(h.file)
}

// wrote notes a change of content. What was fsynced and closed before is kept apart
// from it; what was fsynced in mid-file is overwritten.
func (r *modelRun) wrote(f *modelFile) {
	if f.dirty {
		for _, m := range r.past {
			for _, old := range m.files {
				if old.id == f.id {
					old.whole = false
				}
			}
		}
	}
	f.dirty, f.whole = true, false
	r.remember()
}

func (r *modelRun) close() {
	h := r.handle()
	if rapid.Bool().Draw(r.T, "flush only") {
		r.same("flush", h.real.Flush(), 0)
	} else {
		r.same("release", h.real.Release(), 0)
		r.handles = slices.DeleteFunc(r.handles, func(o *modelHandle) bool { return o == h })
	}
	if h.writable {
		h.file.dirty = false
		h.file.flushed = append(h.file.flushed, h.file.content)
		r.remember()
	}
}

func (r *modelRun) fsync() {
	h := r.handle()
	r.same("fsync", h.real.Fsync(), 0)
	h.file.synced, h.file.whole = h.file.content, true
	r.past = nil
	r.remember()
}

// pin takes a snapshot, or looks at one and lets go of it.
func (r *modelRun) pin() {
	if len(r.pinned) > 0 && rapid.Bool().Draw(r.T, "let go") {
		p := r.pinned[0]
		r.pinned = r.pinned[1:]
		got := make([]byte, p.content.size)
		if n, err := p.content.readAt(context.Background(), got, 0); n != len(p.want) || string(got) != p.want || err != nil {
			r.Fatalf("a snapshot holds %q, want %q (%v)", got, p.want, err)
		}
		p.release()
		return
	}
	h := r.handle()
	c, release := h.real.ino.snapshot()
	r.pinned = append(r.pinned, pinned{c, release, h.file.content})
}

// background does what goes on by itself; the process or the machine may die in the middle.
func (r *modelRun) background() {
	if dies := rapid.IntRange(0, 20).Draw(r.T, "dies"); dies < 10 {
		r.failAt(dies)
		_ = r.rig.compact()
		_ = r.rig.journal.sync()
		r.rig.mergeAll()
		r.rig.removeDoomed()
		if r.rig.disk.off {
			r.crash(r.model.clone())
			return
		}
		r.rig.disk.fail = nil
	}
	switch rapid.IntRange(0, 2).Draw(r.T, "what") {
	case 0:
		r.same("rewrite", r.rig.compact(), 0)
	case 1:
		r.same("sync", r.rig.journal.sync(), 0)
		r.rig.removeDoomed()
	case 2:
		r.rig.mergeAll()
	}
}

// crash lets the process or the machine die, and compares what is left with what
// may be: one of the candidates after the death of the process, any state since the
// last fsync after that of the machine.
func (r *modelRun) crash(candidates ...*model) {
	power := rapid.Bool().Draw(r.T, "power")
	if power {
		candidates = r.past
		r.boots++
		r.rig.boot = fmt.Sprint("boot ", r.boots)
		r.rig.disk = r.rig.disk.powerCut(rand.New(rand.NewPCG(1, rapid.Uint64().Draw(r.T, "luck"))))
	} else {
		r.rig.disk = r.rig.disk.restart()
	}
	r.reopen()
	got := r.rig.walk(r)
	rec := r.rig.Recovered()
	if rec.Damaged > 0 || len(rec.Lost) > 0 || len(rec.Aside) > 0 {
		r.Fatalf("damage after a crash: %+v", rec)
	}
	var found *model
	var why []string
	for _, c := range slices.Backward(candidates) {
		msg := r.fits(c, got, rec, power)
		if msg == "" {
			found = c.clone()
			break
		}
		why = append(why, msg)
	}
	if found == nil {
		r.Fatalf("after a crash (power %v) the view fits none of %d states:\n%s", power, len(candidates), strings.Join(why, "\n"))
	}
	for path, f := range found.files {
		f.content = got[path]
		f.synced, f.whole = f.content, f.whole && f.synced == f.content
		if f.dirty = slices.Contains(rec.Torn, path); f.dirty {
			f.whole = false
		}
	}
	r.model = found
	if power {
		r.past = nil // what is there now is on disk
	}
	r.remember()
}

// fits says why the view after a crash can't be what is left of a state; "" if it can.
func (r *modelRun) fits(m *model, got map[string]string, rec Recovered, power bool) string {
	want := m.view()
	for path := range want {
		if _, ok := got[path]; !ok {
			return path + " is missing"
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			return path + " is there"
		}
	}
	for path, f := range m.files {
		torn := slices.Contains(rec.Torn, path)
		switch content := got[path]; {
		case power && f.whole && content != f.synced:
			return fmt.Sprintf("%s was fsynced with %q and holds %q", path, f.synced, content)
		case !power && !f.dirty && content != f.content:
			return fmt.Sprintf("%s was closed with %q and holds %q", path, f.content, content)
		case !power && torn != f.dirty:
			return fmt.Sprintf("%s is torn: %v, dirty: %v", path, torn, f.dirty)
		case !torn && !slices.Contains(f.flushed, content):
			return fmt.Sprintf("%s would be committed with %q, and was closed with %q", path, content, f.flushed)
		}
	}
	return ""
}

func (r *modelRun) check() {
	got, want := r.rig.walk(r), r.model.view()
	if !maps.Equal(got, want) {
		r.Fatalf("the view is\n%q, want\n%q", got, want)
	}
	for _, h := range r.handles {
		if content, err := readAll(h.real); err != nil || content != h.file.content {
			r.Fatalf("a handle reads %q, want %q (%v)", content, h.file.content, err)
		}
	}
}

func TestModel(t *testing.T) {
	checks(t, modelChecks, func(rt *rapid.T) {
		r := newModelRun(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"":           func(*rapid.T) { r.check() },
			"names":      func(*rapid.T) { r.names() },
			"names2":     func(*rapid.T) { r.names() },
			"open":       func(*rapid.T) { r.open() },
			"open2":      func(*rapid.T) { r.open() },
			"write":      func(*rapid.T) { r.write() },
			"write2":     func(*rapid.T) { r.write() },
			"truncate":   func(*rapid.T) { r.truncate() },
			"zero":       func(*rapid.T) { r.zero() },
			"close":      func(*rapid.T) { r.close() },
			"fsync":      func(*rapid.T) { r.fsync() },
			"pin":        func(*rapid.T) { r.pin() },
			"background": func(*rapid.T) { r.background() },
			"crash":      func(*rapid.T) { r.crash(r.model.clone()) },
		})
	})
}
