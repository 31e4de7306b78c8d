package localhub_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// people are the users of the tests beside alice.
func people() hubtest.Option {
	return hubtest.WithUsers(
		localhub.User{Name: "Bob", Token: "hf_bob", Tokens: []localhub.Token{
			{Value: "hf_bobreads", Role: localhub.RoleRead},
			{Value: "hf_bobfine", Role: localhub.RoleFineGrained, Scopes: []localhub.Scope{{Entity: "bob/fine", Write: true}, {Entity: "acme"}}},
		}},
		localhub.User{Name: "carol", Token: "hf_carol"},
	)
}

// world is a Hub with something of everything.
func world(t testing.TB, opts ...hubtest.Option) *hubtest.Server {
	t.Helper()
	s := hubtest.New(t, append(opts, people())...)
	h := s.Hub
	must(t, h.CreateOrg(localhub.Org{Name: "acme", Fullname: "Acme"}))
	must(t, h.AddMember("acme", "alice", localhub.MemberAdmin))
	must(t, h.AddMember("acme", "bob", localhub.MemberContributor))
	for _, r := range []struct {
		typ, id string
		o       localhub.RepoOptions
	}{
		{localhub.Model, "alice/m", localhub.RepoOptions{}},
		{localhub.Model, "alice/secret", localhub.RepoOptions{Private: true}},
		{localhub.Model, "alice/gated", localhub.RepoOptions{Gated: "manual"}},
		{localhub.Model, "alice/off", localhub.RepoOptions{}},
		{localhub.Model, "alice/old", localhub.RepoOptions{}},
		{localhub.Model, "bob/fine", localhub.RepoOptions{Private: true}},
		{localhub.Model, "bob/other", localhub.RepoOptions{Private: true}},
		{localhub.Model, "gpt2", localhub.RepoOptions{Creator: "alice"}},
		{localhub.Model, "alice/tree", localhub.RepoOptions{}},
		{localhub.Model, "acme/m", localhub.RepoOptions{Private: true, Creator: "alice"}},
		{localhub.Dataset, "alice/d", localhub.RepoOptions{}},
		{localhub.Space, "alice/s", localhub.RepoOptions{SDK: "static"}},
	} {
		must(t, h.CreateRepo(r.typ, r.id, r.o))
	}
	off := true
	must(t, h.UpdateRepo(localhub.Model, "alice/off", localhub.RepoUpdate{Disabled: &off}))
	must(t, h.MoveRepo(localhub.Model, "alice/old", "alice/New"))
	s.Commit("alice/m", map[string]string{"a.txt": "A", "d/b c.txt": "B", "README.md": "---\nlicense: mit\ntags: [x]\n---\n"})
	must(t, h.CreateBranch(localhub.Model, "alice/m", "feat/x", ""))
	must(t, h.CreateTag(localhub.Model, "alice/m", "v1", "", "a message"))
	return s
}

// request is a line of a table: what is sent, and what must come back.
type request struct {
	method, path, token, body string
	status                    int
	want                      string // in the body, in X-Error-Code for a 4xx, or in Location for a 3xx
}

// run sends the requests of a table one after the other. Each refusal must have
// the Hub's form, also as the answer to HEAD.
func run(t *testing.T, s *hubtest.Server, table []request) {
	t.Helper()
	for _, r := range table {
		var headers []string
		if r.token != "" {
			headers = append(headers, auth(r.token))
		}
		switch {
		case strings.Contains(r.path, "/commit/"):
			headers = append(headers, "Content-Type: application/x-ndjson")
		case strings.HasPrefix(r.body, "{"):
			headers = append(headers, "Content-Type: application/json")
		case r.body != "":
			headers = append(headers, "Content-Type: application/x-www-form-urlencoded")
		}
		resp, body := send(t, r.method, s.URL+r.path, r.body, headers...)
		name := r.method + " " + r.path + " " + r.body
		got := body
		switch {
		case resp.StatusCode >= 400:
			got = resp.Header.Get("X-Error-Code")
			checkRefusal(t, name, resp, body)
		case resp.StatusCode >= 300:
			got = resp.Header.Get("Location")
		}
		if resp.StatusCode != r.status || !strings.Contains(got, r.want) {
			t.Errorf("%.300s: %d %.1000s, want %d %s", name, resp.StatusCode, got, r.status, r.want)
		}
		if r.method == http.MethodGet {
			head, body := send(t, http.MethodHead, s.URL+r.path, "", headers...)
			if head.StatusCode != resp.StatusCode || head.Header.Get("X-Error-Code") != resp.Header.Get("X-Error-Code") || body != "" {
				t.Errorf("HEAD %s: %d %v %.300q", r.path, head.StatusCode, head.Header, body)
			}
		}
	}
}

