package hub_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// sample is a repository with all kinds of files, on a real Hub.
type sample struct {
	*hubtest.Server
	repo   hub.Repo
	files  map[string][]byte // regular and LFS
	lfs    map[string]string // path to sha256
	commit string            // head of main
}

func newSample(t *testing.T, opts ...hubtest.Option) *sample {
	t.Helper()
	s := &sample{
		Server: hubtest.New(t, opts...),
		repo:   hub.Repo{Type: hub.Dataset, ID: "alice/data"},
		files: map[string][]byte{
			"README.md":            []byte("# data\n"),
			"empty":                {},
			"a dir/ünï cödé+$.txt": []byte("text\n"),
			"a dir/sub/x":          []byte("x"),
		},
		lfs: make(map[string]string),
	}
	if err := s.Hub.CreateRepo(localhub.Dataset, s.repo.ID, localhub.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	in := localhub.CommitInput{Title: "fill", Description: "with all kinds"}
	for path, data := range s.files {
		in.Operations = append(in.Operations, localhub.Operation{Kind: localhub.OpAdd, Path: path, Content: data})
	}
	for i := range 5 {
		in.Operations = append(in.Operations, localhub.Operation{Kind: localhub.OpAdd, Path: fmt.Sprintf("many/f%d", i), Content: []byte{byte(i)}})
		s.files[fmt.Sprintf("many/f%d", i)] = []byte{byte(i)}
	}
	big := make([]byte, 1<<20)
	for i := range big {
		big[i] = byte(i>>8 ^ i)
	}
	ref, err := s.Hub.PutLFS(bytes.NewReader(big))
	if err != nil {
		t.Fatal(err)
	}
	in.Operations = append(in.Operations, localhub.Operation{Kind: localhub.OpAdd, Path: "big.bin", LFS: &ref})
	s.files["big.bin"], s.lfs["big.bin"] = big, ref.OID
	if s.commit, err = s.Hub.Commit(localhub.Dataset, s.repo.ID, "main", in); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sample) ref(path string) hub.FileRef { return hub.FileRef{Repo: s.repo, Path: path} }

func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v, want the kind %q", err, kind)
	}
}

