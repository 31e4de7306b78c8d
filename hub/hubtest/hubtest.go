package hubtest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/localhub"
)

// Alice is the user that every Hub of a test has, with a token that may write.
const (
	Alice      = "alice"
	AliceToken = "hf_alice"
)

// Option changes how the Hub of a test is set up.
type Option func(*localhub.Options)

// WithNetwork lets the Hub behave like a bad network.
func WithNetwork(n localhub.Network) Option {
	return func(o *localhub.Options) { o.Network = n }
}

// WithRateLimits gives every user a quota of requests.
func WithRateLimits(l localhub.RateLimits) Option {
	return func(o *localhub.Options) { o.RateLimits = l }
}

// WithUsers adds users beside alice.
func WithUsers(u ...localhub.User) Option {
	return func(o *localhub.Options) { o.Users = append(o.Users, u...) }
}

// WithPageSize sets the size of a page of a listing.
func WithPageSize(n int) Option {
	return func(o *localhub.Options) { o.PageSize = n }
}

// WithChunkSize sets the size above which LFS objects are uploaded in parts.
func WithChunkSize(n int64) Option {
	return func(o *localhub.Options) { o.ChunkSize = n }
}

// WithRoot keeps the Hub in a folder that outlives the server.
func WithRoot(dir string) Option {
	return func(o *localhub.Options) { o.Root = dir }
}

// WithClock gives Spaces and inference endpoints another clock than the real one.
func WithClock(now func() time.Time) Option {
	return func(o *localhub.Options) { o.Now = now }
}

// WithStartup sets how long it takes until a Space or an inference endpoint runs.
func WithStartup(d time.Duration) Option {
	return func(o *localhub.Options) { o.Startup = d }
}

// Server is a Hub that listens on two loopback ports until the test ends.
type Server struct {
	URL        string // of the API: the client's endpoint
	ContentURL string
	User       string // Alice
	Token      string // AliceToken
	Hub        *localhub.Hub

	t       testing.TB
	opt     localhub.Options
	addrs   [2]string // of the API and of the content, with ports once they are known
	servers []*http.Server
}

// New starts a Hub in a folder of the test's own. Everything ends with the test.
func New(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := &Server{User: Alice, Token: AliceToken, t: t, addrs: [2]string{"127.0.0.1:0", "127.0.0.1:0"}}
	s.opt.NoSync = true // no test pulls the plug
	s.opt.Users = []localhub.User{{Name: Alice, Token: AliceToken, Fullname: "Alice"}}
	for _, o := range opts {
		o(&s.opt)
	}
	if s.opt.Root == "" {
		s.opt.Root = t.TempDir()
	}
	t.Cleanup(s.Close)
	s.Start()
	return s
}

// Start opens the Hub again after Stop, with its state and on the same ports. Hub
// is a new value afterwards.
func (s *Server) Start() {
	s.t.Helper()
	if s.Hub != nil {
		s.t.Fatal("hubtest: the Hub is running")
	}
	h, err := localhub.New(s.opt)
	if err != nil {
		s.t.Fatalf("hubtest: %v", err)
	}
	s.Hub = h
	for i, handler := range []http.Handler{h, h.ContentHandler()} {
		l, err := listen(s.addrs[i])
		if err != nil {
			s.t.Fatalf("hubtest: %v", err)
		}
		s.addrs[i] = l.Addr().String()
		srv := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		s.servers = append(s.servers, srv)
		go serve(s.t, srv, l)
	}
	s.URL, s.ContentURL = "http://"+s.addrs[0], "http://"+s.addrs[1]
	if err := h.SetContentURL(s.ContentURL); err != nil {
		s.t.Fatalf("hubtest: %v", err)
	}
}

func listen(addr string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(context.Background(), "tcp", addr)
}

func serve(t testing.TB, srv *http.Server, l net.Listener) {
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("hubtest: %v", err)
	}
}

// Stop closes the ports, the connections and the Hub, as if its process had died.
func (s *Server) Stop() {
	s.t.Helper()
	if s.Hub == nil {
		return
	}
	for _, srv := range s.servers {
		if err := srv.Close(); err != nil {
			s.t.Errorf("hubtest: %v", err)
		}
	}
	// A test's own requests don't start on a connection that is dead by now: net/http can't repeat a PATCH.
	http.DefaultClient.CloseIdleConnections()
	if err := s.Hub.Close(); err != nil {
		s.t.Errorf("hubtest: %v", err)
	}
	s.Hub, s.servers = nil, nil
}

// Close stops the server for good. New arranges for it.
func (s *Server) Close() { s.Stop() }

// Client returns a client of the Hub with alice's token.
func (s *Server) Client() *hub.Client {
	s.t.Helper()
	return s.ClientWithToken(s.Token)
}

// ClientWithToken returns a client with another token; "" is anonymous.
func (s *Server) ClientWithToken(token string) *hub.Client {
	s.t.Helper()
	c, err := hub.New(hub.Config{Endpoint: s.URL, InferenceEndpoints: s.URL + "/v2", Token: hub.StaticToken(token)})
	if err != nil {
		s.t.Fatalf("hubtest: %v", err)
	}
	s.t.Cleanup(c.CloseIdleConnections)
	return c
}

// Repo makes a model repository of alice's with these files, all of them
// regular, and returns its id.
func (s *Server) Repo(name string, files map[string]string) string {
	s.t.Helper()
	id := s.User + "/" + name
	if err := s.Hub.CreateRepo(localhub.Model, id, localhub.RepoOptions{}); err != nil {
		s.t.Fatalf("hubtest: %v", err)
	}
	if len(files) > 0 {
		s.Commit(id, files)
	}
	return id
}

// Commit adds regular files to branch main of a model repository and returns the
// commit.
func (s *Server) Commit(id string, files map[string]string) string {
	s.t.Helper()
	in := localhub.CommitInput{Title: "add files"}
	for p, content := range files {
		in.Operations = append(in.Operations, localhub.Operation{Kind: localhub.OpAdd, Path: p, Content: []byte(content)})
	}
	oid, err := s.Hub.Commit(localhub.Model, id, "main", in)
	if err != nil {
		s.t.Fatalf("hubtest: %v", err)
	}
	return oid
}
