package fs

import "time"

// Status is what a mount tells about itself.
type Status struct {
	Dir      string         `json:"dir"`
	PID      int            `json:"pid"`    // of the daemon that serves it
	Source   string         `json:"source"` // as ParseSource takes it; "" for the whole Hub
	Endpoint string         `json:"endpoint"`
	User     string         `json:"user"` // "" if anonymous or not known
	ReadOnly bool           `json:"read_only"`
	Offline  bool           `json:"offline"`
	Branches []BranchStatus `json:"branches"`
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
	Staged   int       `json:"staged"`
	Failed   int       `json:"failed"`
}

// AccessError is a path that the Hub refused to show.
type AccessError struct {
	Path  string    `json:"path"` // in the mount
	Error string    `json:"error"`
	At    time.Time `json:"at"`
}
