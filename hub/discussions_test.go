package hub_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// forum is a Hub with a model of alice's, and clients of alice, bob and nobody.
func forum(t *testing.T) (s *hubtest.Server, repo hub.Repo, alice, bob, nobody *hub.Client) {
	t.Helper()
	s = hubtest.New(t, hubtest.WithPageSize(40), hubtest.WithUsers(localhub.User{Name: "bob", Token: "hf_bob"}))
	repo = hub.Repo{Type: hub.Model, ID: s.Repo("m", map[string]string{"a": "1\n"})}
	return s, repo, s.Client(), s.ClientWithToken("hf_bob"), s.ClientWithToken("")
}

func ok[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestDiscussions(t *testing.T) {
	_, repo, alice, bob, nobody := forum(t)
	ctx := t.Context()
	event := ok[*hub.DiscussionEvent](t)
	d := ok[*hub.DiscussionDetails](t)(bob.CreateDiscussion(ctx, repo, " Why? ", ""))
	if d.Num != 1 || d.Title != "Why?" || d.Status != hub.DiscussionOpen || d.Author.Name != "bob" || d.Repo != repo || d.IsPullRequest || d.GitReference() != "" {
		t.Errorf("%+v", d)
	}
	if len(d.Events) != 1 || d.Events[0].Comment.Content == "" || d.Extra["collection"] == nil || d.Events[0].Raw == nil {
		t.Errorf("%+v", d)
	}
	said := event(alice.CommentDiscussion(ctx, repo, 1, "because"))
	edited := event(alice.EditDiscussionComment(ctx, repo, 1, said.ID, "just because"))
	if c := edited.Comment; edited.ID != said.ID || !c.Edited || c.Content != "just because" || c.NumEdits != 1 || c.History[0].Content != "because" || c.Author.Name != "alice" {
		t.Errorf("%+v", c)
	}
	if c := event(alice.HideDiscussionComment(ctx, repo, 1, said.ID)).Comment; !c.Hidden || c.Content == "just because" {
		t.Errorf("%+v", c)
	}
	if c := event(bob.RenameDiscussion(ctx, repo, 1, "Why not?")).TitleChange; *c != (hub.DiscussionTitleChange{From: "Why?", To: "Why not?"}) {
		t.Errorf("%+v", c)
	}
	if e := event(bob.ChangeDiscussionStatus(ctx, repo, 1, hub.DiscussionClosed, " enough ")); e.NewStatus != hub.DiscussionClosed {
		t.Errorf("%+v", e)
	}
	for range 2 {
		ok[*hub.DiscussionDetails](t)(bob.CreatePullRequest(ctx, repo, "A draft", "what it does"))
	}
	nums := func(opts *hub.DiscussionsOptions) (n []int) {
		for d, err := range nobody.Discussions(ctx, repo, opts) {
			if err != nil {
				t.Fatal(err)
			}
			n = append(n, d.Num)
		}
		return n
	}
	for want, opts := range map[string]*hub.DiscussionsOptions{
		"[3,2,1]": nil, "[1]": {Type: "discussion"}, "[3,2]": {Status: "open", Type: "pull_request"}, "null": {Author: "alice"},
	} {
		if got, _ := json.Marshal(nums(opts)); string(got) != want {
			t.Errorf("%+v: %s, want %s", opts, got, want)
		}
	}
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"short title":      {second(bob.CreateDiscussion(ctx, repo, "x", "")), hub.ErrBadRequest},
		"nobody's":         {second(nobody.CreateDiscussion(ctx, repo, "abc", "")), hub.ErrUnauthorized},
		"no such number":   {second(bob.Discussion(ctx, repo, 9)), hub.ErrNotFound},
		"no repository":    {second(bob.Discussion(ctx, hub.Repo{Type: hub.Model, ID: "alice/none"}, 1)), hub.ErrRepoNotFound},
		"another's":        {second(bob.EditDiscussionComment(ctx, repo, 1, said.ID, "x")), hub.ErrForbidden},
		"no comment":       {second(bob.HideDiscussionComment(ctx, repo, 1, "0123")), hub.ErrNotFound},
		"closed already":   {second(alice.ChangeDiscussionStatus(ctx, repo, 1, hub.DiscussionClosed, "")), hub.ErrBadRequest},
		"no pull request":  {alice.MergePullRequest(ctx, repo, 1, ""), hub.ErrBadRequest},
		"not bob's branch": {bob.MergePullRequest(ctx, repo, 2, ""), hub.ErrForbidden},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	var invalid *hub.ValidationError
	for _, err := range []error{
		second(bob.Discussion(ctx, repo, 0)), second(bob.ChangeDiscussionStatus(ctx, repo, 1, "merged", "")),
		second(bob.HideDiscussionComment(ctx, repo, 1, "../x")), alice.MergePullRequest(ctx, repo, -1, ""),
	} {
		if !errors.As(err, &invalid) {
			t.Errorf("%v isn't refused beforehand", err)
		}
	}
	for _, err := range bob.Discussions(ctx, repo, &hub.DiscussionsOptions{Type: "x"}) {
		if !errors.As(err, &invalid) {
			t.Error(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestPullRequests(t *testing.T) {
	_, repo, alice, bob, _ := forum(t)
	ctx := t.Context()
	commit := func(c *hub.Client, revision, path, text string, pr bool) *hub.CommitInfo {
		t.Helper()
		return ok[*hub.CommitInfo](t)(c.CreateCommit(ctx, repo, revision, hub.CommitInput{
			Summary: "Write " + path, CreatePR: pr, Operations: []hub.Operation{&hub.Add{Path: path, Content: hub.BytesContent([]byte(text))}},
		}))
	}
	details := ok[*hub.DiscussionDetails](t)
	if info := commit(bob, "", "b", "bob's", true); info.PRNum != 1 {
		t.Fatalf("%+v", info)
	}
	draft := details(bob.CreatePullRequest(ctx, repo, "Mine", "text"))
	if draft.Status != hub.DiscussionDraft || draft.GitReference() != "refs/pr/2" || draft.TargetBranch != "refs/heads/main" || draft.Conflicts {
		t.Errorf("%+v", draft)
	}
	mine := commit(bob, "refs/pr/2", "a", "2\n", false)
	d := details(alice.Discussion(ctx, repo, 2))
	if len(d.Events) != 2 || d.Events[1].Commit == nil || d.Events[1].Commit.ID != mine.OID || d.Events[1].Commit.Summary != "Write a" {
		t.Errorf("%+v", d.Events)
	}
	// What the Hub says reads back equal.
	data := ok[[]byte](t)(json.Marshal(d))
	again := new(hub.DiscussionDetails)
	err := json.Unmarshal(data, again)
	if more := ok[[]byte](t)(json.Marshal(again)); err != nil || string(more) != string(data) || again.Repo != d.Repo || again.Diff != d.Diff {
		t.Errorf("%v\n%s\n%s", err, data, more)
	}
	if err := alice.MergePullRequest(ctx, repo, 2, ""); !errors.Is(err, hub.ErrBadRequest) {
		t.Errorf("a draft: %v", err)
	}
	ok[*hub.DiscussionEvent](t)(bob.ChangeDiscussionStatus(ctx, repo, 2, hub.DiscussionOpen, ""))
	if err := alice.MergePullRequest(ctx, repo, 1, "thanks"); err != nil {
		t.Fatal(err)
	}
	commit(alice, "main", "a", "3\n", false)
	if err := alice.MergePullRequest(ctx, repo, 2, ""); !errors.Is(err, hub.ErrConflict) {
		t.Errorf("conflict: %v", err)
	}
	if d = details(bob.Discussion(ctx, repo, 2)); !d.Conflicts || !slices.Equal(d.ConflictingFiles, []string{"a"}) {
		t.Errorf("%+v", d)
	}
	merged := details(bob.Discussion(ctx, repo, 1))
	if merged.Status != hub.DiscussionMerged || merged.MergeCommit == "" || merged.Diff == "" {
		t.Errorf("%+v", merged)
	}
}
