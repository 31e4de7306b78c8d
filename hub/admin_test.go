package hub

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// asked is a handler that notes method, path and body, and answers as told.
type asked struct {
	got     []string
	answers map[string]http.HandlerFunc // by method and path; others are 200 without a body
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	line := r.Method + " " + r.URL.EscapedPath()
	text := line
	if len(body) > 0 {
		var compact any
		if err := json.Unmarshal(body, &compact); err == nil {
			body, _ = json.Marshal(compact)
		}
		text += " " + string(body)
	}
	a.got = append(a.got, text)
	if h := a.answers[line]; h != nil {
		h(w, r)
	}
}

func (a *asked) take() string {
	s := strings.Join(a.got, "\n")
	a.got = nil
	return s
}

func TestCreateRepo(t *testing.T) {
	yes, hour := true, 3600
	const create = "POST /api/repos/create"
	for _, tt := range []struct {
		name   string
		repo   Repo
		opts   *CreateRepoOptions
		answer http.HandlerFunc
		body   string
		want   string
		err    error
	}{
		{"plain", testRepo, nil, reply(200, `{"url":"http://hub.test/ns/name"}`), `{"name":"name","organization":"ns","type":"model"}`, "ns/name", nil},
		{"own namespace", Repo{Dataset, "name"}, &CreateRepoOptions{Private: &yes, ResourceGroup: "g"}, reply(200, `{"url":"http://hub.test/datasets/me/name/"}`),
			`{"name":"name","organization":null,"private":true,"resourceGroupId":"g","type":"dataset"}`, "datasets/me/name", nil},
		{"space", Repo{Space, "ns/s"}, &CreateRepoOptions{
			SDK: "static", Hardware: "cpu-basic", Storage: "small", SleepTime: &hour, Secrets: []KeyValue{{"k", "v", ""}}, Variables: []KeyValue{{"a", "b", "c"}},
		}, reply(200, `{"url":"https://huggingface.co/spaces/ns/s"}`),
			`{"hardware":"cpu-basic","name":"s","organization":"ns","sdk":"static","secrets":[{"key":"k","value":"v"}],"sleepTimeSeconds":3600,"storageTier":"small","type":"space","variables":[{"description":"c","key":"a","value":"b"}]}`,
			"spaces/ns/s", nil},
		{"exists", testRepo, nil, reply(409, `{"error":"You already created this","url":"http://hub.test/ns/name"}`), "", "", ErrConflict},
		{"exists, fine", Repo{Model, "name"}, &CreateRepoOptions{ExistOK: true}, reply(409, `{"error":"You already created this","url":"http://hub.test/me/name"}`), "", "me/name", nil},
		{"exists, no url", testRepo, &CreateRepoOptions{ExistOK: true}, reply(409, `{"error":"it is there"}`), "", "NS/name", nil},
		{"may not, exists", testRepo, &CreateRepoOptions{ExistOK: true}, reply(403, `{}`), "", "NS/name", nil},
		{"may not", testRepo, nil, reply(403, `{}`), "", "", ErrForbidden},
		{"may not, isn't there", Repo{Model, "ns/none"}, &CreateRepoOptions{ExistOK: true}, reply(403, `{}`), "", "", ErrForbidden},
		{"bad", testRepo, &CreateRepoOptions{ExistOK: true}, reply(400, `{}`), "", "", ErrBadRequest},
		{"elsewhere", testRepo, nil, reply(200, `{"url":"http://evil.test/ns/name"}`), "", "", ErrProtocol},
		{"hostile", testRepo, nil, reply(200, `{"url":"http://hub.test/../.."}`), "", "", ErrProtocol},
		{"no url", testRepo, nil, reply(200, `{}`), "", "", ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &asked{answers: map[string]http.HandlerFunc{
				create:                     tt.answer,
				"GET /api/models/ns/name":  reply(200, `{"id":"NS/name"}`),
				"GET /api/models/ns/none":  reply(404, `{}`, "X-Error-Code", "RepoNotFound"),
				"GET /api/models/name":     reply(404, `{}`, "X-Error-Code", "RepoNotFound"),
				"GET /api/datasets/me/own": reply(404, `{}`),
			}}
			c := fake(t, a.ServeHTTP)
			got, err := c.CreateRepo(t.Context(), tt.repo, tt.opts)
			if tt.body != "" && a.take() != create+" "+tt.body {
				t.Errorf("%s", a.got)
			}
			if tt.err != nil {
				wantKind(t, err, tt.err)
				return
			}
			if err != nil || got.Repo.String() != tt.want || got.URL != "http://hub.test/"+tt.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	c := fake(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	var ve *ValidationError
	if _, err := c.CreateRepo(t.Context(), Repo{Space, "ns/s"}, &CreateRepoOptions{SDK: "x"}); !errors.As(err, &ve) {
		t.Error(err)
	}
	if _, err := c.CreateRepo(t.Context(), Repo{Model, "a--b"}, nil); !errors.As(err, &ve) {
		t.Error(err)
	}
}

func TestCreateRepoWaitsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := fake(t, func(w http.ResponseWriter, r *http.Request) {
			if n++; n < 3 {
				reply(409, `{"error":"Cannot create repo: another conflicting operation is in progress"}`)(w, r)
				return
			}
			reply(200, `{"url":"http://hub.test/ns/name"}`)(w, r)
		})
		if _, err := c.CreateRepo(t.Context(), testRepo, &CreateRepoOptions{ExistOK: true}); err != nil || n != 3 {
			t.Errorf("%v after %d requests", err, n)
		}
	})
}

