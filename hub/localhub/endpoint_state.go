package localhub

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// endpointRec is an inference endpoint. What it does at a time follows from what it was last told and when:
// see Hub.endpointState.
type endpointRec struct {
	Namespace string           `json:"namespace"` // as its owner spells it
	Name      string           `json:"name"`
	Account   *string          `json:"account,omitempty"`
	Compute   endpointCompute  `json:"compute"`
	Model     endpointModel    `json:"model"`
	Provider  endpointProvider `json:"provider"`
	Type      string           `json:"type"`
	// Extra are parts of newer clients that are kept and shown, by their names: route, tags, ...
	Extra map[string]json.RawMessage `json:"extra,omitempty"`

	Told      string    `json:"told"`            // endpointStart, ...
	Since     time.Time `json:"since"`           // when
	Fault     string    `json:"fault,omitempty"` // why it can't start, found out when it was told to
	Used      time.Time `json:"used,omitzero"`   // last request to its URL, to a few seconds
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
	CreatedBy string    `json:"createdBy"`
	UpdatedBy string    `json:"updatedBy"`
}

type endpointCompute struct {
	Accelerator  string          `json:"accelerator"`
	InstanceSize string          `json:"instanceSize"`
	InstanceType string          `json:"instanceType"`
	Scaling      endpointScaling `json:"scaling"`
}

type endpointScaling struct {
	MinReplica         int             `json:"minReplica"`
	MaxReplica         int             `json:"maxReplica"`
	ScaleToZeroTimeout *int            `json:"scaleToZeroTimeout"` // minutes; null is never
	Measure            json.RawMessage `json:"measure,omitempty"`
}

type endpointModel struct {
	Framework  string          `json:"framework"`
	Repository string          `json:"repository"`
	Revision   *string         `json:"revision"`
	Task       *string         `json:"task"`
	Image      json.RawMessage `json:"image"`
	Env        json.RawMessage `json:"env,omitempty"`
	Command    json.RawMessage `json:"command,omitempty"`
	Args       json.RawMessage `json:"args,omitempty"`
}

type endpointProvider struct {
	Region string `json:"region"`
	Vendor string `json:"vendor"`
}

// What an endpoint can be told.
const (
	endpointStart  = "start"  // or start again
	endpointUpdate = "update" // start again as something else, while the old version serves
	endpointPause  = "pause"
	endpointZero   = "zero"
)

// States of an endpoint.
const (
	statePending      = "pending"
	stateInitializing = "initializing"
	stateUpdating     = "updating"
	stateUpdateFailed = "updateFailed"
	stateRunning      = "running"
	statePaused       = "paused"
	stateFailed       = "failed"
	stateScaledToZero = "scaledToZero"
)

var bucketEndpoints = []byte("endpoints") // <namespace>/<name>, the namespace in lower case

func endpointKey(namespace, name string) string { return strings.ToLower(namespace) + "/" + name }

func (s *state) endpoint(namespace, name string) *endpointRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.endpoints[endpointKey(namespace, name)]
}

// endpointsOf lists the endpoints of a namespace, by name.
func (s *state) endpointsOf(namespace string) []*endpointRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []*endpointRec
	for _, e := range s.endpoints {
		if strings.EqualFold(e.Namespace, namespace) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *endpointRec) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (s *state) addEndpoint(e *endpointRec) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.endpoint(e.Namespace, e.Name) != nil {
		return fail(409, "An endpoint called %s exists already in %s", e.Name, e.Namespace)
	}
	return s.putEndpoint(e)
}

// putEndpoint requires s.write.
func (s *state) putEndpoint(e *endpointRec) error {
	key := endpointKey(e.Namespace, e.Name)
	return s.update(func(tx *bbolt.Tx) error { return put(tx, bucketEndpoints, key, e) }, func() { s.endpoints[key] = e })
}

// changeEndpoint replaces an endpoint by what fn makes of a copy of it.
func (s *state) changeEndpoint(namespace, name string, fn func(*endpointRec) error) (*endpointRec, error) {
	s.write.Lock()
	defer s.write.Unlock()
	old := s.endpoint(namespace, name)
	if old == nil {
		return nil, noEndpoint(name)
	}
	e := *old
	e.Extra = maps.Clone(old.Extra)
	if err := fn(&e); err != nil {
		return nil, err
	}
	return &e, s.putEndpoint(&e)
}

