package hub

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

const modelJSON = `{"_id":"621ffdc0","id":"ns/name","modelId":"ns/name","author":"ns","sha":"` + oid1 + `","lastModified":"2024-01-02T03:04:05.678Z",
	"createdAt":"2022-03-02T23:29:04.000Z","private":false,"gated":"auto","disabled":false,"downloads":12,"likes":3,"tags":["pytorch"],
	"trendingScore":1.5,"cardData":{"license":"mit"},"pipeline_tag":"text-generation","library_name":"transformers","model-index":null,
	"safetensors":{"parameters":{"F32":5},"total":5},"spaces":[],"siblings":[{"rfilename":"a","size":5,"blobId":"` + oid2 + `"},
	{"rfilename":"b","size":7,"blobId":"` + oid2 + `","lfs":{"sha256":"` + sha1of + `","size":7,"pointerSize":130}}]}`

func TestRepoInfo(t *testing.T) {
	var rec recorder
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		reply(200, modelJSON)(w, r)
	})
	info, err := c.RepoInfo(t.Context(), testRepo, &RepoInfoOptions{Revision: "refs/pr/1", FilesMetadata: true, SecurityStatus: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := rec.take(); got != "GET /api/models/ns/name/revision/refs%2Fpr%2F1?blobs=true&securityStatus=true" {
		t.Error(got)
	}
	if info.Repo() != testRepo || info.SHA != oid1 || *info.Private || info.Gated != GatedAuto || *info.Downloads != 12 || info.DownloadsAllTime != nil ||
		*info.TrendingScore != 1.5 || string(info.CardData) != `{"license":"mit"}` || info.ModelIndex != nil || info.Spaces == nil || info.Models != nil ||
		!info.LastModified.Equal(time.Date(2024, 1, 2, 3, 4, 5, 678e6, time.UTC)) || *info.Siblings[1].Size != 7 || info.Siblings[1].LFS.SHA256 != sha1of {
		t.Errorf("%+v", info)
	}
	if len(info.Extra) != 2 || string(info.Extra["_id"]) != `"621ffdc0"` || string(info.Extra["modelId"]) != `"ns/name"` {
		t.Errorf("%s", info.Extra)
	}

	// It survives being kept as JSON.
	data, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	again := RepoInfo{Type: Model}
	if err := json.Unmarshal(data, &again); err != nil || !reflect.DeepEqual(&again, info) {
		t.Errorf("%v\n%+v\n%+v", err, &again, info)
	}

	if _, err := c.RepoInfo(t.Context(), Repo{Space, "ns/name"}, &RepoInfoOptions{Expand: []string{"sha", "private"}}); err != nil {
		t.Fatal(err)
	}
	if got := rec.take(); got != "GET /api/spaces/ns/name?expand=sha&expand=private" {
		t.Error(got)
	}
	var ve *ValidationError
	if _, err := c.RepoInfo(t.Context(), testRepo, &RepoInfoOptions{FilesMetadata: true, Expand: []string{"sha"}}); !errors.As(err, &ve) {
		t.Error(err)
	}
	if _, err := c.RepoInfo(t.Context(), Repo{Model, "../x"}, nil); !errors.As(err, &ve) || rec.take() != "" {
		t.Error(err)
	}
}

func TestRepoInfoSpellings(t *testing.T) {
	var info RepoInfo
	if err := json.Unmarshal([]byte(`{"id":"a/b","last_modified":"2024-01-02T03:04:05Z","card_data":{"a":1},"gated":false,"created_at":null}`), &info); err != nil {
		t.Fatal(err)
	}
	if info.LastModified.IsZero() || string(info.CardData) != `{"a":1}` || info.Gated != GatedNo || info.Private != nil {
		t.Errorf("%+v", info)
	}
	if data, err := json.Marshal(info); err != nil || !strings.Contains(string(data), `"gated":false`) {
		t.Errorf("%s, %v", data, err)
	}
	for in, want := range map[string]Gated{"null": "", "false": GatedNo, "true": GatedManual, `"auto"`: GatedAuto, `"manual"`: GatedManual} {
		var g Gated
		if err := json.Unmarshal([]byte(in), &g); err != nil || g != want {
			t.Errorf("%s: %q, %v", in, g, err)
		}
	}
}

func TestExistence(t *testing.T) {
	for _, tt := range []struct {
		status         int
		code           string
		repo, revision bool
		kind           error
	}{
		{200, "", true, true, nil},
		{404, "RepoNotFound", false, false, nil},
		{404, "RevisionNotFound", false, false, ErrRevisionNotFound},
		{403, "GatedRepo", true, false, nil},
		{500, "", false, false, ErrUnavailable},
	} {
		c := fake(t, reply(tt.status, `{"id":"ns/name"}`, "X-Error-Code", tt.code), func(cfg *Config) { cfg.Retries = -1 })
		got, err := c.RepoExists(t.Context(), testRepo)
		if got != tt.repo || !errors.Is(err, tt.kind) {
			t.Errorf("repo: %d %s: %v, %v", tt.status, tt.code, got, err)
		}
		got, err = c.RevisionExists(t.Context(), testRepo, "main")
		if got != tt.revision || (err != nil) != (tt.kind != nil && tt.code == "") {
			t.Errorf("revision: %d %s: %v, %v", tt.status, tt.code, got, err)
		}
	}
}

func TestAuthCheck(t *testing.T) {
	var rec recorder
	status := "GatedRepo"
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		if status == "" {
			w.WriteHeader(http.StatusOK) // no body
			return
		}
		reply(403, "{}", "X-Error-Code", status)(w, r)
	})
	wantKind(t, c.AuthCheck(t.Context(), testRepo), ErrGatedRepo)
	status = ""
	if err := c.AuthCheck(t.Context(), testRepo); err != nil {
		t.Error(err)
	}
	if got := rec.take(); !strings.HasPrefix(got, "GET /api/models/ns/name/auth-check\n") {
		t.Error(got)
	}
}

