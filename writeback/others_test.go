package writeback

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

func TestJudge(t *testing.T) {
	file := func(h string) *Was { return &Was{Hash: h, Size: 1} }
	dir := &Was{Dir: true}
	for _, c := range []struct {
		what         string
		kind         nodeKind
		ours, theirs *Was
		keepBoth     verdict
		oursMode     verdict
		others       verdict // theirs, fail
	}{
		{"both made the same", kindFile, file("1"), file("1"), takeTheir, takeTheir, takeTheir},
		{"both edited", kindFile, file("1"), file("2"), moveOurs, keepOurs, holdBack},
		{"ours not hashed", kindFile, nil, file("2"), moveOurs, keepOurs, holdBack},
		{"edited here, deleted there", kindFile, nil, nil, keepOurs, keepOurs, keepOurs},
		{"deleted here, edited there", kindGone, nil, file("2"), takeTheir, keepOurs, holdBack},
		{"both deleted", kindGone, nil, nil, takeTheir, takeTheir, takeTheir},
		{"file here, folder there", kindFile, nil, dir, moveOurs, keepOurs, holdBack},
		{"folder here, file there", kindDir, nil, file("2"), moveTheir, keepOurs, holdBack},
		{"both made a folder", kindDir, nil, dir, takeTheir, takeTheir, takeTheir},
	} {
		for mode, want := range map[OnConflict]verdict{KeepBoth: c.keepBoth, "": c.keepBoth, Ours: c.oursMode, Theirs: c.others, Fail: c.others} {
			if got := judge(mode, c.kind, c.ours, c.theirs); got != want {
				t.Errorf("%s, %q: %d, want %d", c.what, mode, got, want)
			}
		}
	}
}

func TestConflictName(t *testing.T) {
	sum := strings.Repeat("0123456789abcdef", 4)
	for path, want := range map[string]string{
		"a.txt":                             "a.conflict-01234567.txt",
		"d/e/noext":                         "d/e/noext.conflict-01234567",
		"d/.bashrc":                         "d/.bashrc.conflict-01234567",
		"x.tar.gz":                          "x.tar.conflict-01234567.gz",
		"d.e/plain.bin":                     "d.e/plain.conflict-01234567.bin",
		"a." + strings.Repeat("e", 253):     "a." + strings.Repeat("e", 235) + ".conflict-01234567",
		"a." + strings.Repeat("e", 40):      "a." + strings.Repeat("e", 40) + ".conflict-01234567",
		strings.Repeat("é", 124) + ".safet": strings.Repeat("é", 115) + ".conflict-01234567.safet",
		strings.Repeat("n", 255):            strings.Repeat("n", 237) + ".conflict-01234567",
	} {
		if got := conflictName(path, sum, 0); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := conflictName("a.txt", sum, 1); got != "a.conflict-01234567-2.txt" {
		t.Error(got)
	}
}

func conflictOf(t *testing.T, path, content string) string {
	t.Helper()
	c := content
	sum, err := sha256Of(t.Context(), memContent(t, c))
	must(t, err)
	return conflictName(path, sum, 0)
}

// memContent is content in memory.
func memContent(t *testing.T, s string) *content {
	t.Helper()
	blobs := &hubBlobs{content: map[string]string{"h": s}}
	return &content{size: int64(len(s)), blob: &sharedBlob{source: Source{Hash: "h", Size: int64(len(s))}, refs: 1,
		from: func(Source) (Blob, error) { return &hubBlob{blobs, s}, nil }}}
}

func TestOthersChangeOtherPaths(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "a", "b": "b", "d/x": "x"}, nil)
	r.write(t, "a", "ours")
	must(t, r.Unlink(t.Context(), "d/x"))
	must(t, r.Rmdir(t.Context(), "d"))
	r.others(addOp("b", "theirs"), addOp("d/new", "n"))
	if res := r.flush(""); len(res.Commits) != 1 {
		t.Fatalf("%+v", res)
	}
	want := map[string]string{"a": "ours", "b": "theirs", "d/new": "n"}
	r.wantHub(want)
	r.wantClean()
	wantView(t, r.rig, withAttributes(view(want)))
}

