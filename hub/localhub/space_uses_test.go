package localhub_test

import (
	"fmt"
	"testing"

	"github.com/hubfs/hubfs/hub/localhub"
)

// Which Spaces use a model follows what becomes of the Spaces.
func TestSpacesOfAModel(t *testing.T) {
	s := world(t)
	want := func(token, ids string) {
		t.Helper()
		if got := fmt.Sprint(ask(t, s, "GET", "/api/models/alice/m?expand=spaces", token, "", 200)["spaces"]); got != ids {
			t.Errorf("%q sees %s, want %s", token, got, ids)
		}
	}
	readme := func(id, text string) {
		t.Helper()
		_, err := s.Hub.Commit(localhub.Space, id, "main", localhub.CommitInput{Title: "readme", Operations: []localhub.Operation{
			{Kind: localhub.OpAdd, Path: "README.md", Content: []byte("---\n" + text + "\n---\n")}}})
		must(t, err)
	}
	want("", "[]")
	readme("alice/s", "models: [Alice/M, alice/tree]")
	want("", "[alice/s]")
	want("", "[alice/s]")
	must(t, s.Hub.CreateRepo(localhub.Space, "bob/hidden", localhub.RepoOptions{SDK: "static", Private: true}))
	readme("bob/hidden", "models: alice/m")
	want("", "[alice/s]")
	want("hf_bob", "[Bob/hidden alice/s]")
	must(t, s.Hub.MoveRepo(localhub.Space, "alice/s", "alice/named"))
	want("", "[alice/named]")
	readme("alice/named", "title: none")
	want("", "[]")
	restart(s)
	want("hf_bob", "[Bob/hidden]")
	must(t, s.Hub.DeleteRepo(localhub.Space, "bob/hidden"))
	want("hf_bob", "[]")
}
