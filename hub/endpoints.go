package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// EndpointStatus is what an inference endpoint does.
type EndpointStatus string

// States of an inference endpoint.
const (
	EndpointPending      EndpointStatus = "pending"
	EndpointInitializing EndpointStatus = "initializing"
	EndpointUpdating     EndpointStatus = "updating"
	EndpointUpdateFailed EndpointStatus = "updateFailed"
	EndpointRunning      EndpointStatus = "running"
	EndpointPaused       EndpointStatus = "paused" // until it is resumed
	EndpointFailed       EndpointStatus = "failed"
	EndpointScaledToZero EndpointStatus = "scaledToZero" // until the next request to it
)

// InferenceEndpoint is a deployed model. It is as the API last showed it; its methods bring it up to date.
// They may not be called at the same time.
type InferenceEndpoint struct {
	Name        string
	Namespace   string
	Repository  string // id of the model
	Status      EndpointStatus
	URL         string // where it answers, "" while it isn't deployed
	Framework   string
	Revision    string // "" is the model's default branch
	Task        string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Type        string          // who may use it: "public", "protected" or "private"
	HealthRoute string          // path below URL that tells if it is well; "" where the API doesn't say
	Raw         json.RawMessage // the whole answer

	client *Client
}

// Errors of InferenceEndpoint.Wait.
var (
	// ErrEndpointFailed is an endpoint that couldn't be deployed; Raw has the reason.
	ErrEndpointFailed = errors.New("the inference endpoint failed to deploy")
	// ErrEndpointTimeout is an endpoint that isn't deployed in time.
	ErrEndpointTimeout = errors.New("timeout while waiting for the inference endpoint to be deployed")
)

