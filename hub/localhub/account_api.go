package localhub

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// whoami answers whose token it is.
func (c *call) whoami() error {
	if _, err := c.query(); err != nil {
		return err
	}
	if c.anonymous() {
		return errNoToken()
	}
	orgs := []map[string]any{}
	for _, o := range c.h.st.orgsOf(c.user.Name) {
		orgs = append(orgs, map[string]any{
			"type": "org", "id": o.ID, "name": o.Name, "fullname": fullname(o.Fullname, o.Name), "email": nil,
			"canPay": !o.NoBilling, "periodEnd": nil, "avatarUrl": "", "roleInOrg": o.Members[strings.ToLower(c.user.Name)], "isEnterprise": false,
		})
	}
	token := map[string]any{"displayName": c.token.Name, "role": c.token.Role, "createdAt": date(c.user.Created)}
	if c.token.Role == RoleFineGrained {
		token["fineGrained"] = map[string]any{"canReadGatedRepos": true, "global": []string{}, "scoped": c.scopes()}
	}
	return c.json(map[string]any{
		"type": "user", "id": c.user.ID, "name": c.user.Name, "fullname": fullname(c.user.Fullname, c.user.Name),
		"email": c.user.Email, "emailVerified": c.user.Email != "", "canPay": !c.user.NoBilling, "periodEnd": nil, "isPro": c.user.Pro,
		"avatarUrl": "", "orgs": orgs, "auth": map[string]any{"type": "access_token", "accessToken": token},
	})
}

// scopes are those of a fine-grained token, as whoami shows them.
func (c *call) scopes() []map[string]any {
	out := []map[string]any{}
	for _, s := range c.token.Scopes {
		kind := "user"
		switch {
		case strings.HasPrefix(s.Entity, "datasets/"):
			kind = Dataset
		case strings.HasPrefix(s.Entity, "spaces/"):
			kind = Space
		case strings.Contains(s.Entity, "/"):
			kind = Model
		case c.h.st.org(s.Entity) != nil:
			kind = "org"
		}
		permissions := []string{"repo.content.read"}
		if s.Write {
			permissions = append(permissions, "repo.write")
		}
		out = append(out, map[string]any{"entity": map[string]string{"type": kind, "name": s.Entity}, "permissions": permissions})
	}
	return out
}

func fullname(full, name string) string {
	if full == "" {
		return name
	}
	return full
}

// counts are how many repositories of each type a namespace has that the caller
// may see.
func (c *call) counts(namespace string, into map[string]any) {
	for key, typ := range map[string]string{"numModels": Model, "numDatasets": Dataset, "numSpaces": Space} {
		n := 0
		for _, r := range c.h.st.reposOf(typ) {
			if !r.Disabled && strings.EqualFold(r.owner(), namespace) && c.h.canRead(c.caller, r) {
				n++
			}
		}
		into[key] = n
	}
}

// discussionsBy counts the discussions and pull requests that a user has opened where
// everybody can see it.
func (h *Hub) discussionsBy(u *userRec) int {
	n := 0
	for _, typ := range repoTypes {
		for _, r := range h.st.reposOf(typ) {
			if r.Private {
				continue
			}
			for _, d := range h.st.discussionsOf(r.UID) {
				if strings.EqualFold(d.Author, u.Name) {
					n++
				}
			}
		}
	}
	return n
}

func (c *call) userOverview() error {
	if _, err := c.query(); err != nil {
		return err
	}
	u, err := c.theUser()
	if err != nil {
		return err
	}
	orgs := []map[string]any{}
	for _, o := range c.h.st.orgsOf(u.Name) {
		orgs = append(orgs, map[string]any{"id": o.ID, "name": o.Name, "fullname": fullname(o.Fullname, o.Name), "avatarUrl": ""})
	}
	out := c.person(u)
	maps.Copy(out, map[string]any{
		"isHf": false, "createdAt": date(u.Created), "orgs": orgs, "numDiscussions": c.h.discussionsBy(u), "numPapers": c.h.papersBy(u),
		"numUpvotes": c.h.upvotesOf(u.Name), "numLikes": len(c.h.publicLikes(u)),
		"numFollowing": len(c.h.followedUsers(u)), "numFollowers": len(c.h.st.followers(u.Name)),
	})
	if u.Details != "" {
		out["details"] = u.Details
	}
	c.counts(u.Name, out)
	return c.json(out)
}

// theOrg is the organisation that the path names.
func (c *call) theOrg() (*orgRec, error) {
	o := c.h.st.org(c.segs[0])
	if o == nil {
		return nil, fail(http.StatusNotFound, "There is no organization %q", oneLine(c.segs[0]))
	}
	return o, nil
}

func (c *call) orgOverview() error {
	if _, err := c.query(); err != nil {
		return err
	}
	o, err := c.theOrg()
	if err != nil {
		return err
	}
	out := map[string]any{
		"_id": o.ID, "name": o.Name, "fullname": fullname(o.Fullname, o.Name), "avatarUrl": "", "type": "org", "isVerified": false,
		"isFollowing": !c.anonymous() && c.h.st.follows(c.user.Name, o.Name), "createdAt": date(o.Created),
		"numUsers": len(o.Members), "numFollowers": len(c.h.st.followers(o.Name)), "numPapers": 0,
	}
	if o.Details != "" {
		out["details"] = o.Details
	}
	c.counts(o.Name, out)
	return c.json(out)
}

func (c *call) orgMembers() error {
	q, err := c.query("limit", "cursor")
	if err != nil {
		return err
	}
	o, err := c.theOrg()
	if err != nil {
		return err
	}
	var members []*userRec
	for name := range o.Members {
		if u := c.h.st.user(name); u != nil {
			members = append(members, u)
		}
	}
	slices.SortFunc(members, func(a, b *userRec) int { return strings.Compare(a.Name, b.Name) })
	members, err = page(c, q, members)
	if err != nil {
		return err
	}
	list := []map[string]any{}
	for _, u := range members {
		p := c.person(u)
		p["role"] = o.Members[strings.ToLower(u.Name)]
		list = append(list, p)
	}
	return c.json(list)
}
