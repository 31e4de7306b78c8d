package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCreateCommit(t *testing.T) {
	h := newWriteHub(t)
	h.set("old.txt", []byte("old"))
	h.set("dir/a", []byte("a"))
	h.set("weights.bin", []byte("weights"))
	big := strings.Repeat("0123456789", 100_000)
	info, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{
		Summary: "a title", Description: "more", ParentCommit: oid1, Mark: "1234",
		Operations: []Operation{
			&Delete{"old.txt"}, &DeleteFolder{"dir/"},
			add("/sp ace/ü<>.txt", big), add("model.bin", "lfs content"), add("./empty", ""), add("empty.bin", ""),
			&Copy{Source: "weights.bin", Path: "renamed.bin"}, &Delete{"weights.bin"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := h.last()
	want := []string{"deletedFile old.txt", "deletedFolder dir", "file sp ace/ü<>.txt", "lfsFile model.bin", "file empty", "file empty.bin", "lfsFile renamed.bin", "deletedFile weights.bin"}
	if !slices.Equal(c.keys, want) {
		t.Errorf("the commit has %q", c.keys)
	}
	if c.header.Summary != "a title" || c.header.Description != "more\n\nHubfs-Change: 1234" || c.header.ParentCommit != oid1 {
		t.Errorf("the header is %+v", c.header)
	}
	if got := string(h.files["sp ace/ü<>.txt"].content); got != big {
		t.Errorf("%d bytes came of %d", len(got), len(big))
	}
	if h.files["renamed.bin"].lfs != sum256([]byte("weights")) || string(h.objects[h.files["model.bin"].lfs]) != "lfs content" {
		t.Error("wrong LFS content")
	}
	if info.OID != h.head || info.CommitURL != h.hub.URL+"/ns/name/commit/"+h.head || info.RepoURL.Repo != testRepo ||
		info.Message != "a title" || info.Description != "more" || info.NoChange || info.PRNum != 0 {
		t.Errorf("the result is %+v", info)
	}
}

func TestCreateCommitPullRequest(t *testing.T) {
	h := newWriteHub(t)
	info, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", CreatePR: true, Operations: []Operation{add("a", "1"), add("b.bin", "2")}})
	if err != nil {
		t.Fatal(err)
	}
	if info.PRNum != 7 || info.PRRevision != "refs/pr/7" || info.PRURL != h.hub.URL+"/ns/name/discussions/7" {
		t.Errorf("the result is %+v", info)
	}
}

func TestCreateCommitUnchanged(t *testing.T) {
	h := newWriteHub(t)
	h.set("a", []byte("same"))
	h.set("b.bin", []byte("same"))
	h.set("c.bin", []byte("other"))
	h.ignore = func(p string) bool { return p == "ignored" }

	t.Run("all", func(t *testing.T) {
		info, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{
			add("a", "same"), add("b.bin", "same"), add("ignored", "1"), &Copy{Source: "b.bin", Path: "b.bin"}}})
		if err != nil {
			t.Fatal(err)
		}
		if !info.NoChange || info.OID != oid1 || len(h.commits) != 0 || h.count("batch") != 0 || info.CommitURL != h.hub.URL+"/ns/name/commit/"+oid1 {
			t.Errorf("the result is %+v", info)
		}
		if !slices.Equal(info.Unchanged, []string{"a", "b.bin", "b.bin"}) || !slices.Equal(info.Ignored, []string{"ignored"}) {
			t.Errorf("left out are %q and %q", info.Unchanged, info.Ignored)
		}
	})
	t.Run("none at all", func(t *testing.T) {
		info, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x"})
		if err != nil || !info.NoChange || info.OID != oid1 {
			t.Errorf("got %+v, %v", info, err)
		}
	})
	t.Run("some", func(t *testing.T) {
		_, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{
			add("a", "same"), add("c.bin", "new"), add("ignored", "1")}})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.last().keys; !slices.Equal(got, []string{"lfsFile c.bin"}) {
			t.Errorf("the commit has %q", got)
		}
	})
	t.Run("but touched before", func(t *testing.T) {
		h.set("d/e", []byte("same"))
		_, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{
			&Delete{"a"}, add("a", "same"), &DeleteFolder{"d"}, add("d/e", "same"), add("b.bin", "changed"), add("b.bin", "same")}})
		if err != nil {
			t.Fatal(err)
		}
		if string(h.files["a"].content) != "same" || string(h.files["d/e"].content) != "same" || h.files["b.bin"].lfs != sum256([]byte("same")) {
			t.Errorf("a file is gone: the commit was %q", h.last().keys)
		}
	})
}

