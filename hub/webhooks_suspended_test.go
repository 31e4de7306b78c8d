package hub_test

import (
	"encoding/json"
	"testing"

	"github.com/hubfs/hubfs/hub"
)

// The Hub's word for a webhook that it has suspended is kept, and written again.
func TestWebhookSuspended(t *testing.T) {
	const wire = `{"id":"x","watched":[],"domains":["repo"],"more":1,"disabled":"suspended-after-failure"}`
	var w hub.Webhook
	if err := json.Unmarshal([]byte(wire), &w); err != nil || !w.Disabled || w.Suspended != "suspended-after-failure" {
		t.Fatalf("%+v, %v", w, err)
	}
	b, err := json.Marshal(w)
	var back map[string]any
	if json.Unmarshal(b, &back) != nil || err != nil || back["disabled"] != "suspended-after-failure" || back["more"] != 1.0 {
		t.Errorf("%s, %v", b, err)
	}
	for _, state := range []bool{false, true} {
		b, err := json.Marshal(hub.Webhook{Disabled: state})
		var w hub.Webhook
		if err != nil || json.Unmarshal(b, &w) != nil || w.Disabled != state || w.Suspended != "" {
			t.Errorf("%s: %+v, %v", b, w, err)
		}
	}
}