func TestKeepBoth(t *testing.T) {
	ctx := t.Context()
	r := newCommitRig(t, map[string]string{"edited": "0", "deleted here": "0", "deleted there": "0", "dir/f": "0", "same": "0", "w.bin": weights}, nil)
	r.write(t, "edited", "ours")
	must(t, r.Unlink(ctx, "deleted here"))
	r.write(t, "deleted there", "ours, too")
	r.write(t, "same", "the same")
	r.write(t, "w.bin", "our weights")
	r.write(t, "file", "file here, folder there")
	must(t, r.Mkdir(ctx, "folder"))
	r.write(t, "folder/in", "in")
	r.others(addOp("edited", "theirs"), addOp("deleted here", "theirs, too"), localhub.Operation{Kind: localhub.OpDelete, Path: "deleted there"},
		addOp("same", "the same"), addOp("file/in", "theirs in"), addOp("folder", "file there"), addOp("w.bin", "their weights"))
	r.flush("")
	want := map[string]string{
		"edited": "theirs", conflictOf(t, "edited", "ours"): "ours", "deleted here": "theirs, too", "deleted there": "ours, too",
		"same": "the same", "dir/f": "0", "file/in": "theirs in", conflictOf(t, "file", "file here, folder there"): "file here, folder there",
		"folder/in": "in", conflictOf(t, "folder", "file there"): "file there",
		"w.bin": "their weights", conflictOf(t, "w.bin", "our weights"): "our weights",
	}
	r.wantHub(want)
	r.wantClean()
	wantView(t, r.rig, withAttributes(view(want)))
}

func TestOtherModesOfConflict(t *testing.T) {
	files := map[string]string{"edited": "0", "deleted": "0", "other": "0"}
	setUp := func(t *testing.T, mode OnConflict) *commitRig {
		r := newCommitRig(t, files, func(o *Options) { o.OnConflict = mode })
		r.write(t, "edited", "ours")
		r.write(t, "other", "ours")
		must(t, r.Unlink(t.Context(), "deleted"))
		r.others(addOp("edited", "theirs"), addOp("deleted", "theirs"))
		return r
	}
	t.Run("ours", func(t *testing.T) {
		r := setUp(t, Ours)
		r.flush("")
		r.wantHub(map[string]string{"edited": "ours", "other": "ours"})
		r.wantClean()
	})
	states := func(r *commitRig) map[string]State {
		out := make(map[string]State)
		for _, c := range r.Changes() {
			out[c.Path] = c.State
		}
		return out
	}
	t.Run("theirs", func(t *testing.T) {
		r := setUp(t, Theirs)
		for range 2 {
			res := r.flush("")
			if len(res.Failed) != 2 {
				t.Errorf("%+v", res)
			}
			r.wantHub(map[string]string{"edited": "theirs", "deleted": "theirs", "other": "ours"})
			if got := states(r); !maps.Equal(got, map[string]State{"edited": Conflict, "deleted": Conflict}) {
				t.Errorf("%v", got)
			}
			if got := r.read(t, "edited"); got != "ours" {
				t.Errorf("staged: %q", got)
			}
			r.reopen()
		}
		if gone, err := r.Discard(t.Context(), ""); err != nil || len(gone) != 2 {
			t.Errorf("discard: %v, %v", gone, err)
		}
		wantView(t, r.rig, withAttributes(map[string]string{"edited": "theirs", "deleted": "theirs", "other": "ours"}))
	})
	t.Run("fail", func(t *testing.T) {
		r := setUp(t, Fail)
		if _, err := r.Flush(t.Context(), ""); !errors.Is(err, ErrConflict) {
			t.Errorf("flush: %v", err)
		}
		r.wantHub(map[string]string{"edited": "theirs", "deleted": "theirs", "other": "0"})
	})
}

func TestOpenWriterStaysOnOurs(t *testing.T) {
	r := newCommitRig(t, map[string]string{"f": "0"}, nil)
	f := r.openFile(t, "f", os.O_RDWR)
	_, err := f.WriteAt([]byte("ours"), 0)
	must(t, err)
	r.others(addOp("f", "theirs"))
	r.write(t, "other", "x")
	r.flush("")
	r.wantHub(map[string]string{"f": "theirs", "other": "x"})
	_, err = f.WriteAt([]byte(" grew"), 4)
	must(t, err)
	must(t, f.Release())
	r.flush("")
	want := map[string]string{"f": "theirs", "other": "x", conflictOf(t, "f", "ours grew"): "ours grew"}
	r.wantHub(want)
	wantView(t, r.rig, withAttributes(want))
}

