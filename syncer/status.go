package syncer

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// maxFailures bounds how many failed files a status lists; Failed counts them all.
const maxFailures = 100

// Status is what a Syncer does.
type Status struct {
	Folder        string       `json:"folder"`
	PID           int          `json:"pid"`
	Endpoint      string       `json:"endpoint"`
	Repo          string       `json:"repo"`
	Type          hub.RepoType `json:"type"`
	Revision      string       `json:"revision"`
	PathInRepo    string       `json:"path_in_repo"`
	Every         float64      `json:"every"` // seconds; 0 is on demand only
	Private       bool         `json:"private"`
	SquashHistory bool         `json:"squash_history"`

	Pushing    bool       `json:"pushing"`
	Files      int        `json:"files"`   // of the folder, of which the Hub has something
	Pending    int        `json:"pending"` // that differ, as of the last look at the folder
	Failed     int        `json:"failed"`
	Failures   []Failure  `json:"failures,omitempty"` // the first hundred
	LastCommit *Commit    `json:"last_commit"`
	NextAt     *time.Time `json:"next_at"`         // of the next automatic push
	Error      string     `json:"error,omitempty"` // why the last push ended early

	Uploaded int64 `json:"uploaded,omitempty"` // bytes of the push that goes on
	Total    int64 `json:"total,omitempty"`
}

// RepoID is the repository that is pushed to.
func (st *Status) RepoID() hub.Repo { return hub.Repo{Type: st.Type, ID: st.Repo} }

// Status tells how it goes.
func (s *Syncer) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Failures = slices.Clone(st.Failures[:min(len(st.Failures), maxFailures)])
	return st
}

// Failed lists all files that the Hub has refused, or that can't be read, by their paths.
func (s *Syncer) Failed() []Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.status.Failures)
}

func (s *Syncer) firstStatus() Status {
	return Status{
		Folder: s.o.Folder, PID: os.Getpid(), Endpoint: s.o.Endpoint, Repo: s.o.Repo.ID, Type: s.o.Repo.Type, Revision: s.o.Revision,
		PathInRepo: s.o.PathInRepo, Every: s.o.Every.Seconds(), Private: s.o.Private, SquashHistory: s.o.SquashHistory,
	}
}

// noteState tells what the records say.
func (s *Syncer) noteState() {
	files := 0
	var failures []Failure
	for path, rec := range s.store.files {
		if rec.SHA256 != "" && !rec.Ignored {
			files++
		}
		if rec.Failure != "" {
			failures = append(failures, Failure{path, rec.Failure, time.Unix(rec.FailedAt, 0)})
		}
	}
	slices.SortFunc(failures, func(a, b Failure) int { return strings.Compare(a.Path, b.Path) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Files, s.status.Failures, s.status.Failed, s.status.LastCommit = files, failures, len(failures), s.store.meta.Last
}

// notePending tells what the folder has for this push, and that it is under way.
func (s *Syncer) notePending(found []candidate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Pending, s.status.Pushing = len(found), true
}

func (s *Syncer) noteProgress(p hub.Progress) { s.noteLoad(p.TotalDone, p.Total) }

func (s *Syncer) noteLoad(done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Uploaded, s.status.Total = done, total
}

// note tells how a push ended, and hands that on.
func (s *Syncer) note(made []Commit, err error) ([]Commit, error) {
	if err != nil && !errors.Is(err, errSlot) {
		s.log.Warn("not pushed", "repo", s.o.Repo, "err", err)
	}
	s.noteState()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Pushing, s.status.Error = false, ""
	switch {
	case err == nil:
		s.status.Pending = s.later
	case errors.Is(err, context.Canceled):
		s.status.Error = "the time for the last push was over"
	default:
		s.status.Error = err.Error()
	}
	return made, err
}

func (s *Syncer) noteNext(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.NextAt = &at
}
