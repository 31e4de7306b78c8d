package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// SpaceStage is what a Space does, in the Hub's words. There may be others than those named here.
type SpaceStage string

// Stages of a Space.
const (
	SpaceNoAppFile       SpaceStage = "NO_APP_FILE" // there is nothing to run yet
	SpaceConfigError     SpaceStage = "CONFIG_ERROR"
	SpaceBuilding        SpaceStage = "BUILDING"
	SpaceBuildError      SpaceStage = "BUILD_ERROR"
	SpaceAppStarting     SpaceStage = "APP_STARTING"
	SpaceRunning         SpaceStage = "RUNNING"
	SpaceRunningBuilding SpaceStage = "RUNNING_BUILDING" // the next version is built
	SpaceRuntimeError    SpaceStage = "RUNTIME_ERROR"
	SpaceDeleting        SpaceStage = "DELETING"
	SpaceStopped         SpaceStage = "STOPPED"
	SpaceSleeping        SpaceStage = "SLEEPING" // until somebody visits it
	SpacePaused          SpaceStage = "PAUSED"   // until it is restarted
)

// SpaceRuntime is what a Space does and what it runs on.
type SpaceRuntime struct {
	Stage             SpaceStage
	Hardware          string // that it runs on, "" for none
	RequestedHardware string // that it was told to run on
	SleepTime         *int   // seconds without use until it sleeps; nil is never
	Storage           string // tier of its persistent storage, "" for none
	DevMode           bool
	Raw               json.RawMessage // the whole answer
}

// UnmarshalJSON reads the Hub's own form, as in RepoInfo.Runtime.
func (rt *SpaceRuntime) UnmarshalJSON(b []byte) error {
	var wire struct {
		Stage    *SpaceStage `json:"stage"`
		Hardware struct {
			Current   *string `json:"current"`
			Requested *string `json:"requested"`
		} `json:"hardware"`
		GCTimeout *int    `json:"gcTimeout"`
		Storage   *string `json:"storage"`
		DevMode   bool    `json:"devMode"`
	}
	if err := json.Unmarshal(b, &wire); err != nil {
		return err
	}
	if wire.Stage == nil {
		return errors.New("a runtime without a stage")
	}
	*rt = SpaceRuntime{
		Stage: *wire.Stage, Hardware: orZero(wire.Hardware.Current), RequestedHardware: orZero(wire.Hardware.Requested),
		SleepTime: wire.GCTimeout, Storage: orZero(wire.Storage), DevMode: wire.DevMode, Raw: append(json.RawMessage(nil), b...),
	}
	return nil
}

// MarshalJSON gives the Hub's own form, with all that it said.
func (rt SpaceRuntime) MarshalJSON() ([]byte, error) { return rt.Raw, nil }

