package localhub_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// ndjson is the body of a commit: a header and lines of key and value.
func ndjson(header string, lines ...string) string {
	var b strings.Builder
	b.WriteString(`{"key":"header","value":{"summary":"a title","description":"d"` + header + `}}` + "\n")
	for _, l := range lines {
		key, value, _ := strings.Cut(l, " ")
		fmt.Fprintf(&b, `{"key":%q,"value":%s}`+"\n", key, value)
	}
	return strings.TrimSuffix(b.String(), "\n") // some clients leave the last line end out
}

func file(path, content string) string {
	name, _ := json.Marshal(path)
	return fmt.Sprintf(`file {"path":%s,"content":%q,"encoding":"base64"}`, name, base64.StdEncoding.EncodeToString([]byte(content)))
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// fsck lets the git program check every repository of a Hub.
func fsck(t testing.TB, root string) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(root, "repos", "*.git"))
	must(t, err)
	if len(dirs) == 0 {
		t.Error("there are no repositories")
	}
	for _, d := range dirs {
		out, err := exec.CommandContext(t.Context(), "git", "--git-dir", d, "fsck", "--strict", "--full", "--no-dangling").CombinedOutput()
		if err != nil || strings.Contains(string(out), "error") || strings.Contains(string(out), "warning") {
			t.Errorf("git fsck of %s: %v\n%s", d, err, out)
		}
	}
}

