package localhub

import (
	"net/url"
	"slices"
	"strings"
)

// How ready a model is to answer, best first.
const (
	inferenceWarm   = "warm"   // an endpoint runs
	inferenceCold   = "cold"   // one starts when it is asked or told to
	inferenceFrozen = "frozen" // what there is has failed
)

var inferenceStates = []string{inferenceWarm, inferenceCold, inferenceFrozen}

// inferenceProvider is the one who serves models here: the Hub, with its endpoints.
const inferenceProvider = "hf-inference"

// servedModels tells how ready the models are that have an inference endpoint which isn't
// private, by uid.
func (h *Hub) servedModels() map[string]string {
	h.st.mu.RLock()
	endpoints := make([]*endpointRec, 0, len(h.st.endpoints))
	for _, e := range h.st.endpoints {
		endpoints = append(endpoints, e)
	}
	h.st.mu.RUnlock()
	ready := map[string]string{}
	for _, e := range endpoints {
		r, _ := h.st.repo(keyOf(Model, e.Model.Repository))
		if r == nil || e.Type == "private" {
			continue
		}
		now := inferenceCold
		switch state, _ := h.endpointState(e); state {
		case stateRunning, stateUpdating, stateUpdateFailed: // of the last two, the version before serves
			now = inferenceWarm
		case stateFailed:
			now = inferenceFrozen
		}
		if old, ok := ready[r.UID]; !ok || slices.Index(inferenceStates, now) < slices.Index(inferenceStates, old) {
			ready[r.UID] = now
		}
	}
	return ready
}

// servedFilter reads what a query asks of who serves a model; nil if nothing.
func (h *Hub) servedFilter(q url.Values) (func(*repoRec) bool, error) {
	states, providers := q["inference"], q["inference_provider"]
	for _, s := range states {
		if !slices.Contains(inferenceStates, s) {
			return nil, badRequest(`"inference" must be one of [%s]`, strings.Join(inferenceStates, ", "))
		}
	}
	if len(states)+len(providers) == 0 {
		return nil, nil
	}
	served := h.servedModels()
	ours := len(providers) == 0 || slices.Contains(providers, "all") || slices.Contains(providers, inferenceProvider)
	return func(r *repoRec) bool {
		state, ok := served[r.UID]
		return ok && ours && (len(states) == 0 || slices.Contains(states, state))
	}, nil
}

// providerMapping lists who serves a model.
func (h *Hub) providerMapping(f *found) []map[string]any {
	list := []map[string]any{}
	if state, ok := h.servedModels()[f.UID]; ok {
		status := "live"
		if state != inferenceWarm {
			status = "staging"
		}
		list = append(list, map[string]any{"provider": inferenceProvider, "providerId": f.ID, "status": status, "task": f.pipelineTag})
	}
	return list
}

// ggufApps are the applications that run what is in a GGUF file.
var ggufApps = []string{"llama.cpp", "lmstudio", "jan", "ollama", "koboldcpp", "gpt4all"}

// runsIn says whether an application can run a model: one for GGUF files needs one,
// others take text generation from safetensors.
func (f *found) runsIn(app string) bool {
	if slices.Contains(ggufApps, app) {
		return f.gguf != nil
	}
	return slices.Contains([]string{"vllm", "tgi", "sglang"}, app) && f.safetensors != nil && f.pipelineTag == "text-generation"
}
