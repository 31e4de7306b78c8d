package hub_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// blobs gives the ids of all regular files of a sample, by path.
func (s *sample) blobs(t *testing.T) map[string]string {
	t.Helper()
	ids := make(map[string]string)
	for e, err := range s.Client().Tree(t.Context(), s.repo, s.commit, "", &hub.TreeOptions{Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == hub.TypeFile && e.LFS == nil {
			ids[e.Path] = e.OID
		}
	}
	return ids
}

func TestFetchBlobs(t *testing.T) {
	for _, network := range []localhub.Network{
		{},
		{Seed: 1, Faults: map[localhub.Fault]float64{
			localhub.FaultReset: 0.2, localhub.FaultTruncate: 0.2, localhub.FaultStatus503: 0.2,
		}},
	} {
		s := newSample(t)
		ids := s.blobs(t)
		s.Hub.SetNetwork(network)
		s.Hub.ResetCounts()
		c := s.Client()
		for range 5 {
			got := make(map[string][]byte)
			var want []string
			for _, id := range ids {
				want = append(want, id)
			}
			err := c.FetchBlobs(t.Context(), s.repo, want, func(id string, content []byte) error {
				if _, twice := got[id]; twice {
					t.Errorf("%s came twice", id)
				}
				got[id] = content
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for path, id := range ids {
				if content, ok := got[id]; !ok || s.lfs[path] == "" && !bytes.Equal(content, s.files[path]) && s.files[path] != nil {
					t.Errorf("%s: got %q, %v", path, content, ok)
				}
			}
		}
		if n := s.Hub.Counts(); len(network.Faults) == 0 && (n.API != 5 || n.Resolve != 0) {
			t.Errorf("5 packs cost %+v", n)
		}
	}
}

func TestFetchBlobsRefused(t *testing.T) {
	s := newSample(t)
	if err := s.Hub.CreateRepo(localhub.Model, "alice/secret", localhub.RepoOptions{Private: true}); err != nil {
		t.Fatal(err)
	}
	none := func(string, []byte) error { t.Error("something came"); return nil }
	missing := strings.Repeat("ab", 20)
	c := s.Client()
	for name, err := range map[string]error{
		"bad id":     c.FetchBlobs(t.Context(), s.repo, []string{"x"}, none),
		"missing":    c.FetchBlobs(t.Context(), s.repo, []string{missing}, none),
		"no repo":    c.FetchBlobs(t.Context(), hub.Repo{Type: hub.Model, ID: "alice/none"}, []string{missing}, none),
		"not theirs": s.ClientWithToken("").FetchBlobs(t.Context(), hub.Repo{Type: hub.Model, ID: "alice/secret"}, []string{missing}, none),
	} {
		want := map[string]error{"bad id": nil, "missing": hub.ErrProtocol, "no repo": hub.ErrRepoNotFound, "not theirs": hub.ErrRepoNotFound}[name]
		var bad *hub.ValidationError
		switch {
		case want == nil && !errors.As(err, &bad), want != nil && !errors.Is(err, want):
			t.Errorf("%s: %v", name, err)
		}
		if name == "missing" && !strings.Contains(err.Error(), missing) {
			t.Errorf("the server's words are lost: %v", err)
		}
	}
	stop := errors.New("stop")
	for _, id := range s.blobs(t) {
		if err := c.FetchBlobs(t.Context(), s.repo, []string{id}, func(string, []byte) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("the caller's error became %v", err)
		}
	}
}

// TestFetchBlobsFromGit lets the git program make the packs, which are full of
// differences, and damages them. What is asked of a damaged one is that it gives
// nothing wrong and doesn't end well with less than everything. It may end well: a
// difference that damage moves to another base can make the same content there.
func TestFetchBlobsFromGit(t *testing.T) {
	dir := t.TempDir()
	git := func(stdin string, args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, stderr.Bytes())
		}
		return out
	}
	git("", "init", "-q")
	var text strings.Builder
	want := make(map[string]string)
	var ids []string
	for i := range 60 {
		fmt.Fprintf(&text, "line %d of a text that grows, and so differs little from the one before\n", i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%02d", i)), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		id := strings.TrimSpace(string(git(text.String(), "hash-object", "-w", "--stdin")))
		want[id] = text.String()
		ids = append(ids, id)
	}
	for _, kind := range []string{"--delta-base-offset", "--no-delta-base-offset"} {
		pack := git(strings.Join(ids, "\n")+"\n", "pack-objects", "--stdout", "-q", "--no-reuse-delta", kind)
		if len(pack) > 20_000 {
			t.Fatalf("git sent no differences: %d bytes", len(pack))
		}
		refused := 0
		for cut := range 20 {
			damaged := pack
			if cut > 0 {
				damaged = bytes.Clone(pack)
				damaged[cut*(len(pack)-20)/20] ^= 0x10
			}
			got := make(map[string]string)
			err := packServer(t, damaged).FetchBlobs(t.Context(), hub.Repo{Type: hub.Model, ID: "a/b"}, ids, func(id string, content []byte) error {
				got[id] = string(content)
				return nil
			})
			if cut == 0 && (err != nil || len(got) != len(want)) {
				t.Fatalf("%s: %d of %d objects, %v", kind, len(got), len(want), err)
			}
			if err != nil {
				refused++
			} else if len(got) != len(want) {
				t.Errorf("%s: damage at %d of 20 hid %d objects", kind, cut, len(want)-len(got))
			}
			for id, content := range got {
				if content != want[id] {
					t.Fatalf("%s is wrong", id)
				}
			}
		}
		if refused < 10 {
			t.Errorf("%s: of 19 damaged packs %d were refused", kind, refused)
		}
	}
}

// TestFetchBlobsFromBomb has small packs that stand for much: they are refused before
// that much is in memory.
func TestFetchBlobsFromBomb(t *testing.T) {
	const (
		blob     = 3
		refDelta = 7
	)
	base := make([]byte, 1<<20)
	baseID := sha1.Sum(append([]byte("blob 1048576\x00"), base...))
	deflate := func(content []byte) []byte {
		var b bytes.Buffer
		z := zlib.NewWriter(&b)
		_, _ = z.Write(content) // into memory
		z.Close()
		return b.Bytes()
	}
	object := func(kind byte, size int, ref, deflated []byte) []byte {
		head := []byte{kind<<4 | byte(size&0xf)}
		for size >>= 4; size > 0; size >>= 7 {
			head[len(head)-1] |= 0x80
			head = append(head, byte(size&0x7f))
		}
		return slices.Concat(head, ref, deflated)
	}
	pack := func(objects ...[]byte) []byte {
		b := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(objects)))
		for _, o := range objects {
			b = append(b, o...)
		}
		sum := sha1.Sum(b)
		return append(b, sum[:]...)
	}
	// 1024 times the base, by as many orders to copy all of it.
	large := binary.AppendUvarint(binary.AppendUvarint(nil, 1<<20), 1<<30)
	for range 1024 {
		large = append(large, 0x80|0x40, 0x10) // offset 0, size 0x10 << 16
	}
	const size = 16 << 20
	zeros := deflate(make([]byte, size))
	late := [][]byte{object(blob, 1, nil, deflate([]byte("a")))}
	for i := range 64 { // none of them has its base here
		late = append(late, object(refDelta, size, bytes.Repeat([]byte{byte(i)}, sha1.Size), zeros))
	}
	for name, pack := range map[string][]byte{
		"large":   pack(object(blob, len(base), nil, deflate(base)), object(refDelta, len(large), baseID[:], deflate(large))),
		"waiting": pack(late...),
	} {
		t.Run(name, func(t *testing.T) {
			c := packServer(t, pack)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := c.FetchBlobs(t.Context(), hub.Repo{Type: hub.Model, ID: "a/b"}, []string{strings.Repeat("ab", 20)},
				func(string, []byte) error { return errors.New("something came") })
			runtime.ReadMemStats(&after)
			if !errors.Is(err, hub.ErrProtocol) {
				t.Errorf("got %v", err)
			}
			if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 512 {
				t.Errorf("%d KiB of a pack took %d MiB of memory: %v", len(pack)>>10, n, err)
			}
		})
	}
}

