package localhub

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// collectionRec is a collection: an ordered list of repositories and papers.
type collectionRec struct {
	ID          string    `json:"id"`
	Owner       string    `json:"owner"` // a user's or organisation's name
	Title       string    `json:"title"`
	Description string    `json:"description,omitempty"`
	Private     bool      `json:"private,omitempty"`
	Theme       string    `json:"theme"`
	Position    int       `json:"position"` // among those of the owner
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	// Upvoters are users in lower case.
	Upvoters []string         `json:"upvoters,omitempty"`
	Items    []collectionItem `json:"items,omitempty"`
}

type collectionItem struct {
	ID   string `json:"id"`
	Type string `json:"type"` // Model, Dataset, Space or typePaper
	// Of is the uid of a repository, so that the item follows it to another name, or
	// the id of a paper.
	Of   string `json:"of"`
	Note string `json:"note,omitempty"`
}

const (
	typePaper = "paper"

	maxCollectionTitle       = 60
	maxCollectionDescription = 150
	maxCollectionNote        = 500
	maxCollectionItems       = 1000
	// collectionPreview is how many items a listing shows of each collection.
	collectionPreview = 4
	// collectionPage is the largest page of a listing.
	collectionPage = 100
)

var (
	collectionThemes = []string{"orange", "blue", "green", "purple", "pink", "indigo"}
	itemTypes        = []string{Model, Dataset, Space, typePaper}
)

func noCollection() *Error { return fail(http.StatusNotFound, "Collection not found") }

// slug names a collection: the id at its end is what counts, for the rest changes
// with the title.
func (r *collectionRec) slug() string {
	text := slugText(r.Title)
	if text != "" {
		text += "-"
	}
	return r.Owner + "/" + text + r.ID
}

// slugText is a title in lower case, with a dash for each run of other characters
// than letters and digits.
func slugText(title string) string {
	words := strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "-")
}

// findCollection finds the collection that a slug names, by its owner and its id.
func (h *Hub) findCollection(owner, slug string) *collectionRec {
	if len(slug) < 24 || len(slug) > 24 && slug[len(slug)-25] != '-' {
		return nil
	}
	r := h.st.collection(slug[len(slug)-24:])
	if r == nil || !strings.EqualFold(r.Owner, owner) {
		return nil
	}
	return r
}

func (h *Hub) canReadCollection(c caller, r *collectionRec) bool {
	return !r.Private || h.role(c, r.Owner) != "" && c.token.allows(false, r.Owner, "")
}

// canWriteCollections tells if the caller may change the collections of an owner.
func (h *Hub) canWriteCollections(c caller, owner string) bool {
	switch h.role(c, owner) {
	case MemberAdmin, MemberWrite, MemberContributor:
		return c.token.allows(true, owner, "")
	}
	return false
}

// upvotesOf counts the upvotes that a user's or organisation's collections have got.
func (h *Hub) upvotesOf(owner string) int {
	n := 0
	for _, r := range h.st.collectionsOf(owner) {
		n += len(r.Upvoters)
	}
	return n
}

// prune drops the items whose repository has been deleted.
func (h *Hub) prune(items []collectionItem) []collectionItem {
	return slices.DeleteFunc(items, func(it collectionItem) bool { return it.Type != typePaper && h.st.repoByUID(it.Of) == nil })
}

// place moves the element at index from of a list to index to, or to the nearest end.
func place[T any](list []T, from, to int) []T {
	v := list[from]
	list = slices.Delete(list, from, from+1)
	return slices.Insert(list, min(max(to, 0), len(list)), v)
}

// checkText refuses a text that is too long, or empty where that can't be.
func checkText(name, s string, least, most int) error {
	switch n := utf8.RuneCountInString(s); {
	case !utf8.ValidString(s):
		return badRequest("%q must be UTF-8", name)
	case n < least:
		return badRequest("%q must not be empty", name)
	case n > most:
		return badRequest("%q must have at most %d characters, and has %d", name, most, n)
	}
	return nil
}

// collectionView is a collection as the caller sees it, with at most so many items
// (-1: all). Repositories that the caller may not see are left out.
func (c *call) collectionView(r *collectionRec, most int) (map[string]any, error) {
	items := []map[string]any{}
	for pos, it := range c.h.prune(slices.Clone(r.Items)) {
		if len(items) == most {
			break
		}
		v, err := c.itemView(it)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		v["_id"], v["type"], v["position"] = it.ID, it.Type, pos
		if it.Note != "" {
			v["note"] = map[string]string{"text": it.Note, "html": htmlText(it.Note)}
		}
		items = append(items, v)
	}
	out := map[string]any{
		"slug": r.slug(), "title": r.Title, "owner": c.h.ownerView(r.Owner), "lastUpdated": date(r.Updated), "position": r.Position,
		"private": r.Private, "theme": r.Theme, "upvotes": len(r.Upvoters), "gating": false, "shareUrl": c.base() + "/collections/" + r.slug(),
		"isUpvotedByUser": slices.Contains(r.Upvoters, strings.ToLower(c.name())), "items": items,
	}
	if r.Description != "" {
		out["description"] = r.Description
	}
	return out, nil
}

// itemView is what there is to say about the thing that an item names; nil if the
// caller may not see it.
func (c *call) itemView(it collectionItem) (map[string]any, error) {
	if it.Type == typePaper {
		p := papers[it.Of]
		if p == nil {
			return nil, nil
		}
		return map[string]any{"id": p.ID, "title": p.Title, "upvotes": p.Upvotes, "publishedAt": date(p.Published), "isUpvotedByUser": false}, nil
	}
	rec := c.h.st.repoByUID(it.Of)
	if rec == nil || rec.Disabled || !c.h.canRead(c.caller, rec) {
		return nil, nil
	}
	f, err := c.h.findRepo(rec)
	if err != nil {
		if isRefusal(err) {
			return nil, nil // deleted a moment ago, or without a branch main
		}
		return nil, err
	}
	v, err := c.listItem(f, listItemOptions{})
	if err != nil {
		return nil, err
	}
	v["repoType"] = rec.Type
	return v, nil
}

// ownerView is a user or an organisation as the owner of something.
func (h *Hub) ownerView(name string) map[string]any {
	if o := h.st.org(name); o != nil {
		return map[string]any{"_id": o.ID, "name": o.Name, "fullname": fullname(o.Fullname, o.Name), "avatarUrl": "", "type": "org", "isHf": false}
	}
	out := map[string]any{"name": name, "fullname": name, "avatarUrl": "", "type": "user", "isPro": false, "isHf": false}
	if u := h.st.user(name); u != nil {
		out["_id"], out["name"], out["fullname"], out["isPro"] = u.ID, u.Name, fullname(u.Fullname, u.Name), u.Pro
	}
	return out
}
