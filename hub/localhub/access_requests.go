package localhub

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// States of a request for access to a gated repository.
const (
	accessPending  = "pending"
	accessAccepted = "accepted"
	accessRejected = "rejected"
)

// accessRec is somebody's request for access to a gated repository, or access that
// was granted without one.
type accessRec struct {
	User     string            `json:"user"` // name in lower case
	Status   string            `json:"status"`
	Asked    time.Time         `json:"asked"`
	Fields   map[string]string `json:"fields,omitempty"` // of the form
	Reviewed time.Time         `json:"reviewed,omitzero"`
	Granted  string            `json:"grantedBy,omitempty"` // by whom, without a request
	Reason   string            `json:"reason,omitempty"`    // of a rejection
}

// access is a user's request; nil if there is none.
func (r *repoRec) access(user string) *accessRec {
	name := strings.ToLower(user)
	for i := range r.Access {
		if r.Access[i].User == name {
			return &r.Access[i]
		}
	}
	return nil
}

// grantAll turns the users that an older Hub let in into requests that were accepted.
func (r *repoRec) grantAll() {
	for _, name := range r.Granted {
		if r.access(name) == nil {
			r.Access = append(r.Access, accessRec{User: name, Status: accessAccepted, Asked: r.Created, Granted: strings.ToLower(r.owner())})
		}
	}
	r.Granted = nil
}

// maxReason is how many characters the reason of a rejection may have.
const maxReason = 200

// accessRequests are the routes below /user-access-request.
func (c *call) accessRequests() error {
	switch what := c.segs[0]; what {
	case accessPending, accessAccepted, accessRejected:
		return c.do(getOnly(func(c *call) error { return c.listAccess(what) }))
	case "handle":
		return c.do(postOnly((*call).handleAccess))
	case "grant":
		return c.do(postOnly((*call).grantAccess))
	}
	return noRoute()
}