func TestAdministration(t *testing.T) {
	root := t.TempDir()
	s := world(t, hubtest.WithRoot(root))
	run(t, s, []request{
		// Making.
		{"POST", "/api/repos/create", "hf_alice", `{"name":"x","organization":null}`, 200, `"url":"` + s.URL + `/alice/x"`},
		{"POST", "/api/repos/create", "hf_alice", `{"name":"X","organization":"alice","type":"model","private":true}`, 409, "Conflict"},
		{"POST", "/api/repos/create", "hf_bob", `{"name":"x","organization":"acme","type":"dataset","visibility":"private"}`, 200, `/datasets/acme/x"`},
		{"POST", "/api/repos/create", "hf_bob", `{"name":"x","organization":"alice"}`, 403, "Forbidden"},
		{"POST", "/api/repos/create", "hf_bobreads", `{"name":"x"}`, 403, "Forbidden"},
		{"POST", "/api/repos/create", "hf_carol", `{"name":"x","organization":"nobody"}`, 403, "Forbidden"},
		{"POST", "/api/repos/create", "", `{"name":"x"}`, 401, "Unauthorized"},
		{"POST", "/api/repos/create", "hf_bob", `{"name":"a..b"}`, 400, "BadRequest"},
		{"POST", "/api/repos/create", "hf_bob", `{"name":"s","type":"space"}`, 400, "BadRequest"},
		{"POST", "/api/repos/create", "hf_bob", `{"name":"s","type":"kernel"}`, 400, "BadRequest"},
		{"POST", "/api/repos/create", "hf_bob", `{"name":"s","color":"red"}`, 400, "BadRequest"},
		{"POST", "/api/repos/create", "hf_bob", `{"name":"s","private":true,"visibility":"public"}`, 400, "BadRequest"},
		{"POST", "/api/repos/create", "hf_bob", `{"name":"s"} {}`, 400, "BadRequest"},
		{"GET", "/api/repos/create", "hf_bob", "", 405, "MethodNotAllowed"},
		{"POST", "/api/repos/create", "hf_bob", `{"name":"full","license":"mit","files":[{"path":"a","content":"YQ==","encoding":"base64"}]}`, 200, "/Bob/full"},
		{"GET", "/Bob/full/resolve/main/README.md", "", "", 200, "license: mit"},
		{"GET", "/Bob/full/resolve/main/a", "", "", 200, "a"},
		{"POST", "/api/repos/create", "hf_bob", `{"name":"half","files":[{"path":"../a","content":"","encoding":"base64"}]}`, 422, "UnprocessableEntity"},
		{"GET", "/api/models/bob/half", "hf_bob", "", 404, "RepoNotFound"},
		// Settings.
		{"PUT", "/api/models/alice/x/settings", "hf_alice", `{"private":true}`, 200, `"private":true`},
		{"PUT", "/api/models/alice/x/settings", "hf_alice", `{"visibility":"public","gated":"auto"}`, 200, `"gated":"auto"`},
		{"PUT", "/api/models/alice/x/settings", "hf_alice", `{"gated":true}`, 400, "BadRequest"},
		{"PUT", "/api/models/alice/x/settings", "hf_alice", `{}`, 400, "BadRequest"},
		{"PUT", "/api/models/alice/x/settings", "hf_bob", `{"private":true}`, 403, "Forbidden"},
		{"PUT", "/api/models/alice/x/settings", "", `{"private":true}`, 401, "Unauthorized"},
		// Branches and tags.
		{"POST", "/api/models/alice/x/branch/a%2Fb", "hf_alice", `{}`, 200, ""},
		{"POST", "/api/models/alice/x/branch/a%2Fb", "hf_alice", `{}`, 409, "Conflict"},
		{"POST", "/api/models/alice/x/branch/a", "hf_alice", `{}`, 409, "Conflict"},
		{"POST", "/api/models/alice/x/branch/refs%2Fpr%2F1", "hf_alice", `{}`, 400, "BadRequest"},
		{"POST", "/api/models/alice/x/branch/a..b", "hf_alice", `{}`, 400, "BadRequest"},
		{"POST", "/api/models/alice/x/branch/c", "hf_alice", `{"startingPoint":"nope"}`, 404, "RevisionNotFound"},
		{"POST", "/api/models/alice/x/branch/c", "hf_alice", `{"startingPoint":"a/b"}`, 200, ""},
		{"POST", "/api/models/alice/x/branch/d", "hf_carol", `{}`, 403, "Forbidden"},
		{"POST", "/api/models/alice/x/branch/c", "hf_alice", `{"overwrite":true}`, 200, ""},
		{"POST", "/api/models/alice/x/branch/c", "hf_alice", `{"emptyBranch":true,"overwrite":true}`, 200, ""},
		{"GET", "/api/models/alice/x/tree/c", "", "", 200, "[]"},
		{"GET", "/api/models/alice/x/commits/c", "", "", 200, "Create branch c"},
		{"POST", "/api/models/alice/x/branch/c", "hf_alice", `{"startingPoint":"main","overwrite":true}`, 200, ""},
		{"GET", "/api/models/alice/x/tree/c", "", "", 200, ".gitattributes"},
		{"DELETE", "/api/models/alice/x/branch/c", "hf_alice", "", 200, ""},
		{"DELETE", "/api/models/alice/x/branch/c", "hf_alice", "", 404, "RevisionNotFound"},
		{"DELETE", "/api/models/alice/x/branch/main", "hf_alice", "", 400, "BadRequest"},
		{"POST", "/api/models/alice/x/tag/main", "hf_alice", `{"tag":"v1","message":"m"}`, 200, ""},
		{"POST", "/api/models/alice/x/tag/a%2Fb", "hf_alice", `{"tag":"v1"}`, 409, "Conflict"},
		{"POST", "/api/models/alice/x/tag/nope", "hf_alice", `{"tag":"v2"}`, 404, "RevisionNotFound"},
		{"POST", "/api/models/alice/x/tag/main", "hf_alice", `{"tag":"a b"}`, 400, "BadRequest"},
		{"DELETE", "/api/models/alice/x/tag/a%2Fb", "hf_alice", "", 404, "RevisionNotFound"},
		{"DELETE", "/api/models/alice/x/tag/v1", "hf_alice", "", 200, ""},
		// Squashing, with the branch as it is.
		{"POST", "/api/models/alice/m/super-squash/feat/x", "hf_alice", `{"message":"one"}`, 200, ""},
		{"GET", "/api/models/alice/m/commits/feat%2Fx", "", "", 200, `"title":"one"`},
		{"GET", "/api/models/alice/m/tree/feat%2Fx", "", "", 200, `"a.txt"`},
		{"POST", "/api/models/alice/m/super-squash/v1", "hf_alice", `{"message":"one"}`, 400, "BadRequest"},
		{"POST", "/api/models/alice/m/super-squash/nope", "hf_alice", `{"message":"one"}`, 404, "RevisionNotFound"},
		// Moving, copying, deleting.
		{"POST", "/api/repos/move", "hf_alice", `{"fromRepo":"alice/x","toRepo":"acme/y","type":"model"}`, 200, ""},
		{"GET", "/api/models/alice/x", "", "", 307, "/api/models/acme/y"},
		{"POST", "/api/models/alice/x/tag/main", "hf_alice", `{"tag":"v1"}`, 307, "/api/models/acme/y/tag/main"},
		{"POST", "/api/repos/move", "hf_alice", `{"fromRepo":"acme/y","toRepo":"alice/M","type":"model"}`, 409, "Conflict"},
		{"POST", "/api/repos/move", "hf_alice", `{"fromRepo":"acme/y","toRepo":"bob/y","type":"model"}`, 403, "Forbidden"},
		{"POST", "/api/repos/move", "hf_carol", `{"fromRepo":"acme/y","toRepo":"carol/y","type":"model"}`, 403, "Forbidden"},
		{"POST", "/api/repos/move", "hf_alice", `{"fromRepo":"alice/nope","toRepo":"alice/y","type":"model"}`, 404, "RepoNotFound"},
		{"POST", "/api/repos/move", "hf_alice", `{"fromRepo":"acme/y","toRepo":"acme/Y","type":"model"}`, 200, ""},
		{"GET", "/api/models/acme/y", "", "", 200, `"id":"acme/Y"`},
		{"POST", "/api/models/alice/m/duplicate", "hf_bob", `{"repository":"bob/copy","private":true}`, 200, "/Bob/copy"},
		{"GET", "/bob/copy/resolve/main/d/b%20c.txt", "hf_bob", "", 200, "B"},
		{"POST", "/api/models/alice/m/duplicate", "hf_bob", `{"repository":"bob/copy"}`, 409, "Conflict"},
		{"POST", "/api/models/alice/secret/duplicate", "hf_bob", `{"repository":"bob/s"}`, 404, "RepoNotFound"},
		{"DELETE", "/api/repos/delete", "hf_bob", `{"name":"m","organization":"alice","type":"model"}`, 403, "Forbidden"},
		{"DELETE", "/api/repos/delete", "hf_alice", `{"name":"gpt2","organization":null}`, 200, "OK"},
		{"DELETE", "/api/repos/delete", "hf_alice", `{"name":"Y","organization":"acme"}`, 200, "OK"},
		{"DELETE", "/api/repos/delete", "hf_alice", `{"name":"Y","organization":"acme"}`, 404, "RepoNotFound"},
		{"GET", "/api/models/alice/x", "hf_alice", "", 404, "RepoNotFound"},
		{"POST", "/api/repos/create", "hf_alice", `{"name":"OLD"}`, 200, `"name":"alice/OLD"`},
		{"GET", "/api/models/alice/old", "", "", 200, `"id":"alice/OLD"`},
		// README.md.
		{"POST", "/api/validate-yaml", "", `{"content":"---\nlicense: mit\n---\n","repoType":"model"}`, 200, `{"errors":[],"warnings":[]}`},
		{"POST", "/api/validate-yaml", "", `{"content":"# hi"}`, 200, `"warnings":[{"message"`},
		{"POST", "/api/validate-yaml", "", `{"content":"---\na: [\n---\n","repoType":"model"}`, 400, "BadRequest"},
		{"POST", "/api/validate-yaml", "", `{"content":"---\ntags: 3\n---\n","repoType":"model"}`, 400, "BadRequest"},
		{"POST", "/api/validate-yaml", "", `{"content":"---\nsdk: php\n---\n","repoType":"space"}`, 400, "BadRequest"},
	})
	fsck(t, root)
}

