package hub

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
)

// User is an account of a person. Lists give the names, the picture and little more; nil
// is what the Hub didn't say.
type User struct {
	Username       string         `json:"user"`
	Fullname       string         `json:"fullname"`
	AvatarURL      string         `json:"avatarUrl"`
	Type           string         `json:"type,omitempty"` // "user"
	Details        string         `json:"details,omitempty"`
	IsFollowing    *bool          `json:"isFollowing,omitempty"` // whether the owner of the token follows them
	IsPro          *bool          `json:"isPro,omitempty"`
	NumModels      *int           `json:"numModels,omitempty"`
	NumDatasets    *int           `json:"numDatasets,omitempty"`
	NumSpaces      *int           `json:"numSpaces,omitempty"`
	NumDiscussions *int           `json:"numDiscussions,omitempty"`
	NumPapers      *int           `json:"numPapers,omitempty"`
	NumUpvotes     *int           `json:"numUpvotes,omitempty"`
	NumLikes       *int           `json:"numLikes,omitempty"`
	NumFollowing   *int           `json:"numFollowing,omitempty"`
	NumFollowers   *int           `json:"numFollowers,omitempty"`
	Orgs           []Organization `json:"orgs,omitzero"`

	// Extra holds what has no field here, by its name in the answer.
	Extra map[string]json.RawMessage `json:"-"`
}

// UnmarshalJSON reads the Hub's form.
func (u *User) UnmarshalJSON(data []byte) (err error) {
	type plain User // without this method
	var p plain
	if p.Extra, err = decodeOpen(data, &p); err == nil {
		*u = User(p)
	}
	return err
}

// MarshalJSON writes what UnmarshalJSON reads, Extra included.
func (u User) MarshalJSON() ([]byte, error) {
	type plain User
	return encodeOpen(plain(u), u.Extra)
}

// Organization is an organisation as others see it.
type Organization struct {
	Name      string `json:"name"`
	Fullname  string `json:"fullname"`
	AvatarURL string `json:"avatarUrl"`

	// Extra holds what has no field here, by its name in the answer.
	Extra map[string]json.RawMessage `json:"-"`
}

// UnmarshalJSON reads the Hub's form.
func (o *Organization) UnmarshalJSON(data []byte) (err error) {
	type plain Organization
	var p plain
	if p.Extra, err = decodeOpen(data, &p); err == nil {
		*o = Organization(p)
	}
	return err
}

// MarshalJSON writes what UnmarshalJSON reads, Extra included.
func (o Organization) MarshalJSON() ([]byte, error) {
	type plain Organization
	return encodeOpen(plain(o), o.Extra)
}

// UserOverview describes a user; ErrNotFound if there is none of that name.
//
//	GET /api/users/{name}/overview
func (c *Client) UserOverview(ctx context.Context, name string) (*User, error) {
	if err := validNamespace(name); err != nil {
		return nil, err
	}
	var u User
	if err := c.doJSON(ctx, &request{method: http.MethodGet, path: at("/api/users/" + escape(name) + "/overview")}, &u); err != nil {
		return nil, err
	}
	return &u, nil
}

// OrganizationMembers lists the members of an organisation that the token may see.
// Iteration ends at the first error; ErrNotFound without such an organisation.
//
//	GET /api/organizations/{name}/members
func (c *Client) OrganizationMembers(ctx context.Context, name string) iter.Seq2[User, error] {
	return c.people(ctx, "organizations", name, "members")
}

// OrganizationFollowers lists who follows an organisation.
//
//	GET /api/organizations/{name}/followers
func (c *Client) OrganizationFollowers(ctx context.Context, name string) iter.Seq2[User, error] {
	return c.people(ctx, "organizations", name, "followers")
}

// UserFollowers lists who follows a user. Iteration ends at the first error; ErrNotFound
// without such a user.
//
//	GET /api/users/{name}/followers
func (c *Client) UserFollowers(ctx context.Context, name string) iter.Seq2[User, error] {
	return c.people(ctx, "users", name, "followers")
}

// UserFollowing lists whom a user follows. Iteration ends at the first error;
// ErrNotFound without such a user.
//
//	GET /api/users/{name}/following
func (c *Client) UserFollowing(ctx context.Context, name string) iter.Seq2[User, error] {
	return c.people(ctx, "users", name, "following")
}

func (c *Client) people(ctx context.Context, kind, name, what string) iter.Seq2[User, error] {
	if err := validNamespace(name); err != nil {
		return failed[User](err)
	}
	return pages[User](ctx, c, &request{method: http.MethodGet, path: at("/api/" + kind + "/" + escape(name) + "/" + what)})
}

// failed is a list that breaks before its first element.
func failed[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		yield(zero, err)
	}
}

// TokenPermission is what the token is good for: "read", "write" or "fineGrained"; ""
// where the Hub doesn't say, as of tokens that it doesn't know. An error means that it
// couldn't be asked.
//
//	GET /api/whoami-v2
func (c *Client) TokenPermission(ctx context.Context) (string, error) {
	who, err := c.WhoAmI(ctx)
	var refused *Error
	switch {
	case errors.As(err, &refused) && refused.Status >= 400 && refused.Status < 500:
		return "", nil
	case err != nil:
		return "", err
	case who.Auth.AccessToken == nil:
		return "", nil
	}
	return who.Auth.AccessToken.Role, nil
}

// FullRepoName puts a namespace before the name of a repository: the organisation, or
// without one, the user that the token belongs to. As in the official client, a name
// that has a namespace already gets the same once more.
//
//	GET /api/whoami-v2, unless there is a namespace
func (c *Client) FullRepoName(ctx context.Context, name, organization string) (string, error) {
	if organization != "" {
		return organization + "/" + name, nil
	}
	if ns := (Repo{ID: name}).Namespace(); ns != "" {
		return ns + "/" + name, nil
	}
	who, err := c.WhoAmI(ctx)
	if err != nil {
		return "", err
	}
	return who.Name + "/" + name, nil
}
