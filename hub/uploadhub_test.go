package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

func randomBytes(seed byte, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{seed})
	_, _ = r.Read(b)
	return b
}

// readAll downloads a revision.
func readAll(t *testing.T, c *hub.Client, repo hub.Repo, revision string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for e, err := range c.Tree(t.Context(), repo, revision, "", &hub.TreeOptions{Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != hub.TypeFile || e.Path == ".gitattributes" {
			continue
		}
		var buf bytes.Buffer
		if _, err := c.Download(t.Context(), hub.FileRef{Repo: repo, Revision: revision, Path: e.Path}, &buf); err != nil {
			t.Fatal(err)
		}
		files[e.Path] = buf.String()
	}
	return files
}

func history(t *testing.T, c *hub.Client, repo hub.Repo, revision string) []hub.Commit {
	t.Helper()
	var list []hub.Commit
	for commit, err := range c.Commits(t.Context(), repo, revision, nil) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, commit)
	}
	return list
}

// countRequests counts those whose method and path match.
func countRequests(srv *hubtest.Server, method, part string) int {
	n := 0
	for _, r := range srv.Hub.Requests() {
		if r.Method == method && strings.Contains(r.Path, part) {
			n++
		}
	}
	return n
}

func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestHubThousandFiles(t *testing.T) {
	srv := hubtest.New(t)
	c := srv.Client()
	repo := hub.Repo{Type: hub.Model, ID: srv.Repo("m", nil)}
	files := map[string]string{"empty": "", "empty.bin": "", "ünï cödé/a b.txt": "1", "dir/sub/x": "2", "weird #%?&+.txt": "3"}
	for i := range 995 {
		ext := []string{"txt", "bin"}[i%20/19]
		files[fmt.Sprintf("d%d/f%04d.%s", i%7, i, ext)] = strings.Repeat(fmt.Sprint(i), 200)
	}
	dir := writeTree(t, files)
	srv.Hub.ResetCounts()
	info, err := c.UploadFolder(t.Context(), repo, "", dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The server wants to be told of the end of each upload.
	if n := srv.Hub.Counts(); n.Commit != 1 || n.API-countRequests(srv, "POST", "/verify") > 5 {
		t.Errorf("it took %+v", n)
	}
	if got := readAll(t, c, repo, info.OID); !maps.Equal(got, files) {
		t.Errorf("%d files came back of %d, or others", len(got), len(files))
	}
	again, err := c.UploadFolder(t.Context(), repo, "", dir, nil)
	if err != nil || !again.NoChange || again.OID != info.OID || len(again.Unchanged) != 1000 {
		t.Errorf("the second time: %+v, %v", again, err)
	}
	if n := len(history(t, c, repo, "main")); n != 2 {
		t.Errorf("%d commits", n)
	}

	// Renaming a folder of LFS files sends nothing.
	srv.Hub.ResetCounts()
	var ops []hub.Operation
	for path := range files {
		if strings.HasPrefix(path, "d1/") && strings.HasSuffix(path, ".bin") {
			ops = append(ops, &hub.Copy{Source: path, Path: "moved" + path[2:]}, &hub.Delete{Path: path})
		}
	}
	if _, err := c.CreateCommit(t.Context(), repo, "", hub.CommitInput{Summary: "move", ParentCommit: info.OID, Operations: ops}); err != nil {
		t.Fatal(err)
	}
	if n := srv.Hub.Counts(); len(ops) == 0 || n.Content != 0 || n.API != 1 {
		t.Errorf("moving %d files took %+v", len(ops)/2, n)
	}

	_, err = c.CreateCommit(t.Context(), repo, "", hub.CommitInput{Summary: "late", ParentCommit: info.OID, Operations: []hub.Operation{&hub.Delete{Path: "empty"}}})
	if !errors.Is(err, hub.ErrPreconditionFailed) || errors.Is(err, hub.ErrAmbiguousCommit) {
		t.Errorf("on an old parent: %v", err)
	}
}

// The process dies between two parts, and the server restarts: what is stored
// isn't sent again.
func TestHubMultipartResume(t *testing.T) {
	const chunk, parts = 256 << 10, 40
	srv := hubtest.New(t, hubtest.WithChunkSize(chunk))
	repo := hub.Repo{Type: hub.Model, ID: srv.Repo("m", nil)}
	data := randomBytes(1, chunk*parts-100)
	ctx, cancel := context.WithCancel(t.Context())
	var kept []byte
	checkpoint := func(a *hub.Add) {
		var err error
		if kept, err = json.Marshal(a.State); err != nil {
			t.Error(err)
		}
		if a.State.Multipart != nil && len(a.State.Multipart.ETags) == parts/2 {
			cancel()
		}
	}
	opts := &hub.PreuploadOptions{UploadOptions: hub.UploadOptions{Workers: 4, Checkpoint: checkpoint}}
	a := &hub.Add{Path: "large.bin", Content: hub.BytesContent(data)}
	if err := srv.Client().PreuploadLFSFiles(ctx, repo, "", []*hub.Add{a}, opts); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	var state hub.AddState
	if err := json.Unmarshal(kept, &state); err != nil {
		t.Fatal(err)
	}
	stored := len(state.Multipart.ETags)
	srv.Stop()
	srv.Start()

	srv.Hub.ResetCounts()
	var last hub.Progress
	a = &hub.Add{Path: "large.bin", Content: hub.BytesContent(data), State: state}
	info, err := srv.Client().CreateCommit(t.Context(), repo, "", hub.CommitInput{Summary: "x", Operations: []hub.Operation{a},
		UploadOptions: hub.UploadOptions{Progress: func(p hub.Progress) { last = p }}})
	if err != nil {
		t.Fatal(err)
	}
	if n := countRequests(srv, "PUT", "/part/"); stored < parts/2 || n != parts-stored {
		t.Errorf("%d parts were stored of %d, and %d sent", stored, parts, n)
	}
	if last.TotalDone != int64(len(data)) || last.Total != last.TotalDone || last.Files != 1 {
		t.Errorf("the last progress is %+v", last)
	}
	if got := readAll(t, srv.Client(), repo, info.OID); got["large.bin"] != string(data) {
		t.Error("other content came back")
	}
}

// Answers to commits get lost: with the mark, no commit is doubled or lost.
func TestHubLostAnswers(t *testing.T) {
	srv := hubtest.New(t, hubtest.WithNetwork(localhub.Network{Seed: 1, Faults: map[localhub.Fault]float64{
		localhub.FaultLanded500: 0.3, localhub.FaultLostAnswer: 0.3, localhub.FaultStaleHead: 0.5}}))
	c := srv.Client()
	repo := hub.Repo{Type: hub.Model, ID: srv.Repo("m", nil)}
	parent, err := srv.Hub.Head(localhub.Model, repo.ID, "main")
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	const commits = 150
	for i := range commits {
		mark := fmt.Sprintf("mark-%d", i)
		for {
			info, err := c.CreateCommit(t.Context(), repo, "", hub.CommitInput{
				Summary: "x", ParentCommit: parent, Mark: mark,
				Operations: []hub.Operation{&hub.Add{Path: "log", Content: hub.BytesContent([]byte(mark))}}})
			if err == nil {
				parent = info.OID
				break
			}
			if !errors.Is(err, hub.ErrAmbiguousCommit) {
				t.Fatal(err)
			}
			lost++
			found, err := c.FindCommit(t.Context(), repo, "", parent, mark)
			if err != nil {
				t.Fatal(err)
			}
			if found != nil {
				parent = found.ID
				break
			}
		}
	}
	marks := map[string]int{}
	list := history(t, c, repo, "main")
	for _, commit := range list {
		marks[strings.TrimSpace(commit.Message)]++
	}
	if len(list) != commits+1 || len(marks) != commits+1 || lost < commits/4 {
		t.Errorf("%d commits with %d different marks after %d lost answers", len(list), len(marks), lost)
	}
}

// Everything goes wrong now and then, and the folder is there all the same, in one commit.
func TestHubBadNetwork(t *testing.T) {
	for seed := range int64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			faults := map[localhub.Fault]float64{}
			for _, f := range []localhub.Fault{localhub.FaultReset, localhub.FaultStatus503, localhub.FaultTruncate} {
				faults[f] = 0.02
			}
			faults[localhub.FaultLanded500], faults[localhub.FaultLostAnswer] = 0.1, 0.1
			// A file is given up after four addresses: with more faults, one of the sixty fails now and then.
			faults[localhub.FaultExpireURL] = 0.01
			srv := hubtest.New(t, hubtest.WithChunkSize(64<<10), hubtest.WithNetwork(localhub.Network{Seed: seed + 1, Faults: faults}))
			repo := hub.Repo{Type: hub.Dataset, ID: "alice/d"}
			if err := srv.Hub.CreateRepo(localhub.Dataset, repo.ID, localhub.RepoOptions{}); err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for i := range 60 {
				files[fmt.Sprintf("f%02d.bin", i)] = string(randomBytes(byte(i), 1000*i))
				files[fmt.Sprintf("g%02d.txt", i)] = strings.Repeat(fmt.Sprint(i), 1000)
			}
			files["large.bin"] = string(randomBytes(200, 3<<20))
			stubborn, err := hub.New(hub.Config{Endpoint: srv.URL, Token: hub.StaticToken(srv.Token), Retries: 12})
			if err != nil {
				t.Fatal(err)
			}
			defer stubborn.CloseIdleConnections()
			info, err := stubborn.UploadFolder(t.Context(), repo, "", writeTree(t, files), nil)
			if err != nil {
				t.Fatal(err)
			}
			srv.Hub.SetNetwork(localhub.Network{})
			c := srv.Client()
			if got := readAll(t, c, repo, info.OID); !maps.Equal(got, files) {
				t.Errorf("%d files came back of %d, or others", len(got), len(files))
			}
			if list := history(t, c, repo, "main"); len(list) != 2 || list[0].ID != info.OID {
				t.Errorf("%d commits, the first is %s, and should be %s", len(list), list[0].ID, info.OID)
			}
		})
	}
}

