package fs

import (
	"cmp"
	"os"
	"slices"
	"time"

	"github.com/hubfs/hubfs/writeback"
)

// Status is what a mount tells about itself.
type Status struct {
	Dir      string `json:"dir"`
	PID      int    `json:"pid"`    // of the daemon that serves it
	Source   string `json:"source"` // as ParseSource takes it; "" for the whole Hub
	Endpoint string `json:"endpoint"`
	User     string `json:"user"` // "" if anonymous or not known
	ReadOnly bool   `json:"read_only"`
	Offline  bool   `json:"offline"`
	// Passthrough tells that whole blobs are read past the daemon.
	Passthrough bool           `json:"passthrough"`
	Branches    []BranchStatus `json:"branches"`
	// Errors are the last refusals of repositories that can't be shown, gated ones
	// for example, in the Hub's own words.
	Errors []AccessError `json:"errors,omitempty"`
}

// BranchStatus is one tree of a mount: a repository at a revision.
type BranchStatus struct {
	Repo     string    `json:"repo"` // "ns/name"
	Type     string    `json:"type"` // "model", "dataset", "space"
	Revision string    `json:"revision"`
	Head     string    `json:"head"`   // the commit that is shown; "" before the first look
	Pinned   bool      `json:"pinned"` // doesn't move by itself: a commit, or --pin
	PolledAt time.Time `json:"polled_at,omitzero"`
	Error    string    `json:"error,omitempty"` // why the last look at the Hub failed

	// Writable says that the tree takes changes; else ReadOnlyReason says why not,
	// where that isn't obvious.
	Writable       bool   `json:"writable"`
	ReadOnlyReason string `json:"read_only_reason,omitempty"`
	// What isn't committed: numbers of paths, see writeback.State.
	Staged     int               `json:"staged"`
	Committing int               `json:"committing"`
	Failed     int               `json:"failed"`
	Conflict   int               `json:"conflict"`
	Local      int               `json:"local"`
	Ignored    int               `json:"ignored"`
	Bytes      int64             `json:"bytes"`                // of staged files
	Oldest     time.Time         `json:"oldest,omitzero"`      // of the staged changes
	NextCommit time.Time         `json:"next_commit,omitzero"` // by the timer
	LastCommit *writeback.Commit `json:"last_commit,omitempty"`
	WriteError string            `json:"write_error,omitempty"` // why the last commit failed
	RetryAt    time.Time         `json:"retry_at,omitzero"`
}

// AccessError is a path that the Hub refused to show.
type AccessError struct {
	Path  string    `json:"path"` // in the mount
	Error string    `json:"error"`
	At    time.Time `json:"at"`
}

// Status tells what is mounted and how it is. It asks nobody.
func (m *Mount) Status() Status {
	s := Status{
		Dir: m.dir, PID: os.Getpid(), Source: m.opts.Source.String(), Endpoint: m.hub.Endpoint(),
		User: cmp.Or(m.opts.User, m.catalog.userName()), ReadOnly: m.opts.Write == nil, Offline: m.opts.Offline, Passthrough: m.canPassthrough(),
		Branches: []BranchStatus{}, Errors: m.reports.refusals(),
	}
	for _, r := range m.catalog.allRepos() {
		for _, t := range r.allTrees() {
			if b, ok := t.branchStatus(); ok {
				s.Branches = append(s.Branches, b)
			}
		}
	}
	slices.SortFunc(s.Branches, func(a, b BranchStatus) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Revision, b.Revision))
	})
	return s
}

// branchStatus tells about a tree that somebody has looked at.
func (t *tree) branchStatus() (BranchStatus, bool) {
	var changes writeback.Status
	branch := t.branch.Load()
	if branch != nil {
		changes = branch.Status()
	}
	kind := t.readOnlyKind()
	t.mu.Lock()
	defer t.mu.Unlock()
	b := BranchStatus{
		Repo: t.repo.id.ID, Type: string(t.repo.id.Type), Revision: t.status.revision,
		Pinned: t.fixed || t.repo.m.opts.Pin, PolledAt: t.status.polledAt,
	}
	if s := t.snap.Load(); s != nil {
		b.Head = s.commit
	}
	if t.status.err != nil {
		b.Error = t.status.err.Error()
	}
	b.ReadOnlyReason = cmp.Or(kind, t.writes.reason)
	b.Writable = b.ReadOnlyReason == ""
	if branch != nil {
		b.Writable, b.ReadOnlyReason, b.Revision = true, "", changes.Revision
		b.Staged, b.Committing, b.Failed, b.Conflict = changes.Staged, changes.Committing, changes.Failed, changes.Conflict
		b.Local, b.Ignored, b.Bytes, b.Oldest = changes.Local, changes.Ignored, changes.Bytes, changes.Oldest
		b.LastCommit, b.WriteError, b.RetryAt = changes.LastCommit, changes.Error, changes.RetryAt
		b.NextCommit = changes.NextCommit
	}
	if t.repo.m.opts.Write == nil {
		b.ReadOnlyReason = "" // the whole mount is
	}
	return b, b.Head != "" || b.Error != ""
}
