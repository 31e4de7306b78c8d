package control

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// Collections, likes, users, papers and tags, as a program sees them over the socket.
func TestSocialMethods(t *testing.T) {
	srv := hubtest.New(t, hubtest.WithUsers(localhub.User{Name: "bob", Token: "hf_bob"}))
	srv.Repo("m", map[string]string{"README.md": "---\npipeline_tag: fill-mask\nco2_eq_emissions: 2\n---\n"})
	for _, err := range []error{
		srv.Hub.CreateOrg(localhub.Org{Name: "acme"}), srv.Hub.AddMember("acme", "alice", localhub.MemberAdmin), srv.Hub.Follow("bob", "alice", true),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c, _ := start(t, apiOf(t, srv.Client()))
	call := func(method string, p map[string]json.RawMessage) (any, error) {
		res, err := c.Call(t.Context(), method, p)
		if err != nil {
			return nil, err
		}
		if res.Elements != nil {
			for _, err := range res.Elements {
				if err != nil {
					return nil, err
				}
				break
			}
			if res, err = c.Call(t.Context(), method, p); err != nil {
				return nil, err
			}
		}
		return plain(t, res), nil
	}
	created, err := call("create_collection", params("title", `"One"`))
	if err != nil {
		t.Fatal(err)
	}
	slug, _ := json.Marshal(created.(map[string]any)["slug"])
	for _, tt := range []struct {
		method string
		params map[string]json.RawMessage
		want   string // part of the result's JSON
	}{
		{"add_collection_item", params("collection_slug", string(slug), "item_id", `"alice/m"`, "item_type", `"model"`, "note", `"why"`), `"item_id":"alice/m"`},
		{"add_collection_item", params("collection_slug", string(slug), "item_id", `"alice/m"`, "item_type", `"model"`, "exists_ok", "true"), `"note":"why"`},
		{"create_collection", params("title", `"One"`, "exists_ok", "true"), `"url":"` + srv.URL + `/collections/alice/one-`},
		{"get_collection", params("collection_slug", string(slug)), `"item_type":"model"`},
		{"list_collections", params("item", `"models/alice/m"`, "limit", "5"), `"position":0`},
		{"update_collection_metadata", params("collection_slug", string(slug), "theme", `"blue"`, "private", "false"), `"theme":"blue"`},
		{"like", params("repo_id", `"alice/m"`), `null`},
		{"list_repo_likers", params("repo_id", `"alice/m"`), `"is_pro":null`},
		{"list_liked_repos", nil, `{"datasets":[],"models":["alice/m"],"spaces":[],"total":1,"user":"alice"}`},
		{"unlike", params("repo_id", `"alice/m"`), `null`},
		{"list_liked_repos", params("user", `"bob"`), `"total":0`},
		{"get_user_overview", params("username", `"alice"`), `"num_followers":1`},
		{"get_user_overview", params("username", `"alice"`), `"user_type":"user"`},
		{"list_organization_members", params("organization", `"acme"`), `"username":"alice"`},
		{"list_user_followers", params("username", `"alice"`), `"username":"bob"`},
		{"list_user_following", params("username", `"bob"`), `"orgs":[]`},
		{"get_token_permission", nil, `"write"`},
		{"get_token_permission", params("token", `"hf_wrong"`), `null`},
		{"get_full_repo_name", params("model_id", `"x"`), `"alice/x"`},
		{"list_papers", params("query", `"bert"`), `"published_at":"2018-10-11T00:00:00.000Z"`},
		{"paper_info", params("id", `"2307.09288"`), `"submitted_by":{`},
		{"get_model_tags", nil, `"label":"fill-mask"`},
		{"get_dataset_tags", nil, `"id":"language:en"`},
		{"list_models", params("emissions_thresholds", "[null,2]", "cardData", "true", "model_name", `"m"`), `"id":"alice/m"`},
		{"list_models", params("emissions_thresholds", "[3,null]", "cardData", "true"), `[]`},
		{"update_repo_visibility", params("repo_id", `"alice/m"`, "private", "true"), `"private":true`},
		{"delete_collection", params("collection_slug", string(slug)), `null`},
		{"delete_collection", params("collection_slug", string(slug), "missing_ok", "true"), `null`},
	} {
		got, err := call(tt.method, tt.params)
		if b, _ := json.Marshal(got); err != nil || !strings.Contains(string(b), tt.want) {
			t.Errorf("%s %s: %s, %v, want %s", tt.method, tt.params, b, err, tt.want)
		}
	}
	for _, tt := range []struct {
		method    string
		params    map[string]json.RawMessage
		kind      error
		parameter string
	}{
		{"get_collection", params("collection_slug", string(slug)), hub.ErrNotFound, ""},
		{"create_collection", params("title", `"x"`, "namespace", `"bob"`), hub.ErrForbidden, ""},
		{"create_collection", nil, nil, "title"},
		{"add_collection_item", params("collection_slug", string(slug), "item_id", `"alice/m"`, "item_type", `"file"`), nil, "item_type"},
		{"list_collections", params("limit", "0"), nil, "limit"},
		{"list_collections", params("sort", `"color"`), nil, "sort"},
		{"like", params("repo_id", `"alice/none"`), hub.ErrRepoNotFound, ""},
		{"like", params("repo_id", `"alice/m"`, "token", "false"), hub.ErrRepoNotFound, ""},
		{"get_user_overview", params("username", `"nobody"`), hub.ErrNotFound, ""},
		{"list_organization_members", params("organization", `"bob"`), hub.ErrNotFound, ""},
		{"paper_info", params("id", `"0"`), hub.ErrNotFound, ""},
		{"list_models", params("emissions_thresholds", "[null,null]"), nil, "emissions_thresholds"},
		{"list_models", params("emissions_thresholds", "[1]"), nil, "emissions_thresholds"},
		{"list_models", params("emissions_thresholds", "3"), nil, "emissions_thresholds"},
		{"list_datasets", params("model_name", `"x"`), nil, "model_name"},
	} {
		got, err := call(tt.method, tt.params)
		var e *Error
		if !errors.As(err, &e) || tt.kind != nil && !errors.Is(err, tt.kind) || e.Parameter != tt.parameter {
			t.Errorf("%s %s: %v, %v, want %v of %q", tt.method, tt.params, got, err, tt.kind, tt.parameter)
		}
	}
}
