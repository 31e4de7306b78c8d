package hub

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whatever paths a server lists, a download into a folder stays in it.
func TestSnapshotOfHostileTree(t *testing.T) {
	bad := []string{
		"../evil", "d/../../evil", "/tmp/evil", "d//x", "./x", "d/.", "..", "d\\..\\evil", "\\evil", "C:\\evil", "nul\x00l",
		".git/hooks/post-checkout", "d/.GIT/config", strings.Repeat("x", 256), strings.Repeat("d/", 3000) + "../evil", "",
	}
	var entries []map[string]any
	for _, path := range append(bad, "d/good.txt") {
		entries = append(entries, map[string]any{"type": "file", "path": path, "oid": oid1, "size": 1})
	}
	listing, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	const blob = "7937c68fbcf7c484f2d5ce7801944416eedf0d2c" // git's id of "g"
	listing = []byte(strings.ReplaceAll(string(listing), oid1, blob))
	var asked recorder
	c, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/tree/") {
			reply(200, string(listing))(w, r)
			return
		}
		asked.note(r)
		reply(200, "g", "X-Repo-Commit", oid2, "ETag", `"`+blob+`"`)(w, r)
	}))
	above := t.TempDir()
	dir := filepath.Join(above, "in", "here")
	got, err := c.SnapshotTo(t.Context(), testRepo, oid2, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(got, "d", "good.txt")); string(b) != "g" {
		t.Errorf("%q, %v", b, err)
	}
	if reqs := asked.take(); reqs != "GET /ns/name/resolve/"+oid2+"/d/good.txt" {
		t.Errorf("asked for %s", reqs)
	}
	var files []string
	err = filepath.WalkDir(above, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.Contains(path, "/.cache/") {
			rel, _ := filepath.Rel(above, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil || !slices.Equal(files, []string{"in/here/d/good.txt"}) {
		t.Errorf("%q, %v", files, err)
	}
}

// Nor do the headers of an answer lead elsewhere: they are in the names of files.
func TestDownloadToWithHostileHeaders(t *testing.T) {
	for name, header := range map[string][]string{
		"etag above":      {"X-Repo-Commit", oid1, "ETag", `"../../../evil"`},
		"etag a folder":   {"X-Repo-Commit", oid1, "ETag", `"a/b"`},
		"etag dots":       {"X-Repo-Commit", oid1, "ETag", `".."`},
		"etag backslash":  {"X-Repo-Commit", oid1, "ETag", `"a\b"`},
		"etag very long":  {"X-Repo-Commit", oid1, "ETag", `"` + strings.Repeat("e", 300) + `"`},
		"linked etag":     {"X-Repo-Commit", oid1, "X-Linked-Etag", `"/evil"`, "ETag", `"fine"`},
		"commit above":    {"X-Repo-Commit", "../../evil", "ETag", `"` + oid1 + `"`},
		"commit too long": {"X-Repo-Commit", oid1 + "0", "ETag", `"` + oid1 + `"`},
		"no commit":       {"ETag", `"` + oid1 + `"`},
		"negative size":   {"X-Repo-Commit", oid1, "ETag", `"` + oid1 + `"`, "X-Linked-Size", "-1"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, reply(200, "g", header...))
			above := t.TempDir()
			_, err := c.DownloadTo(t.Context(), FileRef{Repo: testRepo, Path: "x"}, filepath.Join(above, "dir"), nil)
			wantKind(t, err, ErrProtocol)
			if left, err := os.ReadDir(above); err != nil || len(left) != 0 {
				t.Errorf("%v, %v", left, err)
			}
		})
	}
	// What the caller names is checked before anything is asked.
	c := fake(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) })
	for _, path := range []string{"../x", "/etc/passwd", "a/../../x", "a\\b", "a\x00b", ".git/config", ""} {
		_, err := c.DownloadTo(t.Context(), FileRef{Repo: testRepo, Path: path}, t.TempDir(), nil)
		var invalid *ValidationError
		if !errors.As(err, &invalid) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// A state file of somebody else's making says nothing.
func TestHostileUploadState(t *testing.T) {
	const sum = sha1of
	good := "1700000000.0\n1\n0\n" + sum + "\nlfs\n1\n1\n"
	if s, ok := parseLargeState(good); !ok || !s.committed || s.sha256 != sum {
		t.Fatalf("%+v, %v", s, ok)
	}
	for name, text := range map[string]string{
		"empty":         "",
		"not a hash":    strings.Replace(good, sum, "../../../etc/passwd", 1),
		"a short hash":  strings.Replace(good, sum, sum[1:], 1),
		"upper case":    strings.Replace(good, sum, strings.ToUpper(sum), 1),
		"another mode":  strings.Replace(good, "lfs", "../lfs", 1),
		"no flag":       strings.Replace(good, "\n1\n1\n", "\n1\n2\n", 1),
		"no time":       strings.Replace(good, "1700000000.0", "NaN", 1),
		"time for ever": strings.Replace(good, "1700000000.0", "1e300", 1),
		"no size":       strings.Replace(good, "\n1\n0\n", "\n99999999999999999999\n0\n", 1),
		"more lines":    good + "more\nand more\n",
		"NUL":           strings.Replace(good, "lfs", "lfs\x00", 1),
	} {
		if s, ok := parseLargeState(text); ok {
			t.Errorf("%s is taken: %+v", name, s)
		}
	}
}