func TestCommit(t *testing.T) {
	root := t.TempDir()
	s := world(t, hubtest.WithRoot(root))
	head := func() string {
		t.Helper()
		h, err := s.Hub.Head(localhub.Model, "alice/m", "main")
		must(t, err)
		return h
	}
	const url = "/api/models/alice/m/commit/main"
	was := head()
	run(t, s, []request{
		// Refused, all of it.
		{"POST", url, "hf_alice", ndjson(""), 400, "BadRequest"},
		{"POST", url, "hf_alice", "", 400, "BadRequest"},
		{"POST", url, "hf_alice", "not json", 400, "BadRequest"},
		{"POST", url, "hf_alice", strings.TrimPrefix(ndjson("", file("a", "b")), `{"key":"header"`)[:20], 400, "BadRequest"},
		{"POST", url, "hf_alice", ndjson("", file("new", "b"), `header {"summary":"again"}`), 400, "BadRequest"},
		{"POST", url, "hf_alice", ndjson("", file("new", "b"), `wat {"path":"a"}`), 400, "BadRequest"},
		{"POST", url, "hf_alice", ndjson("", file("new", "b"), `deletedFile {"path":"a.txt","x":1}`), 400, "BadRequest"},
		{"POST", url, "hf_alice", ndjson("", file("new", "b"), `file {"path":"x","content":"!","encoding":"base64"}`), 400, "BadRequest"},
		{"POST", url, "hf_alice", ndjson("", file("README.md", "---\na: [\n---\n")), 400, "BadRequest"},
		{"POST", url, "hf_alice", ndjson("", file("new", "b"), `deletedFile {"path":"nope"}`), 404, "EntryNotFound"},
		{"POST", url, "hf_alice", ndjson("", file("new", "b"), file("a.txt/x", "b")), 422, "UnprocessableEntity"},
		{"POST", url, "hf_alice", ndjson("", file("new", "b"), file("d", "b")), 422, "UnprocessableEntity"},
		{"POST", url, "hf_alice", ndjson("", `lfsFile {"path":"l","algo":"sha256","oid":"`+sum([]byte("x"))+`","size":1}`), 422, "UnprocessableEntity"},
		{"POST", url, "hf_alice", ndjson("", file("l", "version https://git-lfs.github.com/spec/v1\noid sha256:"+sum([]byte("x"))+"\nsize 1\n")), 422, "UnprocessableEntity"},
		{"POST", url, "hf_alice", ndjson(`,"parentCommit":"`+strings.Repeat("a", 40)+`"`, file("new", "b")), 412, "PreconditionFailed"},
		{"POST", url, "hf_alice", ndjson(`,"parentCommit":"xyz"`, file("new", "b")), 400, "BadRequest"},
		{"POST", url, "hf_bob", ndjson("", file("new", "b")), 403, "Forbidden"},
		{"POST", url, "", ndjson("", file("new", "b")), 401, "Unauthorized"},
		{"POST", "/api/models/alice/secret/commit/main", "hf_bob", ndjson("", file("new", "b")), 404, "RepoNotFound"},
		{"POST", "/api/models/alice/m/commit/v1", "hf_alice", ndjson("", file("new", "b")), 404, "RevisionNotFound"},
		{"POST", "/api/models/alice/m/commit/nope", "hf_alice", ndjson("", file("new", "b")), 404, "RevisionNotFound"},
		{"POST", "/api/models/alice/m/commit/" + was, "hf_alice", ndjson("", file("new", "b")), 404, "RevisionNotFound"},
	})
	for _, p := range []string{"", "/", "../x", "a/../b", "a//b", "/a", "a/", ".git/config", "a/.GIT/b", `a\b`, "a\x01b", "git~1", ".git.", strings.Repeat("x", 256)} {
		run(t, s, []request{{"POST", url, "hf_alice", ndjson("", file("new", "b"), file(p, "b")), 422, "UnprocessableEntity"}})
	}
	if resp, _ := send(t, "POST", s.URL+url, ndjson("", file("new", "b")), auth("hf_alice"), "Content-Type: text/plain"); resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain: %d", resp.StatusCode)
	}
	if got := head(); got != was {
		t.Fatalf("a refused commit moved the branch to %s", got)
	}
	// Accepted.
	run(t, s, []request{
		{"POST", url, "hf_alice", ndjson(`,"parentCommit":"`+was[:7]+`"`,
			file("new", "b"), file("d/e/f", "c"), file("é/ü", ""), `deletedFile {"path":"a.txt"}`,
			`file {"path":"renamed","oldPath":"d/b c.txt","content":"text","encoding":"utf-8"}`), 200, `"commitOid"`},
		{"POST", url, "hf_alice", ndjson("", `deletedFolder {"path":"d/"}`, file("d", "now a file")), 200, ""},
		{"POST", url, "hf_alice", ndjson("", `deletedFolder {"path":"é"}`, file(".gitignore", "*.log\n")), 200, ""},
		{"GET", "/api/models/alice/m/tree/main?recursive=true&expand=true", "", "", 200, `"title":"a title"`},
		{"GET", "/alice/m/resolve/main/d", "", "", 200, "now a file"},
		{"GET", "/alice/m/resolve/main/renamed", "", "", 200, "text"},
		{"GET", "/alice/m/resolve/main/a.txt", "", "", 404, "EntryNotFound"},
		{"GET", "/alice/m/resolve/" + was + "/a.txt", "", "", 200, "A"},
		// Upload modes.
		{"POST", "/api/models/alice/m/preupload/main", "hf_alice", `{"files":[{"path":"x/y.bin","sample":"YQ==","size":1},{"path":"big.txt","sample":"","size":10485761},{"path":"renamed","sample":"","size":4},{"path":"e.log","sample":"","size":0}]}`, 200,
			`"files":[{"path":"x/y.bin","shouldIgnore":false,"uploadMode":"lfs"},{"path":"big.txt","shouldIgnore":false,"uploadMode":"lfs"},{"oid":"f3a34851d44d6b97c90fbb99dd3d18c261b9a237","path":"renamed","shouldIgnore":false,"uploadMode":"regular"},{"path":"e.log","shouldIgnore":true,"uploadMode":"regular"}]`},
		{"POST", "/api/models/alice/m/preupload/main", "hf_alice", `{"files":[{"path":"e.log","sample":"","size":0}],"gitIgnore":"x","gitAttributes":"*.log filter=lfs"}`, 200, `"shouldIgnore":false,"uploadMode":"lfs"`},
		{"POST", "/api/models/alice/m/preupload/main", "hf_alice", `{"files":[{"path":"..\\x","sample":"","size":0}]}`, 422, "UnprocessableEntity"},
		{"POST", "/api/models/alice/m/preupload/main", "hf_bob", `{"files":[]}`, 403, "Forbidden"},
		{"POST", "/api/models/alice/m/preupload/main?create_pr=1", "hf_bob", `{"files":[]}`, 200, `"files":[]`},
		{"POST", "/api/models/alice/m/preupload/" + was + "?create_pr=1", "hf_bob", `{"files":[]}`, 404, "RevisionNotFound"},
		{"POST", "/api/models/alice/m/preupload/feat/x", "hf_alice", `{"files":[]}`, 200, ""},
		// Pull requests.
		{"POST", url + "?create_pr=1", "hf_bob", ndjson("", file("pr", "p")), 200, `"pullRequestUrl":"` + s.URL + `/alice/m/discussions/1"`},
		{"POST", url + "?create_pr=1", "hf_carol", ndjson(`,"parentCommit":"`+was+`"`, file("pr", "p")), 200, `/discussions/2"`},
		{"POST", url + "?create_pr=1", "hf_bobreads", ndjson("", file("pr", "p")), 403, "Forbidden"},
		{"POST", url + "?create_pr=1", "", ndjson("", file("pr", "p")), 401, "Unauthorized"},
		{"POST", "/api/models/alice/m/commit/refs%2Fpr%2F1", "hf_bob", ndjson("", file("more", "p")), 200, ""},
		{"POST", "/api/models/alice/m/commit/refs/pr/1", "hf_alice", ndjson("", file("more", "q")), 200, ""},
		{"POST", "/api/models/alice/m/commit/refs%2Fpr%2F1", "hf_carol", ndjson("", file("more", "p")), 403, "Forbidden"},
		{"POST", "/api/models/alice/m/commit/refs%2Fpr%2F9", "hf_alice", ndjson("", file("more", "p")), 404, "RevisionNotFound"},
		{"GET", "/alice/m/resolve/refs%2Fpr%2F2/a.txt", "", "", 200, "A"},
		{"GET", "/alice/m/resolve/refs%2Fpr%2F1/more", "", "", 200, "q"},
		{"GET", "/api/models/alice/m/refs?include_prs=1", "", "", 200, `{"name":"1","ref":"refs/pr/1"`},
	})
	fsck(t, root)
}

