package control

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A token or another secret that a call brings is in nothing that the socket tells:
// neither in jobs and their events, nor in refusals, status and metrics.
func TestSecretsAreNotEchoed(t *testing.T) {
	const token, secret = "hf_tokenofacall", "s3cr3t-of-a-space"
	release := make(chan struct{})
	c, _ := start(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		// A Hub that repeats what it was sent.
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Error-Message", "no: "+r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"error":%q}`, "you sent "+r.Header.Get("Authorization")+" and "+fmt.Sprint(len(body)))
	}))
	var told []string
	tell := func(what, text string) {
		told = append(told, what)
		for _, s := range []string{token, secret} {
			if strings.Contains(text, s) {
				t.Errorf("%s tells %s: %s", what, s, text)
			}
		}
	}
	get := func(path string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+Host+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, %v", path, resp.StatusCode, err)
		}
		tell(path, string(b))
	}
	call := params("repo_id", `"me/s"`, "key", `"K"`, "value", `"`+secret+`"`, "token", `"`+token+`"`)
	job, err := c.Background(t.Context(), "add_space_secret", call)
	if err != nil {
		t.Fatal(err)
	}
	tell("the job", fmt.Sprintf("%+v", job))
	next := stream(t.Context(), t, c, "/v1/jobs/"+job.ID+"/events")
	get("/v1/jobs")
	get("/v1/jobs/" + job.ID)
	get("/v1/status")
	get("/v1/metrics")
	close(release)
	for {
		name, data, err := next()
		if err != nil {
			break
		}
		tell("event "+name, data)
	}
	if job, err = c.WaitJob(t.Context(), job.ID); err != nil || job.State != JobFailed || job.Error == nil || job.Error.Status != http.StatusForbidden {
		t.Fatalf("%+v, %v", job, err)
	}
	get("/v1/jobs")
	get("/v1/jobs/" + job.ID)
	_, err = c.Call(t.Context(), "add_space_secret", call)
	tell("a refusal", fmt.Sprint(err))
	// Values that are wrong are named, not shown.
	for _, wrong := range []string{`{"` + token + `":1}`, `["` + token + `"]`, `"` + token + `\n"`} {
		_, err = c.Call(t.Context(), "whoami", params("token", wrong))
		if err == nil {
			t.Errorf("%s is taken", wrong)
		}
		tell("a wrong token", fmt.Sprint(err))
	}
	_, err = c.Call(t.Context(), "add_space_secret", params("repo_id", `"me/s"`, "key", `"K"`, "value", `["`+secret+`"]`))
	tell("a wrong secret", fmt.Sprint(err))
	if len(told) < 12 {
		t.Errorf("only %q were looked at", told)
	}
}
