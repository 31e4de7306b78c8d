package localhub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// startup is how long things take to run in these tests.
const startup = 30 * time.Second

// spaces is a Hub with Spaces of several kinds, on a clock of its own.
func spaces(t *testing.T, opts ...hubtest.Option) (*hubtest.Server, *clock) {
	t.Helper()
	cl := newClock()
	opts = append(opts, hubtest.WithClock(cl.now), hubtest.WithStartup(startup),
		hubtest.WithUsers(localhub.User{Name: "bob", Token: "hf_bob", Pro: true}, localhub.User{Name: "poor", Token: "hf_poor", NoBilling: true}))
	s := hubtest.New(t, opts...)
	for id, sdk := range map[string]string{"alice/app": "gradio", "alice/dock": "docker", "alice/page": "static", "poor/app": "gradio", "bob/app": "gradio"} {
		must(t, s.Hub.CreateRepo(localhub.Space, id, localhub.RepoOptions{SDK: sdk}))
	}
	must(t, s.Hub.CreateRepo(localhub.Space, "alice/hidden", localhub.RepoOptions{SDK: "gradio", Private: true}))
	return s, cl
}

func pushApp(t *testing.T, s *hubtest.Server, id, file string) {
	t.Helper()
	_, err := s.Hub.Commit(localhub.Space, id, "main", localhub.CommitInput{Title: "app", Operations: []localhub.Operation{
		{Kind: localhub.OpAdd, Path: file, Content: []byte(file + time.Now().String())}}})
	must(t, err)
}

// ask sends a request and returns the JSON of its answer.
func ask(t *testing.T, s *hubtest.Server, method, path, token, body string, status int) map[string]any {
	t.Helper()
	var headers []string
	if token != "" {
		headers = append(headers, auth(token))
	}
	if body != "" {
		headers = append(headers, "Content-Type: application/json")
	}
	resp, got := send(t, method, s.URL+path, body, headers...)
	if resp.StatusCode != status {
		t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, resp.StatusCode, got, status)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(got), &v); err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, got)
	}
	return v
}

// restart ends the Hub and starts it again.
func restart(s *hubtest.Server) {
	s.Stop()
	s.Start()
}

// wantRuntime checks stage and hardware of a Space.
func wantRuntime(t *testing.T, s *hubtest.Server, id, stage, current, requested string) map[string]any {
	t.Helper()
	rt := ask(t, s, "GET", "/api/spaces/"+id+"/runtime", "hf_alice", "", 200)
	hw, _ := rt["hardware"].(map[string]any)
	show := func(v any) string {
		if v == nil {
			return ""
		}
		return v.(string)
	}
	if rt["stage"] != stage || show(hw["current"]) != current || show(hw["requested"]) != requested {
		t.Errorf("%s: %v, want %s on %q (asked for %q)", id, rt, stage, current, requested)
	}
	return rt
}

