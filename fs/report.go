package fs

import (
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// reports keeps what users should know of requests that failed: the kernel takes
// no more than a number.
type reports struct {
	mu     sync.Mutex           // guards what follows
	logged map[string]time.Time // when something was last logged, by path
	since  time.Time            // the start of the time that lines counts
	lines  int
	denied []AccessError // the last ones, each path once
}

const (
	logEvery  = 30 * time.Second // about one path
	maxLogged = 1000             // paths
	maxLines  = 50               // in logEvery
	maxDenied = 20
)

// fail turns the error of a request about a path in a tree into an errno, and
// reports it where it's more than a name that isn't there.
func (m *Mount) fail(op string, t *tree, path string, err error) syscall.Errno {
	if isDenied(err) { // the tree as a whole: no need to list each of its paths
		path = ""
	}
	return m.failAt(op, joinPath(t.String(), path), err)
}

// failAt is fail for a path of the mount.
func (m *Mount) failAt(op, path string, err error) syscall.Errno {
	no := errno(err)
	if isAnswer(no) || no == syscall.EINTR || m.kernel.base.Err() != nil {
		return no
	}
	path = strings.TrimSuffix(path, "/")
	if m.reports.note(path, err, no == syscall.EACCES) {
		m.log.Warn("request failed", "op", op, "path", path, "errno", no.Error(), "error", err)
	}
	return no
}

// isAnswer says whether a program is answered what is so: nothing has failed.
func isAnswer(no syscall.Errno) bool {
	switch no {
	case syscall.ENOENT, syscall.EEXIST, syscall.ENOTDIR, syscall.EISDIR, syscall.ENOTEMPTY, syscall.EINVAL, syscall.ENAMETOOLONG, syscall.ESTALE, syscall.EBADF,
		syscall.EPERM, syscall.EROFS, syscall.EILSEQ, syscall.EFBIG:
		return true
	}
	return false
}

// note says whether to log.
func (r *reports) note(path string, err error, denied bool) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if denied {
		r.denied = slices.DeleteFunc(r.denied, func(e AccessError) bool { return e.Path == path })
		if len(r.denied) == maxDenied {
			r.denied = slices.Delete(r.denied, 0, 1)
		}
		r.denied = append(r.denied, AccessError{Path: path, Error: err.Error(), At: now})
	}
	if last, ok := r.logged[path]; ok && now.Sub(last) < logEvery {
		return false
	}
	if now.Sub(r.since) > logEvery {
		r.since, r.lines = now, 0
	}
	if r.lines++; r.lines > maxLines {
		return false
	}
	if r.logged == nil || len(r.logged) >= maxLogged {
		r.logged = make(map[string]time.Time)
	}
	r.logged[path] = now
	return true
}

// forget drops refusals that may not be true any more.
func (r *reports) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.denied = nil
}

func (r *reports) refusals() []AccessError {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.denied)
}