func orZero[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// SpaceVariable is a variable of a Space, or a secret, whose value nobody is told.
type SpaceVariable struct {
	Key         string          `json:"-"`
	Value       string          `json:"value"`
	Description string          `json:"description"`
	UpdatedAt   time.Time       `json:"updatedAt"`
	Raw         json.RawMessage `json:"-"` // all that the Hub said of it
}

// spaceRequest is a request about a Space.
func spaceRequest(method, id string, parts ...string) (*request, error) {
	repo := Repo{Type: Space, ID: id}
	if err := repo.Validate(); err != nil {
		return nil, err
	}
	return &request{method: method, repo: repo, path: below(parts...)}, nil
}

// askSpace sends a request about a Space, with body as JSON unless it is nil, and reads the answer.
func (c *Client) askSpace(ctx context.Context, method, id, what string, body, into any) error {
	r, err := spaceRequest(method, id, what)
	if err != nil {
		return err
	}
	if body != nil {
		if r, err = r.withJSON(body); err != nil {
			return err
		}
	}
	r.repeat = true // it sets something to a value
	if into == nil {
		return c.doNothing(ctx, r)
	}
	return c.doJSON(ctx, r, into)
}

func (c *Client) spaceRuntime(ctx context.Context, method, id, what string, body any) (*SpaceRuntime, error) {
	rt := new(SpaceRuntime)
	if err := c.askSpace(ctx, method, id, what, body, rt); err != nil {
		return nil, err
	}
	return rt, nil
}

// SpaceRuntime asks what a Space does.
//
//	GET /api/spaces/{id}/runtime
func (c *Client) SpaceRuntime(ctx context.Context, id string) (*SpaceRuntime, error) {
	return c.spaceRuntime(ctx, http.MethodGet, id, "runtime", nil)
}

// AddSpaceSecret sets a secret, in the place of one of the same key. The Space restarts with it.
// ErrForbidden for others than the owner, as for all that change a Space.
//
//	POST /api/spaces/{id}/secrets
func (c *Client) AddSpaceSecret(ctx context.Context, id string, secret KeyValue) error {
	return c.askSpace(ctx, http.MethodPost, id, "secrets", secret, nil)
}

// DeleteSpaceSecret removes a secret; one that doesn't exist is no error.
//
//	DELETE /api/spaces/{id}/secrets
func (c *Client) DeleteSpaceSecret(ctx context.Context, id, key string) error {
	return c.askSpace(ctx, http.MethodDelete, id, "secrets", map[string]string{"key": key}, nil)
}

// SpaceSecrets lists the secrets of a Space by key, without values.
//
//	GET /api/spaces/{id}/secrets
func (c *Client) SpaceSecrets(ctx context.Context, id string) (map[string]SpaceVariable, error) {
	return c.spaceVariables(ctx, http.MethodGet, id, "secrets", nil)
}

// SpaceVariables lists the variables of a Space by key.
//
//	GET /api/spaces/{id}/variables
func (c *Client) SpaceVariables(ctx context.Context, id string) (map[string]SpaceVariable, error) {
	return c.spaceVariables(ctx, http.MethodGet, id, "variables", nil)
}

// AddSpaceVariable sets a variable, in the place of one of the same key, and returns all. The Space
// restarts with it.
//
//	POST /api/spaces/{id}/variables
func (c *Client) AddSpaceVariable(ctx context.Context, id string, variable KeyValue) (map[string]SpaceVariable, error) {
	return c.spaceVariables(ctx, http.MethodPost, id, "variables", variable)
}

// DeleteSpaceVariable removes a variable and returns those that are left; one that doesn't exist is no error.
//
//	DELETE /api/spaces/{id}/variables
func (c *Client) DeleteSpaceVariable(ctx context.Context, id, key string) (map[string]SpaceVariable, error) {
	return c.spaceVariables(ctx, http.MethodDelete, id, "variables", map[string]string{"key": key})
}

func (c *Client) spaceVariables(ctx context.Context, method, id, what string, body any) (map[string]SpaceVariable, error) {
	var wire map[string]json.RawMessage
	if err := c.askSpace(ctx, method, id, what, body, &wire); err != nil {
		return nil, err
	}
	all := make(map[string]SpaceVariable, len(wire))
	for key, raw := range wire {
		v := SpaceVariable{Key: key, Raw: raw}
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, c.protocolError(&request{method: method, repo: Repo{Type: Space, ID: id}, path: below(what)}, "%v", err)
		}
		all[key] = v
	}
	return all, nil
}

// RequestSpaceHardware moves a Space to other hardware, such as "t4-medium"; it restarts there. sleepTime
// is in seconds, -1 for never, nil to leave it; the free hardware, "cpu-basic", has one of its own. Where
// nobody pays it is ErrForbidden.
//
//	POST /api/spaces/{id}/hardware
func (c *Client) RequestSpaceHardware(ctx context.Context, id, hardware string, sleepTime *int) (*SpaceRuntime, error) {
	body := map[string]any{"flavor": hardware}
	if sleepTime != nil {
		body["sleepTimeSeconds"] = *sleepTime
	}
	return c.spaceRuntime(ctx, http.MethodPost, id, "hardware", body)
}

// SetSpaceSleepTime says after how many seconds without use a Space on paid hardware sleeps; -1 is never.
//
//	POST /api/spaces/{id}/sleeptime
func (c *Client) SetSpaceSleepTime(ctx context.Context, id string, seconds int) (*SpaceRuntime, error) {
	return c.spaceRuntime(ctx, http.MethodPost, id, "sleeptime", map[string]int{"seconds": seconds})
}

// PauseSpace stops a Space until it is restarted; nothing is paid for it meanwhile. ErrBadRequest for a
// static Space, in which nothing runs.
//
//	POST /api/spaces/{id}/pause
func (c *Client) PauseSpace(ctx context.Context, id string) (*SpaceRuntime, error) {
	return c.spaceRuntime(ctx, http.MethodPost, id, "pause", nil)
}

