package localhub_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

type collection struct {
	Slug, Title, Theme, Description string
	Owner                           struct{ Name, Type string }
	Position                        *int
	Upvotes                         int
	Private                         bool
	Items                           []struct {
		Item     string `json:"_id"`
		ID, Type string
		Position int
		Note     *struct{ Text, HTML string }
		Likes    *int
		Author   string
	}
}

// answer sends a JSON body and decodes the answer, which must be a success.
func answer[T any](t *testing.T, s *hubtest.Server, method, path, token, body string) T {
	t.Helper()
	resp, text := send(t, method, s.URL+path, body, auth(token), "Content-Type: application/json")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s %s: %d %s", method, path, body, resp.StatusCode, text)
	}
	return decode[T](t, text)
}

func (c collection) ids() string {
	var ids []string
	for i, it := range c.Items {
		if it.Position != i {
			ids = append(ids, fmt.Sprint("position ", it.Position, " is"))
		}
		ids = append(ids, it.ID)
	}
	return strings.Join(ids, " ")
}

func TestCollections(t *testing.T) {
	s := world(t)
	c := answer[collection](t, s, "POST", "/api/collections", "hf_alice", `{"title":"My  Models, v2!","namespace":null,"private":false,"description":"What I like"}`)
	slug := c.Slug
	id := slug[len(slug)-24:]
	if !strings.HasPrefix(slug, "alice/my-models-v2-") || c.Owner.Name != "alice" || c.Owner.Type != "user" || *c.Position != 0 || c.Theme != "orange" || c.Description != "What I like" || c.Items == nil {
		t.Errorf("%+v", c)
	}
	run(t, s, []request{
		{"POST", "/api/collections", "", `{"title":"x"}`, 401, "Unauthorized"},
		{"POST", "/api/collections", "hf_alice", `{"title":"  "}`, 400, "BadRequest"},
		{"POST", "/api/collections", "hf_alice", `{"title":"` + strings.Repeat("x", 61) + `"}`, 400, "BadRequest"},
		{"POST", "/api/collections", "hf_alice", `{"title":"x","description":"` + strings.Repeat("x", 151) + `"}`, 400, "BadRequest"},
		{"POST", "/api/collections", "hf_alice", `{"title":"x","namespace":"bob"}`, 403, "Forbidden"},
		{"POST", "/api/collections", "hf_bobreads", `{"title":"x"}`, 403, "Forbidden"},
		{"POST", "/api/collections", "hf_carol", `{"title":"x","namespace":"acme"}`, 403, "Forbidden"},
		{"POST", "/api/collections", "hf_alice", `{"title":1}`, 400, "BadRequest"},
		{"POST", "/api/collections", "hf_alice", `{"title":"My  Models, v2!"}`, 409, "Conflict"},
		{"GET", "/api/collections/" + slug, "", "", 200, slug},
		{"GET", "/api/collections/alice/another-name-" + id, "", "", 200, slug},
		{"GET", "/api/collections/alice/" + id, "", "", 200, slug},
		{"GET", "/api/collections/bob/" + id, "", "", 404, "NotFound"},
		{"GET", "/api/collections/alice/x" + id, "", "", 404, "NotFound"},
		{"GET", "/api/collections/alice/none", "", "", 404, "NotFound"},
		{"GET", "/api/collections/alice", "", "", 404, "NotFound"},
		{"PATCH", "/api/collections/" + slug, "hf_bob", `{"title":"y"}`, 403, "Forbidden"},
		{"PATCH", "/api/collections/" + slug, "", `{"title":"y"}`, 401, "Unauthorized"},
		{"PATCH", "/api/collections/" + slug, "hf_alice", `{"theme":"black"}`, 400, "BadRequest"},
		{"PATCH", "/api/collections/" + slug, "hf_alice", `{"position":-1}`, 400, "BadRequest"},
		{"PATCH", "/api/collections/" + slug, "hf_alice", `{"slug":"x"}`, 400, "BadRequest"},
		{"DELETE", "/api/collections/" + slug, "hf_bob", ``, 403, "Forbidden"},
		{"PUT", "/api/collections/" + slug, "hf_alice", ``, 405, "MethodNotAllowed"},
	})
	_, body := send(t, "POST", s.URL+"/api/collections", `{"title":"My  Models, v2!"}`, auth("hf_alice"), "Content-Type: application/json")
	if got := decode[map[string]string](t, body)["slug"]; got != slug {
		t.Errorf("the refusal names %s", got)
	}

	// Items.
	add := "/api/collections/" + slug + "/items"
	for _, it := range []string{
		`{"item":{"id":"alice/m","type":"model"},"note":"first & best"}`, `{"item":{"id":"ALICE/d","type":"dataset"}}`,
		`{"item":{"id":"alice/s","type":"space"}}`, `{"item":{"id":"2307.09288","type":"paper"}}`, `{"item":{"id":"alice/secret","type":"model"}}`,
		`{"item":{"id":"gpt2","type":"model"}}`,
	} {
		c = answer[collection](t, s, "POST", add, "hf_alice", it)
	}
	if got := c.ids(); got != "alice/m alice/d alice/s 2307.09288 alice/secret gpt2" {
		t.Errorf("items %s", got)
	}
	if it := c.Items[0]; it.Type != "model" || it.Note.Text != "first & best" || it.Note.HTML != "first &amp; best" || it.Likes == nil || it.Author != "alice" || len(it.Item) != 24 {
		t.Errorf("%+v", it)
	}
	run(t, s, []request{
		{"POST", add, "hf_alice", `{"item":{"id":"alice/m","type":"model"}}`, 409, "Conflict"},
		{"POST", add, "hf_alice", `{"item":{"id":"alice/m","type":"space"}}`, 404, "RepoNotFound"},
		{"POST", add, "hf_alice", `{"item":{"id":"bob/fine","type":"model"}}`, 404, "RepoNotFound"},
		{"POST", add, "hf_alice", `{"item":{"id":"9999.99999","type":"paper"}}`, 404, "NotFound"},
		{"POST", add, "hf_alice", `{"item":{"id":"alice/m","type":"bucket"}}`, 400, "BadRequest"},
		{"POST", add, "hf_alice", `{"item":{"id":"alice/New","type":"model"},"note":"` + strings.Repeat("x", 501) + `"}`, 400, "BadRequest"},
		{"POST", add, "hf_bob", `{"item":{"id":"gpt2","type":"model"}}`, 403, "Forbidden"},
		{"PATCH", add + "/" + id, "hf_alice", `{"note":"x"}`, 404, "NotFound"},
		{"DELETE", add + "/" + id, "hf_alice", ``, 404, "NotFound"},
		{"PATCH", add + "/" + c.Items[0].Item, "hf_alice", `{"position":2,"note":""}`, 200, ""},
		{"PATCH", add + "/" + c.Items[3].Item, "hf_alice", `{"position":99}`, 200, ""},
		{"PATCH", add + "/" + c.Items[3].Item, "hf_alice", `{"position":-1}`, 400, "BadRequest"},
		{"PATCH", add + "/" + c.Items[3].Item, "hf_bob", `{"position":1}`, 403, "Forbidden"},
		{"DELETE", add + "/" + c.Items[5].Item, "hf_alice", ``, 200, ""},
	})
	must(t, s.Hub.MoveRepo(localhub.Dataset, "alice/d", "alice/d2"))
	must(t, s.Hub.DeleteRepo(localhub.Space, "alice/s"))
	for range 2 {
		if c = answer[collection](t, s, "GET", "/api/collections/"+slug, "hf_alice", ""); c.ids() != "alice/d2 alice/m alice/secret 2307.09288" || c.Items[1].Note != nil {
			t.Errorf("items %s", c.ids())
		}
		// Bob doesn't see what is alice's alone.
		if c = answer[collection](t, s, "GET", "/api/collections/"+slug, "hf_bob", ""); len(c.Items) != 3 || c.Items[2].Position != 3 {
			t.Errorf("items %+v", c.Items)
		}
		s.Stop()
		s.Start()
	}

	// The rest of a collection.
	changed := answer[map[string]collection](t, s, "PATCH", "/api/collections/"+slug, "hf_alice", `{"title":"Ünïcode","private":true,"theme":"green","description":""}`)["data"]
	if changed.Slug != "alice/n-code-"+id || !changed.Private || changed.Theme != "green" || changed.Description != "" {
		t.Errorf("%+v", changed)
	}
	run(t, s, []request{
		{"GET", "/api/collections/" + slug, "hf_bob", "", 404, "NotFound"},
		{"GET", "/api/collections/" + slug, "", "", 404, "NotFound"},
		{"POST", "/api/collections/" + slug + "/upvote", "hf_bob", "", 404, "NotFound"},
		{"PATCH", "/api/collections/" + slug, "hf_alice", `{"private":false}`, 200, changed.Slug},
		{"POST", "/api/collections/" + slug + "/upvote", "hf_bob", "", 200, ""},
		{"POST", "/api/collections/" + slug + "/upvote", "hf_bob", "", 200, `"upvotes":1`},
		{"GET", "/api/collections/" + slug, "hf_bob", "", 200, `"isUpvotedByUser":true`},
		{"GET", "/api/users/alice/overview", "", "", 200, `"numUpvotes":1`},
		{"DELETE", "/api/collections/" + slug + "/upvote", "hf_bob", "", 200, `"upvotes":0`},
		{"DELETE", "/api/collections/" + slug, "hf_alice", "", 200, ""},
		{"DELETE", "/api/collections/" + slug, "hf_alice", "", 404, "NotFound"},
		{"GET", "/api/collections/" + slug, "hf_alice", "", 404, "NotFound"},
	})
}

