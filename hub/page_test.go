package hub

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestPages(t *testing.T) {
	var rec recorder
	c, srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		p, _ := strconv.Atoi(r.URL.Query().Get("p"))
		if p < 2 {
			w.Header().Set("Link", fmt.Sprintf(`<http://%s/api/models?search=x&p=%d>; rel="next"`, r.Host, p+1))
		}
		reply(200, fmt.Sprintf(`[{"id":"a/%d"},{"id":"a/%d"}]`, 2*p, 2*p+1))(w, r)
	}))
	_ = srv
	var ids []string
	for info, err := range c.ListRepos(t.Context(), Model, &ListReposOptions{Search: "x"}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, info.ID)
	}
	if got := strings.Join(ids, " "); got != "a/0 a/1 a/2 a/3 a/4 a/5" {
		t.Error(got)
	}
	if got := rec.take(); got != "GET /api/models?search=x\nGET /api/models?search=x&p=1\nGET /api/models?search=x&p=2" {
		t.Error(got)
	}
	// What isn't asked for isn't fetched.
	for _, err := range c.ListRepos(t.Context(), Model, &ListReposOptions{Limit: 2}) {
		if err != nil {
			t.Error(err)
		}
	}
	if got := rec.take(); got != "GET /api/models?limit=2" {
		t.Error(got)
	}
}

func TestHostileLinks(t *testing.T) {
	for _, link := range []string{
		`<http://evil.test/api/models?p=1>; rel="next"`,
		`<https://hub.test/api/models?p=1>; rel="next"`,
		`<http://hub.test:81/api/models?p=1>; rel="next"`,
		`<http://hub.test.evil/api/models?p=1>; rel="next"`,
		`<//evil.test/x>; rel="next"`,
		`<http://[>; rel="next"`,
	} {
		n := 0
		c := fake(t, func(w http.ResponseWriter, r *http.Request) {
			n++
			reply(200, `[]`, "Link", link)(w, r)
		})
		for _, err := range c.ListRepos(t.Context(), Model, nil) {
			wantKind(t, err, ErrProtocol)
		}
		if n != 1 {
			t.Errorf("%s was followed", link)
		}
	}
	n := 0
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		reply(200, `[]`, "Link", `</api/models?p=1>; rel="next"`)(w, r)
	})
	for _, err := range c.ListRepos(t.Context(), Model, nil) {
		wantKind(t, err, ErrProtocol)
	}
	if n != 2 {
		t.Errorf("a circle was followed for %d requests", n)
	}
}

func TestParseLink(t *testing.T) {
	for header, want := range map[string]string{
		`<http://a/b?c=d>; rel="next"`:                                      "http://a/b?c=d",
		`<http://a/b>; rel=next`:                                            "http://a/b",
		`<http://p>; rel="prev", <http://n>; title="a, b"; rel="next last"`: "http://n",
		`<http://a/b,c;d>;rel="NEXT"`:                                       "http://a/b,c;d",
		`<http://p>; rel="prev"`:                                            "",
		`<http://p>`:                                                        "",
		`<http://p`:                                                         "",
		`http://p; rel="next"`:                                              "",
		``:                                                                  "",
	} {
		if got, ok := parseLink(header, "next"); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", header, got, ok)
		}
	}
}

func FuzzLink(f *testing.F) {
	for _, s := range []string{`<http://a/b?c=d>; rel="next"`, `<a>;rel=prev,<b>;rel="x next"`, `<<>>;;;,,,"`, `<a>; rel="next`, `<a>;rel=next;rel=prev`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, ok := parseLink(s, "next")
		if ok && !strings.Contains(s, "<"+target+">") {
			t.Fatalf("%q has no %q", s, target)
		}
		c := fake(t, nil)
		resp := &http.Response{Header: http.Header{"Link": {s}}, Request: &http.Request{URL: mustParse(t, "http://hub.test/api/models")}}
		if next, err := c.nextPage(resp); err == nil && next != nil && !c.ours(next) {
			t.Fatalf("%q leads to %s", s, next)
		}
	})
}