func TestHubPullRequest(t *testing.T) {
	srv := hubtest.New(t, hubtest.WithUsers(localhub.User{Name: "bob", Token: "hf_bob"}))
	repo := hub.Repo{Type: hub.Model, ID: srv.Repo("m", map[string]string{"a": "1"})}
	bob := srv.ClientWithToken("hf_bob")
	if _, err := bob.UploadFile(t.Context(), repo, "", "b", hub.BytesContent(nil), nil); !errors.Is(err, hub.ErrForbidden) {
		t.Errorf("without the right to write: %v", err)
	}
	content := hub.BytesContent([]byte("large"))
	info, err := bob.UploadFile(t.Context(), repo, "", "b.bin", content, &hub.CommitOptions{CreatePR: true})
	if err != nil {
		t.Fatal(err)
	}
	if info.PRNum != 1 || info.PRRevision != "refs/pr/1" || info.PRURL != srv.URL+"/alice/m/discussions/1" {
		t.Errorf("got %+v", info)
	}
	if _, err := bob.UploadFile(t.Context(), repo, info.PRRevision, "c", hub.BytesContent([]byte("more")), nil); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(readAll(t, bob, repo, info.PRRevision))); !slices.Equal(got, []string{"a", "b.bin", "c"}) {
		t.Errorf("the pull request has %q", got)
	}
}

