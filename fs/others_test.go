package fs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
	"github.com/hubfs/hubfs/writeback"
)

// inState keeps staged changes in a folder that outlives the mount.
func inState(dir string) func(*daemonConfig) { return func(c *daemonConfig) { c.Write.StateDir = dir } }

// kill ends a daemon without a word, and takes its mount away.
func (m *mounted) kill() {
	m.t.Helper()
	if m.over.Swap(true) {
		m.t.Fatal("the daemon is gone already")
	}
	if err := m.cmd.Process.Kill(); err != nil {
		m.t.Fatal(err)
	}
	_ = m.cmd.Wait() // killed
	if err := syscall.Unmount(m.cfg.Dir, syscall.MNT_DETACH); err != nil {
		m.t.Fatal(err)
	}
}

// What was closed when the daemon was killed is there in the next mount, which says so.
func TestKilled(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "old", "gone": "x", "d/x": "x"})
	state := filepath.Join(t.TempDir(), "state")
	for _, source := range []string{"alice/m", ""} {
		prefix := ""
		if source == "" {
			prefix = "alice/m/"
		}
		m := mountWritable(t, s, source, inState(state))
		big := strings.Repeat(source+"0123456789", 100_000)
		m.write(prefix+"f", "new"+source)
		m.write(prefix+"big", big)
		if err := os.Rename(m.path(prefix+"d"), m.path(prefix+"e")); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(m.path(prefix + "gone")); err != nil {
			t.Fatal(err)
		}
		open, err := os.Create(m.path(prefix + "open"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open.WriteString("half"); err != nil {
			t.Fatal(err)
		}
		m.kill()
		open.Close()

		m = mountWritable(t, s, source, inState(state))
		a := m.tell(command{Do: "changes"})
		if len(a.Found) != 1 || a.Found[0].Repo != "alice/m" || a.Found[0].Changes == 0 || len(a.Found[0].Torn) != 1 {
			t.Errorf("taken over: %+v", a.Found)
		}
		check := func() {
			t.Helper()
			wantContent(t, m.path(prefix+"f"), "new"+source)
			wantContent(t, m.path(prefix+"big"), big)
			wantContent(t, m.path(prefix+"e/x"), "x")
			for _, name := range []string{"gone", "d"} {
				if _, err := os.Lstat(m.path(prefix + name)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is there: %v", name, err)
				}
			}
		}
		check()
		res := m.flush("")
		if len(res.Commits) != 1 || len(res.Failed) != 1 || res.Failed[0].Path != prefix+"open" {
			t.Errorf("flush: %+v", res)
		}
		check()
		wantHub(t, s, "alice/m", "main", "f", "new"+source)
		wantHub(t, s, "alice/m", "main", "big", big)
		wantHub(t, s, "alice/m", "main", "open", deleted)
		if err := os.Remove(m.path(prefix + "open")); err != nil {
			t.Fatal(err)
		}
		m.unmount()
		commit(t, s, "model", "alice/m", "main", map[string]string{"gone": "x", "e/x": deleted, "d/x": "x"})
	}
}

// Two mounts of one branch on one machine: the second is read-only, says why, and takes
// changes when the first has ended.
func TestTwoMounts(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "old"})
	state := filepath.Join(t.TempDir(), "state")
	quick := func(c *daemonConfig) { c.Poll = 50 * time.Millisecond }
	one := mountWritable(t, s, "alice/m", inState(state), quick)
	one.write("one", "1")
	two := mountWritable(t, s, "alice/m", inState(state), quick)
	err := os.WriteFile(two.path("two"), nil, 0o644)
	wantErrno(t, "write to the second mount", err, syscall.EROFS)
	if b := two.status().Branches[0]; b.Writable || !strings.Contains(b.ReadOnlyReason, "another mount") {
		t.Errorf("status: %+v", b)
	}
	one.unmount()
	wantContent(t, two.path("f"), "old") // which has it polled
	eventually(t, "the second mount takes changes", func() bool { return two.status().Branches[0].Writable })
	wantContent(t, two.path("one"), "1")
	two.write("two", "2")
	two.commitAll()
	wantHub(t, s, "alice/m", "main", "one", "1")
	wantHub(t, s, "alice/m", "main", "two", "2")
}