// TestNoCommitIsDoubled has the Hub answer writes with errors after they were done, or
// before, and tell of an old head, while others commit, too.
func TestNoCommitIsDoubled(t *testing.T) {
	slow := func(n int) int { return n / 12 } // the client waits before it asks again
	for _, c := range []struct {
		faults map[localhub.Fault]float64
		tries  int
	}{
		{map[localhub.Fault]float64{localhub.FaultLanded500: 0.5}, ambiguousTries},
		{map[localhub.Fault]float64{localhub.FaultLostAnswer: 0.5}, ambiguousTries},
		{map[localhub.Fault]float64{localhub.FaultLanded500: 0.3, localhub.FaultLostAnswer: 0.3}, ambiguousTries},
		{map[localhub.Fault]float64{localhub.FaultStatus503: 0.1}, slow(ambiguousTries)},
		{map[localhub.Fault]float64{localhub.FaultReset: 0.1}, slow(ambiguousTries)},
		{map[localhub.Fault]float64{localhub.FaultStatus429: 0.1}, slow(ambiguousTries)},
		{map[localhub.Fault]float64{localhub.FaultExpireURL: 0.3}, slow(ambiguousTries)},
	} {
		var names []string
		for fault := range c.faults {
			names = append(names, string(fault))
		}
		slices.Sort(names)
		t.Run(strings.Join(names, "+"), func(t *testing.T) { ambiguousRun(t, c.faults, c.tries) })
	}
}

func ambiguousRun(t *testing.T, faults map[localhub.Fault]float64, n int) {
	r := newCommitRig(t, map[string]string{"f": "0"}, nil)
	faults[localhub.FaultStaleHead] = 0.5
	want := map[string]string{"f": fmt.Sprint(n)}
	theirs := 0
	before, _ := r.history()
	r.server.Hub.SetNetwork(localhub.Network{Seed: 1, Faults: faults})
	for i := range n {
		r.write(t, "f", fmt.Sprint(i+1))
		if i%3 == 0 {
			r.write(t, "w.bin", fmt.Sprint(weights, i))
			want["w.bin"] = fmt.Sprint(weights, i)
		}
		if i%5 == 1 {
			r.others(addOp("theirs", fmt.Sprint(i)))
			want["theirs"] = fmt.Sprint(i)
			theirs++
		}
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		res, err := r.Flush(ctx, "")
		cancel()
		if err != nil || len(res.Failed) > 0 || len(res.Commits) != 1 {
			t.Fatalf("flush %d: %+v, %v", i, res, err)
		}
	}
	r.server.Hub.SetNetwork(localhub.Network{})
	total, marks := r.history()
	if total-before-theirs != n {
		t.Errorf("%d commits for %d changes", total-before-theirs, n)
	}
	for mark, count := range marks {
		if count > 1 {
			t.Errorf("%s is there %d times", mark, count)
		}
	}
	r.wantHub(want)
	r.wantClean()
}

// TestCommitThatDiedIsFound lets the process die between the Hub's commit and its answer.
func TestCommitThatDiedIsFound(t *testing.T) {
	r := newCommitRig(t, map[string]string{"f": "0", "g": "0"}, nil)
	r.write(t, "f", "1")
	must(t, r.Unlink(t.Context(), "g"))
	r.server.Hub.SetNetwork(localhub.Network{Seed: 1, Faults: map[localhub.Fault]float64{localhub.FaultLostAnswer: 1}})
	ctx, cancel := context.WithCancel(t.Context())
	r.Branch.opts.RetryPause = 1 << 40 // it dies before it tries again
	done := make(chan error, 1)
	go func() {
		_, err := r.Flush(ctx, "")
		done <- err
	}()
	waitFor(t, func() bool {
		h, err := r.server.Hub.Head("model", r.repo.ID, "main")
		return err == nil && h != r.Tree().Commit()
	})
	cancel()
	if err := <-done; err == nil {
		t.Error("the flush whose answer was lost said nothing")
	}
	r.server.Hub.SetNetwork(localhub.Network{})
	if len(r.sent()) == 0 {
		t.Fatal("the journal doesn't know that a commit was sent")
	}
	r.write(t, "f", "2") // on top of what was sent
	r.reopen()
	r.flush("")
	r.wantHub(map[string]string{"f": "2"})
	if total, marks := r.history(); len(marks) != 2 || total != 4 {
		t.Errorf("%d commits, marks %v", total, marks)
	}
	r.wantClean()
}

