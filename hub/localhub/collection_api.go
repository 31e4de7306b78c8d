package localhub

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// collectionRoute finds what is asked below /api/collections: a collection by its
// slug, which has two segments, or something of it.
func (c *call) collectionRoute(segs []string) error {
	if len(segs) < 2 || len(segs) > 4 {
		return noRoute()
	}
	for i, s := range segs {
		var err error
		if segs[i], err = url.PathUnescape(s); err != nil {
			return badRequest("The path isn't well formed")
		}
	}
	var m methods
	switch {
	case len(segs) == 2:
		m = methods{http.MethodGet: (*call).getCollection, http.MethodPatch: (*call).updateCollection, http.MethodDelete: (*call).deleteCollection}
	case segs[2] == "items" && len(segs) == 3:
		m = postOnly((*call).addItem)
	case segs[2] == "items":
		m = methods{http.MethodPatch: (*call).updateItem, http.MethodDelete: (*call).deleteItem}
	case segs[2] == "upvote" && len(segs) == 3:
		m = methods{
			http.MethodPost:   func(c *call) error { return c.upvote(true) },
			http.MethodDelete: func(c *call) error { return c.upvote(false) },
		}
	default:
		return noRoute()
	}
	c.segs = segs
	return c.do(m)
}

// theCollection is the collection that the path names. One that the caller may not
// see is not found.
func (c *call) theCollection() (*collectionRec, error) {
	r := c.h.findCollection(c.segs[0], c.segs[1])
	if r == nil || !c.h.canReadCollection(c.caller, r) {
		return nil, noCollection()
	}
	return r, nil
}

// ownCollection is the collection that the path names, which the caller may change.
func (c *call) ownCollection() (*collectionRec, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	r, err := c.theCollection()
	switch {
	case err != nil:
		return nil, err
	case c.anonymous():
		return nil, errNoToken()
	case !c.h.canWriteCollections(c.caller, r.Owner):
		return nil, fail(http.StatusForbidden, "You don't have the rights to change the collections of %s with this token.", r.Owner)
	}
	return r, nil
}

func (c *call) getCollection() error {
	if _, err := c.query(); err != nil {
		return err
	}
	r, err := c.theCollection()
	if err != nil {
		return err
	}
	return c.answerCollection(r.ID, "")
}

// answerCollection answers with a collection as it is now, below a key if one is
// given.
func (c *call) answerCollection(id, key string) error {
	r := c.h.st.collection(id)
	if r == nil {
		return noCollection()
	}
	v, err := c.collectionView(r, -1)
	if err != nil {
		return err
	}
	if key != "" {
		v = map[string]any{key: v}
	}
	return c.json(v)
}

