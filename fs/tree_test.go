package fs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
)

// unmounted is a Mount that no kernel knows.
func unmounted(t testing.TB, s *hubtest.Server, poll time.Duration) *Mount {
	t.Helper()
	client := s.Client()
	cache, err := blobcache.Open(blobcache.Options{Hub: client, CacheDir: filepath.Join(t.TempDir(), "hub")})
	if err != nil {
		t.Fatal(err)
	}
	m := newMount(t.TempDir(), Options{Hub: client, Cache: cache, Source: Source{WholeHub: true}, PollInterval: poll})
	t.Cleanup(func() {
		m.cancel()
		m.work.Wait()
		if err := cache.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// A tree that nobody has used for long isn't polled, and is looked at when it is
// used again.
func TestSleepingTree(t *testing.T) {
	s := hubtest.New(t)
	create(t, s, "model", "alice/m", map[string]string{"f": "1"})
	const interval = 50 * time.Millisecond
	m := unmounted(t, s, interval)
	r, err := m.catalog.repo(t.Context(), hub.Repo{Type: hub.Model, ID: "alice/m"})
	if err != nil {
		t.Fatal(err)
	}
	tr := r.tree("")
	at := func() string {
		t.Helper()
		snap, err := tr.current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v, err := tr.dir(t.Context(), snap, "")
		if err != nil || len(v.listing.Entries) != 2 {
			t.Errorf("the root has %v, %v", v, err)
		}
		return snap.commit
	}
	before := at()
	s.Hub.ResetCounts()
	time.Sleep(300 * time.Millisecond)
	if n := s.Hub.Counts().API; n != 0 {
		t.Errorf("a tree that nobody uses is polled: %v", s.Hub.Requests())
	}
	next := commit(t, s, "model", "alice/m", "main", map[string]string{"f": "2"})
	if got := at(); got != next || got == before {
		t.Errorf("it shows %s, want %s", got, next)
	}
	// Many at once cost one request, or one an interval where they take longer.
	time.Sleep(2 * interval)
	s.Hub.ResetCounts()
	began := time.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { at() })
	}
	wg.Wait()
	if n, most := s.Hub.Counts().API, 2+time.Since(began)/interval; n > int(most) {
		t.Errorf("waking up took %d requests", n)
	}
	// A branch that takes the place of the default one isn't taken for it.
	if err := s.Hub.CreateBranch("model", "alice/m", "other", ""); err != nil {
		t.Fatal(err)
	}
	if got := tr.pointer(); got != "main" {
		t.Errorf("the tree follows %q", got)
	}
	found := &refs{Default: "other", Branches: map[string]string{"other": strings.Repeat("1", 40)}}
	if err := tr.follow(t.Context(), found, false); !errors.Is(err, hub.ErrRevisionNotFound) {
		t.Errorf("without its branch, the tree follows: %v", err)
	}
}

func TestFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMount("/", Options{})
		f := newFlight[int](m)
		asked := 0
		ask := func(err error) func(context.Context) (int, error) {
			return func(ctx context.Context) (int, error) {
				asked++
				time.Sleep(time.Second)
				return asked, err
			}
		}
		// Many wait for one answer; one leaves, and the question is asked all the same.
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if v, err := f.do(t.Context(), "a", ask(nil)); v != 1 || err != nil {
					t.Errorf("got %d, %v", v, err)
				}
			})
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if _, err := f.do(ctx, "a", ask(nil)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who left got %v", err)
			}
		})
		wg.Wait()

		// Failures are remembered, refusals for longer.
		for _, test := range []struct {
			err  error
			keep time.Duration
		}{{hub.ErrUnavailable, rememberFailure}, {fmt.Errorf("x: %w", hub.ErrRepoNotFound), rememberRefusal}} {
			asked = 0
			for range 3 {
				if _, err := f.do(t.Context(), "b", ask(test.err)); !errors.Is(err, test.err) {
					t.Errorf("got %v", err)
				}
			}
			if asked != 1 {
				t.Errorf("%v: asked %d times", test.err, asked)
			}
			time.Sleep(test.keep - time.Millisecond)
			_, _ = f.do(t.Context(), "b", ask(test.err)) // still remembered
			time.Sleep(2 * time.Millisecond)
			if asked != 1 {
				t.Errorf("%v: asked %d times before it is forgotten", test.err, asked)
			}
			_, _ = f.do(t.Context(), "b", ask(test.err)) // asked again
			if asked != 2 {
				t.Errorf("%v: asked %d times after it is forgotten", test.err, asked)
			}
			f.forget()
		}

		// The end of the mount ends questions, and nothing is asked after it.
		started := make(chan struct{})
		wg.Go(func() {
			_, err := f.do(context.Background(), "c", func(ctx context.Context) (int, error) {
				close(started)
				<-ctx.Done()
				return 0, ctx.Err()
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("at the end: %v", err)
			}
		})
		<-started
		m.cancel()
		wg.Wait()
		if _, err := f.do(context.Background(), "d", ask(nil)); !errors.Is(err, errUnmounted) {
			t.Errorf("after the end: %v", err)
		}
		m.work.Wait()
	})
}

