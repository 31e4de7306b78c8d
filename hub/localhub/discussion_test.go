package localhub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// discussion is what a test looks at of a discussion's details.
type discussion struct {
	Num     int
	Title   string
	Status  string
	Author  struct{ Name string }
	Changes struct{ Base, MergeCommitID string }
	Diff    string
	Files   any `json:"filesWithConflicts"`
	Events  []struct {
		ID     string
		Type   string
		Author struct{ Name string }
		Data   struct {
			Edited, Hidden bool
			Status         string
			Subject, OID   string
			From, To       string
			History        []struct{ Raw string }
			Latest         struct{ Raw string }
		}
	}
}

func (d *discussion) types() string {
	var s []string
	for _, e := range d.Events {
		s = append(s, e.Type)
	}
	return strings.Join(s, " ")
}

// post sends a JSON body with alice's token, or another's, and expects success.
func post(t *testing.T, s *hubtest.Server, path, body, token string) map[string]any {
	t.Helper()
	resp, got := send(t, "POST", s.URL+path, body, auth(token), "Content-Type: application/json")
	var out map[string]any
	if err := json.Unmarshal([]byte(got), &out); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %d %s", path, resp.StatusCode, got)
	}
	return out
}

func details(t *testing.T, s *hubtest.Server, path string) *discussion {
	t.Helper()
	resp, got := send(t, "GET", s.URL+path+"?diff=1", "", auth("hf_alice"))
	d := new(discussion)
	if err := json.Unmarshal([]byte(got), d); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, resp.StatusCode, got)
	}
	return d
}

func TestDiscussion(t *testing.T) {
	s := world(t, hubtest.WithPageSize(40)) // two discussions a page
	const at = "/api/models/alice/m/discussions"
	if got := post(t, s, at, `{"title":" A question ","description":"why?","pullRequest":false}`, "hf_bob"); got["num"] != 1.0 {
		t.Fatalf("created %v", got)
	}
	comment := post(t, s, at+"/1/comment", `{"comment":"because <b>"}`, "hf_alice")["newMessage"].(map[string]any)
	id := comment["id"].(string)
	post(t, s, at+"/1/comment/"+strings.ToUpper(id)+"/edit", `{"content":"because"}`, "hf_alice")
	post(t, s, at+"/1/title", `{"title":"An answer"}`, "hf_bob")
	post(t, s, at+"/1/status", `{"status":"closed","comment":"done"}`, "hf_bob")
	post(t, s, at+"/1/status", `{"status":"open"}`, "hf_alice")
	hidden := post(t, s, at+"/1/comment", `{"comment":"rude"}`, "hf_carol")["newMessage"].(map[string]any)["id"].(string)
	post(t, s, at+"/1/comment/"+hidden+"/hide", "", "hf_alice")
	post(t, s, at+"/1/comment/"+hidden+"/hide", "", "hf_alice")
	restart(s)
	d := details(t, s, at+"/1")
	if got := d.types(); got != "comment comment title-change status-change comment status-change comment" {
		t.Errorf("events %s", got)
	}
	if d.Title != "An answer" || d.Status != "open" || d.Author.Name != "Bob" || d.Events[0].Data.Latest.Raw != "why?" {
		t.Errorf("%+v", d)
	}
	e := d.Events[1]
	if e.ID != id || !e.Data.Edited || e.Data.Latest.Raw != "because" || len(e.Data.History) != 1 || e.Data.History[0].Raw != "because <b>" {
		t.Errorf("edited comment %+v", e)
	}
	if e := d.Events[2]; e.Data.From != "A question" || e.Data.To != "An answer" {
		t.Errorf("title change %+v", e)
	}
	if e := d.Events[6]; !e.Data.Hidden || e.Data.Latest.Raw == "rude" || e.Author.Name != "carol" {
		t.Errorf("hidden comment %+v", e)
	}
	bad := func(path, token, body string, status int, want string) request {
		return request{"POST", at + path, token, body, status, want}
	}
	run(t, s, []request{
		bad("", "", `{"title":"abc","description":"x"}`, 401, "Unauthorized"),
		bad("", "hf_bobreads", `{"title":"abc","description":"x"}`, 403, "Forbidden"),
		bad("", "hf_bob", `{"title":" ab ","description":"x"}`, 400, "BadRequest"),
		bad("", "hf_bob", `{"title":"`+strings.Repeat("x", 201)+`","description":"x"}`, 400, "BadRequest"),
		bad("", "hf_bob", `{"title":"abc","description":" "}`, 400, "BadRequest"),
		bad("", "hf_bob", `{"title":"abc","descriptio":"x"}`, 400, "BadRequest"),
		bad("/9/comment", "hf_bob", `{"comment":"x"}`, 404, "NotFound"),
		bad("/1/comment", "hf_bob", `{"comment":""}`, 400, "BadRequest"),
		bad("/1/title", "hf_carol", `{"title":"mine"}`, 403, "Forbidden"),
		bad("/1/title", "hf_bob", `{"title":"x"}`, 400, "BadRequest"),
		bad("/1/status", "hf_carol", `{"status":"closed"}`, 403, "Forbidden"),
		bad("/1/status", "hf_bob", `{"status":"merged"}`, 400, "BadRequest"),
		bad("/1/status", "hf_bob", `{"status":"open"}`, 400, "BadRequest"),
		bad("/9/status", "hf_bob", `{"status":"open"}`, 404, "NotFound"),
		bad("/1/merge", "hf_alice", "", 400, "BadRequest"),
		bad("/1/merge", "hf_bob", "", 403, "Forbidden"),
		bad("/1/comment/"+id+"/edit", "hf_bob", `{"content":"x"}`, 403, "Forbidden"),
		bad("/1/comment/"+id+"/hide", "hf_bob", "", 403, "Forbidden"),
		bad("/1/comment/0123456789abcdef01234567/hide", "hf_alice", "", 404, "NotFound"),
		bad("/1/comment/"+hidden+"/edit", "hf_alice", `{"content":"x"}`, 400, "BadRequest"),
		{"GET", at + "/9", "", "", 404, "NotFound"},
		{"GET", at + "/x", "", "", 400, "BadRequest"},
		{"GET", at + "/0", "", "", 400, "BadRequest"},
		{"GET", at + "/1/pin", "", "", 404, "NotFound"},
		{"DELETE", at + "/1", "hf_alice", "", 405, "MethodNotAllowed"},
		{"GET", at + "?status=merged", "", "", 400, "BadRequest"},
		{"GET", at + "?type=x", "", "", 400, "BadRequest"},
		{"GET", at + "?p=-1", "", "", 400, "BadRequest"},
		{"GET", "/api/models/alice/secret/discussions", "hf_bob", "", 404, "RepoNotFound"},
		{"GET", "/api/models/alice/none/discussions/1", "hf_bob", "", 404, "RepoNotFound"},
		bad("", "hf_alice", `{"title":"second","description":"x","pullRequest":true}`, 200, `"num":2`),
		bad("", "hf_alice", `{"title":"third","description":"x"}`, 200, `"num":3`),
		bad("/3/status", "hf_alice", `{"status":"closed"}`, 200, `"newStatus"`),
		{"GET", at, "", "", 200, `"count":3`},
		{"GET", at, "", "", 200, `"start":0`},
		{"GET", at + "?p=1", "", "", 200, `"start":2`},
		{"GET", at + "?p=7", "", "", 200, `"discussions":[]`},
		{"GET", at + "?type=pull_request&status=all", "", "", 200, `"count":1`},
		{"GET", at + "?type=discussion&status=open", "", "", 200, `"count":1`},
		{"GET", at + "?status=open", "", "", 200, `"count":2`}, // drafts are open
		{"GET", at + "?status=closed", "", "", 200, `"count":1`},
		{"GET", at + "?author=BOB", "", "", 200, `"count":1`},
		{"GET", at + "?author=nobody", "", "", 200, `"count":0`},
	})
}