func (c *call) createCollection() error {
	if _, err := c.query(); err != nil {
		return err
	}
	if c.anonymous() {
		return errNoToken()
	}
	var body struct {
		Title           string  `json:"title"`
		Namespace       *string `json:"namespace"`
		Description     *string `json:"description"`
		Private         bool    `json:"private"`
		ResourceGroupID *string `json:"resourceGroupId"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	title, description, owner := strings.TrimSpace(body.Title), "", c.user.Name
	if body.Description != nil {
		description = *body.Description
	}
	if body.Namespace != nil {
		owner = *body.Namespace
	}
	if err := checkText("title", title, 1, maxCollectionTitle); err != nil {
		return err
	}
	if err := checkText("description", description, 0, maxCollectionDescription); err != nil {
		return err
	}
	if !c.h.canWriteCollections(c.caller, owner) {
		return fail(http.StatusForbidden, "You don't have the rights to create a collection under the namespace %q.", oneLine(owner))
	}
	if o := c.h.st.org(owner); o != nil {
		owner = o.Name
	} else {
		owner = c.user.Name
	}
	rec := &collectionRec{
		ID: newID(12), Owner: owner, Title: title, Description: description, Private: body.Private, Theme: collectionThemes[0],
		Created: c.h.now(), Updated: c.h.now(),
	}
	if err := c.h.addCollection(rec); err != nil {
		return err
	}
	return c.answerCollection(rec.ID, "")
}

// addCollection puts a new collection behind the others of its owner, of which none
// may have the same title.
func (h *Hub) addCollection(rec *collectionRec) error {
	h.st.write.Lock()
	defer h.st.write.Unlock()
	others := h.st.collectionsOf(rec.Owner)
	for _, r := range others {
		if r.Title == rec.Title {
			e := fail(http.StatusConflict, "A collection of %s with this title exists already", r.Owner)
			e.Fields = map[string]any{"slug": r.slug()}
			return e
		}
	}
	rec.Position = len(others)
	return h.st.putCollections(rec)
}

func (c *call) updateCollection() error {
	r, err := c.ownCollection()
	if err != nil {
		return err
	}
	var body struct {
		Title       *string `json:"title"`
		Description *string `json:"description"`
		Position    *int    `json:"position"`
		Private     *bool   `json:"private"`
		Theme       *string `json:"theme"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	if body.Title != nil {
		*body.Title = strings.TrimSpace(*body.Title)
		if err := checkText("title", *body.Title, 1, maxCollectionTitle); err != nil {
			return err
		}
	}
	if body.Description != nil {
		if err := checkText("description", *body.Description, 0, maxCollectionDescription); err != nil {
			return err
		}
	}
	if body.Position != nil && *body.Position < 0 {
		return badRequest(`"position" must not be negative`)
	}
	if body.Theme != nil && !slices.Contains(collectionThemes, *body.Theme) {
		return badRequest(`"theme" must be one of [%s]`, strings.Join(collectionThemes, ", "))
	}
	err = c.h.st.changeCollection(r.ID, func(r *collectionRec) ([]*collectionRec, error) {
		setIf(&r.Title, body.Title)
		setIf(&r.Description, body.Description)
		setIf(&r.Private, body.Private)
		setIf(&r.Theme, body.Theme)
		r.Updated = c.h.now()
		if body.Position == nil {
			return nil, nil
		}
		return c.h.st.reposition(r, *body.Position), nil
	})
	if err != nil {
		return err
	}
	return c.answerCollection(r.ID, "data")
}

// reposition gives a collection another place among those of its owner, and returns
// the others that move for it. Requires write.
func (s *state) reposition(r *collectionRec, to int) (moved []*collectionRec) {
	list := s.collectionsOf(r.Owner)
	at := slices.IndexFunc(list, func(o *collectionRec) bool { return o.ID == r.ID })
	for i, o := range place(list, at, to) {
		switch {
		case o.ID == r.ID:
			r.Position = i
		case o.Position != i:
			other := *o
			other.Position = i
			moved = append(moved, &other)
		}
	}
	return moved
}

func (c *call) deleteCollection() error {
	r, err := c.ownCollection()
	if err != nil {
		return err
	}
	if err := c.h.st.dropCollection(r.ID); err != nil {
		return err
	}
	return c.json(map[string]any{})
}

func (c *call) addItem() error {
	r, err := c.ownCollection()
	if err != nil {
		return err
	}
	var body struct {
		Item struct {
			ID   string `json:"id"`
			Type string `json:"type"`
		} `json:"item"`
		Note *string `json:"note"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	if !slices.Contains(itemTypes, body.Item.Type) {
		return badRequest(`"item.type" must be one of [%s]`, strings.Join(itemTypes, ", "))
	}
	item := collectionItem{ID: newID(12), Type: body.Item.Type}
	setIf(&item.Note, body.Note)
	if err := checkText("note", item.Note, 0, maxCollectionNote); err != nil {
		return err
	}
	if item.Type == typePaper {
		p := papers[body.Item.ID]
		if p == nil {
			return fail(http.StatusNotFound, "There is no paper %q", oneLine(body.Item.ID))
		}
		item.Of = p.ID
	} else {
		rec, _ := c.h.st.repo(keyOf(item.Type, body.Item.ID))
		if rec == nil {
			return repoNotFound()
		}
		if err := c.h.checkRead(c.caller, rec); err != nil {
			return err
		}
		item.Of = rec.UID
	}
	err = c.h.st.changeCollection(r.ID, func(r *collectionRec) ([]*collectionRec, error) {
		r.Items = c.h.prune(r.Items)
		if slices.ContainsFunc(r.Items, func(it collectionItem) bool { return it.Type == item.Type && it.Of == item.Of }) {
			return nil, fail(http.StatusConflict, "The %s %s is in this collection already", item.Type, oneLine(body.Item.ID))
		}
		if len(r.Items) >= maxCollectionItems {
			return nil, badRequest("A collection has at most %d items", maxCollectionItems)
		}
		r.Items, r.Updated = append(r.Items, item), c.h.now()
		return nil, nil
	})
	if err != nil {
		return err
	}
	return c.answerCollection(r.ID, "")
}

// changeItem changes the list of items; fn is told where the item of the path is.
func (c *call) changeItem(r *collectionRec, fn func(items []collectionItem, at int) []collectionItem) error {
	err := c.h.st.changeCollection(r.ID, func(r *collectionRec) ([]*collectionRec, error) {
		r.Items = c.h.prune(r.Items)
		at := slices.IndexFunc(r.Items, func(it collectionItem) bool { return it.ID == c.segs[3] })
		if at < 0 {
			return nil, fail(http.StatusNotFound, "There is no such item in this collection")
		}
		r.Items, r.Updated = fn(r.Items, at), c.h.now()
		return nil, nil
	})
	if err != nil {
		return err
	}
	return c.json(map[string]any{})
}

func (c *call) updateItem() error {
	r, err := c.ownCollection()
	if err != nil {
		return err
	}
	var body struct {
		Position *int    `json:"position"`
		Note     *string `json:"note"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	if body.Note != nil {
		if err := checkText("note", *body.Note, 0, maxCollectionNote); err != nil {
			return err
		}
	}
	if body.Position != nil && *body.Position < 0 {
		return badRequest(`"position" must not be negative`)
	}
	return c.changeItem(r, func(items []collectionItem, at int) []collectionItem {
		setIf(&items[at].Note, body.Note)
		if body.Position != nil {
			items = place(items, at, *body.Position)
		}
		return items
	})
}

func (c *call) deleteItem() error {
	r, err := c.ownCollection()
	if err != nil {
		return err
	}
	return c.changeItem(r, func(items []collectionItem, at int) []collectionItem { return slices.Delete(items, at, at+1) })
}

// upvote gives the caller's vote to a collection, or takes it back.
func (c *call) upvote(on bool) error {
	if _, err := c.query(); err != nil {
		return err
	}
	r, err := c.theCollection()
	if err != nil {
		return err
	}
	if err := c.mayAct(); err != nil {
		return err
	}
	me := strings.ToLower(c.user.Name)
	err = c.h.st.changeCollection(r.ID, func(r *collectionRec) ([]*collectionRec, error) {
		r.Upvoters = slices.DeleteFunc(r.Upvoters, func(u string) bool { return u == me })
		if on {
			r.Upvoters = append(r.Upvoters, me)
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	return c.json(map[string]any{"upvotes": len(c.h.st.collection(r.ID).Upvoters)})
}

// listCollections lists the collections that the caller may see, without their
// positions.
func (c *call) listCollections() error {
	q, err := c.query("owner", "item", "sort", "limit", "cursor", "q")
	if err != nil {
		return err
	}
	list := slices.DeleteFunc(c.h.st.collections(), func(r *collectionRec) bool {
		return !c.h.canReadCollection(c.caller, r) ||
			len(q["owner"]) > 0 && !slices.ContainsFunc(q["owner"], func(o string) bool { return strings.EqualFold(o, r.Owner) }) ||
			!strings.Contains(strings.ToLower(r.Title), strings.ToLower(q.Get("q")))
	})
	if items := q["item"]; len(items) > 0 {
		wanted := map[collectionItem]bool{}
		for _, it := range items {
			of, err := c.itemNamed(it)
			if err != nil {
				return err
			}
			wanted[of] = true
		}
		list = slices.DeleteFunc(list, func(r *collectionRec) bool {
			return !slices.ContainsFunc(r.Items, func(it collectionItem) bool { return wanted[collectionItem{Type: it.Type, Of: it.Of}] })
		})
	}
	if err := c.sortCollections(list, q.Get("sort")); err != nil {
		return err
	}
	limit, err := number(q, "limit", collectionPage, 1, 1<<30)
	if err != nil {
		return err
	}
	q.Set("limit", itoa(min(limit, collectionPage)))
	if list, err = page(c, q, list); err != nil {
		return err
	}
	out := []map[string]any{}
	for _, r := range list {
		v, err := c.collectionView(r, collectionPreview)
		if err != nil {
			return err
		}
		delete(v, "position")
		out = append(out, v)
	}
	return c.json(out)
}

// itemNamed reads "models/<id>", "papers/<id>" and so on. What isn't there, or may not
// be seen, is in no collection.
func (c *call) itemNamed(s string) (collectionItem, error) {
	kind, id, _ := strings.Cut(s, "/")
	if kind == "papers" {
		return collectionItem{Type: typePaper, Of: id}, nil
	}
	typ := repoTypes[kind]
	if typ == "" || id == "" {
		return collectionItem{}, badRequest(`"item" must be models/<id>, datasets/<id>, spaces/<id> or papers/<id>, and is %q`, oneLine(s))
	}
	rec, _ := c.h.st.repo(keyOf(typ, id))
	if rec == nil || !c.h.canRead(c.caller, rec) {
		return collectionItem{}, nil
	}
	return collectionItem{Type: typ, Of: rec.UID}, nil
}

func (c *call) sortCollections(list []*collectionRec, by string) error {
	switch by {
	case "lastModified":
	case "", "trending", "upvotes":
		by = "upvotes"
	default:
		return badRequest(`"sort" must be one of [lastModified, trending, upvotes]`)
	}
	slices.SortFunc(list, func(a, b *collectionRec) int {
		votes := 0
		if by == "upvotes" {
			votes = len(b.Upvoters) - len(a.Upvoters)
		}
		return cmp.Or(votes, b.Updated.Compare(a.Updated), strings.Compare(a.ID, b.ID))
	})
	return nil
}