// putLFS sends an object as a client does, and returns the statuses of the
// requests.
func putLFS(t *testing.T, s *hubtest.Server, id, token string, content []byte, transfers string) (actions map[string]any, statuses []int) {
	t.Helper()
	batch := fmt.Sprintf(`{"operation":"upload","transfers":[%s],"objects":[{"oid":%q,"size":%d}],"hash_algo":"sha256","ref":{"name":"main"}}`, transfers, sum(content), len(content))
	resp, body := send(t, "POST", s.URL+"/"+id+".git/info/lfs/objects/batch", batch, auth(token))
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/vnd.git-lfs+json" {
		t.Fatalf("batch: %d %v %s", resp.StatusCode, resp.Header, body)
	}
	object := decode[map[string][]map[string]any](t, strings.NewReplacer(`"transfer":"basic"`, `"transfer":[]`, `"transfer":"multipart"`, `"transfer":[]`, `"hash_algo":"sha256"`, `"hash_algo":[]`).Replace(body))["objects"][0]
	if object["actions"] == nil {
		return nil, nil
	}
	actions = object["actions"].(map[string]any)
	upload := actions["upload"].(map[string]any)
	href := upload["href"].(string)
	header, parts := upload["header"].(map[string]any)
	if !parts {
		resp, _ := send(t, "PUT", href, string(content))
		return actions, []int{resp.StatusCode}
	}
	var chunk int
	_, err := fmt.Sscan(header["chunk_size"].(string), &chunk)
	must(t, err)
	var etags []string
	for n := 1; (n-1)*chunk < len(content); n++ {
		resp, _ := send(t, "PUT", header[fmt.Sprintf("%05d", n)].(string), string(content[(n-1)*chunk:min(n*chunk, len(content))]))
		statuses = append(statuses, resp.StatusCode)
		etags = append(etags, fmt.Sprintf(`{"partNumber":%d,"etag":%q}`, n, resp.Header.Get("ETag")))
	}
	for range 2 { // completing may be repeated
		resp, _ = send(t, "POST", href, fmt.Sprintf(`{"oid":%q,"parts":[%s]}`, sum(content), strings.Join(etags, ",")))
		statuses = append(statuses, resp.StatusCode)
	}
	return actions, statuses
}

