package localhub

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

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
	Creator string // a user's name; "" is the namespace
	Space   SpaceOptions
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

// CommitInput is a commit to be made. Its operations are applied in order; a
// commit may have none.
type CommitInput struct {
	Author      string // a user's name; "" is the owner of the repository
	Title       string
	Description string
	// Parent, if not empty, must be the head of the branch, else the error is
	// ErrPrecondition. A pull request starts there.
	Parent     string
	Date       time.Time // zero is now; git keeps whole seconds
	Operations []Operation
}

// spaceSDKs are what a Space can be made with.
var spaceSDKs = []string{"gradio", "streamlit", "docker", "static"}

func errRepoExists(r *repoRec) *Error {
	return fail(http.StatusConflict, "A %s repository called %s already exists", r.Type, r.ID)
}

func validType(typ string) bool { return typ == Model || typ == Dataset || typ == Space }

// CreateRepo makes a repository with its first commit on branch main. The error
// is ErrConflict if there is one of that name.
func (h *Hub) CreateRepo(typ, id string, o RepoOptions) error {
	_, err := h.createRepo(typ, id, o, func(*draft) error { return nil })
	return err
}

func (h *Hub) newRepoRec(typ, id string, o RepoOptions) (*repoRec, error) {
	ns, _ := splitID(id)
	switch {
	case !validType(typ):
		return nil, badRequest("%q is no type of repository", oneLine(typ))
	case !validRepoID(id):
		return nil, badRequest("Invalid repo name: %q", oneLine(id))
	case o.Gated != "" && o.Gated != "auto" && o.Gated != "manual":
		return nil, badRequest(`"gated" must be one of [auto, manual, false]`)
	case typ == Space && !slices.Contains(spaceSDKs, o.SDK):
		return nil, badRequest(`"sdk" must be one of [%s]`, strings.Join(spaceSDKs, ", "))
	case typ != Space && o.SDK != "":
		return nil, badRequest(`"sdk" is for Spaces`)
	}
	if ns != "" {
		switch u, org := h.st.user(ns), h.st.org(ns); {
		case u != nil:
			id = u.Name + id[len(ns):]
		case org != nil:
			id = org.Name + id[len(ns):]
		default:
			return nil, fail(http.StatusNotFound, "There is no user or organization %q", ns)
		}
	}
	rec := &repoRec{
		UID: newID(12), Type: typ, ID: id, Creator: o.Creator, Private: o.Private, Gated: o.Gated, SDK: o.SDK, Created: h.now(),
	}
	if rec.Creator == "" {
		rec.Creator, _ = splitID(id)
	}
	if typ == Space {
		sp, err := h.newSpaceRec(o.SDK, rec.owner(), o.Space)
		if err != nil {
			return nil, err
		}
		rec.Space = sp
	}
	return rec, nil
}

// createRepo makes a repository, with the files that fill adds to its first commit.
func (h *Hub) createRepo(typ, id string, o RepoOptions, fill func(*draft) error) (*repoRec, error) {
	rec, err := h.newRepoRec(typ, id, o)
	if err != nil {
		return nil, err
	}
	return rec, h.addRepo(rec, func(r *repo) error {
		d := h.newDraft(r, rec.Creator)
		d.title = "initial commit"
		if err := d.addFile(gitattributesFile, []byte(defaultAttributes)); err != nil {
			return err
		}
		if err := fill(d); err != nil {
			return err
		}
		if err := d.checkLFSRights(); err != nil {
			return err
		}
		oid, err := d.write(gitstore.OID{})
		if err != nil {
			return err
		}
		return r.moveRef(refsHeads+"main", gitstore.OID{}, oid)
	})
}

// addRepo makes the store of a repository, fills it, and then makes the
// repository known.
func (h *Hub) addRepo(rec *repoRec, fill func(*repo) error) error {
	if other, renamed := h.st.repo(rec.key()); other != nil && !renamed {
		return errRepoExists(other)
	}
	store, err := h.stores.create(rec.UID)
	if err == nil {
		err = fill(&repo{rec, store})
	}
	if err == nil {
		err = h.st.addRepo(rec)
	}
	if err != nil {
		return errors.Join(err, h.stores.remove(rec.UID))
	}
	h.happened(occurrence{action: "create", scope: "repo", repo: rec})
	return nil
}

// open finds a repository by its name. A name that it once had is not found.
func (h *Hub) openRepo(typ, id string) (*repo, error) {
	rec, renamed := h.st.repo(keyOf(typ, id))
	if rec == nil || renamed {
		return nil, repoNotFound()
	}
	store, err := h.stores.get(rec.UID)
	if err != nil {
		return nil, err
	}
	return &repo{rec, store}, nil
}

