package writeback

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/localhub"
)

// taken are the paths that a selection has now, with their content; "-" for deletions.
func taken(t *testing.T, r *rig, sel selection) map[string]string {
	t.Helper()
	x, err := r.take(t.Context(), sel, 0)
	must(t, err)
	defer r.putBack(x)
	out := make(map[string]string)
	for _, it := range x.items {
		if it.ino == nil {
			out[it.path] = "-"
			continue
		}
		buf := make([]byte, it.content.size)
		_, err := contentReader{t.Context(), &it.content}.ReadAt(buf, 0)
		if len(buf) > 0 {
			must(t, err)
		}
		out[it.path] = string(buf)
	}
	return out
}

func wantTaken(t *testing.T, r *rig, sel selection, want map[string]string) {
	t.Helper()
	if got := taken(t, r, sel); !maps.Equal(got, want) {
		t.Errorf("%+v takes\n%q, want\n%q", sel, got, want)
	}
}

// at sets the time of a branch.
func (r *rig) at(d time.Duration) {
	r.Branch.mu.Lock()         //nolint:staticcheck // the commit rig has a mu of its own
	defer r.Branch.mu.Unlock() //nolint:staticcheck // as above
	now := r.started.Add(d)
	r.now = func() time.Time { return now }
}

func TestTickLeavesOutBusyFolders(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, map[string]string{"ckpt/old": "o"})
	r.at(0)
	for _, dir := range []string{"ckpt/step", "quiet", "logs"} {
		must(t, r.Mkdir(ctx, dir))
	}
	r.write(t, "quiet/f", "1")
	r.write(t, "ckpt/step/shard-1", "2")
	r.write(t, "ckpt/step/sub", "3")
	r.at(time.Minute)
	shard := r.openFile(t, "ckpt/shard-2.safetensors", os.O_RDWR|os.O_CREATE)
	_, err := shard.WriteAt([]byte("half"), 0)
	must(t, err)
	must(t, shard.Flush()) // of a duplicate, in mid-file
	_, err = shard.WriteAt([]byte("half"), 4)
	must(t, err)
	log := r.openFile(t, "logs/train.log", os.O_RDWR|os.O_CREATE)
	_, err = log.WriteAt([]byte("line 1\nline 2\nli"), 0)
	must(t, err)
	lines := map[string]string{"quiet/f": "1", "logs/train.log": "line 1\nline 2\n"}
	r.at(time.Minute + quietTime)
	wantTaken(t, r, selection{}, lines)
	// A flush takes what is closed, wherever.
	all := maps.Clone(lines)
	all["ckpt/step/shard-1"], all["ckpt/step/sub"] = "2", "3"
	wantTaken(t, r, selection{explicit: true}, all)
	must(t, shard.Release())
	r.at(time.Minute + quietTime + 9*time.Second)
	wantTaken(t, r, selection{}, lines)
	r.at(time.Minute + 3*quietTime)
	all["ckpt/shard-2.safetensors"] = "halfhalf"
	wantTaken(t, r, selection{}, all)
	_, err = log.WriteAt([]byte("ne 3\n"), 16)
	must(t, err)
	all["logs/train.log"] = "line 1\nline 2\nline 3\n"
	wantTaken(t, r, selection{}, all)
	must(t, log.Release())
}

func TestLogs(t *testing.T) {
	r := newRig(t, nil)
	write := func(path string, flag int, content string) *File {
		f := r.openFile(t, path, os.O_RDWR|os.O_CREATE|flag)
		_, err := f.WriteAt([]byte(content), 0)
		must(t, err)
		return f
	}
	for path, flag := range map[string]int{
		"a.log": 0, "events.out.tfevents.1": 0, "data.jsonl": 0, "appended.jsonl": os.O_APPEND, "notes.txt": os.O_APPEND, "none.log": 0, "w.bin": os.O_APPEND,
	} {
		content := "one\ntwo"
		if path == "none.log" {
			content = "no line yet"
		}
		defer write(path, flag, content).Release() //nolint:errcheck // the test is over
	}
	wantTaken(t, r, selection{}, map[string]string{
		"a.log": "one\n", "events.out.tfevents.1": "one\ntwo", "appended.jsonl": "one\n", "notes.txt": "one\n",
	})
}

