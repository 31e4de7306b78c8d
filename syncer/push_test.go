package syncer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/localhub"
)

func TestPush(t *testing.T) {
	b := newBench(t)
	b.write("config.json", "{}")
	b.write("sub/weights.bin", strings.Repeat("w", 100_000)) // an LFS file by its name
	b.write("empty", "")
	b.write(".git/HEAD", "no")
	b.write(".cache/huggingface/x", "no")
	r := b.start(func(o *Options) { o.PathInRepo = "/runs/1/" })
	r.flush(1)
	want := map[string]string{"runs/1/config.json": "{}", "runs/1/sub/weights.bin": strings.Repeat("w", 100_000), "runs/1/empty": ""}
	b.has(want)

	b.hub.Hub.ResetCounts()
	r.flush(0)
	b.write("config.json", "{}") // written again, the same
	r.flush(0)
	if n, _, _ := b.requests(); n != 0 {
		t.Errorf("%d requests although nothing has changed", n)
	}

	b.write("config.json", "{1}") // of another size
	b.ok(os.Rename(filepath.Join(b.folder, "empty"), filepath.Join(b.folder, "void")))
	b.ok(os.Remove(filepath.Join(b.folder, "sub/weights.bin")))
	res := r.flush(1)
	if res.Commits[0].Files != 2 {
		t.Errorf("%+v", res)
	}
	want["runs/1/config.json"], want["runs/1/void"] = "{1}", "" // and nothing is deleted
	b.has(want)
	b.write("sub/weights.bin", strings.Repeat("w", 100_000)) // it comes back as it was
	r.flush(0)
	b.ok(os.Remove(filepath.Join(b.folder, "sub/weights.bin")))
	r.flush(0)
	st := r.Status()
	if st.Files != 2 || st.Pending != 0 || st.Failed != 0 || st.LastCommit == nil || st.LastCommit.OID != res.Commits[0].OID || st.Error != "" {
		t.Errorf("%+v", st)
	}
}

// TestStateInFolder: what hubfs keeps for itself isn't pushed, though it is in the folder.
func TestStateInFolder(t *testing.T) {
	b := newBench(t)
	b.write("f", "content")
	state := filepath.Join(b.folder, "state")
	b.ok(os.MkdirAll(state, 0o700))
	link := filepath.Join(t.TempDir(), "link")
	b.ok(os.Symlink(state, link))
	r := b.start(func(o *Options) { o.StateDir = link })
	r.flush(1)
	b.has(map[string]string{"f": "content"})
	r.flush(0)
}

// TestSameTimes: neither mtime nor size have to change for a change to be noticed.
func TestSameTimes(t *testing.T) {
	b := newBench(t)
	b.write("a", "first")
	b.age("a")
	r := b.start(nil)
	r.flush(1)
	b.write("a", "other")
	b.age("a")
	info, err := os.Stat(filepath.Join(b.folder, "a"))
	b.ok(err)
	for range 3 { // as quickly as the clock of the file system may be coarse
		r.flush(map[bool]int{true: 1, false: 0}[b.content()["a"] != "other"])
		b.ok(os.Chtimes(filepath.Join(b.folder, "a"), info.ModTime(), info.ModTime()))
	}
	b.has(map[string]string{"a": "other"})
	b.write("a", "third")
	b.ok(os.Chtimes(filepath.Join(b.folder, "a"), info.ModTime(), info.ModTime()))
	r.flush(1)
	b.has(map[string]string{"a": "third"})
}

func TestRestart(t *testing.T) {
	b := newBench(t)
	want := make(map[string]string)
	for i := range 50 {
		path, content := fmt.Sprintf("d%d/f%d.txt", i%7, i), fmt.Sprintf("content %d\n", i)
		b.write(path, content)
		want[path] = content
	}
	b.write("big.bin", strings.Repeat("big", 1<<20))
	want["big.bin"] = strings.Repeat("big", 1<<20)
	r := b.start(nil)
	r.flush(1)
	if res, err := r.stopped(); err != nil || len(res.Commits) != 0 {
		t.Fatal(res, err)
	}

	b.hub.Hub.ResetCounts()
	r = b.start(nil)
	r.flush(0)
	if n, commits, uploads := b.requests(); n > 1 || commits+uploads > 0 { // whether the repository is the same
		t.Errorf("%d requests, %d commits, %d uploads after a restart", n, commits, uploads)
	}
	b.write("new", "new")
	want["new"] = "new"
	if res, err := r.stopped(); err != nil || len(res.Commits) != 1 { // the last push has it
		t.Fatal(res, err)
	}
	b.has(want)

	// Without its state all is read again, but not uploaded, and nothing is committed.
	b.ok(os.RemoveAll(b.state))
	b.ok(os.Mkdir(b.state, 0o700))
	b.hub.Hub.ResetCounts()
	r = b.start(nil)
	r.flush(0)
	if _, commits, uploads := b.requests(); commits+uploads > 0 {
		t.Errorf("%d commits, %d uploads of what the Hub has", commits, uploads)
	}
}

