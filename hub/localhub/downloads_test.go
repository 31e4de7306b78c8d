package localhub_test

import (
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

func TestDownloadsAreCounted(t *testing.T) {
	at := newClock()
	s := world(t, hubtest.WithClock(at.now))
	s.Commit("alice/m", map[string]string{"config.json": "{}", "w.gguf": "no", "sub/config.json": "{}"})
	if _, err := s.Hub.Commit(localhub.Dataset, "alice/d", "main", localhub.CommitInput{Title: "data", Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: "x.csv", Content: []byte("1")}}}); err != nil {
		t.Fatal(err)
	}
	want := func(what, path string, recent, all float64) {
		t.Helper()
		got := ask(t, s, "GET", path+"?expand=downloads&expand=downloadsAllTime", "", "", 200)
		if got["downloads"] != recent || got["downloadsAllTime"] != all {
			t.Errorf("%s: %v", what, got)
		}
	}
	const model, data = "/api/models/alice/m", "/api/datasets/alice/d"
	take := func(path, token string, status int) {
		t.Helper()
		run(t, s, []request{{"GET", path, token, "", status, ""}})
	}
	take("/alice/m/resolve/main/a.txt", "", 200)
	take("/alice/m/resolve/main/sub/config.json", "", 200)
	take("/alice/m/resolve/main/gone.gguf", "", 404)
	take("/alice/m/raw/main/config.json", "", 200)
	want("nothing that counts", model, 0, 0)
	take("/alice/m/resolve/main/config.json", "", 200)
	take("/alice/m/resolve/main/w.gguf", "", 200)
	want("one, of two files", model, 1, 1)
	take("/alice/m/resolve/main/config.json", "hf_bob", 200)
	want("another one's", model, 2, 2)
	at.pass(6 * time.Minute)
	take("/alice/m/resolve/main/config.json", "hf_bob", 200)
	want("later again", model, 3, 3)
	take("/datasets/alice/d/resolve/main/x.csv", "hf_bob", 200)
	want("of any file", data, 1, 1)
	must(t, s.Hub.SetDownloads(localhub.Dataset, "alice/d", 10, 100))
	want("on top", data, 11, 101)
	restart(s)
	want("after a restart", model, 3, 3)
	must(t, s.Hub.MoveRepo(localhub.Model, "alice/m", "alice/named"))
	at.pass(29 * 24 * time.Hour)
	want("with another name", "/api/models/alice/named", 3, 3)
	at.pass(48 * time.Hour)
	want("long ago", "/api/models/alice/named", 0, 3)
	must(t, s.Hub.DeleteRepo(localhub.Model, "alice/named"))
	restart(s)
	must(t, s.Hub.CreateRepo(localhub.Model, "alice/named", localhub.RepoOptions{}))
	want("of a new one", "/api/models/alice/named", 0, 0)
}