func TestListCollections(t *testing.T) {
	s := world(t)
	slugs := map[string]string{}
	for _, c := range []struct{ title, token, more string }{
		{"a", "hf_alice", ""}, {"b", "hf_alice", `,"private":true`}, {"c", "hf_bob", ""}, {"d", "hf_alice", `,"namespace":"ACME"`}, {"e", "hf_alice", ""},
	} {
		slugs[c.title] = answer[collection](t, s, "POST", "/api/collections", c.token, `{"title":"`+c.title+`"`+c.more+`}`).Slug
	}
	for _, id := range []string{"alice/m", "gpt2", "alice/New", "alice/tree", "alice/gated"} {
		answer[collection](t, s, "POST", "/api/collections/"+slugs["e"]+"/items", "hf_alice", `{"item":{"id":"`+id+`","type":"model"}}`)
	}
	answer[collection](t, s, "POST", "/api/collections/"+slugs["c"]+"/items", "hf_bob", `{"item":{"id":"1706.03762","type":"paper"}}`)
	answer[any](t, s, "POST", "/api/collections/"+slugs["a"]+"/upvote", "hf_bob", "")
	for _, c := range []struct{ query, token, want string }{
		{"", "hf_carol", "a c e d"},
		{"?sort=lastModified&limit=1", "hf_alice", "c e d b a"},
		{"?sort=upvotes&owner=Alice&owner=bob&limit=2", "hf_carol", "a c e"},
		{"?owner=acme", "hf_carol", "d"},
		{"?owner=nobody", "hf_carol", ""},
		{"?item=models/Alice/m&item=papers/1706.03762", "hf_carol", "c e"},
		{"?item=models/alice/secret", "hf_carol", ""},
		{"?item=datasets/alice/d", "hf_carol", ""},
		{"?q=E", "hf_carol", "e"},
	} {
		if got := names(t, s, "/api/collections"+c.query, "title", auth(c.token)); got != c.want {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
	}
	run(t, s, []request{
		{"GET", "/api/collections?sort=color", "", "", 400, "BadRequest"},
		{"GET", "/api/collections?limit=0", "", "", 400, "BadRequest"},
		{"GET", "/api/collections?limit=1000", "", "", 200, `"slug"`},
		{"GET", "/api/collections?item=alice/m", "", "", 400, "BadRequest"},
		{"GET", "/api/collections?color=blue", "", "", 400, "BadRequest"},
	})
	for _, c := range answer[[]collection](t, s, "GET", "/api/collections?owner=alice", "hf_alice", "") {
		if c.Position != nil || c.Title == "e" && len(c.Items) != 4 {
			t.Errorf("%+v", c)
		}
	}
	// Of three collections of alice's, the last comes to the front; then one goes.
	positions := func(want string) {
		t.Helper()
		var got []string
		for _, title := range []string{"a", "b", "e"} {
			resp, body := send(t, "GET", s.URL+"/api/collections/"+slugs[title], "", auth("hf_alice"))
			if resp.StatusCode == http.StatusOK {
				got = append(got, fmt.Sprint(title, *decode[collection](t, body).Position))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("positions %v, want %s", got, want)
		}
	}
	positions("a0 b1 e2")
	answer[any](t, s, "PATCH", "/api/collections/"+slugs["e"], "hf_alice", `{"position":0}`)
	positions("a1 b2 e0")
	answer[any](t, s, "DELETE", "/api/collections/"+slugs["a"], "hf_alice", "")
	positions("b1 e0")
	s.Stop()
	s.Start()
	positions("b1 e0")
}

// Items that many add at once are all there, each once and at a place of its own.
func TestCollectionAtOnce(t *testing.T) {
	s := hubtest.New(t)
	slug := answer[collection](t, s, "POST", "/api/collections", s.Token, `{"title":"t"}`).Slug
	for i := range 10 {
		s.Repo(fmt.Sprint("m", i), nil)
	}
	var conflicts sync.Map
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			resp, body := send(t, "POST", s.URL+"/api/collections/"+slug+"/items", fmt.Sprintf(`{"item":{"id":"alice/m%d","type":"model"}}`, i%10),
				auth(s.Token), "Content-Type: application/json")
			switch resp.StatusCode {
			case http.StatusOK:
			case http.StatusConflict:
				conflicts.Store(i%10, true)
			default:
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	wg.Wait()
	n := 0
	conflicts.Range(func(any, any) bool { n++; return true })
	if c := answer[collection](t, s, "GET", "/api/collections/"+slug, s.Token, ""); len(c.Items) != 10 || n != 10 || strings.Contains(c.ids(), "position") {
		t.Errorf("%d conflicts, items %s", n, c.ids())
	}
}
