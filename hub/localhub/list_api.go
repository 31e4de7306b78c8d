package localhub

import (
	"net/url"
)

// page cuts a page out of a whole list, as "limit" and "cursor" say, and announces
// the next one. The cursor is where the page begins.
func page[T any](c *call, q url.Values, all []T) ([]T, error) {
	limit, err := number(q, "limit", c.h.pageSize, 1, 1<<30)
	if err != nil {
		return nil, err
	}
	from, err := number(q, "cursor", 0, 0, 1<<30)
	if err != nil {
		return nil, err
	}
	from = min(from, len(all))
	to := min(from+min(limit, c.h.pageSize), len(all))
	if to < len(all) {
		c.next(url.Values{"cursor": {itoa(to)}})
	}
	return all[from:to], nil
}

// listParams are the parameters of a listing of repositories, by type.
var listParams = map[string][]string{
	Model: {
		"filter", "author", "gated", "inference", "inference_provider", "pipeline_tag", "search", "sort", "direction", "limit",
		"cursor", "full", "config", "cardData", "expand", "expand[]", "apps", "num_parameters",
	},
	Dataset: {"filter", "author", "gated", "search", "sort", "direction", "limit", "cursor", "full", "expand", "expand[]"},
	Space: {
		"filter", "author", "search", "datasets", "models", "linked", "sort", "direction", "limit", "cursor", "full", "expand", "expand[]",
	},
}

// listItemOptions are what a listing can say about each repository.
type listItemOptions struct {
	expand                         []string // only these; excludes the others
	full, config, cardData, linked bool
}

// listRepos lists the repositories of a type that the caller may see.
func (c *call) listRepos(typ string) error {
	q, err := c.query(listParams[typ]...)
	if err != nil {
		return err
	}
	var o listItemOptions
	if o.expand, err = expandParam(q, typ); err != nil {
		return err
	}
	for k, into := range map[string]*bool{"full": &o.full, "config": &o.config, "cardData": &o.cardData, "linked": &o.linked} {
		if *into, err = flag(q, k); err != nil {
			return err
		}
	}
	if len(o.expand) > 0 && (o.full || o.cardData || o.config) {
		return badRequest(`"expand" can't be combined with "full", "cardData" or "config"`)
	}
	match, err := c.h.repoFilter(q, typ)
	if err != nil {
		return err
	}
	var list []*found
	err = c.visible(typ, match.record, func(f *found) {
		if match.facts(f) {
			list = append(list, f)
		}
	})
	if err != nil {
		return err
	}
	if err := c.h.sortRepos(list, typ, q.Get("sort"), q.Get("direction")); err != nil {
		return err
	}
	list, err = page(c, q, list)
	if err != nil {
		return err
	}
	out := make([]map[string]any, 0, len(list))
	for _, f := range list {
		item, err := c.listItem(f, o)
		if err != nil {
			return err
		}
		out = append(out, item)
	}
	return c.json(out)
}

// listItem is what a listing says about a repository.
func (c *call) listItem(f *found, o listItemOptions) (map[string]any, error) {
	info := c.h.info(f)
	if len(o.expand) > 0 {
		err := c.fill(info, f, o.expand...)
		return onlyKeys(info, o.expand), err
	}
	if !o.config {
		delete(info, "config")
	}
	if o.full {
		return info, c.fill(info, f, "siblings", "runtime")
	}
	if !o.cardData {
		delete(info, "cardData")
	}
	if !o.linked {
		delete(info, "models")
		delete(info, "datasets")
	}
	for _, k := range []string{"downloadsAllTime", "citation", "model-index", "widgetData", "transformersInfo", "safetensors", "gguf", "mask_token"} {
		delete(info, k)
	}
	return info, nil
}
