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

func endpoints(t *testing.T) (*hubtest.Server, *clock) {
	t.Helper()
	cl := newClock()
	s := hubtest.New(t, hubtest.WithClock(cl.now), hubtest.WithStartup(startup), hubtest.WithUsers(
		localhub.User{Name: "bob", Token: "hf_bob"}, localhub.User{Name: "poor", Token: "hf_poor", NoBilling: true},
		localhub.User{Name: "alice", Tokens: []localhub.Token{{Value: "hf_aliceread", Role: localhub.RoleRead}}}))
	s.Repo("m", map[string]string{"config.json": "{}"})
	must(t, s.Hub.CreateOrg(localhub.Org{Name: "acme"}))
	must(t, s.Hub.AddMember("acme", "alice", localhub.MemberAdmin))
	must(t, s.Hub.AddMember("acme", "bob", localhub.MemberRead))
	return s, cl
}

// newEndpoint is the body of a creation, as clients send it.
func newEndpoint(name, repository string) string {
	return fmt.Sprintf(`{"accountId":null,"compute":{"accelerator":"cpu","instanceSize":"x2","instanceType":"intel-icl",`+
		`"scaling":{"maxReplica":1,"minReplica":0,"scaleToZeroTimeout":15}},"model":{"framework":"pytorch","repository":%q,"revision":null,`+
		`"task":"text-generation","image":{"huggingface":{}},"secrets":{"S":"hush"}},"name":%q,"provider":{"region":"us-east-1","vendor":"aws"},"type":"protected"}`, repository, name)
}

func wantState(t *testing.T, s *hubtest.Server, name, state string) map[string]any {
	t.Helper()
	e := ask(t, s, "GET", "/v2/endpoint/alice/"+name, "hf_alice", "", 200)
	if got := e["status"].(map[string]any)["state"]; got != state {
		t.Errorf("%s is %v, want %s", name, got, state)
	}
	return e
}

func TestEndpointLife(t *testing.T) {
	s, cl := endpoints(t)
	const p = "/v2/endpoint/alice"
	post := func(what string) { t.Helper(); ask(t, s, "POST", p+"/e/"+what, "hf_alice", "", 200) }
	e := ask(t, s, "POST", p, "hf_alice", newEndpoint("e", "alice/m"), 200)
	if st := e["status"].(map[string]any); st["state"] != "pending" || st["url"] != nil || st["createdAt"] != "2030-01-02T03:04:05.000Z" {
		t.Errorf("%v", e)
	}
	if strings.Contains(fmt.Sprint(e), "hush") {
		t.Errorf("the secret came back: %v", e)
	}
	cl.pass(startup / 3)
	wantState(t, s, "e", "initializing")
	cl.pass(startup)
	e = wantState(t, s, "e", "running")
	where, _ := e["status"].(map[string]any)["url"].(string)
	path := strings.TrimPrefix(where, s.URL)
	if got := ask(t, s, "POST", path, "hf_alice", `{"inputs":"hello"}`, 200); fmt.Sprint(got["inputs"]) != "map[inputs:hello]" || got["model"] != "alice/m" {
		t.Errorf("%v", got)
	}
	ask(t, s, "GET", path+"/health", "hf_alice", "", 200)
	ask(t, s, "GET", path, "", "", 401)
	ask(t, s, "GET", path, "hf_poor", "", 403)

	// Use keeps it up; without use it is scaled to zero, and use wakes it.
	for range 3 {
		cl.pass(10 * time.Minute)
		ask(t, s, "GET", path, "hf_alice", "", 200)
	}
	cl.pass(15 * time.Minute)
	wantState(t, s, "e", "scaledToZero")
	ask(t, s, "GET", path, "hf_alice", "", 503)
	wantState(t, s, "e", "pending")
	cl.pass(startup)
	ask(t, s, "GET", path, "hf_alice", "", 200)

	ask(t, s, "PUT", p+"/e", "hf_alice", `{"compute":{"scaling":{"minReplica":2,"maxReplica":3}},"model":{"image":{"custom":{"url":"x/y","health_route":"/up","env":{"A":"1"}}}}}`, 200)
	e = wantState(t, s, "e", "updating")
	if e["healthRoute"] != "/up" || fmt.Sprint(e["compute"]) != "map[accelerator:cpu instanceSize:x2 instanceType:intel-icl scaling:map[maxReplica:3 minReplica:2 scaleToZeroTimeout:15]]" {
		t.Errorf("%v", e)
	}
	ask(t, s, "GET", path, "hf_alice", "", 200) // by the version of before
	cl.pass(time.Hour)
	if e = wantState(t, s, "e", "running"); e["status"].(map[string]any)["readyReplica"] != 2.0 {
		t.Errorf("%v", e)
	}
	ask(t, s, "PUT", p+"/e", "hf_alice", `{"model":{"revision":"nope"}}`, 200)
	cl.pass(startup)
	wantState(t, s, "e", "updateFailed")
	ask(t, s, "PUT", p+"/e", "hf_alice", `{"model":{"revision":"main"}}`, 200)

	post("pause")
	if e = wantState(t, s, "e", "paused"); e["status"].(map[string]any)["url"] != nil {
		t.Errorf("%v", e)
	}
	ask(t, s, "GET", path, "hf_alice", "", 400)
	restart(s)
	cl.pass(time.Hour)
	wantState(t, s, "e", "paused")
	post("resume")
	wantState(t, s, "e", "pending")
	cl.pass(startup)
	post("scale-to-zero")
	wantState(t, s, "e", "scaledToZero")

	ask(t, s, "POST", p, "hf_alice", newEndpoint("bad", "alice/none"), 200)
	wantState(t, s, "bad", "pending")
	cl.pass(startup)
	if e = wantState(t, s, "bad", "failed"); !strings.Contains(fmt.Sprint(e["status"]), "The model can't be loaded: Repository not found") {
		t.Errorf("%v", e["status"])
	}
	if items := ask(t, s, "GET", p, "hf_alice", "", 200)["items"].([]any); len(items) != 2 {
		t.Errorf("%v", items)
	}
	ask(t, s, "DELETE", p+"/bad", "hf_alice", "", 200)
	ask(t, s, "GET", p+"/bad", "hf_alice", "", 404)
}

