package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// WhoAmI is the owner of the token.
type WhoAmI struct {
	Type     string          `json:"type"` // "user", "org" or "app"
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Fullname string          `json:"fullname"`
	Email    string          `json:"email"`
	IsPro    bool            `json:"isPro"`
	Orgs     []Org           `json:"orgs"`
	Auth     Auth            `json:"auth"`
	Raw      json.RawMessage `json:"-"` // the whole answer
}

// Org is an organisation that the user belongs to.
type Org struct {
	Name         string `json:"name"`
	Fullname     string `json:"fullname"`
	RoleInOrg    string `json:"roleInOrg"`
	IsEnterprise bool   `json:"isEnterprise"`
}

// Auth is how the request was authenticated.
type Auth struct {
	Type        string       `json:"type"`
	AccessToken *AccessToken `json:"accessToken"` // nil for OAuth tokens
}

// AccessToken describes the token, without its secret.
type AccessToken struct {
	DisplayName string          `json:"displayName"`
	Role        string          `json:"role"` // "read", "write" or "fineGrained"
	FineGrained json.RawMessage `json:"fineGrained"`
}

// WhoAmI asks who the token belongs to; ErrUnauthorized without a valid one. The
// Hub limits this call more than others.
//
//	GET /api/whoami-v2
func (c *Client) WhoAmI(ctx context.Context) (*WhoAmI, error) {
	r := &request{method: http.MethodGet, path: at("/api/whoami-v2")}
	var who WhoAmI
	if err := c.doJSON(ctx, r, &who.Raw); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(who.Raw, &who); err != nil {
		return nil, c.protocolError(r, "%v", err)
	}
	if err := validNamespace(who.Name); err != nil {
		return nil, c.protocolError(r, "%v", err)
	}
	who.Orgs = slices.DeleteFunc(who.Orgs, func(o Org) bool {
		err := validNamespace(o.Name)
		if err != nil {
			c.logger.WarnContext(ctx, "left out of the organisations", "error", err)
		}
		return err != nil
	})
	return &who, nil
}

// Namespace is a user or an organisation.
type Namespace struct {
	Type        string          `json:"type"` // "user" or "org"
	Name        string          `json:"name"` // in the Hub's own letter case
	Fullname    string          `json:"fullname"`
	NumModels   *int64          `json:"numModels"`
	NumSpaces   *int64          `json:"numSpaces"`
	NumDatasets *int64          `json:"numDatasets"`
	Raw         json.RawMessage `json:"-"` // the whole answer
}

// NamespaceOverview describes the user or organisation of that name; ErrNotFound
// if there is neither.
//
//	GET /api/users/{name}/overview, then /api/organizations/{name}/overview
func (c *Client) NamespaceOverview(ctx context.Context, name string) (*Namespace, error) {
	if err := validNamespace(name); err != nil {
		return nil, err
	}
	ns, err := c.overview(ctx, "user", "/api/users/"+escape(name)+"/overview")
	if errors.Is(err, ErrNotFound) {
		ns, err = c.overview(ctx, "org", "/api/organizations/"+escape(name)+"/overview")
	}
	return ns, err
}

func (c *Client) overview(ctx context.Context, typ, path string) (*Namespace, error) {
	r := &request{method: http.MethodGet, path: at(path)}
	var raw json.RawMessage
	if err := c.doJSON(ctx, r, &raw); err != nil {
		return nil, err
	}
	var wire struct {
		Namespace
		User string `json:"user"` // the name of a user
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return nil, c.protocolError(r, "%v", err)
	}
	ns := &wire.Namespace
	ns.Type, ns.Raw = typ, raw
	ns.Name = cmp.Or(wire.User, ns.Name)
	if err := validNamespace(ns.Name); err != nil {
		return nil, c.protocolError(r, "%v", err)
	}
	return ns, nil
}

// validNamespace refuses what no id of a repository can begin with.
func validNamespace(name string) error {
	if strings.Contains(name, "/") || (Repo{Type: Model, ID: name + "/x"}).Validate() != nil {
		return &ValidationError{What: "namespace", Value: name, Reason: "is no name of a user or organisation"}
	}
	return nil
}
