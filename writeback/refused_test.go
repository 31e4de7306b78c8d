package writeback

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/localhub"
)

// TestManyRefusals has more forbidden names than a push has tries.
func TestManyRefusals(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "a"}, nil)
	must(t, r.Mkdir(t.Context(), ".cache"))
	for i := range 2 * pushRounds {
		r.write(t, fmt.Sprintf(".cache/%d", i), "the Hub doesn't take it")
	}
	r.write(t, "good", "1")
	if res := r.flush(""); len(res.Commits) != 1 || len(res.Failed) != 2*pushRounds {
		t.Errorf("%d commits, %d failed", len(res.Commits), len(res.Failed))
	}
	r.wantHub(map[string]string{"a": "a", "good": "1"})
}

// TestReadmeIsCheckedFirst wants nothing uploaded for a commit that can't be made as it is.
func TestReadmeIsCheckedFirst(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "a"}, func(o *Options) { o.Atomic = true })
	r.write(t, "README.md", "---\ntags: [unclosed\n---\n")
	r.write(t, "w.bin", weights)
	r.server.Hub.ResetCounts()
	var invalid *hub.MetadataError
	if _, err := r.Flush(t.Context(), ""); !errors.As(err, &invalid) {
		t.Errorf("flush: %v", err)
	}
	if c := r.server.Hub.Counts(); c.Content > 0 {
		t.Errorf("%+v", c)
	}
}

// TestAtomicTick wants that a refused path goes on holding back the rest from the timer.
func TestAtomicTick(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "a"}, func(o *Options) { o.Atomic = true })
	r.write(t, "README.md", "---\ntags: [unclosed\n---\n")
	r.write(t, "good", "1")
	if _, err := r.Flush(t.Context(), ""); err == nil {
		t.Error("no error")
	}
	r.now = func() time.Time { return time.Now().Add(time.Hour) } // nothing is busy
	if res, err := r.push(t.Context(), selection{}); len(res.Commits) > 0 || err != nil {
		t.Errorf("a tick: %+v, %v", res, err)
	}
	r.write(t, "README.md", "# mended\n")
	r.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if res, err := r.push(t.Context(), selection{}); len(res.Commits) != 1 || err != nil {
		t.Errorf("a tick: %+v, %v", res, err)
	}
	r.wantHub(map[string]string{"a": "a", "good": "1", "README.md": "# mended\n"})
}

// TestBaseThatCannotBeFetched edits a file of which the rest is on the Hub only, while that
// doesn't answer: it is no fault of the file's.
func TestBaseThatCannotBeFetched(t *testing.T) {
	var down atomic.Bool
	r := newCommitRig(t, map[string]string{"w.bin": weights}, withoutBlobs(&down))
	f := r.openFile(t, "w.bin", os.O_RDWR)
	_, err := f.WriteAt([]byte("EDIT"), 100)
	must(t, err)
	must(t, f.Release())
	r.write(t, "other", "1")
	down.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := r.Flush(ctx, ""); err == nil {
		t.Error("no error")
	}
	if e, _ := r.Lookup(t.Context(), "w.bin"); e.State != Staged {
		t.Errorf("it is %v: %+v", e.State, r.Changes())
	}
	down.Store(false)
	r.flush("")
	r.wantHub(map[string]string{"w.bin": weights[:100] + "EDIT" + weights[104:], "other": "1"})
}

// withoutBlobs lets content of the Hub be out of reach.
func withoutBlobs(down *atomic.Bool) func(*Options) {
	return func(o *Options) {
		open := o.Blob
		o.Blob = func(f blobcache.File) (Blob, error) {
			if down.Load() {
				return nil, fmt.Errorf("fetching a block: %w", hub.ErrUnavailable)
			}
			return open(f)
		}
	}
}

// TestConflictThatCannotBeSolvedNow holds back its own path only.
func TestConflictThatCannotBeSolvedNow(t *testing.T) {
	var down atomic.Bool
	r := newCommitRig(t, map[string]string{"w.bin": weights}, withoutBlobs(&down))
	f := r.openFile(t, "w.bin", os.O_RDWR)
	_, err := f.WriteAt([]byte("EDIT"), 100)
	must(t, err)
	must(t, f.Release())
	r.write(t, "other", "1")
	theirs := strings.ToUpper(weights)
	r.others(addOp("w.bin", theirs))
	down.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	flushed := make(chan error, 1)
	go func() {
		_, err := r.Flush(ctx, "")
		flushed <- err
	}()
	waitFor(t, func() bool { return r.onHub("main")["other"] == "1" })
	cancel()
	if err := <-flushed; err == nil {
		t.Error("no error")
	}
	r.wantHub(map[string]string{"w.bin": theirs, "other": "1"})
	down.Store(false)
	r.flush("")
	ours := weights[:100] + "EDIT" + weights[104:]
	r.wantHub(map[string]string{"w.bin": theirs, "other": "1", conflictOf(t, "w.bin", ours): ours})
	r.wantClean()
}

// TestLostAnswerIsTold has a flush tell of a commit whose answer was lost.
func TestLostAnswerIsTold(t *testing.T) {
	r := newCommitRig(t, map[string]string{"f": "0"}, nil)
	r.write(t, "f", "1")
	r.server.Hub.SetNetwork(localhub.Network{Seed: 1, Faults: map[localhub.Fault]float64{localhub.FaultLanded500: 1}})
	res := r.flush("")
	r.server.Hub.SetNetwork(localhub.Network{})
	head, err := r.server.Hub.Head("model", r.repo.ID, "main")
	must(t, err)
	if len(res.Commits) != 1 || res.Commits[0].OID != head || res.Commits[0].Changes != 1 {
		t.Errorf("%+v, the head is %s", res, head)
	}
	if c := r.Status().LastCommit; c == nil || c.OID != head {
		t.Errorf("the last commit is %+v", c)
	}
}

