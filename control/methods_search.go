package control

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/hubfs/hubfs/hub"
)

// listParams are what all three lists take.
type listParams struct {
	Filter    stringList `param:"filter" doc:"tags that must all be there"`
	Author    string     `param:"author" doc:"user or organisation that owns them"`
	Search    string     `param:"search" doc:"part of the id"`
	Sort      string     `param:"sort" doc:"last_modified, created_at, downloads, likes or trending_score"`
	Direction *int       `param:"direction" enum:"-1" doc:"-1: descending"`
	Limit     *int       `param:"limit" doc:"at most so many"`
	Full      bool       `param:"full" default:"false" doc:"with all attributes; slower"`
	Expand    stringList `param:"expand" doc:"only these properties, by their names in the Hub's API"`
	caller
}

// sortKeys are the sorts whose names differ on the wire.
var sortKeys = map[string]string{"last_modified": "lastModified", "created_at": "createdAt", "trending_score": "trendingScore"}

// options gives nil where nothing can match: a limit of 0.
func (p *listParams) options(filter ...[]string) (*hub.ListReposOptions, error) {
	if len(p.Expand) > 0 && p.Full {
		return nil, badParam("expand", "can't be given with full")
	}
	o := &hub.ListReposOptions{
		Author: p.Author, Search: p.Search, Filter: slices.Concat(append([][]string{p.Filter}, filter...)...),
		Sort: p.Sort, Descending: p.Direction != nil, Full: p.Full, Expand: p.Expand,
	}
	if wire, ok := sortKeys[p.Sort]; ok {
		o.Sort = wire
	}
	if p.Limit != nil {
		if *p.Limit < 1 {
			return nil, badParam("limit", "is %d, and must be at least 1", *p.Limit)
		}
		o.Limit = *p.Limit
	}
	return o, nil
}

func listRepos(ctx context.Context, s *session, t hub.RepoType, o *hub.ListReposOptions, err error) iter.Seq2[any, error] {
	if err != nil {
		return failing(err)
	}
	return mapped(s.Hub.ListRepos(ctx, t, o), func(info hub.RepoInfo) (any, error) { return repoInfo(&info) })
}

type listModelsParams struct {
	listParams
	Gated          *bool      `param:"gated" doc:"only gated ones, or only others"`
	Inference      string     `param:"inference" enum:"warm|cold|frozen" doc:"state at the inference provider"`
	Library        stringList `param:"library" doc:"such as transformers"`
	Language       stringList `param:"language" doc:"such as en"`
	Task           stringList `param:"task" doc:"such as fill-mask"`
	TrainedDataset stringList `param:"trained_dataset" doc:"datasets that they were trained on"`
	Tags           stringList `param:"tags" doc:"more tags"`
	PipelineTag    string     `param:"pipeline_tag" doc:"the one main task"`
	ModelName      string     `param:"model_name" doc:"another part of the id"`
	Emissions      *bounds    `param:"emissions_thresholds" doc:"[least, greatest] grams of CO2 of the card, which takes cardData; null: no bound"`
	CardData       bool       `param:"cardData" default:"false" doc:"with the metadata of the README"`
	FetchConfig    bool       `param:"fetch_config" default:"false" doc:"with config"`
}

// bounds are the least and the greatest of what is wanted, of which one may be null.
type bounds hub.EmissionsRange

func (bounds) paramType() string { return "list[float]" }

// UnmarshalJSON takes a list of two numbers.
func (b *bounds) UnmarshalJSON(data []byte) error {
	var pair []*float64
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 || pair[0] == nil && pair[1] == nil {
		return errors.New("two numbers, of which one may be null")
	}
	b.Min, b.Max = pair[0], pair[1]
	return nil
}

func listModels(ctx context.Context, s *session, p *listModelsParams) iter.Seq2[any, error] {
	o, err := p.options(p.Library, p.Task, prefixed("dataset:", p.TrainedDataset), p.Language, p.Tags)
	if err == nil {
		o.Gated, o.Inference, o.PipelineTag, o.CardData, o.Config = p.Gated, p.Inference, p.PipelineTag, p.CardData, p.FetchConfig
		o.Name, o.Emissions = p.ModelName, (*hub.EmissionsRange)(p.Emissions)
		if len(p.Expand) > 0 && (p.CardData || p.FetchConfig) {
			err = badParam("expand", "can't be given with cardData or fetch_config")
		}
	}
	return listRepos(ctx, s, hub.Model, o, err)
}

type listDatasetsParams struct {
	listParams
	Gated            *bool      `param:"gated" doc:"only gated ones, or only others"`
	Benchmark        stringList `param:"benchmark" doc:"benchmarks that they are part of"`
	LanguageCreators stringList `param:"language_creators" doc:"such as crowdsourced"`
	Language         stringList `param:"language" doc:"such as en"`
	Multilinguality  stringList `param:"multilinguality" doc:"such as monolingual"`
	SizeCategories   stringList `param:"size_categories" doc:"such as 100K<n<1M"`
	TaskCategories   stringList `param:"task_categories" doc:"such as audio-classification"`
	TaskIDs          stringList `param:"task_ids" doc:"such as paraphrase"`
	DatasetName      string     `param:"dataset_name" doc:"another part of the id"`
	Tags             stringList `param:"tags" doc:"more tags"`
}

func listDatasets(ctx context.Context, s *session, p *listDatasetsParams) iter.Seq2[any, error] {
	o, err := p.options(prefixed("benchmark:", p.Benchmark), prefixed("language_creators:", p.LanguageCreators),
		prefixed("language:", p.Language), prefixed("multilinguality:", p.Multilinguality),
		prefixed("size_categories:", p.SizeCategories), prefixed("task_categories:", p.TaskCategories),
		prefixed("task_ids:", p.TaskIDs), p.Tags)
	if err == nil {
		o.Gated, o.Name = p.Gated, p.DatasetName
	}
	return listRepos(ctx, s, hub.Dataset, o, err)
}

type listSpacesParams struct {
	listParams
	Models   stringList `param:"models" doc:"Spaces that use these models"`
	Datasets stringList `param:"datasets" doc:"Spaces that use these datasets"`
	Linked   bool       `param:"linked" default:"false" doc:"with the models and datasets that each uses"`
}

func listSpaces(ctx context.Context, s *session, p *listSpacesParams) iter.Seq2[any, error] {
	o, err := p.options()
	if err == nil {
		o.Models, o.Datasets, o.Linked = p.Models, p.Datasets, p.Linked
	}
	return listRepos(ctx, s, hub.Space, o, err)
}

// prefixed makes tags of values, unless they are already.
func prefixed(prefix string, values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = prefix + strings.TrimPrefix(v, prefix)
	}
	return out
}