// What was learnt about a file earlier must not drop a change when somebody else
// has changed the file since.
func TestUnchangedIsAskedAgain(t *testing.T) {
	for _, parent := range []bool{false, true} {
		t.Run(fmt.Sprintf("parent=%v", parent), func(t *testing.T) {
			h := newWriteHub(t)
			h.set("a.bin", []byte("ours"))
			a := add("a.bin", "ours")
			if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{a}, nil); err != nil {
				t.Fatal(err)
			}
			h.set("a.bin", []byte("theirs"))
			h.head = oid2
			in := CommitInput{Summary: "x", Operations: []Operation{a}}
			if parent {
				in.ParentCommit = oid2
			}
			if _, err := h.c.CreateCommit(t.Context(), testRepo, "", in); err != nil {
				t.Fatal(err)
			}
			if h.files["a.bin"].lfs != sum256([]byte("ours")) {
				t.Error("the change was dropped")
			}
		})
	}
}

func TestPreuploadIsRemembered(t *testing.T) {
	h := newWriteHub(t)
	adds := []*Add{add("a.bin", "1"), add("b.bin", "1"), add("c", "1")}
	if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", adds, nil); err != nil {
		t.Fatal(err)
	}
	if !adds[0].State.Uploaded || !adds[1].State.Uploaded || adds[2].State.Uploaded || h.count("basic") != 1 {
		t.Errorf("states are %+v %+v %+v; %d uploads", adds[0].State, adds[1].State, adds[2].State, h.count("basic"))
	}
	ops := []Operation{adds[0], adds[1], adds[2]}
	if _, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: ops}); err != nil {
		t.Fatal(err)
	}
	if h.count("preupload") != 1 || h.count("batch") != 1 {
		t.Errorf("asked again: %q", h.requests)
	}
	_, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: ops})
	if invalid := (*ValidationError)(nil); !errors.As(err, &invalid) {
		t.Errorf("committed twice: %v", err)
	}
}

func TestCommitInChunks(t *testing.T) {
	h := newWriteHub(t)
	var ops []Operation
	for i := range 1000 {
		ops = append(ops, add(fmt.Sprintf("f%04d.bin", i), fmt.Sprint(i)))
	}
	if _, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: ops}); err != nil {
		t.Fatal(err)
	}
	if len(h.files) != 1000 || h.count("preupload") != 4 || h.count("batch") != 4 || h.count("basic") != 1000 || h.count("commit") != 1 {
		t.Errorf("%d files by %v", len(h.files), h.counts)
	}
}

func TestCopy(t *testing.T) {
	h := newWriteHub(t)
	h.set("a", []byte("regular"))
	h.set("dir/x", []byte("1"))
	_, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{
		&Copy{Source: "a", Path: "b"}, &Copy{Source: "a", Path: "c", SourceRevision: oid1}, &Copy{Source: "irrelevant", Path: "d.bin", SHA256: sum256(nil)}}})
	if err == nil {
		t.Error("copied an object that isn't there")
	}
	_, err = h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", ParentCommit: oid1, Operations: []Operation{
		&Copy{Source: "a", Path: "b"}, &Copy{Source: "a", Path: "c", SourceRevision: "v1"}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{&Delete{"b"}, &Copy{Source: "a", Path: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	if string(h.files["b"].content) != "regular" || string(h.files["c"].content) != "regular" {
		t.Errorf("the files are %v", h.files)
	}
	_, err = h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{&Copy{Source: "nowhere", Path: "b"}}})
	if !errors.Is(err, ErrEntryNotFound) || len(FailedPaths(err)) != 1 {
		t.Errorf("a missing source: %v", err)
	}
	_, err = h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{&Copy{Source: "dir", Path: "b"}}})
	if len(FailedPaths(err)) != 1 {
		t.Errorf("a folder: %v", err)
	}
}

