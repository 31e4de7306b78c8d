package localhub

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// filter is what a query asks of a repository: of its record, and of what its files
// tell.
type filter struct {
	record func(*repoRec) bool
	facts  func(*found) bool
}

// repoFilter reads a query's filters. All of them must hold.
func (h *Hub) repoFilter(q url.Values, typ string) (filter, error) {
	var gated *bool
	if q.Has("gated") {
		b, err := flag(q, "gated")
		if err != nil {
			return filter{}, err
		}
		gated = &b
	}
	served, err := h.servedFilter(q)
	if err != nil {
		return filter{}, err
	}
	least, most, err := parameterRange(q.Get("num_parameters"))
	if err != nil {
		return filter{}, err
	}
	return filter{
		record: func(r *repoRec) bool {
			if a := q.Get("author"); a != "" && !strings.EqualFold(r.owner(), a) || gated != nil && *gated != (r.Gated != "") || served != nil && !served(r) {
				return false
			}
			for _, s := range q["search"] {
				for word := range strings.FieldsSeq(strings.ToLower(s)) {
					if !strings.Contains(strings.ToLower(r.ID), word) {
						return false
					}
				}
			}
			return true
		},
		facts: func(f *found) bool {
			for _, tag := range q["filter"] {
				if !slices.Contains(f.tags, tag) {
					return false
				}
			}
			for _, task := range q["pipeline_tag"] {
				if f.pipelineTag != task {
					return false
				}
			}
			for _, app := range q["apps"] {
				if !f.runsIn(app) {
					return false
				}
			}
			if typ == Space {
				for _, k := range []string{"models", "datasets"} {
					uses := f.about.list(k)
					for _, id := range q[k] {
						if !slices.ContainsFunc(uses, func(u string) bool { return strings.EqualFold(u, id) }) {
							return false
						}
					}
				}
			}
			return !q.Has("num_parameters") || f.parameters > 0 && f.parameters >= least && f.parameters <= most
		},
	}, nil
}

// parameterRange reads a range such as "min:6B,max:128B".
func parameterRange(s string) (least, most int64, err error) {
	most = 1<<63 - 1
	if s == "" {
		return 0, most, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(part, ":")
		n, ok := parseCount(value)
		switch {
		case ok && name == "min":
			least = n
		case ok && name == "max":
			most = n
		default:
			return 0, 0, badRequest(`"num_parameters" must be like min:6B,max:128B`)
		}
	}
	return least, most, nil
}

// parseCount reads a number with K, M, B or T behind it.
func parseCount(s string) (int64, bool) {
	unit := 1.0
	for suffix, factor := range map[string]float64{"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12} {
		if rest, ok := strings.CutSuffix(strings.ToUpper(s), suffix); ok {
			s, unit = rest, factor
			break
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0) || f*unit > 1e18 {
		return 0, false
	}
	return int64(f * unit), true
}

// sortKey is what a listing is sorted by.
type sortKey func(*found) int64

// sortRepos puts a listing in order, descending unless the query says otherwise.
// Without an order, it is by last change; equal ones are by id.
func (h *Hub) sortRepos(list []*found, typ, by, direction string) error {
	likes := func(recent bool) sortKey {
		return func(f *found) int64 {
			all, late := h.st.likesOf(f.UID, h.now().Add(-recently))
			if recent {
				return int64(late)
			}
			return int64(all)
		}
	}
	keys := map[string]sortKey{
		"":              func(f *found) int64 { return f.commit.Date.UnixMilli() },
		"id":            func(*found) int64 { return 0 },
		"createdAt":     func(f *found) int64 { return f.Created.UnixMicro() },
		"likes":         likes(false),
		"likes30d":      likes(true),
		"trendingScore": likes(true),
	}
	keys["lastModified"] = keys[""]
	if typ != Space {
		keys["downloads"] = func(f *found) int64 { recent, _ := h.downloads(f.repoRec); return recent }
		keys["downloadsAllTime"] = func(f *found) int64 { _, all := h.downloads(f.repoRec); return all }
	}
	if typ == Model {
		keys["num_parameters"] = func(f *found) int64 { return f.parameters }
	}
	for old, name := range map[string]string{"last_modified": "lastModified", "created_at": "createdAt", "trending_score": "trendingScore"} {
		keys[old] = keys[name]
	}
	key, ok := keys[by]
	if !ok {
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
	// Likes may come and go meanwhile: each is looked at once.
	values := make(map[*found]int64, len(list))
	for _, f := range list {
		values[f] = key(f)
	}
	slices.SortFunc(list, func(a, b *found) int {
		return cmp.Or(sign*cmp.Compare(values[a], values[b]), strings.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID)))
	})
	return nil
}
