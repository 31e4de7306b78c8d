package hub

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Collection is an ordered list of repositories and papers.
type Collection struct {
	// Slug names it: "owner/title-0123456789abcdef01234567". It changes with the title;
	// old ones still find the collection.
	Slug        string           `json:"slug"`
	Title       string           `json:"title"`
	Description string           `json:"description,omitempty"`
	Owner       CollectionOwner  `json:"owner"`
	Items       []CollectionItem `json:"items"` // in a listing only the first ones
	LastUpdated time.Time        `json:"lastUpdated"`
	// Position is the place among the collections of the owner, from 0; of one that
	// comes out of a listing, the place there.
	Position int    `json:"position"`
	Private  bool   `json:"private"`
	Theme    string `json:"theme"` // a colour: "orange", "green", ...
	Upvotes  int    `json:"upvotes"`

	// Extra holds what has no field here, by its name in the answer.
	Extra map[string]json.RawMessage `json:"-"`
}

// CollectionOwner is the user or organisation that a collection belongs to.
type CollectionOwner struct {
	Name     string
	Fullname string
	Type     string          // "user" or "org"
	Raw      json.RawMessage // all that the Hub says: an object, or only the name
}

// CollectionItem is an entry of a collection.
type CollectionItem struct {
	ObjectID string             `json:"_id"`  // what it is changed and removed by
	ID       string             `json:"id"`   // of a repository or a paper
	Type     CollectionItemType `json:"type"` // what ID is of
	Position int                `json:"position"`
	Note     *CollectionNote    `json:"note,omitempty"`

	// Extra holds what the Hub tells about the repository or paper, by its name in the
	// answer; Info makes a RepoInfo of it.
	Extra map[string]json.RawMessage `json:"-"`
}

// CollectionItemType says what an item of a collection is.
type CollectionItemType string

// The types of items. The Hub may have more.
const (
	CollectionModel   CollectionItemType = "model"
	CollectionDataset CollectionItemType = "dataset"
	CollectionSpace   CollectionItemType = "space"
	CollectionPaper   CollectionItemType = "paper"
)

// CollectionNote is what the owner of a collection says about an item.
type CollectionNote struct {
	Text string `json:"text"`
	HTML string `json:"html"`
}

// Info is what the Hub tells about the item's repository; nil if it is none.
func (i *CollectionItem) Info() *RepoInfo {
	t := RepoType(i.Type)
	if !t.valid() {
		return nil
	}
	fields := map[string]any{"id": i.ID}
	for name, raw := range i.Extra {
		fields[name] = raw
	}
	info := &RepoInfo{Type: t}
	data, err := json.Marshal(fields)
	if err != nil || json.Unmarshal(data, info) != nil || info.check() != nil {
		return &RepoInfo{Type: t, ID: i.ID}
	}
	return info
}

