package hub_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/hubfs/hubfs/hub"
)

func TestWebhooks(t *testing.T) {
	_, _, alice, bob, nobody := forum(t)
	ctx := t.Context()
	in := hub.WebhookInput{URL: "http://127.0.0.1:1/", Watched: []hub.WatchedItem{{Type: "user", Name: "alice"}}, Secret: "hush"}
	w := ok[*hub.Webhook](t)(alice.CreateWebhook(ctx, in))
	if w.ID == "" || w.Secret != "hush" || len(w.Domains) != 2 || w.Disabled {
		t.Errorf("%+v", w)
	}
	if w = ok[*hub.Webhook](t)(alice.UpdateWebhook(ctx, w.ID, hub.WebhookInput{Domains: []string{"repo"}})); len(w.Domains) != 1 || w.URL != in.URL || len(w.Watched) != 1 {
		t.Errorf("%+v", w)
	}
	if w = ok[*hub.Webhook](t)(alice.DisableWebhook(ctx, w.ID)); !w.Disabled {
		t.Errorf("%+v", w)
	}
	if w = ok[*hub.Webhook](t)(alice.EnableWebhook(ctx, w.ID)); w.Disabled {
		t.Errorf("%+v", w)
	}
	if list := ok[[]hub.Webhook](t)(alice.Webhooks(ctx)); len(list) != 1 || list[0].ID != w.ID {
		t.Errorf("%+v", list)
	}
	wantKind(t, second(bob.Webhook(ctx, w.ID)), hub.ErrNotFound)
	wantKind(t, second(nobody.Webhooks(ctx)), hub.ErrUnauthorized)
	wantKind(t, second(bob.CreateWebhook(ctx, hub.WebhookInput{URL: "x", Watched: in.Watched})), hub.ErrBadRequest)
	if err := alice.DeleteWebhook(ctx, w.ID); err != nil {
		t.Error(err)
	}
	wantKind(t, alice.DeleteWebhook(ctx, w.ID), hub.ErrNotFound)
	if err := second(alice.Webhook(ctx, "../x")); !errors.As(err, new(*hub.ValidationError)) {
		t.Error(err)
	}
	// The Hub says so of one whose receiver has failed for long.
	if err := json.Unmarshal([]byte(`{"id":"1","watched":[],"domains":[],"disabled":"suspended-after-failure","job":{}}`), w); err != nil || !w.Disabled || w.Extra["job"] == nil {
		t.Errorf("%+v: %v", w, err)
	}
}
