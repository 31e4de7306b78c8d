package localhub_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

func TestLikes(t *testing.T) {
	clock := newClock()
	s := world(t, hubtest.WithClock(func() time.Time { clock.pass(time.Second); return clock.now() }))
	run(t, s, []request{
		{"POST", "/api/models/alice/m/like", "", "", 401, "Unauthorized"},
		{"POST", "/api/models/alice/m/like", "hf_bobreads", "", 403, "Forbidden"},
		{"POST", "/api/models/alice/none/like", "hf_bob", "", 404, "RepoNotFound"},
		{"POST", "/api/models/alice/secret/like", "hf_bob", "", 404, "RepoNotFound"},
		{"POST", "/api/models/alice/m/like", "hf_bob", "", 200, ""},
		{"POST", "/api/models/alice/m/like", "hf_bob", "", 200, ""},
		{"POST", "/api/models/alice/m/like", "hf_carol", "", 200, ""},
		{"POST", "/api/models/alice/secret/like", "hf_alice", "", 200, ""},
		{"POST", "/api/spaces/alice/s/like", "hf_bob", "", 200, ""},
		{"POST", "/api/datasets/alice/d/like", "hf_bob", "", 200, ""},
		{"DELETE", "/api/datasets/alice/d/like", "hf_bob", "", 200, ""},
		{"DELETE", "/api/datasets/alice/d/like", "hf_bob", "", 200, ""},
		{"GET", "/api/models/alice/m/like", "", "", 405, "MethodNotAllowed"},
		{"GET", "/api/models/alice/m?expand=likes&expand=trendingScore", "", "", 200, `"likes":2,"trendingScore":2`},
		{"GET", "/api/models/alice/m/likers", "", "", 200, `[{"_id":`},
		{"GET", "/api/models/alice/secret/likers", "hf_bob", "", 404, "RepoNotFound"},
		{"GET", "/api/users/nobody/likes", "", "", 404, "NotFound"},
		{"GET", "/api/users/BOB/overview", "", "", 200, `"numLikes":2`},
		{"GET", "/api/users/alice/likes", "hf_alice", "", 200, "[]"},
	})
	if got := names(t, s, "/api/models/alice/m/likers", "user"); got != "carol Bob" {
		t.Errorf("likers %s", got)
	}
	if got := names(t, s, "/api/users/bob/likes?limit=1", "repo.name"); got != "alice/s alice/m" {
		t.Errorf("liked %s", got)
	}
	must(t, s.Hub.MoveRepo(localhub.Model, "alice/m", "alice/m2"))
	must(t, s.Hub.DeleteRepo(localhub.Space, "alice/s"))
	clock.pass(8 * 24 * time.Hour)
	for range 2 {
		if got := names(t, s, "/api/users/bob/likes", "repo.name"); got != "alice/m2" {
			t.Errorf("liked %s after a move and a deletion", got)
		}
		run(t, s, []request{{"GET", "/api/models/alice/m2?expand=likes&expand=trendingScore", "", "", 200, `"likes":2,"trendingScore":0`}})
		s.Stop()
		s.Start()
	}
}

// names are an attribute of all elements of a list, whose pages are followed.
func names(t *testing.T, s *hubtest.Server, path, key string, headers ...string) string {
	t.Helper()
	var got []string
	for url := s.URL + path; url != ""; {
		resp, body := send(t, "GET", url, "", headers...)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", url, resp.StatusCode, body)
		}
		for _, m := range decode[[]map[string]any](t, body) {
			v := any(m)
			for k := range strings.SplitSeq(key, ".") {
				v = v.(map[string]any)[k]
			}
			got = append(got, fmt.Sprint(v))
		}
		url, _, _ = strings.Cut(strings.TrimPrefix(resp.Header.Get("Link"), "<"), ">")
	}
	return strings.Join(got, " ")
}