func TestSpaceLife(t *testing.T) {
	s, cl := spaces(t)
	const id = "alice/app"
	wantRuntime(t, s, id, "NO_APP_FILE", "", "cpu-basic")
	cl.pass(time.Hour)
	pushApp(t, s, id, "app.py")
	if rt := wantRuntime(t, s, id, "BUILDING", "", "cpu-basic"); rt["gcTimeout"] != 172800.0 {
		t.Errorf("sleep time %v", rt["gcTimeout"])
	}
	cl.pass(startup * 2 / 3)
	wantRuntime(t, s, id, "APP_STARTING", "", "cpu-basic")
	cl.pass(startup / 3)
	wantRuntime(t, s, id, "RUNNING", "cpu-basic", "cpu-basic")

	// The version of before is served while the next is built.
	pushApp(t, s, id, "app.py")
	cl.pass(time.Second)
	wantRuntime(t, s, id, "RUNNING_BUILDING", "cpu-basic", "cpu-basic")
	cl.pass(startup - 2*time.Second)
	wantRuntime(t, s, id, "RUNNING_APP_STARTING", "cpu-basic", "cpu-basic")
	cl.pass(time.Second)
	wantRuntime(t, s, id, "RUNNING", "cpu-basic", "cpu-basic")

	ask(t, s, "POST", "/api/spaces/"+id+"/hardware", "hf_alice", `{"flavor":"t4-medium","sleepTimeSeconds":600}`, 200)
	if rt := wantRuntime(t, s, id, "BUILDING", "cpu-basic", "t4-medium"); rt["gcTimeout"] != 600.0 {
		t.Errorf("sleep time %v", rt["gcTimeout"])
	}
	cl.pass(startup)
	wantRuntime(t, s, id, "RUNNING", "t4-medium", "t4-medium")
	cl.pass(10 * time.Minute)
	wantRuntime(t, s, id, "STOPPED", "", "t4-medium")
	ask(t, s, "POST", "/api/spaces/"+id+"/restart?factory=true", "hf_alice", "", 200)
	wantRuntime(t, s, id, "BUILDING", "", "t4-medium")
	if rt := ask(t, s, "POST", "/api/spaces/"+id+"/sleeptime", "hf_alice", `{"seconds":-1}`, 200); rt["gcTimeout"] != nil {
		t.Errorf("sleep time %v", rt["gcTimeout"])
	}
	cl.pass(1000 * time.Hour)
	wantRuntime(t, s, id, "RUNNING", "t4-medium", "t4-medium")

	if rt := ask(t, s, "POST", "/api/spaces/"+id+"/pause", "hf_alice", "", 200); rt["stage"] != "PAUSED" {
		t.Errorf("%v", rt)
	}
	restart(s)
	cl.pass(1000 * time.Hour)
	wantRuntime(t, s, id, "PAUSED", "", "t4-medium")
	ask(t, s, "POST", "/api/spaces/"+id+"/hardware", "hf_alice", `{"flavor":"cpu-basic"}`, 200)
	wantRuntime(t, s, id, "PAUSED", "", "cpu-basic")
	ask(t, s, "POST", "/api/spaces/"+id+"/restart", "hf_alice", "", 200)
	cl.pass(startup)
	wantRuntime(t, s, id, "RUNNING", "cpu-basic", "cpu-basic")
	cl.pass(48 * time.Hour)
	wantRuntime(t, s, id, "SLEEPING", "", "cpu-basic")

	pushApp(t, s, "alice/dock", "Dockerfile")
	cl.pass(startup)
	wantRuntime(t, s, "alice/dock", "RUNNING", "cpu-basic", "cpu-basic")
	if rt := wantRuntime(t, s, "alice/page", "RUNNING", "", ""); rt["gcTimeout"] != nil {
		t.Errorf("%v", rt)
	}
	info := ask(t, s, "GET", "/api/spaces/alice/dock", "", "", 200)
	if rt, _ := info["runtime"].(map[string]any); rt["stage"] != "RUNNING" {
		t.Errorf("info: %v", info["runtime"])
	}
}

func TestSpaceSettings(t *testing.T) {
	s, cl := spaces(t)
	const p = "/api/spaces/alice/app"
	pushApp(t, s, "alice/app", "app.py")
	cl.pass(startup)
	ask(t, s, "POST", p+"/secrets", "hf_alice", `{"key":"K","value":"the-secret","description":"d"}`, 200)
	wantRuntime(t, s, "alice/app", "BUILDING", "cpu-basic", "cpu-basic")
	ask(t, s, "POST", p+"/variables", "hf_alice", `{"key":"V","value":"1","description":"first"}`, 200)
	vars := ask(t, s, "POST", p+"/variables", "hf_alice", `{"key":"W","value":"2"}`, 200)
	if len(vars) != 2 || fmt.Sprint(vars["V"]) != "map[description:first updatedAt:2030-01-02T03:04:35.000Z value:1]" {
		t.Errorf("%v", vars)
	}
	restart(s)
	if vars := ask(t, s, "DELETE", p+"/variables", "hf_alice", `{"key":"V"}`, 200); len(vars) != 1 {
		t.Errorf("%v", vars)
	}
	ask(t, s, "DELETE", p+"/variables", "hf_alice", `{"key":"gone"}`, 200)
	secrets := ask(t, s, "GET", p+"/secrets", "hf_alice", "", 200)
	if text := fmt.Sprint(secrets); strings.Contains(text, "the-secret") || !strings.Contains(text, "K:map[description:d") {
		t.Errorf("%s", text)
	}
	ask(t, s, "DELETE", p+"/secrets", "hf_alice", `{"key":"K"}`, 200)
	if secrets := ask(t, s, "GET", p+"/secrets", "hf_alice", "", 200); len(secrets) != 0 {
		t.Errorf("%v", secrets)
	}

	ask(t, s, "POST", p+"/storage", "hf_alice", `{"tier":"medium"}`, 200)
	if rt := ask(t, s, "POST", p+"/storage", "hf_alice", `{"tier":"large"}`, 200); rt["storage"] != "large" {
		t.Errorf("%v", rt)
	}
	run(t, s, []request{
		{"POST", p + "/storage", "hf_alice", `{"tier":"small"}`, 400, "BadRequest"},
		{"DELETE", p + "/storage", "hf_alice", "", 200, `"storage":null`},
		{"DELETE", p + "/storage", "hf_alice", "", 400, "BadRequest"},
	})
}

