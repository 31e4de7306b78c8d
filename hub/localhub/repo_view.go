package localhub

import (
	"slices"
	"strings"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// found is a repository with what is known of one of its commits.
type found struct {
	*repo
	commit *gitstore.Commit
	*facts
}

// findRepo looks at the branch main of a repository.
func (h *Hub) findRepo(rec *repoRec) (*found, error) {
	store, err := h.stores.get(rec.UID)
	if err != nil {
		return nil, err
	}
	r := &repo{rec, store}
	commit, err := r.resolveCommit("main")
	if err != nil {
		return nil, err
	}
	f, err := h.facts(r, commit)
	return &found{r, commit, f}, err
}

// info is what there is to say about a repository but for what takes looking at all
// its files or at other repositories: see fill.
func (h *Hub) info(f *found) map[string]any {
	r := f.repo
	likes, trending := h.st.likesOf(r.UID, h.now().Add(-recently))
	info := map[string]any{
		"_id": r.UID, "id": r.ID, "author": r.owner(), "sha": f.commit.OID.String(), "lastModified": date(f.commit.Date),
		"createdAt": date(r.Created), "private": r.Private, "disabled": r.Disabled, "gated": r.gated(), "likes": likes,
		"tags": f.tags, "trendingScore": trending, "xetEnabled": false,
	}
	if f.about.data != nil {
		info["cardData"] = f.about.data
	}
	if r.Type != Space {
		info["downloads"], info["downloadsAllTime"] = h.downloads(r.repoRec)
	}
	switch r.Type {
	case Model:
		h.modelInfo(f, info)
	case Dataset:
		if s, ok := f.about.data["paperswithcode_id"].(string); ok {
			info["paperswithcode_id"] = s
		}
		for k, v := range map[string]string{"description": f.description, "citation": f.citation} {
			if v != "" {
				info[k] = v
			}
		}
	case Space:
		info["sdk"] = r.SDK
		ns, name := splitID(strings.ToLower(r.ID))
		info["subdomain"] = strings.NewReplacer(".", "-", "_", "-").Replace(ns + "-" + name)
		info["models"], info["datasets"] = f.about.list("models"), f.about.list("datasets")
	}
	return info
}

func (h *Hub) modelInfo(f *found, info map[string]any) {
	info["modelId"] = f.ID
	for k, v := range map[string]string{"pipeline_tag": f.pipelineTag, "library_name": f.library, "mask_token": f.maskToken} {
		if v != "" {
			info[k] = v
		}
	}
	for k, from := range map[string]string{"model-index": "model-index", "widgetData": "widget"} {
		if v, ok := f.about.data[from]; ok {
			info[k] = v
		}
	}
	for k, v := range map[string]map[string]any{
		"config": f.config, "transformersInfo": f.transformers, "safetensors": f.safetensors, "gguf": f.gguf,
	} {
		if v != nil {
			info[k] = v
		}
	}
}

// gated is how access is granted, as the Hub writes it.
func (r *repoRec) gated() any {
	if r.Gated == "" {
		return false
	}
	return r.Gated
}

// fill adds to an info the attributes of these names that info leaves out.
func (c *call) fill(info map[string]any, f *found, names ...string) (err error) {
	for _, k := range names {
		var v any
		switch {
		case f.Type != Space && (k == "runtime" || k == "host" || k == "region"), f.Type != Model && (k == "spaces" || strings.HasPrefix(k, "inference")):
			continue
		}
		switch k {
		case "siblings":
			v, err = f.siblings(f.commit, false)
		case "usedStorage", "mainSize":
			v, err = f.size(f.commit)
		case "host":
			v = c.base() + "/" + f.entityName()
		case "region":
			v = "us"
		case "runtime":
			v, err = c.h.runtime(f.repo)
		case "spaces":
			v, err = c.spacesOf(f.ID)
		case "inference":
			if state, ok := c.h.servedModels()[f.UID]; ok {
				v = state
			}
		case "inferenceProviderMapping":
			v = c.h.providerMapping(f)
		case "baseModels":
			v = c.baseModels(f)
		case "childrenModelCount":
			v, err = c.childrenCount(f.ID)
		default:
			continue
		}
		if err != nil {
			return err
		}
		if v != nil {
			info[k] = v
		}
	}
	return nil
}

// visible looks at the repositories of a type that the caller may see and whose
// records match, in no order. Nil matches all.
func (c *call) visible(typ string, match func(*repoRec) bool, fn func(*found)) error {
	for _, r := range c.h.st.reposOf(typ) {
		if r.Disabled || !c.h.canRead(c.caller, r) || match != nil && !match(r) {
			continue
		}
		switch f, err := c.h.findRepo(r); {
		case err == nil:
			fn(f)
		case !isRefusal(err): // else it was deleted a moment ago, or has no branch main
			return err
		}
	}
	return nil
}

// baseModels are the models that a model was made from, as far as they are here; nil
// without such.
func (c *call) baseModels(f *found) any {
	relation := f.about.relation(f.facts)
	if relation == "" {
		return nil
	}
	models := []map[string]any{}
	for _, id := range f.about.list("base_model") {
		if r, _ := c.h.st.repo(keyOf(Model, id)); r != nil && c.h.canRead(c.caller, r) {
			models = append(models, map[string]any{"_id": r.UID, "id": r.ID})
		}
	}
	return map[string]any{"relation": relation, "models": models}
}

// childrenCount counts the models that were made from a model, by what they are to it.
func (c *call) childrenCount(id string) (any, error) {
	counts := map[string]int{}
	for _, relation := range baseRelations {
		counts[relation] = 0
	}
	err := c.visible(Model, nil, func(f *found) {
		if slices.ContainsFunc(f.about.list("base_model"), func(base string) bool { return strings.EqualFold(base, id) }) {
			counts[f.about.relation(f.facts)]++
		}
	})
	return counts, err
}
