package control

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

// The methods that fill and inspect repositories; a row that gets lost is a script that breaks.
var wantMethods = strings.Fields(`
	auth_check create_branch create_repo create_tag dataset_info delete_branch delete_repo delete_tag
	file_exists get_hf_file_metadata get_paths_info hf_hub_download list_datasets list_models
	list_repo_commits list_repo_files list_repo_refs list_repo_tree list_spaces model_info move_repo
	repo_exists repo_info revision_exists snapshot_download space_info super_squash_history
	update_repo_settings whoami
	add_collection_item create_collection delete_collection delete_collection_item get_collection get_dataset_tags
	get_full_repo_name get_model_tags get_token_permission get_user_overview like list_collections list_liked_repos
	list_organization_members list_papers list_repo_likers list_user_followers list_user_following paper_info unlike
	update_collection_item update_collection_metadata update_repo_visibility`)

func TestTable(t *testing.T) {
	var names []string
	for _, m := range Methods() {
		names = append(names, m.Name)
		if m.Doc == "" || m.Returns == "" || m.run == nil {
			t.Errorf("%s: row isn't complete", m.Name)
		}
		seen := map[string]bool{}
		optional := false
		for _, p := range m.Params {
			if seen[p.Name] {
				t.Errorf("%s: parameter %s twice", m.Name, p.Name)
			}
			seen[p.Name] = true
			if p.Doc == "" || p.Type == "" {
				t.Errorf("%s: parameter %s isn't described", m.Name, p.Name)
			}
			if p.Required && optional {
				t.Errorf("%s: required parameter %s after optional ones", m.Name, p.Name)
			}
			optional = optional || !p.Required
			if p.Default != nil && !json.Valid(p.Default) {
				t.Errorf("%s: default of %s is %s", m.Name, p.Name, p.Default)
			}
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("the table isn't sorted: %v", names)
	}
	for _, want := range wantMethods {
		if _, err := LookupMethod(want); err != nil {
			t.Error(err)
		}
	}
}

// Every default and every value of an enum must be what its field can hold.
func TestTableValuesDecode(t *testing.T) {
	for _, m := range Methods() {
		params := map[string]json.RawMessage{}
		for _, p := range m.Params {
			if p.Required {
				params[p.Name] = exampleOf(p)
			}
		}
		for _, p := range m.Params {
			for _, v := range p.Enum {
				with := map[string]json.RawMessage{p.Name: v}
				for k, r := range params {
					if k != p.Name {
						with[k] = r
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel() // parameters are checked before anything is sent
				_, err := m.Call(ctx, testAPI(t, "http://127.0.0.1:1"), with)
				var e *Error
				if errors.As(err, &e) && e.Kind == KindBadParameter && e.Parameter == p.Name {
					t.Errorf("%s: enum value %s of %s: %v", m.Name, v, p.Name, err)
				}
			}
		}
	}
}

func exampleOf(p ParamInfo) json.RawMessage {
	switch {
	case len(p.Enum) > 0:
		return p.Enum[0]
	case strings.HasPrefix(p.Type, "list"):
		return json.RawMessage(`["a"]`)
	case p.Name == "url":
		return json.RawMessage(`"http://127.0.0.1:1/a/b/resolve/main/c"`)
	}
	return json.RawMessage(`"a/b"`)
}

func TestLookupMethodSuggests(t *testing.T) {
	_, err := LookupMethod("create_repository")
	if err == nil || !strings.Contains(err.Error(), `did you mean "create_`) {
		t.Errorf("got %v", err)
	}
	if _, err := LookupMethod("zzz"); err == nil || strings.Contains(err.Error(), "mean") {
		t.Errorf("got %v", err)
	}
}