func TestLFS(t *testing.T) {
	root := t.TempDir()
	s := world(t, hubtest.WithRoot(root), hubtest.WithChunkSize(1000))
	content := make([]byte, 2500)
	_, _ = rand.Read(content)
	small := []byte("small")

	if _, st := putLFS(t, s, "alice/m", "hf_alice", content, `"basic","multipart"`); fmt.Sprint(st) != "[200 200 200 200 200]" {
		t.Errorf("in parts: %v", st)
	}
	if actions, _ := putLFS(t, s, "alice/m", "hf_alice", content, `"basic"`); actions != nil {
		t.Errorf("stored already: %v", actions)
	}
	// Another repository must bring the bytes to have them.
	actions, st := putLFS(t, s, "bob/fine", "hf_bob", content, `"basic"`)
	if fmt.Sprint(st) != "[200]" {
		t.Errorf("basic: %v", st)
	}
	href := actions["upload"].(map[string]any)["href"].(string)
	verify := actions["verify"].(map[string]any)["href"].(string)
	path := strings.TrimPrefix(verify, s.URL)
	oid := sum(content)
	line := `lfsFile {"path":%q,"algo":"sha256","oid":"` + oid + `"%s}`
	run(t, s, []request{
		{"POST", path, "hf_bob", `{"oid":"` + oid + `","size":2500}`, 200, ""},
		{"POST", path, "hf_bob", `{"oid":"` + oid + `","size":2501}`, 422, "UnprocessableEntity"},
		{"POST", path, "hf_bob", `{"oid":"` + sum(small) + `","size":5}`, 404, "EntryNotFound"},
		{"POST", path, "", `{"oid":"` + oid + `","size":2500}`, 401, "RepoNotFound"},
		{"POST", "/api/models/alice/m/commit/main", "hf_alice", ndjson("", fmt.Sprintf(line, "w/big.dat", `,"size":2500`)), 200, ""},
		{"POST", "/api/models/alice/m/commit/main", "hf_alice", ndjson("", fmt.Sprintf(line, "w/copy [1].bin", "")), 200, ""},
		{"POST", "/api/models/alice/m/commit/main", "hf_alice", ndjson("", fmt.Sprintf(line, "x", `,"size":1`)), 422, "UnprocessableEntity"},
		{"POST", "/api/models/alice/m/commit/main", "hf_alice", ndjson("", fmt.Sprintf(line, ".gitattributes", "")), 422, "UnprocessableEntity"},
		{"POST", "/api/models/alice/tree/commit/main", "hf_alice", ndjson("", fmt.Sprintf(line, "x", "")), 422, "UnprocessableEntity"},
		{"GET", "/alice/m/resolve/main/.gitattributes", "", "", 200, "\nw/big.dat filter=lfs diff=lfs merge=lfs -text\n"},
		{"GET", "/alice/m/resolve/main/w/copy%20%5B1%5D.bin", "", "", 302, s.ContentURL + "/"},
		{"GET", "/api/models/alice/m/tree/main/w", "", "", 200, `"lfs":{"oid":"` + oid + `","size":2500,"pointerSize":129}`},
		{"GET", "/api/models/alice/m?blobs=True", "", "", 200, `"lfs":{"pointerSize":129,"sha256":"` + oid + `","size":2500}`},
		{"POST", "/alice/m.git/info/lfs/objects/batch", "", `{"operation":"download","objects":[{"oid":"` + oid + `","size":2500}]}`, 200, `"download":{"href":"` + s.ContentURL},
		{"POST", "/alice/m.git/info/lfs/objects/batch", "", `{"operation":"download","objects":[{"oid":"` + sum(small) + `","size":5},{"oid":"x","size":5}]}`, 200, `"error":{"code":404`},
		{"POST", "/alice/m.git/info/lfs/objects/batch", "hf_bob", `{"operation":"upload","objects":[{"oid":"` + oid + `","size":2500}],"ref":{"name":"main"}}`, 403, "Forbidden"},
		{"POST", "/alice/m.git/info/lfs/objects/batch", "hf_bob", `{"operation":"upload","objects":[{"oid":"` + oid + `","size":2500}]}`, 200, `"objects"`},
		{"POST", "/alice/m.git/info/lfs/objects/batch", "hf_alice", `{"operation":"sing","objects":[]}`, 400, "BadRequest"},
		{"POST", "/alice/m.git/info/lfs/objects/batch", "hf_alice", `{"operation":"upload","hash_algo":"md5","objects":[]}`, 400, "BadRequest"},
		{"POST", "/alice/m.git/info/lfs/objects/nope", "hf_alice", `{}`, 404, "NotFound"},
		{"POST", "/alice/none.git/info/lfs/objects/batch", "hf_alice", `{}`, 404, "RepoNotFound"},
	})
	// What isn't what its URL says isn't taken.
	for name, c := range map[string]struct {
		method, url string
		body        []byte
		status      int
	}{
		"other bytes":   {"PUT", href, make([]byte, 2500), 422},
		"too short":     {"PUT", href, content[:100], 422},
		"too long":      {"PUT", href, append(content[:2500:2500], 'x'), 422},
		"other method":  {"POST", href, content, 405},
		"not signed":    {"PUT", strings.Replace(href, "size=2500", "size=2501", 1), content, 403},
		"not this kind": {"PUT", strings.Replace(href, "/put/", "/part/", 1), content, 403},
	} {
		resp, body := send(t, c.method, c.url, string(c.body))
		if resp.StatusCode != c.status {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
		checkRefusal(t, name, resp, body)
	}
	if left, err := os.ReadDir(filepath.Join(root, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
	fsck(t, root)
	// The git program agrees that the copy is tracked.
	dir, _ := filepath.Glob(filepath.Join(root, "repos", "*.git"))
	agreed := false
	for _, d := range dir {
		cmd := exec.CommandContext(t.Context(), "git", "--git-dir", d, "check-attr", "--source=main", "filter", "--", "w/copy [1].bin", "w/big.dat")
		out, err := cmd.CombinedOutput()
		if err != nil && strings.Contains(string(out), "source") {
			agreed = true // a git program that can't be asked
		}
		agreed = agreed || strings.Count(string(out), "filter: lfs") == 2
	}
	if !agreed {
		t.Error("git doesn't take the LFS files for what they are")
	}
}

func TestLFSPartsMustBeWhole(t *testing.T) {
	s := world(t, hubtest.WithChunkSize(1000))
	content := bytes.Repeat([]byte("0123456789"), 250)
	batch := fmt.Sprintf(`{"operation":"upload","transfers":["multipart"],"objects":[{"oid":%q,"size":2500}],"ref":{"name":"main"}}`, sum(content))
	_, body := send(t, "POST", s.URL+"/alice/m.git/info/lfs/objects/batch", batch, auth("hf_alice"))
	answer := decode[struct {
		Objects []struct {
			Actions map[string]struct {
				Href   string
				Header map[string]string
			}
		}
	}](t, body)
	up := answer.Objects[0].Actions["upload"]
	etags := map[int]string{}
	put := func(n int, b []byte, want int) {
		t.Helper()
		resp, body := send(t, "PUT", up.Header[fmt.Sprintf("%05d", n)], string(b))
		if resp.StatusCode != want {
			t.Errorf("part %d: %d %s", n, resp.StatusCode, body)
		}
		etags[n] = resp.Header.Get("ETag")
	}
	complete := func(want int) {
		t.Helper()
		body := fmt.Sprintf(`{"oid":%q,"parts":[{"partNumber":1,"etag":%q},{"partNumber":3,"etag":%q},{"partNumber":2,"etag":%q}]}`, sum(content), etags[1], etags[3], etags[2])
		if resp, body := send(t, "POST", up.Href, body); resp.StatusCode != want {
			t.Errorf("completion: %d %s", resp.StatusCode, body)
		}
	}
	put(1, content[:1000], 200)
	put(2, content[:999], 422)
	complete(422)
	put(2, make([]byte, 1000), 200)
	put(3, content[2000:], 200)
	complete(422) // all parts, wrong bytes
	put(2, content[1000:2000], 200)
	complete(200)
	if ref, err := s.Hub.PutLFS(bytes.NewReader(content)); err != nil || ref.OID != sum(content) {
		t.Errorf("%v, %v", ref, err)
	}
}

func TestConcurrentCommits(t *testing.T) {
	root := t.TempDir()
	s := hubtest.New(t, hubtest.WithRoot(root))
	id := s.Repo("m", nil)
	const writers, each = 8, 5
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				body := ndjson("", file(fmt.Sprintf("w%d/f%d", w, n), "x"), file("shared", fmt.Sprint(w, n)))
				resp, out := send(t, "POST", s.URL+"/api/models/"+id+"/commit/main", body, auth(s.Token), "Content-Type: application/x-ndjson")
				if resp.StatusCode != http.StatusOK {
					t.Errorf("%d %s", resp.StatusCode, out)
				}
			}
		})
	}
	wg.Wait()
	_, body := send(t, "GET", s.URL+"/api/models/"+id+"/commits/main?limit=1000", "")
	if n := len(decode[[]any](t, body)); n != 1+writers*each {
		t.Errorf("%d commits", n)
	}
	_, body = send(t, "GET", s.URL+"/api/models/"+id+"/tree/main?recursive=true", "")
	if n := len(decode[[]any](t, body)); n != 2+writers+writers*each {
		t.Errorf("%d entries", n)
	}
	// Of those who name a parent, one wins.
	head, err := s.Hub.Head(localhub.Model, id, "main")
	must(t, err)
	var mu sync.Mutex
	statuses := map[int]int{}
	for w := range writers {
		wg.Go(func() {
			resp, _ := send(t, "POST", s.URL+"/api/models/"+id+"/commit/main", ndjson(`,"parentCommit":"`+head+`"`, file("won", fmt.Sprint(w))), auth(s.Token), "Content-Type: application/x-ndjson")
			mu.Lock()
			defer mu.Unlock()
			statuses[resp.StatusCode]++
		})
	}
	wg.Wait()
	if statuses[200] != 1 || statuses[412] != writers-1 {
		t.Errorf("statuses %v", statuses)
	}
	fsck(t, root)
}

