package hub_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

func TestSpacesOnHub(t *testing.T) {
	at := time.Now()
	s := hubtest.New(t, hubtest.WithClock(func() time.Time { return at }), hubtest.WithStartup(time.Minute),
		hubtest.WithUsers(localhub.User{Name: "bob", Token: "hf_bob", NoBilling: true}))
	c, ctx := s.Client(), t.Context()
	const id = "alice/app"
	hour := 3600
	if _, err := c.CreateRepo(ctx, hub.Repo{Type: hub.Space, ID: id}, &hub.CreateRepoOptions{
		SDK: "gradio", Hardware: "t4-small", Storage: "small", SleepTime: &hour,
		Secrets: []hub.KeyValue{{Key: "S", Value: "hush"}}, Variables: []hub.KeyValue{{Key: "A", Value: "1", Description: "first"}},
	}); err != nil {
		t.Fatal(err)
	}
	runtime := func(rt *hub.SpaceRuntime, err error) *hub.SpaceRuntime {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return rt
	}
	rt := runtime(c.SpaceRuntime(ctx, id))
	if rt.Stage != hub.SpaceNoAppFile || rt.Hardware != "" || rt.RequestedHardware != "t4-small" || rt.Storage != "small" || rt.SleepTime == nil || *rt.SleepTime != hour {
		t.Errorf("%+v", rt)
	}
	if _, err := s.Hub.Commit(localhub.Space, id, "main", localhub.CommitInput{Title: "app", Operations: []localhub.Operation{
		{Kind: localhub.OpAdd, Path: "app.py", Content: []byte("1")}}}); err != nil {
		t.Fatal(err)
	}
	at = at.Add(time.Hour / 2)
	if rt = runtime(c.SpaceRuntime(ctx, id)); rt.Stage != hub.SpaceRunning || rt.Hardware != "t4-small" || !strings.Contains(string(rt.Raw), `"replicas"`) {
		t.Errorf("%+v", rt)
	}
	if rt = runtime(c.RequestSpaceHardware(ctx, id, "a10g-small", &hour)); rt.Stage != hub.SpaceBuilding || rt.RequestedHardware != "a10g-small" {
		t.Errorf("%+v", rt)
	}
	if rt = runtime(c.SetSpaceSleepTime(ctx, id, -1)); rt.SleepTime != nil {
		t.Errorf("%+v", rt)
	}
	if rt = runtime(c.RequestSpaceStorage(ctx, id, "large")); rt.Storage != "large" {
		t.Errorf("%+v", rt)
	}
	_, err := c.RequestSpaceStorage(ctx, id, "medium")
	wantKind(t, err, hub.ErrBadRequest)
	if rt = runtime(c.DeleteSpaceStorage(ctx, id)); rt.Storage != "" {
		t.Errorf("%+v", rt)
	}
	_, err = c.DeleteSpaceStorage(ctx, id)
	wantKind(t, err, hub.ErrBadRequest)
	if rt = runtime(c.PauseSpace(ctx, id)); rt.Stage != hub.SpacePaused {
		t.Errorf("%+v", rt)
	}
	if rt = runtime(c.RestartSpace(ctx, id, true)); rt.Stage != hub.SpaceBuilding {
		t.Errorf("%+v", rt)
	}
	info, err := c.RepoInfo(ctx, hub.Repo{Type: hub.Space, ID: id}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(info.Runtime, rt); err != nil || rt.Stage != hub.SpaceBuilding {
		t.Errorf("%s: %v", info.Runtime, err)
	}

	vars, err := c.AddSpaceVariable(ctx, id, hub.KeyValue{Key: "B", Value: "2"})
	if a := vars["A"]; err != nil || len(vars) != 2 || a.Key != "A" || a.Value != "1" || a.Description != "first" || a.UpdatedAt.IsZero() {
		t.Errorf("%+v, %v", vars, err)
	}
	for range 2 { // the second time it isn't there
		if vars, err = c.DeleteSpaceVariable(ctx, id, "A"); err != nil || len(vars) != 1 {
			t.Errorf("%+v, %v", vars, err)
		}
		if err := c.DeleteSpaceSecret(ctx, id, "S"); err != nil {
			t.Error(err)
		}
	}
	if err := c.AddSpaceSecret(ctx, id, hub.KeyValue{Key: "T", Value: "hush", Description: "d"}); err != nil {
		t.Error(err)
	}
	if secrets, err := c.SpaceSecrets(ctx, id); err != nil || len(secrets) != 1 || secrets["T"].Description != "d" || secrets["T"].Value != "" {
		t.Errorf("%+v, %v", secrets, err)
	}

	u, err := c.DuplicateSpace(ctx, id, &hub.DuplicateSpaceOptions{To: s.URL + "/spaces/alice/copy", Variables: []hub.KeyValue{{Key: "C", Value: "3"}}})
	if err != nil || u.Repo != (hub.Repo{Type: hub.Space, ID: "alice/copy"}) || u.URL != s.URL+"/spaces/alice/copy" {
		t.Errorf("%+v, %v", u, err)
	}
	if vars, err = c.SpaceVariables(ctx, "alice/copy"); err != nil || len(vars) != 2 || vars["B"].Value != "2" || vars["C"].Value != "3" {
		t.Errorf("%+v, %v", vars, err)
	}
	_, err = c.DuplicateSpace(ctx, id, &hub.DuplicateSpaceOptions{To: "copy"})
	wantKind(t, err, hub.ErrConflict)
	if u, err = c.DuplicateSpace(ctx, id, &hub.DuplicateSpaceOptions{To: "alice/copy", ExistOK: true}); err != nil || u.Repo.ID != "alice/copy" {
		t.Errorf("%+v, %v", u, err)
	}
	bob := s.ClientWithToken("hf_bob")
	if u, err = bob.DuplicateSpace(ctx, id, nil); err != nil || u.Repo.ID != "bob/app" {
		t.Errorf("%+v, %v", u, err)
	}
	_, err = bob.RequestSpaceHardware(ctx, "bob/app", "t4-small", nil)
	var refused *hub.Error
	if wantKind(t, err, hub.ErrForbidden); !errors.As(err, &refused) || refused.Status != 402 {
		t.Errorf("%v", err)
	}
	_, err = bob.PauseSpace(ctx, id)
	wantKind(t, err, hub.ErrForbidden)
	_, err = bob.SpaceVariables(ctx, id)
	wantKind(t, err, hub.ErrForbidden)
	_, err = c.SpaceRuntime(ctx, "alice/none")
	wantKind(t, err, hub.ErrRepoNotFound)
	_, err = s.ClientWithToken("").PauseSpace(ctx, id)
	wantKind(t, err, hub.ErrUnauthorized)
	var invalid *hub.ValidationError
	if _, err = c.SpaceRuntime(ctx, "a/b/c"); !errors.As(err, &invalid) {
		t.Errorf("%v", err)
	}
}