// gatekeeper refuses who may not decide about access.
func (c *call) gatekeeper() error {
	if _, err := c.query(); err != nil {
		return err
	}
	if err := c.h.checkWrite(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	return notGated(c.repo.repoRec)
}

func notGated(r *repoRec) error {
	if r.Gated == "" {
		return badRequest("%s %s isn't gated", r.Type, r.ID)
	}
	return nil
}

func (c *call) listAccess(status string) error {
	if err := c.gatekeeper(); err != nil {
		return err
	}
	list := []map[string]any{}
	for _, a := range c.repo.Access {
		u := c.h.st.user(a.User)
		if a.Status != status || u == nil {
			continue
		}
		who := map[string]any{
			"_id": u.ID, "user": u.Name, "fullname": fullname(u.Fullname, u.Name), "avatarUrl": "", "isPro": u.Pro, "type": "user",
		}
		out := map[string]any{"user": who, "status": a.Status, "timestamp": date(a.Asked)}
		if a.Granted != "" {
			out["grantedBy"] = c.author(a.Granted)
		} else if u.Email != "" {
			who["email"] = u.Email
		}
		if len(a.Fields) > 0 {
			out["fields"] = a.Fields
		}
		if !a.Reviewed.IsZero() && a.Status != accessPending {
			out["reviewedAt"] = date(a.Reviewed)
		}
		if a.Reason != "" {
			out["rejectionReason"] = a.Reason
		}
		list = append(list, out)
	}
	return c.json(list)
}

// handleAccess moves a request to another state.
func (c *call) handleAccess() error {
	if err := c.gatekeeper(); err != nil {
		return err
	}
	var body struct {
		User   string  `json:"user"`
		Status string  `json:"status"`
		Reason *string `json:"rejectionReason"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	switch {
	case body.Status != accessPending && body.Status != accessAccepted && body.Status != accessRejected:
		return badRequest(`"status" must be one of [pending, accepted, rejected]`)
	case body.Reason != nil && body.Status != accessRejected:
		return badRequest(`"rejectionReason" is for rejections`)
	case body.Reason != nil && utf8.RuneCountInString(*body.Reason) > maxReason:
		return badRequest(`"rejectionReason" must have at most %d characters`, maxReason)
	case c.h.st.user(body.User) == nil:
		return noSuchUser(body.User)
	}
	err := c.h.st.changeRepo(c.repo.UID, func(r *repoRec) error {
		a := r.access(body.User)
		switch {
		case a == nil:
			return fail(http.StatusNotFound, "%s hasn't asked for access", oneLine(body.User))
		case a.Status == body.Status:
			return fail(http.StatusNotFound, "The request of %s is %s already", oneLine(body.User), a.Status)
		}
		a.Status, a.Reviewed, a.Reason = body.Status, time.Now().UTC(), ""
		if body.Reason != nil {
			a.Reason = *body.Reason
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(map[string]any{})
}

func (c *call) grantAccess() error {
	if err := c.gatekeeper(); err != nil {
		return err
	}
	var body struct {
		User string `json:"user"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	if err := c.h.grantAccess(c.repo.repoRec, body.User, c.name(), true); err != nil {
		return err
	}
	return c.json(map[string]any{})
}

// grantAccess lets a user in. With once, who is in already is refused.
func (h *Hub) grantAccess(r *repoRec, user, by string, once bool) error {
	if h.st.user(user) == nil {
		return noSuchUser(user)
	}
	return h.st.changeRepo(r.UID, func(rec *repoRec) error {
		a := rec.access(user)
		switch at := time.Now().UTC(); {
		case a == nil:
			rec.Access = append(rec.Access, accessRec{User: strings.ToLower(user), Status: accessAccepted, Asked: at, Reviewed: at, Granted: by})
		case a.Status != accessAccepted:
			a.Status, a.Reviewed, a.Reason = accessAccepted, at, ""
		case once:
			return badRequest("%s has access already", oneLine(user))
		}
		return nil
	})
}

// AskAccess asks for access to a gated repository, as the site does for a user who
// fills in its form. It is granted at once where the gate is "auto". Asking again
// changes nothing; who was rejected may not.
func (h *Hub) AskAccess(typ, id, user string, fields map[string]string) error {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return err
	}
	if h.st.user(user) == nil {
		return noSuchUser(user)
	}
	return h.askAccess(r.repoRec, user, fields)
}

func (h *Hub) askAccess(r *repoRec, user string, fields map[string]string) error {
	return h.st.changeRepo(r.UID, func(rec *repoRec) error {
		if err := notGated(rec); err != nil {
			return err
		}
		if a := rec.access(user); a != nil {
			if a.Status == accessRejected {
				return fail(http.StatusForbidden, "Your request to access %s %s has been rejected by its authors.", rec.Type, rec.ID)
			}
			return nil
		}
		at := time.Now().UTC()
		a := accessRec{User: strings.ToLower(user), Status: accessPending, Asked: at, Fields: fields}
		if rec.Gated == "auto" {
			a.Status, a.Reviewed = accessAccepted, at
		}
		rec.Access = append(rec.Access, a)
		return nil
	})
}

// Limits of the form with which access is asked for.
const (
	maxForm   = 1 << 20 // bytes
	maxFields = 100
)

// askForm takes the form of the site and leads back to the repository.
func (c *call) askForm() error {
	if _, err := c.query(); err != nil {
		return err
	}
	if err := c.h.checkRead(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	if c.anonymous() {
		return errNoToken()
	}
	if !c.token.allows(true, c.user.Name, "") {
		return fail(http.StatusForbidden, "This token may not ask for access.")
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxForm)
	fields := map[string]string{}
	if strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/json") {
		if err := json.NewDecoder(c.r.Body).Decode(&fields); err != nil {
			return bodyError(err)
		}
	} else {
		if err := c.r.ParseForm(); err != nil {
			return bodyError(err)
		}
		for k := range c.r.PostForm {
			fields[k] = c.r.PostForm.Get(k)
		}
	}
	if len(fields) > maxFields {
		return badRequest("The form must have at most %d fields", maxFields)
	}
	if err := c.h.askAccess(c.repo.repoRec, c.user.Name, fields); err != nil {
		return err
	}
	// The site has a page there; here it is the API that tells of the repository.
	c.w.Header().Set("Location", "/api/"+c.repo.Type+"s/"+c.repo.ID)
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// passesGate tells if the caller may read the content of a gated repository.
func (h *Hub) passesGate(c caller, r *repoRec) bool {
	if r.Gated == "" || h.role(c, r.owner()) != "" {
		return true
	}
	a := r.access(c.name())
	return a != nil && a.Status == accessAccepted
}

func gateError(c caller, r *repoRec) *Error {
	e := &Error{Status: http.StatusForbidden, Code: codeGatedRepo}
	e.Message = "Access to " + r.Type + " " + r.ID + " is restricted and you are not in the authorized list. Visit " +
		"/" + r.entityName() + " to ask for access."
	a := r.access(c.name())
	switch {
	case c.anonymous():
		e.Status = http.StatusUnauthorized
		e.Message = "Access to " + r.Type + " " + r.ID + " is restricted. You must have access to it and be authenticated to access it. Please log in."
	case a != nil && a.Status == accessPending:
		e.Message = "Your request to access " + r.Type + " " + r.ID + " is awaiting a review from its authors."
	case a != nil && a.Status == accessRejected:
		e.Message = "Your request to access " + r.Type + " " + r.ID + " has been rejected by its authors."
	}
	return e
}