// DeleteRepo removes a repository.
func (h *Hub) DeleteRepo(typ, id string) error {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return err
	}
	if err := h.st.dropRepo(r.UID); err != nil {
		return err
	}
	h.happened(occurrence{action: "delete", scope: "repo", repo: r.repoRec})
	return h.stores.remove(r.UID)
}

// MoveRepo renames a repository. The old name redirects to the new one.
func (h *Hub) MoveRepo(typ, from, to string) error {
	r, err := h.openRepo(typ, from)
	if err != nil {
		return err
	}
	rec, err := h.newRepoRec(typ, to, RepoOptions{SDK: r.SDK})
	if err != nil {
		return err
	}
	if err := h.st.moveRepo(r.UID, rec.ID); err != nil {
		return err
	}
	h.happened(occurrence{action: "move", scope: "repo", repo: r.repoRec, movedTo: rec})
	return nil
}

// RepoUpdate holds the attributes to change; nil leaves one as it is.
type RepoUpdate struct {
	Private  *bool
	Gated    *string // "", "auto" or "manual"
	Disabled *bool
}

// UpdateRepo changes attributes of a repository.
func (h *Hub) UpdateRepo(typ, id string, u RepoUpdate) error {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return err
	}
	if u.Gated != nil && *u.Gated != "" && *u.Gated != "auto" && *u.Gated != "manual" {
		return badRequest(`"gated" must be one of [auto, manual, false]`)
	}
	err = h.st.changeRepo(r.UID, func(rec *repoRec) error {
		if u.Private != nil {
			rec.Private = *u.Private
		}
		if u.Gated != nil {
			rec.Gated = *u.Gated
		}
		if u.Disabled != nil {
			rec.Disabled = *u.Disabled
		}
		return nil
	})
	if rec := h.st.repoByUID(r.UID); err == nil && rec != nil {
		config := map[string]any{}
		if u.Private != nil {
			config["private"] = *u.Private
		}
		h.happened(occurrence{action: "update", scope: "repo.config", repo: rec, config: config})
	}
	return err
}

// GrantAccess lets a user read a gated repository.
func (h *Hub) GrantAccess(typ, id, user string) error {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return err
	}
	return h.grantAccess(r.repoRec, user, r.owner(), false)
}

// draft makes a draft of a commit.
func (h *Hub) draft(r *repo, in CommitInput) (*draft, error) {
	if in.Title == "" {
		return nil, badRequest("A commit needs a title")
	}
	author := in.Author
	if author == "" {
		author = r.owner()
	}
	d := h.newDraft(r, author)
	d.title, d.description, d.parent = in.Title, in.Description, in.Parent
	if !in.Date.IsZero() {
		d.date, d.dated = in.Date.UTC().Truncate(time.Second), true
	}
	for _, op := range in.Operations {
		var err error
		switch {
		case op.Kind == OpAdd && op.LFS != nil:
			err = d.addLFS(op.Path, op.LFS.OID, op.LFS.Size)
		case op.Kind == OpAdd:
			err = d.addFile(op.Path, op.Content)
		case op.Kind == OpDelete, op.Kind == OpDeleteFolder:
			err = d.remove(op.Kind, op.Path)
		case op.Kind == OpCopy:
			if err = checkPath(op.Path); err == nil {
				d.ops = append(d.ops, draftOp{kind: OpCopy, path: op.Path, from: op.From, fromRev: op.FromRev})
			}
		default:
			err = badRequest("%q is no kind of operation", op.Kind)
		}
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Commit makes a commit on a branch or on refs/pr/<n> and returns its id. It is
// made whole or not at all.
func (h *Hub) Commit(typ, id, branch string, in CommitInput) (string, error) {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return "", err
	}
	d, err := h.draft(r, in)
	if err != nil {
		return "", err
	}
	oid, err := d.commitTo(branch)
	if err != nil {
		return "", err
	}
	return oid.String(), nil
}

// CreatePR opens a pull request against branch base ("" is main) with one commit,
// on ref refs/pr/<number>.
func (h *Hub) CreatePR(typ, id, base string, in CommitInput) (number int, oid string, err error) {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return 0, "", err
	}
	d, err := h.draft(r, in)
	if err != nil {
		return 0, "", err
	}
	n, commit, err := d.commitToNewPR(orMain(base))
	if err != nil {
		return 0, "", err
	}
	return n, commit.String(), nil
}

func orMain(rev string) string {
	if rev == "" {
		return "main"
	}
	return rev
}