func TestNamesThatStayHere(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, map[string]string{"kept.swp": "the Hub has it", "kept~": "x", "repo/poetry.toml": ""})
	for _, dir := range []string{".git", ".git/objects", "d", "d/__pycache__", "locks"} {
		must(t, r.Mkdir(ctx, dir))
	}
	for _, path := range []string{
		".git/config", ".git/objects/pack", ".DS_Store", "d/.DS_Store", "._x", "d/.f.swp", "d/f~", ".#lock", ".nfs001", ".fuse_hidden1",
		"d/__pycache__/m.pyc", "locks/a.lock", "locks/b.lock",
	} {
		r.write(t, path, "x")
		if e, err := r.Lookup(ctx, path); err != nil || e.State != Local {
			t.Errorf("%s is %v (%v)", path, e.State, err)
		}
	}
	r.write(t, "kept.swp", "edited")
	r.write(t, "repo/poetry.lock", "x")
	r.write(t, ".gitignore", "x")
	r.write(t, "d/real", "x")
	must(t, r.Unlink(ctx, "kept~"))
	want := map[string]string{"kept.swp": "edited", "repo/poetry.lock": "x", ".gitignore": "x", "d/real": "x", "kept~": "-"}
	wantTaken(t, r, selection{explicit: true}, want)
	if s := r.Status(); s.Local != 13 || s.Staged != 5 {
		t.Errorf("%+v", s)
	}
}

func TestBothHalvesOfARename(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, map[string]string{"a/f": "f", "b/g": "g", "c": "c"})
	must(t, r.Rename(ctx, "a/f", "b/f", false))
	r.write(t, "c", "other")
	want := map[string]string{"a/f": "-", "b/f": "f"}
	wantTaken(t, r, selection{path: "b", explicit: true}, want)
	wantTaken(t, r, selection{path: "a", explicit: true}, want)
	wantTaken(t, r, selection{path: "c", explicit: true}, map[string]string{"c": "other"})
}

func TestTornFileIsNotCommitted(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{"half.bin", "half.log"} {
		f := r.openFile(t, path, os.O_RDWR|os.O_CREATE)
		_, err := f.WriteAt([]byte("line\nhal"), 0)
		must(t, err)
	}
	r.kill(t)
	wantTaken(t, r, selection{explicit: true}, map[string]string{"half.log": "line\n"})
}

func TestLogGrowsOverManyCommits(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "a"}, nil)
	f := r.openFile(t, "train.log", os.O_RDWR|os.O_CREATE|os.O_APPEND)
	want := ""
	for i := range 6 {
		line := fmt.Sprintf("line %d\n", i)
		_, err := f.WriteAt([]byte(line+"rest"), int64(len(want)))
		must(t, err)
		want += line
		if i == 3 {
			must(t, f.Truncate(int64(len(want)))) // ends with a whole line
		}
		res := r.flush("")
		if len(res.Commits) != 1 {
			t.Fatalf("%d: %+v", i, res)
		}
		r.wantHub(map[string]string{"a": "a", "train.log": want})
		if res := r.flush(""); len(res.Commits) != 0 {
			t.Errorf("again without a change: %+v", res)
		}
	}
	if got := r.read(t, "train.log"); got != want+"rest" {
		t.Errorf("here it is %q", got)
	}
	must(t, f.Release())
	r.flush("")
	r.wantHub(map[string]string{"a": "a", "train.log": want + "rest"})
	r.wantClean()
}

func TestRefusalsHoldUpNothingElse(t *testing.T) {
	ctx := t.Context()
	r := newCommitRig(t, map[string]string{".gitignore": "*.tmp\n", "a": "a"}, nil)
	must(t, r.Mkdir(ctx, ".cache"))
	r.write(t, ".cache/x", "the Hub doesn't take it")
	r.write(t, "README.md", "---\ntags: [unclosed\n---\n")
	r.write(t, "scratch.tmp", "ignored")
	r.write(t, "good", "1")
	res := r.flush("")
	failed := make(map[string]string)
	for _, c := range res.Failed {
		failed[c.Path] = c.Message
	}
	if len(res.Commits) != 1 || len(failed) != 2 || !strings.Contains(failed["README.md"], "metadata") || failed[".cache/x"] == "" {
		t.Errorf("%+v", res)
	}
	r.wantHub(map[string]string{".gitignore": "*.tmp\n", "a": "a", "good": "1"})
	states := make(map[string]State)
	for _, c := range r.Changes() {
		states[c.Path] = c.State
	}
	if want := map[string]State{".cache/x": Failed, "README.md": Failed, "scratch.tmp": Ignored}; !maps.Equal(states, want) {
		t.Errorf("%v, want %v", states, want)
	}
	r.reopen()
	if e, _ := r.Lookup(ctx, "README.md"); e.State != Failed {
		t.Errorf("after a remount it is %v", e.State)
	}
	r.write(t, "README.md", "---\ntags: [closed]\n---\n")
	if e, _ := r.Lookup(ctx, "README.md"); e.State != Staged {
		t.Errorf("after it was mended it is %v", e.State)
	}
	r.flush("")
	if got := r.onHub("main")["README.md"]; !strings.Contains(got, "closed") {
		t.Errorf("README.md: %q", got)
	}
}