func TestReadme(t *testing.T) {
	h := newWriteHub(t)
	_, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{add("m.bin", "1"), add("README.md", "---\nlicense: nonsense\n---\n")}})
	var invalid *MetadataError
	if !errors.As(err, &invalid) || !errors.Is(err, ErrBadRequest) {
		t.Fatalf("invalid metadata: %v", err)
	}
	if len(invalid.Messages) != 2 || len(FailedPaths(err)) != 1 || FailedPaths(err)[0].Path != "README.md" {
		t.Errorf("the error is %#v", err)
	}
	if h.count("preupload") != 0 || h.count("basic") != 0 {
		t.Error("something was uploaded")
	}
	info, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{add("README.md", "hello"), add("sub/README.md", "---\nlicense: nonsense\n---\n")}})
	if err != nil || !slices.Equal(info.Warnings, []string{"empty or missing yaml metadata"}) {
		t.Errorf("got %+v, %v", info, err)
	}
}

func TestGitIgnore(t *testing.T) {
	h := newWriteHub(t)
	info, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{add(".gitignore", "b\n"), add("a", "1"), add("b", "2")}})
	if err != nil || !slices.Equal(info.Ignored, []string{"b"}) {
		t.Errorf("got %+v, %v", info, err)
	}
	info, err = h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", GitIgnore: "c", Operations: []Operation{add("b", "1"), add("c", "2")}})
	if err != nil || !slices.Equal(info.Ignored, []string{"c"}) {
		t.Errorf("got %+v, %v", info, err)
	}
}

func TestCommitArguments(t *testing.T) {
	h := newWriteHub(t)
	one := add("a", "1")
	for name, in := range map[string]CommitInput{
		"no summary":    {Operations: []Operation{one}},
		"parent":        {Summary: "x", ParentCommit: "main", Operations: []Operation{one}},
		"mark":          {Summary: "x", Mark: "a\nb", Operations: []Operation{one}},
		"dot":           {Summary: "x", Operations: []Operation{add(".", "")}},
		"dotdot":        {Summary: "x", Operations: []Operation{add("../a", "")}},
		"inner":         {Summary: "x", Operations: []Operation{add("a/../b", "")}},
		"git":           {Summary: "x", Operations: []Operation{add("a/.git/b", "")}},
		"cache":         {Summary: "x", Operations: []Operation{add(".cache/b", "")}},
		"backslash":     {Summary: "x", Operations: []Operation{add(`a\b`, "")}},
		"empty":         {Summary: "x", Operations: []Operation{&Delete{""}}},
		"utf8":          {Summary: "x", Operations: []Operation{add("a\xff", "")}},
		"twice":         {Summary: "x", Operations: []Operation{one, one}},
		"nil":           {Summary: "x", Operations: []Operation{nil}},
		"no content":    {Summary: "x", Operations: []Operation{&Add{Path: "a"}}},
		"copy source":   {Summary: "x", Operations: []Operation{&Copy{Source: "../a", Path: "b"}}},
		"copy sha256":   {Summary: "x", Operations: []Operation{&Copy{Source: "a", Path: "b", SHA256: "zz"}}},
		"double slash":  {Summary: "x", Operations: []Operation{add("//a", "")}},
		"delete folder": {Summary: "x", Operations: []Operation{&DeleteFolder{"/"}}},
	} {
		_, err := h.c.CreateCommit(t.Context(), testRepo, "", in)
		if invalid := (*ValidationError)(nil); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(h.requests) != 0 {
		t.Errorf("requests were sent: %q", h.requests)
	}
	info, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{
		add("a", "1"), add("a", "2"), add("d/e", ""), &DeleteFolder{"d"}, &Delete{"a"}}})
	if err != nil || len(info.Warnings) != 3 {
		t.Errorf("got %+v, %v", info, err)
	}
}

