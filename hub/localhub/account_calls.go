package localhub

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Roles of a token.
const (
	RoleRead        = "read"
	RoleWrite       = "write"
	RoleFineGrained = "fineGrained"
)

// Token is an access token of a user. The Hub keeps only its hash.
type Token struct {
	Value string
	Name  string // shown by whoami; "" is "default"
	Role  string // RoleRead, ...; "" is RoleWrite
	// Scopes limit a fine-grained token.
	Scopes []Scope
}

// Scope is what a fine-grained token may do with an entity.
type Scope struct {
	Entity string // a user or organisation ("alice"), or a repository ("alice/m", "datasets/alice/d")
	Write  bool   // false: read only
}

// User is a person with an account.
type User struct {
	Name     string
	Token    string // a token of role RoleWrite; "" makes none
	Tokens   []Token
	Fullname string
	Email    string
	Details  string // what they say about themselves
	Pro      bool
	// NoBilling says that nobody pays: what costs money is refused.
	NoBilling bool
}

// Org is an organisation.
type Org struct {
	Name     string
	Fullname string
	Details  string // what it says about itself
	// NoBilling says that nobody pays: what costs money is refused.
	NoBilling bool
}

// Roles of a member of an organisation.
const (
	MemberRead        = "read"
	MemberContributor = "contributor" // may create, and write to what they created
	MemberWrite       = "write"
	MemberAdmin       = "admin"
)

// CreateUser makes an account, or brings the one of that name up to date. Tokens
// are added.
func (h *Hub) CreateUser(u User) error {
	if err := h.putAccount(u); err != nil {
		return err
	}
	tokens := slices.Clone(u.Tokens)
	if u.Token != "" {
		tokens = append(tokens, Token{Value: u.Token})
	}
	for _, t := range tokens {
		if err := h.AddToken(u.Name, t); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hub) putAccount(u User) error {
	h.st.write.Lock()
	defer h.st.write.Unlock()
	rec := userRec{ID: newID(12), Name: u.Name, Created: time.Now().UTC()}
	if old := h.st.user(u.Name); old != nil {
		rec = *old
	} else if err := h.freeName(u.Name); err != nil {
		return err
	}
	if u.Fullname != "" {
		rec.Fullname = u.Fullname
	}
	if u.Email != "" {
		rec.Email = u.Email
	}
	if u.Details != "" {
		rec.Details = u.Details
	}
	rec.Pro = rec.Pro || u.Pro
	rec.NoBilling = u.NoBilling
	if old := h.st.user(u.Name); old != nil && *old == rec {
		return nil
	}
	return h.st.putUser(&rec)
}

// freeName refuses a name that a user or an organisation can't have. Requires
// st.write.
func (h *Hub) freeName(name string) error {
	if !validName(name) {
		return badRequest("%q can't be a name: letters, digits, '-', '_' and '.' are allowed, '-' and '.' not at its ends, and no '--' or '..'", name)
	}
	if h.st.user(name) != nil || h.st.org(name) != nil {
		return fail(http.StatusConflict, "The name %q is taken", name)
	}
	return nil
}

// AddToken gives a user another token.
func (h *Hub) AddToken(user string, t Token) error {
	u := h.st.user(user)
	if u == nil {
		return noSuchUser(user)
	}
	if t.Value == "" || strings.ContainsFunc(t.Value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return badRequest("A token must be printable ASCII without spaces")
	}
	rec := &tokenRec{User: u.Name, Name: t.Name, Role: t.Role, Scopes: t.Scopes}
	if rec.Name == "" {
		rec.Name = "default"
	}
	switch rec.Role {
	case "":
		rec.Role = RoleWrite
	case RoleRead, RoleWrite, RoleFineGrained:
	default:
		return badRequest("%q is no role of a token", t.Role)
	}
	h.st.write.Lock()
	defer h.st.write.Unlock()
	if old := h.st.token(t.Value); old != nil && old.User != u.Name {
		return fail(http.StatusConflict, "This token is another user's")
	}
	return h.st.putToken(t.Value, rec)
}

// RevokeToken makes a token invalid.
func (h *Hub) RevokeToken(value string) error {
	h.st.write.Lock()
	defer h.st.write.Unlock()
	return h.st.dropToken(value)
}

// CreateOrg makes an organisation, or brings the one of that name up to date.
func (h *Hub) CreateOrg(o Org) error {
	h.st.write.Lock()
	defer h.st.write.Unlock()
	rec := orgRec{ID: newID(12), Name: o.Name, Created: time.Now().UTC()}
	if old := h.st.org(o.Name); old != nil {
		rec = *old
	} else if err := h.freeName(o.Name); err != nil {
		return err
	}
	if o.Fullname != "" {
		rec.Fullname = o.Fullname
	}
	rec.NoBilling = o.NoBilling
	return h.st.putOrg(&rec)
}

// AddMember makes a user a member of an organisation, with one of the Member
// roles; "" is MemberWrite.
func (h *Hub) AddMember(org, user, role string) error {
	switch role {
	case "":
		role = MemberWrite
	case MemberRead, MemberContributor, MemberWrite, MemberAdmin:
	default:
		return badRequest("%q is no role of a member", role)
	}
	h.st.write.Lock()
	defer h.st.write.Unlock()
	old, u := h.st.org(org), h.st.user(user)
	if old == nil {
		return fail(http.StatusNotFound, "There is no organization %q", org)
	}
	if u == nil {
		return noSuchUser(user)
	}
	rec := *old
	if rec.Members = maps.Clone(old.Members); rec.Members == nil {
		rec.Members = map[string]string{}
	}
	rec.Members[strings.ToLower(u.Name)] = role
	return h.st.putOrg(&rec)
}

func noSuchUser(name string) *Error { return fail(http.StatusNotFound, "There is no user %q", name) }