func TestPullRequest(t *testing.T) {
	r := newCommitRig(t, map[string]string{"f": "0"}, func(o *Options) { o.CreatePR = true },
		hubtest.WithUsers(localhub.User{Name: "carol", Token: "hf_carol"}))
	r.write(t, "f", "1")
	res := r.flush("")
	if len(res.Commits) != 1 || res.Commits[0].PRURL == "" {
		t.Fatalf("%+v", res)
	}
	r.reopenAt(r.Revision())
	r.write(t, "g", "2")
	r.flush("")
	if rev := r.Revision(); rev != "refs/pr/1" {
		t.Errorf("revision %s", rev)
	}
	if got := r.onHub("refs/pr/1"); !maps.Equal(got, map[string]string{"f": "1", "g": "2"}) {
		t.Errorf("the pull request has %v", got)
	}
	r.wantHub(map[string]string{"f": "0"})
	refs, err := r.client.Refs(t.Context(), r.repo, true)
	must(t, err)
	if len(refs.PullRequests) != 1 {
		t.Errorf("%d pull requests", len(refs.PullRequests))
	}
}

// reopenAt is a remount that shows another revision below the changes.
func (r *commitRig) reopenAt(revision string) {
	r.t.Helper()
	must(r.t, r.Close())
	tree, err := r.openTree(r.t.Context(), revision, "")
	must(r.t, err)
	r.opts.Tree = tree
	r.Branch, err = Open(r.t.Context(), Key{r.client.Endpoint(), "alice", r.repo, "main"}, r.opts)
	must(r.t, err)
}

func TestTwoMountsWriteAtOnce(t *testing.T) {
	r := newCommitRig(t, map[string]string{"f": "0"}, nil)
	// The other one is on another machine, so it has a journal of its own.
	o := &commitRig{rig: &rig{}, t: t, remote: newRemote(r.server.Client(), r.repo), server: r.server, cache: r.cache, opts: r.opts}
	o.opts.StateDir, o.opts.OpenTree = t.TempDir(), o.openTree
	o.open()
	defer o.Close()
	errs := make(chan error, 2)
	for i, m := range []*commitRig{r, o} {
		go func() {
			for k := range 5 {
				if err := m.tryWrite(fmt.Sprintf("of %d, %d", i, k), "x"); err != nil {
					errs <- err
					return
				}
				if _, err := m.Flush(t.Context(), ""); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range 2 {
		must(t, <-errs)
	}
	want := map[string]string{"f": "0"}
	for i := range 2 {
		for k := range 5 {
			want[fmt.Sprintf("of %d, %d", i, k)] = "x"
		}
	}
	r.wantHub(want)
}

func TestHubIsDown(t *testing.T) {
	r := newCommitRig(t, map[string]string{"f": "0"}, nil)
	r.server.Stop()
	r.write(t, "f", "1")
	r.write(t, "g", "2")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	flushed := make(chan error, 1)
	go func() {
		_, err := r.Flush(ctx, "")
		flushed <- err
	}()
	waitFor(t, func() bool { return r.Status().Error != "" })
	cancel()
	if err := <-flushed; err == nil {
		t.Error("flushed to nowhere")
	}
	if s := r.Status(); s.Staged != 2 {
		t.Errorf("%+v", s)
	}
	must(t, r.Close())
	var err error
	r.Branch, err = Open(t.Context(), Key{r.client.Endpoint(), "alice", r.repo, "main"}, r.opts)
	must(t, err)
	r.server.Start()
	r.flush("")
	r.wantHub(map[string]string{"f": "1", "g": "2"})
	r.wantClean()
}

func TestNoRightToWrite(t *testing.T) {
	r := newCommitRig(t, map[string]string{"f": "0"}, func(o *Options) {}, hubtest.WithUsers(localhub.User{Name: "carol", Token: "hf_carol"}))
	r.Branch.opts.Hub = r.server.ClientWithToken("hf_carol")
	r.write(t, "f", "1")
	_, err := r.Flush(t.Context(), "")
	if !errors.Is(err, hub.ErrForbidden) {
		t.Errorf("flush: %v", err)
	}
	if s := r.Status(); s.Staged != 1 || !strings.Contains(s.Error, "denied") {
		t.Errorf("%+v", s)
	}
	r.Branch.opts.Hub = r.client
	r.flush("")
	r.wantHub(map[string]string{"f": "1"})
}
