package localhub

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// inferencePrefix is the first segment of the API of inference endpoints, which is a host of its own
// beside the real Hub: clients are told {this Hub}/v2 for it.
const inferencePrefix = "v2"

// endpointRoutes finds the handler of a request below /v2:
//
//	/v2/endpoint/{namespace}[/{name}[/pause|resume|scale-to-zero]]    the API
//	/v2/serve/{namespace}/{name}[/...]                                what endpoints have for a URL
func (c *call) endpointRoutes(segs []string) error {
	for i, s := range segs {
		u, err := url.PathUnescape(s)
		if err != nil {
			return badRequest("The path isn't well formed")
		}
		segs[i] = u
	}
	c.segs = segs[1:]
	switch {
	case segs[0] == "serve" && len(segs) >= 3:
		return c.serveEndpoint()
	case segs[0] != "endpoint":
		return noRoute()
	}
	if _, err := c.query(); err != nil {
		return err
	}
	switch len(segs) {
	case 2:
		return c.do(methods{http.MethodGet: (*call).listEndpoints, http.MethodPost: (*call).createEndpoint})
	case 3:
		return c.do(methods{http.MethodGet: (*call).getEndpoint, http.MethodPut: (*call).updateEndpoint, http.MethodDelete: (*call).deleteEndpoint})
	case 4:
		switch segs[3] {
		case "pause":
			return c.do(postOnly((*call).pauseEndpoint))
		case "resume":
			return c.do(postOnly((*call).resumeEndpoint))
		case "scale-to-zero":
			return c.do(postOnly((*call).scaleToZero))
		}
	}
	return noRoute()
}

// endpointAccess refuses who may not see, or change, the endpoints of the namespace in the path. Where
// nobody pays there are none: both are answered alike.
func (c *call) endpointAccess(write bool) error {
	ns := c.segs[0]
	if c.anonymous() {
		return errNoToken()
	}
	if c.h.role(c.caller, ns) == "" || !c.h.billed(ns) || !c.token.allows(false, ns, "") {
		return fail(http.StatusUnauthorized, "No access to the endpoints of %s, or no payment method is set", oneLine(ns))
	}
	if write && !c.h.canCreate(c.caller, ns) {
		return fail(http.StatusForbidden, "You don't have the rights to manage endpoints of %s with this token.", oneLine(ns))
	}
	return nil
}

// endpointJSON is an endpoint as the API shows it.
func (c *call) endpointJSON(e *endpointRec) map[string]any {
	state, message := c.h.endpointState(e)
	address := any(nil)
	ready, target := 0, max(e.Compute.Scaling.MinReplica, 1)
	switch state {
	case stateRunning, stateUpdating, stateUpdateFailed:
		ready = target
		address = c.endpointURL(e)
	case stateScaledToZero:
		target = 0
		address = c.endpointURL(e)
	case statePaused:
		target = 0
	}
	out := map[string]any{
		"name": e.Name, "accountId": e.Account, "type": e.Type, "compute": e.Compute, "model": e.Model, "provider": e.Provider,
		"healthRoute": e.healthRoute(),
		"status": map[string]any{
			"state": state, "message": message, "url": address, "private": nil, "readyReplica": ready, "targetReplica": target,
			"createdAt": date(e.Created), "updatedAt": date(e.Updated),
			"createdBy": map[string]any{"id": e.CreatedBy, "name": e.CreatedBy}, "updatedBy": map[string]any{"id": e.UpdatedBy, "name": e.UpdatedBy},
		},
	}
	for k, v := range e.Extra {
		out[k] = v
	}
	return out
}

func (c *call) endpointURL(e *endpointRec) string {
	return c.base() + "/" + inferencePrefix + "/serve/" + url.PathEscape(e.Namespace) + "/" + url.PathEscape(e.Name)
}

// healthRoute is the path below its URL at which an endpoint tells if it is well.
func (e *endpointRec) healthRoute() string {
	var image map[string]struct {
		Old string `json:"health_route"`
		New string `json:"healthRoute"`
	}
	if json.Unmarshal(e.Model.Image, &image) == nil {
		for _, i := range image {
			if i.New != "" {
				return i.New
			}
			if i.Old != "" {
				return i.Old
			}
		}
	}
	return "/health"
}

func (c *call) listEndpoints() error {
	if err := c.endpointAccess(false); err != nil {
		return err
	}
	items := []map[string]any{}
	for _, e := range c.h.st.endpointsOf(c.segs[0]) {
		items = append(items, c.endpointJSON(e))
	}
	return c.json(map[string]any{"items": items})
}