// Mounts on two machines write to one branch at the same time: nothing is lost.
func TestTwoMachines(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "old"})
	one, two := mountWritable(t, s, "alice/m"), mountWritable(t, s, "alice/m")
	var both sync.WaitGroup
	for name, m := range map[string]*mounted{"one": one, "two": two} {
		both.Go(func() {
			for i := range 5 {
				if err := os.WriteFile(m.path(name), []byte(strings.Repeat(name, i+1)), 0o644); err != nil {
					t.Error(err)
				}
				if a := m.tell(command{Do: "flush"}); a.Err != "" || len(a.Push.Commits) != 1 {
					t.Errorf("%s: %s, %v", name, a.Err, a.Push)
				}
			}
		})
	}
	both.Wait()
	for _, name := range []string{"one", "two"} {
		wantHub(t, s, "alice/m", "main", name, strings.Repeat(name, 5))
		one.refresh()
		two.refresh()
		wantContent(t, one.path(name), strings.Repeat(name, 5))
		wantContent(t, two.path(name), strings.Repeat(name, 5))
	}
}

// What others commit shows among the changes here, in each folder that was looked at.
func TestOthersCommit(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "old", "d/x": "x", "d/y": "y", "e/z": "z"})
	m := mountWritable(t, s, "alice/m")
	wantNames(t, m.path("d"), "x", "y")
	_, err := os.Lstat(m.path("d/new"))
	wantErrno(t, "before", err, syscall.ENOENT)
	m.write("d/mine", "mine")
	if err := os.Rename(m.path("e"), m.path("moved")); err != nil {
		t.Fatal(err)
	}
	_, err = os.Lstat(m.path("moved/new"))
	wantErrno(t, "before", err, syscall.ENOENT)
	r, err := os.Open(m.path("d/x"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	oid := commit(t, s, "model", "alice/m", "main", map[string]string{"d/new": "n", "d/x": "changed", "d/y": deleted, "moved/new": "n2", "f": "newer"})
	m.refresh()
	m.wait("", oid)
	wantContent(t, m.path("d/new"), "n")
	wantContent(t, m.path("d/x"), "changed")
	wantContent(t, m.path("d/mine"), "mine")
	wantContent(t, m.path("moved/z"), "z")
	wantContent(t, m.path("moved/new"), "n2")
	wantContent(t, m.path("f"), "newer")
	wantNames(t, m.path("d"), "mine", "new", "x")
	if got, err := io.ReadAll(r); err != nil || string(got) != "x" {
		t.Errorf("who had it open reads %q, %v", got, err)
	}
	m.commitAll()
	wantHub(t, s, "alice/m", "main", "d/mine", "mine")
	wantHub(t, s, "alice/m", "main", "d/x", "changed")
	wantHub(t, s, "alice/m", "main", "moved/z", "z")
}

// Who writes to a file that others have changed since it was opened undoes nothing of theirs, whether they
// write before or after a commit of ours, or through a map.
func TestOthersChangeWhatIsOpen(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"first.txt": "old", "later.txt": "old", "mapped.txt": "old"})
	m := mountWritable(t, s, "alice/m")
	files := make(map[string]*os.File)
	names := []string{"first", "later", "mapped"}
	for _, name := range names {
		f, err := os.OpenFile(m.path(name+".txt"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[name] = f
	}
	mapped, err := syscall.Mmap(int(files["mapped"].Fd()), 0, 3, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := files["later"].WriteAt([]byte("one"), 0); err != nil {
		t.Fatal(err)
	}
	// The other descriptor's close is a flush in mid-file, so that the commit takes what is there.
	fd, err := syscall.Dup(int(files["later"].Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Close(fd); err != nil {
		t.Fatal(err)
	}
	m.commitAll()
	wantHub(t, s, "alice/m", "main", "later.txt", "one")
	oid := commit(t, s, "model", "alice/m", "main", map[string]string{"first.txt": "theirs", "later.txt": "theirs", "mapped.txt": "theirs"})
	m.refresh()
	m.wait("", oid)
	for _, name := range names[:2] {
		if _, err := files[name].WriteAt([]byte("own"), 0); err != nil {
			t.Fatal(err)
		}
	}
	// The page is read first: a store that has to wait for it would keep a processor of this process,
	// in which the Hub is, too.
	if _, err := files["mapped"].ReadAt(make([]byte, 3), 0); err != nil {
		t.Fatal(err)
	}
	copy(mapped, "own")
	if err := syscall.Munmap(mapped); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	m.commitAll()
	for _, name := range names {
		wantHub(t, s, "alice/m", "main", name+".txt", "theirs")
		second := name + ".conflict-" + fmt.Sprintf("%x", sha256.Sum256([]byte("own")))[:8] + ".txt"
		wantHub(t, s, "alice/m", "main", second, "own")
		eventually(t, "both are shown", func() bool {
			ours, err := os.ReadFile(m.path(second))
			theirs, theirErr := os.ReadFile(m.path(name + ".txt"))
			return err == nil && string(ours) == "own" && theirErr == nil && string(theirs) == "theirs"
		})
	}
}

// A folder that was removed here, and in which others have changed a file, is there again with that file, though
// the kernel has been told that there is none.
func TestOthersWorkInRemovedFolder(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"d/e/f": "old"})
	m := mountWritable(t, s, "alice/m")
	if err := os.Rename(m.path("d"), m.path("moved")); err != nil {
		t.Fatal(err)
	}
	oid := commit(t, s, "model", "alice/m", "main", map[string]string{"d/e/f": "theirs"})
	m.refresh()
	m.wait("", oid)
	_, err := os.Lstat(m.path("d"))
	wantErrno(t, "before it is decided", err, syscall.ENOENT)
	m.commitAll()
	wantHub(t, s, "alice/m", "main", "d/e/f", "theirs")
	wantHub(t, s, "alice/m", "main", "moved/e/f", "old")
	eventually(t, "the folder is shown", func() bool {
		b, err := os.ReadFile(m.path("d/e/f"))
		return err == nil && string(b) == "theirs"
	})
	wantNames(t, m.path("d"), "e")
	wantNames(t, m.path(), ".gitattributes", "d", "moved")
}

func TestOnConflict(t *testing.T) {
	for _, mode := range []writeback.OnConflict{writeback.KeepBoth, writeback.Ours, writeback.Theirs, writeback.Fail} {
		t.Run(string(mode), func(t *testing.T) {
			s := hubtest.New(t)
			create(t, s, "model", "alice/m", map[string]string{"f.txt": "old", "other": "o"})
			m := mountWritable(t, s, "alice/m", writable(func(w *WriteOptions) { w.OnConflict = mode }))
			m.write("f.txt", "ours")
			commit(t, s, "model", "alice/m", "main", map[string]string{"f.txt": "theirs"})
			a := m.tell(command{Do: "flush"})
			const second = "f.conflict-" // the start
			names := func() (list []string) {
				entries, err := os.ReadDir(m.path())
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					list = append(list, e.Name())
				}
				return list
			}
			switch mode {
			case writeback.KeepBoth:
				eventually(t, "both are shown", func() bool {
					for _, name := range names() {
						if strings.HasPrefix(name, second) && strings.HasSuffix(name, ".txt") {
							b, err := os.ReadFile(m.path(name))
							theirs, theirErr := os.ReadFile(m.path("f.txt"))
							return err == nil && string(b) == "ours" && theirErr == nil && string(theirs) == "theirs"
						}
					}
					return false
				})
				wantHub(t, s, "alice/m", "main", "f.txt", "theirs")
			case writeback.Ours:
				wantHub(t, s, "alice/m", "main", "f.txt", "ours")
				wantContent(t, m.path("f.txt"), "ours")
			case writeback.Theirs:
				wantHub(t, s, "alice/m", "main", "f.txt", "theirs")
				if c := m.changes(); len(c) != 1 || c[0].State != writeback.Conflict {
					t.Errorf("changes: %v", c)
				}
			case writeback.Fail:
				if a.Err == "" {
					t.Errorf("flush: %+v", a.Push)
				}
				wantContent(t, m.path("f.txt"), "ours")
			}
		})
	}
}

// With the Hub down for the whole session everything can be written, and reaches the Hub
// when it is back, also after a remount.
func TestWriteWithoutHub(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "old", "d/x": "x"})
	state, cache := filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "hub")
	config := func(c *daemonConfig) { c.Write.StateDir, c.CacheDir, c.Retries = state, cache, -1 }
	m := mountWritable(t, s, "alice/m", config)
	wantContent(t, m.path("f"), "old")
	wantContent(t, m.path("d/x"), "x")
	m.write("seen", "the user is known from now on")
	m.unmount()
	s.Stop()
	for i := range 2 {
		m = mountWritable(t, s, "alice/m", config)
		wantContent(t, m.path("seen"), "the user is known from now on")
		if i == 1 {
			wantContent(t, m.path("d/first"), "1")
		} else {
			m.write("d/first", "1")
		}
		m.write("f", strings.Repeat("new", i+1))
		fd, err := os.Open(m.path("d"))
		if err != nil {
			t.Fatal(err)
		}
		a := m.tell(command{Do: "flush", Timeout: 300 * time.Millisecond})
		if a.Err == "" {
			t.Error("flush succeeded without a Hub")
		}
		fd.Close()
		m.unmount()
	}
	s.Start()
	m = mountWritable(t, s, "alice/m", config)
	m.commitAll()
	for name, want := range map[string]string{"f": "newnew", "d/first": "1", "seen": "the user is known from now on", "d/x": "x"} {
		wantHub(t, s, "alice/m", "main", name, want)
	}
}

