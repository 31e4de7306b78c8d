package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

func poll(every time.Duration) func(*daemonConfig) {
	return func(c *daemonConfig) { c.Poll = every }
}

// eventually waits for what happens by itself.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func reads(path, want string) func() bool {
	return func() bool {
		got, err := os.ReadFile(path)
		return err == nil && string(got) == want
	}
}

func TestMove(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{
		"same": "same", "changes": "old", "goes": "x", "d/changes": "old", "d/goes": "x", "d/same": "same",
		"goes-too/a/b": "x", "file-to-dir": "x", "dir-to-file/x": "x", "untouched/deep/f": "x",
	})
	m := mount(t, s, "alice/m")
	// Let the kernel remember all of it, and what isn't there.
	for _, dir := range []string{"", "d", "goes-too", "goes-too/a", "dir-to-file", "untouched", "untouched/deep"} {
		names(t, m.path(dir))
		for _, e := range names(t, m.path(dir)) {
			stat(t, m.path(dir, e))
		}
		_, err := os.Lstat(m.path(dir, "comes"))
		wantErrno(t, "comes in "+dir, err, syscall.ENOENT)
	}
	wantContent(t, m.path("changes"), "old")
	ino := stat(t, m.path("d")).Ino
	s.Hub.ResetCounts()
	m.wait("", commit(t, s, "model", "alice/m", "main", map[string]string{
		"changes": "new!", "goes": deleted, "comes": "1", "d/changes": "new!", "d/goes": deleted, "d/comes": "2",
		"goes-too/a/b": deleted, "file-to-dir": deleted, "file-to-dir/x": "3", "dir-to-file/x": deleted, "dir-to-file": "4",
	}))
	// References, the date, and the folders that changed: the root, d, file-to-dir isn't looked into.
	if n := s.Hub.Counts().API; n > 5 {
		t.Errorf("the move took %d requests: %v", n, s.Hub.Requests())
	}
	for path, want := range map[string]string{
		"same": "same", "changes": "new!", "comes": "1", "d/changes": "new!", "d/comes": "2", "d/same": "same",
		"file-to-dir/x": "3", "dir-to-file": "4", "untouched/deep/f": "x",
	} {
		wantContent(t, m.path(path), want)
		if st := stat(t, m.path(path)); st.Size != int64(len(want)) {
			t.Errorf("%s has the size %d", path, st.Size)
		}
	}
	for _, path := range []string{"goes", "d/goes", "goes-too", "goes-too/a", "goes-too/a/b", "dir-to-file/x"} {
		if _, err := os.Lstat(m.path(path)); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	wantNames(t, m.path("d"), "changes", "comes", "same")
	if now := stat(t, m.path("d")).Ino; now != ino {
		t.Errorf("d had the number %d, and has %d", ino, now)
	}
	// And back.
	m.wait("", commit(t, s, "model", "alice/m", "main", map[string]string{
		"goes-too/a/b": "again", "file-to-dir/x": deleted, "file-to-dir": "file", "dir-to-file": deleted, "dir-to-file/x": "dir", "changes": "old",
	}))
	for path, want := range map[string]string{"goes-too/a/b": "again", "file-to-dir": "file", "dir-to-file/x": "dir", "changes": "old"} {
		wantContent(t, m.path(path), want)
	}
}

// Every listing and lookup is of one commit, and after the wait every walk sees the
// new one, with many readers at work.
func TestReadersWhileMoving(t *testing.T) {
	const files, readers, commits = 150, 4, 8
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", nil)
	long := strings.Repeat("x", 100) // so that a listing takes the kernel several requests
	name := func(n, k int) string { return fmt.Sprintf("set/%06d-%03d-%s", n, k, long) }
	generation := func(n int) map[string]string {
		change := map[string]string{"v": strconv.Itoa(n), fmt.Sprintf("deep/%d/er/v", n%3): strconv.Itoa(n)}
		for k := range files {
			if n > 0 {
				change[name(n-1, k)] = deleted
			}
			change[name(n, k)] = strconv.Itoa(n)
		}
		return change
	}
	first := commit(t, s, "model", "alice/m", "main", generation(0))
	m := mount(t, s, "alice/m", poll(100*time.Millisecond)) // it moves by itself, too
	m.wait("", first)

	var visible atomic.Int64 // the generation that has been waited for
	var walks atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for r := range readers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				lookAround(t, m, r, name, &visible)
				walks.Add(1)
				if t.Failed() {
					return
				}
			}
		})
	}
	for n := 1; n <= commits && !t.Failed(); n++ {
		m.wait("", commit(t, s, "model", "alice/m", "main", generation(n)))
		visible.Store(int64(n))
		// Of so many walks that end, one begins after this, and so must see it.
		least := walks.Load() + readers + 1
		eventually(t, "walks end", func() bool { return walks.Load() >= least || t.Failed() })
	}
	close(stop)
	wg.Wait()
	wantContent(t, m.path("v"), strconv.Itoa(commits))
	t.Logf("%d walks, %d names forgotten", walks.Load(), m.tell(command{Do: "status"}).Names)
}

