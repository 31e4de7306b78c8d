package hubtest_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

func TestStopAndStart(t *testing.T) {
	s := hubtest.New(t, hubtest.WithUsers(localhub.User{Name: "bob", Token: "hf_bob"}))
	id := s.Repo("m", map[string]string{"a.txt": "A"})
	ref, err := s.Hub.PutLFS(strings.NewReader("large"))
	if err != nil {
		t.Fatal(err)
	}
	in := localhub.CommitInput{Title: "lfs", Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: "l.bin", LFS: &ref}}}
	head, err := s.Hub.Commit(localhub.Model, id, "main", in)
	if err != nil {
		t.Fatal(err)
	}
	repo := hub.Repo{Type: hub.Model, ID: id}
	read := func(c *hub.Client) string {
		t.Helper()
		f, err := c.OpenFile(t.Context(), hub.FileRef{Repo: repo, Revision: "main", Path: "l.bin"}, hub.Range{Len: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		if f.Commit != head {
			t.Errorf("commit %s, want %s", f.Commit, head)
		}
		return string(b)
	}
	url, content := s.URL, s.ContentURL
	if got := read(s.Client()); got != "large" {
		t.Errorf("content %q", got)
	}
	s.Stop()
	c := http.Client{Timeout: time.Second}
	if resp, err := c.Get(url); err == nil {
		resp.Body.Close()
		t.Error("a stopped Hub answers")
	}
	s.Start()
	if s.URL != url || s.ContentURL != content {
		t.Errorf("the addresses changed: %s %s", s.URL, s.ContentURL)
	}
	if got := read(s.ClientWithToken("hf_bob")); got != "large" {
		t.Errorf("content after a restart %q", got)
	}
	who, err := s.ClientWithToken("hf_bob").WhoAmI(t.Context())
	if err != nil || who.Name != "bob" {
		t.Errorf("whoami: %+v, %v", who, err)
	}
}

func TestClientSeesRefusals(t *testing.T) {
	s := hubtest.New(t)
	if err := s.Hub.CreateRepo(localhub.Model, "alice/secret", localhub.RepoOptions{Private: true}); err != nil {
		t.Fatal(err)
	}
	repo := hub.Repo{Type: hub.Model, ID: "alice/secret"}
	if _, err := s.Client().RepoInfo(t.Context(), repo, nil); err != nil {
		t.Error(err)
	}
	if _, err := s.ClientWithToken("").RepoInfo(t.Context(), repo, nil); !errors.Is(err, hub.ErrRepoNotFound) {
		t.Errorf("anonymous: %v", err)
	}
	if _, err := s.ClientWithToken("hf_wrong").RepoInfo(t.Context(), repo, nil); !errors.Is(err, hub.ErrUnauthorized) {
		t.Errorf("wrong token: %v", err)
	}
}