// endpointBody is what clients send to make an endpoint, or to change the parts that are there.
type endpointBody struct {
	Name      *string `json:"name"`
	AccountID *string `json:"accountId"`
	Type      *string `json:"type"`
	Compute   *struct {
		Accelerator  *string `json:"accelerator"`
		InstanceSize *string `json:"instanceSize"`
		InstanceType *string `json:"instanceType"`
		Scaling      *struct {
			MinReplica         *int            `json:"minReplica"`
			MaxReplica         *int            `json:"maxReplica"`
			ScaleToZeroTimeout *int            `json:"scaleToZeroTimeout"`
			Measure            json.RawMessage `json:"measure"`
		} `json:"scaling"`
	} `json:"compute"`
	Model *struct {
		Framework  *string         `json:"framework"`
		Repository *string         `json:"repository"`
		Revision   *string         `json:"revision"`
		Task       *string         `json:"task"`
		Image      json.RawMessage `json:"image"`
		Env        json.RawMessage `json:"env"`
		Command    json.RawMessage `json:"command"`
		Args       json.RawMessage `json:"args"`
		// Secrets are read, so that they must be right, and dropped.
		Secrets map[string]string `json:"secrets"`
	} `json:"model"`
	Provider *endpointProvider `json:"provider"`

	Route               json.RawMessage `json:"route"`
	Tags                json.RawMessage `json:"tags"`
	CacheHTTPResponses  json.RawMessage `json:"cacheHttpResponses"`
	ExperimentalFeature json.RawMessage `json:"experimentalFeatures"`
}