// What was committed by a mount is there in the next one, though the Hub is not, however
// soon the mount ended.
func TestCommitIsSeenWithoutHub(t *testing.T) {
	for _, waits := range []bool{true, false} {
		t.Run(fmt.Sprintf("shown before the end %v", waits), func(t *testing.T) {
			s := hubtest.New(t)
			create(t, s, "model", "alice/m", map[string]string{"f": "old", "d/x": "x", "far/away": "y"})
			state, cache := filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "hub")
			config := func(c *daemonConfig) { c.Write.StateDir, c.CacheDir, c.Retries = state, cache, -1 }
			m := mountWritable(t, s, "alice/m", config)
			wantContent(t, m.path("f"), "old")
			m.write("f", "new")
			m.write("d/first", "1")
			if err := os.MkdirAll(m.path("deep/er"), 0o755); err != nil {
				t.Fatal(err)
			}
			m.write("deep/er/g", "2")
			m.commitAll()
			if waits {
				head, err := s.Hub.Head("model", "alice/m", "main")
				if err != nil {
					t.Fatal(err)
				}
				m.wait("", head)
			}
			m.unmount()
			s.Stop()
			m = mountWritable(t, s, "alice/m", config)
			for name, want := range map[string]string{"f": "new", "d/first": "1", "deep/er/g": "2"} {
				wantContent(t, m.path(name), want)
			}
			wantNames(t, m.path(), ".gitattributes", "d", "deep", "f", "far")
			m.write("d/first", "2")
			m.unmount()
			s.Start()
			m = mountWritable(t, s, "alice/m", config)
			m.commitAll()
			wantHub(t, s, "alice/m", "main", "d/first", "2")
			wantHub(t, s, "alice/m", "main", "f", "new")
			wantNames(t, m.path("d"), "first", "x")
		})
	}
}