// UnmarshalJSON reads the Hub's form.
func (c *Collection) UnmarshalJSON(data []byte) (err error) {
	type plain Collection
	var p plain
	if p.Extra, err = decodeOpen(data, &p); err != nil {
		return err
	}
	if !validSlug(p.Slug) {
		return errors.New("a collection without a slug")
	}
	*c = Collection(p)
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads, Extra included.
func (c Collection) MarshalJSON() ([]byte, error) {
	type plain Collection
	return encodeOpen(plain(c), c.Extra)
}

// UnmarshalJSON reads the Hub's form.
func (i *CollectionItem) UnmarshalJSON(data []byte) (err error) {
	type plain CollectionItem
	var p plain
	if p.Extra, err = decodeOpen(data, &p); err == nil {
		*i = CollectionItem(p)
	}
	return err
}

// MarshalJSON writes what UnmarshalJSON reads, Extra included.
func (i CollectionItem) MarshalJSON() ([]byte, error) {
	type plain CollectionItem
	return encodeOpen(plain(i), i.Extra)
}

// UnmarshalJSON reads an object, or the owner's name alone.
func (o *CollectionOwner) UnmarshalJSON(data []byte) error {
	var name string
	if json.Unmarshal(data, &name) == nil {
		*o = CollectionOwner{Name: name, Raw: slices.Clone(data)}
		return nil
	}
	var w struct{ Name, Fullname, Type string }
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*o = CollectionOwner{Name: w.Name, Fullname: w.Fullname, Type: w.Type, Raw: slices.Clone(data)}
	return nil
}

// MarshalJSON writes what UnmarshalJSON has read.
func (o CollectionOwner) MarshalJSON() ([]byte, error) {
	if o.Raw == nil {
		return json.Marshal(o.Name)
	}
	return o.Raw, nil
}

// validSlug says whether a slug can be a part of a path.
func validSlug(slug string) bool {
	owner, name, ok := strings.Cut(slug, "/")
	return ok && !strings.Contains(name, "/") && validNamespace(owner) == nil && name != "" && name != "." && name != ".."
}

// collectionRequest is a request about a collection, with a JSON body unless it is nil.
func collectionRequest(method, slug string, body any, parts ...string) (*request, error) {
	if !validSlug(slug) {
		return nil, &ValidationError{What: "collection", Value: slug, Reason: "must be a slug, such as owner/title-0123456789abcdef01234567"}
	}
	owner, name, _ := strings.Cut(slug, "/")
	path := "/api/collections/" + escape(owner) + "/" + escape(name)
	for _, p := range parts {
		if p == "" || strings.Contains(p, "/") || p == "." || p == ".." {
			return nil, &ValidationError{What: "item of a collection", Value: p, Reason: "must be the id of an item, not of what it is"}
		}
		path += "/" + escape(p)
	}
	r := &request{method: method, path: at(path)}
	if body == nil {
		return r, nil
	}
	return r.withJSON(body)
}

// Collection finds a collection by its slug, with all its items; ErrNotFound if there is
// none, or it is private and not ours.
//
//	GET /api/collections/{slug}
func (c *Client) Collection(ctx context.Context, slug string) (*Collection, error) {
	r, err := collectionRequest(http.MethodGet, slug, nil)
	if err != nil {
		return nil, err
	}
	return c.collection(ctx, r)
}

func (c *Client) collection(ctx context.Context, r *request) (*Collection, error) {
	var col Collection
	if err := c.doJSON(ctx, r, &col); err != nil {
		return nil, err
	}
	return &col, nil
}

// CreateCollectionOptions refine CreateCollection.
type CreateCollectionOptions struct {
	Namespace   string // a user or an organisation; "" is the owner of the token
	Description string // at most 150 characters
	Private     bool
	ExistsOK    bool // one that exists already is no error, and is given as it is
}

// CreateCollection makes an empty collection. ErrConflict if there is one of that title
// and ExistsOK isn't set.
//
//	POST /api/collections
func (c *Client) CreateCollection(ctx context.Context, title string, opts *CreateCollectionOptions) (*Collection, error) {
	if opts == nil {
		opts = &CreateCollectionOptions{}
	}
	namespace := opts.Namespace
	if namespace == "" {
		who, err := c.WhoAmI(ctx)
		if err != nil {
			return nil, err
		}
		namespace = who.Name
	}
	body := map[string]any{"title": title, "namespace": namespace, "private": opts.Private}
	if opts.Description != "" {
		body["description"] = opts.Description
	}
	r, err := (&request{method: http.MethodPost, path: at("/api/collections")}).withJSON(body)
	if err != nil {
		return nil, err
	}
	col, err := c.collection(ctx, r)
	var e *Error
	if opts.ExistsOK && errors.As(err, &e) && e.Status == http.StatusConflict && e.slug != "" {
		return c.Collection(ctx, e.slug)
	}
	return col, err
}

// CollectionsOptions choose and sort what Collections gives.
type CollectionsOptions struct {
	Owners []string // of one of these
	Items  []string // that hold one of these: "models/ns/name", "papers/1706.03762"
	Sort   string   // "lastModified", "trending" or "upvotes"; "" is the Hub's choice
	Limit  int      // at most so many; 0 is all
}

// Collections lists the collections that the token may see, each with its first
// items only. Iteration ends at the first error.
//
//	GET /api/collections
func (c *Client) Collections(ctx context.Context, opts *CollectionsOptions) iter.Seq2[Collection, error] {
	if opts == nil {
		opts = &CollectionsOptions{}
	}
	q := url.Values{}
	if len(opts.Owners) > 0 {
		q["owner"] = opts.Owners
	}
	if len(opts.Items) > 0 {
		q["item"] = opts.Items
	}
	if opts.Sort != "" {
		q.Set("sort", opts.Sort)
	}
	if opts.Limit > 0 {
		q.Set("limit", strconv.Itoa(opts.Limit))
	}
	return func(yield func(Collection, error) bool) {
		n := 0
		for col, err := range pages[Collection](ctx, c, &request{method: http.MethodGet, path: at("/api/collections"), query: q}) {
			if err != nil {
				yield(Collection{}, err)
				return
			}
			col.Position = n
			if n++; !yield(col, nil) || n == opts.Limit {
				return
			}
		}
	}
}

// CollectionUpdate says what to change of a collection; nil stays as it is.
type CollectionUpdate struct {
	Title       *string
	Description *string
	Position    *int // among the owner's collections, from 0
	Private     *bool
	Theme       *string // "orange", "blue", "green", "purple", "pink" or "indigo"
}

// UpdateCollection changes what a collection is called, and how it is shown. Another
// title gives another slug.
//
//	PATCH /api/collections/{slug}
func (c *Client) UpdateCollection(ctx context.Context, slug string, u CollectionUpdate) (*Collection, error) {
	body := map[string]any{}
	if u.Title != nil {
		body["title"] = *u.Title
	}
	if u.Description != nil {
		body["description"] = *u.Description
	}
	if u.Position != nil {
		body["position"] = *u.Position
	}
	if u.Private != nil {
		body["private"] = *u.Private
	}
	if u.Theme != nil {
		body["theme"] = *u.Theme
	}
	r, err := collectionRequest(http.MethodPatch, slug, body)
	if err != nil {
		return nil, err
	}
	r.repeat = true
	var answer struct {
		Data *Collection `json:"data"`
	}
	if err := c.doJSON(ctx, r, &answer); err != nil {
		return nil, err
	}
	if answer.Data == nil {
		return nil, c.protocolError(r, "the answer has no collection")
	}
	return answer.Data, nil
}

// DeleteCollection removes a collection, not what is in it. With missingOK one that
// doesn't exist is no error.
//
//	DELETE /api/collections/{slug}
func (c *Client) DeleteCollection(ctx context.Context, slug string, missingOK bool) error {
	r, err := collectionRequest(http.MethodDelete, slug, nil)
	if err != nil {
		return err
	}
	return c.deleteMaybe(ctx, r, missingOK)
}

func (c *Client) deleteMaybe(ctx context.Context, r *request, missingOK bool) error {
	err := c.doNothing(ctx, r)
	if missingOK && errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// AddCollectionItemOptions refine AddCollectionItem.
type AddCollectionItemOptions struct {
	Note     string // at most 500 characters
	ExistsOK bool   // one that is there already is no error, and stays as it is
}

// AddCollectionItem puts a repository or a paper at the end of a collection, which it
// gives. ErrConflict if it is there already and ExistsOK isn't set; ErrNotFound without
// such a collection, repository or paper.
//
//	POST /api/collections/{slug}/items
func (c *Client) AddCollectionItem(ctx context.Context, slug, id string, t CollectionItemType, opts *AddCollectionItemOptions) (*Collection, error) {
	if opts == nil {
		opts = &AddCollectionItemOptions{}
	}
	body := map[string]any{"item": map[string]any{"id": id, "type": t}}
	if opts.Note != "" {
		body["note"] = opts.Note
	}
	r, err := collectionRequest(http.MethodPost, slug, body, "items")
	if err != nil {
		return nil, err
	}
	col, err := c.collection(ctx, r)
	if opts.ExistsOK && errors.Is(err, ErrConflict) {
		return c.Collection(ctx, slug)
	}
	return col, err
}

// CollectionItemUpdate says what to change of an item; nil stays as it is.
type CollectionItemUpdate struct {
	Note     *string // "" removes it
	Position *int    // from 0; the others make room
}

// UpdateCollectionItem changes an item, which is named by its ObjectID.
//
//	PATCH /api/collections/{slug}/items/{item}
func (c *Client) UpdateCollectionItem(ctx context.Context, slug, item string, u CollectionItemUpdate) error {
	body := map[string]any{}
	if u.Note != nil {
		body["note"] = *u.Note
	}
	if u.Position != nil {
		body["position"] = *u.Position
	}
	r, err := collectionRequest(http.MethodPatch, slug, body, "items", item)
	if err != nil {
		return err
	}
	r.repeat = true
	return c.doNothing(ctx, r)
}

// DeleteCollectionItem removes an item, which is named by its ObjectID. With missingOK
// one that isn't there is no error.
//
//	DELETE /api/collections/{slug}/items/{item}
func (c *Client) DeleteCollectionItem(ctx context.Context, slug, item string, missingOK bool) error {
	r, err := collectionRequest(http.MethodDelete, slug, nil, "items", item)
	if err != nil {
		return err
	}
	return c.deleteMaybe(ctx, r, missingOK)
}