func TestFollows(t *testing.T) {
	s := world(t)
	run(t, s, []request{
		{"POST", "/api/users/alice/follow", "", "", 401, "Unauthorized"},
		{"POST", "/api/users/alice/follow", "hf_alice", "", 400, "BadRequest"},
		{"POST", "/api/users/nobody/follow", "hf_bob", "", 404, "NotFound"},
		{"POST", "/api/users/alice/follow", "hf_bob", "", 200, ""},
		{"POST", "/api/users/alice/follow", "hf_bob", "", 200, ""},
		{"POST", "/api/users/carol/follow", "hf_bob", "", 200, ""},
		{"POST", "/api/organizations/acme/follow", "hf_bob", "", 200, ""},
		{"POST", "/api/organizations/none/follow", "hf_bob", "", 404, "NotFound"},
		{"GET", "/api/users/alice/overview", "hf_bob", "", 200, `"isFollowing":true`},
		{"GET", "/api/users/alice/overview", "", "", 200, `"numFollowers":1,"numFollowing":0`},
		{"GET", "/api/users/bob/overview", "", "", 200, `"numFollowing":2`},
		{"GET", "/api/organizations/acme/overview", "hf_bob", "", 200, `"isFollowing":true`},
		{"GET", "/api/organizations/acme/followers", "", "", 200, `"user":"Bob"`},
		{"GET", "/api/users/nobody/followers", "", "", 404, "NotFound"},
		{"GET", "/api/users/nobody/following", "", "", 404, "NotFound"},
		{"GET", "/api/organizations/none/followers", "", "", 404, "NotFound"},
	})
	must(t, s.Hub.Follow("carol", "alice", true))
	if err := s.Hub.Follow("carol", "Carol", true); err == nil {
		t.Error("carol follows herself")
	}
	for range 2 {
		if got := names(t, s, "/api/users/alice/followers?limit=1", "user"); got != "carol Bob" {
			t.Errorf("followers %s", got)
		}
		if got := names(t, s, "/api/users/bob/following", "user"); got != "carol alice" {
			t.Errorf("following %s", got)
		}
		s.Stop()
		s.Start()
	}
	run(t, s, []request{
		{"DELETE", "/api/users/alice/follow", "hf_bob", "", 200, ""},
		{"DELETE", "/api/users/alice/follow", "hf_bob", "", 200, ""},
	})
	if got := names(t, s, "/api/users/alice/followers", "user"); got != "carol" {
		t.Errorf("followers %s", got)
	}
}

// Ties that many make at once are all kept, and each once.
func TestLikesAtOnce(t *testing.T) {
	var users []localhub.User
	for i := range 20 {
		users = append(users, localhub.User{Name: fmt.Sprint("u", i), Token: fmt.Sprint("hf_u", i)})
	}
	s := hubtest.New(t, hubtest.WithUsers(users...))
	id := s.Repo("m", nil)
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			if resp, body := send(t, "POST", s.URL+"/api/models/"+id+"/like", "", auth(fmt.Sprint("hf_u", i%20))); resp.StatusCode != http.StatusOK {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	wg.Wait()
	if got := strings.Fields(names(t, s, "/api/models/"+id+"/likers?limit=7", "user")); len(got) != 20 {
		t.Errorf("%d likers: %v", len(got), got)
	}
}

func TestPapers(t *testing.T) {
	s := hubtest.New(t)
	run(t, s, []request{
		{"GET", "/api/papers/2307.09288", "", "", 200, `"title":"Llama 2`},
		{"GET", "/api/papers/9999.99999", "", "", 404, "NotFound"},
		{"GET", "/api/papers/search?q=attention+is", "", "", 200, `"id":"1706.03762"`},
		{"GET", "/api/papers/search?q=zebra", "", "", 200, `[]`},
		{"GET", "/api/papers/search", "", "", 200, `[]`},
		{"GET", "/api/papers/search?limit=0", "", "", 400, "BadRequest"},
		{"POST", "/api/papers/search", "", "", 405, "MethodNotAllowed"},
	})
	if got := names(t, s, "/api/papers/search?q=llama", "paper.id"); got != "2307.09288 2302.13971" {
		t.Errorf("papers %s", got)
	}
}