func TestDamagedState(t *testing.T) {
	b := newBench(t)
	b.write("a", "a")
	r := b.start(nil)
	r.flush(1)
	_, _ = r.stopped()
	dbs, err := filepath.Glob(filepath.Join(b.state, syncsDir, "*", "state.db"))
	b.ok(err)
	if len(dbs) != 1 {
		t.Fatal(dbs)
	}
	b.ok(os.WriteFile(dbs[0], []byte(strings.Repeat("nonsense", 10_000)), 0o600))
	b.write("b", "b")
	b.start(nil).flush(1)
	b.has(map[string]string{"a": "a", "b": "b"})
	if kept, err := filepath.Glob(filepath.Join(filepath.Dir(dbs[0]), "aside", "*")); err != nil || len(kept) != 1 {
		t.Errorf("%v, %v", kept, err)
	}
}

func TestRepoMadeAnew(t *testing.T) {
	b := newBench(t)
	b.write("a", "a")
	r := b.start(nil)
	r.flush(1)
	_, _ = r.stopped()
	b.ok(b.hub.Hub.DeleteRepo(localhub.Model, b.repo.ID))
	time.Sleep(1100 * time.Millisecond) // creation times are in seconds
	b.start(nil).flush(1)
	b.has(map[string]string{"a": "a"})
}

func TestOneAtATime(t *testing.T) {
	b := newBench(t)
	r := b.start(nil)
	var running *RunningError
	if _, err := Open(b.options()); !errors.As(err, &running) {
		t.Fatal(err)
	}
	o := b.options()
	o.PathInRepo = "elsewhere" // is another sync
	s, err := Open(o)
	b.ok(err)
	b.ok(s.Close())
	_, _ = r.stopped()
	b.start(nil)
}

func TestPrivate(t *testing.T) {
	b := newBench(t)
	b.repo = hub.Repo{Type: hub.Dataset, ID: "alice/secret"}
	b.write("a", "a")
	b.start(func(o *Options) { o.Private = true }).flush(1)
	info, err := b.client.RepoInfo(t.Context(), b.repo, nil)
	b.ok(err)
	if info.Private == nil || !*info.Private {
		t.Error("the repository isn't private")
	}
	b.has(map[string]string{"a": "a"})
}

func TestPatterns(t *testing.T) {
	b := newBench(t)
	for _, path := range []string{"a.json", "x/b.json", "x/c.txt", "tmp/d.json", "x/tmp/e.json", "[f].json", ".gitignore", ".git_x/g.json"} {
		b.write(path, "-"+path) // as rules of a .gitignore, they ignore nothing
	}
	b.start(func(o *Options) { o.Allow, o.Ignore = []string{"*.json", ".gitignore"}, []string{"tmp/", "[[]*"} }).flush(1)
	want := map[string]string{}
	for _, path := range []string{"a.json", "x/b.json", "x/tmp/e.json", ".gitignore", ".git_x/g.json"} {
		want[path] = "-" + path
	}
	b.has(want)
}

func TestSquash(t *testing.T) {
	b := newBench(t)
	r := b.start(func(o *Options) { o.SquashHistory = true })
	for i := range 3 {
		b.write("a", strings.Repeat("a", i+1))
		r.flush(1)
	}
	r.flush(0)
	n := 0
	for _, err := range b.client.Commits(t.Context(), b.repo, "main", nil) {
		b.ok(err)
		n++
	}
	if n != 1 {
		t.Errorf("%d commits in the history", n)
	}
	b.has(map[string]string{"a": "aaa"})
}

// TestRefused: one file that the Hub refuses is marked, and doesn't hold up the others.
func TestRefused(t *testing.T) {
	b := newBench(t)
	b.write("README.md", "---\nlicense: [broken\n---\n")
	b.write("sub/.git", "a name that isn't taken")
	b.write("good", "good")
	r := b.start(nil)
	res := r.flush(1)
	b.has(map[string]string{"good": "good"})
	if len(res.Failed) != 1 || res.Failed[0].Path != "README.md" || res.Failed[0].Message == "" {
		t.Fatalf("%+v", res.Failed)
	}
	b.write("x/.cache/y", "no")
	if res = r.flush(0); len(res.Failed) != 2 {
		t.Errorf("%+v", res)
	}
	b.ok(os.Remove(filepath.Join(b.folder, "x/.cache/y"))) // what isn't there can't fail
	b.write("README.md", "---\nlicense: mit\n---\n")
	res = r.flush(1)
	if len(res.Failed) != 0 || r.Status().Failed != 0 {
		t.Errorf("%+v", res)
	}
	b.has(map[string]string{"good": "good", "README.md": "---\nlicense: mit\n---\n"})
}