func TestHubRefusals(t *testing.T) {
	srv := hubtest.New(t)
	c := srv.Client()
	repo := hub.Repo{Type: hub.Model, ID: srv.Repo("m", map[string]string{"a": "1"})}
	commit := func(repo hub.Repo, revision string, ops ...hub.Operation) error {
		_, err := c.CreateCommit(t.Context(), repo, revision, hub.CommitInput{Summary: "x", Operations: ops})
		return err
	}
	text := func(path, s string) *hub.Add { return &hub.Add{Path: path, Content: hub.BytesContent([]byte(s))} }
	var invalid *hub.MetadataError
	for name, test := range map[string]struct {
		err error
		is  error
	}{
		"no repository": {commit(hub.Repo{Type: hub.Model, ID: "alice/none"}, "", text("a", "")), hub.ErrRepoNotFound},
		"no branch":     {commit(repo, "none", text("a", "")), hub.ErrRevisionNotFound},
		"no such file":  {commit(repo, "", &hub.Delete{Path: "none"}), hub.ErrEntryNotFound},
		"no source":     {commit(repo, "", &hub.Copy{Source: "none", Path: "b"}), hub.ErrEntryNotFound},
		"bad object":    {commit(repo, "", &hub.Copy{Path: "b.bin", Source: "x", SHA256: strings.Repeat("a", 64)}), hub.ErrUnprocessable},
	} {
		if !errors.Is(test.err, test.is) || errors.Is(test.err, hub.ErrAmbiguousCommit) {
			t.Errorf("%s: %v", name, test.err)
		}
	}
	if err := commit(repo, "", text("README.md", "---\nlicense: [\n---\n")); !errors.As(err, &invalid) || len(hub.FailedPaths(err)) != 1 {
		t.Errorf("invalid metadata: %v", err)
	}
	if n := len(history(t, c, repo, "main")); n != 2 {
		t.Errorf("%d commits", n)
	}
}

// A file that grows while it is uploaded isn't committed half old, half new.
func TestHubFileGrows(t *testing.T) {
	srv := hubtest.New(t)
	repo := hub.Repo{Type: hub.Model, ID: srv.Repo("m", nil)}
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	content, err := hub.FileContent(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := srv.Client().UploadFile(t.Context(), repo, "", "log", content, nil); !errors.Is(err, hub.ErrContentChanged) {
		t.Errorf("got %v", err)
	}
}
