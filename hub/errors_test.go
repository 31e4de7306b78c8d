package hub

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v, want the kind %q", err, kind)
	}
}

func mustParse(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestErrorKinds(t *testing.T) {
	const api, resolve = "https://h/api/models/a/b", "https://h/a/b/resolve/main/x"
	for _, tt := range []struct {
		status             int
		code, message, url string
		want               error
	}{
		{404, "RevisionNotFound", "", api, ErrRevisionNotFound},
		{500, "RevisionNotFound", "", api, ErrRevisionNotFound},
		{404, "EntryNotFound", "", api, ErrEntryNotFound},
		{403, "GatedRepo", "", api, ErrGatedRepo},
		{401, "GatedRepo", "", api, ErrGatedRepo},
		{403, "", "Access to this resource is disabled.", api, ErrDisabledRepo},
		{404, "RepoNotFound", "", api, ErrRepoNotFound},
		{401, "RepoNotFound", "", "http://h/api/models/a/b", ErrRepoNotFound},
		{401, "", "", api, ErrRepoNotFound},
		{401, "", "", resolve, ErrRepoNotFound},
		{401, "", "Invalid credentials in Authorization header", api, ErrUnauthorized},
		{401, "", "", "http://h/api/models/a/b", ErrUnauthorized},
		{401, "", "", "https://h/api/models", ErrUnauthorized},
		{401, "", "", "https://h/api/whoami-v2", ErrUnauthorized},
		{401, "", "", "https://h/api/repos/create", ErrUnauthorized},
		{400, "", "", api, ErrBadRequest},
		{402, "", "", api, ErrForbidden},
		{403, "", "", api, ErrForbidden},
		{404, "", "", api, ErrNotFound},
		{408, "", "", api, ErrUnavailable},
		{409, "", "", api, ErrConflict},
		{410, "", "", api, ErrNotFound},
		{412, "", "", api, ErrPreconditionFailed},
		{413, "", "", api, ErrTooLarge},
		{416, "", "", api, ErrRangeNotSatisfiable},
		{418, "", "", api, ErrBadRequest},
		{422, "", "", api, ErrUnprocessable},
		{429, "", "", api, ErrRateLimited},
		{500, "", "", api, ErrUnavailable},
		{504, "", "", api, ErrUnavailable},
	} {
		if got := errorKind(tt.status, tt.code, tt.message, mustParse(t, tt.url)); got != tt.want { //nolint:errorlint // the very kind
			t.Errorf("%d %s %q at %s: %v, want %v", tt.status, tt.code, tt.message, tt.url, got, tt.want)
		}
	}
	for _, kind := range []error{ErrRepoNotFound, ErrRevisionNotFound, ErrEntryNotFound} {
		if !errors.Is(&Error{kind: kind}, ErrNotFound) {
			t.Errorf("%v isn't ErrNotFound", kind)
		}
	}
	if errors.Is(&Error{kind: ErrNotFound}, ErrRepoNotFound) || !errors.Is(ErrGatedRepo, ErrForbidden) {
		t.Error("the kinds are related the wrong way round")
	}
}

func TestErrorMessages(t *testing.T) {
	for _, tt := range []struct {
		name, header, body, typ string
		want                    string
	}{
		{"string", "", `{"error":"one"}`, "application/json", "one"},
		{"header first, once", "one", `{"error":"one","errors":[{"message":"two"},{"message":"one"}]}`, "application/json", "one; two"},
		{"list", "", `{"error":["one"," two ",""]}`, "application/json", "one; two"},
		{"description", "", `{"error":"one","error_description":"why"}`, "application/json", "one: why"},
		{"odd types", "", `{"error":{"a":1},"errors":[{"message":"two"}]}`, "application/json", "two"},
		{"text", "", "one\n\n two", "text/plain", "one; two"},
		{"html", "", "<html>no</html>", "text/html; charset=utf-8", ""},
		{"bare string", "", `"one"`, "application/json", "one"},
		{"array", "", `["one"]`, "application/json", ""},
		{"a token", "", `{"error":"bad ` + testToken + ` given, or hf_otherTOKENvalue, Bearer abc.def"}`, "application/json", "bad REDACTED given, or REDACTED, REDACTED"},
		{"controls", "", "{\"error\":\"a\\u001b[31mb\\u0000\"}", "application/json", "a [31mb "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := serve(t, reply(400, tt.body, "Content-Type", tt.typ, "X-Error-Message", tt.header, "X-Request-Id", "Root=1;abc"))
			_, err := c.WhoAmI(t.Context())
			var e *Error
			if !errors.As(err, &e) || e.Message != tt.want || e.RequestID != "Root=1;abc" || e.Status != 400 {
				t.Fatalf("%#v", e)
			}
			mustContain(t, err.Error(), "GET http://127.0.0.1:", "/api/whoami-v2", "400", "Root=1;abc")
			if strings.ContainsAny(err.Error(), "\n\x1b\x00") || strings.Contains(err.Error(), testToken) {
				t.Error(err)
			}
		})
	}
}

