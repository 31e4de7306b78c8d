package localhub

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
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

// found is a repository in a listing.
type found struct {
	*repo
	commit *gitstore.Commit
	card   card
}

// listRepos lists the repositories of a type that the caller may see.
func (c *call) listRepos(typ string) error {
	q, err := c.query(listParams[typ]...)
	if err != nil {
		return err
	}
	expand, err := expandParam(q, typ)
	if err != nil {
		return err
	}
	flags := map[string]bool{}
	for _, k := range []string{"full", "config", "cardData", "linked"} {
		if flags[k], err = flag(q, k); err != nil {
			return err
		}
	}
	if len(expand) > 0 && (flags["full"] || flags["cardData"] || flags["config"]) {
		return badRequest(`"expand" can't be combined with "full", "cardData" or "config"`)
	}
	match, err := repoFilter(q)
	if err != nil {
		return err
	}
	list, err := c.findRepos(typ, match)
	if err != nil {
		return err
	}
	if err := sortRepos(list, q.Get("sort"), q.Get("direction")); err != nil {
		return err
	}
	list, err = page(c, q, list)
	if err != nil {
		return err
	}
	out := make([]map[string]any, 0, len(list))
	for _, f := range list {
		item, err := f.item(c.h, expand, flags["full"], flags["cardData"], flags["linked"])
		if err != nil {
			return err
		}
		out = append(out, item)
	}
	return c.json(out)
}

// item is what a listing says about a repository.
func (f *found) item(h *Hub, expand []string, full, cardData, linked bool) (map[string]any, error) {
	info, err := f.info(f.commit)
	if err != nil {
		return nil, err
	}
	if len(expand) == 0 && !full {
		if !cardData {
			delete(info, "cardData")
		}
		if !linked {
			delete(info, "models")
			delete(info, "datasets")
		}
		return info, nil
	}
	if f.Type == Space && wants(expand, "runtime") {
		if info["runtime"], err = h.runtime(f.repo); err != nil {
			return nil, err
		}
	}
	if wants(expand, "siblings") {
		if info["siblings"], err = f.siblings(f.commit, false); err != nil {
			return nil, err
		}
	}
	if slices.Contains(expand, "usedStorage") {
		if info["usedStorage"], err = f.size(f.commit); err != nil {
			return nil, err
		}
	}
	return onlyKeys(info, expand), nil
}

// repoFilter is what a query asks of a repository. The first test needs only the
// record, the second the card.
func repoFilter(q url.Values) (match func(r *repoRec, tags func() card) bool, err error) {
	gated := (*bool)(nil)
	if q.Has("gated") {
		b, err := flag(q, "gated")
		if err != nil {
			return nil, err
		}
		gated = &b
	}
	tags := slices.Concat(q["filter"], q["pipeline_tag"])
	return func(r *repoRec, load func() card) bool {
		if a := q.Get("author"); a != "" && !strings.EqualFold(r.owner(), a) {
			return false
		}
		for _, s := range q["search"] {
			if !strings.Contains(strings.ToLower(r.ID), strings.ToLower(s)) {
				return false
			}
		}
		if gated != nil && *gated != (r.Gated != "") {
			return false
		}
		// Nothing here is served, runs, or has its parameters counted.
		for _, k := range []string{"inference", "inference_provider", "apps", "num_parameters"} {
			if q.Has(k) {
				return false
			}
		}
		if len(tags) == 0 && !q.Has("models") && !q.Has("datasets") {
			return true
		}
		card := load()
		has := card.tags(r)
		for _, t := range tags {
			if !slices.Contains(has, t) {
				return false
			}
		}
		for _, k := range []string{"models", "datasets"} {
			uses := card.list(k)
			for _, id := range q[k] {
				if !slices.Contains(uses, id) {
					return false
				}
			}
		}
		return true
	}, nil
}

// findRepos returns the repositories of a type that the caller may see and that
// match.
func (c *call) findRepos(typ string, match func(*repoRec, func() card) bool) ([]*found, error) {
	var list []*found
	for _, r := range c.h.st.reposOf(typ) {
		if !c.h.canRead(c.caller, r) || r.Disabled {
			continue
		}
		var f *found
		var err error
		load := func() card {
			if f == nil && err == nil {
				f, err = c.h.findRepo(r)
			}
			if f == nil {
				return card{}
			}
			return f.card
		}
		if !match(r, load) {
			continue
		}
		load()
		if errors.Is(err, ErrRepoNotFound) {
			continue // deleted a moment ago
		}
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

func (h *Hub) findRepo(rec *repoRec) (*found, error) {
	store, err := h.stores.get(rec.UID)
	if err != nil {
		return nil, err
	}
	f := &found{repo: &repo{rec, store}}
	if f.commit, err = f.resolveCommit("main"); err != nil {
		return nil, err
	}
	f.card, err = f.repo.card(f.commit)
	return f, err
}

// sortRepos puts a listing in order, descending unless the query says otherwise.
// Without an order that means anything here (there are no likes or downloads),
// it is by last change; equal ones are by id.
func sortRepos(list []*found, by, direction string) error {
	key := func(f *found) time.Time { return f.commit.Date }
	switch by {
	case "", "lastModified", "last_modified", "likes", "likes30d", "downloads", "downloadsAllTime", "trendingScore", "trending_score",
		"mainSize", "num_parameters", "datasetsServerInfo.numRows":
	case "id":
		key = func(*found) time.Time { return time.Time{} }
	case "createdAt", "created_at":
		key = func(f *found) time.Time { return f.Created }
	default:
		return badRequest(`"sort" can't be %q`, oneLine(by))
	}
	sign := -1
	switch direction {
	case "", "-1":
	case "1":
		sign = 1
	default:
		return badRequest(`"direction" must be 1 or -1`)
	}
	slices.SortFunc(list, func(a, b *found) int {
		return cmp.Or(sign*key(a).Compare(key(b)), strings.Compare(a.ID, b.ID))
	})
	return nil
}
