package control

import (
	"context"
	"iter"

	"github.com/hubfs/hubfs/hub"
)

type createBranchParams struct {
	inRepo
	Branch  string `param:"branch" required:"true" doc:"name of the new branch"`
	From    string `param:"revision" doc:"where it starts; the head of main if left out"`
	ExistOK bool   `param:"exist_ok" default:"false" doc:"an existing branch is no error"`
}

func createBranch(ctx context.Context, s *session, p *createBranchParams) (any, error) {
	return nil, s.Hub.CreateBranch(ctx, p.repo(), p.Branch, &hub.CreateBranchOptions{Revision: p.From, ExistOK: p.ExistOK})
}

type deleteBranchParams struct {
	inRepo
	Branch string `param:"branch" required:"true" doc:"name of the branch"`
}

func deleteBranch(ctx context.Context, s *session, p *deleteBranchParams) (any, error) {
	return nil, s.Hub.DeleteBranch(ctx, p.repo(), p.Branch)
}

type createTagParams struct {
	inRepo
	Tag      string `param:"tag" required:"true" doc:"name of the new tag"`
	Message  string `param:"tag_message" doc:"description of the tag"`
	Revision string `param:"revision" doc:"what is tagged; main if left out"`
	ExistOK  bool   `param:"exist_ok" default:"false" doc:"an existing tag is no error"`
}

func createTag(ctx context.Context, s *session, p *createTagParams) (any, error) {
	return nil, s.Hub.CreateTag(ctx, p.repo(), p.Tag, &hub.CreateTagOptions{Revision: p.Revision, Message: p.Message, ExistOK: p.ExistOK})
}

type deleteTagParams struct {
	inRepo
	Tag string `param:"tag" required:"true" doc:"name of the tag"`
}

func deleteTag(ctx context.Context, s *session, p *deleteTagParams) (any, error) {
	return nil, s.Hub.DeleteTag(ctx, p.repo(), p.Tag)
}

type listRefsParams struct {
	inRepo
	PullRequests bool `param:"include_pull_requests" default:"false" doc:"with refs/pr/N"`
}

func listRepoRefs(ctx context.Context, s *session, p *listRefsParams) (any, error) {
	refs, err := s.Hub.Refs(ctx, p.repo(), p.PullRequests)
	if err != nil {
		return nil, err
	}
	return refsShape.of(refs)
}

type listCommitsParams struct {
	inRepo
	atRevision
	Formatted bool `param:"formatted" default:"false" doc:"with titles and messages as HTML"`
}

func listRepoCommits(ctx context.Context, s *session, p *listCommitsParams) iter.Seq2[any, error] {
	return mapped(s.Hub.Commits(ctx, p.repo(), p.orMain(), &hub.CommitsOptions{Formatted: p.Formatted}),
		func(c hub.Commit) (any, error) {
			authors := c.Authors
			if authors == nil {
				authors = []string{}
			}
			out := map[string]any{
				"commit_id": c.ID, "authors": authors, "created_at": dateOf(c.Date), "title": c.Title, "message": c.Message,
				"formatted_title": nil, "formatted_message": nil,
			}
			if p.Formatted {
				out["formatted_title"], out["formatted_message"] = c.FormattedTitle, c.FormattedMessage
			}
			return out, nil
		})
}

type squashParams struct {
	inRepo
	Branch  string `param:"branch" default:"main" doc:"branch to squash"`
	Message string `param:"commit_message" doc:"title of the one commit"`
}

func superSquashHistory(ctx context.Context, s *session, p *squashParams) (any, error) {
	return nil, s.Hub.SuperSquashHistory(ctx, p.repo(), p.Branch, p.Message)
}

type revisionExistsParams struct {
	inRepo
	Revision string `param:"revision" required:"true" doc:"branch, tag, refs/pr/N or commit"`
}

func revisionExists(ctx context.Context, s *session, p *revisionExistsParams) (any, error) {
	return s.Hub.RevisionExists(ctx, p.repo(), p.Revision)
}

// mapped applies f to every element; the first error is the last element.
func mapped[T any](seq iter.Seq2[T, error], f func(T) (any, error)) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for e, err := range seq {
			var out any
			if err == nil {
				out, err = f(e)
			}
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}
