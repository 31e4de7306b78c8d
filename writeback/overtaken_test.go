package writeback

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"testing"
	"time"

	"github.com/hubfs/hubfs/blobcache"
)

// moved shows the branch as the Hub has it now, as who polls does.
func (r *commitRig) moved() {
	r.t.Helper()
	tree, err := r.openTree(r.t.Context(), "main", "")
	must(r.t, err)
	must(r.t, r.SetTree(r.t.Context(), tree, time.Now()))
}

// TestOthersChangeWhatIsOpen writes to a file that somebody else has changed since it was opened. The writer
// stays on what was opened, so both are kept.
func TestOthersChangeWhatIsOpen(t *testing.T) {
	for _, flag := range []int{0, os.O_TRUNC} {
		r := newCommitRig(t, map[string]string{"f": "first"}, nil)
		f := r.openFile(t, "f", os.O_RDWR)
		r.others(addOp("f", "by others"))
		r.moved()
		wantView(t, r.rig, withAttributes(view(map[string]string{"f": "first"})))
		if flag != 0 {
			must(t, f.Truncate(0))
		}
		_, err := f.WriteAt([]byte("OURS!"), 0)
		must(t, err)
		must(t, f.Release())
		r.flush("")
		r.wantHub(map[string]string{"f": "by others", conflictOf(t, "f", "OURS!"): "OURS!"})
		r.wantClean()
	}
}

// TestOthersChangeWhatStaysOpen is the same with a file that was committed, and is still open.
func TestOthersChangeWhatStaysOpen(t *testing.T) {
	r := newCommitRig(t, map[string]string{"f": "first"}, nil)
	f := r.openFile(t, "f", os.O_RDWR)
	_, err := f.WriteAt([]byte("OURS1"), 0)
	must(t, err)
	must(t, f.Flush())
	r.flush("")
	r.settled()
	r.others(addOp("f", "by others"))
	r.moved()
	_, err = f.WriteAt([]byte("OURS2"), 0)
	must(t, err)
	must(t, f.Release())
	r.flush("")
	r.wantHub(map[string]string{"f": "by others", conflictOf(t, "f", "OURS2"): "OURS2"})
	r.wantClean()
}

// brokenTree is a tree whose folders can't be listed for now.
type brokenTree struct {
	Tree
	down bool
}

func (b *brokenTree) List(ctx context.Context, dir string) (*blobcache.Listing, error) {
	if b.down {
		return nil, errors.New("the network is down")
	}
	return b.Tree.List(ctx, dir)
}

// TestOthersChangeWhileAway takes over changes whose files others have changed, at a time when the Hub can't tell.
func TestOthersChangeWhileAway(t *testing.T) {
	r := newCommitRig(t, map[string]string{"f": "first"}, nil)
	r.write(t, "f", "ours")
	must(t, r.Close())
	r.others(addOp("f", "by others"))
	tree, err := r.openTree(t.Context(), "main", "")
	must(t, err)
	broken := &brokenTree{tree, true}
	r.opts.Tree = broken
	r.Branch, err = Open(t.Context(), Key{r.client.Endpoint(), "alice", r.repo, "main"}, r.opts)
	must(t, err)
	broken.down = false
	r.flush("")
	r.wantHub(map[string]string{"f": "by others", conflictOf(t, "f", "ours"): "ours"})
	r.wantClean()
}