func TestAtomicHoldsBackAll(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "a"}, func(o *Options) { o.Atomic = true })
	r.write(t, "README.md", "---\ntags: [unclosed\n---\n")
	r.write(t, "good", "1")
	if _, err := r.Flush(t.Context(), ""); err == nil {
		t.Error("no error")
	}
	r.wantHub(map[string]string{"a": "a"})
}

func TestNothingIsDownloadedAgain(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "a"}, nil)
	r.write(t, "w.bin", weights)
	r.write(t, "t", "text")
	r.flush("")
	r.wantClean()
	r.reopen()
	r.server.Hub.ResetCounts()
	if r.read(t, "w.bin") != weights || r.read(t, "t") != "text" {
		t.Error("content differs")
	}
	if c := r.server.Hub.Counts(); c.Content+c.Resolve > 0 || c.ContentBytes > 0 {
		t.Errorf("%+v", c)
	}
	e, err := r.Lookup(t.Context(), "w.bin")
	if err != nil || time.Since(e.MTime) > time.Minute {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestRenameOfLFSUploadsNothing(t *testing.T) {
	ctx := t.Context()
	files := make(map[string]string)
	for i := range 5 {
		files[fmt.Sprintf("d/w%d.bin", i)] = fmt.Sprint(i, weights)
	}
	r := newCommitRig(t, nil, nil)
	must(t, r.Mkdir(ctx, "d"))
	for path, content := range files {
		r.write(t, path, content)
	}
	r.flush("")
	must(t, r.Rename(ctx, "d", "e", false)) // maybe before the commit is settled
	r.server.Hub.ResetCounts()
	res := r.flush("e")
	if len(res.Commits) != 1 || len(res.Failed) > 0 {
		t.Fatalf("%+v", res)
	}
	for _, q := range r.server.Hub.Requests() {
		if q.Method == http.MethodPut {
			t.Errorf("%s %s", q.Method, q.Path)
		}
	}
	want := make(map[string]string)
	for path, content := range files {
		want["e"+path[1:]] = content
	}
	r.wantHub(want)
	r.wantClean()
}

func TestWritesGoOnDuringACommit(t *testing.T) {
	r := newCommitRig(t, map[string]string{"f": "0"}, nil)
	f := r.openFile(t, "f", os.O_RDWR|os.O_CREATE)
	_, err := f.WriteAt([]byte("first"), 0)
	must(t, err)
	must(t, f.Release())
	x, err := r.take(t.Context(), selection{explicit: true}, 0)
	must(t, err)
	r.write(t, "f", "second, longer")
	must(t, r.Rename(t.Context(), "f", "g", false))
	r.write(t, "f", "third")
	made, _, err := r.commit(t.Context(), x)
	must(t, err)
	r.putBack(x)
	if made == nil {
		t.Fatal("no commit")
	}
	r.wantHub(map[string]string{"f": "first"})
	r.flush("")
	want := map[string]string{"f": "third", "g": "second, longer"}
	r.wantHub(want)
	r.wantClean()
}

// TestRemovedDuringACommit removes a new file between the instant of a commit and its
// landing: the Hub gets it, and the next commit removes it.
func TestRemovedDuringACommit(t *testing.T) {
	for _, how := range []string{"unlink", "rename"} {
		r := newCommitRig(t, map[string]string{"a": "a"}, nil)
		r.write(t, "new", "x")
		x, err := r.take(t.Context(), selection{explicit: true}, 0)
		must(t, err)
		want := map[string]string{"a": "a"}
		if how == "unlink" {
			must(t, r.Unlink(t.Context(), "new"))
		} else {
			must(t, r.Rename(t.Context(), "new", "moved", false))
			want["moved"] = "x"
		}
		_, _, err = r.commit(t.Context(), x)
		must(t, err)
		r.putBack(x)
		r.flush("")
		r.wantHub(want)
		r.wantClean()
		if r.root.find("new") != nil {
			t.Errorf("%s: a node is left", how)
		}
	}
}

// TestDeletedStaysDeleted looks at a path between the landing of its deletion and the
// moment when the tree of that commit is shown.
func TestDeletedStaysDeleted(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "a", "b": "b"}, nil)
	must(t, r.Unlink(t.Context(), "a"))
	x, err := r.take(t.Context(), selection{explicit: true}, 0)
	must(t, err)
	_, _, err = r.commit(t.Context(), x)
	must(t, err)
	r.putBack(x)
	if e, err := r.Lookup(t.Context(), "a"); !isErrno(err, syscall.ENOENT) {
		t.Errorf("it is back: %+v, %v", e, err)
	}
	r.write(t, "a", "again")
	must(t, r.Unlink(t.Context(), "a"))
	if e, err := r.Lookup(t.Context(), "a"); !isErrno(err, syscall.ENOENT) {
		t.Errorf("it is back: %+v, %v", e, err)
	}
	r.flush("")
	r.wantHub(map[string]string{"b": "b"})
	r.wantClean()
}

