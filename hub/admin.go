package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// CreateRepoOptions describe a repository to be made.
type CreateRepoOptions struct {
	Private       *bool  // nil is the owner's default
	ExistOK       bool   // an existing repository isn't an error
	ResourceGroup string // id of the organisation's resource group

	// Spaces.
	SDK       string // "gradio", "streamlit", "docker" or "static"; mandatory
	Hardware  string
	Storage   string
	SleepTime *int // seconds; -1 is never
	Secrets   []KeyValue
	Variables []KeyValue
}

// KeyValue is a secret or a variable of a Space.
type KeyValue struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
}

// RepoURL is the answer to CreateRepo.
type RepoURL struct {
	URL  string // of the web page, on the client's endpoint
	Repo Repo   // with its namespace
}

// spaceSDKs are what a Space can be made of.
var spaceSDKs = []string{"gradio", "streamlit", "docker", "static"}

// CreateRepo makes a repository; an id without a namespace is made in the
// user's own. ErrConflict if it exists and ExistOK isn't set.
//
//	POST /api/repos/create
func (c *Client) CreateRepo(ctx context.Context, repo Repo, opts *CreateRepoOptions) (*RepoURL, error) {
	if opts == nil {
		opts = &CreateRepoOptions{}
	}
	if err := repo.Validate(); err != nil {
		return nil, err
	}
	body := repoName(repo)
	if opts.Private != nil {
		body["private"] = *opts.Private
	}
	if opts.ResourceGroup != "" {
		body["resourceGroupId"] = opts.ResourceGroup
	}
	if repo.Type == Space {
		if !slices.Contains(spaceSDKs, opts.SDK) {
			return nil, &ValidationError{What: "Space SDK", Value: opts.SDK, Reason: "must be one of " + strings.Join(spaceSDKs, ", ")}
		}
		body["sdk"] = opts.SDK
		opts.spaceBody(body)
	}
	r, err := (&request{method: http.MethodPost, path: at("/api/repos/create")}).withJSON(body)
	if err != nil {
		return nil, err
	}

	var answer struct {
		URL string `json:"url"`
	}
	for try := 0; ; try++ {
		err = c.doJSON(ctx, r, &answer)
		// The Hub makes one repository at a time for a user.
		if !isConflict(err, "another conflicting operation is in progress") || try >= c.retrier.max {
			break
		}
		if err := sleep(ctx, backoff(try)); err != nil {
			return nil, err
		}
	}
	var e *Error
	if err == nil {
		return c.repoURL(r, answer.URL)
	}
	if !opts.ExistOK || !errors.As(err, &e) {
		return nil, err
	}
	switch e.Status {
	case http.StatusConflict:
		if e.url != "" {
			return c.repoURL(r, e.url)
		}
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden:
		// It may not be made; that it is there is enough.
	default:
		return nil, err
	}
	if info, infoErr := c.RepoInfo(ctx, repo, nil); infoErr == nil {
		return &RepoURL{URL: c.Endpoint() + "/" + info.Repo().String(), Repo: info.Repo()}, nil
	}
	return nil, err
}

// spaceBody adds what a new Space runs with.
func (opts *CreateRepoOptions) spaceBody(body map[string]any) {
	if opts.Hardware != "" {
		body["hardware"] = opts.Hardware
	}
	if opts.Storage != "" {
		body["storageTier"] = opts.Storage
	}
	if opts.SleepTime != nil {
		body["sleepTimeSeconds"] = *opts.SleepTime
	}
	if len(opts.Secrets) > 0 {
		body["secrets"] = opts.Secrets
	}
	if len(opts.Variables) > 0 {
		body["variables"] = opts.Variables
	}
}

// repoName is the id as the API takes it in the bodies of create and delete.
func repoName(repo Repo) map[string]any {
	body := map[string]any{"name": repo.Name(), "organization": nil, "type": repo.Type}
	if ns := repo.Namespace(); ns != "" {
		body["organization"] = ns
	}
	return body
}

// isConflict says whether err is a 409 whose text has the given words.
func isConflict(err error, words string) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusConflict && strings.Contains(e.Message, words)
}

// ParseRepoURL reads the address of a repository's page at the endpoint or at the
// Hub itself, or what ParseRepo reads. It fails with a [*ValidationError].
func (c *Client) ParseRepoURL(s string) (*RepoURL, error) {
	id := s
	if strings.Contains(s, "://") && !strings.HasPrefix(s, "hf://") {
		u, err := url.Parse(c.rehost(s))
		if err != nil || !c.ours(u) {
			return nil, &ValidationError{What: "repository address", Value: s, Reason: "isn't at " + c.Endpoint()}
		}
		id = strings.Trim(strings.TrimPrefix(u.Path, c.endpoint.Path), "/")
	}
	repo, err := ParseRepo(id)
	if err != nil {
		return nil, err
	}
	return &RepoURL{URL: c.Endpoint() + "/" + repo.String(), Repo: repo}, nil
}

