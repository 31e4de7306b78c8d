package hub

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
)

// CreateBranchOptions refine CreateBranch.
type CreateBranchOptions struct {
	Revision string // where it starts; "" is the head of main
	ExistOK  bool   // an existing branch isn't an error, wherever it points
}

// CreateBranch makes a branch. ErrConflict if it exists and ExistOK isn't set.
//
//	POST /api/{type}s/{id}/branch/{branch}
func (c *Client) CreateBranch(ctx context.Context, repo Repo, branch string, opts *CreateBranchOptions) error {
	if opts == nil {
		opts = &CreateBranchOptions{}
	}
	if err := firstError(repo.Validate(), validRevision(branch)); err != nil {
		return err
	}
	body := map[string]string{}
	if opts.Revision != "" {
		body["startingPoint"] = opts.Revision
	}
	r, err := (&request{method: http.MethodPost, repo: repo, path: below("branch", branch)}).withJSON(body)
	if err != nil {
		return err
	}
	err = c.doNothing(ctx, r)
	if !opts.ExistOK {
		return err
	}
	switch {
	case errors.Is(err, ErrConflict):
		return nil
	case errors.Is(err, ErrForbidden):
		// It may not be made; that it is there is enough.
		refs, refsErr := c.Refs(ctx, repo, false)
		if refsErr == nil && slices.ContainsFunc(refs.Branches, func(b Ref) bool { return b.Name == branch }) {
			return nil
		}
	}
	return err
}

// DeleteBranch removes a branch, which can't be main.
//
//	DELETE /api/{type}s/{id}/branch/{branch}
func (c *Client) DeleteBranch(ctx context.Context, repo Repo, branch string) error {
	if err := firstError(repo.Validate(), validRevision(branch)); err != nil {
		return err
	}
	return c.doNothing(ctx, &request{method: http.MethodDelete, repo: repo, path: below("branch", branch)})
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
	if opts == nil {
		opts = &CreateTagOptions{}
	}
	revision := cmp.Or(opts.Revision, "main")
	if err := firstError(repo.Validate(), validRevision(revision), validRevision(tag)); err != nil {
		return err
	}
	body := map[string]string{"tag": tag}
	if opts.Message != "" {
		body["message"] = opts.Message
	}
	r, err := (&request{method: http.MethodPost, repo: repo, path: below("tag", revision)}).withJSON(body)
	if err != nil {
		return err
	}
	err = c.doNothing(ctx, r)
	if opts.ExistOK && errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// DeleteTag removes a tag.
//
//	DELETE /api/{type}s/{id}/tag/{tag}
func (c *Client) DeleteTag(ctx context.Context, repo Repo, tag string) error {
	if err := firstError(repo.Validate(), validRevision(tag)); err != nil {
		return err
	}
	return c.doNothing(ctx, &request{method: http.MethodDelete, repo: repo, path: below("tag", tag)})
}

// SuperSquashHistory makes the branch one commit with the same content. It
// can't be undone. The message "" is a default one.
//
//	POST /api/{type}s/{id}/super-squash/{branch}
func (c *Client) SuperSquashHistory(ctx context.Context, repo Repo, branch, message string) error {
	if err := firstError(repo.Validate(), validRevision(branch)); err != nil {
		return err
	}
	if message == "" {
		message = "Super-squash branch '" + branch + "' using hubfs"
	}
	r, err := (&request{method: http.MethodPost, repo: repo, path: below("super-squash", branch)}).withJSON(map[string]string{"message": message})
	if err != nil {
		return err
	}
	return c.doNothing(ctx, r)
}
