package localhub_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// noRedirect is a client that shows redirects instead of following them.
var noRedirect = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// send makes a request. Headers are "Name: value" lines.
func send(t testing.TB, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		if k, v, ok := strings.Cut(h, ": "); ok {
			req.Header.Set(k, v)
		}
	}
	resp, err := noRedirect.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func auth(token string) string { return "Authorization: Bearer " + token }

// decode reads a JSON answer.
func decode[T any](t testing.TB, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	s := hubtest.New(t)
	id := s.Repo("m", map[string]string{"a b/ü.txt": "hello", "empty": ""})
	ref, err := s.Hub.PutLFS(strings.NewReader("large file"))
	must(t, err)
	head, err := s.Hub.Commit(localhub.Model, id, "main", localhub.CommitInput{Title: "lfs", Operations: []localhub.Operation{
		{Kind: localhub.OpAdd, Path: "big.bin", LFS: &ref},
	}})
	must(t, err)

	for _, method := range []string{"GET", "HEAD"} {
		resp, body := send(t, method, s.URL+"/"+id+"/resolve/main/a%20b/%C3%BC.txt", "")
		if resp.StatusCode != http.StatusOK || resp.Header.Get("ETag") != `"b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"` || resp.ContentLength != 5 || resp.Header.Get("X-Repo-Commit") != head {
			t.Errorf("%s regular: %d %v", method, resp.StatusCode, resp.Header)
		}
		if method == "GET" && body != "hello" {
			t.Errorf("body %q", body)
		}
	}
	resp, _ := send(t, "HEAD", s.URL+"/"+id+"/resolve/"+head+"/big.bin", "")
	h := resp.Header
	if resp.StatusCode != http.StatusFound || h.Get("X-Linked-Etag") != `"`+ref.OID+`"` || h.Get("X-Linked-Size") != "10" || h.Get("X-Repo-Commit") != head {
		t.Errorf("LFS: %d %v", resp.StatusCode, h)
	}
	loc := h.Get("Location")
	if !strings.HasPrefix(loc, s.ContentURL+"/") {
		t.Fatalf("Location %q", loc)
	}
	for _, c := range []struct {
		name, method, url, header string
		status                    int
		body                      string
	}{
		{"whole", "GET", loc, "", 200, "large file"},
		{"range", "GET", loc, "Range: bytes=6-", 206, "file"},
		{"if-range", "GET", loc, `If-Range: "` + ref.OID + `"`, 200, "large file"},
		{"none match", "GET", loc, `If-None-Match: "` + ref.OID + `"`, 304, ""},
		{"head", "HEAD", loc, "", 200, ""},
		{"bad range", "GET", loc, "Range: bytes=10-", 416, `{"error":"The range can't be satisfied"}` + "\n"},
		{"authorization", "GET", loc, auth(s.Token), 400, ""},
		{"bad signature", "GET", loc + "x", "", 403, ""},
		{"other object", "GET", strings.Replace(loc, ref.OID, strings.Repeat("a", 64), 1), "", 403, ""},
		{"put", "PUT", loc, "", 405, ""},
	} {
		resp, body := send(t, c.method, c.url, "", c.header)
		if resp.StatusCode != c.status || c.body != "" && body != c.body {
			t.Errorf("%s: %d %q", c.name, resp.StatusCode, body)
		}
		if resp.StatusCode >= 400 && (resp.Header.Get("X-Error-Code") == "" || resp.Header.Get("X-Error-Message") == "") {
			t.Errorf("%s: no code in %v", c.name, resp.Header)
		}
	}
	must(t, s.Hub.SetContentURL(""))
	if resp, body := send(t, "GET", s.URL+"/"+id+"/resolve/main/big.bin", "", auth(s.Token)); resp.StatusCode != http.StatusOK || body != "large file" {
		t.Errorf("without a content host: %d %q", resp.StatusCode, body)
	}
	if resp, body := send(t, "GET", s.URL+"/"+id+"/raw/main/big.bin", ""); resp.StatusCode != http.StatusOK || !strings.Contains(body, "oid sha256:"+ref.OID) {
		t.Errorf("raw: %d %q", resp.StatusCode, body)
	}
}

func TestTreePages(t *testing.T) {
	s := hubtest.New(t, hubtest.WithPageSize(40))
	files := map[string]string{}
	for i := range 95 {
		files[fmt.Sprintf("d/e%02d/f", i)] = "x"
	}
	id := s.Repo("m", files)
	for _, c := range []struct {
		query       string
		want, pages int
	}{
		{"recursive=True&expand=False", 1 + 1 + 95*2, 5}, // with .gitattributes and d
		{"recursive=false", 3, 1},                        // with new1 of the commit before
		{"recursive=1&expand=TRUE&limit=2", 193, 97},
		{"recursive=1&limit=7", 193, 28},
	} {
		seen := map[string]bool{}
		url, pages := s.URL+"/api/models/"+id+"/tree/main?"+c.query, 0
		for url != "" {
			resp, body := send(t, "GET", url, "")
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d %s", url, resp.StatusCode, body)
			}
			for _, e := range decode[[]map[string]any](t, body) {
				seen[e["path"].(string)] = true
				if strings.Contains(strings.ToLower(c.query), "expand=true") != (e["lastCommit"] != nil) {
					t.Errorf("lastCommit of %v", e)
				}
			}
			pages++
			link := resp.Header.Get("Link")
			url, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
			if pages == 1 {
				s.Commit(id, map[string]string{"new1": c.query}) // must not show on later pages
			}
		}
		if len(seen) != c.want || pages != c.pages {
			t.Errorf("%s: %d entries on %d pages, want %d on %d", c.query, len(seen), pages, c.want, c.pages)
		}
	}
}

func TestGoClientReads(t *testing.T) {
	s := hubtest.New(t)
	s.Repo("m", map[string]string{"a.txt": "A", "d/b.txt": "B"})
	who, err := s.Client().WhoAmI(t.Context())
	must(t, err)
	if who.Name != "alice" {
		t.Errorf("whoami: %+v", who)
	}
}
