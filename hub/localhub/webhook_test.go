package localhub_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/localhub"
)

// delivery is a payload as a receiver gets it.
type delivery struct {
	secret string
	Event  struct{ Action, Scope string }
	Repo   struct {
		Name, Type, HeadSHA string
		URL                 struct{ Web, API string }
	}
	UpdatedRefs []struct{ Ref, NewSHA string }
	Discussion  struct {
		Num    int
		Status string
	}
	Comment *struct {
		ID, Content string
		Hidden      bool
	}
	MovedTo struct{ Name string }
	Webhook struct {
		ID      string
		Version int
	}
}

func TestWebhookDelivers(t *testing.T) {
	s := world(t)
	got := make(chan delivery, 100)
	var fails, posts atomic.Int32
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		if fails.Add(-1) >= 0 {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		d := delivery{secret: r.Header.Get("X-Webhook-Secret")}
		if err := json.NewDecoder(r.Body).Decode(&d); err != nil || r.Method != http.MethodPost {
			t.Errorf("%s: %v", r.Method, err)
		}
		got <- d
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect) // isn't followed
	}))
	defer receiver.Close()
	next := func(action, scope string) delivery {
		t.Helper()
		select {
		case d := <-got:
			if d.Event.Action != action || d.Event.Scope != scope {
				t.Fatalf("got %+v, want %s of %s", d, action, scope)
			}
			return d
		case <-time.After(20 * time.Second):
			t.Fatalf("no %s of %s", action, scope)
		}
		return delivery{}
	}
	const at = "/api/settings/webhooks"
	hook := post(t, s, at, `{"url":"`+receiver.URL+`","watched":[{"type":"user","name":"alice"}],"domains":["repo","discussions"],"secret":"hush"}`, "hf_alice")["webhook"].(map[string]any)
	id := hook["id"].(string)
	// Bob watches the same, but may not see what is private; his address is wrong, which holds up nobody.
	post(t, s, at, `{"url":"http://127.0.0.1:1/","watched":[{"type":"user","name":"alice"}]}`, "hf_bob")
	oid := s.Commit("alice/m", map[string]string{"x": "x"})
	d := next("update", "repo.content")
	if d.secret != "hush" || d.Repo.Name != "alice/m" || d.Repo.HeadSHA != oid || len(d.UpdatedRefs) != 1 || d.UpdatedRefs[0].Ref != "refs/heads/main" || d.UpdatedRefs[0].NewSHA != oid || d.Webhook.ID != id || d.Webhook.Version != 3 || d.Repo.URL.API != s.URL+"/api/models/alice/m" {
		t.Errorf("%+v", d)
	}
	fails.Store(1)
	post(t, s, "/api/models/alice/m/discussions", `{"title":"Hello","description":"text"}`, "hf_bob")
	if d := next("create", "discussion"); d.Discussion.Num != 1 || d.Comment == nil || d.Comment.Content != "text" {
		t.Errorf("%+v", d)
	}
	if n := posts.Load(); n != 3 {
		t.Errorf("%d posts, one of them refused", n)
	}
	cid := post(t, s, "/api/models/alice/m/discussions/1/comment", `{"comment":"more"}`, "hf_bob")["newMessage"].(map[string]any)["id"].(string)
	if d := next("create", "discussion.comment"); d.Comment.ID != cid {
		t.Errorf("%+v", d)
	}
	post(t, s, "/api/models/alice/m/discussions/1/comment/"+cid+"/hide", "", "hf_alice")
	if d := next("update", "discussion.comment"); !d.Comment.Hidden || d.Comment.Content != "" {
		t.Errorf("%+v", d)
	}
	post(t, s, "/api/models/alice/m/discussions/1/status", `{"status":"closed"}`, "hf_bob")
	if d := next("update", "discussion"); d.Discussion.Status != "closed" {
		t.Errorf("%+v", d)
	}
	must(t, s.Hub.CreateRepo(localhub.Model, "alice/fresh", localhub.RepoOptions{}))
	next("create", "repo")
	yes := true
	must(t, s.Hub.UpdateRepo(localhub.Model, "alice/fresh", localhub.RepoUpdate{Private: &yes}))
	next("update", "repo.config")
	must(t, s.Hub.MoveRepo(localhub.Model, "alice/fresh", "alice/fresher"))
	if d := next("move", "repo"); d.Repo.Name != "alice/fresh" || d.MovedTo.Name != "alice/fresher" {
		t.Errorf("%+v", d)
	}
	must(t, s.Hub.DeleteRepo(localhub.Model, "alice/fresher"))
	next("delete", "repo")
	run(t, s, []request{
		{"GET", at, "", "", 401, "Unauthorized"},
		{"GET", at + "/" + id, "hf_bob", "", 404, "NotFound"},
		{"POST", at, "hf_alice", `{"url":"ftp://x","watched":[{"type":"user","name":"alice"}]}`, 400, "BadRequest"},
		{"POST", at, "hf_alice", `{"url":"http://x","watched":[]}`, 400, "BadRequest"},
		{"POST", at, "hf_alice", `{"url":"http://x","watched":[{"type":"kernel","name":"x"}]}`, 400, "BadRequest"},
		{"POST", at, "hf_alice", `{"url":"http://x","watched":[{"type":"user","name":"x"}],"domains":["x"]}`, 400, "BadRequest"},
		{"POST", at, "hf_alice", `{"url":"http://x","watched":[{"type":"user","name":"x"}],"secret":"ü"}`, 400, "BadRequest"},
		{"POST", at, "hf_bobreads", `{"url":"http://x","watched":[{"type":"user","name":"x"}]}`, 403, "Forbidden"},
		{"POST", at + "/" + id, "hf_alice", `{"watched":[],"url":null,"domains":["discussion"],"secret":null}`, 200, `"secret":"hush"`},
		{"POST", at + "/" + id + "/disable", "hf_alice", "", 200, `"disabled":true`},
	})
	restart(s)
	run(t, s, []request{
		{"GET", at + "/" + id, "hf_alice", "", 200, `"disabled":true`},
		{"GET", at, "hf_alice", "", 200, `"domains":["discussion"]`},
		{"POST", at + "/" + id + "/enable", "hf_alice", "", 200, `"disabled":false`},
	})
	s.Commit("alice/m", map[string]string{"x": "y"}) // another domain
	post(t, s, "/api/models/alice/m/discussions/1/title", `{"title":"Bye"}`, "hf_bob")
	next("update", "discussion")
	run(t, s, []request{
		{"DELETE", at + "/" + id, "hf_alice", "", 200, ""},
		{"GET", at + "/" + id, "hf_alice", "", 404, "NotFound"},
	})
}
