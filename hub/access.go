package hub

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// AccessStatus is the state of a request for access to a gated repository.
type AccessStatus string

// The states. Who hasn't asked has none of them.
const (
	AccessPending  AccessStatus = "pending"
	AccessAccepted AccessStatus = "accepted"
	AccessRejected AccessStatus = "rejected"
)

// AccessRequest is somebody's request for access to a gated repository.
type AccessRequest struct {
	Username  string
	Fullname  string
	Email     string // "" where access was granted without a request
	Status    AccessStatus
	Timestamp time.Time                  // when it was made
	Fields    map[string]json.RawMessage // what the form asked for

	// Extra holds what has no field here, by its name in the answer; that of the user
	// is in "user".
	Extra map[string]json.RawMessage
}

type wireAccess struct {
	Status    AccessStatus               `json:"status"`
	Timestamp time.Time                  `json:"timestamp"`
	Fields    map[string]json.RawMessage `json:"fields,omitempty"`
}

// UnmarshalJSON reads the Hub's form.
func (a *AccessRequest) UnmarshalJSON(data []byte) error {
	var w wireAccess
	extra, err := decodeOpen(data, &w)
	if err != nil {
		return err
	}
	var user struct {
		User     string `json:"user"`
		Fullname string `json:"fullname"`
		Email    string `json:"email"`
	}
	if err := json.Unmarshal(extra["user"], &user); err != nil {
		return err
	}
	*a = AccessRequest{
		Username: user.User, Fullname: user.Fullname, Email: user.Email, Status: w.Status, Timestamp: w.Timestamp, Fields: w.Fields, Extra: extra,
	}
	return nil
}

// MarshalJSON writes what UnmarshalJSON has read.
func (a AccessRequest) MarshalJSON() ([]byte, error) {
	return encodeOpen(wireAccess{a.Status, a.Timestamp, a.Fields}, a.Extra)
}

// AccessRequests lists the requests in one state for access to a gated repository, to
// who may write to it. The error is ErrBadRequest if it isn't gated, and ErrForbidden
// for others.
//
//	GET /api/{type}s/{id}/user-access-request/{status}
func (c *Client) AccessRequests(ctx context.Context, repo Repo, status AccessStatus) ([]AccessRequest, error) {
	err := firstError(repo.Validate(), oneOf("state of a request", string(status), "pending", "accepted", "rejected"))
	if err != nil {
		return nil, err
	}
	list := []AccessRequest{}
	r := &request{method: http.MethodGet, repo: repo, path: below("user-access-request", string(status))}
	for a, err := range pages[AccessRequest](ctx, c, r) {
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// AcceptAccessRequest lets a user in who asked for it. The error is ErrNotFound if there
// is no such user or request, or if it is accepted already.
//
//	POST /api/{type}s/{id}/user-access-request/handle
func (c *Client) AcceptAccessRequest(ctx context.Context, repo Repo, user string) error {
	return c.handleAccess(ctx, repo, user, AccessAccepted, "")
}

// CancelAccessRequest makes a request wait again. See AcceptAccessRequest.
//
//	POST /api/{type}s/{id}/user-access-request/handle
func (c *Client) CancelAccessRequest(ctx context.Context, repo Repo, user string) error {
	return c.handleAccess(ctx, repo, user, AccessPending, "")
}

// RejectAccessRequest keeps a user out, who can't ask again, for a reason of at most 200
// characters that they are told, or "". See AcceptAccessRequest.
//
//	POST /api/{type}s/{id}/user-access-request/handle
func (c *Client) RejectAccessRequest(ctx context.Context, repo Repo, user, reason string) error {
	return c.handleAccess(ctx, repo, user, AccessRejected, reason)
}

func (c *Client) handleAccess(ctx context.Context, repo Repo, user string, status AccessStatus, reason string) error {
	body := map[string]any{"user": user, "status": status}
	if reason != "" {
		body["rejectionReason"] = reason
	}
	return c.postAccess(ctx, repo, "handle", body)
}

// GrantAccess lets a user in who hasn't asked. The error is ErrBadRequest if they are in
// already.
//
//	POST /api/{type}s/{id}/user-access-request/grant
func (c *Client) GrantAccess(ctx context.Context, repo Repo, user string) error {
	return c.postAccess(ctx, repo, "grant", map[string]any{"user": user})
}

func (c *Client) postAccess(ctx context.Context, repo Repo, what string, body map[string]any) error {
	if err := repo.Validate(); err != nil {
		return err
	}
	r, err := (&request{method: http.MethodPost, repo: repo, path: below("user-access-request", what)}).withJSON(body)
	if err != nil {
		return err
	}
	return c.doNothing(ctx, r)
}

// AskAccess asks for access to a gated repository, as the form on its page does. Whether
// it is granted at once, the repository's settings say.
//
//	POST /{repository}/ask-access
func (c *Client) AskAccess(ctx context.Context, repo Repo, fields url.Values) error {
	if err := repo.Validate(); err != nil {
		return err
	}
	r := &request{
		method: http.MethodPost, repo: repo, body: []byte(fields.Encode()),
		path:   func(r Repo) string { return "/" + r.Type.prefix() + escapePath(r.ID) + "/ask-access" },
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}
	a, err := c.exchange(ctx, r)
	if err != nil {
		return err
	}
	discard(a.resp)
	if a.elsewhere != nil && !strings.EqualFold(a.elsewhere.Host, c.endpoint.Host) {
		return c.protocolError(r, "the form is redirected to another host, %s", a.elsewhere.Host)
	}
	return nil
}