// repoURL reads the web address of a repository in an answer to r.
func (c *Client) repoURL(r *request, s string) (*RepoURL, error) {
	if !strings.Contains(s, "://") {
		return nil, c.protocolError(r, "the address of the repository, %q, isn't at the endpoint", s)
	}
	repo, err := c.ParseRepoURL(s)
	if err != nil {
		return nil, c.protocolError(r, "the address of the repository, %q, can't be right: %v", s, err)
	}
	return repo, nil
}

// rehost puts our endpoint in the place of the Hub's own host, which servers that
// mirror the Hub write.
func (c *Client) rehost(s string) string {
	for _, host := range []string{DefaultEndpoint, stagingEndpoint} {
		if rest, ok := strings.CutPrefix(s, host+"/"); ok {
			return c.Endpoint() + "/" + rest
		}
	}
	return s
}

// DeleteRepo removes a repository with all its history. With missingOK one that
// doesn't exist is no error.
//
//	DELETE /api/repos/delete
func (c *Client) DeleteRepo(ctx context.Context, repo Repo, missingOK bool) error {
	if err := repo.Validate(); err != nil {
		return err
	}
	r, err := (&request{method: http.MethodDelete, path: at("/api/repos/delete")}).withJSON(repoName(repo))
	if err != nil {
		return err
	}
	err = c.doNothing(ctx, r)
	if missingOK && errors.Is(err, ErrRepoNotFound) {
		return nil
	}
	return err
}

// MoveRepo renames a repository, or gives it to another namespace. The Hub
// redirects the old name.
//
//	POST /api/repos/move
func (c *Client) MoveRepo(ctx context.Context, from Repo, toID string) error {
	to := Repo{Type: from.Type, ID: toID}
	for _, repo := range []Repo{from, to} {
		if err := repo.Validate(); err != nil {
			return err
		}
		if repo.Namespace() == "" {
			return &ValidationError{What: "repo id", Value: repo.ID, Reason: "must have the form namespace/name"}
		}
	}
	r, err := (&request{method: http.MethodPost, path: at("/api/repos/move")}).withJSON(
		map[string]any{"fromRepo": from.ID, "toRepo": to.ID, "type": from.Type})
	if err != nil {
		return err
	}
	if err := c.doNothing(ctx, r); err != nil {
		return err
	}
	c.renames.forget(to) // the name is a repository's own again
	return nil
}

// RepoSettings are those to be changed; nil and "" stay as they are.
type RepoSettings struct {
	Private *bool
	Gated   Gated
}

// UpdateRepoSettings changes visibility and gating.
//
//	PUT /api/{type}s/{id}/settings
func (c *Client) UpdateRepoSettings(ctx context.Context, repo Repo, s RepoSettings) error {
	r, err := settingsRequest(repo, s)
	if err != nil {
		return err
	}
	return c.doNothing(ctx, r)
}

// UpdateRepoVisibility makes a repository private or public, and gives the settings that
// the Hub answers with, by their names there: "private" at least.
//
//	PUT /api/{type}s/{id}/settings
func (c *Client) UpdateRepoVisibility(ctx context.Context, repo Repo, private bool) (map[string]json.RawMessage, error) {
	r, err := settingsRequest(repo, RepoSettings{Private: &private})
	if err != nil {
		return nil, err
	}
	var settings map[string]json.RawMessage
	if err := c.doJSON(ctx, r, &settings); err != nil {
		return nil, err
	}
	return settings, nil
}

func settingsRequest(repo Repo, s RepoSettings) (*request, error) {
	if err := repo.Validate(); err != nil {
		return nil, err
	}
	body := map[string]any{}
	switch s.Gated {
	case "":
	case GatedNo, GatedAuto, GatedManual:
		body["gated"] = s.Gated
	default:
		return nil, &ValidationError{What: "gating", Value: string(s.Gated), Reason: "must be auto, manual or false"}
	}
	if s.Private != nil {
		body["private"] = *s.Private
	}
	if len(body) == 0 {
		return nil, &ValidationError{What: "settings", Reason: "nothing is to be changed"}
	}
	return (&request{method: http.MethodPut, repo: repo, path: below("settings")}).withJSON(body)
}