func TestAdministration(t *testing.T) {
	yes := true
	ds := Repo{Dataset, "ns/name"}
	for _, tt := range []struct {
		name string
		do   func(c *Client) error
		want string
	}{
		{"delete", func(c *Client) error { return c.DeleteRepo(t.Context(), ds, false) }, `DELETE /api/repos/delete {"name":"name","organization":"ns","type":"dataset"}`},
		{"move", func(c *Client) error { return c.MoveRepo(t.Context(), ds, "o/new") }, `POST /api/repos/move {"fromRepo":"ns/name","toRepo":"o/new","type":"dataset"}`},
		{"settings", func(c *Client) error {
			return c.UpdateRepoSettings(t.Context(), ds, RepoSettings{Private: &yes, Gated: GatedNo})
		}, `PUT /api/datasets/ns/name/settings {"gated":false,"private":true}`},
		{"gate", func(c *Client) error {
			return c.UpdateRepoSettings(t.Context(), ds, RepoSettings{Gated: GatedAuto})
		}, `PUT /api/datasets/ns/name/settings {"gated":"auto"}`},
		{"branch", func(c *Client) error { return c.CreateBranch(t.Context(), ds, "feat/x y", nil) }, `POST /api/datasets/ns/name/branch/feat%2Fx%20y {}`},
		{"branch from", func(c *Client) error {
			return c.CreateBranch(t.Context(), ds, "b", &CreateBranchOptions{Revision: "refs/pr/1"})
		}, `POST /api/datasets/ns/name/branch/b {"startingPoint":"refs/pr/1"}`},
		{"delete branch", func(c *Client) error { return c.DeleteBranch(t.Context(), ds, "feat/x") }, `DELETE /api/datasets/ns/name/branch/feat%2Fx`},
		{"tag", func(c *Client) error { return c.CreateTag(t.Context(), ds, "v1", nil) }, `POST /api/datasets/ns/name/tag/main {"tag":"v1"}`},
		{"tag of", func(c *Client) error {
			return c.CreateTag(t.Context(), ds, "v/1", &CreateTagOptions{Revision: "refs/pr/1", Message: "m"})
		}, `POST /api/datasets/ns/name/tag/refs%2Fpr%2F1 {"message":"m","tag":"v/1"}`},
		{"delete tag", func(c *Client) error { return c.DeleteTag(t.Context(), ds, "v/1") }, `DELETE /api/datasets/ns/name/tag/v%2F1`},
		{"squash", func(c *Client) error { return c.SuperSquashHistory(t.Context(), ds, "feat/x", "") },
			`POST /api/datasets/ns/name/super-squash/feat%2Fx {"message":"Super-squash branch 'feat/x' using hubfs"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &asked{}
			c := fake(t, a.ServeHTTP)
			if err := tt.do(c); err != nil {
				t.Error(err)
			}
			if got := a.take(); got != tt.want {
				t.Errorf("%s\nwant\n%s", got, tt.want)
			}
			path := strings.Join(strings.SplitN(tt.want, " ", 3)[:2], " ")
			a.answers = map[string]http.HandlerFunc{path: reply(403, `{"error":"no"}`)}
			wantKind(t, tt.do(c), ErrForbidden)
		})
	}
}

func TestBadAdministration(t *testing.T) {
	c := fake(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for name, err := range map[string]error{
		"nothing to set":   c.UpdateRepoSettings(t.Context(), testRepo, RepoSettings{}),
		"gated":            c.UpdateRepoSettings(t.Context(), testRepo, RepoSettings{Gated: "yes"}),
		"move from legacy": c.MoveRepo(t.Context(), Repo{Model, "gpt2"}, "a/b"),
		"move to legacy":   c.MoveRepo(t.Context(), testRepo, "gpt2"),
		"branch":           c.CreateBranch(t.Context(), testRepo, "a/../b", nil),
		"tag":              c.CreateTag(t.Context(), testRepo, "", nil),
		"squash":           c.SuperSquashHistory(t.Context(), testRepo, "", "m"),
		"delete":           c.DeleteRepo(t.Context(), Repo{Model, "a/b/c"}, true),
	} {
		var ve *ValidationError
		if !errors.As(err, &ve) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExistOKAndMissingOK(t *testing.T) {
	status, code := 409, ""
	a := &asked{}
	refs := `{"branches":[{"name":"feat/x","ref":"refs/heads/feat/x","targetCommit":"` + oid1 + `"}],"converts":[],"tags":[]}`
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/refs") {
			reply(200, refs)(w, r)
			return
		}
		a.ServeHTTP(w, r)
		reply(status, `{"error":"Reference already exists"}`, "X-Error-Code", code)(w, r)
	})
	wantKind(t, c.CreateBranch(t.Context(), testRepo, "feat/x", nil), ErrConflict)
	wantKind(t, c.CreateTag(t.Context(), testRepo, "v1", nil), ErrConflict)
	if err := c.CreateBranch(t.Context(), testRepo, "feat/x", &CreateBranchOptions{ExistOK: true}); err != nil {
		t.Error(err)
	}
	if err := c.CreateTag(t.Context(), testRepo, "v1", &CreateTagOptions{ExistOK: true}); err != nil {
		t.Error(err)
	}
	status = 403
	if err := c.CreateBranch(t.Context(), testRepo, "feat/x", &CreateBranchOptions{ExistOK: true}); err != nil {
		t.Error(err)
	}
	wantKind(t, c.CreateBranch(t.Context(), testRepo, "other", &CreateBranchOptions{ExistOK: true}), ErrForbidden)
	status, code = 404, "RepoNotFound"
	wantKind(t, c.DeleteRepo(t.Context(), testRepo, false), ErrRepoNotFound)
	if err := c.DeleteRepo(t.Context(), testRepo, true); err != nil {
		t.Error(err)
	}
	code = ""
	wantKind(t, c.DeleteRepo(t.Context(), testRepo, true), ErrNotFound) // says nothing of the repository
}

func TestParseRepoURL(t *testing.T) {
	c, srv := serve(t, http.NotFoundHandler())
	for in, want := range map[string]string{
		"ns/name":                           "ns/name",
		"hf://datasets/ns/name":             "datasets/ns/name",
		srv.URL + "/ns/name":                "ns/name",
		srv.URL + "/spaces/ns/name/":        "spaces/ns/name",
		DefaultEndpoint + "/datasets/ns/n1": "datasets/ns/n1",
	} {
		got, err := c.ParseRepoURL(in)
		if err != nil || got.Repo.String() != want || got.URL != srv.URL+"/"+want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, bad := range []string{"", "https://example.com/ns/name", srv.URL, srv.URL + "/a/b/c/d", "ftp://ns/name", "hf://", srv.URL + "/ns--x/name"} {
		var invalid *ValidationError
		if got, err := c.ParseRepoURL(bad); !errors.As(err, &invalid) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}