func TestPullRequestMerges(t *testing.T) {
	root := t.TempDir()
	s := world(t, hubtest.WithRoot(root))
	const at = "/api/models/alice/m/discussions"
	lines := "1\n2\n3\n4\n5\n6\n7\n8\n9\n"
	s.Commit("alice/m", map[string]string{"lines": lines, "gone": "x", "d/keep": "k"})
	if got := post(t, s, at, `{"title":"Better","description":"a draft","pullRequest":true}`, "hf_bob"); got["num"] != 1.0 {
		t.Fatal(got)
	}
	edit := func(rev, author string, files map[string]string) string {
		in := localhub.CommitInput{Title: "edit " + rev, Author: author}
		for p, c := range files {
			if c == "" {
				in.Operations = append(in.Operations, localhub.Operation{Kind: localhub.OpDelete, Path: p})
			} else {
				in.Operations = append(in.Operations, localhub.Operation{Kind: localhub.OpAdd, Path: p, Content: []byte(c)})
			}
		}
		oid, err := s.Hub.Commit(localhub.Model, "alice/m", rev, in)
		must(t, err)
		return oid
	}
	first := edit("refs/pr/1", "Bob", map[string]string{"lines": strings.Replace(lines, "2\n", "two\n", 1), "new/file": "n", "gone": ""})
	base := edit("main", "alice", map[string]string{"lines": strings.Replace(lines, "8\n", "eight\n", 1), "d/other": "o"})
	d := details(t, s, at+"/1")
	if d.Status != "draft" || d.types() != "comment commit" || d.Events[1].Data.OID != first || d.Events[1].Author.Name != "Bob" || d.Changes.Base != "refs/heads/main" {
		t.Errorf("%+v", d)
	}
	for _, want := range []string{"diff --git a/gone b/gone\ndeleted file mode 100644", "-2\n+two\n", "+++ b/new/file\n", "\\ No newline at end of file"} {
		if !strings.Contains(d.Diff, want) {
			t.Errorf("the diff lacks %q:\n%s", want, d.Diff)
		}
	}
	if strings.Contains(d.Diff, "eight") || fmt.Sprint(d.Files) != "[]" {
		t.Errorf("conflicts %v, diff of both:\n%s", d.Files, d.Diff)
	}
	run(t, s, []request{
		{"POST", at + "/1/merge", "hf_alice", "", 400, "BadRequest"}, // a draft
		{"POST", at + "/1/status", "hf_carol", `{"status":"open"}`, 403, "Forbidden"},
		{"POST", at + "/1/status", "hf_bob", `{"status":"open"}`, 200, `"status":"open"`},
		{"POST", at + "/1/merge", "hf_bob", "", 403, "Forbidden"},
		{"POST", at + "/1/merge", "hf_bobreads", "", 403, "Forbidden"},
		{"POST", at + "/1/merge", "", "", 401, "Unauthorized"},
		{"POST", at + "/1/status", "hf_bob", `{"status":"closed"}`, 200, `"status":"closed"`},
		{"POST", at + "/1/merge", "hf_alice", "", 400, "BadRequest"}, // closed
		{"POST", at + "/1/status", "hf_bob", `{"status":"open"}`, 200, `"status":"open"`},
		{"POST", at + "/1/merge", "hf_alice", `{"comment":"thanks"}`, 200, `"status":"merged"`},
		{"POST", at + "/1/merge", "hf_alice", "", 400, "BadRequest"}, // merged
		{"POST", at + "/1/status", "hf_bob", `{"status":"closed"}`, 400, "BadRequest"},
		{"GET", "/alice/m/resolve/main/lines", "", "", 200, "1\ntwo\n3\n4\n5\n6\n7\neight\n9\n"},
		{"GET", "/alice/m/resolve/main/new/file", "", "", 200, "n"},
		{"GET", "/alice/m/resolve/main/d/other", "", "", 200, "o"},
		{"GET", "/alice/m/resolve/main/gone", "", "", 404, "EntryNotFound"},
		{"GET", "/api/models/alice/m/commits/main", "", "", 200, `"title":"Better (#1)"`},
		{"GET", "/api/models/alice/m/commits/main", "", "", 200, "Co-authored-by: Bob"},
	})
	restart(s)
	d = details(t, s, at+"/1")
	head, err := s.Hub.Head(localhub.Model, "alice/m", "main")
	must(t, err)
	if d.Status != "merged" || d.Changes.MergeCommitID != head || head == base || !strings.HasSuffix(d.types(), "status-change comment") {
		t.Errorf("%+v", d)
	}
	if !strings.Contains(d.Diff, "+two") || fmt.Sprint(d.Files) != "[]" {
		t.Errorf("after the merge: %v\n%s", d.Files, d.Diff)
	}
	fsck(t, root)
}

