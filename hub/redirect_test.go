package hub

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder notes what a handler is asked.
type recorder struct {
	mu   sync.Mutex
	seen []string
}

func (r *recorder) note(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, req.Method+" "+req.URL.RequestURI())
}

// take is what was asked since the last take.
func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := strings.Join(r.seen, "\n")
	r.seen = nil
	return s
}

// A renamed repository is followed with method, body and query, and asked for
// under its new name afterwards.
func TestRenamedRepo(t *testing.T) {
	for _, status := range []int{301, 302, 307, 308} {
		synctest.Test(t, func(t *testing.T) {
			var rec recorder
			moved := "new/name"
			c := fake(t, func(w http.ResponseWriter, r *http.Request) {
				rec.note(r)
				switch {
				case strings.Contains(r.URL.Path, "/old/name"):
					w.Header().Set("Location", strings.Replace(r.URL.EscapedPath(), "old/name", moved, 1)) // without the query
					w.WriteHeader(status)
				case !strings.Contains(r.URL.Path, moved):
					reply(404, `{"error":"gone"}`, "X-Error-Code", "RepoNotFound")(w, r)
				case r.Method == http.MethodPost:
					body, _ := io.ReadAll(r.Body)
					if string(body) != "expand=false&paths=a" {
						t.Errorf("the body became %q", body)
					}
					reply(200, `[]`)(w, r)
				default:
					reply(200, `[]`)(w, r)
				}
			})
			old := Repo{Model, "old/name"}
			list := func() {
				t.Helper()
				for _, err := range c.Tree(t.Context(), old, "main", "a dir", &TreeOptions{Recursive: true}) {
					t.Error(err)
				}
			}
			if _, err := c.PathsInfo(t.Context(), old, "refs/pr/1", []string{"a"}, false); err != nil {
				t.Fatal(err)
			}
			if got := rec.take(); got != "POST /api/models/old/name/paths-info/refs%2Fpr%2F1\nPOST /api/models/new/name/paths-info/refs%2Fpr%2F1" {
				t.Error(got)
			}
			list()
			if got := rec.take(); got != "GET /api/models/new/name/tree/main/a%20dir?expand=false&recursive=true" {
				t.Error(got)
			}
			moved = "newer/name" // renamed again: found again from the old name
			list()
			if got := rec.take(); got != "GET /api/models/new/name/tree/main/a%20dir?expand=false&recursive=true\n"+
				"GET /api/models/old/name/tree/main/a%20dir?expand=false&recursive=true\n"+
				"GET /api/models/newer/name/tree/main/a%20dir?expand=false&recursive=true" {
				t.Error(got)
			}
			time.Sleep(renameTTL) // by then the old name may be somebody else's
			list()
			if got := rec.take(); !strings.HasPrefix(got, "GET /api/models/old/name/") {
				t.Error(got)
			}
		})
	}
}

func TestRedirectsThatAreNoRename(t *testing.T) {
	for name, location := range map[string]string{
		"resolve cache": "/api/resolve-cache/models/ns/name/" + oid1 + "/x",
		"other path":    "/other/name/resolve/main/y",
		"no valid id":   "/a--b/name/resolve/main/x",
		"no id":         "/resolve/main/x",
	} {
		t.Run(name, func(t *testing.T) {
			var rec recorder
			c := fake(t, func(w http.ResponseWriter, r *http.Request) {
				rec.note(r)
				if strings.HasPrefix(r.URL.Path, "/ns/name/") {
					w.Header().Set("Location", location+"?etag=1")
					w.WriteHeader(http.StatusTemporaryRedirect)
					return
				}
				reply(200, "content", "X-Repo-Commit", oid1, "ETag", `"`+oid2+`"`, "Content-Length", "7")(w, r)
			})
			for range 2 {
				if _, err := c.FileMetadata(t.Context(), FileRef{Repo: testRepo, Path: "x"}); err != nil {
					t.Fatal(err)
				}
				got := rec.take()
				if !strings.HasPrefix(got, "HEAD /ns/name/resolve/main/x\n") || !strings.HasSuffix(got, "?etag=1") {
					t.Error(got)
				}
			}
		})
	}
}

