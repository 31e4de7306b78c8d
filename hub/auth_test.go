package hub

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestTokenSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	env := Env{TokenPath: file}
	token := func(s TokenSource) string {
		t.Helper()
		tok, err := s.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	fromFile := FileToken(file)
	if got := token(fromFile); got != "" {
		t.Errorf("a missing file gives %q", got)
	}
	write(t, file, " one\r\n")
	if got := token(fromFile); got != "one" {
		t.Errorf("%q", got)
	}
	// Replaced by a rename, as secrets are, with the same size and time.
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file+".new", " two\r\n")
	if err := os.Chtimes(file+".new", info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	if got := token(fromFile); got != "two" {
		t.Errorf("%q", got)
	}
	for _, tt := range []struct {
		env  Env
		vars []string
		want string
	}{
		{env, nil, "two"},
		{env, []string{"HF_TOKEN=a", "HUGGING_FACE_HUB_TOKEN=b"}, "a"},
		{env, []string{"HF_TOKEN= ", "HUGGING_FACE_HUB_TOKEN=b\n"}, "b"},
		{Env{TokenPath: file, DisableImplicitToken: true}, []string{"HF_TOKEN=a"}, ""},
	} {
		if got := token(EnvTokenSource(getenv(tt.vars...), tt.env)); got != tt.want {
			t.Errorf("%v gives %q", tt.vars, got)
		}
	}
	if err := os.Mkdir(file+".dir", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := FileToken(file + ".dir").Token(t.Context()); err == nil {
		t.Error("a folder is a token")
	}
}

func TestTokenRotates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "old")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	c, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		if r.Header.Get("Authorization") != "Bearer new" {
			reply(401, `{"error":"Invalid username or password."}`)(w, r)
			return
		}
		reply(200, `{"name":"u","type":"user"}`)(w, r)
	}), func(cfg *Config) { cfg.Token = FileToken(file) })

	_, err = c.WhoAmI(t.Context())
	wantKind(t, err, ErrUnauthorized)
	if len(seen) != 1 {
		t.Errorf("an unchanged token was sent %d times", len(seen))
	}
	// Written in place within one tick of the clock: only the refusal tells.
	write(t, file, "new")
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	seen = nil
	if _, err := c.WhoAmI(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, ","); got != "Bearer old,Bearer new" {
		t.Error(got)
	}
}

func TestTokenStaysAtHome(t *testing.T) {
	var leaks atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("X-Secret") != "" {
			leaks.Add(1)
		}
		reply(200, `{"id":"ns/name"}`)(w, r)
	}))
	defer other.Close()
	var c *Client
	c, srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" || r.Header.Get("X-Secret") == "" {
			t.Error("the Hub didn't get the token")
		}
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
	}), func(cfg *Config) { cfg.Headers = http.Header{"x-secret": {"s"}} })

	if _, err := c.RepoInfo(t.Context(), testRepo, nil); err != nil {
		t.Fatal(err)
	}
	if n := leaks.Load(); n != 0 {
		t.Errorf("%d requests elsewhere had secrets", n)
	}
	// The same host by another name, port or scheme is another place.
	for _, u := range []string{"https" + strings.TrimPrefix(srv.URL, "http"), other.URL, "http://sub." + strings.TrimPrefix(srv.URL, "http://")} {
		if c.ours(mustParse(t, u)) {
			t.Errorf("%s is taken for %s", u, srv.URL)
		}
	}
	if https := mustParse(t, "https://hub.test"); !sameOrigin(https, mustParse(t, "https://HUB.test:443/x")) {
		t.Error("the default port makes a difference")
	}
	// A write must not be sent on at all.
	err := c.MoveRepo(t.Context(), testRepo, "ns/other")
	wantKind(t, err, ErrProtocol)
}

func TestTokenThatCannotBeSent(t *testing.T) {
	c, _ := serve(t, reply(200, `{}`), func(cfg *Config) { cfg.Token = StaticToken("hf_a\tb") })
	_, err := c.WhoAmI(t.Context())
	wantKind(t, err, ErrUnauthorized)
	if strings.Contains(err.Error(), "hf_a") {
		t.Error(err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