func TestRefs(t *testing.T) {
	var rec recorder
	var log logBuffer
	body := `{"branches":[{"name":"main","ref":"refs/heads/main","targetCommit":"` + oid1 + `"},{"name":"bad","ref":"refs/heads/bad","targetCommit":"../x"},
		{"name":"a\u0000b","ref":"refs/heads/x","targetCommit":"` + oid1 + `"}],"converts":[],"tags":[{"name":"v1","ref":"refs/tags/v1","targetCommit":"` + oid2 + `"}],
		"pullRequests":[{"name":"1","ref":"refs/pr/1","targetCommit":"` + oid2 + `"}]}`
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		reply(200, body)(w, r)
	}, func(cfg *Config) { cfg.Logger = log.logger() })
	refs, err := c.Refs(t.Context(), testRepo, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(refs.Branches) != 1 || refs.Branches[0] != (Ref{"main", "refs/heads/main", oid1}) || refs.Tags[0].TargetCommit != oid2 || refs.PullRequests[0].Ref != "refs/pr/1" {
		t.Errorf("%+v", refs)
	}
	if got := rec.take(); got != "GET /api/models/ns/name/refs?include_prs=1" || strings.Count(log.String(), "left out") != 2 {
		t.Error(got, log.String())
	}
	body = `{"branches":null}`
	_, err = c.Refs(t.Context(), testRepo, false)
	wantKind(t, err, ErrProtocol)
}

func TestCommits(t *testing.T) {
	var rec recorder
	id := oid1
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		reply(200, `[{"id":"`+id+`","title":"two","message":"why","date":"2024-01-02T03:04:05.000Z","authors":[{"user":"u","avatar":"x"},{"user":"v"}],
			"formatted":{"title":"<b>two</b>","message":""}},{"id":"`+oid2+`","title":"one","message":"","date":"2024-01-01T00:00:00.000Z","authors":[]}]`)(w, r)
	})
	var got []Commit
	for commit, err := range c.Commits(t.Context(), testRepo, "main", &CommitsOptions{Formatted: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, commit)
	}
	want := Commit{oid1, "two", "why", time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), []string{"u", "v"}, "<b>two</b>", ""}
	if len(got) != 2 || !reflect.DeepEqual(got[0], want) || got[1].Authors == nil {
		t.Errorf("%+v", got)
	}
	if got := rec.take(); got != "GET /api/models/ns/name/commits/main?expand%5B%5D=formatted" {
		t.Error(got)
	}
	n := 0
	for _, err := range c.Commits(t.Context(), testRepo, "main", &CommitsOptions{Limit: 1}) {
		if err != nil {
			t.Error(err)
		}
		n++
	}
	if got := rec.take(); n != 1 || got != "GET /api/models/ns/name/commits/main?limit=1" {
		t.Error(n, got)
	}
	id = "x"
	for _, err := range c.Commits(t.Context(), testRepo, "main", nil) {
		wantKind(t, err, ErrProtocol)
	}
}

