package hub

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// Webhook tells a URL of what happens to repositories.
type Webhook struct {
	ID       string        `json:"id"`
	URL      string        `json:"url,omitempty"`
	Watched  []WatchedItem `json:"watched"`
	Domains  []string      `json:"domains"` // "repo", "discussion"
	Secret   string        `json:"secret,omitempty"`
	Disabled bool          `json:"disabled"`
	// Suspended is the Hub's word for why it has disabled the webhook by itself, such as
	// "suspended-after-failure"; else "".
	Suspended string `json:"-"`

	// Extra holds what has no field here, by its name in the answer.
	Extra map[string]json.RawMessage `json:"-"`
}

// WatchedItem is a repository, or all of a user or organisation.
type WatchedItem struct {
	Type string `json:"type"` // "model", "dataset", "space", "user" or "org"
	Name string `json:"name"` // id of the repository, or name
}

// UnmarshalJSON reads the Hub's form.
func (w *Webhook) UnmarshalJSON(data []byte) error {
	type plain Webhook
	var p struct {
		plain

		State any `json:"disabled"` // or the word of a webhook whose receiver failed
	}
	extra, err := decodeOpen(data, &p)
	if err != nil {
		return err
	}
	*w = Webhook(p.plain)
	w.Disabled, w.Extra = p.State != nil && p.State != false, extra
	w.Suspended, _ = p.State.(string)
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads, Extra included.
func (w Webhook) MarshalJSON() ([]byte, error) {
	type plain Webhook
	out := struct {
		plain

		State any `json:"disabled"`
	}{plain(w), w.Disabled}
	if w.Suspended != "" {
		out.State = w.Suspended
	}
	return encodeOpen(out, w.Extra)
}

// WebhookInput is what a webhook is to be. In an update, what is zero stays.
type WebhookInput struct {
	URL     string
	Watched []WatchedItem
	Domains []string // "repo", "discussion"; none is both
	Secret  string   // ASCII, sent as X-Webhook-Secret
}

const webhooksPath = "/api/settings/webhooks"

// Webhooks lists the webhooks of the token's user.
//
//	GET /api/settings/webhooks
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	list := []Webhook{}
	err := c.doJSON(ctx, &request{method: http.MethodGet, path: at(webhooksPath)}, &list)
	return list, err
}

// Webhook gives a webhook; ErrNotFound if the user has none of that id.
//
//	GET /api/settings/webhooks/{id}
func (c *Client) Webhook(ctx context.Context, id string) (*Webhook, error) {
	return c.webhook(ctx, http.MethodGet, id, "", nil)
}

// CreateWebhook registers a URL to be told of what happens to the items. The error is
// ErrBadRequest if the Hub doesn't take it.
//
//	POST /api/settings/webhooks
func (c *Client) CreateWebhook(ctx context.Context, in WebhookInput) (*Webhook, error) {
	return c.askWebhook(ctx, http.MethodPost, webhooksPath, &in)
}

// UpdateWebhook changes a webhook.
//
//	POST /api/settings/webhooks/{id}
func (c *Client) UpdateWebhook(ctx context.Context, id string, in WebhookInput) (*Webhook, error) {
	return c.webhook(ctx, http.MethodPost, id, "", &in)
}

// EnableWebhook lets a webhook tell again.
//
//	POST /api/settings/webhooks/{id}/enable
func (c *Client) EnableWebhook(ctx context.Context, id string) (*Webhook, error) {
	return c.webhook(ctx, http.MethodPost, id, "/enable", nil)
}

// DisableWebhook keeps a webhook from telling.
//
//	POST /api/settings/webhooks/{id}/disable
func (c *Client) DisableWebhook(ctx context.Context, id string) (*Webhook, error) {
	return c.webhook(ctx, http.MethodPost, id, "/disable", nil)
}

// DeleteWebhook removes a webhook.
//
//	DELETE /api/settings/webhooks/{id}
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	if err := validWebhook(id); err != nil {
		return err
	}
	return c.doNothing(ctx, &request{method: http.MethodDelete, path: at(webhooksPath + "/" + escape(id))})
}

func validWebhook(id string) error {
	if id == "" || strings.ContainsAny(id, "./") {
		return &ValidationError{What: "id of a webhook", Value: id, Reason: "must be one that the Hub gave"}
	}
	return nil
}

func (c *Client) webhook(ctx context.Context, method, id, what string, in *WebhookInput) (*Webhook, error) {
	if err := validWebhook(id); err != nil {
		return nil, err
	}
	return c.askWebhook(ctx, method, webhooksPath+"/"+escape(id)+what, in)
}

func (c *Client) askWebhook(ctx context.Context, method, path string, in *WebhookInput) (*Webhook, error) {
	r := &request{method: method, path: at(path)}
	if in != nil {
		body := map[string]any{"watched": append([]WatchedItem{}, in.Watched...)}
		if in.URL != "" {
			body["url"] = in.URL
		}
		if len(in.Domains) > 0 {
			body["domains"] = in.Domains
		}
		if in.Secret != "" {
			body["secret"] = in.Secret
		}
		if _, err := r.withJSON(body); err != nil {
			return nil, err
		}
	}
	var answer struct {
		Webhook *Webhook `json:"webhook"`
	}
	if err := c.doJSON(ctx, r, &answer); err != nil {
		return nil, err
	}
	if answer.Webhook == nil || answer.Webhook.ID == "" {
		return nil, c.protocolError(r, "the answer has no webhook")
	}
	return answer.Webhook, nil
}