func TestCompare(t *testing.T) {
	entry := func(name string, size int64, dir bool) blobcache.Entry {
		return blobcache.Entry{Name: name, Size: size, Dir: dir}
	}
	old := &blobcache.Listing{Entries: []blobcache.Entry{entry("a", 1, false), entry("b", 1, false), entry("c", 1, false), entry("d", 0, true), entry("z", 1, false)}}
	now := &blobcache.Listing{Entries: []blobcache.Entry{entry("a", 1, false), entry("b", 2, false), entry("bb", 1, false), entry("d", 0, true), entry("e", 1, false)}}
	var got []string
	compare(old, now, func(name string, was, is *blobcache.Entry) {
		got = append(got, fmt.Sprintf("%s %v %v", name, was != nil, is != nil))
	})
	if want := "b true true,bb false true,c true false,e false true,z true false"; strings.Join(got, ",") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ","), want)
	}
	compare(old, old, func(name string, _, _ *blobcache.Entry) { t.Errorf("%s differs from itself", name) })
	n := 0
	compare(new(blobcache.Listing), now, func(string, *blobcache.Entry, *blobcache.Entry) { n++ })
	if n != len(now.Entries) {
		t.Errorf("%d names are new", n)
	}
}

func TestPaths(t *testing.T) {
	for _, test := range []struct{ path, parent, name string }{{"a", "", "a"}, {"a/b", "a", "b"}, {"a/b/c", "a/b", "c"}} {
		if parent, name := splitPath(test.path); parent != test.parent || name != test.name || joinPath(parent, name) != test.path {
			t.Errorf("%q is split into %q and %q", test.path, parent, name)
		}
	}
}

func TestNewEntryRefuses(t *testing.T) {
	oid := strings.Repeat("1", 40)
	for _, e := range []hub.TreeEntry{
		{Type: "file", Path: "other/x", OID: oid}, {Type: "file", Path: "d/x/y", OID: oid}, {Type: "file", Path: "x", OID: oid},
		{Type: "file", Path: "d/..", OID: oid}, {Type: "file", Path: "d/.git", OID: oid}, {Type: "file", Path: "d/", OID: oid},
		{Type: "file", Path: "d/x", OID: "short"}, {Type: "file", Path: "d/x", OID: oid, Size: -1},
		{Type: "file", Path: "d/x", OID: oid, LFS: &hub.LFSInfo{SHA256: "short"}},
		{Type: "file", Path: "d/x", OID: oid, LFS: &hub.LFSInfo{SHA256: strings.Repeat("z", 64)}},
		{Type: "file", Path: "d/x", OID: oid, LFS: &hub.LFSInfo{SHA256: strings.Repeat("0", 63)}},
	} {
		if got, err := newEntry("d", &e); err == nil {
			t.Errorf("%+v is taken for %+v", e, got)
		}
	}
}
