package hub

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Account is who wrote something on the Hub.
type Account struct {
	ID        string `json:"_id,omitempty"`
	Name      string `json:"name"`
	Fullname  string `json:"fullname,omitempty"`
	Type      string `json:"type,omitempty"` // "user" or "org"
	AvatarURL string `json:"avatarUrl,omitempty"`

	// Extra holds what has no field here, by its name in the answer.
	Extra map[string]json.RawMessage `json:"-"`
}

// UnmarshalJSON reads the Hub's form.
func (a *Account) UnmarshalJSON(data []byte) (err error) {
	type plain Account
	var p plain
	if p.Extra, err = decodeOpen(data, &p); err == nil {
		*a = Account(p)
	}
	return err
}

// MarshalJSON writes what UnmarshalJSON reads, Extra included.
func (a Account) MarshalJSON() ([]byte, error) {
	type plain Account
	return encodeOpen(plain(a), a.Extra)
}

// DiscussionStatus is the state of a discussion or pull request.
type DiscussionStatus string

// The states. Only pull requests are merged or drafts.
const (
	DiscussionOpen   DiscussionStatus = "open"
	DiscussionClosed DiscussionStatus = "closed"
	DiscussionMerged DiscussionStatus = "merged"
	DiscussionDraft  DiscussionStatus = "draft"
)

// Discussion is a discussion or a pull request, as it is listed. Both are numbered
// together, from 1, in each repository.
type Discussion struct {
	Num           int              `json:"num"`
	Title         string           `json:"title"`
	Status        DiscussionStatus `json:"status"`
	Author        *Account         `json:"author,omitempty"` // nil: the account was deleted
	CreatedAt     time.Time        `json:"createdAt"`
	IsPullRequest bool             `json:"isPullRequest"`
	Repo          Repo             `json:"-"` // in the Hub's own letter case

	// Extra holds what has no field here, by its name in the answer.
	Extra map[string]json.RawMessage `json:"-"`
}

// GitReference is the revision that has the commits of a pull request,
// "refs/pr/<number>"; "" for a discussion.
func (d *Discussion) GitReference() string {
	if !d.IsPullRequest {
		return ""
	}
	return "refs/pr/" + strconv.Itoa(d.Num)
}

// DiscussionURL is the address of a discussion on the site.
func (c *Client) DiscussionURL(repo Repo, num int) string {
	return c.Endpoint() + "/" + repo.Type.prefix() + escapePath(repo.ID) + "/discussions/" + strconv.Itoa(num)
}

type wireDiscussionRepo struct {
	Name string   `json:"name"`
	Type RepoType `json:"type"`
}

type plainDiscussion Discussion

type wireDiscussion struct {
	plainDiscussion

	InRepo wireDiscussionRepo `json:"repo"`
}

func (w *wireDiscussion) discussion() (Discussion, error) {
	d := Discussion(w.plainDiscussion)
	d.Repo = Repo{Type: w.InRepo.Type, ID: w.InRepo.Name}
	if d.Num < 1 {
		return d, errors.New("a discussion without a number")
	}
	return d, d.Repo.Validate()
}

// UnmarshalJSON reads the Hub's form.
func (d *Discussion) UnmarshalJSON(data []byte) error {
	var w wireDiscussion
	extra, err := decodeOpen(data, &w)
	if err != nil {
		return err
	}
	w.Extra = extra
	*d, err = w.discussion()
	return err
}

// MarshalJSON writes what UnmarshalJSON reads, Extra included.
func (d Discussion) MarshalJSON() ([]byte, error) {
	return encodeOpen(wireDiscussion{plainDiscussion(d), wireDiscussionRepo{d.Repo.ID, d.Repo.Type}}, d.Extra)
}