// RestartSpace starts a Space again, also a paused one; factory builds it from scratch. ErrBadRequest for
// a static Space.
//
//	POST /api/spaces/{id}/restart
func (c *Client) RestartSpace(ctx context.Context, id string, factory bool) (*SpaceRuntime, error) {
	r, err := spaceRequest(http.MethodPost, id, "restart")
	if err != nil {
		return nil, err
	}
	if factory {
		r.query = url.Values{"factory": {"true"}}
	}
	r.repeat = true
	rt := new(SpaceRuntime)
	if err := c.doJSON(ctx, r, rt); err != nil {
		return nil, err
	}
	return rt, nil
}

// RequestSpaceStorage gives a Space persistent storage: "small", "medium" or "large". It can grow but not
// shrink: that is ErrBadRequest.
//
//	POST /api/spaces/{id}/storage
func (c *Client) RequestSpaceStorage(ctx context.Context, id, tier string) (*SpaceRuntime, error) {
	return c.spaceRuntime(ctx, http.MethodPost, id, "storage", map[string]string{"tier": tier})
}

// DeleteSpaceStorage removes the persistent storage with all that is in it. ErrBadRequest if there is none.
//
//	DELETE /api/spaces/{id}/storage
func (c *Client) DeleteSpaceStorage(ctx context.Context, id string) (*SpaceRuntime, error) {
	r, err := spaceRequest(http.MethodDelete, id, "storage")
	if err != nil {
		return nil, err
	}
	rt := new(SpaceRuntime)
	if err := c.doJSON(ctx, r, rt); err != nil {
		return nil, err
	}
	return rt, nil
}

// DuplicateSpaceOptions describe the copy of a Space.
type DuplicateSpaceOptions struct {
	// To is a name, an id or a URL; a namespace that is missing is the user's own. "" is the name of the
	// original.
	To        string
	Private   *bool // nil: as the original
	ExistOK   bool  // an existing Space isn't an error
	Hardware  string
	Storage   string
	SleepTime *int       // seconds; -1 is never
	Secrets   []KeyValue // those of the original aren't copied
	Variables []KeyValue // added to those of the original
}

// DuplicateSpace copies a Space, with its variables and without its secrets. ErrConflict if there is one of
// that name and ExistOK isn't set.
//
//	POST /api/spaces/{from}/duplicate
func (c *Client) DuplicateSpace(ctx context.Context, from string, opts *DuplicateSpaceOptions) (*RepoURL, error) {
	if opts == nil {
		opts = &DuplicateSpaceOptions{}
	}
	r, err := spaceRequest(http.MethodPost, from, "duplicate")
	if err != nil {
		return nil, err
	}
	to := Repo{Type: Space, ID: r.repo.Name()}
	if opts.To != "" {
		if to, err = c.spaceNamed(opts.To); err != nil {
			return nil, err
		}
	}
	if to.Namespace() == "" {
		who, err := c.WhoAmI(ctx)
		if err != nil {
			return nil, err
		}
		to.ID = who.Name + "/" + to.ID
	}
	body := map[string]any{"repository": to.ID}
	if opts.Private != nil {
		body["private"] = *opts.Private
	}
	(&CreateRepoOptions{Hardware: opts.Hardware, Storage: opts.Storage, SleepTime: opts.SleepTime, Secrets: opts.Secrets, Variables: opts.Variables}).spaceBody(body)
	if r, err = r.withJSON(body); err != nil {
		return nil, err
	}
	var answer struct {
		URL string `json:"url"`
	}
	err = c.doJSON(ctx, r, &answer)
	var e *Error
	if opts.ExistOK && errors.As(err, &e) && e.Status == http.StatusConflict && e.url != "" {
		return c.repoURL(r, e.url)
	}
	if err != nil {
		return nil, err
	}
	return c.repoURL(r, answer.URL)
}

// spaceNamed reads a name, an id or a URL of a Space.
func (c *Client) spaceNamed(s string) (Repo, error) {
	id := strings.TrimPrefix(c.rehost(s), c.Endpoint()+"/")
	id = strings.TrimPrefix(strings.TrimPrefix(id, "hf://"), "spaces/")
	to := Repo{Type: Space, ID: id}
	return to, to.Validate()
}
