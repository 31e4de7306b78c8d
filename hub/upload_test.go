package hub

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeFiles makes files below a temporary folder.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUploadFile(t *testing.T) {
	h := newWriteHub(t)
	dir := writeFiles(t, map[string]string{"f": "content"})
	content, err := FileContent(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := h.c.UploadFile(t.Context(), testRepo, "a/b", "/d/e", content, nil)
	if err != nil {
		t.Fatal(err)
	}
	if string(h.files["d/e"].content) != "content" || info.URL != h.hub.URL+"/ns/name/blob/a%2Fb/d/e" || info.Message != "Upload d/e with hubfs" {
		t.Errorf("got %+v", info)
	}
	info, err = h.c.UploadFile(t.Context(), testRepo, "", "d/e", BytesContent([]byte("2")), &CommitOptions{Summary: "mine", CreatePR: true})
	if err != nil || info.URL != h.hub.URL+"/ns/name/blob/refs%2Fpr%2F7/d/e" || info.Message != "mine" {
		t.Errorf("got %+v, %v", info, err)
	}
}

func TestFileContent(t *testing.T) {
	if _, err := FileContent(t.TempDir()); err == nil {
		t.Error("a folder is taken for a file")
	}
	if _, err := FileContent(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestUploadFolder(t *testing.T) {
	h := newWriteHub(t)
	dir := writeFiles(t, map[string]string{
		"a.txt": "1", "b.bin": "2", "sub/c.txt": "3", ".hidden": "4", "sub-x/d": "5", "skip.tmp": "6",
		".git/config": "no", "sub/.git/x": "no", ".cache/huggingface/x": "no", ".gitignore": "",
	})
	other := writeFiles(t, map[string]string{"in": "1"})
	for link, to := range map[string]string{"link.txt": "a.txt", "dirlink": other, "broken": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	h.set("to/old.txt", []byte("1"))
	h.set("to/a.txt", []byte("old"))
	h.set("other.txt", []byte("1"))
	h.set(".gitattributes", []byte("1"))
	info, err := h.c.UploadFolder(t.Context(), testRepo, "", dir, &UploadFolderOptions{
		PathInRepo: "/to/", Ignore: []string{"*.tmp"}, Delete: []string{"*.txt", ".gitattributes"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"deletedFile to/old.txt", "file to/.gitignore", "file to/.hidden", "file to/a.txt", "lfsFile to/b.bin", "file to/link.txt", "file to/sub/c.txt", "file to/sub-x/d"}
	if got := h.last().keys; !slices.Equal(got, want) {
		t.Errorf("the commit has %q", got)
	}
	if info.URL != h.hub.URL+"/ns/name/tree/main/to" || info.Message != "Upload folder using hubfs" {
		t.Errorf("got %+v", info)
	}

	if _, err := h.c.UploadFolder(t.Context(), testRepo, "", dir, &UploadFolderOptions{Delete: []string{".gitattributes", "other.txt"}, Allow: []string{"sub/"}}); err != nil {
		t.Fatal(err)
	}
	if got := h.last().keys; !slices.Equal(got, []string{"deletedFile other.txt", "file sub/c.txt"}) {
		t.Errorf("the commit has %q", got)
	}
	if _, err := h.c.UploadFolder(t.Context(), testRepo, "", filepath.Join(dir, "a.txt"), nil); err == nil {
		t.Error("a file is taken for a folder")
	}
	if _, err := h.c.UploadFolder(t.Context(), testRepo, "", dir+"/none", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
	if info, err := h.c.UploadFolder(t.Context(), testRepo, "", dir, &UploadFolderOptions{Allow: []string{}}); err != nil || !info.NoChange {
		t.Errorf("nothing to upload: %+v, %v", info, err)
	}
	// Below .cache only the official client's folder is left out, and the Hub takes none of it.
	bad := writeFiles(t, map[string]string{".cache/other": "1"})
	if _, err := h.c.UploadFolder(t.Context(), testRepo, "", bad, nil); err == nil {
		t.Error("a forbidden name was uploaded")
	}
}

func TestUploadFolderReadme(t *testing.T) {
	h := newWriteHub(t)
	dir := writeFiles(t, map[string]string{"README.md": "---\nlicense: nonsense\n---\n"})
	for _, to := range []string{"", "sub"} {
		_, err := h.c.UploadFolder(t.Context(), testRepo, "", dir, &UploadFolderOptions{PathInRepo: to})
		if invalid := (*MetadataError)(nil); !errors.As(err, &invalid) {
			t.Errorf("to %q: %v", to, err)
		}
	}
	if h.count("yaml") != 2 {
		t.Errorf("it was checked %d times", h.count("yaml"))
	}
}

func TestUploadFolderInParts(t *testing.T) {
	for _, pr := range []bool{false, true} {
		t.Run(fmt.Sprintf("pr=%v", pr), func(t *testing.T) {
			h := newWriteHub(t)
			files := map[string]string{}
			for i := range 10 {
				files[fmt.Sprintf("f%d.bin", i)] = fmt.Sprint(i)
				files[fmt.Sprintf("g%d", i)] = strings.Repeat("x", 300)
			}
			info, err := h.c.UploadFolder(t.Context(), testRepo, "", writeFiles(t, files), &UploadFolderOptions{
				CommitOptions: CommitOptions{CreatePR: pr, Mark: "m"}, Limits: CommitLimits{LFSFiles: 4, RegularBytes: 2500}})
			if err != nil {
				t.Fatal(err)
			}
			if len(h.files) != 20 || len(h.commits) != 4 || h.count("preupload") != 1 {
				t.Errorf("%d files in %d commits, %v", len(h.files), len(h.commits), h.counts)
			}
			for i, c := range h.commits {
				wantTitle, wantMark, wantParent := "Upload folder using hubfs", "Hubfs-Change: m", ""
				if i > 0 {
					wantTitle, wantMark, wantParent = fmt.Sprintf("%s (part %d)", wantTitle, i+1), fmt.Sprintf("%s-%d", wantMark, i+1), h.commits[i-1].oid
				}
				if c.header.Summary != wantTitle || c.header.Description != wantMark || c.header.ParentCommit != wantParent {
					t.Errorf("commit %d: %+v", i, c.header)
				}
			}
			if info.OID != h.head || pr && info.PRNum != 7 {
				t.Errorf("got %+v", info)
			}
			creating := 0
			for _, r := range h.requests {
				if r == "POST /api/models/ns/name/commit/refs/pr/7" {
					creating++
				}
			}
			if pr && creating != 3 {
				t.Errorf("commits went to %q", h.requests)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	h := newWriteHub(t)
	for _, p := range []string{"a", "b.txt", "c.txt", "d/e.txt", "d/f", "g/h", "i/j/k", "i/l"} {
		h.set(p, []byte("1"))
	}
	if _, err := h.c.DeleteFile(t.Context(), testRepo, "", "a", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := h.c.DeleteFolder(t.Context(), testRepo, "", "g", &CommitOptions{Summary: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.c.DeleteFiles(t.Context(), testRepo, "", []string{"*.txt", "i/j/"}, nil); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(h.files)); !slices.Equal(got, []string{"d/f", "i/l"}) {
		t.Errorf("left are %q", got)
	}
	if got := h.last().header.Summary; got != "Delete files *.txt i/j/ with hubfs" {
		t.Errorf("the summary is %q", got)
	}
	if info, err := h.c.DeleteFiles(t.Context(), testRepo, "", []string{"*.txt"}, nil); err != nil || !info.NoChange {
		t.Errorf("nothing to delete: %+v, %v", info, err)
	}
	if _, err := h.c.DeleteFile(t.Context(), testRepo, "", "none", nil); err == nil {
		t.Error("a missing file was deleted")
	}
}

// The answer to a commit gets lost: what landed isn't sent again, and what didn't
// land is.
func TestUploadSettles(t *testing.T) {
	for _, test := range []struct {
		name    string
		landed  bool
		someone bool // else commits in between
		parent  bool
		commits int // sent
		fails   bool
	}{
		{"landed", true, false, false, 1, false},
		{"landed, with parent", true, false, true, 1, false},
		{"not landed", false, false, false, 2, false},
		{"not landed, with parent", false, false, true, 2, false},
		{"not landed, moved", false, true, false, 2, false},
		{"not landed, moved, with parent", false, true, true, 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newWriteHub(t)
			h.set("a", []byte("old"))
			h.set("b.bin", []byte("old"))
			opts := &UploadFolderOptions{}
			if test.parent {
				opts.ParentCommit = h.head
			}
			first := true
			h.on(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/commit/") || !first {
					return false
				}
				first = false
				body, _ := io.ReadAll(r.Body)
				h.mu.Lock()
				defer h.mu.Unlock()
				if test.landed {
					if err := h.apply(body); err != nil {
						t.Error(err)
					}
				}
				if test.someone {
					h.head = oid2
				}
				reply(504, `gateway timeout`)(w, r)
				return true
			})
			info, err := h.c.UploadFolder(t.Context(), testRepo, "", writeFiles(t, map[string]string{"a": "1", "b.bin": "2", "c": ""}), opts)
			if test.fails {
				if !errors.Is(err, ErrAmbiguousCommit) {
					t.Errorf("got %v", err)
				}
			} else if err != nil || info.NoChange || info.OID != h.head || info.CommitURL != h.hub.URL+"/ns/name/commit/"+h.head || len(h.commits) != 1 {
				t.Errorf("got %+v, %v, %d commits", info, err, len(h.commits))
			}
			if n := h.count("commit"); n != test.commits {
				t.Errorf("the commit was sent %d times", n)
			}
		})
	}
	t.Run("a deletion isn't settled", func(t *testing.T) {
		h := newWriteHub(t)
		h.on(func(w http.ResponseWriter, r *http.Request) bool { reply(500, `x`)(w, r); return true })
		if _, err := h.c.DeleteFile(t.Context(), testRepo, "", "a", nil); !errors.Is(err, ErrAmbiguousCommit) || h.count("commit") != 1 {
			t.Errorf("got %v, sent %d times", err, h.count("commit"))
		}
	})
}