// A commit whose fate isn't known is told from one that failed, and neither is
// sent twice.
func TestCommitOutcome(t *testing.T) {
	whole := func(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	status := func(code int, body string) func(*writeHub, http.ResponseWriter, *http.Request) {
		return func(_ *writeHub, w http.ResponseWriter, r *http.Request) { whole(r); reply(code, body)(w, r) }
	}
	landedThen := func(then func(w http.ResponseWriter, r *http.Request)) func(*writeHub, http.ResponseWriter, *http.Request) {
		return func(h *writeHub, w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			h.mu.Lock()
			err := h.apply(body)
			h.mu.Unlock()
			if err != nil {
				h.t.Error(err)
			}
			then(w, r)
		}
	}
	for name, test := range map[string]struct {
		answer    func(*writeHub, http.ResponseWriter, *http.Request)
		ambiguous bool
		is        error
	}{
		"500":           {status(500, `{"error":"x"}`), true, ErrUnavailable},
		"502":           {status(502, `bad gateway`), true, ErrUnavailable},
		"503":           {status(503, `{"error":"x"}`), true, ErrUnavailable},
		"504":           {status(504, `{"error":"x"}`), true, ErrUnavailable},
		"408":           {status(408, `{"error":"x"}`), true, ErrUnavailable},
		"landed 500":    {landedThen(reply(500, `{"error":"x"}`)), true, ErrUnavailable},
		"lost answer":   {landedThen(func(w http.ResponseWriter, _ *http.Request) { hangUp(w) }), true, ErrUnavailable},
		"no answer":     {landedThen(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), true, ErrUnavailable},
		"cut answer":    {landedThen(reply(200, `{"commitUrl":"x","commitO`)), true, ErrUnavailable},
		"html":          {landedThen(reply(200, `<html>`, "Content-Type", "text/html")), true, ErrProtocol},
		"no oid":        {landedThen(reply(200, `{"commitUrl":"x"}`)), true, ErrProtocol},
		"412":           {status(412, `{"error":"A commit has happened since. Please refresh and try again."}`), false, ErrPreconditionFailed},
		"413":           {status(413, `{"error":"x"}`), false, ErrTooLarge},
		"422":           {status(422, `{"error":"x"}`), false, ErrUnprocessable},
		"429":           {status(429, `{"error":"x"}`), false, ErrRateLimited},
		"403":           {status(403, `{"error":"x"}`), false, ErrForbidden},
		"404":           {status(404, `{"error":"x"}`), false, ErrNotFound},
		"401":           {status(401, `{"error":"x"}`), false, ErrUnauthorized},
		"early hang-up": {func(_ *writeHub, w http.ResponseWriter, _ *http.Request) { hangUp(w) }, false, ErrUnavailable},
		"odd commit URL": {landedThen(func(w http.ResponseWriter, r *http.Request) {
			reply(200, `{"commitUrl":"://","commitOid":"`+oid2+`"}`)(w, r)
		}), false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newWriteHub(t, func(c *Config) { c.Retries, c.AnswerTimeout = 3, 300*time.Millisecond })
			h.on(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/commit/") {
					return false
				}
				test.answer(h, w, r)
				return true
			})
			// More than the buffers of a connection hold, so that an early end is one.
			ops := []Operation{&Add{Path: "big", Content: ReaderAtContent(zeros{}, 64<<20)}}
			if name != "early hang-up" {
				ops = []Operation{add("small", "1")}
			}
			info, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Mark: "abc", Operations: ops})
			if errors.Is(err, ErrAmbiguousCommit) != test.ambiguous || !errors.Is(err, test.is) {
				t.Errorf("the error is %v", err)
			}
			if test.is == nil && (err != nil || info.OID != oid2 || info.CommitURL != h.hub.URL+"/ns/name/commit/"+oid2) {
				t.Errorf("got %+v, %v", info, err)
			}
			want := 1
			if name == "early hang-up" {
				want = 4 // none of them whole
			}
			if n := h.count("commit"); n != want {
				t.Errorf("it was sent %d times", n)
			}
			found, err := h.c.FindCommit(t.Context(), testRepo, "", oid1, "abc")
			if err != nil || (found != nil) != (len(h.commits) > 0) {
				t.Errorf("found %v, %v", found, err)
			}
		})
	}
}

// zeros is endless content.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

func TestCommitNotSent(t *testing.T) {
	h := newWriteHub(t)
	h.on(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/preupload/") {
			h.hub.Listener.Close() // nothing answers from now on
			h.c.CloseIdleConnections()
		}
		return false
	})
	_, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{add("a", "1")}})
	h.c.CloseIdleConnections()
	_, err2 := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{&Delete{"a"}}})
	if err2 == nil || errors.Is(err2, ErrAmbiguousCommit) || !errors.Is(err2, ErrUnavailable) {
		t.Errorf("got %v, then %v", err, err2)
	}
}

