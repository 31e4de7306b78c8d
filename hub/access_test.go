package hub_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"testing"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/localhub"
)

func TestAccessRequests(t *testing.T) {
	s, repo, alice, bob, nobody := forum(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	reads := func() error {
		f, err := bob.OpenFile(ctx, hub.FileRef{Repo: repo, Revision: "main", Path: "a"}, hub.Range{Len: 1})
		if err == nil {
			f.Close()
		}
		return err
	}
	if _, err := alice.AccessRequests(ctx, repo, hub.AccessPending); !errors.Is(err, hub.ErrBadRequest) {
		t.Errorf("not gated: %v", err)
	}
	must(alice.UpdateRepoSettings(ctx, repo, hub.RepoSettings{Gated: hub.GatedManual}))
	wantKind(t, reads(), hub.ErrGatedRepo)
	must(bob.AskAccess(ctx, repo, url.Values{"Country": {"FR"}}))
	wantKind(t, reads(), hub.ErrGatedRepo)
	list := ok[[]hub.AccessRequest](t)(alice.AccessRequests(ctx, repo, hub.AccessPending))
	if len(list) != 1 || list[0].Username != "bob" || string(list[0].Fields["Country"]) != `"FR"` || list[0].Timestamp.IsZero() || list[0].Extra["user"] == nil {
		t.Errorf("%+v", list)
	}
	data := ok[[]byte](t)(json.Marshal(list))
	var again []hub.AccessRequest
	if err := json.Unmarshal(data, &again); err != nil || again[0].Username != "bob" || again[0].Status != hub.AccessPending {
		t.Errorf("%s: %v", data, err)
	}
	must(alice.AcceptAccessRequest(ctx, repo, "bob"))
	must(reads())
	wantKind(t, alice.AcceptAccessRequest(ctx, repo, "bob"), hub.ErrNotFound)
	must(alice.CancelAccessRequest(ctx, repo, "bob"))
	wantKind(t, reads(), hub.ErrGatedRepo)
	must(alice.RejectAccessRequest(ctx, repo, "bob", "not yet"))
	wantKind(t, bob.AskAccess(ctx, repo, nil), hub.ErrForbidden)
	must(s.Hub.CreateUser(localhub.User{Name: "carol", Token: "hf_carol"}))
	must(alice.GrantAccess(ctx, repo, "carol"))
	wantKind(t, alice.GrantAccess(ctx, repo, "carol"), hub.ErrBadRequest)
	wantKind(t, alice.GrantAccess(ctx, repo, "dave"), hub.ErrNotFound)
	wantKind(t, bob.GrantAccess(ctx, repo, "bob"), hub.ErrForbidden)
	wantKind(t, nobody.AskAccess(ctx, repo, nil), hub.ErrUnauthorized)
	var invalid *hub.ValidationError
	if _, err := alice.AccessRequests(ctx, repo, "maybe"); !errors.As(err, &invalid) {
		t.Error(err)
	}
}