func setIf[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

func setRaw(dst *json.RawMessage, v json.RawMessage) {
	if len(v) > 0 && string(v) != "null" {
		*dst = v
	}
}

// apply puts what the body has into the endpoint.
func (b *endpointBody) apply(e *endpointRec) {
	setIf(&e.Name, b.Name)
	setIf(&e.Type, b.Type)
	setIf(&e.Provider, b.Provider)
	if b.AccountID != nil {
		e.Account = b.AccountID
	}
	if cp := b.Compute; cp != nil {
		setIf(&e.Compute.Accelerator, cp.Accelerator)
		setIf(&e.Compute.InstanceSize, cp.InstanceSize)
		setIf(&e.Compute.InstanceType, cp.InstanceType)
		if s := cp.Scaling; s != nil {
			setIf(&e.Compute.Scaling.MinReplica, s.MinReplica)
			setIf(&e.Compute.Scaling.MaxReplica, s.MaxReplica)
			setRaw(&e.Compute.Scaling.Measure, s.Measure)
			if s.ScaleToZeroTimeout != nil {
				e.Compute.Scaling.ScaleToZeroTimeout = s.ScaleToZeroTimeout
			}
		}
	}
	if m := b.Model; m != nil {
		setIf(&e.Model.Framework, m.Framework)
		setIf(&e.Model.Repository, m.Repository)
		if m.Revision != nil {
			e.Model.Revision = m.Revision
		}
		if m.Task != nil {
			e.Model.Task = m.Task
		}
		setRaw(&e.Model.Image, m.Image)
		setRaw(&e.Model.Env, m.Env)
		setRaw(&e.Model.Command, m.Command)
		setRaw(&e.Model.Args, m.Args)
	}
	for name, v := range map[string]json.RawMessage{"route": b.Route, "tags": b.Tags, "cacheHttpResponses": b.CacheHTTPResponses, "experimentalFeatures": b.ExperimentalFeature} {
		if len(v) > 0 && string(v) != "null" {
			if e.Extra == nil {
				e.Extra = map[string]json.RawMessage{}
			}
			e.Extra[name] = v
		}
	}
}

func (c *call) createEndpoint() error {
	if err := c.endpointAccess(true); err != nil {
		return err
	}
	var body endpointBody
	if err := c.body(&body); err != nil {
		return err
	}
	e := &endpointRec{Namespace: c.h.namespaceName(c.segs[0]), Type: "protected", Created: c.h.now(), CreatedBy: c.user.Name}
	e.Model.Image = json.RawMessage(`{"huggingface":{}}`)
	e.Compute.Scaling.MaxReplica = 1
	body.apply(e)
	if err := e.check(); err != nil {
		return err
	}
	c.h.tell(e, endpointStart, c.caller)
	if err := c.h.st.addEndpoint(e); err != nil {
		return err
	}
	return c.json(c.endpointJSON(e))
}

// namespaceName is a namespace as its owner spells it.
func (h *Hub) namespaceName(ns string) string {
	if u := h.st.user(ns); u != nil {
		return u.Name
	}
	if o := h.st.org(ns); o != nil {
		return o.Name
	}
	return ns
}

func (c *call) getEndpoint() error {
	if err := c.endpointAccess(false); err != nil {
		return err
	}
	e := c.h.st.endpoint(c.segs[0], c.segs[1])
	if e == nil {
		return noEndpoint(c.segs[1])
	}
	return c.json(c.endpointJSON(e))
}

// changeEndpoint changes the endpoint in the path and answers with it.
func (c *call) changeEndpoint(fn func(*endpointRec) error) error {
	e, err := c.h.st.changeEndpoint(c.segs[0], c.segs[1], fn)
	if err != nil {
		return err
	}
	return c.json(c.endpointJSON(e))
}

func (c *call) updateEndpoint() error {
	if err := c.endpointAccess(true); err != nil {
		return err
	}
	var body endpointBody
	if err := c.body(&body); err != nil {
		return err
	}
	if body.Name != nil && *body.Name != c.segs[1] {
		return badRequest("An endpoint can't be renamed")
	}
	return c.changeEndpoint(func(e *endpointRec) error {
		body.apply(e)
		if err := e.check(); err != nil {
			return err
		}
		switch state, _ := c.h.endpointState(e); state {
		case statePaused, stateScaledToZero: // it is started as what it is by then
			e.Updated, e.UpdatedBy = c.h.now(), c.user.Name
		case statePending, stateInitializing, stateFailed:
			c.h.tell(e, endpointStart, c.caller)
		default:
			c.h.tell(e, endpointUpdate, c.caller)
		}
		return nil
	})
}

func (c *call) deleteEndpoint() error {
	if err := c.endpointAccess(true); err != nil {
		return err
	}
	if err := c.h.st.dropEndpoint(c.segs[0], c.segs[1]); err != nil {
		return err
	}
	return c.json(map[string]any{})
}

func (c *call) pauseEndpoint() error {
	if err := c.endpointAccess(true); err != nil {
		return err
	}
	return c.changeEndpoint(func(e *endpointRec) error {
		if e.Told != endpointPause {
			c.h.tell(e, endpointPause, c.caller)
		}
		return nil
	})
}

func (c *call) resumeEndpoint() error {
	if err := c.endpointAccess(true); err != nil {
		return err
	}
	return c.changeEndpoint(func(e *endpointRec) error {
		switch state, _ := c.h.endpointState(e); state {
		case statePaused, stateScaledToZero, stateFailed, stateUpdateFailed:
			c.h.tell(e, endpointStart, c.caller)
			return nil
		}
		return badRequest("Bad Request: Endpoint is already running") // clients look for the last words
	})
}

func (c *call) scaleToZero() error {
	if err := c.endpointAccess(true); err != nil {
		return err
	}
	return c.changeEndpoint(func(e *endpointRec) error {
		switch state, _ := c.h.endpointState(e); state {
		case statePaused, stateFailed:
			return badRequest("Bad Request: Endpoint is %s", state)
		}
		if e.Told != endpointZero {
			c.h.tell(e, endpointZero, c.caller)
		}
		return nil
	})
}

// maxInput is the largest input that is read for an answer.
const maxInput = 1 << 20

// serveEndpoint answers at the URL of an endpoint. No model runs here: an input comes back, beside the
// name of the model that it was for. A request wakes an endpoint that was scaled to zero.
func (c *call) serveEndpoint() error {
	e := c.h.st.endpoint(c.segs[0], c.segs[1])
	if e == nil {
		return noEndpoint(c.segs[1])
	}
	if e.Type != "public" {
		if c.anonymous() {
			return errNoToken()
		}
		if c.h.role(c.caller, e.Namespace) == "" || !c.token.allows(false, e.Namespace, "") {
			return fail(http.StatusForbidden, "You don't have access to this endpoint")
		}
	}
	state, message := c.h.endpointState(e)
	switch state {
	case stateRunning, stateUpdating, stateUpdateFailed:
	case stateScaledToZero:
		if _, err := c.h.st.changeEndpoint(e.Namespace, e.Name, func(e *endpointRec) error {
			if state, _ := c.h.endpointState(e); state == stateScaledToZero {
				c.h.tell(e, endpointStart, c.h.ownerOf(e))
			}
			return nil
		}); err != nil {
			return err
		}
		return fail(http.StatusServiceUnavailable, "Service Unavailable: the endpoint is starting")
	case statePaused:
		return badRequest("Bad Request: %s", message)
	default:
		return fail(http.StatusServiceUnavailable, "Service Unavailable: %s", message)
	}
	if err := c.h.endpointUsed(e); err != nil {
		return err
	}
	out := map[string]any{"endpoint": e.Name, "model": e.Model.Repository, "revision": e.Model.Revision}
	if c.r.Method == http.MethodPost {
		body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxInput))
		if err != nil {
			return bodyError(err)
		}
		if out["inputs"] = strings.ToValidUTF8(string(body), "\uFFFD"); json.Valid(body) {
			out["inputs"] = json.RawMessage(body)
		}
	}
	return c.json(out)
}

// ownerOf is who an endpoint that wakes by itself reads its model as.
func (h *Hub) ownerOf(e *endpointRec) caller {
	u := h.st.user(e.UpdatedBy)
	if u == nil {
		return caller{}
	}
	return caller{u, &tokenRec{User: u.Name, Role: RoleRead}}
}

// usedEvery is how exactly the last use of an endpoint is known; it is kept on disk.
const usedEvery = 5 * time.Second

// endpointUsed remembers that an endpoint is in use: it is scaled to zero by that.
func (h *Hub) endpointUsed(e *endpointRec) error {
	now := h.now()
	if now.Sub(later(e.Used, e.Since)) < usedEvery {
		return nil
	}
	_, err := h.st.changeEndpoint(e.Namespace, e.Name, func(e *endpointRec) error {
		e.Used = now
		return nil
	})
	return err
}
