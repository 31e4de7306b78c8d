package localhub

import (
	"net/http"
	"strings"
	"time"
)

// recently is how long a like counts for the trending score.
const recently = 7 * 24 * time.Hour

// mayAct refuses a caller who can't do something in their own name with this token.
func (c *call) mayAct() error {
	if c.anonymous() {
		return errNoToken()
	}
	if !c.token.allows(true, c.user.Name, "") {
		return fail(http.StatusForbidden, "This token only reads: it can't do this in the name of %s", c.user.Name)
	}
	return nil
}

func (c *call) like() error   { return c.setLike(true) }
func (c *call) unlike() error { return c.setLike(false) }

func (c *call) setLike(on bool) error {
	if _, err := c.query(); err != nil {
		return err
	}
	if err := c.mayAct(); err != nil {
		return err
	}
	if err := c.h.st.setLike(c.repo.UID, c.user.Name, on, c.h.now()); err != nil {
		return err
	}
	return c.ok()
}

// likers lists who likes a repository, the latest first.
func (c *call) likers() error {
	q, err := c.query("limit", "cursor")
	if err != nil {
		return err
	}
	return c.people(q, c.h.st.likers(c.repo.UID))
}

// userLikes lists the repositories that a user likes, the latest first. Private ones
// are not shown, not even to their owners.
func (c *call) userLikes() error {
	q, err := c.query("limit", "cursor")
	if err != nil {
		return err
	}
	u, err := c.theUser()
	if err != nil {
		return err
	}
	list, err := page(c, q, c.h.publicLikes(u))
	if err != nil {
		return err
	}
	out := []map[string]any{}
	for _, l := range list {
		out = append(out, map[string]any{"createdAt": date(l.at), "repo": map[string]any{"name": l.repo.ID, "type": l.repo.Type}})
	}
	return c.json(out)
}

type likedRepo struct {
	repo *repoRec
	at   time.Time
}

func (h *Hub) publicLikes(u *userRec) (list []likedRepo) {
	for _, l := range h.st.liked(u.Name) {
		if r := h.st.repoByUID(l.name); r != nil && !r.Private && !r.Disabled {
			list = append(list, likedRepo{r, l.at})
		}
	}
	return list
}

// theUser is the user that the path names.
func (c *call) theUser() (*userRec, error) {
	u := c.h.st.user(c.segs[0])
	if u == nil {
		return nil, noSuchUser(oneLine(c.segs[0]))
	}
	return u, nil
}

func (c *call) userFollowers() error {
	q, err := c.query("limit", "cursor")
	if err != nil {
		return err
	}
	u, err := c.theUser()
	if err != nil {
		return err
	}
	return c.people(q, c.h.st.followers(u.Name))
}

func (c *call) orgFollowers() error {
	q, err := c.query("limit", "cursor")
	if err != nil {
		return err
	}
	o, err := c.theOrg()
	if err != nil {
		return err
	}
	return c.people(q, c.h.st.followers(o.Name))
}

// userFollowing lists the users whom a user follows. Organisations are left out: the
// list is one of users.
func (c *call) userFollowing() error {
	q, err := c.query("limit", "cursor")
	if err != nil {
		return err
	}
	u, err := c.theUser()
	if err != nil {
		return err
	}
	return c.people(q, c.h.followedUsers(u))
}

func (h *Hub) followedUsers(u *userRec) (list []tied) {
	for _, t := range h.st.following(u.Name) {
		if h.st.user(t.name) != nil {
			list = append(list, t)
		}
	}
	return list
}

// people answers with a page of users.
func (c *call) people(q map[string][]string, list []tied) error {
	list, err := page(c, q, list)
	if err != nil {
		return err
	}
	out := []map[string]any{}
	for _, t := range list {
		if u := c.h.st.user(t.name); u != nil {
			out = append(out, c.person(u))
		}
	}
	return c.json(out)
}

// person is what lists say about a user.
func (c *call) person(u *userRec) map[string]any {
	return map[string]any{
		"_id": u.ID, "user": u.Name, "fullname": fullname(u.Fullname, u.Name), "avatarUrl": "", "isPro": u.Pro, "type": "user",
		"isFollowing": !c.anonymous() && c.h.st.follows(c.user.Name, u.Name),
	}
}

func (c *call) follow() error   { return c.setFollow(true) }
func (c *call) unfollow() error { return c.setFollow(false) }

// setFollow lets the caller follow the user or organisation of the path, or no
// longer.
func (c *call) setFollow(on bool) error {
	if _, err := c.query(); err != nil {
		return err
	}
	name := c.segs[0]
	if strings.Contains(c.r.URL.Path, "/organizations/") {
		o, err := c.theOrg()
		if err != nil {
			return err
		}
		name = o.Name
	} else if _, err := c.theUser(); err != nil {
		return err
	}
	if err := c.mayAct(); err != nil {
		return err
	}
	if strings.EqualFold(name, c.user.Name) {
		return badRequest("Nobody follows themselves")
	}
	if err := c.h.st.setFollow(c.user.Name, name, on, c.h.now()); err != nil {
		return err
	}
	return c.ok()
}

// Like lets a user like a repository, or no longer.
func (h *Hub) Like(typ, id, user string, on bool) error {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return err
	}
	u := h.st.user(user)
	if u == nil {
		return noSuchUser(user)
	}
	return h.st.setLike(r.UID, u.Name, on, h.now())
}

// Follow lets a user follow a user or an organisation, or no longer.
func (h *Hub) Follow(user, whom string, on bool) error {
	switch {
	case h.st.user(user) == nil:
		return noSuchUser(user)
	case h.st.user(whom) == nil && h.st.org(whom) == nil:
		return noSuchUser(whom)
	case strings.EqualFold(user, whom):
		return badRequest("Nobody follows themselves")
	}
	return h.st.setFollow(user, whom, on, h.now())
}