func TestRestartKeepsEverything(t *testing.T) {
	root := t.TempDir()
	s := world(t, hubtest.WithRoot(root))
	ref, err := s.Hub.PutLFS(strings.NewReader("large"))
	must(t, err)
	_, err = s.Hub.Commit(localhub.Model, "alice/m", "main", localhub.CommitInput{Title: "lfs", Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: "l.bin", LFS: &ref}}})
	must(t, err)
	_, _, err = s.Hub.CreatePR(localhub.Model, "alice/m", "", localhub.CommitInput{Title: "pr", Author: "bob"})
	must(t, err)
	if _, err := localhub.New(localhub.Options{Root: root}); err == nil {
		t.Error("two processes have one Hub")
	}
	paths := []string{
		"/api/models?author=alice", "/api/models/alice/m?blobs=true", "/api/models/alice/m/refs?include_prs=1", "/api/models/alice/m/commits/main",
		"/api/models/alice/old", "/api/whoami-v2", "/api/models/acme/m", "/api/organizations/acme/overview", "/alice/m/resolve/main/d/b%20c.txt",
	}
	answers := func() string {
		var b strings.Builder
		for _, p := range paths {
			resp, body := send(t, "GET", s.URL+p, "", auth("hf_bob"))
			fmt.Fprintln(&b, p, resp.StatusCode, resp.Header.Get("Location"), body)
		}
		return b.String()
	}
	before := answers()
	resp, _ := send(t, "HEAD", s.URL+"/alice/m/resolve/main/l.bin", "")
	url := s.URL
	// What a crash would have left.
	dirs, _ := filepath.Glob(filepath.Join(root, "repos", "*.git"))
	for _, d := range dirs {
		must(t, os.WriteFile(filepath.Join(d, "refs", "heads", "main.lock"), nil, 0o644))
		must(t, os.WriteFile(filepath.Join(d, "objects", "tmp_obj_1"), nil, 0o644))
	}
	must(t, os.MkdirAll(filepath.Join(root, "repos", "0123456789abcdef01234567.git"), 0o755))
	s.Stop()
	s.Start()
	if s.URL != url {
		t.Errorf("the address changed from %s to %s", url, s.URL)
	}
	if after := answers(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if resp, body := send(t, "GET", resp.Header.Get("Location"), ""); resp.StatusCode != http.StatusOK || body != "large" {
		t.Errorf("a URL signed before: %d %q", resp.StatusCode, body)
	}
	s.Commit("alice/m", map[string]string{"after": "restart"})
	if _, err := os.Stat(filepath.Join(root, "repos", "0123456789abcdef01234567.git")); err == nil {
		t.Error("a repository that was never made is still there")
	}
	fsck(t, root)
}

