package localhub_test

import (
	"fmt"
	"testing"
	"time"
)

// Which models are served follows from the inference endpoints.
func TestInferenceFilters(t *testing.T) {
	s, cl := endpoints(t)
	s.Repo("other", nil)
	s.Repo("broken", nil)
	want := func(query, models string) {
		t.Helper()
		if got := names(t, s, "/api/models?sort=id&direction=1&"+query, "id"); got != models {
			t.Errorf("%s: %q, want %q", query, got, models)
		}
	}
	want("inference=warm", "")
	want("inference_provider=all", "")
	ask(t, s, "POST", "/v2/endpoint/alice", "hf_alice", newEndpoint("e", "Alice/M"), 200)
	ask(t, s, "POST", "/v2/endpoint/bob", "hf_bob", newEndpoint("b", "alice/none"), 200)
	want("inference=cold", "alice/m")
	want("inference=warm", "")
	cl.pass(startup)
	want("inference=warm", "alice/m")
	want("inference=warm&inference=cold", "alice/m")
	want("inference=cold", "")
	want("inference_provider=all", "alice/m")
	want("inference_provider=hf-inference&inference=warm", "alice/m")
	want("inference_provider=elsewhere", "")
	got := ask(t, s, "GET", "/api/models/alice/m?expand=inference&expand=inferenceProviderMapping", "", "", 200)
	if fmt.Sprintf("%v %v", got["inference"], got["inferenceProviderMapping"]) != "warm [map[provider:hf-inference providerId:alice/m status:live task:]]" {
		t.Errorf("%v", got)
	}
	if got := ask(t, s, "GET", "/api/models/alice/other?expand=inference&expand=inferenceProviderMapping", "", "", 200); got["inference"] != nil || len(got["inferenceProviderMapping"].([]any)) != 0 {
		t.Errorf("%v", got)
	}
	cl.pass(time.Hour) // nobody asks
	want("inference=cold", "alice/m")
	ask(t, s, "DELETE", "/v2/endpoint/alice/e", "hf_alice", "", 200)
	want("inference=cold&inference=warm&inference=frozen", "")
}