func checkRefusal(t *testing.T, name string, resp *http.Response, body string) {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(body), &v); err != nil || v["error"] == nil {
		t.Errorf("%s: body %q", name, body)
	}
	if resp.Header.Get("X-Error-Code") == "" || resp.Header.Get("X-Error-Message") == "" || resp.Header.Get("X-Request-Id") == "" {
		t.Errorf("%s: headers %v", name, resp.Header)
	}
}

func TestWhoMayRead(t *testing.T) {
	s := world(t)
	run(t, s, []request{
		{"GET", "/api/models/alice/m", "", "", 200, `"id":"alice/m"`},
		{"GET", "/api/models/ALICE/M", "", "", 200, `"id":"alice/m"`},
		{"GET", "/api/models/alice/m", "hf_wrong", "", 401, "Unauthorized"},
		{"GET", "/api/models/alice/secret", "", "", 401, "RepoNotFound"},
		{"GET", "/api/models/alice/none", "", "", 401, "RepoNotFound"},
		{"GET", "/api/models/alice/secret", "hf_bob", "", 404, "RepoNotFound"},
		{"GET", "/api/models/alice/none", "hf_bob", "", 404, "RepoNotFound"},
		{"GET", "/alice/secret/resolve/main/.gitattributes", "hf_bob", "", 404, "RepoNotFound"},
		{"GET", "/api/models/alice/secret", "hf_alice", "", 200, `"private":true`},
		{"GET", "/api/models/acme/m", "hf_bob", "", 200, `"id":"acme/m"`},
		{"GET", "/api/models/acme/m", "hf_carol", "", 404, "RepoNotFound"},
		{"GET", "/api/models/bob/fine", "hf_bobfine", "", 200, ""},
		{"GET", "/api/models/acme/m", "hf_bobfine", "", 200, ""},
		{"GET", "/api/models/bob/other", "hf_bobfine", "", 404, "RepoNotFound"},
		{"GET", "/api/models/bob/other", "hf_bobreads", "", 200, ""},
		{"GET", "/api/models/alice/gated", "", "", 200, `"gated":"manual"`},
		{"GET", "/alice/gated/resolve/main/.gitattributes", "", "", 401, "GatedRepo"},
		{"GET", "/alice/gated/resolve/main/.gitattributes", "hf_bob", "", 403, "GatedRepo"},
		{"GET", "/alice/gated/resolve/main/.gitattributes", "hf_alice", "", 200, "filter=lfs"},
		{"GET", "/api/models/alice/gated/auth-check", "hf_bob", "", 403, "GatedRepo"},
		{"GET", "/api/models/alice/m/auth-check", "", "", 200, ""},
		{"GET", "/api/models/alice/m/auth-check/write", "hf_bob", "", 403, "Forbidden"},
		{"GET", "/api/models/alice/m/auth-check/write", "hf_alice", "", 200, ""},
		{"GET", "/api/models/alice/m/auth-check/read", "hf_alice", "", 404, "NotFound"},
		{"GET", "/api/models/alice/off", "hf_alice", "", 403, "Forbidden"},
		{"GET", "/api/models/alice/old?blobs=true", "", "", 307, "/api/models/alice/New?blobs=true"},
		{"GET", "/alice/Old/resolve/main/d/b%20c.txt", "", "", 307, "/alice/New/resolve/main/d/b%20c.txt"},
		{"GET", "/api/models/alice/new", "", "", 200, `"id":"alice/New"`},
		{"GET", "/api/whoami-v2", "", "", 401, "Unauthorized"},
		{"GET", "/api/whoami-v2", "hf_bobfine", "", 200, `"role":"fineGrained"`},
	})
	must(t, s.Hub.GrantAccess(localhub.Model, "alice/gated", "bob"))
	must(t, s.Hub.RevokeToken("hf_carol"))
	run(t, s, []request{
		{"GET", "/alice/gated/resolve/main/.gitattributes", "hf_bob", "", 200, "filter=lfs"},
		{"GET", "/api/models/alice/m", "hf_carol", "", 401, "Unauthorized"},
	})
	resp, _ := send(t, "GET", s.URL+"/api/models/alice/off", "", auth("hf_alice"))
	if got := resp.Header.Get("X-Error-Message"); got != "Access to this resource is disabled." {
		t.Errorf("disabled: %q", got)
	}
}

