package localhub

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// Limits of what people write.
const (
	minTitle   = 3
	maxTitle   = 200     // characters
	maxComment = 1 << 16 // characters
)

func pullRef(num int) string { return refsPR + strconv.Itoa(num) }

func newDiscussion(num int, author, title, description string) *discussionRec {
	d := &discussionRec{ID: newID(12), Num: num, Title: title, Author: author, Status: statusOpen}
	d.Created = d.comment(author, description).Created
	return d
}

// checkTitle trims a title.
func checkTitle(title string) (string, error) {
	title = strings.TrimSpace(title)
	if n := utf8.RuneCountInString(title); n < minTitle || n > maxTitle {
		return "", badRequest(`"title" must have %d to %d characters`, minTitle, maxTitle)
	}
	return title, nil
}

func checkComment(name, text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return badRequest("%q must not be empty", name)
	case utf8.RuneCountInString(text) > maxComment:
		return badRequest("%q must have at most %d characters", name, maxComment)
	}
	return nil
}

// nextNumber is the number of the next discussion. Requires the repository's
// commit lock.
func (h *Hub) nextNumber(r *repo) (int, error) {
	n := 0
	if all := h.st.discussionsOf(r.UID); len(all) > 0 {
		n = all[0].Num
	}
	refs, err := r.git.Refs(refsPR)
	if err != nil {
		return 0, err
	}
	for _, ref := range refs {
		var have int
		if _, err := fmt.Sscanf(ref.Name, refsPR+"%d", &have); err == nil {
			n = max(n, have)
		}
	}
	return n + 1, nil
}

// openDiscussion makes a discussion, or the draft of a pull request against main
// that has no commits yet.
func (h *Hub) openDiscussion(r *repo, author, title, description string, pull bool) (*discussionRec, error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	n, err := h.nextNumber(r)
	if err != nil {
		return nil, err
	}
	d := newDiscussion(n, author, title, description)
	if pull {
		base, head, err := r.branchRef("main")
		if err != nil {
			return nil, err
		}
		if err := r.moveRef(pullRef(n), gitstore.OID{}, head); err != nil {
			return nil, err
		}
		d.Status, d.Pull = statusDraft, &pullRec{Base: base, Fork: head.String(), Head: head.String()}
	}
	if err := h.st.addDiscussion(r.UID, d); err != nil {
		return nil, err
	}
	h.discussed(r, "create", d, &d.Events[0])
	return d, nil
}

// maxFollow is how many commits of one push become events.
const maxFollow = 1000

