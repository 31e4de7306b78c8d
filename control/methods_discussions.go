package control

import (
	"context"
	"iter"

	"github.com/hubfs/hubfs/hub"
)

var discussionAttrs = []attr{
	{name: "title"}, {name: "status"}, {name: "num"},
	{name: "repo_id", wire: "repo.name"}, {name: "repo_type", wire: "repo.type"},
	{name: "author", wire: "author.name"},
	{name: "is_pull_request", wire: "isPullRequest"},
	{name: "created_at", wire: "createdAt", as: date},
}

var (
	discussionShape        = &shape{attrs: discussionAttrs}
	discussionDetailsShape = &shape{attrs: append(discussionAttrs[:len(discussionAttrs):len(discussionAttrs)],
		attr{name: "events", as: discussionEvents},
		attr{name: "conflicting_files", wire: "filesWithConflicts"},
		attr{name: "target_branch", wire: "changes.base"},
		attr{name: "merge_commit_oid", wire: "changes.mergeCommitId"},
		attr{name: "diff"},
	)}
	eventAttrs = []attr{
		{name: "id"}, {name: "type"}, {name: "created_at", wire: "createdAt", as: date}, {name: "author", wire: "author.name"},
	}
	// eventShapes are the classes that have more than that, by the type of event.
	eventShapes = map[string][]attr{
		hub.EventComment:      {{name: "edited", wire: "data.edited"}, {name: "hidden", wire: "data.hidden"}, {name: "content", wire: "data.latest.raw"}},
		hub.EventStatusChange: {{name: "new_status", wire: "data.status"}},
		hub.EventCommit:       {{name: "summary", wire: "data.subject"}, {name: "oid", wire: "data.oid"}},
		hub.EventTitleChange:  {{name: "old_title", wire: "data.from"}, {name: "new_title", wire: "data.to"}},
	}
)

// noAuthor is what HfApi says of an account that is gone.
const noAuthor = "deleted"

func withAuthor(v any) any {
	if m, ok := v.(map[string]any); ok && m["author"] == nil {
		m["author"] = noAuthor
	}
	return v
}

func discussionEvents(v any) any {
	in, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]any, len(in))
	for i, e := range in {
		out[i] = discussionEvent(e)
	}
	return out
}

func discussionEvent(v any) any {
	s := &shape{attrs: eventAttrs}
	if m, ok := v.(map[string]any); ok {
		typ, _ := m["type"].(string)
		s.attrs = append(eventAttrs[:len(eventAttrs):len(eventAttrs)], eventShapes[typ]...)
	}
	out := withAuthor(s.apply(v))
	if m, ok := out.(map[string]any); ok {
		m["_event"] = v
	}
	return out
}

func eventResult(e *hub.DiscussionEvent, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	raw, err := (&shape{open: true}).of(e)
	return discussionEvent(raw), err
}

// addressed adds what HfApi makes up for a discussion.
func addressed(s *session, v any, d *hub.Discussion) any {
	if m, ok := withAuthor(v).(map[string]any); ok {
		m["endpoint"], m["url"], m["git_reference"] = s.Hub.Endpoint(), s.Hub.DiscussionURL(d.Repo, d.Num), nil
		if d.IsPullRequest {
			m["git_reference"] = d.GitReference()
		}
	}
	return v
}

func detailsResult(s *session, d *hub.DiscussionDetails, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	out, err := discussionDetailsShape.of(d)
	return addressed(s, out, &d.Discussion), err
}

type listDiscussionsParams struct {
	inRepo
	Author string `param:"author" doc:"user or organisation that opened them"`
	Type   string `param:"discussion_type" enum:"all|discussion|pull_request" doc:"which kind"`
	Status string `param:"discussion_status" enum:"all|open|closed" doc:"which state; drafts are open"`
}

