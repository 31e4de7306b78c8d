package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Paper is a scientific paper that the Hub knows. Zero is what the Hub didn't say.
type Paper struct {
	ID           string // at arXiv, such as "1706.03762"
	Title        string
	Authors      []string
	PublishedAt  time.Time
	Summary      string
	Upvotes      int
	DiscussionID string
	Source       string
	Comments     int
	SubmittedAt  time.Time // when it was among the papers of the day
	SubmittedBy  *User

	// Extra holds what has no field here, by its name in the answer.
	Extra map[string]json.RawMessage
}

// UnmarshalJSON reads both of the Hub's forms: search results have the paper inside, a
// paper by itself is flat.
func (p *Paper) UnmarshalJSON(data []byte) error {
	type core struct {
		ID           string    `json:"id"`
		PublishedAt  time.Time `json:"publishedAt"`
		Summary      string    `json:"summary"`
		Upvotes      int       `json:"upvotes"`
		DiscussionID string    `json:"discussionId"`
		Authors      []struct {
			Name string `json:"name"`
		} `json:"authors"`
	}
	var w struct {
		core
		Paper       core      `json:"paper"`
		Title       string    `json:"title"`
		Source      string    `json:"source"`
		Comments    int       `json:"numComments"`
		SubmittedBy *User     `json:"submittedBy"`
		DailyBy     *User     `json:"submittedOnDailyBy"`
		DailyAt     time.Time `json:"submittedOnDailyAt"`
	}
	extra, err := decodeOpen(data, &w)
	if err != nil {
		return err
	}
	*p = Paper{
		ID: cmp.Or(w.ID, w.Paper.ID), Title: w.Title, Summary: cmp.Or(w.Paper.Summary, w.Summary),
		PublishedAt: cmp.Or(w.Paper.PublishedAt, w.PublishedAt), Upvotes: cmp.Or(w.Paper.Upvotes, w.Upvotes),
		DiscussionID: cmp.Or(w.Paper.DiscussionID, w.DiscussionID), Source: w.Source, Comments: w.Comments,
		SubmittedAt: w.DailyAt, SubmittedBy: cmp.Or(w.SubmittedBy, w.DailyBy), Extra: extra,
	}
	if !w.Paper.PublishedAt.IsZero() { // then the outer one says something else
		p.SubmittedAt = cmp.Or(w.PublishedAt, w.DailyAt)
	}
	authors := w.Paper.Authors
	if len(authors) == 0 {
		authors = w.Authors
	}
	for _, a := range authors {
		p.Authors = append(p.Authors, a.Name)
	}
	return nil
}

// Papers searches the papers for a text. It is one request, whose answer isn't paged.
//
//	GET /api/papers/search
func (c *Client) Papers(ctx context.Context, query string) iter.Seq2[Paper, error] {
	r := &request{method: http.MethodGet, path: at("/api/papers/search"), query: url.Values{}}
	if query != "" {
		r.query.Set("q", query)
	}
	return pages[Paper](ctx, c, r)
}

// Paper describes a paper by its id at arXiv; ErrNotFound if the Hub doesn't know it. It
// is asked without a token.
//
//	GET /api/papers/{id}
func (c *Client) Paper(ctx context.Context, id string) (*Paper, error) {
	if id == "" || strings.ContainsAny(id, "/\\") || id == "." || id == ".." {
		return nil, &ValidationError{What: "paper", Value: id, Reason: "must be an id of arXiv, such as 1706.03762"}
	}
	var p Paper
	if err := c.doJSON(ctx, &request{method: http.MethodGet, path: at("/api/papers/" + escape(id)), anonymous: true}, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// Tag is a word that repositories can be filtered by.
type Tag struct {
	ID    string `json:"id"`    // as ListReposOptions.Filter takes it: "license:mit"
	Label string `json:"label"` // for people
	Type  string `json:"type"`

	// Extra holds what has no field here, by its name in the answer.
	Extra map[string]json.RawMessage `json:"-"`
}

// UnmarshalJSON reads the Hub's form.
func (t *Tag) UnmarshalJSON(data []byte) (err error) {
	type plain Tag
	var p plain
	if p.Extra, err = decodeOpen(data, &p); err == nil {
		*t = Tag(p)
	}
	return err
}

// MarshalJSON writes what UnmarshalJSON reads, Extra included.
func (t Tag) MarshalJSON() ([]byte, error) {
	type plain Tag
	return encodeOpen(plain(t), t.Extra)
}

// TagsByType lists the tags of models or of datasets by their types, such as "license".
// It is asked without a token.
//
//	GET /api/{models|datasets}-tags-by-type
func (c *Client) TagsByType(ctx context.Context, t RepoType) (map[string][]Tag, error) {
	if t != Model && t != Dataset {
		return nil, &ValidationError{What: "repo type", Value: string(t), Reason: "must be model or dataset"}
	}
	var tags map[string][]Tag
	r := &request{method: http.MethodGet, path: at("/api/" + t.plural() + "-tags-by-type"), anonymous: true}
	if err := c.doJSON(ctx, r, &tags); err != nil {
		return nil, err
	}
	return tags, nil
}
