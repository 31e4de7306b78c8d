package control

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// attributes are the keys of an object.
func attributes(v any) []string {
	m, _ := v.(map[string]any)
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func callOf(t *testing.T, api *API, method, p string) (any, error) {
	t.Helper()
	m, err := LookupMethod(method)
	if err != nil {
		t.Fatal(err)
	}
	var params map[string]json.RawMessage
	if err := json.Unmarshal([]byte(p), &params); err != nil {
		t.Fatalf("%s: %v", p, err)
	}
	res, err := m.Call(t.Context(), api, params)
	if err != nil {
		return nil, err
	}
	return plain(t, res), nil
}

func TestSpaceMethods(t *testing.T) {
	srv := hubtest.New(t)
	api := apiOf(t, srv.Client())
	call := func(method, p string) any {
		t.Helper()
		v, err := callOf(t, api, method, p)
		if err != nil {
			t.Fatalf("%s %s: %v", method, p, err)
		}
		return v
	}
	call("create_repo", `{"repo_id":"alice/s","repo_type":"space","space_sdk":"docker","space_hardware":"t4-small","space_storage":"small",
		"space_sleep_time":60,"space_secrets":[{"key":"S","value":"hush"}],"space_variables":[{"key":"A","value":"1"}]}`)
	rt := call("get_space_runtime", `{"repo_id":"alice/s"}`)
	if want := strings.Fields("dev_mode hardware hot_reloading raw requested_hardware sleep_time stage storage volumes"); !reflect.DeepEqual(attributes(rt), want) {
		t.Errorf("%v", attributes(rt))
	}
	m := rt.(map[string]any)
	if m["stage"] != "NO_APP_FILE" || m["hardware"] != nil || m["requested_hardware"] != "t4-small" || m["sleep_time"] != 60.0 || m["storage"] != "small" {
		t.Errorf("%v", rt)
	}
	call("add_space_secret", `{"repo_id":"alice/s","key":"T","value":"hush"}`)
	call("delete_space_secret", `{"repo_id":"alice/s","key":"T"}`)
	vars := call("add_space_variable", `{"repo_id":"alice/s","key":"B","value":"","description":"d"}`).(map[string]any)
	if b := vars["B"].(map[string]any); len(vars) != 2 || b["value"] != "" || b["description"] != "d" || b["key"] != "B" || b["updated_at"] == nil {
		t.Errorf("%v", vars)
	}
	if left := call("delete_space_variable", `{"repo_id":"alice/s","key":"A"}`); len(left.(map[string]any)) != 1 {
		t.Errorf("%v", left)
	}
	if all := call("get_space_variables", `{"repo_id":"alice/s"}`); len(all.(map[string]any)) != 1 {
		t.Errorf("%v", all)
	}
	for _, c := range [][2]string{
		{"request_space_hardware", `{"repo_id":"alice/s","hardware":"cpu-upgrade","sleep_time":-1}`}, {"set_space_sleep_time", `{"repo_id":"alice/s","sleep_time":7}`},
		{"request_space_storage", `{"repo_id":"alice/s","storage":"large"}`}, {"delete_space_storage", `{"repo_id":"alice/s"}`},
		{"pause_space", `{"repo_id":"alice/s"}`}, {"restart_space", `{"repo_id":"alice/s","factory_reboot":true}`},
	} {
		if !reflect.DeepEqual(attributes(call(c[0], c[1])), attributes(rt)) {
			t.Errorf("%s is no runtime", c[0])
		}
	}
	u := call("duplicate_space", `{"from_id":"alice/s","to_id":"copy","private":true,"secrets":[{"key":"S","value":"x"}]}`).(map[string]any)
	if u["repo_id"] != "alice/copy" || u["repo_type"] != "space" {
		t.Errorf("%v", u)
	}
	for _, c := range []struct{ method, params, kind string }{
		{"pause_space", `{"repo_id":"alice/none"}`, "repo_not_found"},
		{"request_space_hardware", `{"repo_id":"alice/s","hardware":"abacus"}`, "bad_request"},
		{"delete_space_storage", `{"repo_id":"alice/s"}`, "bad_request"},
		{"duplicate_space", `{"from_id":"alice/s","to_id":"copy"}`, "conflict"},
		{"pause_space", `{"repo_id":"alice/s","token":false}`, "unauthorized"},
		{"add_space_secret", `{"repo_id":"alice/s","key":"K"}`, KindBadParameter},
		{"set_space_sleep_time", `{"repo_id":"alice/s","sleep_time":"soon"}`, KindBadParameter},
	} {
		if _, err := callOf(t, api, c.method, c.params); err == nil || AsError(err).Kind != c.kind {
			t.Errorf("%s %s: %v", c.method, c.params, err)
		}
	}
}

func TestEndpointMethods(t *testing.T) {
	srv := hubtest.New(t, hubtest.WithStartup(time.Hour))
	srv.Repo("m", nil)
	if err := errors.Join(srv.Hub.CreateOrg(localhub.Org{Name: "acme"}), srv.Hub.AddMember("acme", "alice", "")); err != nil {
		t.Fatal(err)
	}
	api := apiOf(t, srv.Client())
	const create = `"repository":"alice/m","framework":"pytorch","accelerator":"cpu","instance_size":"x2","instance_type":"intel-icl","region":"us-east-1","vendor":"aws"`
	want := strings.Fields("created_at framework health_route name namespace raw repository revision status task type updated_at url")
	for _, c := range []struct{ method, params, status string }{
		{"create_inference_endpoint", `{"name":"e",` + create + `,"custom_image":{"url":"x"},"secrets":{"S":"hush"},"type":"public"}`, "pending"},
		{"create_inference_endpoint", `{"name":"f","namespace":"acme",` + create + `}`, "pending"},
		{"get_inference_endpoint", `{"name":"e"}`, "pending"},
		{"update_inference_endpoint", `{"name":"e","max_replica":3,"task":"x"}`, "pending"},
		{"pause_inference_endpoint", `{"name":"e"}`, "paused"},
		{"resume_inference_endpoint", `{"name":"e"}`, "pending"},
		{"resume_inference_endpoint", `{"name":"e","running_ok":true}`, "pending"},
		{"scale_to_zero_inference_endpoint", `{"name":"e"}`, "scaledToZero"},
	} {
		v, err := callOf(t, api, c.method, c.params)
		if err != nil {
			t.Fatalf("%s: %v", c.method, err)
		}
		if m := v.(map[string]any); !reflect.DeepEqual(attributes(v), want) || m["status"] != c.status || m["raw"].(map[string]any)["name"] != m["name"] {
			t.Errorf("%s: %v", c.method, v)
		}
	}
	if v, err := callOf(t, api, "list_inference_endpoints", `{"namespace":"*"}`); err != nil || len(v.([]any)) != 2 {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := callOf(t, api, "delete_inference_endpoint", `{"name":"e"}`); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		method, params string
		kind           error
	}{
		{"get_inference_endpoint", `{"name":"e"}`, hub.ErrNotFound},
		{"resume_inference_endpoint", `{"name":"f","namespace":"acme","running_ok":false}`, hub.ErrBadRequest},
		{"create_inference_endpoint", `{"name":"f","namespace":"acme",` + create + `}`, hub.ErrConflict},
		{"create_inference_endpoint", `{"name":"g",` + create + `,"type":"odd"}`, hub.ErrBadRequest},
		{"list_inference_endpoints", `{"namespace":"bob"}`, hub.ErrUnauthorized},
	} {
		if _, err := callOf(t, api, c.method, c.params); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v", c.method, err)
		}
	}
	if _, err := callOf(t, api, "create_inference_endpoint", `{"name":"h",`+create+`,"custom_image":"x"}`); AsError(err).Parameter != "custom_image" {
		t.Errorf("%v", err)
	}
}