// A full disk is ENOSPC at the write, and harms nothing that was written before.
func TestStagingDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a small disk takes root to mount")
	}
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "old"})
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	m := mountWritable(t, s, "alice/m", inState(filepath.Join(disk, "state")))
	m.write("before", strings.Repeat("b", 1<<20))
	f, err := os.Create(m.path("full"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(make([]byte, 8<<20))
	if err == nil {
		err = f.Close()
	} else {
		f.Close()
	}
	wantErrno(t, "write", err, syscall.ENOSPC)
	wantContent(t, m.path("before"), strings.Repeat("b", 1<<20))
	wantContent(t, m.path("f"), "old")
	if err := os.Remove(m.path("full")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is room again", func() bool { return os.WriteFile(m.path("after"), []byte("a"), 0o644) == nil })
	m.commitAll()
	wantHub(t, s, "alice/m", "main", "before", strings.Repeat("b", 1<<20))
	wantHub(t, s, "alice/m", "main", "after", "a")
}

// Editing a block of a large file that isn't here fetches at most that block's range
// before the commit.
func TestEditOfLargeFile(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "x"})
	content := addLFS(t, s, "alice/m", "w.safetensors", 24<<20)
	m := mountWritable(t, s, "alice/m")
	s.Hub.ResetCounts()
	f, err := os.OpenFile(m.path("w.safetensors"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("E"), 4096)
	const at = 12<<20 + 100
	if _, err := f.WriteAt(block, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := fetched(s); got > 256<<10 {
		t.Errorf("fetched %d bytes for an edit of 4 KiB", got)
	}
	copy(content[at:], block)
	m.commitAll()
	wantHub(t, s, "alice/m", "main", "w.safetensors", string(content))
	s.Hub.ResetCounts()
	wantContent(t, m.path("w.safetensors"), string(content))
	if got := fetched(s); got > 0 {
		t.Errorf("fetched %d bytes of what was committed", got)
	}
}

// What a staged edit is an edit of stays in the cache, however little room that has.
func TestBaseOfEditStays(t *testing.T) {
	const size = 4 << 20
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "x"})
	content := addLFS(t, s, "alice/m", "w.bin", size)
	var others [][]byte
	for i := range 6 {
		others = append(others, addLFS(t, s, "alice/m", fmt.Sprintf("o%d.bin", i), size+1+i))
	}
	m := mountWritable(t, s, "alice/m", func(c *daemonConfig) { c.CacheSize = 3 * size })
	wantContent(t, m.path("w.bin"), string(content))
	f, err := os.OpenFile(m.path("w.bin"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("edit"), size/2); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for i, other := range others {
		wantContent(t, m.path(fmt.Sprintf("o%d.bin", i)), string(other))
	}
	blob := func(content []byte) bool {
		_, err := os.Stat(filepath.Join(m.cfg.CacheDir, "models--alice--m/blobs", fmt.Sprintf("%x", sha256.Sum256(content))))
		return err == nil
	}
	eventually(t, "something is evicted", func() bool { return !blob(others[0]) })
	if !blob(content) {
		t.Error("what was edited is gone from the cache")
	}
	s.Hub.ResetCounts()
	copy(content[size/2:], "edit")
	m.commitAll()
	if got := fetched(s); got > 64<<10 {
		t.Errorf("the commit fetched %d bytes", got)
	}
	wantHub(t, s, "alice/m", "main", "w.bin", string(content))
}

// A tick in the middle of a copy commits nothing of it, nor of what is beside it; a log
// elsewhere is committed meanwhile.
func TestTick(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "x"})
	m := mountWritable(t, s, "alice/m", writable(func(w *WriteOptions) { w.Every = 100 * time.Millisecond }))
	for _, dir := range []string{"ckpt", "logs"} {
		if err := os.Mkdir(m.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.write("ckpt/config.json", "{}")
	half, err := os.Create(m.path("ckpt/w.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if _, err := half.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(m.path("logs/train.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.WriteString("one\ntwo\nthr"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log is committed", func() bool {
		got, err := readHub(s, "alice/m", "main", "logs/train.log")
		return err == nil && got == "one\ntwo\n"
	})
	wantHub(t, s, "alice/m", "main", "ckpt/w.safetensors", deleted)
	wantHub(t, s, "alice/m", "main", "ckpt/config.json", deleted)
}

// Two in a row can't be told from one: sync PATH and sync DIR return after the commit,
// and an fsync of a writer commits when it has closed.
func TestSync(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "x"})
	m := mountWritable(t, s, "")
	m.write("alice/m/a", "a")
	sync := func(path string) error {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return f.Sync()
	}
	if err := sync(m.path("alice/m/a")); err != nil {
		t.Fatal(err)
	}
	wantHub(t, s, "alice/m", "main", "a", "a")
	m.write("alice/m/b", "b")
	if err := sync(m.path("alice/m")); err != nil {
		t.Fatal(err)
	}
	wantHub(t, s, "alice/m", "main", "b", "b")
	m.write("alice/m/c", "c")
	if err := sync(m.path("alice")); err != nil {
		t.Fatal(err)
	}
	wantHub(t, s, "alice/m", "main", "c", "c")

	w, err := os.Create(m.path("alice/m/w"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString(" and whole"); err != nil {
		t.Fatal(err)
	}
	wantHub(t, s, "alice/m", "main", "w", deleted)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the synced file is committed", func() bool {
		got, err := readHub(s, "alice/m", "main", "w")
		return err == nil && got == "half and whole"
	})
	// A refusal fails, again and again, until it is mended.
	m.write("alice/m/README.md", "---\nlicense: [\n---\n")
	for range 2 {
		wantErrno(t, "sync of what the Hub refuses", sync(m.path("alice/m/README.md")), syscall.EIO)
	}
	m.write("alice/m/README.md", "---\nlicense: mit\n---\n")
	if err := sync(m.path("alice/m/README.md")); err != nil {
		t.Error(err)
	}
}