// packServer answers every request with a pack.
func packServer(t *testing.T, pack []byte) *hub.Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		var b bytes.Buffer
		b.WriteString("000dpackfile\n")
		b.WriteString("000b\x02hello\n")
		for rest := pack; len(rest) > 0; {
			part := rest[:min(1000, len(rest))]
			rest = rest[len(part):]
			fmt.Fprintf(&b, "%s\x01%s", hex.EncodeToString([]byte{byte((len(part) + 5) >> 8), byte(len(part) + 5)}), part)
		}
		b.WriteString("0000")
		_, _ = w.Write(b.Bytes())
	}))
	t.Cleanup(srv.Close)
	c, err := hub.New(hub.Config{Endpoint: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestGitClone lets the git program read a repository of the embedded Hub.
func TestGitClone(t *testing.T) {
	s := newSample(t)
	dir := filepath.Join(t.TempDir(), "clone")
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "git", args...)
		cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_LFS_SKIP_SMUDGE=1", "GIT_CONFIG_NOSYSTEM=1", "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	url := s.URL + "/datasets/" + s.repo.ID
	if out, err := git("clone", "-q", url, dir); err != nil {
		t.Fatalf("clone: %v\n%s", err, out)
	}
	for path, content := range s.files {
		if s.lfs[path] != "" {
			continue
		}
		if got, err := os.ReadFile(filepath.Join(dir, path)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	head, err := s.Hub.Commit(localhub.Dataset, s.repo.ID, "main", localhub.CommitInput{
		Title: "more", Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: "new", Content: []byte("file")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := git("-C", dir, "pull", "-q"); err != nil {
		t.Fatalf("pull: %v\n%s", err, out)
	}
	if out, err := git("-C", dir, "rev-parse", "HEAD"); err != nil || strings.TrimSpace(out) != head {
		t.Errorf("pulled %s, %v; the head is %s", out, err, head)
	}
	if out, err := git("-C", dir, "fsck", "--strict"); err != nil {
		t.Errorf("fsck: %v\n%s", err, out)
	}
	if out, err := git("clone", "-q", "--filter=blob:none", url, dir+"2"); err != nil {
		t.Errorf("a clone without files: %v\n%s", err, out)
	}
	if err := s.Hub.CreateRepo(localhub.Model, "alice/secret", localhub.RepoOptions{Private: true}); err != nil {
		t.Fatal(err)
	}
	secret := s.URL + "/alice/secret"
	if out, err := git("clone", "-q", secret, dir+"3"); err == nil {
		t.Errorf("a private repository was cloned: %s", out)
	}
	if out, err := git("clone", "-q", strings.Replace(secret, "://", "://alice:"+hubtest.AliceToken+"@", 1), dir+"3"); err != nil {
		t.Errorf("clone with a token: %v\n%s", err, out)
	}
}