func TestListRepos(t *testing.T) {
	var rec recorder
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		reply(200, `[{"id":"ns/a"},{"id":"../x"},{"id":"other/x"},{"id":"NS/b"}]`)(w, r)
	})
	gated := false
	opts := &ListReposOptions{
		Author: "ns", Search: "s", Name: "n", Filter: []string{"x", "y"}, Gated: &gated, Sort: "likes", Descending: true, Limit: 5, Full: true, CardData: true,
		Config: true, Inference: "warm", PipelineTag: "p", Models: []string{"m"}, Datasets: []string{"d"}, Linked: true,
	}
	var ids []string
	for info, err := range c.ListRepos(t.Context(), Dataset, opts) {
		if err != nil || info.Type != Dataset {
			t.Fatal(err)
		}
		ids = append(ids, info.ID)
	}
	if strings.Join(ids, " ") != "ns/a NS/b" {
		t.Error(ids)
	}
	if got := rec.take(); got != "GET /api/datasets?author=ns&cardData=true&config=true&datasets=d&direction=-1&filter=x&filter=y&full=true&gated=false"+
		"&inference=warm&limit=5&linked=true&models=m&pipeline_tag=p&search=n&search=s&sort=likes" {
		t.Error(got)
	}
	for _, opts := range []*ListReposOptions{{Expand: []string{"x"}, Full: true}} {
		for _, err := range c.ListRepos(t.Context(), Model, opts) {
			if err == nil {
				t.Error("contradictory options are taken")
			}
		}
	}
	for _, err := range c.ListRepos(t.Context(), "kernel", nil) {
		if err == nil || rec.take() != "" {
			t.Error("an unknown type is listed")
		}
	}
}

func TestWhoAmI(t *testing.T) {
	c := fake(t, reply(200, `{"type":"user","id":"1","name":"u","fullname":"U","email":"e","isPro":true,"orgs":[{"name":"o","fullname":"O","roleInOrg":"admin"}],
		"auth":{"type":"access_token","accessToken":{"displayName":"t","role":"write"}},"extra":1}`))
	who, err := c.WhoAmI(t.Context())
	if err != nil || who.Name != "u" || who.Orgs[0].Name != "o" || who.Auth.AccessToken.Role != "write" || !strings.Contains(string(who.Raw), `"extra":1`) {
		t.Errorf("%+v, %v", who, err)
	}
}

func TestHostileWhoAmI(t *testing.T) {
	c := fake(t, reply(200, `{"name":"u","orgs":[{"name":"../x"},{"name":"o"},{"name":""},{"name":"a/b"}]}`))
	who, err := c.WhoAmI(t.Context())
	if err != nil || len(who.Orgs) != 1 || who.Orgs[0].Name != "o" {
		t.Errorf("%+v, %v", who, err)
	}
	c = fake(t, reply(200, `{"name":".."}`))
	_, err = c.WhoAmI(t.Context())
	wantKind(t, err, ErrProtocol)
}

func TestHostileSiblings(t *testing.T) {
	c := fake(t, reply(200, `{"id":"ns/name","siblings":[{"rfilename":"../x"},{"rfilename":"a/b"},{"rfilename":".git/config"},
		{"rfilename":"c","lfs":{"sha256":"../x","size":1,"pointerSize":1}}]}`))
	info, err := c.RepoInfo(t.Context(), testRepo, nil)
	if err != nil || len(info.Siblings) != 1 || info.Siblings[0].Name != "a/b" {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestNamespaceOverview(t *testing.T) {
	var rec recorder
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		switch r.URL.Path {
		case "/api/users/u/overview":
			reply(200, `{"user":"U","fullname":"The U","type":"user","numModels":4}`)(w, r)
		case "/api/organizations/o/overview":
			reply(200, `{"name":"O","fullname":"The O"}`)(w, r)
		case "/api/users/bad/overview":
			reply(200, `{"user":"../bad"}`)(w, r)
		default:
			reply(404, `{"error":"no such"}`)(w, r)
		}
	})
	ns, err := c.NamespaceOverview(t.Context(), "u")
	if err != nil || ns.Name != "U" || ns.Type != "user" || *ns.NumModels != 4 {
		t.Errorf("%+v, %v", ns, err)
	}
	ns, err = c.NamespaceOverview(t.Context(), "o")
	if err != nil || ns.Name != "O" || ns.Type != "org" {
		t.Errorf("%+v, %v", ns, err)
	}
	_, err = c.NamespaceOverview(t.Context(), "nobody")
	wantKind(t, err, ErrNotFound)
	_, err = c.NamespaceOverview(t.Context(), "bad")
	wantKind(t, err, ErrProtocol)
	rec.take()
	for _, name := range []string{"", "a/b", "..", ".git", "a b"} {
		var ve *ValidationError
		if _, err := c.NamespaceOverview(t.Context(), name); !errors.As(err, &ve) || rec.take() != "" {
			t.Errorf("%q: %v", name, err)
		}
	}
}
