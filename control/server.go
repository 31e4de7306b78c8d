package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/syncer"
)

// maxBody bounds the parameters of a call.
const maxBody = 16 << 20

// maxCalls is how many methods may run at once. maxWaiting more wait for one to end; the next is told to
// come again. What tells about the daemon's health isn't counted.
const (
	maxCalls   = 64
	maxWaiting = 4096
)

// How long a caller may take.
const (
	headerTime = 10 * time.Second // to send the head of a request
	bodyTime   = 30 * time.Second // to send the body
	slowReader = 10 * time.Minute // to read what was sent
)

// smallBody is a body that is read before there is a slot for its call: who sends half of one, and waits,
// holds nobody up.
const smallBody = 64 << 10

// mount is what the server needs from a mount; *fs.Mount is one.
type mount interface {
	Dir() string
	Status() fs.Status
	Refresh(ctx context.Context) error
	WaitCommit(ctx context.Context, path, commit string) error
	Flush(ctx context.Context, path string) (fs.PushResult, error)
	WaitStaged(ctx context.Context, path string) error
	Discard(ctx context.Context, path string) ([]fs.Change, error)
	Changes(path string) []fs.Change
	Uploads() []fs.Upload
	Unmount() error
	Wait()
	Push(ctx context.Context) (fs.PushResult, error)
}

// ServerOptions say what a server serves.
type ServerOptions struct {
	// API is what methods run on.
	API *API
	// Mount is what status, refresh, wait and unmount are about.
	Mount mount
	// Writing says that the mount takes changes; the rest is read-only.
	Writing *Writing
	// Sync is what status, flush, trigger and stop are about in the daemon of a sync, which has no Mount.
	Sync folderSync
	// User tells whose token the daemon has, "" while that isn't known.
	User func() string
	// Cache is the blob cache that status and metrics tell about.
	Cache *blobcache.Cache
	// Logger gets refused callers and failures to answer. Nil discards.
	Logger *slog.Logger
}

// Server answers on a control socket.
type Server struct {
	opts     ServerOptions
	log      *slog.Logger
	http     *http.Server
	l        net.Listener
	calls    chan struct{} // a slot each call in flight
	waiting  chan struct{} // a slot each call that waits for one
	streams  chan struct{} // a slot each stream of events
	jobs     *jobs
	watch    *watcher      // nil without a mount
	ending   chan struct{} // closed when Close begins, by end
	end      sync.Once
	done     chan struct{} // closed when Serve has returned
	stopping stopping
}

// Listen makes the socket of the mount at dir. Callers wait until [Serve] answers them; closing the
// listener instead removes the socket. The error is an [Error] of kind [KindBusy] where a live daemon
// listens already.
func Listen(ctx context.Context, dir string) (*net.UnixListener, error) {
	path, err := SocketPath(dir)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return listen(ctx, path)
}

// Serve begins to answer on l, which it owns from now on.
func Serve(l *net.UnixListener, opts ServerOptions) *Server {
	s := &Server{
		opts: opts, log: opts.Logger, ending: make(chan struct{}), done: make(chan struct{}),
		calls: make(chan struct{}, maxCalls), waiting: make(chan struct{}, maxWaiting), streams: make(chan struct{}, maxStreams),
	}
	api := *opts.API
	s.jobs = newJobs(&api)
	api.jobs = s.jobs
	s.opts.API = &api
	if opts.Mount != nil {
		s.watch = &watcher{status: opts.Mount.Status, every: lookEvery, listeners: map[chan Event]bool{}}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.l = peerListener{UnixListener: l, log: s.log}
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTime,
		ConnContext:       withPeer,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(s.l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("control socket ended", "err", err)
		}
	}()
	return s
}

// Close removes the socket, lets calls and jobs in flight end until ctx does, then breaks them off. Jobs that
// wait are canceled, and event streams end.
func (s *Server) Close(ctx context.Context) error {
	s.end.Do(func() { close(s.ending) })
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.done
	s.jobs.close(ctx)
	return err
}

