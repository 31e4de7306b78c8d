package control

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/writeback"
)

func change(path string, state writeback.State) fs.Change {
	return fs.Change{Repo: "me/m", Change: writeback.Change{Path: path, State: state, Message: "the Hub's words"}}
}

func TestWritingCalls(t *testing.T) {
	c, m := start(t, nothing(t))
	m.changed = []fs.Change{change("a/b", writeback.Staged), change("a/bad", writeback.Failed), change("c", writeback.Staged)}

	changes, err := c.Changes(t.Context(), "a")
	if err != nil || len(changes) != 2 || changes[0].Path != "a/b" || changes[0].State != writeback.Staged {
		t.Errorf("changes: %+v, %v", changes, err)
	}
	st, err := c.Status(t.Context())
	if err != nil || len(st.Mounts[0].Changes) != 1 || st.Mounts[0].Changes[0].Message != "the Hub's words" ||
		st.Mounts[0].Every != 60 || len(st.Mounts[0].Uploads) != 1 {
		t.Errorf("status: %+v, %v", st, err)
	}
	res, err := c.Flush(t.Context(), "./a/", time.Minute)
	if err != nil || len(res.Commits) != 1 || len(res.Failed) != 1 || res.Failed[0].Path != "a/bad" {
		t.Errorf("flush: %+v, %v", res, err)
	}
	// Commits that were made before the Hub went away are told with the error.
	m.flushErr = hub.ErrUnavailable
	if res, err = c.Flush(t.Context(), ".", 0); !errors.Is(err, hub.ErrUnavailable) || len(res.Commits) != 1 {
		t.Errorf("flush that broke off: %+v, %v", res, err)
	}
	if res, err = c.Flush(t.Context(), "../c", 0); !errors.Is(err, hub.ErrUnavailable) || len(res.Commits) != 0 {
		t.Errorf("flush that failed: %+v, %v", res, err)
	}
	if !slices.Equal(m.flushed, []string{"a", "", "c"}) {
		t.Errorf("flushed %q", m.flushed)
	}
	var e *Error
	if _, err := c.Flush(t.Context(), "", -time.Second); !errors.As(err, &e) || e.Kind != KindBadParameter || e.Status != http.StatusBadRequest {
		t.Errorf("negative timeout: %v", err)
	}
	if err := c.WaitStaged(t.Context(), "a/"); err != nil {
		t.Error(err)
	}
	if got := <-m.waited; got != [2]string{"a", ""} {
		t.Errorf("waited for %q", got)
	}
	gone, err := c.Discard(t.Context(), "")
	if err != nil || len(gone) != 1 {
		t.Errorf("discard: %+v, %v", gone, err)
	}
	if gone, err = c.Discard(t.Context(), ""); err != nil || gone == nil || len(gone) != 0 {
		t.Errorf("discard of nothing: %#v, %v", gone, err)
	}
}

func TestUnmountPushes(t *testing.T) {
	c, m := start(t, nothing(t))
	m.changed = []fs.Change{change("a", writeback.Staged), change("bad", writeback.Failed), change("x.swp", writeback.Local)}
	m.busy = []fs.Process{{PID: 7}}
	if _, err := c.Unmount(t.Context(), nil); err == nil {
		t.Fatal("a busy mount was unmounted")
	}
	m.busy = nil
	m.changed = append(m.changed, change("b", writeback.Staged))
	timeout := 10 * time.Second
	res, err := c.Unmount(t.Context(), &timeout)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Commits) != 1 || len(res.Staged) != 1 || res.Staged[0].Path != "bad" || len(res.Kept) != 1 || res.Kept[0].Path != "x.swp" {
		t.Errorf("got %+v", res)
	}
	if m.pushes != 1 {
		t.Errorf("%d pushes after unmounting", m.pushes)
	}
}
