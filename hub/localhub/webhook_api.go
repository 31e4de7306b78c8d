package localhub

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// webhookRoute runs the routes below /api/settings/webhooks.
func (c *call) webhookRoute(segs []string) error {
	if _, err := c.query(); err != nil {
		return err
	}
	if c.anonymous() {
		return errNoToken()
	}
	if len(segs) == 0 {
		return c.do(methods{http.MethodGet: (*call).listWebhooks, http.MethodPost: func(c *call) error { return c.writeWebhook(nil) }})
	}
	w := c.h.st.webhook(strings.ToLower(segs[0]))
	if w == nil || !strings.EqualFold(w.User, c.name()) {
		return fail(http.StatusNotFound, "There is no such webhook")
	}
	switch {
	case len(segs) == 1:
		return c.do(methods{
			http.MethodGet:    func(c *call) error { return c.json(map[string]any{"webhook": w.wire()}) },
			http.MethodPost:   func(c *call) error { return c.writeWebhook(w) },
			http.MethodDelete: func(c *call) error { return c.deleteWebhook(w) },
		})
	case len(segs) == 2 && (segs[1] == "enable" || segs[1] == "disable"):
		return c.do(postOnly(func(c *call) error {
			return c.changeWebhook(w.ID, func(n *webhookRec) error {
				n.Disabled, n.Suspended, n.Failures = segs[1] == "disable", false, 0
				return nil
			})
		}))
	}
	return noRoute()
}

func (w *webhookRec) wire() map[string]any {
	out := map[string]any{"id": w.ID, "url": w.URL, "watched": w.Watched, "domains": w.Domains, "disabled": w.Disabled}
	if w.Suspended {
		out["disabled"] = "suspended-after-failure"
	}
	if w.Secret != "" {
		out["secret"] = w.Secret
	}
	return out
}

func (c *call) mayHook() error {
	if !c.token.allows(true, c.user.Name, "") {
		return fail(http.StatusForbidden, "This token may not change webhooks.")
	}
	return nil
}

func (c *call) listWebhooks() error {
	list := []map[string]any{}
	for _, w := range c.h.st.webhooksOf(c.name()) {
		list = append(list, w.wire())
	}
	return c.json(list)
}

// changeWebhook replaces a webhook by what fn makes of a copy of it.
func (c *call) changeWebhook(id string, fn func(*webhookRec) error) error {
	if err := c.mayHook(); err != nil {
		return err
	}
	w, err := c.h.st.changeWebhook(id, fn)
	if err != nil {
		return err
	}
	if w == nil {
		return fail(http.StatusNotFound, "There is no such webhook")
	}
	return c.json(map[string]any{"webhook": w.wire()})
}

func (c *call) deleteWebhook(w *webhookRec) error {
	if err := c.mayHook(); err != nil {
		return err
	}
	c.h.st.write.Lock()
	defer c.h.st.write.Unlock()
	if err := c.h.st.dropWebhook(w.ID); err != nil {
		return err
	}
	return c.ok()
}

// writeWebhook makes a webhook, or changes one; what isn't given stays.
func (c *call) writeWebhook(old *webhookRec) error {
	if err := c.mayHook(); err != nil {
		return err
	}
	var body struct {
		URL     *string       `json:"url"`
		Watched []watchedItem `json:"watched"`
		Domains []string      `json:"domains"`
		Secret  *string       `json:"secret"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	apply := func(w *webhookRec) error {
		if body.URL != nil {
			w.URL = *body.URL
			w.Failures = 0
		}
		if len(body.Watched) > 0 {
			w.Watched = body.Watched
		}
		if len(body.Domains) > 0 {
			w.Domains = nil
			for _, d := range body.Domains {
				if d == "discussions" {
					d = "discussion"
				}
				if d != "repo" && d != "discussion" {
					return badRequest(`"domains" must be of [repo, discussion]`)
				}
				if !slices.Contains(w.Domains, d) {
					w.Domains = append(w.Domains, d)
				}
			}
		}
		if body.Secret != nil {
			w.Secret = *body.Secret
		}
		w.Base = c.base()
		return w.check()
	}
	if old != nil {
		return c.changeWebhook(old.ID, apply)
	}
	w := &webhookRec{ID: newID(12), User: c.user.Name, Domains: []string{"repo", "discussion"}, Created: time.Now().UTC()}
	if err := apply(w); err != nil {
		return err
	}
	c.h.st.write.Lock()
	defer c.h.st.write.Unlock()
	if err := c.h.st.putWebhook(w); err != nil {
		return err
	}
	return c.json(map[string]any{"webhook": w.wire()})
}

func (w *webhookRec) check() error {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return badRequest(`"url" must be an http or https URL`)
	case len(w.Watched) == 0:
		return badRequest(`"watched" must name something`)
	case strings.ContainsFunc(w.Secret, func(r rune) bool { return r < ' ' || r > '~' }):
		return badRequest(`"secret" must be ASCII`)
	}
	for _, i := range w.Watched {
		if !slices.Contains([]string{Dataset, Model, Space, "org", "user"}, i.Type) || i.Name == "" {
			return badRequest(`"watched" must have items of a type of [dataset, model, org, space, user], with a name`)
		}
	}
	return nil
}
