package control

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// API is what methods run on.
type API struct {
	// Hub speaks for the user whose token it holds.
	Hub *hub.Client
	// HubFor makes a client that speaks with another token, "" being anonymous. Nil refuses the
	// parameter "token".
	HubFor func(token string) (*hub.Client, error)
	// CacheDir is the folder that downloads go to (HF_HUB_CACHE).
	CacheDir string
	// OpenCache gives the blob cache for downloads of a client into a folder, and what to call when
	// they are done.
	OpenCache func(client *hub.Client, dir string) (*blobcache.Cache, func() error, error)
	// Offline answers downloads from the cache and sends nothing.
	Offline bool

	// jobs is where run_as_future queues calls; nil outside of a daemon.
	jobs *jobs
}

// A Method is a row of the table.
type Method struct {
	MethodInfo

	check func(params map[string]json.RawMessage) error
	run   func(ctx context.Context, api *API, params map[string]json.RawMessage) (*Result, error)
}

// Result is what a method gave: one value, or the elements of a list.
type Result struct {
	// Value is the result of a method that doesn't stream; nil is JSON's null.
	Value any
	// Elements is the result of a method that streams. It ends with the first error.
	Elements iter.Seq2[any, error]
}

// Methods returns the table, sorted by name.
func Methods() []Method { return slices.Clone(table) }

// LookupMethod finds a method by its HfApi name; the error of an unknown one suggests the nearest.
func LookupMethod(name string) (*Method, error) {
	i, ok := slices.BinarySearchFunc(table, name, func(m Method, name string) int {
		return strings.Compare(m.Name, name)
	})
	if ok {
		return &table[i], nil
	}
	err := &Error{Status: 404, Kind: KindUnknownMethod, Message: fmt.Sprintf("no method %q", name)}
	if near := nearest(name); near != "" {
		err.Message += fmt.Sprintf("; did you mean %q?", near)
	}
	return nil, err
}

// nearest names the method that the caller may have meant, or "".
func nearest(name string) string {
	best, score := "", 0
	for _, m := range table {
		common := 0
		for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '-' }) {
			if slices.Contains(strings.Split(m.Name, "_"), strings.ToLower(word)) {
				common++
			}
		}
		if common > score {
			best, score = m.Name, common
		}
	}
	return best
}

// Call checks params against the row and runs it. A wrong parameter is an [Error] of kind
// [KindBadParameter] that names it, and nothing has been sent then. The context must live until the
// elements have been read.
func (m *Method) Call(ctx context.Context, api *API, params map[string]json.RawMessage) (*Result, error) {
	return m.run(ctx, api, params)
}

// session is what a handler runs on: the API, with the client that this call asked for.
type session struct {
	*API
	Hub *hub.Client
}

// caller is the part of a parameter struct that every remote method has.
type caller struct {
	Token *tokenParam `param:"token" secret:"true" doc:"another token for this call; false: none"`
}

func (c *caller) token() *tokenParam { return c.Token }

// future is the part of methods that can run in the background by a parameter of their own.
type future struct {
	RunAsFuture bool `param:"run_as_future" default:"false" doc:"run in the background, in the daemon of a mount: the answer is the job"`
}

func (f *future) inBackground() bool { return f.RunAsFuture }

// timed is the part of methods that take a limit of their own.
type timed struct {
	Timeout *float64 `param:"timeout" doc:"seconds until the call is given up"`
}

func (t *timed) timeout() time.Duration {
	if t.Timeout == nil {
		return 0
	}
	return time.Duration(*t.Timeout * float64(time.Second))
}

// value makes the row of a method with one result. P is the struct of its parameters.
func value[P any](name, returns, doc string, f func(context.Context, *session, *P) (any, error)) Method {
	m := Method{MethodInfo: MethodInfo{Name: name, Doc: doc, Params: paramsOf[P](), Returns: returns}}
	m.check = func(params map[string]json.RawMessage) error { return decodeParams(name, params, new(P)) }
	m.run = func(ctx context.Context, api *API, params map[string]json.RawMessage) (*Result, error) {
		p := new(P)
		s, err := prepare(api, name, params, p)
		if err != nil {
			return nil, err
		}
		if f, ok := any(p).(interface{ inBackground() bool }); ok && f.inBackground() {
			params = maps.Clone(params)
			delete(params, runAsFutureName)
			return s.submit(ctx, &m, params)
		}
		if t, ok := any(p).(interface{ timeout() time.Duration }); ok && t.timeout() > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, t.timeout())
			defer cancel()
		}
		v, err := f(ctx, s, p)
		if err != nil {
			return nil, err
		}
		return &Result{Value: v}, nil
	}
	return m
}

// list makes the row of a method that streams its elements.
func list[P, E any](name, returns, doc string, f func(context.Context, *session, *P) iter.Seq2[E, error]) Method {
	m := Method{MethodInfo: MethodInfo{Name: name, Doc: doc, Params: paramsOf[P](), Returns: "list[" + returns + "]", Stream: true}}
	m.check = func(params map[string]json.RawMessage) error { return decodeParams(name, params, new(P)) }
	m.run = func(ctx context.Context, api *API, params map[string]json.RawMessage) (*Result, error) {
		p := new(P)
		s, err := prepare(api, name, params, p)
		if err != nil {
			return nil, err
		}
		return &Result{Elements: func(yield func(any, error) bool) {
			for e, err := range f(ctx, s, p) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}}, nil
	}
	return m
}

func prepare(api *API, method string, params map[string]json.RawMessage, p any) (*session, error) {
	if err := decodeParams(method, params, p); err != nil {
		return nil, err
	}
	s := &session{API: api, Hub: api.Hub}
	c, ok := p.(interface{ token() *tokenParam })
	if !ok || c.token() == nil {
		return s, nil
	}
	if api.HubFor == nil {
		return nil, badParam("token", "isn't taken here")
	}
	client, err := api.HubFor(string(*c.token()))
	if err != nil {
		return nil, err
	}
	s.Hub = client
	return s, nil
}
