package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// A shape says how an object of the Hub's JSON becomes one of the classes of Python's library.
type shape struct {
	attrs []attr
	// open classes keep what has no attribute, under its name on the wire.
	open bool
}

// attr is an attribute of a class; it is null where the object hasn't got it.
type attr struct {
	name string
	wire string        // key of the object, "a.b" for one inside another; "" is name
	as   func(any) any // nil keeps the value
}

// apply makes the class's object out of the Hub's. What isn't an object stays as it is.
func (s *shape) apply(v any) any {
	in, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := make(map[string]any, len(s.attrs))
	used := map[string]bool{}
	for _, a := range s.attrs {
		wire := a.wire
		if wire == "" {
			wire = a.name
		}
		head, _, _ := strings.Cut(wire, ".")
		used[head] = true
		value := dig(in, wire)
		if value != nil && a.as != nil {
			value = a.as(value)
		}
		out[a.name] = value
	}
	if s.open {
		for k, v := range in {
			if !used[k] {
				if _, taken := out[k]; !taken {
					out[k] = v
				}
			}
		}
	}
	return out
}

func (s *shape) each(v any) any {
	in, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]any, len(in))
	for i, e := range in {
		out[i] = s.apply(e)
	}
	return out
}

// of makes the class's object out of anything whose JSON is the Hub's own.
func (s *shape) of(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var obj any
	if err := decodeNumbers(b, &obj); err != nil {
		return nil, err
	}
	return s.apply(obj), nil
}

// decodeNumbers decodes JSON with the digits of its numbers.
func decodeNumbers(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	return dec.Decode(v)
}

func dig(in map[string]any, path string) any {
	head, rest, deeper := strings.Cut(path, ".")
	v := in[head]
	if !deeper {
		return v
	}
	if inner, ok := v.(map[string]any); ok {
		return dig(inner, rest)
	}
	return nil
}

// date writes times as the Hub does.
func date(v any) any {
	s, ok := v.(string)
	if !ok {
		return v
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return v
	}
	return dateOf(t)
}