func TestReadRoutes(t *testing.T) {
	s := world(t)
	head, err := s.Hub.Head(localhub.Model, "alice/m", "main")
	must(t, err)
	run(t, s, []request{
		// Ids with one segment and with two, of the same verb.
		{"GET", "/api/models/gpt2", "", "", 200, `"id":"gpt2"`},
		{"GET", "/api/models/gpt2/tree/main", "", "", 200, `".gitattributes"`},
		{"GET", "/gpt2/resolve/main/.gitattributes", "", "", 200, "filter=lfs"},
		{"GET", "/api/models/alice/tree", "", "", 200, `"id":"alice/tree"`},
		{"GET", "/api/models/alice/tree/tree/main", "", "", 200, `".gitattributes"`},
		{"GET", "/api/datasets/alice/d", "", "", 200, `"id":"alice/d"`},
		{"GET", "/datasets/alice/d/resolve/main/.gitattributes", "", "", 200, "filter=lfs"},
		{"GET", "/api/spaces/alice/s", "", "", 200, `"sdk":"static"`},
		{"GET", "/api/models/alice/d", "hf_alice", "", 404, "RepoNotFound"},
		// Revisions.
		{"GET", "/api/models/alice/m/revision/" + head, "", "", 200, head},
		{"GET", "/api/models/alice/m/revision/" + head[:7], "", "", 200, head},
		{"GET", "/api/models/alice/m/revision/v1", "", "", 200, head},
		{"GET", "/api/models/alice/m/revision/HEAD", "", "", 200, head},
		{"GET", "/api/models/alice/m/revision/refs%2Fheads%2Fmain", "", "", 200, head},
		{"GET", "/api/models/alice/m/revision/feat%2Fx", "", "", 200, head},
		{"GET", "/api/models/alice/m/revision/nope", "", "", 404, "RevisionNotFound"},
		{"GET", "/api/models/alice/m/revision/" + strings.Repeat("a", 40), "", "", 404, "RevisionNotFound"},
		{"GET", "/api/models/alice/m/revision/..", "", "", 404, "RevisionNotFound"},
		{"GET", "/api/models/alice/m/revision/main/x", "", "", 404, "RevisionNotFound"},
		{"GET", "/api/models/alice/m/tree/feat/x/d", "", "", 200, `"d/b c.txt"`},
		{"GET", "/api/models/alice/m/tree/refs/heads/main", "", "", 200, `"a.txt"`},
		{"GET", "/api/models/alice/m/commits/refs/heads/main", "", "", 200, `initial commit`},
		// Trees and files.
		{"GET", "/api/models/alice/m/tree/main/d%2F", "", "", 200, `"d/b c.txt"`},
		{"GET", "/api/models/alice/m/tree/main/nope", "", "", 404, "EntryNotFound"},
		{"GET", "/api/models/alice/m/tree/main/a.txt", "", "", 404, "EntryNotFound"},
		{"GET", "/api/models/alice/m/tree/main?recursive=yes", "", "", 400, "BadRequest"},
		{"GET", "/api/models/alice/m/tree/main?cursor=x", "", "", 400, "BadRequest"},
		{"GET", "/api/models/alice/m/tree/main?depth=1", "", "", 400, "BadRequest"},
		{"GET", "/alice/m/resolve/main/d/b%20c.txt", "", "", 200, "B"},
		{"GET", "/alice/m/resolve/main/d%2Fb%20c.txt?download=true", "", "", 200, "B"},
		{"GET", "/alice/m/resolve/main/d", "", "", 404, "EntryNotFound"},
		{"GET", "/alice/m/resolve/main/nope", "", "", 404, "EntryNotFound"},
		{"GET", "/alice/m/resolve/nope/a.txt", "", "", 404, "RevisionNotFound"},
		{"GET", "/alice/m/resolve/main/../../secret", "", "", 404, "EntryNotFound"},
		{"GET", "/api/resolve-cache/models/alice/m/" + head + "/a.txt", "", "", 200, "A"},
		{"POST", "/api/models/alice/m/paths-info/main", "", "paths=a.txt&paths=d&paths=nope&expand=True", 200, `"lastCommit"`},
		{"POST", "/api/models/alice/m/paths-info/main", "", `{"paths":["a.txt","d/b c.txt"],"expand":false}`, 200, `"d/b c.txt"`},
		{"POST", "/api/models/alice/m/paths-info/main", "", `{"paths":"a.txt"}`, 200, `"a.txt"`},
		{"POST", "/api/models/alice/m/paths-info/main", "", `{"paths":["a.txt"],"x":1}`, 400, "BadRequest"},
		{"POST", "/api/models/alice/m/paths-info/main", "", `{"paths":`, 400, "BadRequest"},
		{"POST", "/api/models/alice/m/paths-info/main", "", strings.Repeat("paths=x&", 1001), 413, "PayloadTooLarge"},
		{"POST", "/api/models/alice/m/paths-info/nope", "", "paths=a", 404, "RevisionNotFound"},
		// Refs, commits, info.
		{"GET", "/api/models/alice/m/refs", "", "", 200, `"tags":[{"name":"v1","ref":"refs/tags/v1","targetCommit":"` + head + `"}]`},
		{"GET", "/api/models/alice/tree/refs?include_prs=1", "", "", 200, `"pullRequests":[]`},
		{"GET", "/api/models/alice/m/commits/main?expand%5B%5D=formatted", "", "", 200, `"formatted"`},
		{"GET", "/api/models/alice/m/commits/main?limit=0", "", "", 400, "BadRequest"},
		{"GET", "/api/models/alice/m/commits/main?limit=1&p=1", "", "", 200, "initial commit"},
		{"GET", "/api/models/alice/m?expand=sha&expand=tags", "", "", 200, `"license:mit"`},
		{"GET", "/api/models/alice/m?expand=nope", "", "", 400, "BadRequest"},
		{"GET", "/api/models/alice/m?expand=sha&blobs=true", "", "", 400, "BadRequest"},
		{"GET", "/api/models/alice/m?blobs=True&securityStatus=True", "", "", 200, `"blobId"`},
		{"GET", "/api/datasets/alice/d?expand=pipeline_tag", "", "", 400, "BadRequest"},
		// What isn't there, or not so.
		{"POST", "/api/models/alice/m", "", "", 405, "MethodNotAllowed"},
		{"DELETE", "/alice/m/resolve/main/a.txt", "", "", 405, "MethodNotAllowed"},
		{"GET", "/api/models/alice/m/commit/main", "", "", 405, "MethodNotAllowed"},
		{"GET", "/api/nope", "", "", 404, "NotFound"},
		{"GET", "/api/models/alice/m/nope", "", "", 404, "NotFound"},
		{"GET", "/", "", "", 404, "NotFound"},
		{"GET", "/-content/lfs/x", "", "", 404, "NotFound"},
		{"GET", "/api/models/alice/m/xet-read-token/main", "", "", 404, "NotFound"},
	})
}

