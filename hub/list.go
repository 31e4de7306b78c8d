package hub

import (
	"context"
	"iter"
)

// ListReposOptions choose, sort and extend what ListRepos gives. The zero value
// is everything that the token may see.
type ListReposOptions struct {
	Author string
	Search string   // part of the id
	Filter []string // tags, all of which must be there
	Gated  *bool

	Sort       string // "lastModified", "createdAt", "downloads", "likes", "trendingScore"
	Descending bool
	Limit      int // at most so many; 0 is all

	Full     bool     // with the attributes that only cost more
	CardData bool     // with CardData (models)
	Config   bool     // with Config (models)
	Expand   []string // only these properties; excludes the three above

	// Models.
	Inference   string // "warm", "cold", "frozen"
	PipelineTag string
	// Spaces: those that use these.
	Models, Datasets []string
	Linked           bool // with Models and Datasets of each Space
}

// ListRepos lists the repositories of a type. Iteration ends at the first error.
//
//	GET /api/{type}s
func (c *Client) ListRepos(ctx context.Context, t RepoType, opts *ListReposOptions) iter.Seq2[RepoInfo, error] {
	return func(yield func(RepoInfo, error) bool) { yield(RepoInfo{}, errUnfinished) }
}
