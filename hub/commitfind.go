package hub

import (
	"context"
	"slices"
	"strings"
)

// markLine is the line of a commit message that carries a mark.
func markLine(mark string) string { return "Hubfs-Change: " + mark }

// FindCommit looks for the commit that carries a mark (see CommitInput), newest
// first, down to the commit since, which is not looked at; "" is the whole
// history. Revision "" is main. It gives nil if there is none.
//
//	GET /api/{type}s/{id}/commits/{revision}
func (c *Client) FindCommit(ctx context.Context, repo Repo, revision, since, mark string) (*Commit, error) {
	if revision == "" {
		revision = defaultRevision
	}
	if mark == "" {
		return nil, &ValidationError{What: "mark", Reason: "is empty"}
	}
	line := markLine(mark)
	for commit, err := range c.Commits(ctx, repo, revision, nil) {
		if err != nil {
			return nil, err
		}
		if since != "" && strings.HasPrefix(commit.ID, strings.ToLower(since)) {
			break
		}
		// Merging a pull request puts its message in the middle of another.
		if slices.ContainsFunc(strings.Split(commit.Message, "\n"), func(l string) bool { return strings.TrimSpace(l) == line }) {
			return &commit, nil
		}
	}
	return nil, nil
}