func TestExpiry(t *testing.T) {
	s := hubtest.New(t, hubtest.WithNetwork(localhub.Network{URLTTL: -time.Minute}))
	id := s.Repo("m", nil)
	ref, err := s.Hub.PutLFS(strings.NewReader("large"))
	must(t, err)
	_, err = s.Hub.Commit(localhub.Model, id, "main", localhub.CommitInput{Title: "lfs", Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: "l.bin", LFS: &ref}}})
	must(t, err)
	resp, _ := send(t, "GET", s.URL+"/"+id+"/resolve/main/l.bin", "")
	resp, body := send(t, "GET", resp.Header.Get("Location"), "")
	if resp.StatusCode != http.StatusForbidden || resp.Header.Get("X-Error-Code") != "ExpiredURL" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
}

func TestSparseFile(t *testing.T) {
	s := hubtest.New(t)
	id := s.Repo("m", nil)
	name := filepath.Join(t.TempDir(), "sparse")
	f, err := os.Create(name)
	must(t, err)
	must(t, f.Truncate(10<<30))
	_, err = f.WriteAt([]byte("middle"), 5<<30)
	must(t, err)
	must(t, f.Close())
	ref, err := s.Hub.LinkLFS(name, strings.Repeat("ab", 32))
	must(t, err)
	_, err = s.Hub.Commit(localhub.Model, id, "main", localhub.CommitInput{Title: "sparse", Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: "s.bin", LFS: &ref}}})
	must(t, err)
	resp, _ := send(t, "GET", s.URL+"/"+id+"/resolve/main/s.bin", "")
	s.Hub.ResetCounts()
	resp, body := send(t, "GET", resp.Header.Get("Location"), "", fmt.Sprintf("Range: bytes=%d-%d", 5<<30-2, 5<<30+5))
	if resp.StatusCode != http.StatusPartialContent || body != "\x00\x00middle" || resp.Header.Get("Content-Range") != "bytes 5368709118-5368709125/10737418240" {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, body)
	}
	if c := s.Hub.Counts(); c != (localhub.Counts{Content: 1, ContentBytes: 8}) {
		t.Errorf("counts: %+v", c)
	}
	if r := s.Hub.Requests(); len(r) != 1 || r[0].Status != http.StatusPartialContent || r[0].Bytes != 8 || strings.Contains(r[0].Query, "Signature") {
		t.Errorf("requests: %+v", r)
	}
}

func TestManyFiles(t *testing.T) {
	s := hubtest.New(t)
	id := s.Repo("m", nil)
	in := localhub.CommitInput{Title: "many"}
	for i := range 20_000 {
		in.Operations = append(in.Operations, localhub.Operation{Kind: localhub.OpAdd, Path: fmt.Sprintf("d%02d/f%05d", i%20, i), Content: fmt.Append(nil, i)})
	}
	start := time.Now()
	_, err := s.Hub.Commit(localhub.Model, id, "main", in)
	must(t, err)
	t.Logf("commit: %v", time.Since(start))
	start = time.Now()
	n, pages := 0, 0
	for url := s.URL + "/api/models/" + id + "/tree/main?recursive=true"; url != ""; pages++ {
		resp, body := send(t, "GET", url, "")
		n += len(decode[[]any](t, body))
		url, _, _ = strings.Cut(strings.TrimPrefix(resp.Header.Get("Link"), "<"), ">")
	}
	t.Logf("listing: %v", time.Since(start))
	if n != 20_021 || pages != 21 {
		t.Errorf("%d entries on %d pages", n, pages)
	}
}
