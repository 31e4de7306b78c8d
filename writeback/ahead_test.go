package writeback

import (
	"testing"
	"time"
)

// uploadsAhead lets files of a few bytes count as large for a test.
func uploadsAhead(t *testing.T) {
	t.Helper()
	size, after := aheadSize, aheadAfter
	t.Cleanup(func() { aheadSize, aheadAfter = size, after })
	aheadSize, aheadAfter = 1000, 50*time.Millisecond
}

func TestLargeFilesAreUploadedAhead(t *testing.T) {
	uploadsAhead(t)
	r := newCommitRig(t, map[string]string{"a": "a"}, nil)
	r.write(t, "same.bin", weights)
	r.flush("")
	r.wantClean()
	before, _ := r.history()
	r.write(t, "w.bin", weights+"1")
	r.write(t, "x.bin", weights+"2")
	r.write(t, "same.bin", weights) // the same again
	r.write(t, "t.txt", weights)    // which isn't stored apart
	known := func(path string) bool {
		r.Branch.mu.RLock()
		defer r.Branch.mu.RUnlock()
		n := r.root.find(path)
		if n == nil || n.ino == nil {
			return true
		}
		n.ino.mu.RLock()
		defer n.ino.mu.RUnlock()
		return n.ino.aheadVer == n.ino.ver
	}
	for _, path := range []string{"w.bin", "x.bin", "same.bin", "t.txt"} {
		waitFor(t, func() bool { return known(path) })
	}
	if total, _ := r.history(); total != before {
		t.Errorf("%d commits were made", total-before)
	}
	waitFor(t, func() bool { return len(r.Changes()) == 3 }) // same.bin is clean
	r.server.Hub.ResetCounts()
	if res := r.flush(""); len(res.Commits) != 1 || res.Commits[0].Changes != 3 {
		t.Errorf("%+v", res)
	}
	if c := r.server.Hub.Counts(); c.Content > 0 {
		t.Errorf("%d transfers at the commit", c.Content)
	}
	r.wantHub(map[string]string{"a": "a", "same.bin": weights, "w.bin": weights + "1", "x.bin": weights + "2", "t.txt": weights})
	r.wantClean()
}

// TestChangedWhileUploadedAhead commits what was written after the upload had begun.
func TestChangedWhileUploadedAhead(t *testing.T) {
	uploadsAhead(t)
	r := newCommitRig(t, map[string]string{"a": "a"}, nil)
	for i := range 5 {
		content := weights + string(rune('0'+i))
		r.write(t, "w.bin", content)
		time.Sleep(time.Duration(i) * 20 * time.Millisecond) // somewhere in it
		r.write(t, "w.bin", content+"!")
		r.flush("")
		r.wantHub(map[string]string{"a": "a", "w.bin": content + "!"})
	}
	r.write(t, "w.bin", weights+"last")
	r.reopen()
	r.flush("")
	r.wantHub(map[string]string{"a": "a", "w.bin": weights + "last"})
	r.wantClean()
}