func TestBadRedirects(t *testing.T) {
	for name, location := range map[string]string{
		"circle":    "/api/whoami-v2",
		"none":      "",
		"no URL":    "http://[",
		"scheme":    "file:///etc/passwd",
		"with user": "http://u:p@other.test/",
		"no host":   "http:///x",
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
				n++
				if location != "" {
					w.Header().Set("Location", location)
				}
				w.WriteHeader(http.StatusFound)
			})
			_, err := c.WhoAmI(t.Context())
			wantKind(t, err, ErrProtocol)
			if n > maxHops {
				t.Errorf("%d requests", n)
			}
		})
	}
	c := fake(t, reply(302, "", "Location", "http://hub.test/api/whoami-v2"), func(cfg *Config) { cfg.Endpoint = "https://hub.test" })
	_, err := c.WhoAmI(t.Context())
	wantKind(t, err, ErrProtocol) // out of the encryption
}

func TestSeeOtherIsAsked(t *testing.T) {
	var rec recorder
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		if r.Method == http.MethodPost {
			http.Redirect(w, r, "/api/done", http.StatusSeeOther)
			return
		}
		reply(200, "{}")(w, r)
	})
	if err := c.MoveRepo(t.Context(), testRepo, "ns/x"); err != nil {
		t.Fatal(err)
	}
	if got := rec.take(); got != "POST /api/repos/move\nGET /api/done" {
		t.Error(got)
	}
}

func TestHeaders(t *testing.T) {
	var got []http.Header
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Clone())
		if r.URL.Path != "/api/there" {
			http.Redirect(w, r, "/api/there", http.StatusTemporaryRedirect)
			return
		}
		reply(200, `{"name":"u"}`)(w, r)
	}, func(cfg *Config) {
		cfg.LibraryName, cfg.LibraryVersion, cfg.UserAgent = "lib", "1.2", "extra/3"
		cfg.Headers = http.Header{"x-mine": {"a"}}
	})
	if _, err := c.WhoAmI(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, h := range got {
		if ua := h.Get("User-Agent"); !strings.HasPrefix(ua, "lib/1.2; go/") || !strings.HasSuffix(ua, "; extra/3") {
			t.Error(ua)
		}
		if h.Get("Authorization") != "Bearer "+testToken || h.Get("X-Mine") != "a" {
			t.Error(h)
		}
	}
	if a, b := got[0].Get("X-Amzn-Trace-Id"), got[1].Get("X-Amzn-Trace-Id"); len(a) != 36 || a != b {
		t.Errorf("trace ids %q and %q", a, b)
	}
}

func TestNewRefusesEndpoints(t *testing.T) {
	for _, e := range []string{"huggingface.co", "ftp://h", "http://", "http://u:secret@h", "http://h?x=1", "http://[", "/x"} {
		_, err := New(Config{Endpoint: e})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", e, err)
		}
	}
	c, err := New(Config{Endpoint: "http://h/prefix/"})
	if err != nil || c.Endpoint() != "http://h/prefix" {
		t.Error(err)
	}
}

// Nothing that is logged or said has the token or a signature in it.
func TestNothingSecretIsLogged(t *testing.T) {
	var log logBuffer
	const signature = "s3cr3t-signature"
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-HF-Warning", "token; yours is "+testToken)
		switch {
		case r.Host == "cdn.test":
			reply(403, "denied "+r.URL.RawQuery)(w, r)
		case strings.Contains(r.URL.Path, "resolve"):
			w.Header().Set("X-Repo-Commit", oid1)
			w.Header().Set("X-Linked-Etag", `"`+sha1of+`"`)
			http.Redirect(w, r, "https://cdn.test/x?X-Amz-Signature="+signature, http.StatusFound)
		default:
			reply(500, "you sent "+r.Header.Get("Authorization"))(w, r)
		}
	}, func(cfg *Config) { cfg.Logger, cfg.Retries = log.logger(), -1 })
	_, err := c.WhoAmI(t.Context())
	wantKind(t, err, ErrUnavailable)
	_, err2 := c.OpenFile(t.Context(), FileRef{Repo: testRepo, Path: "x"}, Range{Len: -1})
	wantKind(t, err2, ErrUnavailable)
	all := log.String() + err.Error() + err2.Error()
	if strings.Contains(all, testToken) {
		t.Errorf("the token is told:\n%s", all)
	}
	if strings.Contains(log.String(), signature) || strings.Contains(err2.Error(), "?X-Amz-Signature="+signature) {
		t.Errorf("the signature is told:\n%s\n%v", log.String(), err2)
	}
	mustContain(t, log.String(), "method=GET", "url=http://hub.test/api/whoami-v2", "status=500", "X-Amz-Signature=REDACTED")
	if n := strings.Count(log.String(), "the Hub says"); n != 1 {
		t.Errorf("the warning is logged %d times", n)
	}
}