func TestSpaceRefusals(t *testing.T) {
	s, _ := spaces(t)
	const p = "/api/spaces/alice/app"
	var table []request
	for _, r := range []request{
		{"POST", "/secrets", "", `{"key":"K","value":"v"}`, 0, ""},
		{"DELETE", "/secrets", "", `{"key":"K"}`, 0, ""},
		{"GET", "/variables", "", "", 0, ""},
		{"POST", "/variables", "", `{"key":"K","value":"v"}`, 0, ""},
		{"DELETE", "/variables", "", `{"key":"K"}`, 0, ""},
		{"POST", "/hardware", "", `{"flavor":"t4-small"}`, 0, ""},
		{"POST", "/sleeptime", "", `{"seconds":1}`, 0, ""},
		{"POST", "/pause", "", "", 0, ""},
		{"POST", "/restart", "", "", 0, ""},
		{"POST", "/storage", "", `{"tier":"small"}`, 0, ""},
		{"DELETE", "/storage", "", "", 0, ""},
	} {
		table = append(table,
			request{r.method, p + r.path, "hf_bob", r.body, 403, "Forbidden"},
			request{r.method, p + r.path, "", r.body, 401, "Unauthorized"},
			request{r.method, "/api/spaces/alice/none" + r.path, "hf_alice", r.body, 404, "RepoNotFound"},
			request{r.method, "/api/spaces/alice/hidden" + r.path, "hf_bob", r.body, 404, "RepoNotFound"},
			request{r.method, "/api/models/alice/m" + r.path, "hf_alice", r.body, 404, "NotFound"},
		)
	}
	s.Repo("m", nil)
	table = append(table, []request{
		{"GET", p + "/runtime", "", "", 200, `"stage":"NO_APP_FILE"`},
		{"GET", "/api/spaces/alice/none/runtime", "hf_alice", "", 404, "RepoNotFound"},
		{"POST", "/api/spaces/alice/page/pause", "hf_alice", "", 400, "BadRequest"},
		{"POST", "/api/spaces/alice/page/pause", "hf_bob", "", 403, "Forbidden"},
		{"POST", "/api/spaces/alice/page/restart", "hf_alice", "", 400, "BadRequest"},
		{"POST", "/api/spaces/alice/page/hardware", "hf_alice", `{"flavor":"t4-small"}`, 400, "BadRequest"},
		{"POST", "/api/spaces/alice/page/sleeptime", "hf_alice", `{"seconds":5}`, 400, "BadRequest"},
		{"POST", "/api/spaces/alice/page/storage", "hf_alice", `{"tier":"small"}`, 400, "BadRequest"},
		{"POST", p + "/hardware", "hf_alice", `{"flavor":"abacus"}`, 400, "BadRequest"},
		{"POST", p + "/hardware", "hf_alice", `{"flavor":"t4-small","sleepTimeSeconds":0}`, 400, "BadRequest"},
		{"POST", p + "/hardware", "hf_alice", `{"flavor":"zero-a10g"}`, 403, "Forbidden"},
		{"POST", "/api/spaces/bob/app/hardware", "hf_bob", `{"flavor":"zero-a10g"}`, 200, `"requested":"zero-a10g"`},
		{"POST", "/api/spaces/poor/app/hardware", "hf_poor", `{"flavor":"t4-small"}`, 402, "PaymentRequired"},
		{"POST", "/api/spaces/poor/app/storage", "hf_poor", `{"tier":"small"}`, 402, "PaymentRequired"},
		{"POST", "/api/spaces/poor/app/hardware", "hf_poor", `{"flavor":"cpu-basic"}`, 200, ""},
		{"POST", p + "/sleeptime", "hf_alice", `{"seconds":-2}`, 400, "BadRequest"},
		{"POST", p + "/sleeptime", "hf_alice", `{}`, 400, "BadRequest"},
		{"POST", p + "/storage", "hf_alice", `{"tier":"huge"}`, 400, "BadRequest"},
		{"POST", p + "/variables", "hf_alice", `{"key":"not a key","value":"v"}`, 400, "BadRequest"},
		{"POST", p + "/variables", "hf_alice", `{"key":"K"}`, 400, "BadRequest"},
		{"POST", p + "/variables", "hf_alice", `{"key":"K","value":1}`, 400, "BadRequest"},
		{"POST", p + "/secrets", "hf_alice", `{"key":"S","value":"v"}`, 200, "{}"},
		{"POST", p + "/variables", "hf_alice", `{"key":"S","value":"v"}`, 400, "BadRequest"},
		{"DELETE", p + "/variables", "hf_alice", `{}`, 400, "BadRequest"},
		{"POST", p + "/restart?factory=maybe", "hf_alice", "", 400, "BadRequest"},
		{"PUT", p + "/secrets", "hf_alice", "{}", 405, "MethodNotAllowed"},
	}...)
	run(t, s, table)
}

