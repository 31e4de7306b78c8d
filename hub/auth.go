package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// A TokenSource gives the access token of a request; "" makes it anonymous. It
// is asked before every request, from many goroutines, so that a token may
// change while a client lives.
type TokenSource interface {
	Token(ctx context.Context) (string, error)
}

// refresher is a TokenSource that remembers, and can be told to look again after
// the server has refused what it gave.
type refresher interface {
	refresh(ctx context.Context) (string, error)
}

// StaticToken always gives the same token, cleaned of line ends and spaces.
func StaticToken(token string) TokenSource { return staticToken(cleanToken(token)) }

type staticToken string

func (t staticToken) Token(context.Context) (string, error) { return string(t), nil }

// FileToken gives the token in a file, and reads it again when the file has
// changed. A file that doesn't exist is no token.
func FileToken(path string) TokenSource { return &fileToken{path: path} }

type fileToken struct {
	path string

	mu    sync.Mutex // guards the rest; held over stat and read of a small local file
	stat  fileStamp
	token string
}

// fileStamp tells one version of a file from the next. Secrets are usually
// replaced by a rename, which changes the identity even within one tick of mtime.
type fileStamp struct {
	info  os.FileInfo
	mtime time.Time
	size  int64
}

func (s fileStamp) same(info os.FileInfo) bool {
	return s.info != nil && os.SameFile(s.info, info) && s.mtime.Equal(info.ModTime()) && s.size == info.Size()
}

func (t *fileToken) Token(context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		t.stat, t.token = fileStamp{}, ""
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	if t.stat.same(info) {
		return t.token, nil
	}
	return t.read(info)
}

func (t *fileToken) refresh(ctx context.Context) (string, error) {
	t.mu.Lock()
	t.stat = fileStamp{}
	t.mu.Unlock()
	return t.Token(ctx)
}

// read requires t.mu.
func (t *fileToken) read(info os.FileInfo) (string, error) {
	data, err := os.ReadFile(t.path)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	t.stat, t.token = fileStamp{info, info.ModTime(), info.Size()}, cleanToken(string(data))
	return t.token, nil
}

// EnvTokenSource gives the token that the official client would use: HF_TOKEN,
// HUGGING_FACE_HUB_TOKEN, then the file at env.TokenPath; none under
// HF_HUB_DISABLE_IMPLICIT_TOKEN.
func EnvTokenSource(getenv func(string) string, env Env) TokenSource {
	if env.DisableImplicitToken {
		return StaticToken("")
	}
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if t := cleanToken(getenv(name)); t != "" {
			return StaticToken(t)
		}
	}
	return FileToken(env.TokenPath)
}

// cleanToken drops what copying and editors add.
func cleanToken(s string) string {
	return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(s))
}

// withoutTokenKey marks a request in its context as one that never carries the token.
type withoutTokenKey struct{}

func withoutToken(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutTokenKey{}, true)
}

// An authenticator adds the token to requests to our own endpoint, and takes
// care that no other host ever sees one.
type authenticator struct {
	next   http.RoundTripper
	ours   func(*url.URL) bool
	source TokenSource
}

func (a *authenticator) RoundTrip(req *http.Request) (*http.Response, error) {
	if !a.ours(req.URL) || req.Context().Value(withoutTokenKey{}) != nil {
		req = req.Clone(req.Context())
		req.Header.Del("Authorization")
		return a.next.RoundTrip(req)
	}
	if req.Header.Get("Authorization") != "" { // the caller's own
		return a.next.RoundTrip(req)
	}
	token, err := a.source.Token(req.Context())
	if err != nil {
		return nil, tokenError(req, err)
	}
	authorized, err := authorize(req, token)
	if err != nil {
		return nil, err
	}
	resp, err := a.next.RoundTrip(authorized)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	// A refused token may have been replaced since it was read.
	source, ok := a.source.(refresher)
	if !ok {
		return resp, nil
	}
	renewed, err := source.refresh(req.Context())
	if err != nil || renewed == token {
		return resp, nil //nolint:nilerr // the refusal says more than a token file that can't be read now
	}
	again, err := rewind(req)
	if err != nil {
		return resp, nil //nolint:nilerr // as above
	}
	if authorized, err = authorize(again, renewed); err != nil {
		return resp, nil //nolint:nilerr // as above
	}
	discard(resp)
	return a.next.RoundTrip(authorized)
}

// authorize is the request with the token; "" leaves it anonymous.
func authorize(req *http.Request, token string) (*http.Request, error) {
	if token == "" {
		return req, nil
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return nil, tokenError(req, errors.New("it holds characters that no token has"))
		}
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+token)
	return req, nil
}

// tokenError is a token that can't be had or sent.
func tokenError(req *http.Request, err error) error {
	return &Error{Method: req.Method, URL: redactURL(req.URL), Message: "the access token can't be used", Err: err, kind: ErrUnauthorized}
}
