package localhub

import (
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// discussionVerbs are the routes below /discussions/{num}, by what is behind the
// number; an id of a comment is a star.
var discussionVerbs = map[string]struct {
	method string
	fn     func(*call, int) error
}{
	"":               {http.MethodGet, (*call).discussionDetails},
	"comment":        {http.MethodPost, (*call).addComment},
	"title":          {http.MethodPost, (*call).renameDiscussion},
	"status":         {http.MethodPost, (*call).changeStatus},
	"merge":          {http.MethodPost, (*call).merge},
	"comment/*/edit": {http.MethodPost, (*call).editComment},
	"comment/*/hide": {http.MethodPost, (*call).hideComment},
}

// discussions are all routes of discussions.
func (c *call) discussions() error {
	if err := c.h.checkRead(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	if len(c.segs) == 0 {
		return c.do(methods{http.MethodGet: (*call).listDiscussions, http.MethodPost: (*call).createDiscussion})
	}
	num, err := strconv.Atoi(c.segs[0])
	if err != nil || num < 1 {
		return badRequest("The number of a discussion must be a positive one")
	}
	key := c.segs[1:]
	if len(key) == 3 {
		key = []string{key[0], "*", key[2]}
	}
	v, ok := discussionVerbs[strings.Join(key, "/")]
	if !ok {
		return noRoute()
	}
	return c.do(methods{v.method: func(c *call) error {
		if v.method == http.MethodPost {
			if err := c.mayDiscuss(); err != nil {
				return err
			}
			if _, err := c.query(); err != nil {
				return err
			}
		}
		return v.fn(c, num)
	}})
}

// mayDiscuss refuses callers who may only read.
func (c *call) mayDiscuss() error {
	if c.anonymous() {
		return errNoToken()
	}
	if !c.token.allows(true, c.repo.owner(), c.repo.entityName()) && !c.token.allows(true, c.user.Name, "") {
		return fail(http.StatusForbidden, "This token may not take part in discussions.")
	}
	return nil
}

// mayModerate refuses those who neither have written something nor may write to
// the repository.
func (c *call) mayModerate(author string) error {
	if strings.EqualFold(author, c.name()) || c.h.canWrite(c.caller, c.repo.repoRec) {
		return nil
	}
	return fail(http.StatusForbidden, "Only %s and those who may write to %s can do this.", author, c.repo.ID)
}

func (c *call) listDiscussions() error {
	q, err := c.query("type", "status", "author", "p")
	if err != nil {
		return err
	}
	for key, allowed := range map[string][]string{"type": {"", "all", "discussion", "pull_request"}, "status": {"", "all", statusOpen, statusClosed}} {
		if err := oneOf(key, q.Get(key), allowed); err != nil {
			return err
		}
	}
	p, err := number(q, "p", 0, 0, 1<<24)
	if err != nil {
		return err
	}
	var found []*discussionRec
	closed := 0
	for _, d := range c.h.st.discussionsOf(c.repo.UID) {
		isClosed := d.Status == statusClosed || d.Status == statusMerged
		switch {
		case q.Get("type") == "discussion" && d.Pull != nil, q.Get("type") == "pull_request" && d.Pull == nil:
			continue
		case q.Has("author") && !strings.EqualFold(q.Get("author"), d.Author):
			continue
		}
		if isClosed {
			closed++
		}
		if q.Get("status") == statusOpen && isClosed || q.Get("status") == statusClosed && !isClosed {
			continue
		}
		found = append(found, d)
	}
	size := max(1, c.h.pageSize/20)
	start := min(p*size, len(found))
	list := []map[string]any{}
	for _, d := range found[start:min(start+size, len(found))] {
		list = append(list, c.discussionHead(d))
	}
	return c.json(map[string]any{"discussions": list, "count": len(found), "start": start, "numClosedDiscussions": closed})
}

// oneOf refuses a value of a query or a body that isn't known.
func oneOf(key, value string, allowed []string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return badRequest("%q must be one of %v", key, allowed[1:])
}

// author is the account of who wrote something; nil leaves it out: the account is
// gone.
func (c *call) author(name string) map[string]any {
	u := c.h.st.user(name)
	if u == nil {
		if o := c.h.st.org(name); o != nil {
			return map[string]any{"_id": o.ID, "name": o.Name, "fullname": fullname(o.Fullname, o.Name), "avatarUrl": "", "type": "org", "isHf": false}
		}
		return nil
	}
	return map[string]any{
		"_id": u.ID, "name": u.Name, "fullname": fullname(u.Fullname, u.Name), "avatarUrl": "", "type": "user", "isPro": u.Pro, "isHf": false, "isMod": false,
	}
}

// discussionHead is what lists and details have in common.
func (c *call) discussionHead(d *discussionRec) map[string]any {
	comments := 0
	for _, e := range d.Events {
		if e.Type == eventComment {
			comments++
		}
	}
	out := map[string]any{
		"num": d.Num, "title": d.Title, "status": d.Status, "createdAt": date(d.Created), "isPullRequest": d.Pull != nil, "pinned": false,
		"repo": map[string]any{"name": c.repo.ID, "type": c.repo.Type}, "numComments": comments, "numReactionUsers": 0, "topReactions": []any{},
	}
	if a := c.author(d.Author); a != nil {
		out["author"] = a
	}
	return out
}

func (c *call) discussionDetails(num int) error {
	q, err := c.query("diff")
	if err != nil {
		return err
	}
	withDiff, err := flag(q, "diff")
	if err != nil {
		return err
	}
	d, err := c.h.followPull(c.repo, num)
	if err != nil {
		return err
	}
	out := c.discussionHead(d)
	out["_id"], out["collection"], out["locked"] = d.ID, "discussions", false
	events := []map[string]any{}
	for i := range d.Events {
		events = append(events, c.event(&d.Events[i]))
	}
	out["events"] = events
	if d.Pull == nil {
		out["isReport"] = false
		return c.json(out)
	}
	if err := c.pullDetails(d, withDiff, out); err != nil {
		return err
	}
	return c.json(out)
}

// pullDetails adds what a pull request would change. Who may not read the content
// of a gated repository doesn't see it here.
func (c *call) pullDetails(d *discussionRec, withDiff bool, out map[string]any) error {
	changes := map[string]any{"base": d.Pull.Base}
	if d.Pull.Merge != "" {
		changes["mergeCommitId"] = d.Pull.Merge
	}
	out["changes"], out["filesWithConflicts"] = changes, []string{}
	out["diffUrl"] = c.webURL(c.repo.repoRec) + "/discussions/" + strconv.Itoa(d.Num) + "/files"
	if !c.h.passesGate(c.caller, c.repo.repoRec) {
		return nil
	}
	base, head, err := c.repo.ends(d)
	if err != nil {
		// One of the branches is gone, and with it what there would be to merge.
		out["filesWithConflicts"] = true
		return nil //nolint:nilerr // as said
	}
	fork, _ := gitstore.ParseOID(d.Pull.Fork)
	if d.Status != statusMerged {
		_, conflicts, err := c.repo.mergeTrees(c.repo.git.NewBatch(), base, head)
		if err != nil {
			return err
		}
		out["filesWithConflicts"] = conflicts.wire()
		at, err := c.repo.mergeBase(base, head)
		if err != nil {
			return err
		}
		if !at.IsZero() {
			fork = at
		}
	}
	if !withDiff {
		return nil
	}
	var trees [2]gitstore.OID
	for i, oid := range []gitstore.OID{fork, head} {
		if oid.IsZero() {
			continue
		}
		commit, err := c.repo.git.Commit(oid)
		if err != nil {
			return err
		}
		trees[i] = commit.Tree
	}
	out["diff"], err = c.repo.diff(trees[0], trees[1])
	return err
}

// event is an event of a discussion's timeline.
func (c *call) event(e *eventRec) map[string]any {
	var data map[string]any
	switch e.Type {
	case eventComment:
		data = c.comment(e.Comment)
	case eventStatus:
		data = map[string]any{"status": e.Status}
	case eventCommit:
		parents := e.Parents
		if parents == nil {
			parents = []string{}
		}
		data = map[string]any{"subject": e.Subject, "oid": e.OID, "parents": parents}
	case eventTitle:
		data = map[string]any{"from": e.From, "to": e.To}
	}
	out := map[string]any{"id": e.ID, "type": e.Type, "createdAt": date(e.Created), "data": data}
	if a := c.author(e.Author); a != nil {
		out["author"] = a
	}
	return out
}

// hiddenText stands for a comment that was hidden.
const hiddenText = "This comment has been hidden"

func (c *call) comment(m *commentRec) map[string]any {
	if m.HiddenBy != "" {
		latest := map[string]any{"raw": hiddenText, "html": "<p>" + hiddenText + "</p>", "updatedAt": date(m.At)}
		if a := c.author(m.Author); a != nil {
			latest["author"] = a
		}
		return map[string]any{
			"edited": true, "hidden": true, "hiddenBy": m.HiddenBy, "numEdits": 0, "editors": []string{}, "editorAvatarUrls": []string{},
			"reactions": []any{}, "history": []any{}, "latest": latest,
		}
	}
	editors, history := []string{}, []map[string]any{}
	seen := map[string]bool{}
	for i, t := range append(m.History[:len(m.History):len(m.History)], m.textRec) {
		if !seen[t.Author] {
			seen[t.Author] = true
			editors = append(editors, t.Author)
		}
		if i < len(m.History) {
			history = append(history, c.commentText(t))
		}
	}
	return map[string]any{
		"edited": len(m.History) > 0, "hidden": false, "numEdits": len(m.History), "editors": editors,
		"editorAvatarUrls": make([]string, len(editors)), "reactions": []any{}, "history": history, "latest": c.commentText(m.textRec),
	}
}

func (c *call) commentText(t textRec) map[string]any {
	out := map[string]any{"raw": t.Raw, "html": commentHTML(t.Raw), "updatedAt": date(t.At)}
	if a := c.author(t.Author); a != nil {
		out["author"] = a
	}
	return out
}

// commentHTML shows a comment's text as it was written, in paragraphs: this Hub
// has no pages on which markdown would be rendered.
func commentHTML(raw string) string {
	var b strings.Builder
	for p := range strings.SplitSeq(raw, "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			b.WriteString("<p>" + html.EscapeString(p) + "</p>")
		}
	}
	return b.String()
}

func (c *call) createDiscussion() error {
	if _, err := c.query(); err != nil {
		return err
	}
	if err := c.mayDiscuss(); err != nil {
		return err
	}
	var body struct {
		Title       string `json:"title"`
		Description string `json:"description"`
		PullRequest bool   `json:"pullRequest"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	title, err := checkTitle(body.Title)
	if err == nil {
		err = checkComment("description", body.Description)
	}
	if err != nil {
		return err
	}
	if body.PullRequest {
		if err := c.h.checkContent(c.caller, c.repo.repoRec); err != nil {
			return err
		}
	}
	d, err := c.h.openDiscussion(c.repo, c.name(), title, body.Description, body.PullRequest)
	if err != nil {
		return err
	}
	out := map[string]any{"num": d.Num, "pullRequest": d.Pull != nil, "url": fmt.Sprintf("%s/discussions/%d", c.webURL(c.repo.repoRec), d.Num)}
	if d.Pull != nil {
		out["references"] = map[string]any{"base": d.Pull.Base}
	}
	return c.json(out)
}

func (c *call) addComment(num int) error {
	var body struct {
		Comment string `json:"comment"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	if err := checkComment("comment", body.Comment); err != nil {
		return err
	}
	var e eventRec
	d, err := c.h.st.changeDiscussion(c.repo.UID, num, func(d *discussionRec) error {
		e = *d.comment(c.name(), body.Comment)
		return nil
	})
	if err != nil {
		return err
	}
	c.h.commented(c.repo, "create", d, &e)
	return c.json(map[string]any{"newMessage": c.event(&e)})
}

func (c *call) renameDiscussion(num int) error {
	var body struct {
		Title string `json:"title"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	title, err := checkTitle(body.Title)
	if err != nil {
		return err
	}
	var e eventRec
	d, err := c.h.st.changeDiscussion(c.repo.UID, num, func(d *discussionRec) error {
		if err := c.mayModerate(d.Author); err != nil {
			return err
		}
		e = *d.add(eventRec{Type: eventTitle, Author: c.name(), From: d.Title, To: title})
		d.Title = title
		return nil
	})
	if err != nil {
		return err
	}
	c.h.discussed(c.repo, "update", d, nil)
	return c.json(map[string]any{"newTitle": c.event(&e)})
}

func (c *call) changeStatus(num int) error {
	var body struct {
		Status  string `json:"status"`
		Comment string `json:"comment"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	if body.Status != statusOpen && body.Status != statusClosed {
		return badRequest(`"status" must be one of [open, closed]`)
	}
	if body.Comment != "" {
		if err := checkComment("comment", body.Comment); err != nil {
			return err
		}
	}
	d, err := c.h.followPull(c.repo, num)
	if err == nil {
		err = c.mayModerate(d.Author)
	}
	if err != nil {
		return err
	}
	_, e, err := c.h.setDiscussionStatus(c.repo, num, c.name(), body.Status, body.Comment)
	if err != nil {
		return err
	}
	return c.json(map[string]any{"newStatus": c.event(&e)})
}

func (c *call) merge(num int) error {
	if err := c.h.checkWrite(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	var body struct {
		Comment string `json:"comment"`
	}
	if c.r.ContentLength != 0 {
		if err := c.body(&body); err != nil {
			return err
		}
		if body.Comment != "" {
			if err := checkComment("comment", body.Comment); err != nil {
				return err
			}
		}
	}
	d, err := c.h.mergePull(c.repo, num, c.name(), body.Comment)
	if err != nil {
		return err
	}
	return c.json(map[string]any{"status": d.Status, "mergeCommitId": d.Pull.Merge})
}

func (c *call) editComment(num int) error {
	var body struct {
		Content string `json:"content"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	if err := checkComment("content", body.Content); err != nil {
		return err
	}
	return c.changeComment(num, func(m *commentRec) error {
		if m.HiddenBy != "" {
			return badRequest("The comment is hidden: it can't be edited")
		}
		m.History = append(m.History[:len(m.History):len(m.History)], m.textRec)
		m.textRec = textRec{body.Content, c.name(), time.Now().UTC()}
		return nil
	})
}

func (c *call) hideComment(num int) error {
	return c.changeComment(num, func(m *commentRec) error {
		if m.HiddenBy == "" {
			*m = commentRec{textRec: textRec{"", c.name(), time.Now().UTC()}, HiddenBy: c.name()}
		}
		return nil
	})
}

// changeComment replaces the comment that the path names by what fn makes of it.
func (c *call) changeComment(num int, fn func(*commentRec) error) error {
	id := strings.ToLower(c.segs[2])
	var changed eventRec
	d, err := c.h.st.changeDiscussion(c.repo.UID, num, func(d *discussionRec) error {
		for i := range d.Events {
			e := &d.Events[i]
			if e.ID != id || e.Comment == nil {
				continue
			}
			if err := c.mayModerate(e.Author); err != nil {
				return err
			}
			m := *e.Comment
			if err := fn(&m); err != nil {
				return err
			}
			e.Comment = &m
			changed = *e
			return nil
		}
		return fail(http.StatusNotFound, "There is no comment %q in discussion %d", oneLine(c.segs[2]), num)
	})
	if err != nil {
		return err
	}
	c.h.commented(c.repo, "update", d, &changed)
	return c.json(map[string]any{"updatedComment": c.event(&changed)})
}
