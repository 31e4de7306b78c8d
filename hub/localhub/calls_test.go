package localhub_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// TestCalls makes a repository by Go calls and looks at it over HTTP.
func TestCalls(t *testing.T) {
	root := t.TempDir()
	s := hubtest.New(t, hubtest.WithRoot(root))
	h := s.Hub
	const typ, id = localhub.Dataset, "alice/d"
	must(t, h.CreateRepo(typ, id, localhub.RepoOptions{}))
	ref, err := h.PutLFS(strings.NewReader("large"))
	must(t, err)
	first, err := h.Commit(typ, id, "main", localhub.CommitInput{
		Title: "first", Description: "of two", Author: "bob", Date: time.Unix(1e9, 0),
		Operations: []localhub.Operation{
			{Kind: localhub.OpAdd, Path: "a", Content: []byte("A")},
			{Kind: localhub.OpAdd, Path: "d/b", Content: []byte("B")},
			{Kind: localhub.OpAdd, Path: "l.bin", LFS: &ref},
		},
	})
	must(t, err)
	second, err := h.Commit(typ, id, "main", localhub.CommitInput{Title: "second", Parent: first, Operations: []localhub.Operation{
		{Kind: localhub.OpCopy, Path: "copy.bin", From: "l.bin"},
		{Kind: localhub.OpDelete, Path: "l.bin"},
		{Kind: localhub.OpDeleteFolder, Path: "d/"},
	}})
	must(t, err)
	third, err := h.Commit(typ, id, "refs/heads/main", localhub.CommitInput{Title: "back", Operations: []localhub.Operation{
		{Kind: localhub.OpCopy, Path: "d/b", From: "d/b", FromRev: first},
	}})
	must(t, err)
	must(t, h.CreateBranch(typ, id, "b", first))
	must(t, h.CreateTag(typ, id, "v", first, ""))
	must(t, h.MoveTag(typ, id, "v", second))
	must(t, h.CreateConvert(typ, id, "parquet", first))
	must(t, h.CreateConvert(typ, id, "parquet", second))
	n, pr, err := h.CreatePR(typ, id, "b", localhub.CommitInput{Title: "pr", Operations: []localhub.Operation{{Kind: localhub.OpDelete, Path: "a"}}})
	must(t, err)
	if n != 1 {
		t.Errorf("pull request %d", n)
	}
	for rev, want := range map[string]string{"main": third, "b": first, "v": second, "refs/convert/parquet": second, "refs/pr/1": pr, "": third, first[:8]: first} {
		if got, err := h.Head(typ, id, rev); err != nil || got != want {
			t.Errorf("%q: %s, %v, want %s", rev, got, err, want)
		}
	}
	run(t, s, []request{
		{"GET", "/api/datasets/alice/d/tree/main?recursive=1", "", "", 200, `"path":"copy.bin","lfs":{"oid":"` + ref.OID + `"`},
		{"GET", "/datasets/alice/d/resolve/main/d/b", "", "", 200, "B"},
		{"GET", "/api/datasets/alice/d/commits/b", "", "", 200, `"authors":[{"avatar":"","user":"bob"}],"date":"2001-09-09T01:46:40.000Z"`},
		{"GET", "/api/datasets/alice/d/refs", "", "", 200, `"converts":[{"name":"parquet","ref":"refs/convert/parquet"`},
	})
	must(t, h.DeleteBranch(typ, id, "b"))
	must(t, h.DeleteTag(typ, id, "v"))
	for name, c := range map[string]struct{ err, want error }{
		"taken name":      {h.CreateRepo(typ, "Alice/D", localhub.RepoOptions{}), localhub.ErrConflict},
		"nobody's":        {h.CreateRepo(typ, "nobody/d", localhub.RepoOptions{}), &localhub.Error{Code: "NotFound"}},
		"bad type":        {h.CreateRepo("kernel", "alice/k", localhub.RepoOptions{}), localhub.ErrBadRequest},
		"no repository":   {h.DeleteRepo(typ, "alice/none"), localhub.ErrRepoNotFound},
		"no branch":       {h.DeleteBranch(typ, id, "b"), localhub.ErrRevisionNotFound},
		"no tag to move":  {h.MoveTag(typ, id, "v", ""), localhub.ErrRevisionNotFound},
		"taken branch":    {h.CreateBranch(typ, id, "main", ""), localhub.ErrConflict},
		"user with a dot": {h.CreateUser(localhub.User{Name: "."}), localhub.ErrBadRequest},
		"org like a user": {h.CreateOrg(localhub.Org{Name: "ALICE"}), localhub.ErrConflict},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	_, err = h.Commit(typ, id, "main", localhub.CommitInput{Title: "late", Parent: first})
	if !errors.Is(err, localhub.ErrPrecondition) {
		t.Errorf("old parent: %v", err)
	}
	_, err = h.Commit(typ, id, "main", localhub.CommitInput{Title: "gone", Operations: []localhub.Operation{{Kind: localhub.OpDelete, Path: "nope"}}})
	if !errors.Is(err, localhub.ErrEntryNotFound) {
		t.Errorf("missing file: %v", err)
	}
	fsck(t, root)
}

// TestFolderOfManyFiles is about a folder that must be listed and changed without
// reading what is in its files.
func TestFolderOfManyFiles(t *testing.T) {
	s := hubtest.New(t)
	files := map[string]string{}
	for i := range 5000 {
		files[fmt.Sprintf("f%04d", i)] = "same"
	}
	id := s.Repo("m", files)
	s.Stop()
	s.Start()
	start := time.Now()
	for i := range 20 {
		s.Commit(id, map[string]string{"f0000": fmt.Sprint(i)})
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("20 commits of one file took %v", took)
	}
	run(t, s, []request{{"GET", "/api/models/" + id + "/tree/main", "", "", 200, `"path":"f0998"`}})
}
