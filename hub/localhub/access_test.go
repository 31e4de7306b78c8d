package localhub_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub/localhub"
)

func TestAccessRequests(t *testing.T) {
	s := world(t)
	const (
		at   = "/api/models/alice/gated/user-access-request"
		file = "/alice/gated/resolve/main/.gitattributes"
	)
	handle := func(user, status string, code int, want string) request {
		return request{"POST", at + "/handle", "hf_alice", `{"user":"` + user + `","status":"` + status + `"}`, code, want}
	}
	run(t, s, []request{
		{"GET", at + "/pending", "hf_alice", "", 200, "[]"},
		{"GET", at + "/pending", "hf_bob", "", 403, "Forbidden"},
		{"GET", at + "/pending", "", "", 401, "Unauthorized"},
		{"GET", at + "/else", "hf_alice", "", 404, "NotFound"},
		{"POST", at + "/pending", "hf_alice", "", 405, "MethodNotAllowed"},
		{"GET", "/api/models/alice/m/user-access-request/pending", "hf_alice", "", 400, "BadRequest"},
		{"GET", "/api/models/alice/none/user-access-request/pending", "hf_alice", "", 404, "RepoNotFound"},
		handle("bob", "accepted", 404, "NotFound"), // he hasn't asked
		handle("nobody", "accepted", 404, "NotFound"),
		handle("bob", "maybe", 400, "BadRequest"),
		{"POST", "/alice/gated/ask-access", "", "a=b", 401, "Unauthorized"},
		{"POST", "/alice/gated/ask-access", "hf_bobreads", "a=b", 403, "Forbidden"},
		{"POST", "/alice/m/ask-access", "hf_bob", "a=b", 400, "BadRequest"},
		{"POST", "/alice/gated/ask-access", "hf_bob", "Country=FR&Use=research", 303, "/api/models/alice/gated"},
		{"POST", "/alice/gated/ask-access", "hf_bob", "Country=DE", 303, ""}, // changes nothing
		{"GET", at + "/pending", "hf_alice", "", 200, `"fields":{"Country":"FR","Use":"research"},"status":"pending"`},
		{"GET", file, "hf_bob", "", 403, "GatedRepo"},
		handle("BOB", "pending", 404, "NotFound"),
		handle("BOB", "accepted", 200, "{}"),
		handle("bob", "accepted", 404, "NotFound"),
		{"GET", file, "hf_bob", "", 200, ""},
		{"GET", at + "/accepted", "hf_alice", "", 200, `"user":"Bob"`},
		handle("bob", "rejected", 200, "{}"),
		{"GET", file, "hf_bob", "", 403, "GatedRepo"},
		{"GET", at + "/rejected", "hf_alice", "", 200, `"reviewedAt"`},
		{"POST", "/alice/gated/ask-access", "hf_bob", "a=b", 403, "Forbidden"},
		handle("bob", "pending", 200, "{}"),
		{"POST", at + "/handle", "hf_alice", `{"user":"bob","status":"accepted","rejectionReason":"x"}`, 400, "BadRequest"},
		{"POST", at + "/handle", "hf_alice", `{"user":"bob","status":"rejected","rejectionReason":"` + strings.Repeat("x", 201) + `"}`, 400, "BadRequest"},
		{"POST", at + "/handle", "hf_alice", `{"user":"bob","status":"rejected","rejectionReason":"no"}`, 200, ""},
		{"POST", at + "/grant", "hf_alice", `{"user":"carol"}`, 200, "{}"},
		{"POST", at + "/grant", "hf_alice", `{"user":"carol"}`, 400, "BadRequest"},
		{"POST", at + "/grant", "hf_alice", `{"user":"nobody"}`, 404, "NotFound"},
		{"POST", at + "/grant", "hf_bob", `{"user":"bob"}`, 403, "Forbidden"},
		{"GET", file, "hf_carol", "", 200, ""},
	})
	restart(s)
	run(t, s, []request{
		{"GET", at + "/rejected", "hf_alice", "", 200, `"rejectionReason":"no"`},
		{"GET", at + "/accepted", "hf_alice", "", 200, `"grantedBy"`},
		{"GET", file, "hf_carol", "", 200, ""},
		{"GET", file, "hf_bob", "", 403, "GatedRepo"},
		{"PUT", "/api/models/alice/gated/settings", "hf_alice", `{"gated":false}`, 200, ""},
		{"GET", file, "hf_bob", "", 200, ""},
		{"PUT", "/api/models/alice/m/settings", "hf_alice", `{"gated":"auto"}`, 200, ""},
		{"GET", "/alice/m/resolve/main/a.txt", "hf_bob", "", 403, "GatedRepo"},
		{"POST", "/alice/m/ask-access", "hf_bob", "", 303, ""},
		{"GET", "/alice/m/resolve/main/a.txt", "hf_bob", "", 200, "A"},
		{"POST", "/api/models/alice/m/user-access-request/handle", "hf_alice", `{"user":"bob","status":"pending"}`, 200, ""},
		{"GET", "/alice/m/resolve/main/a.txt", "hf_bob", "", 403, "GatedRepo"},
	})
	if err := s.Hub.AskAccess(localhub.Model, "alice/m", "nobody", nil); !errors.As(err, new(*localhub.Error)) {
		t.Error(err)
	}
	must(t, s.Hub.AskAccess(localhub.Model, "alice/m", "carol", nil))
}
