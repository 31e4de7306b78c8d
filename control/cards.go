package control

// The metadata at the top of a README, as the classes of Python's library hold them.
var (
	modelCardShape = &shape{open: true, attrs: []attr{
		{name: "base_model"}, {name: "datasets"}, {name: "language"}, {name: "library_name"}, {name: "license"},
		{name: "license_name"}, {name: "license_link"}, {name: "metrics"}, {name: "model_name"}, {name: "pipeline_tag"},
		{name: "tags", as: unique},
		{name: "eval_results", wire: "model-index", as: func(any) any { return nil }},
	}}
	datasetCardShape = &shape{open: true, attrs: []attr{
		{name: "annotations_creators"}, {name: "language_creators"}, {name: "language"}, {name: "license"},
		{name: "multilinguality"}, {name: "size_categories"}, {name: "source_datasets"}, {name: "task_categories"},
		{name: "task_ids"}, {name: "paperswithcode_id"}, {name: "pretty_name"}, {name: "config_names"},
		{name: "train_eval_index", wire: "train-eval-index"},
	}}
	spaceCardShape = &shape{open: true, attrs: []attr{
		{name: "title"}, {name: "sdk"}, {name: "sdk_version"}, {name: "python_version"}, {name: "app_file"},
		{name: "app_port"}, {name: "license"}, {name: "duplicated_from"}, {name: "models"}, {name: "datasets"},
		{name: "tags", as: unique},
	}}
)

// modelCard adds the evaluation results of the card's model index, one for each metric. An index that
// isn't well-formed is left out as a whole, as Python's library does.
func modelCard(v any) any {
	out := modelCardShape.apply(v)
	card, ok := out.(map[string]any)
	if !ok {
		return out
	}
	index, _ := v.(map[string]any)["model-index"].([]any)
	if name, results, ok := evalResults(index); ok && len(index) > 0 {
		card["model_name"], card["eval_results"] = name, results
	}
	return card
}

func evalResults(index []any) (name any, results []any, ok bool) {
	results = []any{}
	for _, e := range index {
		model, isMap := e.(map[string]any)
		list, isList := model["results"].([]any)
		if !isMap || !isList || model["name"] == nil {
			return nil, nil, false
		}
		name = model["name"]
		for _, r := range list {
			result, _ := r.(map[string]any)
			metrics, isList := result["metrics"].([]any)
			if !isList {
				return nil, nil, false
			}
			for _, m := range metrics {
				metric, _ := m.(map[string]any)
				out := map[string]any{}
				for _, f := range evalFields {
					from := result
					if f.metric {
						from = metric
					}
					value := dig(from, f.wire)
					if value == nil && f.required {
						return nil, nil, false
					}
					out[f.name] = value
				}
				results = append(results, out)
			}
		}
	}
	return name, results, true
}

// evalFields are the attributes of EvalResult, and where a model index has them: in the result, or in
// each of its metrics.
var evalFields = []struct {
	name, wire       string
	metric, required bool
}{
	{name: "task_type", wire: "task.type", required: true},
	{name: "task_name", wire: "task.name"},
	{name: "dataset_type", wire: "dataset.type", required: true},
	{name: "dataset_name", wire: "dataset.name", required: true},
	{name: "dataset_config", wire: "dataset.config"},
	{name: "dataset_split", wire: "dataset.split"},
	{name: "dataset_revision", wire: "dataset.revision"},
	{name: "dataset_args", wire: "dataset.args"},
	{name: "source_name", wire: "source.name"},
	{name: "source_url", wire: "source.url"},
	{name: "metric_type", wire: "type", metric: true, required: true},
	{name: "metric_value", wire: "value", metric: true, required: true},
	{name: "metric_name", wire: "name", metric: true},
	{name: "metric_config", wire: "config", metric: true},
	{name: "metric_args", wire: "args", metric: true},
	{name: "verified", wire: "verified", metric: true},
	{name: "verify_token", wire: "verifyToken", metric: true},
}
