package control

import (
	"context"
	"iter"

	"github.com/hubfs/hubfs/hub"
)

var (
	userShape = &shape{open: true, attrs: []attr{
		{name: "username", wire: "user"}, {name: "fullname"},
		{name: "avatar_url", wire: "avatarUrl"},
		{name: "details"},
		{name: "is_following", wire: "isFollowing"},
		{name: "is_pro", wire: "isPro"},
		{name: "num_models", wire: "numModels"},
		{name: "num_datasets", wire: "numDatasets"},
		{name: "num_spaces", wire: "numSpaces"},
		{name: "num_discussions", wire: "numDiscussions"},
		{name: "num_papers", wire: "numPapers"},
		{name: "num_upvotes", wire: "numUpvotes"},
		{name: "num_likes", wire: "numLikes"},
		{name: "num_following", wire: "numFollowing"},
		{name: "num_followers", wire: "numFollowers"},
		{name: "orgs", as: orgShape.each},
		{name: "user_type", wire: "type"},
	}}
	orgShape = &shape{open: true, attrs: []attr{{name: "avatar_url", wire: "avatarUrl"}, {name: "name"}, {name: "fullname"}}}
)

// userOf is User.
func userOf(u hub.User) (any, error) {
	out, err := userShape.of(u)
	if m, ok := out.(map[string]any); ok && m["orgs"] == nil {
		m["orgs"] = []any{}
	}
	return out, err
}

type userParams struct {
	Username string `param:"username" required:"true" doc:"name of the user"`
	caller
}

func getUserOverview(ctx context.Context, s *session, p *userParams) (any, error) {
	u, err := s.Hub.UserOverview(ctx, p.Username)
	if err != nil {
		return nil, err
	}
	return userOf(*u)
}

func listUserFollowers(ctx context.Context, s *session, p *userParams) iter.Seq2[any, error] {
	return mapped(s.Hub.UserFollowers(ctx, p.Username), userOf)
}

func listUserFollowing(ctx context.Context, s *session, p *userParams) iter.Seq2[any, error] {
	return mapped(s.Hub.UserFollowing(ctx, p.Username), userOf)
}

type orgParams struct {
	Organization string `param:"organization" required:"true" doc:"name of the organisation"`
	caller
}

func listOrganizationMembers(ctx context.Context, s *session, p *orgParams) iter.Seq2[any, error] {
	return mapped(s.Hub.OrganizationMembers(ctx, p.Organization), userOf)
}

func like(ctx context.Context, s *session, p *inRepo) (any, error) {
	return nil, s.Hub.Like(ctx, p.repo())
}

func unlike(ctx context.Context, s *session, p *inRepo) (any, error) {
	return nil, s.Hub.Unlike(ctx, p.repo())
}

// listRepoLikers gives what HfApi does of each user: the names and the picture.
func listRepoLikers(ctx context.Context, s *session, p *inRepo) iter.Seq2[any, error] {
	return mapped(s.Hub.RepoLikers(ctx, p.repo()), func(u hub.User) (any, error) {
		return userOf(hub.User{Username: u.Username, Fullname: u.Fullname, AvatarURL: u.AvatarURL})
	})
}

type likedParams struct {
	User string `param:"user" doc:"name of the user; the owner of the token if left out"`
	caller
}

func listLikedRepos(ctx context.Context, s *session, p *likedParams) (any, error) {
	user := p.User
	if user == "" {
		who, err := s.Hub.WhoAmI(ctx)
		if err != nil {
			return nil, err
		}
		if who.Type != "user" {
			return nil, badParam("user", "is missing, and the token is no user's")
		}
		user = who.Name
	}
	total := 0
	names := map[hub.RepoType][]string{hub.Model: {}, hub.Dataset: {}, hub.Space: {}}
	for l, err := range s.Hub.LikedRepos(ctx, user) {
		if err != nil {
			return nil, err
		}
		names[l.Repo.Type] = append(names[l.Repo.Type], l.Repo.ID)
		total++
	}
	return map[string]any{
		"user": user, "total": total, "models": names[hub.Model], "datasets": names[hub.Dataset], "spaces": names[hub.Space],
	}, nil
}

type onlyCaller struct {
	caller
}

func getTokenPermission(ctx context.Context, s *session, _ *onlyCaller) (any, error) {
	role, err := s.Hub.TokenPermission(ctx)
	return orNull(role), err
}

type fullNameParams struct {
	ModelID      string `param:"model_id" required:"true" doc:"name of the repository"`
	Organization string `param:"organization" doc:"the owner of the token if left out"`
	caller
}

func getFullRepoName(ctx context.Context, s *session, p *fullNameParams) (any, error) {
	return s.Hub.FullRepoName(ctx, p.ModelID, p.Organization)
}

// paperOf is PaperInfo.
func paperOf(p hub.Paper) (any, error) {
	out := map[string]any{
		"id": orNull(p.ID), "title": orNull(p.Title), "summary": orNull(p.Summary), "upvotes": p.Upvotes, "source": orNull(p.Source),
		"discussion_id": orNull(p.DiscussionID), "comments": p.Comments, "authors": nil, "submitted_by": nil,
		"published_at": dateOf(p.PublishedAt), "submitted_at": dateOf(p.SubmittedAt),
	}
	if p.Authors != nil {
		out["authors"] = p.Authors
	}
	for k, v := range p.Extra {
		if _, taken := out[k]; !taken {
			out[k] = v
		}
	}
	var err error
	if p.SubmittedBy != nil {
		out["submitted_by"], err = userOf(*p.SubmittedBy)
	}
	return out, err
}

type listPapersParams struct {
	Query string `param:"query" doc:"words of the title, of the summary or of the authors"`
	caller
}

func listPapers(ctx context.Context, s *session, p *listPapersParams) iter.Seq2[any, error] {
	return mapped(s.Hub.Papers(ctx, p.Query), paperOf)
}

type paperParams struct {
	ID string `param:"id" required:"true" doc:"of the paper at arXiv, such as 1706.03762"`
}

func paperInfo(ctx context.Context, s *session, p *paperParams) (any, error) {
	paper, err := s.Hub.Paper(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	return paperOf(*paper)
}

type noParams struct{}

func getModelTags(ctx context.Context, s *session, _ *noParams) (any, error) {
	return s.Hub.TagsByType(ctx, hub.Model)
}

func getDatasetTags(ctx context.Context, s *session, _ *noParams) (any, error) {
	return s.Hub.TagsByType(ctx, hub.Dataset)
}
