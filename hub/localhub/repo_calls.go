package localhub

import "errors"

var errNotYet = errors.New("localhub: not there yet")

// Repository types, as the typ parameter of Hub's methods takes them.
const (
	Model   = "model"
	Dataset = "dataset"
	Space   = "space"
)

// RepoOptions are the attributes of a new repository.
type RepoOptions struct {
	Private bool
	Gated   string // "", "auto" or "manual"
	SDK     string // of a Space: "gradio", "streamlit", "docker" or "static"
}

// Operation kinds.
const (
	OpAdd          = "add"
	OpDelete       = "delete"
	OpDeleteFolder = "delete-folder"
	OpCopy         = "copy"
)

// LFSRef names an LFS object.
type LFSRef struct {
	OID  string // sha256, 64 hex digits
	Size int64
}

// Operation is one change of a commit.
type Operation struct {
	Kind    string // OpAdd, ...
	Path    string
	Content []byte  // OpAdd of a regular file
	LFS     *LFSRef // OpAdd of an LFS file; the object must be stored before
	From    string  // OpCopy: the path to copy
	FromRev string  // OpCopy: the revision to copy from; "" is the commit's parent
}

// CommitInput is a commit to be made.
type CommitInput struct {
	Author      string // a user's name; "" is the owner of the repository
	Title       string
	Description string
	// Parent, if not empty, must be the head of the branch.
	Parent     string
	Operations []Operation
}

// CreateRepo makes a repository with its first commit on branch main.
func (h *Hub) CreateRepo(typ, id string, o RepoOptions) error { return errNotYet }

// DeleteRepo removes a repository.
func (h *Hub) DeleteRepo(typ, id string) error { return errNotYet }

// MoveRepo renames a repository. The old name redirects to the new one.
func (h *Hub) MoveRepo(typ, from, to string) error { return errNotYet }

// RepoUpdate holds the attributes to change; nil leaves one as it is.
type RepoUpdate struct {
	Private  *bool
	Gated    *string // "", "auto" or "manual"
	Disabled *bool
}

// UpdateRepo changes attributes of a repository.
func (h *Hub) UpdateRepo(typ, id string, u RepoUpdate) error { return errNotYet }

// GrantAccess lets a user read a gated repository.
func (h *Hub) GrantAccess(typ, id, user string) error { return errNotYet }

// Commit makes a commit on a branch or on refs/pr/<n> and returns its id.
func (h *Hub) Commit(typ, id, branch string, in CommitInput) (string, error) { return "", errNotYet }

// CreatePR opens a pull request against branch base ("" is main) with one commit,
// on ref refs/pr/<number>.
func (h *Hub) CreatePR(typ, id, base string, in CommitInput) (number int, oid string, err error) {
	return 0, "", errNotYet
}

// CreateBranch makes a branch at a revision ("" is main).
func (h *Hub) CreateBranch(typ, id, branch, revision string) error { return errNotYet }

// DeleteBranch removes a branch.
func (h *Hub) DeleteBranch(typ, id, branch string) error { return errNotYet }

// CreateTag tags a revision ("" is main); with a message, the tag is annotated.
func (h *Hub) CreateTag(typ, id, tag, revision, message string) error { return errNotYet }

// MoveTag lets an existing tag name another revision.
func (h *Hub) MoveTag(typ, id, tag, revision string) error { return errNotYet }

// DeleteTag removes a tag.
func (h *Hub) DeleteTag(typ, id, tag string) error { return errNotYet }

// CreateConvert sets refs/convert/<name> to a revision, as a Hub's own jobs do
// for datasets.
func (h *Hub) CreateConvert(typ, id, name, revision string) error { return errNotYet }

// Head returns the commit that a revision names.
func (h *Hub) Head(typ, id, revision string) (string, error) { return "", errNotYet }
