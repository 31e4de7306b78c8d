package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

func endpointOptions(name string) hub.EndpointOptions {
	return hub.EndpointOptions{
		Name: name, Repository: "alice/m", Framework: "pytorch", Task: "text-generation",
		Accelerator: "cpu", InstanceSize: "x2", InstanceType: "intel-icl", Region: "us-east-1", Vendor: "aws",
	}
}

func TestEndpointsOnHub(t *testing.T) {
	s := hubtest.New(t, hubtest.WithStartup(300*time.Millisecond), hubtest.WithUsers(localhub.User{Name: "bob", Token: "hf_bob"}))
	s.Repo("m", map[string]string{"config.json": "{}"})
	for _, org := range []localhub.Org{{Name: "acme"}, {Name: "poor", NoBilling: true}} {
		if err := errors.Join(s.Hub.CreateOrg(org), s.Hub.AddMember(org.Name, "alice", localhub.MemberAdmin)); err != nil {
			t.Fatal(err)
		}
	}
	c, ctx := s.Client(), t.Context()
	o := endpointOptions("e")
	two, ten := 2, 10
	o.MaxReplica, o.ScaleToZeroTimeout = &two, &ten
	o.CustomImage = json.RawMessage(`{"url":"ghcr.io/x/y","health_route":"/up","env":{"A":"1"}}`)
	o.Secrets = map[string]string{"S": "hush"}
	e, err := c.CreateInferenceEndpoint(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if e.Name != "e" || e.Namespace != "alice" || e.Repository != "alice/m" || e.Status != hub.EndpointPending || e.URL != "" || e.Framework != "pytorch" ||
		e.Task != "text-generation" || e.Revision != "" || e.Type != "protected" || e.HealthRoute != "/up" || e.CreatedAt.IsZero() || e.UpdatedAt.IsZero() {
		t.Errorf("%+v", e)
	}
	if raw := string(e.Raw); !strings.Contains(raw, `"ghcr.io/x/y"`) || strings.Contains(raw, "hush") || !strings.Contains(raw, `"maxReplica":2,"scaleToZeroTimeout":10`) {
		t.Errorf("%s", raw)
	}
	if err := e.Wait(ctx, time.Nanosecond, time.Millisecond); !errors.Is(err, hub.ErrEndpointTimeout) {
		t.Errorf("%v", err)
	}
	if err := e.Wait(ctx, time.Minute, 20*time.Millisecond); err != nil || e.Status != hub.EndpointRunning || !strings.HasPrefix(e.URL, s.URL) {
		t.Errorf("%+v, %v", e, err)
	}
	if again, err := c.ResumeInferenceEndpoint(ctx, "", "e", true); err != nil || again.Status != hub.EndpointRunning {
		t.Errorf("%+v, %v", again, err)
	}
	wantKind(t, e.Resume(ctx, false), hub.ErrBadRequest)
	if err := e.Update(ctx, hub.EndpointUpdate{MinReplica: &two, Task: "fill-mask", Secrets: map[string]string{}}); err != nil || e.Status != hub.EndpointUpdating || e.Task != "fill-mask" {
		t.Errorf("%+v, %v", e, err)
	}
	if err := e.ScaleToZero(ctx); err != nil || e.Status != hub.EndpointScaledToZero {
		t.Errorf("%+v, %v", e, err)
	}
	if err := e.Wait(ctx, time.Minute, 20*time.Millisecond); err != nil { // it is woken by being asked
		t.Error(err)
	}
	if err := e.Pause(ctx); err != nil || e.Status != hub.EndpointPaused || e.URL != "" {
		t.Errorf("%+v, %v", e, err)
	}
	if err := e.Update(ctx, hub.EndpointUpdate{Revision: "nope"}); err != nil || e.Status != hub.EndpointPaused || e.Revision != "nope" {
		t.Errorf("%+v, %v", e, err)
	}
	if err := e.Resume(ctx, true); err != nil {
		t.Error(err)
	}
	if err := e.Wait(ctx, time.Minute, 20*time.Millisecond); !errors.Is(err, hub.ErrEndpointFailed) {
		t.Errorf("%+v, %v", e, err)
	}

	_, err = c.CreateInferenceEndpoint(ctx, o)
	wantKind(t, err, hub.ErrConflict)
	o.Namespace = "acme"
	if _, err = c.CreateInferenceEndpoint(ctx, o); err != nil {
		t.Error(err)
	}
	list, err := c.InferenceEndpoints(ctx, "*") // poor is left out
	if err != nil || len(list) != 2 || list[0].Namespace != "alice" || list[1].Namespace != "acme" {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err = c.InferenceEndpoints(ctx, ""); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	_, err = c.InferenceEndpoints(ctx, "poor")
	wantKind(t, err, hub.ErrUnauthorized)
	_, err = s.ClientWithToken("hf_bob").InferenceEndpoint(ctx, "alice", "e")
	wantKind(t, err, hub.ErrUnauthorized)
	o.Accelerator = "abacus"
	_, err = c.CreateInferenceEndpoint(ctx, o)
	wantKind(t, err, hub.ErrBadRequest)
	if err := e.Delete(ctx); err != nil {
		t.Error(err)
	}
	wantKind(t, e.Fetch(ctx), hub.ErrNotFound)
	for _, err := range []error{
		c.DeleteInferenceEndpoint(ctx, "", "e"),
		errOf(c.PauseInferenceEndpoint(ctx, "", "e")), errOf(c.ResumeInferenceEndpoint(ctx, "", "e", true)),
		errOf(c.ScaleToZeroInferenceEndpoint(ctx, "", "e")), errOf(c.UpdateInferenceEndpoint(ctx, "", "e", hub.EndpointUpdate{})),
	} {
		wantKind(t, err, hub.ErrNotFound)
	}
	var invalid *hub.ValidationError
	for _, name := range []string{"", "a/b", ".."} {
		if err := c.DeleteInferenceEndpoint(ctx, "alice", name); !errors.As(err, &invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := e.Wait(ctx, -1, 0); !errors.As(err, &invalid) {
		t.Errorf("%v", err)
	}
}

func errOf[T any](_ T, err error) error { return err }

// The token goes to the API of inference endpoints and to what that names, and to no host that nobody named.
func TestEndpointToken(t *testing.T) {
	var asked atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer stranger.Close()
	elsewhere := strings.Replace(stranger.URL, "127.0.0.1", "localhost", 1)
	seen := make(chan string, 10)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Host + r.URL.Path + " " + r.Header.Get("Authorization")
		fmt.Fprintf(w, `{"name":"e","model":{},"status":{"state":"running","url":%q,"createdAt":"2030-01-01T00:00:00.123456789Z","updatedAt":"2030-01-01T00:00:00Z"},"type":"public"}`, elsewhere)
	}))
	defer api.Close()
	c, err := hub.New(hub.Config{Endpoint: stranger.URL, InferenceEndpoints: api.URL + "/v2", Token: hub.StaticToken("hf_x")})
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.InferenceEndpoint(t.Context(), "me", "e")
	if err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != strings.TrimPrefix(api.URL, "http://")+"/v2/endpoint/me/e Bearer hf_x" {
		t.Errorf("asked %s", got)
	}
	wantKind(t, e.Wait(t.Context(), time.Minute, time.Minute), hub.ErrProtocol)
	if asked.Load() != 0 {
		t.Error("the endpoint's odd URL was asked")
	}

	without, err := hub.New(hub.Config{Endpoint: stranger.URL, Token: hub.StaticToken("hf_x")})
	if err != nil {
		t.Fatal(err)
	}
	var invalid *hub.ValidationError
	if _, err := without.InferenceEndpoint(t.Context(), "me", "e"); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "HF_INFERENCE_ENDPOINTS_ENDPOINT") {
		t.Errorf("%v", err)
	}
	if _, err := hub.New(hub.Config{InferenceEndpoints: "ftp://x"}); err == nil {
		t.Error("an address that is none was taken")
	}
	if asked.Load() != 0 {
		t.Error("the Hub was asked")
	}
}