// peerListener hands on connections of permitted users only.
type peerListener struct {
	*net.UnixListener
	log *slog.Logger
}

func (l peerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if err := checkPeer(conn); err != nil {
			l.log.Warn("control socket: caller refused", "err", err)
			conn.Close()
			continue
		}
		return conn, nil
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/methods", s.methods)
	mux.HandleFunc("POST /v1/api/{method}", s.call)
	mux.Handle("GET /v1/metrics", s.metrics())
	mux.HandleFunc("GET /v1/profile", pprof.Profile)
	s.routeJobs(mux)
	if s.opts.Sync != nil {
		s.routeSync(mux)
	} else {
		s.routeMount(mux)
	}
	return s.guard(mux)
}

// routeMount is what the daemon of a mount answers.
func (s *Server) routeMount(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/refresh", s.refresh)
	mux.HandleFunc("POST /v1/wait", s.wait)
	mux.HandleFunc("POST /v1/flush", s.flush)
	mux.HandleFunc("POST /v1/discard", s.discard)
	mux.HandleFunc("GET /v1/changes", s.changes)
	mux.HandleFunc("POST /v1/unmount", s.unmount)
}

func (s *Server) metrics() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(newCollector(s.opts))
	reg.MustRegister(processCollectors()...)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// guard refuses what a browser would send, and bounds what is read.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var refused string
		switch {
		case r.Header.Get("Origin") != "", r.Header.Get("Referer") != "":
			refused = "requests of web pages are refused"
		case r.Host != Host && r.Host != "localhost":
			refused = fmt.Sprintf("Host must be %s", Host)
		}
		if refused != "" {
			s.log.Warn("control socket: request refused", "reason", refused, "path", r.URL.Path)
			s.fail(w, &Error{Status: http.StatusForbidden, Kind: KindForbidden, Message: refused})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	st := Status{Mounts: []MountStatus{}, Syncs: []syncer.Status{}, Quota: map[string]QuotaStatus{}}
	if s.opts.Mount != nil {
		st.Mounts = append(st.Mounts, s.mountStatus())
	}
	if s.opts.Sync != nil {
		st.Syncs = append(st.Syncs, s.opts.Sync.Status())
	}
	if s.opts.Cache != nil {
		st.Cache = CacheStatus{Dir: s.opts.API.CacheDir, Stats: s.opts.Cache.Stats()}
	}
	for _, q := range s.opts.API.Hub.Quota() {
		st.Quota[q.Class] = quotaStatus(q)
	}
	s.answer(w, st)
}

func (s *Server) mountStatus() MountStatus {
	m := MountStatus{Status: s.opts.Mount.Status()}
	if path, err := SocketPath(m.Dir); err == nil {
		m.Socket = path
	}
	if m.User == "" && s.opts.User != nil {
		m.User = s.opts.User()
	}
	if w := s.opts.Writing; w != nil {
		m.Every = w.Every.Seconds()
		m.Changes, m.Uploads = troubled(s.opts.Mount.Changes("")), s.opts.Mount.Uploads()
	}
	return m
}

func (s *Server) refresh(w http.ResponseWriter, r *http.Request) {
	if err := s.opts.Mount.Refresh(r.Context()); err != nil {
		s.fail(w, err)
		return
	}
	s.answer(w, s.mountStatus())
}