// lookAround looks at everything in one of several ways.
func lookAround(t *testing.T, m *mounted, way int, name func(n, k int) string, visible *atomic.Int64) {
	least := visible.Load()
	entries, err := os.ReadDir(m.path("set"))
	if err != nil {
		t.Errorf("list: %v", err)
		return
	}
	if len(entries) != 150 {
		t.Errorf("a listing of %d entries, from %v to %v", len(entries), entries[0], entries[len(entries)-1])
		return
	}
	n, _, _ := strings.Cut(entries[0].Name(), "-")
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), n+"-") {
			t.Errorf("one listing has %.10s and %.10s", entries[0].Name(), e.Name())
			return
		}
	}
	shown, err := strconv.ParseInt(n, 10, 64)
	if err != nil || shown < least {
		t.Errorf("a listing of %s after %d was visible: %v", n, least, err)
	}
	if way%2 == 0 {
		least := visible.Load()
		text, err := os.ReadFile(m.path("v"))
		if is, _ := strconv.ParseInt(string(text), 10, 64); err != nil || is < least {
			t.Errorf("v is %q after %d was visible: %v", text, least, err)
		}
	}
	least = visible.Load()
	_, err = os.Lstat(m.path(name(int(least)-1, way)))
	if err == nil && least > 0 {
		t.Errorf("%d is still there after %d was visible", least-1, least)
	}
	_, err = os.Lstat(m.path(name(int(least), way)))
	if now := visible.Load(); err != nil && now == least {
		// The next one may be there already, but then least was seen to go.
		if got := names(t, m.path("set")); len(got) > 0 && strings.HasPrefix(got[0], fmt.Sprintf("%06d-", least)) {
			t.Errorf("%d isn't there: %v", least, err)
		}
	}
	_, _ = os.Lstat(m.path(name(int(least)+1, way))) // let the kernel remember that there is none
	if way%3 == 0 {
		// Folders that come and change are entered while the tree moves.
		_ = filepath.WalkDir(m.path("deep"), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				_, _ = os.ReadFile(path)
			}
			return nil
		})
	}
}

