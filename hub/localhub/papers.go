package localhub

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// paper is one of the few papers that this Hub knows. They don't change.
type paper struct {
	ID        string // at arXiv
	Title     string
	Authors   []string
	Published time.Time
	Submitted time.Time // when it was a paper of the day; zero if never
	Summary   string
	Upvotes   int
	Comments  int
}

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// papers are the papers by their ids. The summaries are this Hub's own words.
var papers = func() map[string]*paper {
	byID := map[string]*paper{}
	for _, p := range []paper{
		{
			"1706.03762", "Attention Is All You Need",
			[]string{"Ashish Vaswani", "Noam Shazeer", "Niki Parmar", "Jakob Uszkoreit", "Llion Jones", "Aidan N. Gomez", "Lukasz Kaiser", "Illia Polosukhin"},
			day(2017, time.June, 12), time.Time{}, "Introduces the transformer, a network for sequences that is made of attention alone.", 73, 2,
		},
		{
			"1810.04805", "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding",
			[]string{"Jacob Devlin", "Ming-Wei Chang", "Kenton Lee", "Kristina Toutanova"},
			day(2018, time.October, 11), time.Time{}, "Trains an encoder on masked words, to be tuned for many tasks of language understanding.", 25, 0,
		},
		{
			"2005.14165", "Language Models are Few-Shot Learners",
			[]string{"Tom B. Brown", "Benjamin Mann", "Nick Ryder", "Melanie Subbiah"},
			day(2020, time.May, 28), time.Time{}, "Shows that a language model of 175 billion parameters solves tasks from a few examples in its prompt.", 18, 0,
		},
		{
			"2010.11929", "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
			[]string{"Alexey Dosovitskiy", "Lucas Beyer", "Alexander Kolesnikov", "Dirk Weissenborn"},
			day(2020, time.October, 22), time.Time{}, "Cuts images into patches and classifies the sequence of them with a transformer.", 12, 0,
		},
		{
			"2106.09685", "LoRA: Low-Rank Adaptation of Large Language Models",
			[]string{"Edward J. Hu", "Yelong Shen", "Phillip Wallis", "Zeyuan Allen-Zhu"},
			day(2021, time.June, 17), time.Time{}, "Tunes a large language model by small matrices of low rank beside its frozen weights.", 46, 1,
		},
		{
			"2112.10752", "High-Resolution Image Synthesis with Latent Diffusion Models",
			[]string{"Robin Rombach", "Andreas Blattmann", "Dominik Lorenz", "Patrick Esser", "Björn Ommer"},
			day(2021, time.December, 20), time.Time{}, "Runs the diffusion that makes images in the small latent space of an autoencoder.", 14, 0,
		},
		{
			"2302.13971", "LLaMA: Open and Efficient Foundation Language Models",
			[]string{"Hugo Touvron", "Thibaut Lavril", "Gautier Izacard", "Xavier Martinet"},
			day(2023, time.February, 27), time.Time{}, "Language models of 7 to 65 billion parameters, trained on public data alone.", 20, 0,
		},
		{
			"2307.09288", "Llama 2: Open Foundation and Fine-Tuned Chat Models",
			[]string{"Hugo Touvron", "Louis Martin", "Kevin Stone", "Peter Albert"},
			day(2023, time.July, 18), day(2023, time.July, 19), "Language models of 7 to 70 billion parameters, also tuned for dialogue.", 248, 7,
		},
	} {
		byID[p.ID] = &p
	}
	return byID
}()

// view is what the Hub says about a paper but for its title, which is elsewhere in
// search results.
func (p *paper) view() map[string]any {
	authors := []map[string]any{}
	for _, a := range p.Authors {
		authors = append(authors, map[string]any{"name": a, "hidden": false})
	}
	return map[string]any{
		"id": p.ID, "title": p.Title, "authors": authors, "publishedAt": date(p.Published), "summary": p.Summary, "upvotes": p.Upvotes,
		"discussionId": "6" + strings.Repeat("0", 14) + strings.ReplaceAll(p.ID, ".", ""),
	}
}

// paper answers with one paper.
func (c *call) paper() error {
	if _, err := c.query(); err != nil {
		return err
	}
	p := papers[c.segs[0]]
	if p == nil {
		return fail(http.StatusNotFound, "Paper not found: %s", oneLine(c.segs[0]))
	}
	v := p.view()
	v["numComments"] = p.Comments
	if !p.Submitted.IsZero() {
		v["submittedOnDailyAt"] = date(p.Submitted)
		v["submittedOnDailyBy"] = map[string]any{"_id": "60f1abe7544c2adfd699860c", "user": "hub", "fullname": "The Hub", "avatarUrl": "", "isPro": false, "type": "user"}
	}
	return c.json(v)
}

// searchPapers lists the papers in which all words of the query are, the most
// upvoted first. An empty query finds nothing.
func (c *call) searchPapers() error {
	q, err := c.query("q", "limit")
	if err != nil {
		return err
	}
	limit, err := number(q, "limit", 120, 1, 120)
	if err != nil {
		return err
	}
	words := strings.Fields(strings.ToLower(q.Get("q")))
	var found []*paper
	for _, p := range papers {
		text := strings.ToLower(strings.Join(append([]string{p.ID, p.Title, p.Summary}, p.Authors...), " "))
		if len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *paper) int { return b.Upvotes - a.Upvotes })
	out := []map[string]any{}
	for _, p := range found[:min(limit, len(found))] {
		published := p.Submitted
		if published.IsZero() {
			published = p.Published
		}
		out = append(out, map[string]any{
			"paper": p.view(), "title": p.Title, "publishedAt": date(published), "numComments": p.Comments, "mediaUrls": []string{},
		})
	}
	return c.json(out)
}

// papersBy counts the papers whose authors have a user's full name.
func (h *Hub) papersBy(u *userRec) int {
	n := 0
	for _, p := range papers {
		if slices.Contains(p.Authors, u.Fullname) {
			n++
		}
	}
	return n
}