func TestListings(t *testing.T) {
	s := world(t, hubtest.WithPageSize(2))
	ids := func(query, token string) string {
		t.Helper()
		var got []string
		url := s.URL + "/api/" + query
		for url != "" {
			resp, body := send(t, "GET", url, "", auth(token))
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d %s", url, resp.StatusCode, body)
			}
			for _, m := range decode[[]map[string]any](t, body) {
				got = append(got, m["id"].(string))
				if _, ok := m["cardData"]; ok != strings.Contains(query, "cardData=True") && m["id"] == "alice/m" {
					t.Errorf("%s: cardData is %t in %v", query, ok, m)
				}
			}
			url, _, _ = strings.Cut(strings.TrimPrefix(resp.Header.Get("Link"), "<"), ">")
		}
		return strings.Join(got, " ")
	}
	for _, c := range []struct{ query, token, want string }{
		{"models?author=alice&sort=createdAt&direction=1", "hf_bob", "alice/m alice/gated alice/New gpt2 alice/tree"},
		{"models?author=Alice&sort=createdAt", "hf_alice", "alice/tree gpt2 alice/New alice/gated alice/secret alice/m"},
		{"models?author=acme", "hf_bob", "acme/m"},
		{"models?author=acme", "hf_carol", ""},
		{"models?search=G&author=alice&gated=True", "hf_carol", "alice/gated"},
		{"models?filter=x&filter=license:mit&cardData=True", "hf_carol", "alice/m"},
		{"models?filter=x&filter=license:apache-2.0", "hf_carol", ""},
		{"datasets?full=True", "hf_carol", "alice/d"},
		{"spaces?filter=static&linked=True", "hf_carol", "alice/s"},
	} {
		if got := ids(c.query, c.token); got != c.want {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
	}
	run(t, s, []request{
		{"GET", "/api/models?author=alice&expand=cardData&filter=x", "", "", 200, `[{"_id":`},
		{"GET", "/api/models?expand=nope", "", "", 400, "BadRequest"},
		{"GET", "/api/models?sort=color", "", "", 400, "BadRequest"},
		{"GET", "/api/models?linked=True", "", "", 400, "BadRequest"},
		{"GET", "/api/models?expand=sha&full=True", "", "", 400, "BadRequest"},
		{"GET", "/api/users/ALICE/overview", "", "", 200, `"numModels":5`},
		{"GET", "/api/users/alice/overview", "hf_alice", "", 200, `"numModels":6`},
		{"GET", "/api/users/nobody/overview", "", "", 404, "NotFound"},
		{"GET", "/api/organizations/acme/overview", "", "", 200, `"numUsers":2`},
		{"GET", "/api/organizations/alice/overview", "", "", 404, "NotFound"},
		{"GET", "/api/organizations/acme/members", "", "", 200, `"user":"alice"`},
		{"GET", "/api/organizations/acme/members?limit=1", "", "", 200, `"user":"Bob"`},
	})
}

func TestQuota(t *testing.T) {
	s := hubtest.New(t, hubtest.WithRateLimits(localhub.RateLimits{API: 2, Resolvers: 100}))
	id := s.Repo("m", map[string]string{"a": "A"})
	for i, want := range []int{200, 200, 429} {
		resp, body := send(t, "GET", s.URL+"/api/models/"+id, "", auth(s.Token))
		if resp.StatusCode != want || !strings.HasPrefix(resp.Header.Get("RateLimit"), `"api";r=`) {
			t.Errorf("request %d: %d %v %s", i, resp.StatusCode, resp.Header, body)
		}
		if want == 429 {
			checkRefusal(t, "over the quota", resp, body)
		}
	}
	// Nobody's quota is another one's, and files have their own.
	if resp, _ := send(t, "GET", s.URL+"/api/models/"+id, ""); resp.StatusCode != http.StatusOK {
		t.Errorf("anonymous: %d", resp.StatusCode)
	}
	if resp, _ := send(t, "GET", s.URL+"/"+id+"/resolve/main/a", "", auth(s.Token)); resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("RateLimit"), `"resolvers";r=99;t=`) {
		t.Errorf("file: %d %v", resp.StatusCode, resp.Header)
	}
}
