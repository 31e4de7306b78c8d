package hub

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ListReposOptions choose, sort and extend what ListRepos gives. The zero value
// is everything that the token may see.
type ListReposOptions struct {
	Author string
	Search string   // part of the id
	Name   string   // another part of the id
	Filter []string // tags, all of which must be there
	Gated  *bool

	Sort       string // "lastModified", "createdAt", "downloads", "likes", "trendingScore"
	Descending bool
	Limit      int // at most so many; 0 is all

	Full     bool     // with the attributes that only cost more
	CardData bool     // with CardData (models)
	Config   bool     // with Config (models)
	Expand   []string // only these properties; excludes the three above

	// Models.
	Inference   string // "warm", "cold", "frozen"
	PipelineTag string
	// Emissions are the bounds, both included, of what a model's card says in grams of
	// CO2 (co2_eq_emissions); nil is none. Cards are looked at as they come, after Limit:
	// without CardData, Full or Expand, no model is found.
	Emissions *EmissionsRange
	// Spaces: those that use these.
	Models, Datasets []string
	Linked           bool // with Models and Datasets of each Space
}

// EmissionsRange has a least and a greatest number; nil is no bound, of which there must be one.
type EmissionsRange struct{ Min, Max *float64 }

// holds says whether the emissions that a card tells of are in the range. A card that
// tells of none, or of zero, isn't.
func (r *EmissionsRange) holds(cardData json.RawMessage) bool {
	var card struct {
		Emissions json.RawMessage `json:"co2_eq_emissions"`
	}
	if json.Unmarshal(cardData, &card) != nil {
		return false
	}
	var object struct {
		Emissions json.RawMessage `json:"emissions"`
	}
	if json.Unmarshal(card.Emissions, &object) == nil && object.Emissions != nil {
		card.Emissions = object.Emissions
	}
	// It may be a text such as "0.95 kg".
	value, err := strconv.ParseFloat(firstNumber.FindString(string(card.Emissions)), 64)
	if err != nil || value == 0 && card.Emissions[0] != '"' {
		return false
	}
	return (r.Min == nil || value >= *r.Min) && (r.Max == nil || value <= *r.Max)
}

var firstNumber = regexp.MustCompile(`\d+(\.\d+)?([eE][-+]?\d+)?`)

// query is the options as the Hub reads them.
func (o *ListReposOptions) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	flag := func(name string, on bool) {
		if on {
			q.Set(name, "true")
		}
	}
	list := func(name string, values []string) {
		if len(values) > 0 {
			q[name] = values
		}
	}
	set("author", o.Author)
	list("search", slices.DeleteFunc([]string{o.Name, o.Search}, func(s string) bool { return s == "" }))
	list("filter", o.Filter)
	if o.Gated != nil {
		q.Set("gated", strconv.FormatBool(*o.Gated))
	}
	set("sort", o.Sort)
	if o.Descending {
		q.Set("direction", "-1")
	}
	if o.Limit > 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	flag("full", o.Full)
	flag("cardData", o.CardData)
	flag("config", o.Config)
	list("expand", o.Expand)
	set("inference", o.Inference)
	set("pipeline_tag", o.PipelineTag)
	list("models", o.Models)
	list("datasets", o.Datasets)
	flag("linked", o.Linked)
	return q
}

// ListRepos lists the repositories of a type. Those with an impossible id, or of
// another Author than asked for, are left out and logged. Iteration ends at the first error.
//
//	GET /api/{type}s
func (c *Client) ListRepos(ctx context.Context, t RepoType, opts *ListReposOptions) iter.Seq2[RepoInfo, error] {
	if opts == nil {
		opts = &ListReposOptions{}
	}
	return func(yield func(RepoInfo, error) bool) {
		if !t.valid() {
			yield(RepoInfo{}, Repo{Type: t}.Validate())
			return
		}
		if len(opts.Expand) > 0 && (opts.Full || opts.CardData || opts.Config) {
			yield(RepoInfo{}, &ValidationError{What: "option", Value: "Expand", Reason: "excludes Full, CardData and Config"})
			return
		}
		if opts.Emissions != nil && (t != Model || opts.Emissions.Min == nil && opts.Emissions.Max == nil) {
			yield(RepoInfo{}, &ValidationError{What: "option", Value: "Emissions", Reason: "is for models, and needs a bound"})
			return
		}
		r := &request{method: http.MethodGet, path: at("/api/" + t.plural()), query: opts.query()}
		n := 0
		for info, err := range pages[RepoInfo](ctx, c, r) {
			if err != nil {
				yield(RepoInfo{}, err)
				return
			}
			info.Type = t
			err := info.check()
			if err == nil && opts.Author != "" && !strings.EqualFold(info.Repo().Namespace(), opts.Author) {
				err = &ValidationError{What: "repo id", Value: info.ID, Reason: "isn't the author's that was asked for"}
			}
			if err != nil {
				c.logger.WarnContext(ctx, "left out of a list", "type", t, "error", err)
				continue
			}
			c.dropHostileSiblings(ctx, &info)
			n++
			if (opts.Emissions == nil || opts.Emissions.holds(info.CardData)) && !yield(info, nil) || n == opts.Limit {
				return
			}
		}
	}
}