func TestTree(t *testing.T) {
	var rec recorder
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		reply(200, `[
			{"type":"directory","path":"d/sub","oid":"`+oid1+`","size":0},
			{"type":"file","path":"d/a b.txt","oid":"`+oid2+`","size":5,
			 "lastCommit":{"id":"`+oid1+`","title":"t","date":"2024-01-02T03:04:05.678Z"},
			 "securityFileStatus":{"status":"safe","avScan":null,"pickleImportScan":{"x":1}}},
			{"type":"file","path":"d/big.bin","oid":"`+oid2+`","size":9,"lfs":{"oid":"`+sha1of+`","size":9,"pointerSize":120},"xetHash":"`+sha1of+`"}]`)(w, r)
	})
	var got []TreeEntry
	for e, err := range c.Tree(t.Context(), Repo{Dataset, "ns/name"}, "v 1", "d", &TreeOptions{Expand: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if asked := rec.take(); asked != "GET /api/datasets/ns/name/tree/v%201/d?expand=true&recursive=false" {
		t.Error(asked)
	}
	if len(got) != 3 || got[0].Type != TypeDirectory || got[1].LastCommit.Date.Nanosecond() != 678e6 || got[1].Security.Status != "safe" ||
		got[2].LFS.SHA256 != sha1of || got[2].LFS.PointerSize != 120 || got[2].Size != 9 || got[1].LFS != nil {
		t.Errorf("%+v", got)
	}
}

// What a hostile server lists never gets to the caller, and the rest does.
func TestHostileTree(t *testing.T) {
	entry := func(path string, more string) string {
		return `{"type":"file","path":` + strconv.Quote(path) + `,"oid":"` + oid1 + `","size":1` + more + `}`
	}
	bad := []string{
		entry("d/../../etc/passwd", ""), entry("/etc/passwd", ""), entry("d/.git/config", ""), entry("d//x", ""), entry("d/.", ""),
		entry("d/\\x", ""), entry("d/"+strings.Repeat("x", 256), ""), entry("other/x", ""), entry("d", ""), entry("", ""), entry("d/sub/x", ""),
		`{"type":"file","path":"d/x","oid":"../../x","size":1}`,
		`{"type":"file","path":"d/x","oid":"` + strings.ToUpper(sha1of[:40]) + `","size":1}`,
		`{"type":"file","path":"d/x","size":1}`,
		`{"type":"file","path":"d/x","oid":"` + oid1 + `","size":-1}`,
		entry("d/x", `,"lfs":{"oid":"../x","size":1,"pointerSize":1}`),
		entry("d/x", `,"lfs":{"oid":"`+sha1of+`","size":2,"pointerSize":1}`),
		`{}`,
	}
	var log logBuffer
	c := fake(t, reply(200, "["+strings.Join(bad, ",")+","+entry("d/good", "")+"]"), func(cfg *Config) { cfg.Logger = log.logger() })
	var got []string
	for e, err := range c.Tree(t.Context(), testRepo, "main", "d", nil) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Path)
	}
	if !slices.Equal(got, []string{"d/good"}) {
		t.Errorf("%q", got)
	}
	if n := strings.Count(log.String(), "left out of a listing"); n != len(bad) {
		t.Errorf("%d of %d are logged", n, len(bad))
	}
	got = nil
	for e, err := range c.Tree(t.Context(), testRepo, "main", "", &TreeOptions{Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Path)
	}
	if !slices.Equal(got, []string{"other/x", "d", "d/sub/x", "d/good"}) {
		t.Errorf("%q", got)
	}
}