// DiscussionDetails is a discussion or pull request with all that happened in it.
type DiscussionDetails struct {
	Discussion

	Events []DiscussionEvent // oldest first; the first is the description, a comment

	// Of pull requests.
	TargetBranch string // full, "refs/heads/main"
	MergeCommit  string // that merged it; "" until then
	Diff         string // what it changes, as git diff writes it
	// ConflictingFiles are the paths that keep it from being merged. If Conflicts is
	// set and there are none, it can't be merged for a reason that has no path.
	Conflicts        bool
	ConflictingFiles []string
}

type wireDetails struct {
	wireDiscussion

	Events  []DiscussionEvent `json:"events"`
	Changes *struct {
		Base        string `json:"base"`
		MergeCommit string `json:"mergeCommitId,omitempty"`
	} `json:"changes,omitempty"`
	Diff  *string         `json:"diff,omitempty"`
	Files json.RawMessage `json:"filesWithConflicts,omitempty"`
}

// UnmarshalJSON reads the Hub's form.
func (d *DiscussionDetails) UnmarshalJSON(data []byte) error {
	var w wireDetails
	extra, err := decodeOpen(data, &w)
	if err != nil {
		return err
	}
	w.Extra = extra
	out := DiscussionDetails{Events: w.Events}
	if out.Discussion, err = w.discussion(); err != nil {
		return err
	}
	if w.Changes != nil {
		out.TargetBranch, out.MergeCommit = w.Changes.Base, w.Changes.MergeCommit
	}
	if w.Diff != nil {
		out.Diff = *w.Diff
	}
	if len(w.Files) > 0 && json.Unmarshal(w.Files, &out.Conflicts) != nil {
		if err := json.Unmarshal(w.Files, &out.ConflictingFiles); err != nil {
			return err
		}
		out.Conflicts = len(out.ConflictingFiles) > 0
	}
	*d = out
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads, Extra included.
func (d DiscussionDetails) MarshalJSON() ([]byte, error) {
	w := wireDetails{wireDiscussion: wireDiscussion{plainDiscussion(d.Discussion), wireDiscussionRepo{d.Repo.ID, d.Repo.Type}}, Events: d.Events}
	if d.IsPullRequest {
		w.Changes = &struct {
			Base        string `json:"base"`
			MergeCommit string `json:"mergeCommitId,omitempty"`
		}{d.TargetBranch, d.MergeCommit}
		w.Diff = &d.Diff
		files := any(append([]string{}, d.ConflictingFiles...))
		if d.Conflicts && len(d.ConflictingFiles) == 0 {
			files = true
		}
		var err error
		if w.Files, err = json.Marshal(files); err != nil {
			return nil, err
		}
	}
	return encodeOpen(w, d.Extra)
}

// DiscussionsOptions choose what Discussions lists.
type DiscussionsOptions struct {
	Author string // a user or organisation; "" is everybody
	Type   string // "discussion", "pull_request", or "all", as is ""
	Status string // "open" (drafts too), "closed" (merged ones too), or "all", as is ""
}

// Discussions lists the discussions and pull requests of a repository, newest first.
// Iteration ends at the first error.
//
//	GET /api/{type}s/{id}/discussions
func (c *Client) Discussions(ctx context.Context, repo Repo, opts *DiscussionsOptions) iter.Seq2[Discussion, error] {
	if opts == nil {
		opts = &DiscussionsOptions{}
	}
	return func(yield func(Discussion, error) bool) {
		err := firstError(repo.Validate(), oneOf("type of discussion", opts.Type, "", "all", "discussion", "pull_request"),
			oneOf("status of discussion", opts.Status, "", "all", "open", "closed"))
		if err != nil {
			yield(Discussion{}, err)
			return
		}
		query := url.Values{}
		for key, v := range map[string]string{"author": opts.Author, "type": opts.Type, "status": opts.Status} {
			if v != "" {
				query.Set(key, v)
			}
		}
		seen := 0
		for page := 0; ; page++ {
			query.Set("p", strconv.Itoa(page))
			r := &request{method: http.MethodGet, repo: repo, path: below("discussions"), query: query}
			var answer struct {
				Discussions []Discussion `json:"discussions"`
				Count       *int         `json:"count"`
				Start       int          `json:"start"`
			}
			err := c.doJSON(ctx, r, &answer)
			if err == nil && answer.Count == nil {
				err = c.protocolError(r, "the page of discussions has no count")
			}
			if err != nil {
				yield(Discussion{}, err)
				return
			}
			for _, d := range answer.Discussions {
				if !yield(d, nil) {
					return
				}
			}
			// A page may be empty although the count says otherwise: the last one is gone.
			if seen = max(seen, answer.Start) + len(answer.Discussions); seen >= *answer.Count || len(answer.Discussions) == 0 {
				return
			}
		}
	}
}

func oneOf(what, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return &ValidationError{What: what, Value: value, Reason: "must be one of " + strings.Join(slices.DeleteFunc(allowed, func(s string) bool { return s == "" }), ", ")}
}

func validDiscussion(repo Repo, num int) error {
	if num < 1 {
		return &ValidationError{What: "number of a discussion", Value: strconv.Itoa(num), Reason: "must be positive"}
	}
	return repo.Validate()
}

// Discussion gives a discussion or pull request with all its events, and the diff of a
// pull request; ErrNotFound if there is none of that number.
//
//	GET /api/{type}s/{id}/discussions/{num}?diff=1
func (c *Client) Discussion(ctx context.Context, repo Repo, num int) (*DiscussionDetails, error) {
	if err := validDiscussion(repo, num); err != nil {
		return nil, err
	}
	r := &request{method: http.MethodGet, repo: repo, path: below("discussions", strconv.Itoa(num)), query: url.Values{"diff": {"1"}}}
	d := new(DiscussionDetails)
	if err := c.doJSON(ctx, r, d); err != nil {
		return nil, err
	}
	return d, nil
}

// CreateDiscussion opens a discussion. An empty description says that this client
// opened it; the Hub takes titles of 3 to 200 characters (ErrBadRequest).
//
//	POST /api/{type}s/{id}/discussions
func (c *Client) CreateDiscussion(ctx context.Context, repo Repo, title, description string) (*DiscussionDetails, error) {
	return c.createDiscussion(ctx, repo, title, description, false)
}

// CreatePullRequest opens a pull request against the default branch, as a draft and
// without commits: those are made on its GitReference. To commit and open one at once,
// see [CommitInput].
//
//	POST /api/{type}s/{id}/discussions
func (c *Client) CreatePullRequest(ctx context.Context, repo Repo, title, description string) (*DiscussionDetails, error) {
	return c.createDiscussion(ctx, repo, title, description, true)
}

func (c *Client) createDiscussion(ctx context.Context, repo Repo, title, description string, pull bool) (*DiscussionDetails, error) {
	if err := repo.Validate(); err != nil {
		return nil, err
	}
	if strings.TrimSpace(description) == "" {
		what := "Discussion"
		if pull {
			what = "Pull request"
		}
		description = what + " opened with the Go package github.com/hubfs/hubfs/hub."
	}
	r, err := (&request{method: http.MethodPost, repo: repo, path: below("discussions")}).withJSON(map[string]any{
		"title": strings.TrimSpace(title), "description": strings.TrimSpace(description), "pullRequest": pull,
	})
	if err != nil {
		return nil, err
	}
	var made struct {
		Num int `json:"num"`
	}
	if err := c.doJSON(ctx, r, &made); err != nil {
		return nil, err
	}
	if made.Num < 1 {
		return nil, c.protocolError(r, "the new discussion has no number")
	}
	return c.Discussion(ctx, repo, made.Num)
}

// CommentDiscussion adds a comment, in markdown.
//
//	POST /api/{type}s/{id}/discussions/{num}/comment
func (c *Client) CommentDiscussion(ctx context.Context, repo Repo, num int, comment string) (*DiscussionEvent, error) {
	return c.changeDiscussion(ctx, repo, num, map[string]any{"comment": comment}, "newMessage", "comment")
}

// EditDiscussionComment replaces the text of a comment, whose id is that of its event.
// What it was stays in its history. ErrForbidden for who neither wrote it nor may write
// to the repository.
//
//	POST /api/{type}s/{id}/discussions/{num}/comment/{comment}/edit
func (c *Client) EditDiscussionComment(ctx context.Context, repo Repo, num int, comment, content string) (*DiscussionEvent, error) {
	return c.changeComment(ctx, repo, num, comment, "edit", map[string]any{"content": content})
}

// HideDiscussionComment removes the text of a comment, for good.
//
//	POST /api/{type}s/{id}/discussions/{num}/comment/{comment}/hide
func (c *Client) HideDiscussionComment(ctx context.Context, repo Repo, num int, comment string) (*DiscussionEvent, error) {
	return c.changeComment(ctx, repo, num, comment, "hide", nil)
}

func (c *Client) changeComment(ctx context.Context, repo Repo, num int, comment, what string, body map[string]any) (*DiscussionEvent, error) {
	if comment = strings.ToLower(comment); comment == "" || strings.ContainsAny(comment, "./") {
		return nil, &ValidationError{What: "id of a comment", Value: comment, Reason: "must be that of its event"}
	}
	return c.changeDiscussion(ctx, repo, num, body, "updatedComment", "comment", comment, what)
}

// RenameDiscussion changes the title.
//
//	POST /api/{type}s/{id}/discussions/{num}/title
func (c *Client) RenameDiscussion(ctx context.Context, repo Repo, num int, title string) (*DiscussionEvent, error) {
	return c.changeDiscussion(ctx, repo, num, map[string]any{"title": title}, "newTitle", "title")
}

// ChangeDiscussionStatus opens or closes a discussion or pull request, with a comment
// unless that is empty. A draft that is opened is published, for good.
//
//	POST /api/{type}s/{id}/discussions/{num}/status
func (c *Client) ChangeDiscussionStatus(ctx context.Context, repo Repo, num int, status DiscussionStatus, comment string) (*DiscussionEvent, error) {
	if err := oneOf("status of a discussion", string(status), "open", "closed"); err != nil {
		return nil, err
	}
	body := map[string]any{"status": status}
	if comment = strings.TrimSpace(comment); comment != "" {
		body["comment"] = comment
	}
	return c.changeDiscussion(ctx, repo, num, body, "newStatus", "status")
}

// MergePullRequest merges a pull request into its target branch, with a comment unless
// that is empty. The error is ErrConflict or ErrBadRequest if it has conflicts (see
// DiscussionDetails), is a draft, or isn't open.
//
//	POST /api/{type}s/{id}/discussions/{num}/merge
func (c *Client) MergePullRequest(ctx context.Context, repo Repo, num int, comment string) error {
	if err := validDiscussion(repo, num); err != nil {
		return err
	}
	r := &request{method: http.MethodPost, repo: repo, path: below("discussions", strconv.Itoa(num), "merge")}
	if comment = strings.TrimSpace(comment); comment != "" {
		if _, err := r.withJSON(map[string]any{"comment": comment}); err != nil {
			return err
		}
	}
	return c.doNothing(ctx, r)
}

// changeDiscussion posts to a resource of a discussion, and returns the event that the
// answer has under a key.
func (c *Client) changeDiscussion(ctx context.Context, repo Repo, num int, body map[string]any, key string, resource ...string) (*DiscussionEvent, error) {
	if err := validDiscussion(repo, num); err != nil {
		return nil, err
	}
	r := &request{method: http.MethodPost, repo: repo, path: below(append([]string{"discussions", strconv.Itoa(num)}, resource...)...)}
	if body != nil {
		if _, err := r.withJSON(body); err != nil {
			return nil, err
		}
	}
	var answer map[string]json.RawMessage
	if err := c.doJSON(ctx, r, &answer); err != nil {
		return nil, err
	}
	e := new(DiscussionEvent)
	if err := json.Unmarshal(answer[key], e); err != nil {
		return nil, c.protocolError(r, "the answer has no event %q: %v", key, err)
	}
	return e, nil
}