func TestForbiddenName(t *testing.T) {
	b := newBench(t)
	b.write("x/.cache/y", "no")
	b.write("z", "yes")
	b.write("control\x01name", "no?")
	b.write("bytes\xff", "no")
	r := b.start(nil)
	res := r.flush(1)
	if len(res.Failed) == 0 || res.Failed[len(res.Failed)-1].Path != "x/.cache/y" {
		t.Errorf("%+v", res.Failed)
	}
	if b.content()["z"] != "yes" {
		t.Error("z is missing")
	}
}

func TestLinks(t *testing.T) {
	b := newBench(t)
	b.write("real", "content")
	b.ok(os.Symlink("real", filepath.Join(b.folder, "link")))
	b.ok(os.Symlink("nowhere", filepath.Join(b.folder, "dangling")))
	b.ok(os.Symlink("loop", filepath.Join(b.folder, "loop")))
	b.ok(os.Symlink(t.TempDir(), filepath.Join(b.folder, "folder")))
	res := b.start(nil).flush(1)
	if len(res.Failed) != 0 {
		t.Error(res.Failed)
	}
	b.has(map[string]string{"real": "content", "link": "content"})
}

func TestManyFiles(t *testing.T) {
	b := newBench(t)
	want := make(map[string]string)
	for i := range 2000 {
		path := fmt.Sprintf("run%d/step%d.json", i%20, i)
		b.write(path, fmt.Sprintf(`{"step":%d}`, i))
		want[path] = fmt.Sprintf(`{"step":%d}`, i)
	}
	r := b.start(nil)
	r.flush(1)
	n, _, _ := b.requests()
	if n > 20 {
		t.Errorf("%d requests for 2,000 files", n)
	}
	count := 0
	for e, err := range b.client.Tree(t.Context(), b.repo, "main", "", &hub.TreeOptions{Recursive: true}) {
		b.ok(err)
		if want[e.Path] != "" && e.Size == int64(len(want[e.Path])) {
			count++
		}
	}
	if count != 2000 {
		t.Errorf("%d files", count)
	}
	_, _ = r.stopped()
	b.hub.Hub.ResetCounts()
	b.start(nil).flush(0)
	if n, _, _ := b.requests(); n > 1 {
		t.Errorf("%d requests after a restart", n)
	}
}

func TestSplit(t *testing.T) {
	b := newBench(t)
	for i := range 25 {
		b.write(fmt.Sprint(i), fmt.Sprint(i))
	}
	o := b.options()
	s, err := Open(o)
	b.ok(err)
	s.limit = 10
	b.run(s).flush(3)
	if got := b.content(); len(got) != 25 {
		t.Error(got)
	}
}

func TestNoBranch(t *testing.T) {
	b := newBench(t)
	b.write("a", "a")
	r := b.start(func(o *Options) { o.Revision = "nowhere" })
	if _, err := r.Flush(t.Context()); !errors.Is(err, hub.ErrRevisionNotFound) {
		t.Fatal(err)
	}
	b.ok(b.hub.Hub.CreateBranch(localhub.Model, b.repo.ID, "nowhere", "main"))
	r.flush(1)
}

func TestNoPermission(t *testing.T) {
	b := newBench(t)
	b.repo.ID = "bob/model"
	b.ok(b.hub.Hub.CreateUser(localhub.User{Name: "bob", Token: "hf_bob"}))
	b.ok(b.hub.Hub.CreateRepo(localhub.Model, "bob/model", localhub.RepoOptions{}))
	b.write("a", "a")
	r := b.start(nil)
	if _, err := r.Flush(t.Context()); !errors.Is(err, hub.ErrForbidden) {
		t.Fatal(err)
	}
	if st := r.Status(); st.Pending != 1 || st.Error == "" {
		t.Errorf("%+v", st)
	}
}

func TestTriggerAndClock(t *testing.T) {
	b := newBench(t)
	r := b.start(func(o *Options) { o.Every = time.Hour })
	wait := func(path string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); b.tryContent()[path] == ""; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(path + " isn't there")
			}
		}
	}
	b.write("a", "a")
	r.Trigger()
	wait("a")
	_, _ = r.stopped()
	b.write("b", "b")
	r = b.start(func(o *Options) { o.Every = time.Hour }) // pushes at once
	wait("b")
	_, _ = r.stopped()
	r = b.start(func(o *Options) { o.Every = 50 * time.Millisecond })
	b.write("c", "c")
	wait("c")
	for deadline := time.Now().Add(20 * time.Second); r.Status().NextAt == nil; time.Sleep(time.Millisecond) { // none while one is made
		if time.Now().After(deadline) {
			t.Fatal("it isn't known when the next push is")
		}
	}
}

