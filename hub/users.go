package hub

import (
	"context"
	"encoding/json"
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

// WhoAmI asks who the token belongs to. The Hub limits this call more than others.
//
//	GET /api/whoami-v2
func (c *Client) WhoAmI(ctx context.Context) (*WhoAmI, error) {
	return nil, errUnfinished
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
	return nil, errUnfinished
}
