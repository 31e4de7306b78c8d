package control

import (
	"context"
	"iter"

	"github.com/hubfs/hubfs/hub"
)

var (
	collectionShape = &shape{attrs: []attr{
		{name: "slug"}, {name: "title"}, {name: "owner"},
		{name: "items", as: collectionItemShape.each},
		{name: "last_updated", wire: "lastUpdated", as: date},
		{name: "position"}, {name: "private"}, {name: "theme"}, {name: "upvotes"}, {name: "description"},
	}}
	collectionItemShape = &shape{attrs: []attr{
		{name: "item_object_id", wire: "_id"}, {name: "item_id", wire: "id"}, {name: "item_type", wire: "type"},
		{name: "position"}, {name: "note", wire: "note.text"},
	}}
)

// collectionOf is Collection.
func collectionOf(s *session, c *hub.Collection) (any, error) {
	out, err := collectionShape.of(c)
	if m, ok := out.(map[string]any); ok {
		m["url"] = s.Hub.Endpoint() + "/collections/" + c.Slug
	}
	return out, err
}

func collectionResult(s *session, c *hub.Collection, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return collectionOf(s, c)
}

// inCollection is the part of a parameter struct that names a collection.
type inCollection struct {
	Slug string `param:"collection_slug" required:"true" doc:"such as owner/title-0123456789abcdef01234567"`
	caller
}

func getCollection(ctx context.Context, s *session, p *inCollection) (any, error) {
	c, err := s.Hub.Collection(ctx, p.Slug)
	return collectionResult(s, c, err)
}

type createCollectionParams struct {
	Title       string `param:"title" required:"true" doc:"what it is called"`
	Namespace   string `param:"namespace" doc:"user or organisation; the owner of the token if left out"`
	Description string `param:"description" doc:"at most 150 characters"`
	Private     bool   `param:"private" default:"false" doc:"only the owner's members see it"`
	ExistsOK    bool   `param:"exists_ok" default:"false" doc:"an existing collection is no error, and is the result"`
	caller
}

func createCollection(ctx context.Context, s *session, p *createCollectionParams) (any, error) {
	c, err := s.Hub.CreateCollection(ctx, p.Title, &hub.CreateCollectionOptions{
		Namespace: p.Namespace, Description: p.Description, Private: p.Private, ExistsOK: p.ExistsOK,
	})
	return collectionResult(s, c, err)
}

type listCollectionsParams struct {
	Owner stringList `param:"owner" doc:"of one of these users or organisations"`
	Item  stringList `param:"item" doc:"that hold one of these: models/ns/name, datasets/..., spaces/..., papers/1706.03762"`
	Sort  string     `param:"sort" enum:"lastModified|trending|upvotes" doc:"order of the list"`
	Limit *int       `param:"limit" doc:"at most so many"`
	caller
}

func listCollections(ctx context.Context, s *session, p *listCollectionsParams) iter.Seq2[any, error] {
	o := &hub.CollectionsOptions{Owners: p.Owner, Items: p.Item, Sort: p.Sort}
	if p.Limit != nil {
		if o.Limit = *p.Limit; o.Limit < 1 {
			return failing(badParam("limit", "is %d, and must be at least 1", o.Limit))
		}
	}
	return mapped(s.Hub.Collections(ctx, o), func(c hub.Collection) (any, error) { return collectionOf(s, &c) })
}

type updateCollectionParams struct {
	inCollection
	Title       *string `param:"title" doc:"another title, which makes another slug"`
	Description *string `param:"description" doc:"at most 150 characters"`
	Position    *int    `param:"position" doc:"place among the owner's collections, from 0"`
	Private     *bool   `param:"private" doc:"only the owner's members see it"`
	Theme       *string `param:"theme" doc:"orange, blue, green, purple, pink or indigo"`
}

func updateCollectionMetadata(ctx context.Context, s *session, p *updateCollectionParams) (any, error) {
	c, err := s.Hub.UpdateCollection(ctx, p.Slug, hub.CollectionUpdate{
		Title: p.Title, Description: p.Description, Position: p.Position, Private: p.Private, Theme: p.Theme,
	})
	return collectionResult(s, c, err)
}

type deleteCollectionParams struct {
	inCollection
	MissingOK bool `param:"missing_ok" default:"false" doc:"a collection that doesn't exist is no error"`
}

func deleteCollection(ctx context.Context, s *session, p *deleteCollectionParams) (any, error) {
	return nil, s.Hub.DeleteCollection(ctx, p.Slug, p.MissingOK)
}

type addItemParams struct {
	inCollection
	ItemID   string `param:"item_id" required:"true" doc:"namespace/name, or the id of a paper"`
	ItemType string `param:"item_type" required:"true" enum:"model|dataset|space|paper" doc:"what it is"`
	Note     string `param:"note" doc:"at most 500 characters"`
	ExistsOK bool   `param:"exists_ok" default:"false" doc:"an item that is there already is no error"`
}

func addCollectionItem(ctx context.Context, s *session, p *addItemParams) (any, error) {
	c, err := s.Hub.AddCollectionItem(ctx, p.Slug, p.ItemID, hub.CollectionItemType(p.ItemType),
		&hub.AddCollectionItemOptions{Note: p.Note, ExistsOK: p.ExistsOK})
	return collectionResult(s, c, err)
}

// inItem is the part of a parameter struct that names an item of a collection.
type inItem struct {
	inCollection
	Item string `param:"item_object_id" required:"true" doc:"the item's item_object_id, not the id of what it is"`
}

type updateItemParams struct {
	inItem
	Note     *string `param:"note" doc:"at most 500 characters; an empty one removes it"`
	Position *int    `param:"position" doc:"from 0"`
}

func updateCollectionItem(ctx context.Context, s *session, p *updateItemParams) (any, error) {
	return nil, s.Hub.UpdateCollectionItem(ctx, p.Slug, p.Item, hub.CollectionItemUpdate{Note: p.Note, Position: p.Position})
}

type deleteItemParams struct {
	inItem
	MissingOK bool `param:"missing_ok" default:"false" doc:"an item that isn't there is no error"`
}

func deleteCollectionItem(ctx context.Context, s *session, p *deleteItemParams) (any, error) {
	return nil, s.Hub.DeleteCollectionItem(ctx, p.Slug, p.Item, p.MissingOK)
}

// failing is a list that ends with an error at once.
func failing(err error) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) { yield(nil, err) }
}