func TestEndpointRefusals(t *testing.T) {
	s, cl := endpoints(t)
	const p = "/v2/endpoint/alice"
	good := newEndpoint("e", "alice/m")
	change := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	run(t, s, []request{
		{"POST", p, "hf_alice", good, 200, `"state":"pending"`},
		{"POST", p, "hf_alice", good, 409, "Conflict"},
		{"POST", p, "", good, 401, "Unauthorized"},
		{"POST", p, "hf_bob", good, 401, "Unauthorized"},
		{"POST", p, "hf_aliceread", good, 403, "Forbidden"},
		{"POST", "/v2/endpoint/acme", "hf_bob", good, 403, "Forbidden"},
		{"POST", "/v2/endpoint/acme", "hf_alice", good, 200, ""},
		{"GET", "/v2/endpoint/acme", "hf_bob", "", 200, `"name":"e"`},
		{"GET", "/v2/endpoint/poor", "hf_poor", "", 401, "Unauthorized"},
		{"GET", "/v2/endpoint/nobody", "hf_alice", "", 401, "Unauthorized"},
		{"POST", p, "hf_alice", change(`"e"`, `"Not A Name"`), 400, "BadRequest"},
		{"POST", p, "hf_alice", change(`"cpu"`, `"abacus"`), 400, "BadRequest"},
		{"POST", p, "hf_alice", change(`"minReplica":0`, `"minReplica":2`), 400, "BadRequest"},
		{"POST", p, "hf_alice", change(`"scaleToZeroTimeout":15`, `"scaleToZeroTimeout":0`), 400, "BadRequest"},
		{"POST", p, "hf_alice", change(`"pytorch"`, `""`), 400, "BadRequest"},
		{"POST", p, "hf_alice", change(`"protected"`, `"odd"`), 400, "BadRequest"},
		{"POST", p, "hf_alice", change(`"provider"`, `"unheard"`), 400, "BadRequest"},
		{"POST", p, "hf_alice", "{", 400, "BadRequest"},
		{"GET", p + "/none", "hf_alice", "", 404, "NotFound"},
		{"PUT", p + "/none", "hf_alice", "{}", 404, "NotFound"},
		{"DELETE", p + "/none", "hf_alice", "", 404, "NotFound"},
		{"POST", p + "/none/pause", "hf_alice", "", 404, "NotFound"},
		{"POST", p + "/none/resume", "hf_alice", "", 404, "NotFound"},
		{"POST", p + "/none/scale-to-zero", "hf_alice", "", 404, "NotFound"},
		{"POST", p + "/e/explode", "hf_alice", "", 404, "NotFound"},
		{"PUT", p + "/e", "hf_aliceread", "{}", 403, "Forbidden"},
		{"PUT", p + "/e", "hf_alice", `{"compute":{"accelerator":"abacus"}}`, 400, "BadRequest"},
		{"PUT", p + "/e", "hf_alice", `{"name":"f"}`, 400, "BadRequest"},
		{"POST", p + "/e/resume", "hf_alice", "", 400, "BadRequest"},
		{"PATCH", p + "/e", "hf_alice", "{}", 405, "MethodNotAllowed"},
		{"GET", "/v2/serve/alice/none", "hf_alice", "", 404, "NotFound"},
		{"GET", "/v2/serve/alice/e", "hf_alice", "", 503, "ServiceUnavailable"},
		{"POST", p + "/e/pause", "hf_alice", "", 200, `"state":"paused"`},
		{"POST", p + "/e/scale-to-zero", "hf_alice", "", 400, "BadRequest"},
	})
	ask(t, s, "POST", p+"/e/resume", "hf_alice", "", 200)
	cl.pass(startup)
	resp, body := send(t, http.MethodPost, s.URL+p+"/e/resume", "", auth("hf_alice"))
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "already running") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestEndpointsTogether(t *testing.T) {
	s, _ := endpoints(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := map[int]int{}
	for i := range 24 {
		wg.Go(func() {
			resp, _ := send(t, http.MethodPost, s.URL+"/v2/endpoint/alice", newEndpoint(fmt.Sprintf("e%d", i%8), "alice/m"), auth("hf_alice"))
			mu.Lock()
			defer mu.Unlock()
			made[resp.StatusCode]++
		})
	}
	wg.Wait()
	if made[200] != 8 || made[409] != 16 {
		t.Errorf("%v", made)
	}
}