// No change on the Hub alters an open file, even one that nobody has read yet.
func TestOpenFileKeepsItsContent(t *testing.T) {
	s := hubtest.New(t)
	old, now := strings.Repeat("old", 1<<20), strings.Repeat("new!", 1<<20)
	create(t, s, "model", "alice/m", map[string]string{"read": old, "unread": old, "gone": old, "mapped": old})
	m := mount(t, s, "alice/m")
	open := make(map[string]*os.File)
	for _, name := range []string{"read", "unread", "gone", "mapped"} {
		f, err := os.Open(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		open[name] = f
	}
	buf := make([]byte, 100)
	if _, err := open["read"].ReadAt(buf, 0); err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(int(open["mapped"].Fd()), 0, len(old), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Munmap(mapped); err != nil {
			t.Error(err)
		}
	}()
	m.wait("", commit(t, s, "model", "alice/m", "main", map[string]string{"read": now, "unread": now, "gone": deleted, "mapped": now}))
	for _, name := range []string{"read", "unread", "mapped"} {
		wantContent(t, m.path(name), now)
	}
	for name, f := range open {
		got := make([]byte, len(old))
		if n, err := f.ReadAt(got, 0); err != nil || string(got[:n]) != old {
			t.Errorf("%s: the open file has %d bytes, %.20q, %v", name, n, got, err)
		}
		if info, err := f.Stat(); err != nil || info.Size() != int64(len(old)) {
			t.Errorf("%s: the open file has the size %d, %v", name, info.Size(), err)
		}
	}
	if string(mapped) != old {
		t.Error("the mapped file has changed")
	}
	_, err = os.Lstat(m.path("gone"))
	wantErrno(t, "gone", err, syscall.ENOENT)
}

// Who stands in a directory stays in it.
func TestDirectoryInUseMoves(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"d/f": "old", "gone/f": "old"})
	m := mount(t, s, "alice/m")
	d, err := unix.Open(m.path("d"), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(d)
	gone, err := unix.Open(m.path("gone"), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(gone)
	readAt := func(dir int, name string) (string, error) {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY, 0)
		if err != nil {
			return "", err
		}
		defer unix.Close(fd)
		buf := make([]byte, 100)
		n, err := unix.Read(fd, buf)
		return string(buf[:max(n, 0)]), err
	}
	for _, dir := range []int{d, gone} {
		if got, err := readAt(dir, "f"); got != "old" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		_, err := readAt(dir, "g")
		wantErrno(t, "g", err, syscall.ENOENT)
	}
	m.wait("", commit(t, s, "model", "alice/m", "main", map[string]string{"d/f": "new", "d/g": "too", "gone/f": deleted}))
	if got, err := readAt(d, "f"); got != "new" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := readAt(d, "g"); got != "too" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_, err = readAt(gone, "f")
	wantErrno(t, "in what is gone", err, syscall.ENOENT)
	var st unix.Stat_t
	if err := unix.Fstat(gone, &st); err != nil || st.Nlink != 0 {
		t.Errorf("what is gone has %d links, %v", st.Nlink, err)
	}
	m.wait("", commit(t, s, "model", "alice/m", "main", map[string]string{"gone/g": "back"}))
	if got, err := readAt(gone, "g"); got != "back" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	wantContent(t, m.path("gone/g"), "back")
}

// A directory that is read while its tree moves shows one commit, and what the
// kernel learns of it doesn't stay.
func TestListingAcrossMove(t *testing.T) {
	s := hubtest.New(t)
	long := strings.Repeat("x", 200)
	old, now := make(map[string]string), make(map[string]string)
	for k := range 400 {
		old[fmt.Sprintf("d/%03d-%s", k, long)] = "old"
		now[fmt.Sprintf("d/%03d-%s", k, long)] = "new"
	}
	create(t, s, "model", "alice/m", old)
	now[fmt.Sprintf("d/399-%s", long)] = deleted
	now["d/zzz"] = "new"
	m := mount(t, s, "alice/m")
	d, err := os.Open(m.path("d"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	begin, err := d.ReadDir(10)
	if err != nil {
		t.Fatal(err)
	}
	m.wait("", commit(t, s, "model", "alice/m", "main", now))
	rest, err := d.ReadDir(-1)
	if err != nil || len(begin)+len(rest) != 400 || rest[len(rest)-1].Name() == "zzz" {
		t.Errorf("the listing has %d entries and ends with %.10s, %v", len(begin)+len(rest), rest[len(rest)-1].Name(), err)
	}
	for k := range 399 {
		wantContent(t, m.path(fmt.Sprintf("d/%03d-%s", k, long)), "new")
	}
	_, err = os.Lstat(m.path(fmt.Sprintf("d/399-%s", long)))
	wantErrno(t, "what is gone", err, syscall.ENOENT)
	if _, err := d.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	if again, err := d.ReadDir(-1); err != nil || len(again) != 400 || again[399].Name() != "zzz" {
		t.Errorf("after rewinding: %d entries, %v", len(again), err)
	}
}

// A directory that is entered for the first time while its tree is about to move
// is shown as it was, and the kernel doesn't remember it.
func TestEnteringWhileMoving(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"a/f": "old", "b/f": "old"})
	m := mount(t, s, "alice/m")
	wantContent(t, m.path("a/f"), "old") // b has the same listing, which is known from now on
	next := commit(t, s, "model", "alice/m", "main", map[string]string{"a/f": "new", "b/f": "new", "b/g": "new"})
	const latency = 400 * time.Millisecond
	s.Hub.SetNetwork(localhub.Network{Latency: latency})
	began, moved := time.Now(), make(chan struct{})
	go func() {
		defer close(moved)
		if err := m.tell(command{Do: "refresh"}).Err; err != "" {
			t.Errorf("refresh: %s", err)
		}
	}()
	time.Sleep(latency * 3 / 2) // the references have come, the root hasn't
	got := names(t, m.path("b"))
	_, old := os.Lstat(m.path("b/f"))
	_, comes := os.Lstat(m.path("b/g"))
	switch {
	case time.Since(began) > 2*latency:
		t.Log("too slow to be in the middle of the move")
	case !slices.Equal(got, []string{"f"}) || old != nil || !errors.Is(comes, syscall.ENOENT):
		t.Errorf("in the middle of the move it has %q: b/f %v, b/g %v", got, old, comes)
	}
	<-moved
	s.Hub.SetNetwork(localhub.Network{})
	m.wait("", next)
	for _, path := range []string{"a/f", "b/f", "b/g"} {
		wantContent(t, m.path(path), "new")
	}
}

