package hub

import (
	"maps"
	"slices"
	"sync"
)

// A tracker adds up the progress of one call. A nil one does nothing.
type tracker struct {
	mu     sync.Mutex // guards the rest; held over report
	report func(Progress)
	files  map[string]*fileProgress
	total  Progress // the sums
}

type fileProgress struct {
	done, size int64
	finished   bool
}

func newTracker(report func(Progress)) *tracker {
	if report == nil {
		return nil
	}
	return &tracker{report: report, files: make(map[string]*fileProgress)}
}

// expect adds a file that has to be transferred.
func (t *tracker) expect(path string, size int64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.files[path] != nil {
		return
	}
	t.files[path] = &fileProgress{size: size}
	t.total.Total += size
	t.tell(path)
}

// move adds n bytes to what was transferred of a file; less than 0 takes back
// what has to be sent again.
func (t *tracker) move(path string, n int64) {
	if t == nil || n == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.files[path]
	if f == nil || f.finished {
		return
	}
	n = min(max(n, -f.done), f.size-f.done)
	f.done += n
	t.total.TotalDone += n
	t.tell(path)
}

// restart takes back all of a file.
func (t *tracker) restart(path string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	f := t.files[path]
	t.mu.Unlock()
	if f != nil {
		t.move(path, -f.size)
	}
}

// fileDone says that a file is through.
func (t *tracker) fileDone(path string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.files[path]
	if f == nil || f.finished {
		return
	}
	t.total.TotalDone += f.size - f.done
	f.done, f.finished = f.size, true
	t.total.Files++
	t.tell(path)
}

// tell requires t.mu.
func (t *tracker) tell(path string) {
	p := t.total
	p.Path, p.Done, p.Size = path, t.files[path].done, t.files[path].size
	t.report(p)
}

// allDone says that every file is through.
func (t *tracker) allDone() {
	if t == nil {
		return
	}
	t.mu.Lock()
	paths := slices.Sorted(maps.Keys(t.files))
	t.mu.Unlock()
	for _, path := range paths {
		t.fileDone(path)
	}
}
