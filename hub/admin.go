package hub

import "context"

// CreateRepoOptions describe a repository to be made.
type CreateRepoOptions struct {
	Private       *bool // nil is the owner's default
	ExistOK       bool  // an existing repository isn't an error
	ResourceGroup string

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

// CreateRepo makes a repository; an id without a namespace is made in the
// user's own. ErrConflict if it exists and ExistOK isn't set.
//
//	POST /api/repos/create
func (c *Client) CreateRepo(ctx context.Context, repo Repo, opts *CreateRepoOptions) (*RepoURL, error) {
	return nil, errUnfinished
}

// DeleteRepo removes a repository with all its history. With missingOK one that
// doesn't exist is no error.
//
//	DELETE /api/repos/delete
func (c *Client) DeleteRepo(ctx context.Context, repo Repo, missingOK bool) error {
	return errUnfinished
}

// MoveRepo renames a repository, or gives it to another namespace. The Hub
// redirects the old name.
//
//	POST /api/repos/move
func (c *Client) MoveRepo(ctx context.Context, from Repo, toID string) error {
	return errUnfinished
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
	return errUnfinished
}

// CreateBranchOptions refine CreateBranch.
type CreateBranchOptions struct {
	Revision string // where it starts; "" is the head of main
	ExistOK  bool   // an existing branch isn't an error, wherever it points
}

// CreateBranch makes a branch. ErrConflict if it exists and ExistOK isn't set.
//
//	POST /api/{type}s/{id}/branch/{branch}
func (c *Client) CreateBranch(ctx context.Context, repo Repo, branch string, opts *CreateBranchOptions) error {
	return errUnfinished
}

// DeleteBranch removes a branch, which can't be main.
//
//	DELETE /api/{type}s/{id}/branch/{branch}
func (c *Client) DeleteBranch(ctx context.Context, repo Repo, branch string) error {
	return errUnfinished
}

// CreateTagOptions refine CreateTag.
type CreateTagOptions struct {
	Revision string // what is tagged; "" is main
	Message  string
	ExistOK  bool // an existing tag isn't an error, wherever it points
}

// CreateTag makes a tag. ErrConflict if it exists and ExistOK isn't set.
//
//	POST /api/{type}s/{id}/tag/{revision}
func (c *Client) CreateTag(ctx context.Context, repo Repo, tag string, opts *CreateTagOptions) error {
	return errUnfinished
}

// DeleteTag removes a tag.
//
//	DELETE /api/{type}s/{id}/tag/{tag}
func (c *Client) DeleteTag(ctx context.Context, repo Repo, tag string) error {
	return errUnfinished
}

// SuperSquashHistory makes the branch one commit with the same content. It
// can't be undone. The message "" is a default one.
//
//	POST /api/{type}s/{id}/super-squash/{branch}
func (c *Client) SuperSquashHistory(ctx context.Context, repo Repo, branch, message string) error {
	return errUnfinished
}
