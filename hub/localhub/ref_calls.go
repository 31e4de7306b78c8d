package localhub

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// CreateBranch makes a branch at a revision ("" is main).
func (h *Hub) CreateBranch(typ, id, branch, revision string) error {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return err
	}
	return r.createBranch(branch, orMain(revision), nil, false, false)
}

// createBranch makes a branch at a revision, or with an empty draft, at a first
// commit of its own. With overwrite a branch that exists is no error: it is moved
// there if moves is set, and else left alone.
func (r *repo) createBranch(branch, revision string, empty *draft, overwrite, moves bool) error {
	if !validBranch(branch) {
		return badRequest("Invalid reference for a branch: %s", oneLine(branch))
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	old, err := r.git.Ref(refsHeads + branch)
	if err != nil && !errors.Is(err, gitstore.ErrNotFound) {
		return err
	}
	switch {
	case err == nil && !overwrite:
		return fail(http.StatusConflict, "Reference already exists: %s", refsHeads+branch)
	case err == nil && !moves:
		return nil
	}
	var at gitstore.OID
	if empty != nil {
		at, err = empty.write(gitstore.OID{})
	} else {
		at, err = r.resolve(revision)
	}
	if err != nil {
		return err
	}
	return r.moveRef(refsHeads+branch, old, at)
}

// DeleteBranch removes a branch. Branch main can't be removed.
func (h *Hub) DeleteBranch(typ, id, branch string) error {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return err
	}
	return r.deleteBranch(branch)
}

func (r *repo) deleteBranch(branch string) error {
	branch = strings.TrimPrefix(branch, refsHeads)
	if branch == "main" {
		return badRequest("Cannot delete refs/heads/main")
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	head, err := r.git.Ref(refsHeads + branch)
	if errors.Is(err, gitstore.ErrNotFound) {
		return revisionNotFound(branch)
	}
	if err != nil {
		return err
	}
	return r.moveRef(refsHeads+branch, head, gitstore.OID{})
}

// CreateTag tags a revision ("" is main); with a message, the tag is annotated.
func (h *Hub) CreateTag(typ, id, tag, revision, message string) error {
	return h.setTag(typ, id, tag, revision, message, false)
}

// MoveTag lets an existing tag name another revision.
func (h *Hub) MoveTag(typ, id, tag, revision string) error {
	return h.setTag(typ, id, tag, revision, "", true)
}

func (h *Hub) setTag(typ, id, tag, revision, message string, move bool) error {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return err
	}
	author := r.owner()
	return r.setTag(tag, revision, message, author, h.emailOf(author), move)
}

func (r *repo) setTag(tag, revision, message, author, email string, move bool) error {
	if !validBranch(tag) {
		return badRequest("Invalid reference for a tag: %s", oneLine(tag))
	}
	at, err := r.resolve(orMain(revision))
	if err != nil {
		return err
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	var old gitstore.OID
	if move {
		if old, err = r.tagRef(tag); err != nil {
			return err
		}
	} else if _, err := r.git.Ref(refsTags + tag); err == nil {
		return fail(http.StatusConflict, "Tag reference exists already: %s", refsTags+tag)
	}
	if message != "" {
		b := r.git.NewBatch()
		if at, err = b.AddTag(tag, at, author, email, message, time.Now().UTC().Truncate(time.Second)); err != nil {
			return err
		}
		if err := b.Flush(); err != nil {
			return err
		}
	}
	return r.moveRef(refsTags+tag, old, at)
}

// tagRef is what a tag's ref points to, maybe a tag object.
func (r *repo) tagRef(tag string) (gitstore.OID, error) {
	h, err := r.git.Ref(refsTags + tag)
	if errors.Is(err, gitstore.ErrNotFound) {
		err = revisionNotFound(tag)
	}
	return h, err
}

// DeleteTag removes a tag.
func (h *Hub) DeleteTag(typ, id, tag string) error {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return err
	}
	return r.deleteTag(tag)
}

func (r *repo) deleteTag(tag string) error {
	r.commit.Lock()
	defer r.commit.Unlock()
	old, err := r.tagRef(strings.TrimPrefix(tag, refsTags))
	if err != nil {
		return err
	}
	return r.moveRef(refsTags+strings.TrimPrefix(tag, refsTags), old, gitstore.OID{})
}

// CreateConvert sets refs/convert/<name> to a revision, as a Hub's own jobs do
// for datasets.
func (h *Hub) CreateConvert(typ, id, name, revision string) error {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return err
	}
	at, err := r.resolve(orMain(revision))
	if err != nil {
		return err
	}
	if !gitstore.ValidRefName(refsConvert + name) {
		return badRequest("Invalid reference: %s", oneLine(refsConvert+name))
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	old, err := r.git.Ref(refsConvert + name)
	if err != nil && !errors.Is(err, gitstore.ErrNotFound) {
		return err
	}
	return r.moveRef(refsConvert+name, old, at)
}

// squash gives a branch one commit with its present tree and no history.
func (r *repo) squash(branch string, d *draft) error {
	r.commit.Lock()
	defer r.commit.Unlock()
	ref, head, err := r.branchRef(branch)
	if errors.Is(err, ErrRevisionNotFound) {
		if _, other := r.resolve(branch); other == nil {
			return badRequest("Only the history of a branch can be squashed, not of %s", oneLine(branch))
		}
	}
	if err != nil {
		return err
	}
	old, err := r.git.Commit(head)
	if err != nil {
		return err
	}
	c := &gitstore.Commit{Tree: old.Tree, Author: d.author, Email: d.email, Date: d.date, Message: message(d.title, "")}
	oid, err := d.b.AddCommit(c)
	if err != nil {
		return err
	}
	if err := d.b.Flush(); err != nil {
		return err
	}
	return r.moveRef(ref, head, oid)
}

// Head returns the commit that a revision names.
func (h *Hub) Head(typ, id, revision string) (string, error) {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return "", err
	}
	oid, err := r.resolve(orMain(revision))
	if err != nil {
		return "", err
	}
	return oid.String(), nil
}