func TestCommitCancelled(t *testing.T) {
	h := newWriteHub(t)
	ctx, cancel := context.WithCancel(t.Context())
	h.on(func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/commit/") {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
		return true
	})
	_, err := h.c.CreateCommit(ctx, testRepo, "", CommitInput{Summary: "x", Operations: []Operation{add("a", "1")}})
	if !errors.Is(err, ErrAmbiguousCommit) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFileChangesDuringCommit(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"grows":    func(p string) error { return os.WriteFile(p, make([]byte, 2<<20), 0o600) },
		"shrinks":  func(p string) error { return os.Truncate(p, 10) },
		"replaced": func(p string) error { os.Remove(p); return os.WriteFile(p, make([]byte, 1<<20), 0o600) },
		"removed":  os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			h := newWriteHub(t, func(c *Config) { c.Retries = 5 })
			for _, file := range []string{"a", "a.bin"} {
				path := filepath.Join(t.TempDir(), "f")
				if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
					t.Fatal(err)
				}
				content, err := FileContent(path)
				if err != nil {
					t.Fatal(err)
				}
				h.on(func(_ http.ResponseWriter, r *http.Request) bool {
					if strings.Contains(r.URL.Path, "/preupload/") || strings.Contains(r.URL.Path, "/batch") {
						if err := change(path); err != nil && !errors.Is(err, os.ErrNotExist) {
							t.Error(err)
						}
					}
					return false
				})
				before := h.c.Stats().Retries
				_, err = h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: []Operation{&Add{Path: file, Content: content}}})
				if failed := FailedPaths(err); len(failed) != 1 || failed[0].Path != file || errors.Is(err, ErrAmbiguousCommit) {
					t.Errorf("%s: %v", file, err)
				}
				if name != "removed" && !errors.Is(err, ErrContentChanged) {
					t.Errorf("%s: %v", file, err)
				}
				if tries := h.c.Stats().Retries - before; len(h.commits) != 0 || tries != 0 {
					t.Errorf("%s: committed %v, tried %d times again", file, h.commits, tries)
				}
			}
		})
	}
}

// What was uploaded long ago may be gone: a second call uploads it again.
func TestUploadIsGone(t *testing.T) {
	h := newWriteHub(t)
	h.on(func(w http.ResponseWriter, r *http.Request) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !strings.Contains(r.URL.Path, "/commit/") || len(h.objects) > 0 {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		reply(422, `{"error":"LFS pointer pointed to a file that does not exist: a.bin"}`)(w, r)
		return true
	})
	a := add("a.bin", "1")
	if err := h.c.PreuploadLFSFiles(t.Context(), testRepo, "", []*Add{a}, nil); err != nil {
		t.Fatal(err)
	}
	clear(h.objects)
	in := CommitInput{Summary: "x", Operations: []Operation{a}}
	if _, err := h.c.CreateCommit(t.Context(), testRepo, "", in); !errors.Is(err, ErrUnprocessable) {
		t.Fatalf("got %v", err)
	}
	if _, err := h.c.CreateCommit(t.Context(), testRepo, "", in); err != nil {
		t.Error(err)
	}
}

// A call that is given up is no failure of the file that it was at.
func TestCancelledWhileHashing(t *testing.T) {
	h := newWriteHub(t)
	for _, name := range []string{"a", "a.bin"} {
		h.set(name, []byte("old"))
		ctx, cancel := context.WithCancel(t.Context())
		content := ReaderAtContent(zeros{}, 100<<20)
		open := content.Open
		opened := 0
		content.Open = func() (ContentReader, error) {
			if opened++; opened == 2 { // the first is for the sample
				cancel()
			}
			return open()
		}
		_, err := h.c.CreateCommit(ctx, testRepo, "", CommitInput{Summary: "x", Operations: []Operation{&Add{Path: name, Content: content}}})
		if !errors.Is(err, context.Canceled) || len(FailedPaths(err)) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFindCommit(t *testing.T) {
	h := newWriteHub(t)
	for _, mark := range []string{"one", "two", "three"} {
		if _, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Description: "Hubfs-Change: fake" + mark, Mark: mark, Operations: []Operation{add(mark, mark)}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		since, mark string
		want        int
	}{{"", "one", 0}, {oid1, "two", 1}, {h.commits[0].oid, "one", -1}, {h.commits[0].oid[:7], "two", 1}, {"", "thre", -1}, {h.commits[2].oid, "three", -1}} {
		got, err := h.c.FindCommit(t.Context(), testRepo, "", test.since, test.mark)
		if err != nil {
			t.Fatal(err)
		}
		if test.want < 0 && got != nil || test.want >= 0 && (got == nil || got.ID != h.commits[test.want].oid) {
			t.Errorf("%s since %.7s: %v", test.mark, test.since, got)
		}
	}
}
