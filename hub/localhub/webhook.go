package localhub

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

var bucketWebhooks = []byte("webhooks")

// webhookRec is what a user has registered to be told of.
type webhookRec struct {
	ID       string        `json:"id"`
	User     string        `json:"user"`
	URL      string        `json:"url"`
	Watched  []watchedItem `json:"watched"`
	Domains  []string      `json:"domains"`
	Secret   string        `json:"secret,omitempty"`
	Disabled bool          `json:"disabled,omitempty"`
	Created  time.Time     `json:"created"`
	// Base is where its owner reaches the Hub: addresses in payloads begin so.
	Base string `json:"base"`

	// Told is how many events it was told of in the day that began at Day.
	Told int       `json:"told,omitempty"`
	Day  time.Time `json:"day,omitzero"`
	// Failures is how many of the last events its receiver didn't take, one after the
	// other; of maxFailures it is Suspended.
	Failures  int  `json:"failures,omitempty"`
	Suspended bool `json:"suspended,omitempty"`
}

// watchedItem is a repository, or all of a user's or an organisation's.
type watchedItem struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

func (s *state) webhook(id string) *webhookRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.webhooks[id]
}

// webhooksOf lists a user's webhooks, the oldest first; of "", everybody's.
func (s *state) webhooksOf(user string) []*webhookRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []*webhookRec
	for _, w := range s.webhooks {
		if user == "" || strings.EqualFold(w.User, user) {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b *webhookRec) int {
		if d := a.Created.Compare(b.Created); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

func (s *state) putWebhook(w *webhookRec) error {
	return s.update(func(tx *bbolt.Tx) error { return put(tx, bucketWebhooks, w.ID, w) }, func() { s.webhooks[w.ID] = w })
}

// changeWebhook replaces a webhook by what fn makes of a copy of it. It gives nil if
// there is none.
func (s *state) changeWebhook(id string, fn func(*webhookRec) error) (*webhookRec, error) {
	s.write.Lock()
	defer s.write.Unlock()
	old := s.webhook(id)
	if old == nil {
		return nil, nil
	}
	w := *old
	if err := fn(&w); err != nil {
		return nil, err
	}
	return &w, s.putWebhook(&w)
}

func (s *state) dropWebhook(id string) error {
	return s.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketWebhooks).Delete([]byte(id)) }, func() { delete(s.webhooks, id) })
}

// occurrence is something that webhooks tell of.
type occurrence struct {
	action, scope string
	repo          *repoRec
	// What is there of these goes into the payload: what they make of the address of
	// the Hub.
	refs       []map[string]any
	config     map[string]any
	movedTo    *repoRec
	discussion *discussionRec
	comment    *eventRec
}

func (o *occurrence) domain() string {
	if strings.HasPrefix(o.scope, "discussion") {
		return "discussion"
	}
	return "repo"
}

func (w *webhookRec) live() bool { return !w.Disabled && !w.Suspended }

func (w *webhookRec) watches(o *occurrence) bool {
	return w.live() && slices.Contains(w.Domains, o.domain()) && slices.ContainsFunc(w.Watched, func(i watchedItem) bool {
		if i.Type == "user" || i.Type == "org" {
			return strings.EqualFold(i.Name, o.repo.owner())
		}
		return i.Type == o.repo.Type && strings.EqualFold(i.Name, o.repo.ID)
	})
}

// happened tells all webhooks that watch it. It waits for nobody.
func (h *Hub) happened(o occurrence) {
	for _, w := range h.st.webhooksOf("") {
		u := h.st.user(w.User)
		if !w.watches(&o) || u == nil || o.repo.Private && h.role(caller{user: u}, o.repo.owner()) == "" {
			continue
		}
		body, err := json.Marshal(h.payload(w, &o))
		if err != nil {
			h.log.Error("no payload of a webhook", "webhook", w.ID, "error", err)
			continue
		}
		h.courier.send(w.ID, body)
	}
}

func (h *Hub) accountID(name string) string {
	if u := h.st.user(name); u != nil {
		return u.ID
	}
	if o := h.st.org(name); o != nil {
		return o.ID
	}
	return strings.Repeat("0", 24)
}

func (h *Hub) payload(w *webhookRec, o *occurrence) map[string]any {
	r := o.repo
	web, api := w.Base+"/"+webPrefix(r.Type)+r.ID, w.Base+"/api/"+r.Type+"s/"+r.ID
	repo := map[string]any{
		"type": r.Type, "name": r.ID, "id": r.UID, "private": r.Private, "url": map[string]any{"web": web, "api": api},
		"owner": map[string]any{"id": h.accountID(r.owner())},
	}
	if strings.HasPrefix(o.scope, "repo") && o.action != "delete" {
		if store, err := h.stores.get(r.UID); err == nil {
			if head, err := store.git.Ref(refsHeads + "main"); err == nil {
				repo["headSha"] = head.String()
			}
		}
	}
	out := map[string]any{
		"event": map[string]any{"action": o.action, "scope": o.scope}, "repo": repo, "webhook": map[string]any{"id": w.ID, "version": 3},
	}
	if o.refs != nil {
		out["updatedRefs"] = o.refs
	}
	if o.config != nil {
		out["updatedConfig"] = o.config
	}
	if o.movedTo != nil {
		out["movedTo"] = map[string]any{"name": o.movedTo.ID, "owner": map[string]any{"id": h.accountID(o.movedTo.owner())}}
	}
	d := o.discussion
	if d == nil {
		return out
	}
	at := "/discussions/" + strconv.Itoa(d.Num)
	about := map[string]any{
		"id": d.ID, "num": d.Num, "title": d.Title, "status": d.Status, "isPullRequest": d.Pull != nil, "pinned": false,
		"url": map[string]any{"web": web + at, "api": api + at}, "author": map[string]any{"id": h.accountID(d.Author)},
	}
	if d.Pull != nil {
		changes := map[string]any{"base": d.Pull.Base}
		if d.Pull.Merge != "" {
			changes["mergeCommitId"] = d.Pull.Merge
		}
		about["changes"] = changes
	}
	out["discussion"] = about
	if e := o.comment; e != nil {
		comment := map[string]any{
			"id": e.ID, "author": map[string]any{"id": h.accountID(e.Author)}, "hidden": e.Comment.HiddenBy != "",
			"url": map[string]any{"web": web + at + "#" + e.ID},
		}
		if e.Comment.HiddenBy == "" {
			comment["content"] = e.Comment.Raw
		}
		out["comment"] = comment
	}
	return out
}