// TestLateHead has the Hub go on telling of the head before the last commit.
func TestLateHead(t *testing.T) {
	var stale atomic.Pointer[remoteTree]
	r := newCommitRig(t, map[string]string{"f": "0"}, nil)
	before := r.Tree().(*remoteTree)
	open := r.Branch.opts.OpenTree
	r.Branch.opts.OpenTree = func(ctx context.Context, revision, commit string) (Tree, error) {
		if tree := stale.Swap(nil); commit == "" && tree != nil {
			return tree, nil
		}
		return open(ctx, revision, commit)
	}
	r.write(t, "f", "1")
	r.flush("")
	r.settled()
	must(t, r.SetTree(t.Context(), before, time.Now()))
	if got := r.read(t, "f"); got != "1" {
		t.Errorf("after a late answer the file holds %q", got)
	}
	r.others(addOp("theirs", "t"))
	stale.Store(before)
	r.write(t, "g", "2")
	r.flush("")
	r.wantHub(map[string]string{"f": "1", "g": "2", "theirs": "t"})
	r.wantClean()
}

// TestOrderOfAPartedBatch wants what is in the way removed first, and other deletions last.
func TestOrderOfAPartedBatch(t *testing.T) {
	r := newRig(t, map[string]string{"a": "was a file", "b": "b", "c": "c"})
	ctx := t.Context()
	must(t, r.Unlink(ctx, "a"))
	must(t, r.Mkdir(ctx, "a"))
	r.write(t, "a/x", "1")
	must(t, r.Rename(ctx, "b", "z", false))
	x, err := r.take(ctx, selection{explicit: true}, 0)
	must(t, err)
	defer r.putBack(x)
	var got []string
	for _, it := range x.items {
		got = append(got, it.path)
	}
	if want := []string{"a", "a/x", "z", "b"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestLogAfterRefusal wants a log that is held open in the next commit, when the first was refused.
func TestLogAfterRefusal(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "a"}, nil)
	f := r.openFile(t, "train.log", os.O_RDWR|os.O_CREATE)
	_, err := f.WriteAt([]byte("line\nrest"), 0)
	must(t, err)
	r.others(addOp("theirs", "t")) // the first try is a 412
	r.flush("")
	r.wantHub(map[string]string{"a": "a", "theirs": "t", "train.log": "line\n"})
	must(t, f.Release())
}

// TestRepoIsRenamedAndDeleted under staged changes: they go to the one, and stay here with the other.
func TestRepoIsRenamedAndDeleted(t *testing.T) {
	ctx := t.Context()
	r := newCommitRig(t, map[string]string{"a": "a"}, nil)
	r.write(t, "f", "1")
	must(t, r.client.MoveRepo(ctx, r.repo, "alice/renamed"))
	r.flush("")
	r.wantHub(map[string]string{"a": "a", "f": "1"}) // through the old name
	r.wantClean()

	renamed := hub.Repo{Type: hub.Model, ID: "alice/renamed"}
	must(t, r.client.DeleteRepo(ctx, renamed, false))
	r.write(t, "g", "2")
	if _, err := r.Flush(ctx, ""); !errors.Is(err, hub.ErrRepoNotFound) {
		t.Errorf("flush into a deleted repository: %v", err)
	}
	if s := r.Status(); s.Staged != 1 || s.Error == "" {
		t.Errorf("%+v", s)
	}
	if got := r.read(t, "g"); got != "2" {
		t.Errorf("it holds %q", got)
	}
}

// TestDeletedBranch commits to a branch that somebody has deleted, and made again.
func TestDeletedBranch(t *testing.T) {
	ctx := t.Context()
	r := newCommitRig(t, map[string]string{"a": "a"}, nil)
	must(t, r.client.CreateBranch(ctx, r.repo, "dev", nil))
	must(t, r.Close())
	tree, err := r.openTree(ctx, "dev", "")
	must(t, err)
	r.opts.Tree = tree
	r.Branch, err = Open(ctx, Key{r.client.Endpoint(), "alice", r.repo, "dev"}, r.opts)
	must(t, err)
	r.write(t, "f", "1")
	must(t, r.client.DeleteBranch(ctx, r.repo, "dev"))
	if _, err := r.Flush(ctx, ""); !errors.Is(err, hub.ErrRevisionNotFound) {
		t.Errorf("flush to a deleted branch: %v", err)
	}
	if s := r.Status(); s.Staged != 1 || s.Error == "" {
		t.Errorf("%+v", s)
	}
	must(t, r.client.CreateBranch(ctx, r.repo, "dev", nil))
	r.flush("")
	if got := r.onHub("dev")["f"]; got != "1" {
		t.Errorf("the branch has %q", got)
	}
}

// TestStagedContentThatCannotBeRead loses the data file of one of two files.
func TestStagedContentThatCannotBeRead(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "a"}, nil)
	r.write(t, "bad", "1")
	r.write(t, "good", "2")
	l := r.root.find("bad").ino.layers[0]
	must(t, os.Remove(r.disk0().path(dataName(l.id))))
	res := r.flush("")
	if len(res.Commits) != 1 || len(res.Failed) != 1 || !strings.Contains(res.Failed[0].Message, "staged content") {
		t.Errorf("%+v", res)
	}
	r.wantHub(map[string]string{"a": "a", "good": "2"})
}
