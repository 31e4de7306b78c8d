package fs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hubfs/hubfs/hub/hubtest"
)

// listings is how many directories the daemon has read so far.
func (m *mounted) listings() int64 { return m.tell(command{Do: "status"}).Listings }

// folders makes a repository with n files in d, and one in e, and gives its commit.
func folders(t *testing.T, n int) (s *hubtest.Server, oid string) {
	s = hubtest.New(t)
	files := map[string]string{"e/f": "f"}
	for i := range n {
		files[fmt.Sprintf("d/%05d", i)] = ""
	}
	return s, create(t, s, "model", "alice/m", files)
}

// The kernel keeps what it has listed, until a move changes it.
func TestKernelKeepsListings(t *testing.T) {
	s, oid := folders(t, 300)
	for _, source := range []string{"alice/m", "alice/m@" + oid} {
		m := mount(t, s, source)
		want := names(t, m.path("d"))
		n := m.listings()
		for range 5 {
			wantNames(t, m.path("d"), want...)
		}
		if now := m.listings(); now != n {
			t.Errorf("%s: listing again was asked %d times", source, now-n)
		}
	}
	m := mount(t, s, "alice/m")
	names(t, m.path("d"))
	wantNames(t, m.path(), ".gitattributes", "d", "e")
	wantNames(t, m.path("e"), "f")
	n := m.listings()
	m.wait("", commit(t, s, "model", "alice/m", "main", map[string]string{"d/new": "new", "d/00001": deleted}))
	now := names(t, m.path("d"))
	if len(now) != 300 || !slices.Contains(now, "new") || slices.Contains(now, "00001") {
		t.Errorf("after the move there are %d names", len(now))
	}
	wantNames(t, m.path("e"), "f")
	if got := m.listings(); got-n > 2 { // of the root and of d
		t.Errorf("a move of one folder cost %d listings", got-n)
	}
	// What is only added is no name that the kernel has to forget.
	m.wait("", commit(t, s, "model", "alice/m", "main", map[string]string{"d/newer": "new"}))
	if now := names(t, m.path("d")); len(now) != 301 || !slices.Contains(now, "newer") {
		t.Errorf("after an addition there are %d names", len(now))
	}
}

// Where things are changed here, listings show them at once.
func TestKernelListsOwnChanges(t *testing.T) {
	s, _ := folders(t, 20)
	m := mountWritable(t, s, "alice/m")
	want := names(t, m.path("d"))
	wantNames(t, m.path("d"), want...)
	d, err := os.Open(m.path("d")) // before the first change
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for i := range 3 {
		name := fmt.Sprintf("new%d", i)
		if err := os.WriteFile(m.path("d", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
		slices.Sort(want)
		wantNames(t, m.path("d"), want...)
		if _, err := d.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		got, err := d.Readdirnames(-1)
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("after rewinding: %v, %v", got, err)
		}
	}
	if err := os.Remove(m.path("d", want[0])); err != nil {
		t.Fatal(err)
	}
	wantNames(t, m.path("d"), want[1:]...)
}

// A directory that is listed again and again while its tree moves shows one commit each
// time, and the new one once the move has ended.
func TestListingsAreOfOneCommit(t *testing.T) {
	const moves, entries = 12, 400
	s, _ := folders(t, 1)
	version := func(v int) map[string]string {
		files := make(map[string]string)
		for i := range entries + 50*(v%3) {
			files[fmt.Sprintf("big/v%02d-%04d", v, i)] = ""
		}
		for i := range entries + 50*((v+2)%3) {
			if v > 0 {
				files[fmt.Sprintf("big/v%02d-%04d", v-1, i)] = deleted
			}
		}
		return files
	}
	commit(t, s, "model", "alice/m", "main", version(0))
	m := mount(t, s, "alice/m")
	var over atomic.Bool
	var wg sync.WaitGroup
	check := func() string {
		d, err := os.Open(m.path("big"))
		if err != nil {
			return err.Error()
		}
		defer d.Close()
		var got []string
		for {
			some, err := d.Readdirnames(70)
			got = append(got, some...)
			if errors.Is(err, syscall.ESTALE) {
				return "" // two moves while it was read
			}
			if err != nil {
				break
			}
		}
		if len(got) == 0 {
			return "nothing is listed"
		}
		version, _, _ := strings.Cut(got[0], "-")
		var v int
		if _, err := fmt.Sscanf(version, "v%d", &v); err != nil || len(got) != entries+50*(v%3) {
			return fmt.Sprintf("%d names of %s", len(got), version)
		}
		for _, name := range got {
			if !strings.HasPrefix(name, version) {
				return fmt.Sprintf("%s beside %s", name, version)
			}
		}
		return ""
	}
	for range 3 {
		wg.Go(func() {
			for !over.Load() {
				if wrong := check(); wrong != "" {
					t.Error(wrong)
					return
				}
			}
		})
	}
	for v := 1; v <= moves; v++ {
		m.wait("", commit(t, s, "model", "alice/m", "main", version(v)))
		for range 2 {
			now := names(t, m.path("big"))
			if len(now) != entries+50*(v%3) || !strings.HasPrefix(now[0], fmt.Sprintf("v%02d-", v)) {
				t.Fatalf("after move %d: %d names, %s first", v, len(now), now[0])
			}
		}
	}
	over.Store(true)
	wg.Wait()
}
