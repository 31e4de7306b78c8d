package localhub

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// card is the metadata block at the head of a repository's README.md.
type card struct{ data map[string]any }

// card reads the metadata of a commit. A block that isn't well formed is none: it
// was refused when it came, or it came another way.
func (r *repo) card(commit *gitstore.Commit) (card, error) {
	e, err := r.git.Lookup(commit.Tree, "README.md")
	if errors.Is(err, gitstore.ErrNotFound) || err == nil && (e.IsDir() || e.LFS != nil || e.Size > maxCard) {
		return card{}, nil
	}
	if err != nil {
		return card{}, err
	}
	o, err := r.git.Read(e.OID)
	if err != nil {
		return card{}, err
	}
	data, found, err := parseCard(o.Content)
	if err != nil || !found {
		return card{}, nil //nolint:nilerr // see above
	}
	return card{data}, nil
}

// maxCard is the largest README.md whose metadata is read.
const maxCard = 5 << 20

// parseCard reads the block between the first two lines of three dashes.
func parseCard(text []byte) (data map[string]any, found bool, err error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	text = bytes.TrimLeft(text, " \t\r\n")
	line, rest, ok := bytes.Cut(text, []byte("\n"))
	if !ok || strings.TrimRight(string(line), " \t\r") != "---" {
		return nil, false, nil
	}
	var block bytes.Buffer
	for {
		line, after, more := bytes.Cut(rest, []byte("\n"))
		if strings.TrimRight(string(line), " \t\r") == "---" {
			break
		}
		if !more {
			return nil, false, nil
		}
		block.Write(line)
		block.WriteByte('\n')
		rest = after
	}
	var v any
	if err := yaml.Unmarshal(block.Bytes(), &v); err != nil {
		return nil, true, err
	}
	if v == nil {
		return map[string]any{}, true, nil
	}
	m, ok := jsonValue(v).(map[string]any)
	if !ok {
		return nil, true, errors.New("the metadata must be a mapping of names to values")
	}
	return m, true, nil
}

// jsonValue turns what YAML can hold into what JSON can.
func jsonValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = jsonValue(e)
		}
		return v
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[fmt.Sprint(k)] = jsonValue(e)
		}
		return m
	case []any:
		for i, e := range v {
			v[i] = jsonValue(e)
		}
		return v
	case time.Time:
		if v.Equal(v.Truncate(24 * time.Hour)) {
			return v.Format(time.DateOnly)
		}
		return date(v)
	case float64:
		if v != v || v > 1e308 || v < -1e308 {
			return fmt.Sprint(v) // JSON has no such numbers
		}
	}
	return v
}

// list is an attribute that is one text or a list of them.
func (c card) list(key string) []string {
	switch v := c.data[key].(type) {
	case string:
		return []string{v}
	case []any:
		out := []string{}
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return []string{}
}

// tags are what repositories can be filtered by: those of the card, and its other
// attributes with a prefix that says which.
func (c card) tags(r *repoRec, f *facts) []string {
	tags := []string{}
	add := func(prefix string, values ...string) {
		for _, v := range values {
			if t := prefix + v; v != "" && !slices.Contains(tags, t) {
				tags = append(tags, t)
			}
		}
	}
	switch r.Type {
	case Model:
		add("", f.library)
		add("", c.list("tags")...)
		add("", f.pipelineTag)
		add("", c.list("language")...)
		add("dataset:", c.list("datasets")...)
		add("base_model:", c.list("base_model")...)
		if relation := c.relation(f); relation != "" {
			add("base_model:"+relation+":", c.list("base_model")...)
		}
	case Dataset:
		for _, k := range datasetTagKeys {
			add(k+":", c.list(k)...)
		}
		add("", c.list("tags")...)
	case Space:
		add("", r.SDK)
		add("", c.list("tags")...)
	}
	add("license:", c.list("license")...)
	add("", "region:us")
	return tags
}

// datasetTagKeys are the attributes of a dataset's card that are tags.
var datasetTagKeys = []string{
	"task_categories", "task_ids", "language", "multilinguality", "size_categories", "language_creators", "annotations_creators",
	"source_datasets", "benchmark",
}

// relation is what a model is to those that it was made from: "adapter", "merge",
// "quantized" or "finetune"; "" without such.
func (c card) relation(f *facts) string {
	bases := c.list("base_model")
	if len(bases) == 0 {
		return ""
	}
	switch relation, _ := c.data["base_model_relation"].(string); {
	case slices.Contains(baseRelations, relation):
		return relation
	case f.library == "peft":
		return "adapter"
	case f.gguf != nil:
		return "quantized"
	case len(bases) > 1:
		return "merge"
	}
	return "finetune"
}

var baseRelations = []string{"adapter", "finetune", "merge", "quantized"}