func TestCreateAndDuplicateSpace(t *testing.T) {
	s, cl := spaces(t)
	must2 := func(path, body string) map[string]any { return ask(t, s, "POST", path, "hf_alice", body, 200) }
	must2("/api/repos/create", `{"name":"full","organization":null,"type":"space","sdk":"docker","hardware":"a10g-small","storageTier":"small",`+
		`"sleepTimeSeconds":3600,"secrets":[{"key":"S","value":"hush"}],"variables":[{"key":"A","value":"1","description":"d"},{"key":"B","value":"2"}]}`)
	rt := wantRuntime(t, s, "alice/full", "NO_APP_FILE", "", "a10g-small")
	if rt["storage"] != "small" || rt["gcTimeout"] != 3600.0 {
		t.Errorf("%v", rt)
	}
	pushApp(t, s, "alice/full", "Dockerfile")
	cl.pass(startup)

	got := must2("/api/spaces/alice/full/duplicate", `{"repository":"alice/copy","private":true,"variables":[{"key":"B","value":"3"}]}`)
	if got["url"] != s.URL+"/spaces/alice/copy" {
		t.Errorf("%v", got)
	}
	rt = wantRuntime(t, s, "alice/copy", "BUILDING", "", "cpu-basic")
	if rt["storage"] != nil || rt["gcTimeout"] != 172800.0 {
		t.Errorf("%v", rt)
	}
	vars := ask(t, s, "GET", "/api/spaces/alice/copy/variables", "hf_alice", "", 200)
	if len(vars) != 2 || vars["A"].(map[string]any)["description"] != "d" || vars["B"].(map[string]any)["value"] != "3" {
		t.Errorf("%v", vars)
	}
	if secrets := ask(t, s, "GET", "/api/spaces/alice/copy/secrets", "hf_alice", "", 200); len(secrets) != 0 {
		t.Errorf("%v", secrets)
	}
	run(t, s, []request{
		{"POST", "/api/spaces/alice/full/duplicate", "hf_alice", `{"repository":"alice/copy"}`, 409, "Conflict"},
		{"POST", "/api/spaces/alice/full/duplicate", "hf_poor", `{"repository":"poor/copy","hardware":"t4-small"}`, 402, "PaymentRequired"},
		{"POST", "/api/spaces/alice/full/duplicate", "hf_poor", `{"repository":"alice/copy2"}`, 403, "Forbidden"},
		{"POST", "/api/spaces/alice/full/duplicate", "hf_poor", `{"repository":"poor/copy","hardware":"x"}`, 400, "BadRequest"},
		{"POST", "/api/spaces/alice/full/duplicate", "hf_poor", `{"repository":"poor/copy","sleepTimeSeconds":-5}`, 400, "BadRequest"},
		{"POST", "/api/spaces/alice/none/duplicate", "hf_alice", `{"repository":"alice/copy2"}`, 404, "RepoNotFound"},
		{"POST", "/api/repos/create", "hf_alice", `{"name":"bad","type":"space","sdk":"docker","hardware":"x"}`, 400, "BadRequest"},
		{"POST", "/api/repos/create", "hf_alice", `{"name":"bad","type":"space","sdk":"docker","storageTier":"x"}`, 400, "BadRequest"},
		{"POST", "/api/repos/create", "hf_alice", `{"name":"bad","type":"space","sdk":"docker","secrets":[{"key":"1","value":"x"}]}`, 400, "BadRequest"},
		{"POST", "/api/repos/create", "hf_poor", `{"name":"bad","type":"space","sdk":"docker","storageTier":"small"}`, 402, "PaymentRequired"},
		{"POST", "/api/repos/create", "hf_alice", `{"name":"bad","type":"space"}`, 400, "BadRequest"},
	})
}

func TestSpaceSettingsTogether(t *testing.T) {
	s, _ := spaces(t)
	const n = 32
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			resp, got := send(t, http.MethodPost, s.URL+"/api/spaces/alice/app/variables", fmt.Sprintf(`{"key":"K%d","value":"v"}`, i),
				auth("hf_alice"), "Content-Type: application/json")
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%d %s", resp.StatusCode, got)
			}
		})
	}
	wg.Wait()
	if vars := ask(t, s, "GET", "/api/spaces/alice/app/variables", "hf_alice", "", 200); len(vars) != n {
		t.Errorf("%d of %d variables", len(vars), n)
	}
}