func TestDiscard(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "old", "d/x": "x", "gone": "g"})
	m := mountWritable(t, s, "alice/m")
	f, err := os.OpenFile(m.path("f"), os.O_RDWR|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("mine"); err != nil {
		t.Fatal(err)
	}
	m.write("new", "n")
	if err := os.Remove(m.path("gone")); err != nil {
		t.Fatal(err)
	}
	if a := m.tell(command{Do: "discard"}); a.Err != "" || len(a.Changes) != 3 {
		t.Fatalf("discard: %s, %v", a.Err, a.Changes)
	}
	wantContent(t, m.path("f"), "old")
	wantContent(t, m.path("gone"), "g")
	if _, err := os.Lstat(m.path("new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("new is there: %v", err)
	}
	if got := m.changes(); len(got) != 0 {
		t.Errorf("changes: %v", got)
	}
	m.write("f", "again")
	m.commitAll()
	wantHub(t, s, "alice/m", "main", "f", "again")
}

func TestMayNotWrite(t *testing.T) {
	s := hubtest.New(t, hubtest.WithUsers(localhub.User{Name: "bob"}))
	create(t, s, "model", "alice/m", map[string]string{"f": "x"})
	if err := s.Hub.CreateRepo("model", "bob/m", localhub.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		source string
		config func(*daemonConfig)
		reason string
	}{
		"anonymous":   {"alice/m", func(c *daemonConfig) { c.Token = "" }, "no token"},
		"not alice's": {"bob/m", func(*daemonConfig) {}, "may not write there"},
		"pinned":      {"alice/m", func(c *daemonConfig) { c.Pin = true }, "pinned"},
	} {
		t.Run(name, func(t *testing.T) {
			m := mountWritable(t, s, test.source, test.config)
			wantErrno(t, "write", os.WriteFile(m.path("new"), nil, 0o644), syscall.EROFS)
			b := m.status().Branches[0]
			if b.Writable || !strings.Contains(b.ReadOnlyReason, test.reason) {
				t.Errorf("status: writable %v, %q", b.Writable, b.ReadOnlyReason)
			}
		})
	}
}

// fetched is how much content the Hub has given.
func fetched(s *hubtest.Server) int64 { return s.Hub.Counts().ContentBytes }