func TestErrorBodyIsBounded(t *testing.T) {
	c, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		for r.Context().Err() == nil { // without an end
			if _, err := io.WriteString(w, strings.Repeat("x", 1<<16)); err != nil {
				return
			}
		}
	}))
	_, err := c.WhoAmI(t.Context())
	wantKind(t, err, ErrUnavailable)
	if len(err.Error()) > 4096 {
		t.Errorf("%d bytes of error", len(err.Error()))
	}
}

func TestNotJSON(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"html":            reply(200, "<html>log in</html>", "Content-Type", "text/html"),
		"html as json":    reply(200, "\n <!doctype html>"),
		"text":            reply(200, "OK"),
		"wrong type":      reply(200, `{"id":7}`),
		"list for object": reply(200, `[]`),
		"trailing":        reply(200, `{"id":"ns/name"} {"id":"ns/name"}`),
		"no id":           reply(200, `{}`),
		"hostile id":      reply(200, `{"id":"../../etc"}`),
		"hostile sha":     reply(200, `{"id":"ns/name","sha":"../x"}`),
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, h)
			_, err := c.RepoInfo(t.Context(), testRepo, nil)
			wantKind(t, err, ErrProtocol)
			if strings.HasPrefix(name, "html") {
				mustContain(t, err.Error(), "web page", "endpoint")
			}
		})
	}
	c, _ := serve(t, reply(200, `{"id":"ns/na`))
	_, err := c.RepoInfo(t.Context(), testRepo, nil)
	wantKind(t, err, ErrUnavailable) // it has broken off
	wantKind(t, err, io.ErrUnexpectedEOF)
}

func TestContextErrors(t *testing.T) {
	started := make(chan struct{}, 1)
	c, _ := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	_, err := c.WhoAmI(ctx)
	wantKind(t, err, context.Canceled)
	if errors.Is(err, ErrUnavailable) {
		t.Error("the caller's own cancelling is the Hub's fault")
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = c.WhoAmI(ctx)
	wantKind(t, err, context.DeadlineExceeded)
}

func TestUnreachable(t *testing.T) {
	c, srv := serve(t, reply(200, "{}"))
	srv.Close()
	_, err := c.WhoAmI(t.Context())
	wantKind(t, err, ErrUnavailable)
}

func TestRedactURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://u:p@h/x?a=1": "https://h/x?a=REDACTED",
		"https://h/x?X-Amz-Signature=s&expand=sha&recursive=true": "https://h/x?X-Amz-Signature=REDACTED&expand=sha&recursive=true",
		"https://h/x?SECRET":            "https://h/x?REDACTED",
		"https://h/x?%zz=1":             "https://h/x?%zz=REDACTED",
		"https://h/a%2Fb#frag":          "https://h/a%2Fb",
		"https://h/x?cursor=abc&limit=": "https://h/x?cursor=REDACTED&limit=",
	} {
		if got := redactURL(mustParse(t, in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	l := Location{URL: "https://h/x?Signature=topsecret"}
	if strings.Contains(l.String(), "topsecret") {
		t.Error(l)
	}
}

func FuzzServerMessage(f *testing.F) {
	for _, s := range []string{`{"error":"x"}`, `{"error":["x"]}`, `{"errors":[{"message":"x"}]}`, `"x"`, `[1]`, `{"error":null}`, "plain\ntext", "<html>", "\x00\x1b[0m", `{"error":"hf_abcdefgh"}`} {
		f.Add(s, "x", "application/json")
	}
	f.Fuzz(func(t *testing.T, body, header, typ string) {
		req, _ := http.NewRequest(http.MethodGet, "https://h/api/models/a/b?sig=s", nil)
		req.Header.Set("Authorization", "Bearer "+testToken)
		resp := &http.Response{
			StatusCode: http.StatusBadRequest, Request: req, Body: io.NopCloser(strings.NewReader(body)),
			Header: http.Header{"X-Error-Message": {header}, "Content-Type": {typ}, "X-Request-Id": {header}},
		}
		text := responseError(resp).Error()
		if strings.Contains(text, testToken) || strings.ContainsAny(text, "\n\r\x00\x1b") || len(text) > 8192 {
			t.Fatalf("%q", text)
		}
	})
}
