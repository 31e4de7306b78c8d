package hub

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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
	if err := repo.Validate(); err != nil {
		return nil, err
	}
	r := &request{method: http.MethodGet, repo: repo, path: below("refs")}
	if includePRs {
		r.query = url.Values{"include_prs": {"1"}}
	}
	var refs Refs
	if err := c.doJSON(ctx, r, &refs); err != nil {
		return nil, err
	}
	if refs.Branches == nil || refs.Tags == nil {
		return nil, c.protocolError(r, "the references lack branches or tags")
	}
	for _, list := range []*[]Ref{&refs.Branches, &refs.Converts, &refs.Tags, &refs.PullRequests} {
		*list = slices.DeleteFunc(*list, func(ref Ref) bool {
			err := firstError(validRevision(ref.Name), validRevision(ref.Ref))
			if err == nil && !isOID(ref.TargetCommit) {
				err = &ValidationError{What: "commit of " + strconv.Quote(ref.Ref), Value: ref.TargetCommit, Reason: "isn't 40 hexadecimal digits"}
			}
			if err != nil {
				c.logger.WarnContext(ctx, "left out of the references", "repo", repo.String(), "error", err)
			}
			return err != nil
		})
	}
	return &refs, nil
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
	if opts == nil {
		opts = &CommitsOptions{}
	}
	return func(yield func(Commit, error) bool) {
		if err := firstError(repo.Validate(), validRevision(revision)); err != nil {
			yield(Commit{}, err)
			return
		}
		r := &request{method: http.MethodGet, repo: repo, path: below("commits", revision), query: url.Values{}}
		if opts.Formatted {
			r.query.Set("expand[]", "formatted")
		}
		if opts.Limit > 0 {
			r.query.Set("limit", strconv.Itoa(min(opts.Limit, maxCommitsPage)))
		}
		n := 0
		for wire, err := range pages[wireCommit](ctx, c, r) {
			if err == nil && !isOID(wire.ID) {
				err = c.protocolError(r, "the commit %q isn't 40 hexadecimal digits", wire.ID)
			}
			if err != nil {
				yield(Commit{}, err)
				return
			}
			if n++; !yield(wire.commit(), nil) || n == opts.Limit {
				return
			}
		}
	}
}

// maxCommitsPage is the most that the Hub gives in one page.
const maxCommitsPage = 1000

// wireCommit is a Commit as the Hub writes it.
type wireCommit struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	Message   string    `json:"message"`
	Date      time.Time `json:"date"`
	Formatted struct {
		Title   string `json:"title"`
		Message string `json:"message"`
	} `json:"formatted"`
	Authors []struct {
		User string `json:"user"`
	} `json:"authors"`
}

func (w *wireCommit) commit() Commit {
	c := Commit{
		ID: w.ID, Title: w.Title, Message: w.Message, Date: w.Date, Authors: []string{},
		FormattedTitle: w.Formatted.Title, FormattedMessage: w.Formatted.Message,
	}
	for _, a := range w.Authors {
		c.Authors = append(c.Authors, a.User)
	}
	return c
}