func (s *state) dropEndpoint(namespace, name string) error {
	s.write.Lock()
	defer s.write.Unlock()
	key := endpointKey(namespace, name)
	if s.endpoint(namespace, name) == nil {
		return noEndpoint(name)
	}
	return s.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketEndpoints).Delete([]byte(key)) },
		func() { delete(s.endpoints, key) })
}

func noEndpoint(name string) *Error { return fail(404, "Endpoint not found: %s", oneLine(name)) }

var endpointName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// check refuses an endpoint that can't be.
func (e *endpointRec) check() error {
	s := e.Compute.Scaling
	switch {
	case !endpointName.MatchString(e.Name):
		return badRequest("%q can't be a name: at most 32 lower-case letters, digits and '-', which is at neither end", oneLine(e.Name))
	case !slices.Contains([]string{"cpu", "gpu", "neuron", "tpu"}, e.Compute.Accelerator):
		return badRequest(`"compute.accelerator" must be one of [cpu, gpu, neuron, tpu]`)
	case !slices.Contains([]string{"public", "protected", "private", "authenticated"}, e.Type):
		return badRequest(`"type" must be one of [public, protected, private, authenticated]`)
	case s.MinReplica < 0 || s.MaxReplica < 1 || s.MinReplica > s.MaxReplica:
		return badRequest(`"compute.scaling" must have at least 0 for "minReplica", 1 for "maxReplica", and no more of the first than of the second`)
	case s.ScaleToZeroTimeout != nil && *s.ScaleToZeroTimeout < 1:
		return badRequest(`"compute.scaling.scaleToZeroTimeout" must be a number of minutes, at least 1`)
	}
	for key, v := range map[string]string{
		"compute.instanceSize": e.Compute.InstanceSize, "compute.instanceType": e.Compute.InstanceType, "model.framework": e.Model.Framework,
		"model.repository": e.Model.Repository, "provider.region": e.Provider.Region, "provider.vendor": e.Provider.Vendor,
	} {
		if v == "" {
			return badRequest("%q must be given", key)
		}
	}
	return nil
}

// tell makes the endpoint do something from now on. Whoever says so must be able to read the model, or
// the endpoint will fail.
func (h *Hub) tell(e *endpointRec, what string, by caller) {
	e.Told, e.Since, e.Updated, e.Fault = what, h.now(), h.now(), ""
	if by.user != nil {
		e.UpdatedBy = by.user.Name
	}
	if what == endpointStart || what == endpointUpdate {
		e.Fault = h.endpointFault(e, by)
	}
}

// endpointFault is what keeps an endpoint from starting, "" for nothing.
func (h *Hub) endpointFault(e *endpointRec, by caller) string {
	r, err := h.openRepo(Model, e.Model.Repository)
	if err == nil {
		err = h.checkContent(by, r.repoRec)
	}
	if err == nil && e.Model.Revision != nil && *e.Model.Revision != "" {
		_, err = r.resolve(*e.Model.Revision)
	}
	var refused *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return "The model can't be loaded: " + refused.Message
	}
	return "The model can't be loaded"
}

// endpointState is what an endpoint does at this moment, and what there is to say about it.
func (h *Hub) endpointState(e *endpointRec) (state, message string) {
	age := h.now().Sub(e.Since)
	switch e.Told {
	case endpointPause:
		return statePaused, "Endpoint is paused"
	case endpointZero:
		return stateScaledToZero, "Endpoint scaled to zero"
	case endpointUpdate:
		switch {
		case age < h.startup:
			return stateUpdating, "Endpoint is updating"
		case e.Fault != "":
			return stateUpdateFailed, e.Fault
		}
	default:
		switch {
		case age < h.startup/3:
			return statePending, "Endpoint waiting to be scheduled"
		case age < h.startup:
			return stateInitializing, "Endpoint is initializing"
		case e.Fault != "":
			return stateFailed, e.Fault
		}
	}
	if s := e.Compute.Scaling; s.MinReplica == 0 && s.ScaleToZeroTimeout != nil {
		idle := h.now().Sub(later(e.Since.Add(h.startup), e.Used))
		if idle >= time.Duration(*s.ScaleToZeroTimeout)*time.Minute {
			return stateScaledToZero, "Endpoint scaled to zero"
		}
	}
	return stateRunning, "Endpoint is ready"
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