// TestRemovedWhileCommitted removes a file that is open and on its way to the Hub; the journal doesn't come to
// know it again.
func TestRemovedWhileCommitted(t *testing.T) {
	r := newCommitRig(t, nil, nil)
	f := r.openFile(t, "f", os.O_RDWR|os.O_CREATE)
	_, err := f.WriteAt([]byte("content"), 0)
	must(t, err)
	must(t, f.Flush())
	x, err := r.take(t.Context(), selection{explicit: true}, 0)
	must(t, err)
	must(t, r.upload(t.Context(), x))
	must(t, r.Unlink(t.Context(), "f"))
	if _, err := r.send(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	r.putBack(x)
	must(t, f.Release())
	r.crash()
	if rec := r.Recovered(); rec.Damaged > 0 || len(rec.Aside) > 0 || len(rec.Torn) > 0 {
		t.Errorf("recovered %+v", rec)
	}
	r.flush("")
	r.wantHub(nil)
	r.wantClean()
}

// TestOthersChangeWhatIsRenamed renames a file that is open for writing, and was changed by others: both are
// there. Who only closes it, or removes it, changes nothing of that.
func TestOthersChangeWhatIsRenamed(t *testing.T) {
	for what, want := range map[string]map[string]string{
		"rename": {"f": "by others", "g": "first"}, "close": {"f": "by others"}, "unlink": {},
	} {
		r := newCommitRig(t, map[string]string{"f": "first"}, nil)
		f := r.openFile(t, "f", os.O_RDWR)
		also := r.openFile(t, "f", os.O_RDONLY)
		r.others(addOp("f", "by others"))
		r.moved()
		switch what {
		case "rename":
			must(t, r.Rename(t.Context(), "f", "g", false))
		case "unlink":
			must(t, r.Unlink(t.Context(), "f"))
		}
		must(t, f.Release())
		if what == "close" {
			if got := r.read(t, "f"); got != "by others" {
				t.Errorf("who opens it anew reads %q", got)
			}
		}
		if got, err := readAll(also); err != nil || got != "first" {
			t.Errorf("%s: who has it open reads %q, %v", what, got, err)
		}
		must(t, also.Release())
		r.flush("")
		r.wantHub(want)
		r.wantClean()
		wantView(t, r.rig, withAttributes(view(want)))
	}
}

// TestOthersWorkInRemovedFolder removes or renames a folder in which others change or add a file: that is there, and
// nothing else of the folder.
func TestOthersWorkInRemovedFolder(t *testing.T) {
	for i := range 8 {
		renamed, polled, theirs := i&1 == 0, i&2 == 0, "d/e/f"
		if i&4 == 0 {
			theirs = "d/e/new"
		}
		t.Run(fmt.Sprintf("%s renamed %v polled %v", path.Base(theirs), renamed, polled), func(t *testing.T) {
			r := newCommitRig(t, map[string]string{"d/e/f": "first", "d/e/g": "g", "d/h": "h"}, nil)
			want := map[string]string{theirs: "by others"}
			if renamed {
				must(t, r.Rename(t.Context(), "d", "moved", false))
				want["moved/e/f"], want["moved/e/g"], want["moved/h"] = "first", "g", "h"
			} else {
				for _, path := range []string{"d/e/f", "d/e/g", "d/h"} {
					must(t, r.Unlink(t.Context(), path))
				}
				must(t, r.Rmdir(t.Context(), "d/e"))
				must(t, r.Rmdir(t.Context(), "d"))
			}
			r.others(addOp(theirs, "by others"))
			if polled {
				r.moved()
			}
			r.flush("")
			r.wantHub(want)
			r.wantClean()
			wantView(t, r.rig, withAttributes(view(want)))
		})
	}
}

// TestOthersMakeWhatIsMoved renames a folder with a new file in it that others have made, too.
func TestOthersMakeWhatIsMoved(t *testing.T) {
	r := newCommitRig(t, map[string]string{"d/e/f": "first"}, nil)
	r.write(t, "d/e/new", "ours")
	r.others(addOp("d/e/new", "by others"))
	r.moved()
	must(t, r.Rename(t.Context(), "d", "moved", false))
	r.flush("")
	want := map[string]string{"d/e/new": "by others", "moved/e/f": "first", "moved/e/new": "ours"}
	r.wantHub(want)
	r.wantClean()
	wantView(t, r.rig, withAttributes(view(want)))
}

// TestOthersWorkInReplacedFolder puts a file in the place of a folder in which others are at work: the folder stays,
// with what is theirs, and the file takes a second name.
func TestOthersWorkInReplacedFolder(t *testing.T) {
	for what, theirs := range map[string]string{"edit": "d/x", "add": "d/new", "add below": "d/e/new"} {
		for _, polled := range []bool{false, true} {
			r := newCommitRig(t, map[string]string{"d/x": "x", "d/e/y": "y"}, nil)
			must(t, r.Unlink(t.Context(), "d/x"))
			must(t, r.Unlink(t.Context(), "d/e/y"))
			must(t, r.Rmdir(t.Context(), "d/e"))
			must(t, r.Rmdir(t.Context(), "d"))
			r.write(t, "d", "a file")
			r.others(addOp(theirs, "by others"))
			if polled {
				r.moved()
			}
			if res := r.flush(""); len(res.Failed) > 0 {
				t.Errorf("%s: %+v", what, res)
			}
			want := map[string]string{theirs: "by others", conflictOf(t, "d", "a file"): "a file"}
			r.wantHub(want)
			r.wantClean()
			wantView(t, r.rig, withAttributes(view(want)))
		}
	}
}