func (s *Server) wait(w http.ResponseWriter, r *http.Request) {
	var req WaitRequest
	if err := readBody(w, r, &req); err != nil {
		s.fail(w, err)
		return
	}
	var err error
	if req.Commit == "" {
		err = s.opts.Mount.WaitStaged(r.Context(), inMount(req.Path))
	} else {
		err = s.opts.Mount.WaitCommit(r.Context(), req.Path, req.Commit)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	s.answer(w, struct{}{})
}

func (s *Server) methods(w http.ResponseWriter, _ *http.Request) {
	infos := make([]MethodInfo, 0, len(table))
	for _, m := range table {
		infos = append(infos, m.MethodInfo)
	}
	s.answer(w, infos)
}

func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	m, err := LookupMethod(r.PathValue("method"))
	if err != nil {
		s.fail(w, err)
		return
	}
	inBackground, err := wantsBackground(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	params := map[string]json.RawMessage{}
	small := r.ContentLength >= 0 && r.ContentLength <= smallBody
	if small {
		if err := readBody(w, r, &params); err != nil {
			s.fail(w, err)
			return
		}
	}
	if err := s.slot(r.Context()); err != nil {
		s.fail(w, err)
		return
	}
	defer func() { <-s.calls }()
	if !small {
		if err := readBody(w, r, &params); err != nil {
			s.fail(w, err)
			return
		}
	}
	if inBackground {
		s.background(w, r, m, params)
		return
	}
	// The request's context ends when the caller goes away, and the call with it.
	res, err := m.Call(r.Context(), s.opts.API, params)
	if err != nil {
		s.fail(w, err)
		return
	}
	if res.Elements == nil {
		s.answer(w, res.Value)
		return
	}
	s.stream(w, res)
}

// wantsBackground reads ?background=1.
func wantsBackground(r *http.Request) (bool, error) {
	switch v := r.URL.Query().Get("background"); v {
	case "", "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	default:
		return false, badParam("background", "is %s, and must be 1 or 0", v)
	}
}

// slot waits until one more call may run; whoever gets one gives it back.
func (s *Server) slot(ctx context.Context) error {
	select {
	case s.calls <- struct{}{}:
		return nil
	default:
	}
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		return &Error{Status: http.StatusTooManyRequests, Kind: KindOverloaded, RetryAfter: 1,
			Message: fmt.Sprintf("%d calls are running and %d wait already; try again when some have ended", cap(s.calls), cap(s.waiting))}
	}
	select {
	case s.calls <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stream writes a list as it comes. The status is sent with the first element, so that a call that
// fails at once has an error for an answer.
func (s *Server) stream(w http.ResponseWriter, res *Result) {
	out := newPromptWriter(w)
	defer out.close()
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	begun := false
	for e, err := range res.Elements {
		if err != nil && !begun {
			s.fail(w, err)
			return
		}
		if err != nil {
			b, _ := json.Marshal(AsError(err)) // strings and numbers always marshal
			w.Header().Set(ErrorTrailer, string(b))
			return
		}
		sep := ",\n"
		if !begun {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Trailer", ErrorTrailer)
			sep, begun = "[\n", true
		}
		if _, err := io.WriteString(out, sep); err != nil {
			return
		}
		if err := enc.Encode(e); err != nil {
			s.log.Warn("control socket: answer broken off", "err", err)
			return
		}
	}
	if !begun {
		s.answer(w, []any{})
		return
	}
	_, _ = io.WriteString(out, "]\n") // nobody is left to tell
}

// readBody reads JSON; an empty body leaves v as it is.
func readBody(w http.ResponseWriter, r *http.Request, v any) error {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTime))
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{Status: http.StatusRequestTimeout, Kind: KindTimeout, Message: fmt.Sprintf("the body didn't come within %s", bodyTime)}
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &Error{Status: http.StatusRequestEntityTooLarge, Kind: KindBadRequest,
			Message: fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit)}
	}
	if err == nil && dec.More() {
		err = errors.New("more than one value")
	}
	if err != nil {
		return &Error{Status: http.StatusBadRequest, Kind: KindBadRequest, Message: "the body isn't the JSON object that is expected: " + err.Error()}
	}
	return nil
}

func (s *Server) answer(w http.ResponseWriter, v any) {
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(slowReader))
	defer func() { _ = rc.SetWriteDeadline(time.Time{}) }()
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		s.log.Warn("control socket: answer failed", "err", err)
	}
}

func (s *Server) fail(w http.ResponseWriter, err error) {
	e := AsError(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	s.encodeError(w, e)
}

func (s *Server) encodeError(w io.Writer, e *Error) {
	if err := json.NewEncoder(w).Encode(e); err != nil {
		s.log.Warn("control socket: answer failed", "err", err)
	}
}