func TestTreeErrors(t *testing.T) {
	for _, tt := range []struct {
		h    http.HandlerFunc
		want error
	}{
		{reply(404, "{}", "X-Error-Code", "EntryNotFound"), ErrEntryNotFound},
		{reply(200, `{"error":"x"}`), ErrProtocol},
		{reply(200, `[1]`), ErrProtocol},
		{reply(200, `[{"path":"a`), ErrUnavailable},
		{reply(200, "<html>", "Content-Type", "text/html"), ErrProtocol},
	} {
		c := fake(t, tt.h, func(cfg *Config) { cfg.Retries = -1 })
		n := 0
		for _, err := range c.Tree(t.Context(), testRepo, "main", "", nil) {
			n++
			wantKind(t, err, tt.want)
		}
		if n != 1 {
			t.Errorf("%d errors", n)
		}
	}
	c := fake(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for _, args := range [][2]string{{"", "x"}, {"main", "../x"}, {"a\nb", ""}} {
		for _, err := range c.Tree(t.Context(), testRepo, args[0], args[1], nil) {
			var ve *ValidationError
			if !errors.As(err, &ve) {
				t.Error(err)
			}
		}
	}
}

func FuzzTree(f *testing.F) {
	for _, s := range []string{
		`[{"type":"file","path":"a","oid":"` + oid1 + `","size":1}]`, `[{"path":"../a"}]`, `[]`, `{}`, `[null]`, `[{"size":1e99}]`,
		`[{"type":"file","path":"a","oid":"` + oid1 + `","size":1,"lfs":{}}]`, `[{"lastCommit":{"date":"x"}}]`, `[[[[`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c := fake(t, reply(200, body), func(cfg *Config) { cfg.Retries = -1 })
		for e, err := range c.Tree(t.Context(), testRepo, "main", "", &TreeOptions{Recursive: true}) {
			if err != nil {
				continue
			}
			if ValidPath(e.Path) != nil || !isOID(e.OID) || e.Size < 0 || e.LFS != nil && !isSHA256(e.LFS.SHA256) {
				t.Fatalf("%+v", e)
			}
		}
	})
}

func TestPathsInfo(t *testing.T) {
	var rec recorder
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		_ = r.ParseForm()
		if n := len(r.PostForm["paths"]); n > 1000 {
			reply(413, "{}")(w, r)
			return
		}
		var items []string
		for _, p := range append(r.PostForm["paths"], "not/asked") {
			if p != "missing" {
				items = append(items, fmt.Sprintf(`{"type":"file","path":%q,"oid":%q,"size":3}`, p, oid1))
			}
		}
		reply(200, "["+strings.Join(items, ",")+"]")(w, r)
	})
	paths := []string{"missing"}
	for i := range 1500 {
		paths = append(paths, fmt.Sprintf("f%d", i))
	}
	got, err := c.PathsInfo(t.Context(), testRepo, "main", paths, false)
	if err != nil || len(got) != 1500 || strings.Count(rec.take(), "POST") != 2 {
		t.Errorf("%d entries, %v", len(got), err)
	}
	if got, err := c.PathsInfo(t.Context(), testRepo, "main", nil, false); err != nil || len(got) != 0 || rec.take() != "" {
		t.Errorf("no paths: %v, %v", got, err)
	}
}

func TestPathsInfoByTree(t *testing.T) {
	for _, status := range []int{404, 405, 501} {
		var rec recorder
		c := fake(t, func(w http.ResponseWriter, r *http.Request) {
			rec.note(r)
			switch {
			case r.Method == http.MethodPost:
				reply(status, "no such thing")(w, r)
			case strings.HasSuffix(r.URL.Path, "/tree/main"):
				reply(200, `[{"type":"directory","path":"d","oid":"`+oid1+`"},{"type":"file","path":"x","oid":"`+oid1+`","size":1}]`)(w, r)
			case strings.HasSuffix(r.URL.Path, "/tree/main/d"):
				reply(200, `[{"type":"file","path":"d/y","oid":"`+oid1+`","size":1}]`)(w, r)
			default:
				reply(404, "{}", "X-Error-Code", "EntryNotFound")(w, r)
			}
		}, func(cfg *Config) { cfg.Retries = -1 })
		for range 2 {
			got, err := c.PathsInfo(t.Context(), testRepo, "main", []string{"d", "d/y", "no/z", "d/none"}, false)
			if err != nil || len(got) != 2 {
				t.Errorf("%d: %+v, %v", status, got, err)
			}
		}
		if n := strings.Count(rec.take(), "POST"); n != 1 {
			t.Errorf("asked %d times for what isn't there", n)
		}
	}
	c := fake(t, reply(404, "{}", "X-Error-Code", "RepoNotFound"))
	_, err := c.PathsInfo(t.Context(), testRepo, "main", []string{"d"}, false)
	wantKind(t, err, ErrRepoNotFound)
}
