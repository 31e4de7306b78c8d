package hub_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

func stateOf(t *testing.T, dir, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, ".cache/huggingface/download", name+".metadata"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(b), "\n")
}

func checkFile(t *testing.T, path, want string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s has %d bytes, %v; want %d", path, len(b), err, len(want))
	}
}

func TestDownloadTo(t *testing.T) {
	large := string(randomBytes(3, 300_000))
	srv := hubtest.New(t)
	id := srv.Repo("m", map[string]string{"a.txt": "one", "sub/w.bin": large, "empty": ""})
	repo := hub.Repo{Type: hub.Model, ID: id}
	head, err := srv.Hub.Head(localhub.Model, id, "main")
	if err != nil {
		t.Fatal(err)
	}
	c, dir := srv.Client(), filepath.Join(t.TempDir(), "new")
	get := func(name string, opts *hub.DownloadOptions) int {
		t.Helper()
		before := srv.Hub.Counts().Content + countRequests(srv, "GET", "/resolve/")
		path, err := c.DownloadTo(t.Context(), hub.FileRef{Repo: repo, Revision: "main", Path: name}, dir, opts)
		if err != nil || path != filepath.Join(dir, name) {
			t.Fatalf("%s: %q, %v", name, path, err)
		}
		return srv.Hub.Counts().Content + countRequests(srv, "GET", "/resolve/") - before
	}
	var last hub.Progress
	for name, want := range map[string]string{"a.txt": "one", "sub/w.bin": large, "empty": ""} {
		if n := get(name, &hub.DownloadOptions{Progress: func(p hub.Progress) { last = p }}); n == 0 {
			t.Errorf("%s wasn't fetched", name)
		}
		if last.TotalDone != int64(len(want)) || last.Total != last.TotalDone || last.Files != 1 {
			t.Errorf("%s: the progress is %+v", name, last)
		}
		checkFile(t, filepath.Join(dir, name), want)
		if s := stateOf(t, dir, name); len(s) != 4 || s[0] != head || s[2] == "" {
			t.Errorf("%s: the state is %q", name, s)
		}
		if n := get(name, nil); n != 0 {
			t.Errorf("%s was fetched again", name)
		}
	}
	if n := get("a.txt", &hub.DownloadOptions{Force: true}); n == 0 {
		t.Error("by force it isn't fetched")
	}

	// Changed here, with the old time or a new one; and without state, but right.
	path := filepath.Join(dir, "a.txt")
	later := time.Now().Add(time.Hour)
	if err := errors.Join(os.WriteFile(path, []byte("two"), 0o600), os.Chtimes(path, later, later)); err != nil {
		t.Fatal(err)
	}
	if n := get("a.txt", nil); n == 0 {
		t.Error("what was changed isn't fetched")
	}
	checkFile(t, path, "one")
	if err := os.RemoveAll(filepath.Join(dir, ".cache")); err != nil {
		t.Fatal(err)
	}
	if n := get("sub/w.bin", nil) + get("a.txt", nil); n != 0 {
		t.Error("what is right already was fetched")
	}

	// The Hub moves on; other files stay.
	srv.Commit(id, map[string]string{"a.txt": "three"})
	get("a.txt", nil)
	checkFile(t, path, "three")

	// From a cache.
	cache := hub.OpenCacheDir(t.TempDir())
	etag := stateOf(t, dir, "sub/w.bin")[1]
	now, err := srv.Hub.Head(localhub.Model, id, "main")
	if err != nil {
		t.Fatal(err)
	}
	if err := cache.AddBlob(repo, etag, strings.NewReader(large), int64(len(large))); err != nil {
		t.Fatal(err)
	}
	if _, err := cache.LinkSnapshot(repo, now, "sub/w.bin", etag); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if n := get("sub/w.bin", &hub.DownloadOptions{Cache: cache}); n != 0 {
		t.Error("what the cache has was fetched")
	}
	checkFile(t, filepath.Join(dir, "sub/w.bin"), large)

	// An interrupted download goes on, and one of wrong bytes begins anew.
	for _, begun := range []string{large[:200_000], "wrong" + large[5:100_000], large, strings.Repeat("x", len(large)), large + "and more"} {
		dir = t.TempDir()
		state := filepath.Join(dir, ".cache/huggingface/download/sub")
		if err := errors.Join(os.MkdirAll(state, 0o700), os.WriteFile(filepath.Join(state, "w.bin."+etag+".incomplete"), []byte(begun), 0o600)); err != nil {
			t.Fatal(err)
		}
		sent := srv.Hub.Counts().Content
		get("sub/w.bin", nil)
		checkFile(t, filepath.Join(dir, "sub/w.bin"), large)
		if begun == large && srv.Hub.Counts().Content != sent {
			t.Error("what was whole was fetched again")
		}
	}

	// Without the Hub.
	srv.Stop()
	off, err := hub.New(hub.Config{Endpoint: srv.URL, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	for i, opts := range []*hub.DownloadOptions{nil, {LocalOnly: true}} {
		if _, err := off.DownloadTo(t.Context(), hub.FileRef{Repo: repo, Revision: "main", Path: "sub/w.bin"}, dir, opts); err != nil {
			t.Errorf("what is there isn't given: %v", err)
		}
		want := []error{hub.ErrUnavailable, hub.ErrOffline}[i]
		if _, err := off.DownloadTo(t.Context(), hub.FileRef{Repo: repo, Revision: "main", Path: "a.txt"}, dir, opts); !errors.Is(err, want) {
			t.Errorf("what isn't there: %v", err)
		}
		if got, err := off.SnapshotTo(t.Context(), repo, "main", dir, opts); err != nil || got == "" {
			t.Errorf("the folder isn't given: %q, %v", got, err)
		}
		if _, err := off.SnapshotTo(t.Context(), repo, "main", filepath.Join(dir, "none"), opts); !errors.Is(err, want) {
			t.Errorf("a folder that isn't there: %v", err)
		}
	}
	for _, bad := range []string{"../x", "/etc/passwd", "a/../../b", ""} {
		var invalid *hub.ValidationError
		if _, err := off.DownloadTo(t.Context(), hub.FileRef{Repo: repo, Revision: "main", Path: bad}, dir, nil); !errors.As(err, &invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSnapshotTo(t *testing.T) {
	srv := hubtest.New(t, hubtest.WithNetwork(localhub.Network{Seed: 2, Faults: map[localhub.Fault]float64{localhub.FaultTruncate: 0.1, localhub.FaultReset: 0.05}}))
	files := map[string]string{}
	for i := range 40 {
		files[fmt.Sprintf("d%d/%d.%s", i%3, i, []string{"txt", "bin"}[i%2])] = string(randomBytes(byte(i), 5000+i))
	}
	repo := hub.Repo{Type: hub.Model, ID: srv.Repo("m", files)}
	c, err := hub.New(hub.Config{Endpoint: srv.URL, Token: hub.StaticToken(srv.Token), Retries: 10})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var last hub.Progress
	got, err := c.SnapshotTo(t.Context(), repo, "", dir, &hub.DownloadOptions{Allow: []string{"d0/*", "d1/*"}, Ignore: []string{"*.txt"}, Workers: 3, Progress: func(p hub.Progress) { last = p }})
	if err != nil || got != dir {
		t.Fatalf("%q, %v", got, err)
	}
	n := 0
	for name, want := range files {
		if strings.HasPrefix(name, "d2/") || strings.HasSuffix(name, ".txt") {
			if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is there: %v", name, err)
			}
			continue
		}
		n++
		checkFile(t, filepath.Join(dir, name), want)
	}
	if n == 0 || last.Files != n || last.TotalDone != last.Total {
		t.Errorf("%d files; the progress is %+v", n, last)
	}
	if _, err := c.SnapshotTo(t.Context(), repo, "none", dir, nil); !errors.Is(err, hub.ErrRevisionNotFound) {
		t.Errorf("a revision that isn't there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.SnapshotTo(ctx, repo, "", dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
}