// read takes over what the API says.
func (e *InferenceEndpoint) read(raw json.RawMessage) error {
	var wire struct {
		Name  string `json:"name"`
		Model struct {
			Repository string  `json:"repository"`
			Framework  string  `json:"framework"`
			Revision   *string `json:"revision"`
			Task       *string `json:"task"`
		} `json:"model"`
		Status struct {
			State     EndpointStatus `json:"state"`
			URL       *string        `json:"url"`
			CreatedAt time.Time      `json:"createdAt"`
			UpdatedAt time.Time      `json:"updatedAt"`
		} `json:"status"`
		Type        string `json:"type"`
		HealthRoute string `json:"healthRoute"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return err
	}
	if wire.Name == "" || wire.Status.State == "" {
		return errors.New("an endpoint without a name or a state")
	}
	e.Name, e.Repository, e.Status, e.URL = wire.Name, wire.Model.Repository, wire.Status.State, orZero(wire.Status.URL)
	e.Framework, e.Revision, e.Task = wire.Model.Framework, orZero(wire.Model.Revision), orZero(wire.Model.Task)
	e.CreatedAt, e.UpdatedAt, e.Type, e.HealthRoute, e.Raw = wire.Status.CreatedAt, wire.Status.UpdatedAt, wire.Type, wire.HealthRoute, raw
	return nil
}

// sibling is a client of another address, with the same token, headers and connections. retries is how
// often it tries again.
func (c *Client) sibling(endpoint *url.URL, retries int) (*Client, error) {
	cfg := c.cfg
	cfg.Endpoint, cfg.Transport, cfg.Retries = endpoint.String(), c.base, retries
	if retries == 0 {
		cfg.Retries = -1
	}
	return New(cfg)
}

// askEndpoint sends a request to the API of inference endpoints; into may be nil.
func (c *Client) askEndpoint(ctx context.Context, method, namespace string, rest []string, body, into any) error {
	if c.inference == nil {
		return &ValidationError{What: "inference endpoints", Reason: "this client's Hub isn't " + DefaultEndpoint +
			", so the address of its inference endpoints must be given (HF_INFERENCE_ENDPOINTS_ENDPOINT)"}
	}
	api, err := c.sibling(c.inference, c.cfg.Retries)
	if err != nil {
		return err
	}
	path := "/endpoint/" + escape(namespace)
	for _, s := range rest {
		path += "/" + escape(s)
	}
	r := &request{method: method, path: at(path)}
	if body != nil {
		if r, err = r.withJSON(body); err != nil {
			return err
		}
	}
	if into == nil {
		return api.doNothing(ctx, r)
	}
	return api.doJSON(ctx, r, into)
}

// endpointNamespace is the namespace that is meant; "" is the user's own.
func (c *Client) endpointNamespace(ctx context.Context, namespace string) (string, error) {
	if namespace != "" {
		return namespace, validNamespace(namespace)
	}
	who, err := c.WhoAmI(ctx)
	if err != nil {
		return "", err
	}
	if who.Type != "user" {
		return "", &ValidationError{What: "namespace", Reason: "the token is no user's, so the namespace of the endpoint must be given"}
	}
	return who.Name, nil
}

func validEndpointName(name string) error {
	if name == "" || strings.ContainsAny(name, "/?#") || strings.Trim(name, ".") == "" {
		return &ValidationError{What: "endpoint name", Value: name, Reason: "can't be one"}
	}
	return nil
}

// oneEndpoint sends a request about an endpoint that answers with it.
func (c *Client) oneEndpoint(ctx context.Context, method, namespace string, rest []string, body any) (*InferenceEndpoint, error) {
	if len(rest) > 0 {
		if err := validEndpointName(rest[0]); err != nil {
			return nil, err
		}
	}
	ns, err := c.endpointNamespace(ctx, namespace)
	if err != nil {
		return nil, err
	}
	var raw json.RawMessage
	if err := c.askEndpoint(ctx, method, ns, rest, body, &raw); err != nil {
		return nil, err
	}
	return c.newEndpoint(ns, raw)
}

func (c *Client) newEndpoint(namespace string, raw json.RawMessage) (*InferenceEndpoint, error) {
	e := &InferenceEndpoint{Namespace: namespace, client: c}
	if err := e.read(raw); err != nil {
		return nil, protocolError(&http.Request{Method: http.MethodGet, URL: c.inference}, "%v", err)
	}
	return e, nil
}

// InferenceEndpoints lists the endpoints of a namespace; "" is the user's own. "*" is that and all of the
// user's organisations; those that refuse are left out.
//
//	GET {inference endpoints}/endpoint/{namespace}
func (c *Client) InferenceEndpoints(ctx context.Context, namespace string) ([]*InferenceEndpoint, error) {
	if namespace != "*" {
		ns, err := c.endpointNamespace(ctx, namespace)
		if err != nil {
			return nil, err
		}
		return c.endpointsOf(ctx, ns)
	}
	who, err := c.WhoAmI(ctx)
	if err != nil {
		return nil, err
	}
	if who.Type != "user" {
		return nil, &ValidationError{What: "namespace", Value: namespace, Reason: "the token is no user's, so the namespace must be named"}
	}
	all, err := c.endpointsOf(ctx, who.Name)
	if err != nil {
		return nil, err
	}
	for _, org := range who.Orgs {
		list, err := c.endpointsOf(ctx, org.Name)
		var refused *Error
		if errors.As(err, &refused) && refused.Status != 0 {
			c.logger.DebugContext(ctx, "endpoints left out", "organisation", org.Name, "error", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

func (c *Client) endpointsOf(ctx context.Context, namespace string) ([]*InferenceEndpoint, error) {
	var answer struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := c.askEndpoint(ctx, http.MethodGet, namespace, nil, nil, &answer); err != nil {
		return nil, err
	}
	list := make([]*InferenceEndpoint, len(answer.Items))
	for i, raw := range answer.Items {
		e, err := c.newEndpoint(namespace, raw)
		if err != nil {
			return nil, err
		}
		list[i] = e
	}
	return list, nil
}

// EndpointOptions describe an inference endpoint to be made.
type EndpointOptions struct {
	Name       string
	Namespace  string // "" is the user's own
	Repository string // id of the model
	Framework  string // such as "pytorch" or "custom"
	Revision   string // "" is the default branch
	Task       string // such as "text-generation"

	Accelerator  string // "cpu", "gpu" or "neuron"
	InstanceSize string // such as "x2"
	InstanceType string // such as "intel-icl"
	Region       string // such as "us-east-1"
	Vendor       string // such as "aws"
	AccountID    string // of a private link, "" for none

	MinReplica         int
	MaxReplica         *int // nil is 1
	ScaleToZeroTimeout *int // minutes without use; nil is 15

	CustomImage json.RawMessage // a JSON object: url, health_route, env, ...; nil is the Hub's own image
	Secrets     map[string]string
	Type        string // "public", "protected" or "private"; "" is "protected"
}

// CreateInferenceEndpoint deploys a model. It returns when the endpoint is known; Wait waits until it answers.
// ErrConflict if there is one of that name.
//
//	POST {inference endpoints}/endpoint/{namespace}
func (c *Client) CreateInferenceEndpoint(ctx context.Context, o EndpointOptions) (*InferenceEndpoint, error) {
	if err := validEndpointName(o.Name); err != nil {
		return nil, err
	}
	image := map[string]any{"huggingface": map[string]any{}}
	if o.CustomImage != nil {
		image = map[string]any{"custom": o.CustomImage}
	}
	model := map[string]any{"framework": o.Framework, "repository": o.Repository, "revision": orNull(o.Revision), "task": orNull(o.Task), "image": image}
	if len(o.Secrets) > 0 {
		model["secrets"] = o.Secrets
	}
	scaling := map[string]any{"minReplica": o.MinReplica, "maxReplica": 1, "scaleToZeroTimeout": 15}
	if o.MaxReplica != nil {
		scaling["maxReplica"] = *o.MaxReplica
	}
	if o.ScaleToZeroTimeout != nil {
		scaling["scaleToZeroTimeout"] = *o.ScaleToZeroTimeout
	}
	if o.Type == "" {
		o.Type = "protected"
	}
	return c.oneEndpoint(ctx, http.MethodPost, o.Namespace, nil, map[string]any{
		"accountId": orNull(o.AccountID), "name": o.Name, "type": o.Type, "model": model,
		"compute":  map[string]any{"accelerator": o.Accelerator, "instanceSize": o.InstanceSize, "instanceType": o.InstanceType, "scaling": scaling},
		"provider": map[string]any{"region": o.Region, "vendor": o.Vendor},
	})
}

// orNull is s, or null for "".
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// InferenceEndpoint describes an endpoint; "" is the user's own namespace. ErrNotFound if there is none.
//
//	GET {inference endpoints}/endpoint/{namespace}/{name}
func (c *Client) InferenceEndpoint(ctx context.Context, namespace, name string) (*InferenceEndpoint, error) {
	return c.oneEndpoint(ctx, http.MethodGet, namespace, []string{name}, nil)
}

// EndpointUpdate is what is to be changed of an endpoint; what is "" or nil stays as it is.
type EndpointUpdate struct {
	Accelerator        string
	InstanceSize       string
	InstanceType       string
	MinReplica         *int
	MaxReplica         *int
	ScaleToZeroTimeout *int // minutes

	Repository  string
	Framework   string
	Revision    string
	Task        string
	CustomImage json.RawMessage
	Secrets     map[string]string // all that there shall be; empty but not nil removes them
}

func (u *EndpointUpdate) body() map[string]any {
	scaling, compute, model := map[string]any{}, map[string]any{}, map[string]any{}
	for key, n := range map[string]*int{"minReplica": u.MinReplica, "maxReplica": u.MaxReplica, "scaleToZeroTimeout": u.ScaleToZeroTimeout} {
		if n != nil {
			scaling[key] = *n
		}
	}
	for key, s := range map[string]string{"accelerator": u.Accelerator, "instanceSize": u.InstanceSize, "instanceType": u.InstanceType} {
		if s != "" {
			compute[key] = s
		}
	}
	for key, s := range map[string]string{"repository": u.Repository, "framework": u.Framework, "revision": u.Revision, "task": u.Task} {
		if s != "" {
			model[key] = s
		}
	}
	if u.CustomImage != nil {
		model["image"] = map[string]any{"custom": u.CustomImage}
	}
	if u.Secrets != nil {
		model["secrets"] = u.Secrets
	}
	if len(scaling) > 0 {
		compute["scaling"] = scaling
	}
	body := map[string]any{}
	if len(compute) > 0 {
		body["compute"] = compute
	}
	if len(model) > 0 {
		body["model"] = model
	}
	return body
}

// UpdateInferenceEndpoint changes the model or the hardware of an endpoint; meanwhile the old version answers.
//
//	PUT {inference endpoints}/endpoint/{namespace}/{name}
func (c *Client) UpdateInferenceEndpoint(ctx context.Context, namespace, name string, u EndpointUpdate) (*InferenceEndpoint, error) {
	return c.oneEndpoint(ctx, http.MethodPut, namespace, []string{name}, u.body())
}

// DeleteInferenceEndpoint removes an endpoint for good.
//
//	DELETE {inference endpoints}/endpoint/{namespace}/{name}
func (c *Client) DeleteInferenceEndpoint(ctx context.Context, namespace, name string) error {
	if err := validEndpointName(name); err != nil {
		return err
	}
	ns, err := c.endpointNamespace(ctx, namespace)
	if err != nil {
		return err
	}
	return c.askEndpoint(ctx, http.MethodDelete, ns, []string{name}, nil, nil)
}

// PauseInferenceEndpoint stops an endpoint until it is resumed; nothing is paid for it meanwhile.
//
//	POST {inference endpoints}/endpoint/{namespace}/{name}/pause
func (c *Client) PauseInferenceEndpoint(ctx context.Context, namespace, name string) (*InferenceEndpoint, error) {
	return c.oneEndpoint(ctx, http.MethodPost, namespace, []string{name, "pause"}, nil)
}

// ResumeInferenceEndpoint starts a paused endpoint. One that runs is ErrBadRequest, or with runningOK no error.
//
//	POST {inference endpoints}/endpoint/{namespace}/{name}/resume
func (c *Client) ResumeInferenceEndpoint(ctx context.Context, namespace, name string, runningOK bool) (*InferenceEndpoint, error) {
	e, err := c.oneEndpoint(ctx, http.MethodPost, namespace, []string{name, "resume"}, nil)
	var refused *Error
	if runningOK && errors.As(err, &refused) && refused.Status == http.StatusBadRequest && strings.Contains(refused.Message, "already running") {
		return c.InferenceEndpoint(ctx, namespace, name)
	}
	return e, err
}

// ScaleToZeroInferenceEndpoint stops an endpoint until the next request to it.
//
//	POST {inference endpoints}/endpoint/{namespace}/{name}/scale-to-zero
func (c *Client) ScaleToZeroInferenceEndpoint(ctx context.Context, namespace, name string) (*InferenceEndpoint, error) {
	return c.oneEndpoint(ctx, http.MethodPost, namespace, []string{name, "scale-to-zero"}, nil)
}

// become takes over a newer description of the same endpoint.
func (e *InferenceEndpoint) become(now *InferenceEndpoint, err error) error {
	if err == nil {
		*e = *now
	}
	return err
}

// Fetch asks how the endpoint is now.
func (e *InferenceEndpoint) Fetch(ctx context.Context) error {
	return e.become(e.client.InferenceEndpoint(ctx, e.Namespace, e.Name))
}

// Update is UpdateInferenceEndpoint of this one.
func (e *InferenceEndpoint) Update(ctx context.Context, u EndpointUpdate) error {
	return e.become(e.client.UpdateInferenceEndpoint(ctx, e.Namespace, e.Name, u))
}

// Pause is PauseInferenceEndpoint of this one.
func (e *InferenceEndpoint) Pause(ctx context.Context) error {
	return e.become(e.client.PauseInferenceEndpoint(ctx, e.Namespace, e.Name))
}

// Resume is ResumeInferenceEndpoint of this one.
func (e *InferenceEndpoint) Resume(ctx context.Context, runningOK bool) error {
	return e.become(e.client.ResumeInferenceEndpoint(ctx, e.Namespace, e.Name, runningOK))
}

// ScaleToZero is ScaleToZeroInferenceEndpoint of this one.
func (e *InferenceEndpoint) ScaleToZero(ctx context.Context) error {
	return e.become(e.client.ScaleToZeroInferenceEndpoint(ctx, e.Namespace, e.Name))
}

// Delete is DeleteInferenceEndpoint of this one.
func (e *InferenceEndpoint) Delete(ctx context.Context) error {
	return e.client.DeleteInferenceEndpoint(ctx, e.Namespace, e.Name)
}

// Wait returns when the endpoint answers at its URL. It looks every refreshEvery, 5 s for 0, until timeout
// has passed, without end for 0; the errors are ErrEndpointFailed and ErrEndpointTimeout. The token is sent
// to the URL: it must be https, or on the host of the API.
func (e *InferenceEndpoint) Wait(ctx context.Context, timeout, refreshEvery time.Duration) error {
	if timeout < 0 || refreshEvery < 0 {
		return &ValidationError{What: "timeout", Value: fmt.Sprint(min(timeout, refreshEvery)), Reason: "must not be negative"}
	}
	if refreshEvery == 0 {
		refreshEvery = 5 * time.Second
	}
	start := time.Now()
	for {
		if e.URL != "" {
			ready, err := e.answers(ctx)
			if err != nil || ready {
				return err
			}
		}
		if e.Status == EndpointFailed || e.Status == EndpointUpdateFailed {
			return fmt.Errorf("%s: %w", e.Name, ErrEndpointFailed)
		}
		pause := refreshEvery
		if timeout > 0 {
			left := timeout - time.Since(start)
			if left <= 0 {
				return fmt.Errorf("%s is %s: %w", e.Name, e.Status, ErrEndpointTimeout)
			}
			pause = min(pause, left)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		if err := e.Fetch(ctx); err != nil {
			return err
		}
	}
}

// answers asks the endpoint itself. That it refuses, or that nobody is there yet, is no error.
func (e *InferenceEndpoint) answers(ctx context.Context) (bool, error) {
	u, err := parseEndpoint(e.URL)
	if err != nil || u.Scheme != "https" && !strings.EqualFold(u.Hostname(), e.client.inference.Hostname()) {
		return false, protocolError(&http.Request{Method: http.MethodGet, URL: e.client.inference}, "the URL of %s can't be trusted with the token: it isn't https", e.Name)
	}
	self, err := e.client.sibling(u, 0)
	if err != nil {
		return false, err
	}
	err = self.doNothing(ctx, &request{method: http.MethodGet, path: at("")})
	if ctx.Err() != nil {
		return false, err
	}
	return err == nil, nil
}