func TestPullRequestConflicts(t *testing.T) {
	s := world(t)
	const at = "/api/datasets/alice/d/discussions"
	commit := func(rev string, ops ...localhub.Operation) {
		t.Helper()
		_, err := s.Hub.Commit(localhub.Dataset, "alice/d", rev, localhub.CommitInput{Title: "x", Operations: ops})
		must(t, err)
	}
	add := func(p, c string) localhub.Operation {
		return localhub.Operation{Kind: localhub.OpAdd, Path: p, Content: []byte(c)}
	}
	del := func(p string) localhub.Operation { return localhub.Operation{Kind: localhub.OpDelete, Path: p} }
	commit("main", add("both", "a\nb\nc\n"), add("deleted here", "x"), add("deleted there", "x"), add("file", "f"), add("bin", "a\x00b"), add("same", "s"))
	n, _, err := s.Hub.CreatePR(localhub.Dataset, "alice/d", "", localhub.CommitInput{Title: "theirs", Author: "Bob", Description: "all of it", Operations: []localhub.Operation{
		add("both", "a\nB\nc\n"), add("deleted here", "changed"), del("deleted there"), add("new", "theirs"), del("file"), add("file/below", "f"),
		add("bin", "c\x00b"), add("same", "t"), add("dir", "a file"),
	}})
	must(t, err)
	commit("main", add("both", "a\nbb\nc\n"), del("deleted here"), add("deleted there", "changed"), add("new", "ours"), add("bin", "d\x00b"), add("same", "t"), add("dir/x", "x"))
	d := details(t, s, at+"/1")
	want := "[bin both deleted here deleted there dir new]"
	if n != 1 || fmt.Sprint(d.Files) != want || d.Status != "open" || d.types() != "comment commit" || d.Events[0].Data.Latest.Raw != "all of it" {
		t.Errorf("%d %+v, want conflicts %s", n, d, want)
	}
	resp, body := send(t, "POST", s.URL+at+"/1/merge", "", auth("hf_alice"))
	if resp.StatusCode != http.StatusConflict || !strings.Contains(body, `"filesWithConflicts":["bin","both",`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if err := s.Hub.MergePR(localhub.Dataset, "alice/d", 1, "alice"); !errors.Is(err, localhub.ErrConflict) {
		t.Errorf("got %v", err)
	}
	// The author solves them.
	commit("refs/pr/1", add("both", "a\nbb\nc\n"), del("deleted here"), add("deleted there", "changed"), add("new", "ours"), add("bin", "d\x00b"), del("dir"), add("more", "m"))
	if d = details(t, s, at+"/1"); fmt.Sprint(d.Files) != "[]" || d.types() != "comment commit commit" {
		t.Errorf("%+v", d)
	}
	must(t, s.Hub.MergePR(localhub.Dataset, "alice/d", 1, "alice"))
	run(t, s, []request{
		{"GET", "/datasets/alice/d/resolve/main/file/below", "", "", 200, "f"},
		{"GET", "/datasets/alice/d/resolve/main/more", "", "", 200, "m"},
		{"GET", "/datasets/alice/d/resolve/main/dir/x", "", "", 200, "x"},
		// Without a common commit nothing can be listed.
		{"POST", at, "hf_bob", `{"title":"empty","description":"x","pullRequest":true}`, 200, `"num":2`},
		{"POST", at + "/2/status", "hf_bob", `{"status":"open"}`, 200, ""},
		{"POST", "/api/datasets/alice/d/super-squash/main", "hf_alice", `{"message":"one"}`, 200, ""},
		{"GET", at + "/2", "", "", 200, `"filesWithConflicts":true`},
		{"POST", at + "/2/merge", "hf_alice", "", 409, "Conflict"},
	})
}

// TestEmptyPullRequestMerges is what the official client's own tests do.
func TestEmptyPullRequestMerges(t *testing.T) {
	s := world(t)
	const at = "/api/spaces/alice/s/discussions"
	run(t, s, []request{
		{"POST", at, "hf_bob", `{"title":"empty","description":"x","pullRequest":true}`, 200, `"num":1`},
		{"GET", "/api/spaces/alice/s/revision/refs%2Fpr%2F1", "", "", 200, `"sha"`},
		{"POST", at + "/1/status", "hf_bob", `{"status":"open"}`, 200, ""},
		{"POST", at + "/1/merge", "hf_alice", "", 200, "merged"},
		{"GET", at + "/1?diff=1", "", "", 200, `"mergeCommitId"`},
		{"DELETE", "/api/repos/delete", "hf_alice", `{"name":"s","type":"space"}`, 200, ""},
		{"POST", "/api/repos/create", "hf_alice", `{"name":"s","type":"space","sdk":"static"}`, 200, ""},
		{"GET", at, "", "", 200, `"count":0`},
	})
}

func TestDiscussionsAtOnce(t *testing.T) {
	s := world(t)
	const at = "/api/models/alice/m/discussions"
	var wg sync.WaitGroup
	nums := make([]int, 20)
	for i := range nums {
		wg.Go(func() {
			if i%2 == 0 {
				n, _, err := s.Hub.CreatePR(localhub.Model, "alice/m", "", localhub.CommitInput{Title: "pr", Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: fmt.Sprint("f", i), Content: []byte("x")}}})
				if err != nil {
					t.Error(err)
				}
				nums[i] = n
				return
			}
			nums[i] = int(post(t, s, at, fmt.Sprintf(`{"title":"number %d","description":"x","pullRequest":%v}`, i, i%4 == 1), "hf_bob")["num"].(float64))
			post(t, s, fmt.Sprintf("%s/%d/comment", at, nums[i]), `{"comment":"x"}`, "hf_carol")
		})
	}
	wg.Wait()
	slices.Sort(nums)
	for i, n := range nums {
		if n != i+1 {
			t.Fatalf("numbers %v", nums)
		}
	}
	// All that are open are merged at once.
	for i := range nums {
		wg.Go(func() { _ = s.Hub.MergePR(localhub.Model, "alice/m", i+1, "alice") })
	}
	wg.Wait()
	for i := range 10 {
		if _, body := send(t, "GET", fmt.Sprintf("%s/alice/m/resolve/main/f%d", s.URL, 2*i), ""); body != "x" {
			t.Errorf("f%d: %s", 2*i, body)
		}
	}
}