func TestPollShowsCommitsBranchesAndTags(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "1"})
	for _, err := range []error{s.Hub.CreateBranch("model", "alice/m", "dev", ""), s.Hub.CreateTag("model", "alice/m", "v1", "", "")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const interval = 100 * time.Millisecond
	m := mount(t, s, "", poll(interval))
	for _, tree := range []string{"m", "m@dev", "m@v1"} {
		wantContent(t, m.path("alice", tree, "f"), "1")
	}
	commit(t, s, "model", "alice/m", "main", map[string]string{"f": "2"})
	dev := commit(t, s, "model", "alice/m", "dev", map[string]string{"f": "3"})
	eventually(t, "main moves", reads(m.path("alice/m/f"), "2"))
	eventually(t, "dev moves", reads(m.path("alice/m@dev/f"), "3"))
	wantContent(t, m.path("alice/m@v1/f"), "1")
	if err := s.Hub.MoveTag("model", "alice/m", "v1", dev); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the tag moves", reads(m.path("alice/m@v1/f"), "3"))
	wantXattr(t, m.path("alice/m@v1/f"), "user.hub.revision", "v1")
	wantXattr(t, m.path("alice/m@v1/f"), "user.hub.commit", dev)
	// One request looks at all of them.
	time.Sleep(3 * interval / 2)
	began := time.Now()
	s.Hub.ResetCounts()
	time.Sleep(10 * interval)
	eventually(t, "it is polled", func() bool { return s.Hub.Counts().API > 0 })
	n := s.Hub.Counts().API
	if took := time.Since(began); n > int(took/interval)+1 {
		t.Errorf("%d requests in %v of polling every %v", n, took, interval)
	}
}

func TestCommitsAreNeverPolled(t *testing.T) {
	s := hubtest.New(t)
	head := create(t, s, "model", "alice/m", map[string]string{"f": "1", "d/g": "2"})
	m := mount(t, s, "alice/m@"+head, poll(50*time.Millisecond))
	wantContent(t, m.path("f"), "1")
	wantContent(t, m.path("d/g"), "2")
	commit(t, s, "model", "alice/m", "main", map[string]string{"f": "2"})
	s.Hub.ResetCounts()
	time.Sleep(300 * time.Millisecond)
	for range 3 {
		wantContent(t, m.path("f"), "1")
		wantNames(t, m.path("d"), "g")
	}
	if n := s.Hub.Counts().API; n != 0 {
		t.Errorf("%d requests about what can't change: %v", n, s.Hub.Requests())
	}
	if b := m.status().Branches; len(b) != 1 || !b[0].Pinned || b[0].Head != head || b[0].Revision != head {
		t.Errorf("status: %+v", b)
	}
	if a := m.tell(command{Do: "wait", Commit: strings.Repeat("1", 40)}); a.Err == "" {
		t.Error("waited for a commit that can't come")
	}
	m.wait("", head)
}

