package control

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// plain is a result as a program sees it, from either side of the socket.
func plain(t *testing.T, res *Result) any {
	t.Helper()
	value := res.Value
	if res.Elements != nil {
		list := []any{}
		for e, err := range res.Elements {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, e)
		}
		value = list
	}
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// What the socket answers is what the method gives.
func TestSameResultOverTheSocket(t *testing.T) {
	srv := hubtest.New(t)
	id := srv.Repo("m", map[string]string{"README.md": "---\nlicense: mit\n---\nhello", "a/b.txt": "b", "a/c.txt": "c"})
	if err := srv.Hub.CreateTag(localhub.Model, id, "v1", "main", ""); err != nil {
		t.Fatal(err)
	}
	api := apiOf(t, srv.Client())
	c, _ := start(t, api)
	quoted := `"` + id + `"`
	for _, call := range []struct {
		method string
		params map[string]json.RawMessage
		want   string // part of the result's JSON
	}{
		{"auth_check", params("repo_id", quoted), `null`},
		{"file_exists", params("repo_id", quoted, "filename", `"a/b.txt"`), `true`},
		{"get_hf_file_metadata", params("url", `"`+srv.URL+"/"+id+`/resolve/v1/a/b.txt"`), `"size":1`},
		{"get_paths_info", params("repo_id", quoted, "paths", `["a","a/b.txt","nothere"]`), `"tree_id"`},
		{"list_models", params("author", `"alice"`, "full", "true"), `"id":` + quoted},
		{"list_datasets", params("author", `"alice"`), `[]`},
		{"list_repo_commits", params("repo_id", quoted, "formatted", "true"), `"title":"add files"`},
		{"list_repo_files", params("repo_id", quoted), `"a/c.txt"`},
		{"list_repo_refs", params("repo_id", quoted), `"ref":"refs/tags/v1"`},
		{"list_repo_tree", params("repo_id", quoted, "recursive", "true", "expand", "true"), `"last_commit":{`},
		{"model_info", params("repo_id", quoted, "files_metadata", "true"), `"license":"mit"`},
		{"repo_exists", params("repo_id", `"alice/no"`), `false`},
		{"repo_info", params("repo_id", quoted, "revision", `"v1"`), `"id":` + quoted},
		{"revision_exists", params("repo_id", quoted, "revision", `"v2"`), `false`},
		{"whoami", nil, `"name":"alice"`},
	} {
		t.Run(call.method, func(t *testing.T) {
			m, err := LookupMethod(call.method)
			if err != nil {
				t.Fatal(err)
			}
			direct, err := m.Call(t.Context(), api, call.params)
			if err != nil {
				t.Fatal(err)
			}
			remote, err := c.Call(t.Context(), call.method, call.params)
			if err != nil {
				t.Fatal(err)
			}
			here, there := plain(t, direct), plain(t, remote)
			if !reflect.DeepEqual(here, there) {
				t.Errorf("here %v\nthere %v", here, there)
			}
			if b, err := json.Marshal(there); err != nil || !strings.Contains(string(b), call.want) {
				t.Errorf("no %s in %s (%v)", call.want, b, err)
			}
		})
	}
}

// A call may bring a token of its own, which the others don't get.
func TestTokenOfACall(t *testing.T) {
	srv := hubtest.New(t, hubtest.WithUsers(localhub.User{Name: "bob", Token: "hf_bob"}))
	c, _ := start(t, apiOf(t, srv.Client()))
	who := func(p map[string]json.RawMessage) (string, error) {
		res, err := c.Call(t.Context(), "whoami", p)
		if err != nil {
			return "", err
		}
		return plain(t, res).(map[string]any)["name"].(string), nil
	}
	if name, err := who(params("token", `"hf_bob"`)); name != "bob" {
		t.Errorf("got %q, %v", name, err)
	}
	if name, err := who(nil); name != "alice" {
		t.Errorf("got %q, %v", name, err)
	}
	if name, err := who(params("token", "false")); !errors.Is(err, hub.ErrUnauthorized) {
		t.Errorf("got %q, %v", name, err)
	}
	var e *Error
	if name, err := who(params("token", "true")); !errors.As(err, &e) || e.Parameter != "token" {
		t.Errorf("got %q, %v", name, err)
	}
	if name, err := who(params("token", `"hf_wrong"`)); err == nil || strings.Contains(err.Error(), "hf_wrong") {
		t.Errorf("got %q, %v", name, err)
	}
}
