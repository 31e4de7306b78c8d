package control

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"path"
	"sync"
	"time"

	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/writeback"
)

// Writing is what a server has to know of a mount that takes changes.
type Writing struct {
	Every       time.Duration // between automatic commits; 0 is none
	StopTimeout time.Duration // for how long what is staged is pushed at the end
}

// maxTroubled bounds how many changes status tells about.
const maxTroubled = 100

// stopping is what Server.Finish does once, for whoever unmounts.
type stopping struct {
	once   sync.Once
	report PushReport

	mu       sync.Mutex
	deadline time.Time // of the push, where an unmount call has set it
}

func (s *Server) flush(w http.ResponseWriter, r *http.Request) {
	var req PathRequest
	if err := readBody(w, r, &req); err != nil {
		s.fail(w, err)
		return
	}
	ctx, cancel, err := withSeconds(r.Context(), req.Timeout)
	if err != nil {
		s.fail(w, err)
		return
	}
	defer cancel()
	pushed, err := s.opts.Mount.Flush(ctx, inMount(req.Path))
	if err != nil && len(pushed.Commits) == 0 {
		s.fail(w, err)
		return
	}
	res := FlushResult{Error: AsError(err)}
	res.Commits, res.Failed = notNil(pushed.Commits), notNil(pushed.Failed)
	s.answer(w, res)
}

// withSeconds bounds a context; 0 doesn't.
func withSeconds(ctx context.Context, seconds float64) (context.Context, context.CancelFunc, error) {
	switch {
	case seconds < 0 || seconds > math.MaxInt32:
		return nil, nil, &Error{Status: http.StatusBadRequest, Kind: KindBadParameter, Parameter: "timeout",
			Message: fmt.Sprintf("timeout is %v, and must be a number of seconds", seconds)}
	case seconds == 0:
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds*float64(time.Second)))
	return ctx, cancel, nil
}

func (s *Server) discard(w http.ResponseWriter, r *http.Request) {
	var req PathRequest
	if err := readBody(w, r, &req); err != nil {
		s.fail(w, err)
		return
	}
	gone, err := s.opts.Mount.Discard(r.Context(), inMount(req.Path))
	if err != nil {
		s.fail(w, err)
		return
	}
	s.answer(w, notNil(gone))
}

func (s *Server) changes(w http.ResponseWriter, r *http.Request) {
	s.answer(w, notNil(s.opts.Mount.Changes(inMount(r.URL.Query().Get("path")))))
}

// unmount pushes while the mount is still there, so that who gives up in the middle has lost nothing;
// then unmounts, and pushes what came in between.
func (s *Server) unmount(w http.ResponseWriter, r *http.Request) {
	var req UnmountRequest
	if err := readBody(w, r, &req); err != nil {
		s.fail(w, err)
		return
	}
	m, timeout := s.opts.Mount, s.stopTimeout()
	if req.Timeout != nil {
		if *req.Timeout < 0 || *req.Timeout > math.MaxInt32 {
			s.fail(w, &Error{Status: http.StatusBadRequest, Kind: KindBadParameter, Parameter: "timeout",
				Message: fmt.Sprintf("timeout is %v, and must be a number of seconds", *req.Timeout)})
			return
		}
		timeout = time.Duration(*req.Timeout * float64(time.Second))
	}
	deadline := time.Now().Add(timeout)
	var commits []fs.Commit
	if len(pending(m.Changes(""))) > 0 {
		// Who is busy is better said before minutes of pushing; the kernel has the last word below.
		if users, err := fs.Busy(m.Dir()); err == nil && len(users) > 0 {
			s.fail(w, &fs.BusyError{Dir: m.Dir(), Processes: users})
			return
		}
		ctx, cancel := context.WithDeadline(r.Context(), deadline)
		res, err := m.Flush(ctx, "")
		cancel()
		if commits = res.Commits; r.Context().Err() != nil {
			s.fail(w, r.Context().Err())
			return
		}
		if err != nil {
			s.log.Warn("not everything could be pushed before unmounting", "err", err)
		}
	}
	s.stopping.mu.Lock()
	s.stopping.deadline = deadline
	s.stopping.mu.Unlock()
	if err := m.Unmount(); err != nil {
		s.stopping.mu.Lock()
		s.stopping.deadline = time.Time{}
		s.stopping.mu.Unlock()
		s.fail(w, err)
		return
	}
	report := s.Finish(context.WithoutCancel(r.Context()))
	report.Commits = append(notNil(commits), report.Commits...)
	s.answer(w, UnmountResult{Dir: m.Dir(), PID: os.Getpid(), PushReport: report})
}

func (s *Server) stopTimeout() time.Duration {
	if s.opts.Writing == nil {
		return 0
	}
	return s.opts.Writing.StopTimeout
}

// Finish waits until the mount is gone, by whomever it is unmounted, and pushes what is staged until
// ctx ends, for as long as [Writing.StopTimeout] or the call that unmounts allows. It does so once;
// other calls wait for it and get the same report.
func (s *Server) Finish(ctx context.Context) PushReport {
	s.stopping.once.Do(func() { s.stopping.report = s.finish(ctx) })
	return s.stopping.report
}

func (s *Server) finish(ctx context.Context) PushReport {
	m := s.opts.Mount
	m.Wait()
	report := PushReport{Commits: []fs.Commit{}, Staged: []fs.Change{}, Kept: []fs.Change{}}
	if s.opts.Writing == nil {
		return report
	}
	s.stopping.mu.Lock()
	deadline := s.stopping.deadline
	s.stopping.mu.Unlock()
	if deadline.IsZero() {
		deadline = time.Now().Add(s.opts.Writing.StopTimeout)
	}
	if len(pending(m.Changes(""))) > 0 {
		ctx, cancel := context.WithDeadline(ctx, deadline)
		res, err := m.Push(ctx)
		cancel()
		report.Commits = notNil(res.Commits)
		if err != nil {
			report.Error = err.Error()
		}
	}
	changes := m.Changes("")
	report.Staged = notNil(pending(changes))
	for _, c := range changes {
		if c.State == writeback.Local || c.State == writeback.Ignored {
			report.Kept = append(report.Kept, c)
		}
	}
	return report
}

// pending are changes that are meant to be committed.
func pending(changes []fs.Change) []fs.Change {
	var out []fs.Change
	for _, c := range changes {
		switch c.State {
		case writeback.Staged, writeback.Committing, writeback.Failed, writeback.Conflict:
			out = append(out, c)
		case writeback.Clean, writeback.Local, writeback.Ignored:
		}
	}
	return out
}

// troubled are changes that somebody has to look after.
func troubled(changes []fs.Change) []fs.Change {
	var out []fs.Change
	for _, c := range changes {
		if (c.State == writeback.Failed || c.State == writeback.Conflict) && len(out) < maxTroubled {
			out = append(out, c)
		}
	}
	return out
}

// inMount is a path as package fs takes it: relative to the mount, "" for its root.
func inMount(p string) string {
	if p = path.Clean("/" + p)[1:]; p == "." {
		return ""
	}
	return p
}

// notNil makes an empty JSON array of nil.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
