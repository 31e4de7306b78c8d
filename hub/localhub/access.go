package localhub

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// authenticate finds whose token a request carries: nobody's, if it has none.
func (h *Hub) authenticate(r *http.Request) (*userRec, *tokenRec, error) {
	head := r.Header.Get("Authorization")
	if head == "" {
		return nil, nil, nil
	}
	value, ok := strings.CutPrefix(head, "Bearer ")
	if !ok {
		// git and git-lfs send the token as a password.
		_, value, ok = r.BasicAuth()
	}
	if ok {
		if t := h.st.token(strings.TrimSpace(value)); t != nil {
			if u := h.st.user(t.User); u != nil {
				return u, t, nil
			}
		}
	}
	return nil, nil, fail(http.StatusUnauthorized, "Invalid credentials in Authorization header")
}

// rateKey is whose quota a request is counted against: a user's, or an
// address's.
func (h *Hub) rateKey(r *http.Request) string {
	if _, t, err := h.authenticate(r); err == nil && t != nil {
		return "user " + t.User
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return "address " + host
}

// caller is who makes a request. Its zero value is nobody.
type caller struct {
	user  *userRec
	token *tokenRec
}

func (c caller) anonymous() bool { return c.user == nil }

func (c caller) name() string {
	if c.user == nil {
		return ""
	}
	return c.user.Name
}

// role is the caller's role in a namespace: MemberAdmin in their own, "" if they
// have none.
func (h *Hub) role(c caller, namespace string) string {
	if c.user == nil || namespace == "" {
		return ""
	}
	if strings.EqualFold(c.user.Name, namespace) {
		return MemberAdmin
	}
	if o := h.st.org(namespace); o != nil {
		return o.Members[strings.ToLower(c.user.Name)]
	}
	return ""
}

// allows tells if the token is good for reading or writing an entity.
func (t *tokenRec) allows(write bool, namespace, repo string) bool {
	switch t.Role {
	case RoleWrite:
		return true
	case RoleRead:
		return !write
	}
	return slices.ContainsFunc(t.Scopes, func(s Scope) bool {
		return (s.Write || !write) && (strings.EqualFold(s.Entity, namespace) || repo != "" && strings.EqualFold(s.Entity, repo))
	})
}

// entityName is a repository as Scope.Entity names it.
func (r *repoRec) entityName() string { return webPrefix(r.Type) + r.ID }

func (h *Hub) canRead(c caller, r *repoRec) bool {
	return !r.Private || h.role(c, r.owner()) != "" && c.token.allows(false, r.owner(), r.entityName())
}

func (h *Hub) canWrite(c caller, r *repoRec) bool {
	switch h.role(c, r.owner()) {
	case MemberAdmin, MemberWrite:
	case MemberContributor:
		if r.Creator != c.name() {
			return false
		}
	default:
		return false
	}
	return c.token.allows(true, r.owner(), r.entityName())
}

// canCreate tells if the caller may make repositories in a namespace.
func (h *Hub) canCreate(c caller, namespace string) bool {
	switch h.role(c, namespace) {
	case MemberAdmin, MemberWrite, MemberContributor:
		return c.token.allows(true, namespace, "")
	}
	return false
}

// hidden is the refusal of a repository that the caller can't see, or that isn't.
func hidden(c caller) *Error {
	e := repoNotFound()
	if c.anonymous() {
		e.Status, e.Message = http.StatusUnauthorized, "Invalid username or password."
	}
	return e
}

// checkRead refuses a caller who may not see a repository.
func (h *Hub) checkRead(c caller, r *repoRec) error {
	if !h.canRead(c, r) {
		return hidden(c)
	}
	if r.Disabled {
		return fail(http.StatusForbidden, "Access to this resource is disabled.")
	}
	return nil
}

// checkContent refuses a caller who may not read a repository's files.
func (h *Hub) checkContent(c caller, r *repoRec) error {
	if err := h.checkRead(c, r); err != nil {
		return err
	}
	if !h.passesGate(c, r) {
		return gateError(c, r)
	}
	return nil
}

// checkWrite refuses a caller who may not write to a repository.
func (h *Hub) checkWrite(c caller, r *repoRec) error {
	if err := h.checkRead(c, r); err != nil {
		return err
	}
	if c.anonymous() {
		return errNoToken()
	}
	if !h.canWrite(c, r) {
		return fail(http.StatusForbidden, "You don't have the rights to write to %s %s with this token.", r.Type, r.ID)
	}
	return nil
}

func errNoToken() *Error { return fail(http.StatusUnauthorized, "Invalid username or password.") }