// refMoved is called for every ref of a repository that moves.
func (h *Hub) refMoved(uid, name string, old, oid gitstore.OID) {
	r := h.st.repoByUID(uid)
	if r == nil {
		return // it is being made
	}
	if r.Type == Space && name == refsHeads+"main" {
		h.uses.forget(uid)
	}
	sha := func(o gitstore.OID) any {
		if o.IsZero() {
			return nil
		}
		return o.String()
	}
	h.happened(occurrence{action: "update", scope: "repo.content", repo: r, refs: []map[string]any{{"ref": name, "oldSha": sha(old), "newSha": sha(oid)}}})
}

const (
	deliveryTries   = 3
	deliveryTimeout = 10 * time.Second
	maxDeliveries   = 1000 // that wait, of one webhook; more are dropped
	maxPerDay       = 1000 // events that a webhook is told of in 24 hours; more are dropped
	maxFailures     = 20   // events in a row that a receiver may not take
)

// courier posts payloads: those of one webhook in their order, those of several side
// by side. What isn't delivered when the Hub closes is lost.
type courier struct {
	st      *state
	log     *slog.Logger
	now     func() time.Time
	client  *http.Client
	backoff time.Duration
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu     sync.Mutex // guards queues and closed
	queues map[string][][]byte
	closed bool
}

func newCourier(st *state, now func() time.Time, log *slog.Logger) *courier {
	ctx, cancel := context.WithCancel(context.Background())
	return &courier{
		st: st, log: log, now: now, backoff: time.Second, ctx: ctx, cancel: cancel, queues: map[string][][]byte{},
		client: &http.Client{
			Timeout:   deliveryTimeout,
			Transport: &http.Transport{DisableKeepAlives: true}, // and no proxy: nobody but the receiver gets the secret
			// A receiver that has moved is for its owner to register.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (c *courier) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
}

func (c *courier) send(id string, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	q, running := c.queues[id]
	if len(q) >= maxDeliveries {
		c.log.Warn("a webhook's receiver is too slow: an event is dropped", "webhook", id)
		return
	}
	c.queues[id] = append(q, body)
	if !running {
		c.wg.Go(func() { c.run(id) })
	}
}

// run delivers what waits for a webhook until nothing does.
func (c *courier) run(id string) {
	for {
		c.mu.Lock()
		q := c.queues[id]
		if len(q) == 0 || c.ctx.Err() != nil {
			delete(c.queues, id)
			c.mu.Unlock()
			return
		}
		c.queues[id] = q[1:]
		c.mu.Unlock()
		c.deliver(id, q[0])
	}
}

// deliver tells a webhook of an event, and keeps account of that.
func (c *courier) deliver(id string, body []byte) {
	w := c.st.webhook(id)
	if w == nil || !w.live() {
		return
	}
	if w.Told >= maxPerDay && c.now().Sub(w.Day) < 24*time.Hour {
		c.log.Warn("a webhook has had its events of the day: one is dropped", "webhook", id)
		return
	}
	taken, asked := c.try(id, body)
	if !asked {
		return
	}
	_, err := c.st.changeWebhook(id, func(w *webhookRec) error {
		if now := c.now(); now.Sub(w.Day) >= 24*time.Hour {
			w.Day, w.Told = now, 0
		}
		w.Told++
		switch {
		case taken:
			w.Failures = 0
		case c.ctx.Err() == nil: // else it is the Hub that has ended it
			w.Failures++
		}
		if w.Failures >= maxFailures && !w.Suspended {
			w.Suspended = true
			c.log.Warn("a webhook is suspended: its receiver takes nothing", "webhook", id)
		}
		return nil
	})
	if err != nil {
		c.log.Error("the account of a webhook isn't kept", "webhook", id, "error", err)
	}
}

// try posts a payload until it is taken, or enough has been tried.
func (c *courier) try(id string, body []byte) (taken, asked bool) {
	for try := range deliveryTries {
		w := c.st.webhook(id) // as it is now: it may be disabled or have another address
		if w == nil || !w.live() {
			return false, asked
		}
		status := c.post(w, body)
		asked = true
		if status >= 200 && status < 300 {
			return true, true
		}
		if status != 0 && status < 500 && status != http.StatusTooManyRequests || try == deliveryTries-1 {
			break
		}
		select {
		case <-time.After(c.backoff << try):
		case <-c.ctx.Done():
			return false, asked
		}
	}
	return false, asked
}

// post sends a payload once and gives the status of the answer, 0 without one.
func (c *courier) post(w *webhookRec, body []byte) int {
	req, err := http.NewRequestWithContext(c.ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return http.StatusBadRequest // asking again won't help
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "localhub")
	if w.Secret != "" {
		req.Header.Set("X-Webhook-Secret", w.Secret)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		c.log.Debug("webhook not delivered", "webhook", w.ID)
		return 0
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
	return resp.StatusCode
}
