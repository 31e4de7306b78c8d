package hub

import (
	"context"
	"iter"
	"time"
)

// Refs are the branches, tags and other references of a repository.
type Refs struct {
	Branches     []Ref `json:"branches"`
	Converts     []Ref `json:"converts"` // made by the Hub: refs/convert/parquet
	Tags         []Ref `json:"tags"`
	PullRequests []Ref `json:"pullRequests,omitzero"` // nil unless asked for
}

// Ref is one reference and the commit it points at.
type Ref struct {
	Name         string `json:"name"` // "main"
	Ref          string `json:"ref"`  // "refs/heads/main"
	TargetCommit string `json:"targetCommit"`
}

// Refs lists the references of a repository.
//
//	GET /api/{type}s/{id}/refs
func (c *Client) Refs(ctx context.Context, repo Repo, includePRs bool) (*Refs, error) {
	return nil, errUnfinished
}

// Commit is a commit of a repository's history.
type Commit struct {
	ID               string
	Title            string // first line
	Message          string // the rest, may be empty
	Date             time.Time
	Authors          []string // user names
	FormattedTitle   string   // HTML, only with Formatted
	FormattedMessage string
}

// CommitsOptions refine Commits.
type CommitsOptions struct {
	Formatted bool
	Limit     int // at most so many; 0 is all
}

// Commits lists the history of a revision, newest first. Iteration ends at the
// first error.
//
//	GET /api/{type}s/{id}/commits/{revision}
func (c *Client) Commits(ctx context.Context, repo Repo, revision string, opts *CommitsOptions) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) { yield(Commit{}, errUnfinished) }
}