func TestTimerAndFsync(t *testing.T) {
	t.Run("timer", func(t *testing.T) {
		r := newCommitRig(t, map[string]string{"f": "0"}, func(o *Options) { o.Every, o.MaxDelay = 30*time.Millisecond, time.Nanosecond })
		r.write(t, "f", "1")
		waitFor(t, func() bool { return r.onHub("main")["f"] == "1" })
	})
	t.Run("fsync", func(t *testing.T) {
		r := newCommitRig(t, map[string]string{"f": "0"}, nil)
		before, _ := r.history()
		f := r.openFile(t, "f", os.O_RDWR)
		for i := range 300 {
			_, err := f.WriteAt([]byte{'a' + byte(i%26)}, 0)
			must(t, err)
			must(t, f.Fsync())
		}
		if total, _ := r.history(); total != before {
			t.Error("a writer that syncs half-way is published")
		}
		must(t, f.Release())
		waitFor(t, func() bool { return r.onHub("main")["f"] == string(rune('a'+299%26)) })
		if total, _ := r.history(); total != before+1 {
			t.Errorf("%d commits", total-before)
		}
	})
}

func TestCommitsAnHour(t *testing.T) {
	r := newCommitRig(t, map[string]string{"f": "0"}, func(o *Options) { o.MaxCommitsPerHour = 2 })
	for i := range 3 { // explicit ones never wait
		r.write(t, "f", fmt.Sprint(i+1))
		r.flush("")
	}
	if d := r.slotIn(); d < 59*time.Minute || d > 61*time.Minute {
		t.Errorf("the next automatic one in %v", d)
	}
	r.reopen()
	if r.slotIn() == 0 {
		t.Error("a remount forgets the limit")
	}
}

func TestTooMuchForOneCommit(t *testing.T) {
	// The embedded Hub refuses regular files above 10 MiB in one message without a path.
	r := newCommitRig(t, map[string]string{"a": "a"}, nil)
	r.server.Hub.SetNetwork(localhub.Network{})
	for i := range 7 {
		r.write(t, fmt.Sprintf("f%d", i), fmt.Sprint(i))
	}
	refuse := errors.New("too large")
	x, err := r.take(t.Context(), selection{explicit: true}, 0)
	must(t, err)
	if r.blame(x, refuse) || hub.SplittingHelps(refuse) {
		t.Error("an error that says nothing blames a path")
	}
	named := &hub.OperationError{Path: "f3", Err: refuse}
	if !r.blame(x, named) {
		t.Error("nobody is blamed")
	}
	r.putBack(x)
	if e, _ := r.Lookup(t.Context(), "f3"); e.State != Failed {
		t.Errorf("f3 is %v", e.State)
	}
}

func TestDiscard(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, map[string]string{"a": "a", "d/x": "x", "d/y": "y"})
	r.write(t, "a", "1")
	r.write(t, "d/x", "2")
	r.write(t, "d/n", "3")
	must(t, r.Unlink(ctx, "d/y"))
	gone, err := r.Discard(ctx, "d")
	must(t, err)
	var paths []string
	for _, c := range gone {
		paths = append(paths, c.Path)
	}
	if !slices.Equal(paths, []string{"d/n", "d/x", "d/y"}) {
		t.Errorf("%v", paths)
	}
	want := map[string]string{"a": "1", "d/": "", "d/x": "x", "d/y": "y"}
	wantView(t, r, want)
	r.kill(t)
	wantView(t, r, want)
}