// followPull adds events for the commits that a pull request has got, and returns
// it.
func (h *Hub) followPull(r *repo, num int) (*discussionRec, error) {
	d, err := h.st.discussion(r.UID, num)
	if err != nil || d.Pull == nil {
		return d, err
	}
	head, err := r.git.Ref(pullRef(num))
	if errors.Is(err, gitstore.ErrNotFound) || err == nil && head.String() == d.Pull.Head {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	from, fork := d.Pull.Head, d.Pull.Fork
	if fork == "" { // it was made before forks were kept
		if fork, err = r.forkOf(d.Pull.Base, head); err != nil {
			return nil, err
		}
	}
	events, err := r.commitEvents(head, from, fork)
	if err != nil {
		return nil, err
	}
	return h.st.changeDiscussion(r.UID, num, func(d *discussionRec) error {
		if d.Pull.Head != from {
			return nil // somebody else was quicker
		}
		for _, e := range events {
			if last := d.Events[len(d.Events)-1].Created; e.Created.Before(last) {
				e.Created = last
			}
			d.add(e)
		}
		d.Pull.Head, d.Pull.Fork = head.String(), fork
		return nil
	})
}

// forkOf is where a history left a ref, "" if the two have nothing in common.
func (r *repo) forkOf(base string, head gitstore.OID) (string, error) {
	at, err := r.git.Ref(base)
	if errors.Is(err, gitstore.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	fork, err := r.mergeBase(at, head)
	if err != nil || fork.IsZero() {
		return "", err
	}
	return fork.String(), nil
}

// commitEvents are the events of the commits that lead to head from one of the
// others, oldest first.
func (r *repo) commitEvents(head gitstore.OID, from, fork string) ([]eventRec, error) {
	var events []eventRec
	for at := head; len(events) < maxFollow && at.String() != from && at.String() != fork; {
		c, err := r.git.Commit(at)
		if err != nil {
			return nil, err
		}
		e := eventRec{Type: eventCommit, Author: c.Author, Created: c.Date, Subject: c.Title(), OID: at.String()}
		for _, p := range c.Parents {
			e.Parents = append(e.Parents, p.String())
		}
		events = append(events, e)
		if len(c.Parents) == 0 {
			break
		}
		at = c.Parents[0]
	}
	slices.Reverse(events)
	return events, nil
}

// setDiscussionStatus opens or closes a discussion. A draft that is opened is
// published, for good.
func (h *Hub) setDiscussionStatus(r *repo, num int, author, status, comment string) (d *discussionRec, e eventRec, err error) {
	d, err = h.st.changeDiscussion(r.UID, num, func(d *discussionRec) error {
		switch d.Status {
		case statusMerged:
			return badRequest("Pull request %d is merged: its status can't change", num)
		case status:
			return badRequest("The status is %s already", status)
		}
		d.Status = status
		e = *d.add(eventRec{Type: eventStatus, Author: author, Status: status})
		if comment != "" {
			d.comment(author, comment)
		}
		return nil
	})
	if err == nil {
		h.discussed(r, "update", d, nil)
	}
	return d, e, err
}

// MergePR merges a pull request into its target branch, as a user. The error is
// ErrConflict if both have changed the same lines, and ErrBadRequest if it is a
// draft, closed or merged.
func (h *Hub) MergePR(typ, id string, num int, user string) error {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return err
	}
	_, err = h.mergePull(r, num, user, "")
	return err
}

// mergePull merges a pull request: one commit on its target has all its changes.
func (h *Hub) mergePull(r *repo, num int, author, comment string) (*discussionRec, error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	d, err := h.followPull(r, num)
	if err != nil {
		return nil, err
	}
	switch {
	case d.Pull == nil:
		return nil, badRequest("Discussion %d isn't a pull request", num)
	case d.Status != statusOpen:
		return nil, badRequest("Pull request %d can't be merged: its status is %s", num, d.Status)
	}
	base, head, err := r.ends(d)
	if err != nil {
		return nil, err
	}
	dr := h.newDraft(r, author)
	tree, conflicts, err := r.mergeTrees(dr.b, base, head)
	if err != nil {
		return nil, err
	}
	if conflicts != nil {
		e := fail(http.StatusConflict, "Pull request %d can't be merged: it has conflicts with %s", num, strings.TrimPrefix(d.Pull.Base, refsHeads))
		e.Fields = map[string]any{"filesWithConflicts": conflicts.wire()}
		return nil, e
	}
	onto, err := r.git.Commit(base)
	if err != nil {
		return nil, err
	}
	c := &gitstore.Commit{Tree: tree, Parents: []gitstore.OID{base}, Author: author, Email: dr.email, Date: dr.date, Message: h.mergeMessage(d)}
	if c.Date.Before(onto.Date) {
		c.Date = onto.Date
	}
	oid, err := dr.b.AddCommit(c)
	if err != nil {
		return nil, err
	}
	if err := dr.b.Flush(); err != nil {
		return nil, err
	}
	if err := r.moveRef(d.Pull.Base, base, oid); err != nil {
		return nil, err
	}
	d, err = h.st.changeDiscussion(r.UID, num, func(d *discussionRec) error {
		d.Status, d.Pull.Merge = statusMerged, oid.String()
		d.add(eventRec{Type: eventStatus, Author: author, Status: statusMerged})
		if comment != "" {
			d.comment(author, comment)
		}
		return nil
	})
	if err == nil {
		h.discussed(r, "update", d, nil)
	}
	return d, err
}

// ends are the heads of a pull request's target and of its own commits.
func (r *repo) ends(d *discussionRec) (base, head gitstore.OID, err error) {
	if base, err = r.git.Ref(d.Pull.Base); err == nil {
		head, err = r.git.Ref(pullRef(d.Num))
	}
	if errors.Is(err, gitstore.ErrNotFound) {
		err = revisionNotFound(d.Pull.Base)
	}
	return base, head, err
}

// mergeMessage names the pull request, its commits, and who made them.
func (h *Hub) mergeMessage(d *discussionRec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (#%d)\n", d.Title, d.Num)
	authors := []string{}
	for _, e := range d.Events {
		if e.Type != eventCommit {
			continue
		}
		fmt.Fprintf(&b, "\n- %s (%s)", e.Subject, e.OID)
		if !slices.Contains(authors, e.Author) {
			authors = append(authors, e.Author)
		}
	}
	if len(authors) > 0 {
		b.WriteString("\n\n")
	}
	for _, a := range authors {
		fmt.Fprintf(&b, "\nCo-authored-by: %s <%s>", a, h.emailOf(a))
	}
	return strings.TrimRight(b.String(), "\n")
}

// discussed tells webhooks of a discussion, or of a comment in it.
func (h *Hub) discussed(r *repo, action string, d *discussionRec, comment *eventRec) {
	h.happened(occurrence{action: action, scope: "discussion", repo: r.repoRec, discussion: d, comment: comment})
}

func (h *Hub) commented(r *repo, action string, d *discussionRec, comment *eventRec) {
	h.happened(occurrence{action: action, scope: "discussion.comment", repo: r.repoRec, discussion: d, comment: comment})
}