// tryContent is content of a repository that may not be there yet.
func (b *bench) tryContent() map[string]string {
	if ok, err := b.client.RepoExists(b.Context(), b.repo); err != nil || !ok {
		return nil
	}
	return b.content()
}

func TestCommitsPerHour(t *testing.T) {
	b := newBench(t)
	o := b.options()
	o.MaxCommitsPerHour = 2
	s, err := Open(o)
	b.ok(err)
	defer s.Close()
	now := time.Now()
	s.now = func() time.Time { return now }
	for i := range 4 {
		b.write("a", strings.Repeat("a", i+1))
		made, err := s.push(t.Context(), false, false)
		if i < 2 && (err != nil || len(made) != 1) || i >= 2 && !errors.Is(err, errSlot) {
			t.Fatalf("push %d: %v, %v", i, made, err)
		}
		now = now.Add(10 * time.Minute)
	}
	if in := s.slotIn(); in < 19*time.Minute || in > 21*time.Minute {
		t.Errorf("the next in %s", in)
	}
	if made, err := s.push(t.Context(), true, false); err != nil || len(made) != 1 { // was asked for
		t.Fatal(made, err)
	}
	b.write("a", "z")
	now = now.Add(25 * time.Minute)
	if made, err := s.push(t.Context(), false, false); !errors.Is(err, errSlot) {
		t.Fatal(made, err)
	}
	now = now.Add(time.Hour)
	if made, err := s.push(t.Context(), false, false); err != nil || len(made) != 1 {
		t.Fatal(made, err)
	}
	now = now.Add(-24 * time.Hour) // a clock that is set back doesn't block anything
	b.write("a", "y")
	if made, err := s.push(t.Context(), false, false); err != nil || len(made) != 1 {
		t.Fatal(made, err)
	}
}

func TestFlushAfterEnd(t *testing.T) {
	b := newBench(t)
	r := b.start(nil)
	_, _ = r.stopped()
	if _, err := r.Flush(t.Context()); !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
}

// TestManyAsk: all who ask at once are served by few pushes, and who goes away doesn't matter.
func TestManyAsk(t *testing.T) {
	b := newBench(t)
	b.write("a", "a")
	r := b.start(nil)
	const n = 200
	errs := make(chan error, n)
	for i := range n {
		go func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%2 == 0 {
				cancel()
			}
			_, err := r.Flush(ctx)
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	r.flush(0)
	if len(b.marks()) != 1 {
		t.Error("more than one commit")
	}
}

// TestFileForFolder: what is a folder on the Hub and a file here doesn't hold up the rest.
func TestFileForFolder(t *testing.T) {
	b := newBench(t)
	b.write("a/b", "b")
	b.write("c", "c")
	r := b.start(nil)
	r.flush(1)
	b.ok(os.RemoveAll(filepath.Join(b.folder, "a")))
	b.ok(os.Remove(filepath.Join(b.folder, "c")))
	b.write("a", "now a file")
	b.write("c/d", "now in a folder")
	b.write("e", "e")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	res, err := r.Flush(ctx)
	b.ok(err)
	if len(res.Failed) != 2 || res.Failed[0].Path != "a" || res.Failed[1].Path != "c/d" {
		t.Errorf("%+v", res.Failed)
	}
	b.has(map[string]string{"a/b": "b", "c": "c", "e": "e"})
}

// TestLargeFile: by the clock, a file that changes all the time is uploaded a tenth of the time.
func TestLargeFile(t *testing.T) {
	b := newBench(t)
	s, err := Open(b.options())
	b.ok(err)
	defer s.Close()
	s.large = 1 << 10
	now := time.Now()
	s.now = func() time.Time { now = now.Add(time.Second); return now }
	grow := func(asked bool, commits int) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(b.folder, "large.bin"), os.O_CREATE|os.O_WRONLY, 0o644)
		b.ok(err)
		info, err := f.Stat()
		b.ok(err)
		b.ok(f.Truncate(max(info.Size(), s.large) + 1))
		b.ok(f.Close())
		made, err := s.push(t.Context(), asked, false)
		b.ok(err)
		if len(made) != commits {
			t.Errorf("%d commits, not %d; %d left for later", len(made), commits, s.later)
		}
	}
	grow(false, 1)
	grow(false, 0)
	if s.later != 1 {
		t.Error("it isn't pending")
	}
	now = now.Add(time.Minute)
	grow(false, 1)
	grow(true, 1)
}
