package localhub

import (
	"errors"
	"io"
	"net/http"
	"strings"
)

// writer refuses callers who may not write to the repository, and queries.
func (c *call) writer() error {
	if err := c.h.checkWrite(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	_, err := c.query()
	return err
}

// optionalBody reads a JSON body if there is one.
func (c *call) optionalBody(v any) error {
	if c.r.ContentLength == 0 || c.r.Body == http.NoBody {
		return nil
	}
	err := c.body(v)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (c *call) createBranch() error {
	if err := c.writer(); err != nil {
		return err
	}
	name, err := c.arg()
	if err != nil {
		return err
	}
	var body struct {
		StartingPoint *string `json:"startingPoint"`
		EmptyBranch   bool    `json:"emptyBranch"`
		Overwrite     bool    `json:"overwrite"`
	}
	if err := c.optionalBody(&body); err != nil {
		return err
	}
	if body.EmptyBranch && body.StartingPoint != nil {
		return badRequest(`"emptyBranch" and "startingPoint" exclude each other`)
	}
	start, moves := "main", body.EmptyBranch || body.StartingPoint != nil
	if body.StartingPoint != nil {
		start = *body.StartingPoint
	}
	var empty *draft
	if body.EmptyBranch {
		empty = c.h.newDraft(c.repo, c.name())
		empty.title = "Create branch " + name
	}
	err = c.repo.createBranch(name, start, empty, body.Overwrite, moves)
	if err != nil {
		return err
	}
	return c.ok()
}

func (c *call) deleteBranch() error {
	if err := c.writer(); err != nil {
		return err
	}
	name, err := c.arg()
	if err != nil {
		return err
	}
	if err := c.repo.deleteBranch(name); err != nil {
		return err
	}
	return c.ok()
}

func (c *call) createTag() error {
	if err := c.writer(); err != nil {
		return err
	}
	rev, err := c.revision()
	if err != nil {
		return err
	}
	if len(c.segs) > 0 {
		return revisionNotFound(rev + "/" + strings.Join(c.segs, "/"))
	}
	var body struct {
		Tag     string `json:"tag"`
		Message string `json:"message"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	if err := c.repo.setTag(body.Tag, rev, body.Message, c.name(), c.h.emailOf(c.name()), false); err != nil {
		return err
	}
	return c.ok()
}

func (c *call) deleteTag() error {
	if err := c.writer(); err != nil {
		return err
	}
	name, err := c.arg()
	if err != nil {
		return err
	}
	if err := c.repo.deleteTag(name); err != nil {
		return err
	}
	return c.ok()
}

func (c *call) superSquash() error {
	if err := c.writer(); err != nil {
		return err
	}
	branch, err := c.arg()
	if err != nil {
		return err
	}
	var body struct {
		Message string `json:"message"`
	}
	if err := c.optionalBody(&body); err != nil {
		return err
	}
	d := c.h.newDraft(c.repo, c.name())
	if d.title = body.Message; d.title == "" {
		d.title = "Super-squash branch '" + branch + "'"
	}
	if err := c.repo.squash(branch, d); err != nil {
		return err
	}
	return c.ok()
}

// noXet says that this Hub has no Xet storage, and what to do about it.
func (c *call) noXet() error {
	return fail(http.StatusNotFound, "This Hub doesn't speak Xet. Set HF_HUB_DISABLE_XET=1 to upload with LFS.")
}