func TestPin(t *testing.T) {
	s := hubtest.New(t)
	head := create(t, s, "model", "alice/m", map[string]string{"f": "1", "g": "1"})
	m := mount(t, s, "alice/m", poll(50*time.Millisecond), func(c *daemonConfig) { c.Pin = true })
	wantContent(t, m.path("f"), "1")
	next := commit(t, s, "model", "alice/m", "main", map[string]string{"f": "2", "g": "2"})
	time.Sleep(300 * time.Millisecond)
	wantContent(t, m.path("f"), "1")
	wantContent(t, m.path("g"), "1")
	if b := m.status().Branches; len(b) != 1 || !b[0].Pinned || b[0].Head != head {
		t.Errorf("status: %+v", b)
	}
	if a := m.tell(command{Do: "wait", Commit: next}); !strings.Contains(a.Err, "refresh") {
		t.Errorf("waiting for a commit under a pin: %q", a.Err)
	}
	m.refresh()
	wantContent(t, m.path("f"), "2")
	wantContent(t, m.path("g"), "2")
	m.wait("", next)
	m.wait("", head) // it is before what is visible
}

func TestWaitCommit(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"d/f": "1"})
	m := mount(t, s, "")
	for i, path := range []string{"alice/m", "alice/m/d/f", "models/alice/m/d", "ALICE/M@main", "/alice/m/"} {
		skipped := commit(t, s, "model", "alice/m", "main", map[string]string{"d/f": fmt.Sprint("skipped ", i)})
		c := commit(t, s, "model", "alice/m", "main", map[string]string{"d/f": fmt.Sprint("now ", i)})
		m.wait(path, skipped)
		wantContent(t, m.path("alice/m/d/f"), fmt.Sprint("now ", i))
		m.wait(path, c)
	}
	for path, commit := range map[string]string{
		"": strings.Repeat("1", 40), "alice": strings.Repeat("1", 40), "nobody/x": strings.Repeat("1", 40), "alice/m": "main",
	} {
		if a := m.tell(command{Do: "wait", Path: path, Commit: commit}); a.Err == "" {
			t.Errorf("waiting at %q for %q has ended", path, commit)
		}
	}
	a := m.tell(command{Do: "wait", Path: "alice/m", Commit: strings.Repeat("1", 40), Timeout: 700 * time.Millisecond})
	if !strings.Contains(a.Err, "not yet") {
		t.Errorf("waiting in vain: %q", a.Err)
	}
	done := make(chan answer, 1)
	other := mount(t, s, "alice/m")
	go func() { done <- other.tell(command{Do: "wait", Commit: headAfter(t, s)}) }()
	if a := <-done; a.Err != "" {
		t.Errorf("waiting for a commit that came later: %s", a.Err)
	}
}

func headAfter(t testing.TB, s *hubtest.Server) string {
	return commit(t, s, "model", "alice/m", "main", map[string]string{"later": "1"})
}

// A branch or repository that is deleted stays readable as it was, and the status
// says why nothing moves.
func TestDeletedUnderneath(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "main"})
	if err := s.Hub.CreateBranch("model", "alice/m", "dev", ""); err != nil {
		t.Fatal(err)
	}
	commit(t, s, "model", "alice/m", "dev", map[string]string{"f": "dev", "unread": "?"})
	m := mount(t, s, "", poll(100*time.Millisecond))
	wantContent(t, m.path("alice/m/f"), "main")
	wantContent(t, m.path("alice/m@dev/f"), "dev")
	if err := s.Hub.DeleteBranch("model", "alice/m", "dev"); err != nil {
		t.Fatal(err)
	}
	said := func(revision, text string) func() bool {
		return func() bool {
			for _, b := range m.status().Branches {
				if b.Revision == revision && strings.Contains(b.Error, text) {
					return true
				}
			}
			return false
		}
	}
	eventually(t, "the status tells of the branch", said("dev", "gone"))
	wantContent(t, m.path("alice/m@dev/f"), "dev")
	wantNames(t, m.path("alice/m@dev"), ".gitattributes", "f", "unread")
	wantContent(t, m.path("alice/m/f"), "main")
	if err := s.Hub.DeleteRepo("model", "alice/m"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the status tells of the repository", said("main", "not found"))
	wantContent(t, m.path("alice/m/f"), "main")
	wantContent(t, m.path("alice/m@dev/f"), "dev")
}
