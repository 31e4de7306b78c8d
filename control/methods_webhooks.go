package control

import (
	"context"

	"github.com/hubfs/hubfs/hub"
)

var webhookShape = &shape{attrs: []attr{
	{name: "id"}, {name: "url"}, {name: "watched"}, {name: "domains"}, {name: "secret"}, {name: "disabled"},
}}

func webhookResult(w *hub.Webhook, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return webhookShape.of(w)
}

// watchedItems is a list of what a webhook watches.
type watchedItems []hub.WatchedItem

func (watchedItems) paramType() string { return "list[dict]" }

type webhookSettings struct {
	Domains stringList `param:"domains" doc:"repo, discussion; both if left out"`
	Secret  string     `param:"secret" secret:"true" doc:"sent along as X-Webhook-Secret"`
	caller
}

type createWebhookParams struct {
	URL     string       `param:"url" required:"true" doc:"who is told"`
	Watched watchedItems `param:"watched" required:"true" doc:"list of {type, name}; type: model, dataset, space, user or org"`
	webhookSettings
}

func createWebhook(ctx context.Context, s *session, p *createWebhookParams) (any, error) {
	return webhookResult(s.Hub.CreateWebhook(ctx, hub.WebhookInput{URL: p.URL, Watched: p.Watched, Domains: p.Domains, Secret: p.Secret}))
}

type webhookParams struct {
	ID string `param:"webhook_id" required:"true" doc:"id of the webhook"`
	caller
}

type updateWebhookParams struct {
	ID      string       `param:"webhook_id" required:"true" doc:"id of the webhook"`
	URL     string       `param:"url" doc:"who is told"`
	Watched watchedItems `param:"watched" doc:"list of {type, name}"`
	webhookSettings
}

func updateWebhook(ctx context.Context, s *session, p *updateWebhookParams) (any, error) {
	return webhookResult(s.Hub.UpdateWebhook(ctx, p.ID, hub.WebhookInput{URL: p.URL, Watched: p.Watched, Domains: p.Domains, Secret: p.Secret}))
}

func getWebhook(ctx context.Context, s *session, p *webhookParams) (any, error) {
	return webhookResult(s.Hub.Webhook(ctx, p.ID))
}

func enableWebhook(ctx context.Context, s *session, p *webhookParams) (any, error) {
	return webhookResult(s.Hub.EnableWebhook(ctx, p.ID))
}

func disableWebhook(ctx context.Context, s *session, p *webhookParams) (any, error) {
	return webhookResult(s.Hub.DisableWebhook(ctx, p.ID))
}

func deleteWebhook(ctx context.Context, s *session, p *webhookParams) (any, error) {
	return nil, s.Hub.DeleteWebhook(ctx, p.ID)
}

type listWebhooksParams struct{ caller }

func listWebhooks(ctx context.Context, s *session, _ *listWebhooksParams) (any, error) {
	list, err := s.Hub.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for i := range list {
		v, err := webhookResult(&list[i], nil)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