func getRepoDiscussions(ctx context.Context, s *session, p *listDiscussionsParams) iter.Seq2[any, error] {
	opts := &hub.DiscussionsOptions{Author: p.Author, Type: p.Type, Status: p.Status}
	return mapped(s.Hub.Discussions(ctx, p.repo(), opts), func(d hub.Discussion) (any, error) {
		out, err := discussionShape.of(d)
		return addressed(s, out, &d), err
	})
}

// inDiscussion is the part of a parameter struct that names a discussion.
type inDiscussion struct {
	inRepo
	Num int `param:"discussion_num" required:"true" doc:"number of the discussion or pull request"`
}

func getDiscussionDetails(ctx context.Context, s *session, p *inDiscussion) (any, error) {
	d, err := s.Hub.Discussion(ctx, p.repo(), p.Num)
	return detailsResult(s, d, err)
}

type createPullRequestParams struct {
	inRepo
	Title       string `param:"title" required:"true" doc:"3 to 200 characters"`
	Description string `param:"description" doc:"first comment, in markdown"`
}

type createDiscussionParams struct {
	createPullRequestParams
	PullRequest bool `param:"pull_request" default:"false" doc:"a pull request, as create_pull_request makes it"`
}

func createDiscussion(ctx context.Context, s *session, p *createDiscussionParams) (any, error) {
	if p.PullRequest {
		return createPullRequest(ctx, s, &p.createPullRequestParams)
	}
	d, err := s.Hub.CreateDiscussion(ctx, p.repo(), p.Title, p.Description)
	return detailsResult(s, d, err)
}

func createPullRequest(ctx context.Context, s *session, p *createPullRequestParams) (any, error) {
	d, err := s.Hub.CreatePullRequest(ctx, p.repo(), p.Title, p.Description)
	return detailsResult(s, d, err)
}

type commentParams struct {
	inDiscussion
	Comment string `param:"comment" required:"true" doc:"text, in markdown"`
}

func commentDiscussion(ctx context.Context, s *session, p *commentParams) (any, error) {
	return eventResult(s.Hub.CommentDiscussion(ctx, p.repo(), p.Num, p.Comment))
}

type renameDiscussionParams struct {
	inDiscussion
	NewTitle string `param:"new_title" required:"true" doc:"3 to 200 characters"`
}

func renameDiscussion(ctx context.Context, s *session, p *renameDiscussionParams) (any, error) {
	return eventResult(s.Hub.RenameDiscussion(ctx, p.repo(), p.Num, p.NewTitle))
}

type changeStatusParams struct {
	inDiscussion
	NewStatus hub.DiscussionStatus `param:"new_status" required:"true" enum:"open|closed" doc:"open publishes a draft"`
	Comment   string               `param:"comment" doc:"said with it"`
}

func changeDiscussionStatus(ctx context.Context, s *session, p *changeStatusParams) (any, error) {
	return eventResult(s.Hub.ChangeDiscussionStatus(ctx, p.repo(), p.Num, p.NewStatus, p.Comment))
}

type mergeParams struct {
	inDiscussion
	Comment string `param:"comment" doc:"said with it"`
}

func mergePullRequest(ctx context.Context, s *session, p *mergeParams) (any, error) {
	return nil, s.Hub.MergePullRequest(ctx, p.repo(), p.Num, p.Comment)
}

type oneCommentParams struct {
	inDiscussion
	CommentID string `param:"comment_id" required:"true" doc:"id of the comment's event"`
}

type editCommentParams struct {
	oneCommentParams
	NewContent string `param:"new_content" required:"true" doc:"text, in markdown"`
}

func editDiscussionComment(ctx context.Context, s *session, p *editCommentParams) (any, error) {
	return eventResult(s.Hub.EditDiscussionComment(ctx, p.repo(), p.Num, p.CommentID, p.NewContent))
}

func hideDiscussionComment(ctx context.Context, s *session, p *oneCommentParams) (any, error) {
	return eventResult(s.Hub.HideDiscussionComment(ctx, p.repo(), p.Num, p.CommentID))
}