func dateOf(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func unique(v any) any {
	in, ok := v.([]any)
	if !ok {
		return v
	}
	var out []any
	for _, e := range in {
		if !slices.ContainsFunc(out, func(o any) bool { return fmt.Sprint(o) == fmt.Sprint(e) }) {
			out = append(out, e)
		}
	}
	return out
}

// The attributes that all three classes of repositories have, and those of each.
var (
	repoAttrs = []attr{
		{name: "id"}, {name: "author"}, {name: "sha"},
		{name: "created_at", wire: "createdAt", as: date},
		{name: "last_modified", wire: "lastModified", as: date},
		{name: "private"}, {name: "disabled"}, {name: "gated"}, {name: "likes"}, {name: "tags"},
		{name: "trending_score", wire: "trendingScore"},
		{name: "siblings", as: siblingShape.each},
		{name: "used_storage", wire: "usedStorage"},
		{name: "resource_group", wire: "resourceGroup"},
	}
	modelShape = &shape{open: true, attrs: slices.Concat(repoAttrs, []attr{
		{name: "downloads"},
		{name: "downloads_all_time", wire: "downloadsAllTime"},
		{name: "gguf"}, {name: "inference"}, {name: "library_name"}, {name: "pipeline_tag"}, {name: "mask_token"},
		{name: "card_data", wire: "cardData", as: modelCard},
		{name: "widget_data", wire: "widgetData"},
		{name: "model_index", wire: "model-index"},
		{name: "config"},
		{name: "transformers_info", wire: "transformersInfo", as: transformersShape.apply},
		{name: "spaces"}, {name: "safetensors"},
		{name: "security_repo_status", wire: "securityRepoStatus"},
		{name: "base_models", wire: "baseModels"},
		{name: "children_model_count", wire: "childrenModelCount"},
		{name: "eval_results", wire: "evalResults"},
		{name: "inference_provider_mapping", wire: "inferenceProviderMapping"},
	})}
	datasetShape = &shape{open: true, attrs: slices.Concat(repoAttrs, []attr{
		{name: "downloads"},
		{name: "downloads_all_time", wire: "downloadsAllTime"},
		{name: "paperswithcode_id"},
		{name: "card_data", wire: "cardData", as: datasetCardShape.apply},
		{name: "description"}, {name: "citation"},
		{name: "main_size", wire: "mainSize"},
	})}
	spaceShape = &shape{open: true, attrs: slices.Concat(repoAttrs, []attr{
		{name: "host"}, {name: "subdomain"}, {name: "sdk"},
		{name: "card_data", wire: "cardData", as: spaceCardShape.apply},
		{name: "runtime", as: spaceRuntime},
		{name: "models"}, {name: "datasets"}, {name: "region"},
	})}

	lfsShape          = &shape{attrs: []attr{{name: "size"}, {name: "sha256"}, {name: "pointer_size", wire: "pointerSize"}}}
	siblingShape      = &shape{attrs: []attr{{name: "rfilename"}, {name: "size"}, {name: "blob_id", wire: "blobId"}, {name: "lfs", as: lfsShape.apply}}}
	transformersShape = &shape{attrs: []attr{{name: "auto_model"}, {name: "custom_class"}, {name: "pipeline_tag"}, {name: "processor"}}}
	runtimeShape      = &shape{attrs: []attr{
		{name: "stage"},
		{name: "hardware", wire: "hardware.current"},
		{name: "requested_hardware", wire: "hardware.requested"},
		{name: "sleep_time", wire: "gcTimeout"},
		{name: "storage"},
		{name: "dev_mode", wire: "devMode"},
		{name: "hot_reloading", wire: "hotReloading"},
		{name: "volumes"},
	}}

	lastCommitShape = &shape{attrs: []attr{{name: "oid", wire: "id"}, {name: "title"}, {name: "date", as: date}}}
	fileShape       = &shape{attrs: []attr{
		{name: "path"}, {name: "size"},
		{name: "blob_id", wire: "oid"},
		{name: "lfs", as: lfsShape.apply},
		{name: "xet_hash", wire: "xetHash"},
		{name: "last_commit", wire: "lastCommit", as: lastCommitShape.apply},
		{name: "security", wire: "securityFileStatus", as: security},
	}}
	folderShape = &shape{attrs: []attr{
		{name: "path"},
		{name: "tree_id", wire: "oid"},
		{name: "last_commit", wire: "lastCommit", as: lastCommitShape.apply},
	}}
	securityShape = &shape{attrs: []attr{
		{name: "status"},
		{name: "av_scan", wire: "avScan"},
		{name: "pickle_import_scan", wire: "pickleImportScan"},
	}}

	refShape  = &shape{attrs: []attr{{name: "name"}, {name: "ref"}, {name: "target_commit", wire: "targetCommit"}}}
	refsShape = &shape{attrs: []attr{
		{name: "branches", as: refShape.each},
		{name: "converts", as: refShape.each},
		{name: "tags", as: refShape.each},
		{name: "pull_requests", wire: "pullRequests", as: refShape.each},
	}}
)

func security(v any) any {
	out := securityShape.apply(v)
	if m, ok := out.(map[string]any); ok {
		m["safe"] = m["status"] == "safe"
	}
	return out
}

func spaceRuntime(v any) any {
	out := runtimeShape.apply(v)
	if m, ok := out.(map[string]any); ok {
		m["raw"] = v
		if m["dev_mode"] == nil {
			m["dev_mode"] = false
		}
	}
	return out
}

// repoInfo is ModelInfo, DatasetInfo or SpaceInfo.
func repoInfo(info *hub.RepoInfo) (any, error) {
	switch info.Type {
	case hub.Dataset:
		return datasetShape.of(info)
	case hub.Space:
		return spaceShape.of(info)
	}
	return modelShape.of(info)
}

// treeEntry is RepoFile or RepoFolder.
func treeEntry(e hub.TreeEntry) (any, error) {
	if e.Type == hub.TypeFile {
		return fileShape.of(e)
	}
	return folderShape.of(e)
}
