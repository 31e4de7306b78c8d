package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// all are the elements of a list, as short texts.
func all[T any](t *testing.T, seq iter.Seq2[T, error], name func(T) string) string {
	t.Helper()
	var got []string
	for v, err := range seq {
		if err != nil {
			t.Error(err)
			break
		}
		got = append(got, name(v))
	}
	return strings.Join(got, " ")
}

// first is the error that a list begins with.
func first[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		return err
	}
	return nil
}

func social(t *testing.T) (*hubtest.Server, *hub.Client, *hub.Client) {
	t.Helper()
	s := hubtest.New(t, hubtest.WithPageSize(2), hubtest.WithUsers(
		localhub.User{Name: "Bob", Token: "hf_bob", Fullname: "Bob B.", Details: "Builder", Pro: true, Tokens: []localhub.Token{{Value: "hf_reads", Role: localhub.RoleRead}}},
		localhub.User{Name: "carol", Token: "hf_carol"}, localhub.User{Name: "dave", Token: "hf_dave"}))
	for _, err := range []error{
		s.Hub.CreateOrg(localhub.Org{Name: "acme", Fullname: "Acme"}), s.Hub.AddMember("acme", "bob", ""), s.Hub.AddMember("acme", "alice", localhub.MemberAdmin),
		s.Hub.AddMember("acme", "carol", localhub.MemberRead),
		s.Hub.CreateRepo(localhub.Model, "alice/m", localhub.RepoOptions{}),
		s.Hub.CreateRepo(localhub.Dataset, "alice/d", localhub.RepoOptions{}),
		s.Hub.CreateRepo(localhub.Space, "alice/s", localhub.RepoOptions{SDK: "static"}),
		s.Hub.CreateRepo(localhub.Model, "alice/private", localhub.RepoOptions{Private: true}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s, s.Client(), s.ClientWithToken("hf_bob")
}

func TestLikesOnHub(t *testing.T) {
	s, alice, bob := social(t)
	ctx := t.Context()
	m, private := hub.Repo{Type: hub.Model, ID: "alice/m"}, hub.Repo{Type: hub.Model, ID: "alice/private"}
	for _, repo := range []hub.Repo{m, m, {Type: hub.Dataset, ID: "alice/d"}, {Type: hub.Space, ID: "alice/s"}} {
		if err := bob.Like(ctx, repo); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []*hub.Client{alice, s.ClientWithToken("hf_carol"), s.ClientWithToken("hf_dave")} {
		if err := errors.Join(c.Like(ctx, m), c.Like(ctx, m)); err != nil {
			t.Error(err)
		}
	}
	username := func(u hub.User) string { return u.Username }
	if got := all(t, alice.RepoLikers(ctx, m), username); got != "dave carol alice Bob" {
		t.Errorf("likers %s", got)
	}
	for range 2 {
		if err := s.ClientWithToken("hf_dave").Unlike(ctx, m); err != nil {
			t.Error(err)
		}
	}
	name := func(l hub.Like) string { return l.Repo.String() }
	if got := all(t, alice.LikedRepos(ctx, "bob"), name); got != "spaces/alice/s datasets/alice/d alice/m" {
		t.Errorf("liked %s", got)
	}
	if got := all(t, bob.LikedRepos(ctx, ""), name); got != "spaces/alice/s datasets/alice/d alice/m" {
		t.Errorf("liked %s", got)
	}
	if info, err := alice.RepoInfo(ctx, m, nil); err != nil || *info.Likes != 3 {
		t.Errorf("%+v, %v", info, err)
	}
	wantKind(t, bob.Like(ctx, private), hub.ErrRepoNotFound)
	wantKind(t, bob.Unlike(ctx, hub.Repo{Type: hub.Model, ID: "alice/none"}), hub.ErrRepoNotFound)
	wantKind(t, s.ClientWithToken("").Like(ctx, m), hub.ErrUnauthorized)
	wantKind(t, s.ClientWithToken("hf_reads").Like(ctx, m), hub.ErrForbidden)
	wantKind(t, first(alice.LikedRepos(ctx, "nobody")), hub.ErrNotFound)
	wantKind(t, first(s.ClientWithToken("").LikedRepos(ctx, "")), hub.ErrUnauthorized)
	wantKind(t, first(bob.RepoLikers(ctx, private)), hub.ErrRepoNotFound)
	var invalid *hub.ValidationError
	for _, err := range []error{alice.Like(ctx, hub.Repo{Type: hub.Model, ID: "../x"}), first(alice.RepoLikers(ctx, hub.Repo{Type: "x", ID: "a/b"})), first(alice.LikedRepos(ctx, "a/b"))} {
		if !errors.As(err, &invalid) {
			t.Error(err)
		}
	}
}

func TestPeopleOnHub(t *testing.T) {
	s, alice, bob := social(t)
	ctx := t.Context()
	for _, f := range [][2]string{{"bob", "alice"}, {"carol", "alice"}, {"dave", "alice"}, {"alice", "bob"}, {"alice", "acme"}} {
		if err := s.Hub.Follow(f[0], f[1], true); err != nil {
			t.Fatal(err)
		}
	}
	u, err := alice.UserOverview(ctx, "bob")
	if err != nil {
		t.Fatal(err)
	}
	if u.Username != "Bob" || u.Fullname != "Bob B." || u.Details != "Builder" || !*u.IsPro || !*u.IsFollowing || *u.NumFollowers != 1 || *u.NumFollowing != 1 ||
		*u.NumModels != 0 || u.Type != "user" || len(u.Orgs) != 1 || u.Orgs[0].Name != "acme" || u.Extra["_id"] == nil || u.Orgs[0].Extra["id"] == nil {
		t.Errorf("%+v", u)
	}
	// It survives being kept as JSON.
	data, err := json.Marshal(u)
	var again hub.User
	if err != nil || json.Unmarshal(data, &again) != nil || !reflect.DeepEqual(&again, u) {
		t.Errorf("%s: %+v, %v", data, again, err)
	}
	username := func(u hub.User) string { return fmt.Sprint(u.Username, " ", *u.IsFollowing) }
	if got := all(t, bob.UserFollowers(ctx, "alice"), username); got != "dave false carol false Bob false" {
		t.Error(got)
	}
	if got := all(t, bob.UserFollowing(ctx, "bob"), username); got != "alice true" {
		t.Error(got)
	}
	if got := all(t, alice.OrganizationMembers(ctx, "acme"), username); got != "Bob true alice false carol false" {
		t.Error(got)
	}
	if got := all(t, bob.OrganizationFollowers(ctx, "acme"), username); got != "alice true" {
		t.Error(got)
	}
	_, err = alice.UserOverview(ctx, "nobody")
	wantKind(t, err, hub.ErrNotFound)
	wantKind(t, first(alice.OrganizationMembers(ctx, "bob")), hub.ErrNotFound)
	wantKind(t, first(alice.UserFollowers(ctx, "nobody")), hub.ErrNotFound)
	wantKind(t, first(alice.UserFollowing(ctx, "nobody")), hub.ErrNotFound)
	var invalid *hub.ValidationError
	if err := first(alice.UserFollowers(ctx, "../x")); !errors.As(err, &invalid) {
		t.Error(err)
	}

	for token, want := range map[string]string{"hf_bob": "write", "hf_reads": "read", "hf_wrong": "", "": ""} {
		if got, err := s.ClientWithToken(token).TokenPermission(ctx); got != want || err != nil {
			t.Errorf("%q: %q, %v", token, got, err)
		}
	}
	for _, tt := range [][3]string{{"m", "", "alice/m"}, {"m", "acme", "acme/m"}, {"a/b", "", "a/a/b"}} {
		if got, err := alice.FullRepoName(ctx, tt[0], tt[1]); got != tt[2] || err != nil {
			t.Errorf("%v: %s, %v", tt, got, err)
		}
	}
	settings, err := alice.UpdateRepoVisibility(ctx, hub.Repo{Type: hub.Model, ID: "alice/m"}, true)
	if err != nil || string(settings["private"]) != "true" {
		t.Errorf("%s, %v", settings, err)
	}
	_, err = bob.UpdateRepoVisibility(ctx, hub.Repo{Type: hub.Model, ID: "alice/m"}, true)
	wantKind(t, err, hub.ErrRepoNotFound)
}

func TestPapersOnHub(t *testing.T) {
	_, alice, _ := social(t)
	ctx := t.Context()
	if got := all(t, alice.Papers(ctx, "llama"), func(p hub.Paper) string {
		return fmt.Sprint(p.ID, " ", p.SubmittedAt.Format(time.DateOnly), " ", p.PublishedAt.Format(time.DateOnly), " ", p.Upvotes)
	}); got != "2307.09288 2023-07-19 2023-07-18 248 2302.13971 2023-02-27 2023-02-27 20" {
		t.Error(got)
	}
	p, err := alice.Paper(ctx, "2307.09288")
	if err != nil || !strings.HasPrefix(p.Title, "Llama 2") || p.Authors[0] != "Hugo Touvron" || p.Comments != 7 || p.SubmittedBy.Username != "hub" || p.SubmittedAt.Day() != 19 || p.DiscussionID == "" || p.Summary == "" {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = alice.Paper(ctx, "9999.99999")
	wantKind(t, err, hub.ErrNotFound)
	var invalid *hub.ValidationError
	if _, err := alice.Paper(ctx, "../models"); !errors.As(err, &invalid) {
		t.Error(err)
	}
	tags, err := alice.TagsByType(ctx, hub.Model)
	if err != nil || len(tags["pipeline_tag"]) < 20 || tags["license"][0].Type != "license" || !strings.HasPrefix(tags["license"][0].ID, "license:") {
		t.Errorf("%v, %v", tags, err)
	}
	if _, err := alice.TagsByType(ctx, hub.Space); !errors.As(err, &invalid) {
		t.Error(err)
	}
}

func TestCollectionsOnHub(t *testing.T) {
	_, alice, bob := social(t)
	ctx := t.Context()
	col, err := alice.CreateCollection(ctx, "What I use", &hub.CreateCollectionOptions{Description: "daily", Private: true})
	if err != nil || !strings.HasPrefix(col.Slug, "alice/what-i-use-") || col.Owner.Name != "alice" || !col.Private || col.Description != "daily" || col.LastUpdated.IsZero() {
		t.Fatalf("%+v, %v", col, err)
	}
	_, err = alice.CreateCollection(ctx, "What I use", nil)
	wantKind(t, err, hub.ErrConflict)
	if again, err := alice.CreateCollection(ctx, "What I use", &hub.CreateCollectionOptions{ExistsOK: true}); err != nil || again.Slug != col.Slug || again.Description != "daily" {
		t.Errorf("%+v, %v", again, err)
	}
	_, err = bob.CreateCollection(ctx, "x", &hub.CreateCollectionOptions{Namespace: "alice"})
	wantKind(t, err, hub.ErrForbidden)
	_, err = alice.CreateCollection(ctx, strings.Repeat("x", 100), nil)
	wantKind(t, err, hub.ErrBadRequest)
	_, err = bob.Collection(ctx, col.Slug)
	wantKind(t, err, hub.ErrNotFound)

	for _, it := range []struct {
		id   string
		t    hub.CollectionItemType
		note string
	}{{"alice/m", hub.CollectionModel, "first"}, {"alice/d", hub.CollectionDataset, ""}, {"1706.03762", hub.CollectionPaper, ""}, {"alice/private", hub.CollectionModel, ""}, {"alice/s", hub.CollectionSpace, ""}} {
		if col, err = alice.AddCollectionItem(ctx, col.Slug, it.id, it.t, &hub.AddCollectionItemOptions{Note: it.note}); err != nil {
			t.Fatal(err)
		}
	}
	item := col.Items[0]
	if item.ID != "alice/m" || item.Note.Text != "first" || item.Type != hub.CollectionModel || item.Position != 0 {
		t.Errorf("%+v", item)
	}
	if info := item.Info(); info == nil || info.ID != "alice/m" || info.Author != "alice" || info.Likes == nil || len(info.Tags) == 0 || info.LastModified.IsZero() {
		t.Errorf("%+v", info)
	}
	if info := col.Items[2].Info(); info != nil {
		t.Errorf("a paper is %+v", info)
	}
	_, err = alice.AddCollectionItem(ctx, col.Slug, "alice/m", hub.CollectionModel, nil)
	wantKind(t, err, hub.ErrConflict)
	if same, err := alice.AddCollectionItem(ctx, col.Slug, "alice/m", hub.CollectionModel, &hub.AddCollectionItemOptions{ExistsOK: true}); err != nil || len(same.Items) != 5 {
		t.Errorf("%+v, %v", same, err)
	}
	_, err = alice.AddCollectionItem(ctx, col.Slug, "alice/none", hub.CollectionModel, nil)
	wantKind(t, err, hub.ErrRepoNotFound)
	_, err = alice.AddCollectionItem(ctx, col.Slug, "0000.00000", hub.CollectionPaper, nil)
	wantKind(t, err, hub.ErrNotFound)
	_, err = alice.AddCollectionItem(ctx, col.Slug, "alice/s", "", nil)
	wantKind(t, err, hub.ErrBadRequest)

	none, last := "", 4
	if err := alice.UpdateCollectionItem(ctx, col.Slug, item.ObjectID, hub.CollectionItemUpdate{Note: &none, Position: &last}); err != nil {
		t.Error(err)
	}
	wantKind(t, alice.UpdateCollectionItem(ctx, col.Slug, strings.Repeat("0", 24), hub.CollectionItemUpdate{Note: &none}), hub.ErrNotFound)
	if err := alice.DeleteCollectionItem(ctx, col.Slug, col.Items[1].ObjectID, false); err != nil {
		t.Error(err)
	}
	wantKind(t, alice.DeleteCollectionItem(ctx, col.Slug, col.Items[1].ObjectID, false), hub.ErrNotFound)
	if err := alice.DeleteCollectionItem(ctx, col.Slug, col.Items[1].ObjectID, true); err != nil {
		t.Error(err)
	}

	public, title, theme, place := false, "Tools", "pink", 0
	changed, err := alice.UpdateCollection(ctx, col.Slug, hub.CollectionUpdate{Title: &title, Private: &public, Theme: &theme, Description: &none, Position: &place})
	if err != nil || changed.Title != title || changed.Theme != theme || changed.Private || changed.Description != "" || changed.Slug == col.Slug || !strings.HasPrefix(changed.Slug, "alice/tools-") {
		t.Errorf("%+v, %v", changed, err)
	}
	_, err = bob.UpdateCollection(ctx, col.Slug, hub.CollectionUpdate{Title: &title})
	wantKind(t, err, hub.ErrForbidden)
	bad := "plaid"
	_, err = alice.UpdateCollection(ctx, col.Slug, hub.CollectionUpdate{Theme: &bad})
	wantKind(t, err, hub.ErrBadRequest)
	got, err := bob.Collection(ctx, col.Slug) // by its old name, without what is private
	if err != nil || all(t, items(got), func(i hub.CollectionItem) string { return fmt.Sprint(i.ID, i.Position) }) != "1706.037620 alice/s2 alice/m3" {
		t.Errorf("%+v, %v", got, err)
	}
	data, err := json.Marshal(got)
	var again hub.Collection
	if err != nil || json.Unmarshal(data, &again) != nil || !reflect.DeepEqual(&again, got) {
		t.Errorf("%s: %+v, %v", data, again, err)
	}

	for _, title := range []string{"B", "C", "D"} {
		if _, err := bob.CreateCollection(ctx, title, nil); err != nil {
			t.Fatal(err)
		}
	}
	names := func(o *hub.CollectionsOptions) string {
		return all(t, alice.Collections(ctx, o), func(c hub.Collection) string { return fmt.Sprint(c.Title, c.Position) })
	}
	for want, o := range map[string]*hub.CollectionsOptions{
		"D0 C1 B2 Tools3": nil,
		"D0 C1 B2":        {Sort: "lastModified", Limit: 3},
		"Tools0":          {Items: []string{"papers/1706.03762", "models/alice/none"}},
		"D0 C1":           {Owners: []string{"Bob"}, Limit: 2, Sort: "upvotes"},
		"":                {Owners: []string{"nobody"}},
	} {
		if got := names(o); got != want {
			t.Errorf("%+v: %s, want %s", o, got, want)
		}
	}
	wantKind(t, first(alice.Collections(ctx, &hub.CollectionsOptions{Sort: "color"})), hub.ErrBadRequest)

	wantKind(t, bob.DeleteCollection(ctx, col.Slug, true), hub.ErrForbidden)
	if err := errors.Join(alice.DeleteCollection(ctx, col.Slug, false), alice.DeleteCollection(ctx, col.Slug, true)); err != nil {
		t.Error(err)
	}
	wantKind(t, alice.DeleteCollection(ctx, col.Slug, false), hub.ErrNotFound)
	var invalid *hub.ValidationError
	for _, slug := range []string{"", "x", "a/b/c", "../x", "alice/..", "alice/"} {
		if _, err := alice.Collection(ctx, slug); !errors.As(err, &invalid) {
			t.Errorf("%q: %v", slug, err)
		}
	}
	if err := alice.DeleteCollectionItem(ctx, col.Slug, "alice/m", false); !errors.As(err, &invalid) {
		t.Error(err)
	}
}

func items(c *hub.Collection) iter.Seq2[hub.CollectionItem, error] {
	return func(yield func(hub.CollectionItem, error) bool) {
		for _, i := range c.Items {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func TestEmissions(t *testing.T) {
	s, alice, _ := social(t)
	for name, card := range map[string]string{
		"text": "co2_eq_emissions: 0.95 kg", "object": "co2_eq_emissions: {emissions: 12, source: x}", "number": "co2_eq_emissions: 3.5", "zero": "co2_eq_emissions: 0",
		"none": "license: mit",
	} {
		s.Repo("e-"+name, map[string]string{"README.md": "---\n" + card + "\n---\n"})
	}
	low, high := 1.0, 12.0
	find := func(o hub.ListReposOptions) string {
		o.Search, o.Sort = "e-", "id"
		return all(t, alice.ListRepos(t.Context(), hub.Model, &o), func(i hub.RepoInfo) string { return i.Repo().Name() })
	}
	for _, tt := range []struct {
		want string
		r    hub.EmissionsRange
		card bool
	}{
		{"e-number e-object", hub.EmissionsRange{Min: &low}, true}, {"e-number e-object e-text", hub.EmissionsRange{Max: &high}, true},
		{"e-number", hub.EmissionsRange{Min: &low, Max: func() *float64 { f := 11.9; return &f }()}, true}, {"", hub.EmissionsRange{Min: &low}, false},
	} {
		if got := find(hub.ListReposOptions{Emissions: &tt.r, CardData: tt.card}); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.r, got, tt.want)
		}
	}
	if got := find(hub.ListReposOptions{Emissions: &hub.EmissionsRange{Min: &low}, CardData: true, Limit: 3}); got != "e-number e-object" {
		t.Errorf("with a limit: %s", got)
	}
	var invalid *hub.ValidationError
	if err := first(alice.ListRepos(t.Context(), hub.Model, &hub.ListReposOptions{Emissions: &hub.EmissionsRange{}})); !errors.As(err, &invalid) {
		t.Error(err)
	}
}