// collect reads a list to its end.
func collect[T any](t *testing.T, list func(func(T, error) bool)) []T {
	t.Helper()
	var all []T
	for v, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

func TestListingOnHub(t *testing.T) {
	s := newSample(t, hubtest.WithPageSize(3))
	c := s.Client()
	got := make(map[string]hub.TreeEntry)
	for _, e := range collect(t, c.Tree(t.Context(), s.repo, "main", "", &hub.TreeOptions{Recursive: true})) {
		got[e.Path] = e
	}
	for path, data := range s.files {
		e := got[path]
		if e.Type != hub.TypeFile || e.Size != int64(len(data)) || (e.LFS != nil) != (s.lfs[path] != "") || e.LFS != nil && e.LFS.SHA256 != s.lfs[path] {
			t.Errorf("%s: %+v", path, e)
		}
	}
	for _, folder := range []string{"a dir", "a dir/sub", "many"} {
		if got[folder].Type != hub.TypeDirectory {
			t.Errorf("%s: %+v", folder, got[folder])
		}
	}
	if len(got) != len(s.files)+3+1 { // and .gitattributes
		t.Errorf("%d entries: %q", len(got), slices.Sorted(maps.Keys(got)))
	}

	expanded := collect(t, c.Tree(t.Context(), s.repo, s.commit, "a dir", &hub.TreeOptions{Expand: true}))
	if len(expanded) != 2 || expanded[0].LastCommit == nil || expanded[0].LastCommit.ID != s.commit || expanded[0].LastCommit.Title != "fill" {
		t.Errorf("%+v", expanded)
	}
	some, err := c.PathsInfo(t.Context(), s.repo, "main", []string{"big.bin", "a dir", "none", "a dir/ünï cödé+$.txt"}, false)
	if err != nil || len(some) != 3 {
		t.Errorf("%+v, %v", some, err)
	}
	for _, e := range some {
		if e.OID != got[e.Path].OID {
			t.Errorf("%s has two ids", e.Path)
		}
	}

	for _, err := range c.Tree(t.Context(), s.repo, "main", "none", nil) {
		wantKind(t, err, hub.ErrEntryNotFound)
	}
	for _, err := range c.Tree(t.Context(), s.repo, "none", "", nil) {
		wantKind(t, err, hub.ErrRevisionNotFound)
	}
	for _, err := range c.Tree(t.Context(), hub.Repo{Type: hub.Model, ID: s.repo.ID}, "main", "", nil) {
		wantKind(t, err, hub.ErrRepoNotFound)
	}
}

func TestInfoOnHub(t *testing.T) {
	s := newSample(t)
	c := s.Client()
	info, err := c.RepoInfo(t.Context(), s.repo, &hub.RepoInfoOptions{FilesMetadata: true})
	if err != nil {
		t.Fatal(err)
	}
	if info.Repo() != s.repo || info.SHA != s.commit || info.Private == nil || *info.Private || info.LastModified.IsZero() || len(info.Siblings) != len(s.files)+1 {
		t.Errorf("%+v", info)
	}
	for _, f := range info.Siblings {
		if s.lfs[f.Name] != "" && (f.LFS == nil || f.LFS.SHA256 != s.lfs[f.Name]) || f.Size == nil {
			t.Errorf("%+v", f)
		}
	}
	if err := s.Hub.CreateBranch(localhub.Dataset, s.repo.ID, "feat/x+y", "main"); err != nil {
		t.Fatal(err)
	}
	if err := s.Hub.CreateTag(localhub.Dataset, s.repo.ID, "v1", "main", ""); err != nil {
		t.Fatal(err)
	}
	n, pr, err := s.Hub.CreatePR(localhub.Dataset, s.repo.ID, "main", localhub.CommitInput{
		Title: "propose", Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: "p", Content: []byte("p")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	refs, err := c.Refs(t.Context(), s.repo, true)
	if err != nil || len(refs.Branches) != 2 || len(refs.Tags) != 1 || len(refs.PullRequests) != 1 || refs.PullRequests[0].TargetCommit != pr {
		t.Errorf("%+v, %v", refs, err)
	}
	for rev, want := range map[string]string{"feat/x+y": s.commit, "v1": s.commit, fmt.Sprintf("refs/pr/%d", n): pr, s.commit: s.commit} {
		info, err := c.RepoInfo(t.Context(), s.repo, &hub.RepoInfoOptions{Revision: rev})
		if err != nil || info.SHA != want {
			t.Errorf("%s: %v", rev, err)
		}
		if ok, err := c.RevisionExists(t.Context(), s.repo, rev); !ok || err != nil {
			t.Errorf("%s: %v, %v", rev, ok, err)
		}
	}
	if ok, err := c.RevisionExists(t.Context(), s.repo, "none"); ok || err != nil {
		t.Error(ok, err)
	}

	commits := collect(t, c.Commits(t.Context(), s.repo, "main", nil))
	if len(commits) != 2 || commits[0].ID != s.commit || commits[0].Title != "fill" || commits[0].Message != "with all kinds" ||
		!slices.Equal(commits[0].Authors, []string{"alice"}) || commits[1].Title != "initial commit" {
		t.Errorf("%+v", commits)
	}
	who, err := c.WhoAmI(t.Context())
	if err != nil || who.Name != "alice" || who.Type != "user" {
		t.Errorf("%+v, %v", who, err)
	}
	list := collect(t, c.ListRepos(t.Context(), hub.Dataset, &hub.ListReposOptions{Author: "alice", Full: true}))
	if len(list) != 1 || list[0].Repo() != s.repo {
		t.Errorf("%+v", list)
	}
	if ns, err := c.NamespaceOverview(t.Context(), "Alice"); err != nil || ns.Name != "alice" || ns.Type != "user" {
		t.Errorf("%+v, %v", ns, err)
	}
	_, err = c.NamespaceOverview(t.Context(), "nobody")
	wantKind(t, err, hub.ErrNotFound)
}

func TestAccessOnHub(t *testing.T) {
	s := newSample(t, hubtest.WithUsers(localhub.User{Name: "bob", Token: "hf_bobsTokenForTests"}))
	for id, o := range map[string]localhub.RepoOptions{"alice/private": {Private: true}, "alice/gated": {Gated: "manual"}} {
		if err := s.Hub.CreateRepo(localhub.Model, id, o); err != nil {
			t.Fatal(err)
		}
	}
	private, gated := hub.Repo{Type: hub.Model, ID: "alice/private"}, hub.Repo{Type: hub.Model, ID: "alice/gated"}
	alice, bob, nobody := s.Client(), s.ClientWithToken("hf_bobsTokenForTests"), s.ClientWithToken("")
	for _, repo := range []hub.Repo{private, gated} {
		if err := alice.AuthCheck(t.Context(), repo); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []*hub.Client{bob, nobody} {
		wantKind(t, c.AuthCheck(t.Context(), private), hub.ErrRepoNotFound)
		wantKind(t, c.AuthCheck(t.Context(), gated), hub.ErrGatedRepo)
		_, err := c.OpenFile(t.Context(), hub.FileRef{Repo: gated, Path: ".gitattributes"}, hub.Range{Len: -1})
		wantKind(t, err, hub.ErrGatedRepo)
		if ok, err := c.RepoExists(t.Context(), private); ok || err != nil {
			t.Error(ok, err)
		}
		if ok, err := c.RepoExists(t.Context(), gated); !ok || err != nil {
			t.Error(ok, err)
		}
	}
	_, err := nobody.WhoAmI(t.Context())
	wantKind(t, err, hub.ErrUnauthorized)
	_, err = s.ClientWithToken("hf_wrong").WhoAmI(t.Context())
	wantKind(t, err, hub.ErrUnauthorized)
}

func TestContentOnHub(t *testing.T) {
	s := newSample(t)
	c := s.Client()
	for path, want := range s.files {
		m, err := c.FileMetadata(t.Context(), s.ref(path))
		if err != nil || m.CommitHash != s.commit || m.Size != int64(len(want)) || s.lfs[path] != "" && m.ETag != s.lfs[path] {
			t.Errorf("%s: %+v, %v", path, m, err)
		}
		var buf bytes.Buffer
		if _, err := c.Download(t.Context(), s.ref(path), &buf); err != nil || !bytes.Equal(buf.Bytes(), want) {
			t.Errorf("%s: %d bytes, %v", path, buf.Len(), err)
		}
		f, err := c.OpenFile(t.Context(), s.ref(path), hub.Range{Len: 4096})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got, err := io.ReadAll(f)
		f.Close()
		if err != nil || !bytes.Equal(got, want[:min(len(want), 4096)]) {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
	}

	// A cold read in the middle of a large file: two round trips, then one each.
	s.Hub.ResetCounts()
	f, err := c.OpenFile(t.Context(), s.ref("big.bin"), hub.Range{Off: 500_000, Len: 4096})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	f.Close()
	if err != nil || !bytes.Equal(got, s.files["big.bin"][500_000:504_096]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if f.Location.Expires.IsZero() || strings.Contains(f.Location.String(), "?") && !strings.Contains(f.Location.String(), "REDACTED") {
		t.Errorf("%s expires %s", f.Location, f.Location.Expires)
	}
	if n := s.Hub.Counts(); n.Resolve != 1 || n.Content != 1 || n.API != 0 || n.ContentBytes != 4096 {
		t.Errorf("%+v", n)
	}
	f, err = c.OpenLocation(t.Context(), f.Location, hub.Range{Off: 1<<20 - 10, Len: 100})
	if err != nil {
		t.Fatal(err)
	}
	if got, err = io.ReadAll(f); err != nil || len(got) != 10 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	f.Close()
	if n := s.Hub.Counts(); n.Resolve != 1 || n.Content != 2 {
		t.Errorf("%+v", n)
	}

	for _, tt := range []struct {
		ref  hub.FileRef
		want error
	}{
		{hub.FileRef{Repo: s.repo, Path: "none"}, hub.ErrEntryNotFound},
		{hub.FileRef{Repo: s.repo, Path: "big.bin", Revision: "none"}, hub.ErrRevisionNotFound},
		{hub.FileRef{Repo: hub.Repo{Type: hub.Space, ID: "alice/none"}, Path: "x"}, hub.ErrRepoNotFound},
	} {
		_, err := c.OpenFile(t.Context(), tt.ref, hub.Range{Len: -1})
		wantKind(t, err, tt.want)
		_, err = c.FileMetadata(t.Context(), tt.ref)
		wantKind(t, err, tt.want)
		if ok, err := c.FileExists(t.Context(), tt.ref); ok || err != nil {
			t.Error(ok, err)
		}
	}
}

func TestRenameOnHub(t *testing.T) {
	s := newSample(t)
	c := s.Client()
	if err := c.MoveRepo(t.Context(), s.repo, "alice/renamed"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var buf bytes.Buffer
		if _, err := c.Download(t.Context(), s.ref("big.bin"), &buf); err != nil || !bytes.Equal(buf.Bytes(), s.files["big.bin"]) {
			t.Errorf("%d bytes, %v", buf.Len(), err)
		}
		info, err := c.RepoInfo(t.Context(), s.repo, nil)
		if err != nil || info.ID != "alice/renamed" {
			t.Errorf("%+v, %v", info, err)
		}
	}
	asked := 0
	for _, r := range s.Hub.Requests() {
		if strings.Contains(r.Path, s.repo.ID) {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("the old name was asked for %d times", asked)
	}
}

func TestAdministrationOnHub(t *testing.T) {
	s := newSample(t)
	c, ctx := s.Client(), t.Context()
	yes := true
	made, err := c.CreateRepo(ctx, hub.Repo{Type: hub.Model, ID: "new"}, &hub.CreateRepoOptions{Private: &yes})
	if err != nil || made.Repo.ID != "alice/new" || made.URL != s.URL+"/alice/new" {
		t.Fatalf("%+v, %v", made, err)
	}
	repo := made.Repo
	_, err = c.CreateRepo(ctx, repo, nil)
	wantKind(t, err, hub.ErrConflict)
	if again, err := c.CreateRepo(ctx, repo, &hub.CreateRepoOptions{ExistOK: true}); err != nil || again.Repo != repo {
		t.Errorf("%+v, %v", again, err)
	}
	no := false
	for _, err := range []error{
		c.UpdateRepoSettings(ctx, repo, hub.RepoSettings{Private: &no, Gated: hub.GatedAuto}),
		c.CreateBranch(ctx, repo, "feat/x", nil),
		c.CreateBranch(ctx, repo, "feat/x", &hub.CreateBranchOptions{ExistOK: true}),
		c.CreateTag(ctx, repo, "v/1", &hub.CreateTagOptions{Revision: "feat/x", Message: "m"}),
		c.CreateTag(ctx, repo, "v/1", &hub.CreateTagOptions{ExistOK: true}),
		c.SuperSquashHistory(ctx, repo, "feat/x", ""),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	wantKind(t, c.CreateBranch(ctx, repo, "feat/x", nil), hub.ErrConflict)
	wantKind(t, c.CreateTag(ctx, repo, "v/1", nil), hub.ErrConflict)
	wantKind(t, c.CreateBranch(ctx, repo, "b", &hub.CreateBranchOptions{Revision: "none"}), hub.ErrRevisionNotFound)
	info, err := c.RepoInfo(ctx, repo, nil)
	if err != nil || *info.Private || info.Gated != hub.GatedAuto {
		t.Errorf("%+v, %v", info, err)
	}
	if n := len(collect(t, c.Commits(ctx, repo, "feat/x", nil))); n != 1 {
		t.Errorf("%d commits after the squash", n)
	}
	for _, err := range []error{c.DeleteTag(ctx, repo, "v/1"), c.DeleteBranch(ctx, repo, "feat/x")} {
		if err != nil {
			t.Error(err)
		}
	}
	wantKind(t, c.DeleteTag(ctx, repo, "v/1"), hub.ErrRevisionNotFound)
	if refs, err := c.Refs(ctx, repo, false); err != nil || len(refs.Branches) != 1 || len(refs.Tags) != 0 || refs.PullRequests != nil {
		t.Errorf("%+v, %v", refs, err)
	}
	if err := c.DeleteRepo(ctx, repo, false); err != nil {
		t.Error(err)
	}
	wantKind(t, c.DeleteRepo(ctx, repo, false), hub.ErrRepoNotFound)
	if err := c.DeleteRepo(ctx, repo, true); err != nil {
		t.Error(err)
	}
	_, err = s.ClientWithToken("").CreateRepo(ctx, repo, nil)
	wantKind(t, err, hub.ErrUnauthorized)
}

// Right bytes or a clean error, and no hang, whatever the network does.
func TestFaultsOnHub(t *testing.T) {
	s := newSample(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	faults := make(map[localhub.Fault]float64)
	for _, f := range []localhub.Fault{
		localhub.FaultReset, localhub.FaultTruncate, localhub.FaultStall, localhub.FaultStatus429, localhub.FaultStatus503, localhub.FaultExpireURL,
	} {
		faults[f] = 0.05
	}
	s.Hub.SetNetwork(localhub.Network{Faults: faults, Seed: int64(seed >> 1)})
	c, err := hub.New(hub.Config{Endpoint: s.URL, Token: hub.StaticToken(s.Token), ProgressTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	data := s.files["big.bin"]
	var mu sync.Mutex
	good, failed := 0, 0
	var wg sync.WaitGroup
	for worker := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, worker))
		wg.Go(func() {
			for range 20 {
				off := rng.Int64N(int64(len(data)))
				n := 1 + rng.Int64N(100_000)
				want := data[off:min(off+n, int64(len(data)))]
				f, err := c.OpenFile(ctx, s.ref("big.bin"), hub.Range{Off: off, Len: n})
				var got []byte
				if err == nil {
					got, err = io.ReadAll(f)
					f.Close()
				}
				mu.Lock()
				switch {
				case err == nil && bytes.Equal(got, want):
					good++
				case err == nil || !bytes.HasPrefix(want, got):
					t.Errorf("wrong bytes at %d, %d of %d", off, len(got), n)
				case errors.Is(err, hub.ErrUnavailable):
					failed++
				default:
					t.Errorf("%v", err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d right, %d errors, %+v", good, failed, c.Stats())
	if good < 60 {
		t.Errorf("only %d of 160 reads were right", good)
	}
	for range 3 {
		for try := 1; ; try++ {
			sum := sha256.New()
			m, err := c.Download(ctx, s.ref("big.bin"), sum)
			if errors.Is(err, hub.ErrUnavailable) && try < 10 {
				continue // with so many faults, one call may see too many of them
			}
			if err != nil || fmt.Sprintf("%x", sum.Sum(nil)) != m.ETag {
				t.Errorf("download: %v", err)
			}
			break
		}
		n := 0
		var err error
		for _, err = range c.Tree(ctx, s.repo, "main", "", &hub.TreeOptions{Recursive: true}) {
			if err != nil {
				break
			}
			n++
		}
		if err == nil && n != len(s.files)+4 || err != nil && !errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("%d entries, %v", n, err)
		}
	}
}

// More requests than the quota has: none is refused, each is counted.
func TestQuotaOnHub(t *testing.T) {
	s := newSample(t, func(o *localhub.Options) {
		o.RateLimits = localhub.RateLimits{API: 30, Resolvers: 1000, Window: 2 * time.Second}
	})
	c := s.Client()
	start := time.Now()
	for range 45 {
		if _, err := c.Refs(t.Context(), s.repo, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.FileMetadata(t.Context(), s.ref("empty")); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < time.Second || d > time.Minute {
		t.Errorf("it took %s", d)
	}
	st := c.Stats()
	if st.RateLimited > 0 || st.Requests["api"] != 45 || st.Requests["resolvers"] != 1 {
		t.Errorf("%+v", st)
	}
	q := c.Quota()
	if len(q) != 2 || q[0].Class != "api" || q[0].Limit != 30 || q[0].Used != 45 || q[1].Class != "resolvers" || q[1].Limit != 1000 || q[1].Remaining != 999 {
		t.Errorf("%+v", q)
	}
}

func TestHubDiesAndComesBack(t *testing.T) {
	s := newSample(t)
	c, err := hub.New(hub.Config{Endpoint: s.URL, Token: hub.StaticToken(s.Token), Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	s.Hub.SetNetwork(localhub.Network{Bandwidth: 100_000}) // so that it dies in the middle
	f, err := c.OpenFile(t.Context(), s.ref("big.bin"), hub.Range{Len: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s.Stop()
	_, err = io.Copy(io.Discard, f)
	wantKind(t, err, hub.ErrUnavailable)
	_, err = c.RepoInfo(t.Context(), s.repo, nil)
	wantKind(t, err, hub.ErrUnavailable)
	s.Start()
	if _, err := c.RepoInfo(t.Context(), s.repo, nil); err != nil {
		t.Error(err)
	}
	if f, err = c.OpenLocation(t.Context(), f.Location, hub.Range{Off: 10, Len: 10}); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Error(err)
	}
}

// With a second host for the content, the token is refused there; the client
// has never sent it.
func TestTokenNeverLeavesTheHub(t *testing.T) {
	s := newSample(t)
	seen := 0
	spy := spyTransport(func(r *http.Request) {
		if !strings.HasPrefix(r.URL.String(), s.URL+"/") && r.Header.Get("Authorization") != "" {
			t.Errorf("%s has the token", r.URL.Host)
		}
		seen++
	})
	c, err := hub.New(hub.Config{Endpoint: s.URL, Token: hub.StaticToken(s.Token), Transport: spy})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Download(t.Context(), s.ref("big.bin"), io.Discard); err != nil || seen != 2 {
		t.Errorf("%d requests, %v", seen, err)
	}
}

type spyTransport func(*http.Request)

func (f spyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return http.DefaultTransport.RoundTrip(r)
}
