package localhub

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
	Pro      bool
}

// Org is an organisation.
type Org struct {
	Name     string
	Fullname string
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
func (h *Hub) CreateUser(u User) error { return errNotYet }

// AddToken gives a user another token.
func (h *Hub) AddToken(user string, t Token) error { return errNotYet }

// RevokeToken makes a token invalid.
func (h *Hub) RevokeToken(value string) error { return errNotYet }

// CreateOrg makes an organisation, or brings the one of that name up to date.
func (h *Hub) CreateOrg(o Org) error { return errNotYet }

// AddMember makes a user a member of an organisation, with one of the Member
// roles; "" is MemberWrite.
func (h *Hub) AddMember(org, user, role string) error { return errNotYet }
