package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub"
)

// What was copied is in the commit that comes next: the kernel tells of the end
// of a file only after close has returned, so a flush can come before it.
func TestCopyThenFlush(t *testing.T) {
	u := newUser(t)
	dir := u.mount(repoID, "--every", "0")
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	src := filepath.Join(t.TempDir(), "src")
	for i := range copies {
		name := fmt.Sprintf("f%d.txt", i)
		if err := os.WriteFile(src, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", `cp "$SRC" "$DIR/`+name+`" && "$HUBFS" flush "$DIR"`)
		cmd.Env = append(u.command().Env, "SRC="+src, "DIR="+dir, "HUBFS="+bin)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "committed 1 change to "+repoID+"@main: ") {
			t.Fatalf("copy %d: %v: %s", i, err, out)
		}
	}
	if n := len(u.onHub("")); n != copies {
		t.Errorf("%d files are on the Hub, not %d", n, copies)
	}
}

// sync on a file and on a folder returns after the commit; a writer that syncs
// half-way doesn't publish its half.
func TestSync(t *testing.T) {
	u := newUser(t)
	dir := u.mount(repoID, "--every", "0")
	sync := func(path string) {
		t.Helper()
		if out, err := exec.Command("sync", path).CombinedOutput(); err != nil {
			t.Fatalf("sync: %v: %s", err, out)
		}
	}
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for i := range 2 * copies {
		name, other := fmt.Sprintf("f%d.txt", i), fmt.Sprintf("g%d.txt", i)
		write(other, "other")
		if i%2 == 0 {
			sync(write(name, "content"))
		} else {
			write(name, "content")
			sync(dir)
		}
		files := u.onHub("")
		if _, ok := files[name]; !ok {
			t.Fatalf("%s isn't on the Hub after sync", name)
		}
		if _, ok := files[other]; ok != (i%2 == 1) {
			t.Fatalf("%s is on the Hub: %v", other, ok)
		}
	}
	// The program that syncs is started before: a fork closes a copy of every
	// descriptor, and what was closed once and not written since is taken by who asks.
	later := exec.Command("sh", "-c", `read line && sync "$1"`, "sh", dir)
	start, err := later.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := later.Start(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "half.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("half of it\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := start.Write([]byte("now\n")); err != nil {
		t.Fatal(err)
	}
	if err := later.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, ok := u.onHub("")["half.txt"]; ok {
		t.Error("a file is on the Hub while it is being written")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	u.hubfs("wait", "--timeout", "60s", dir) // for it was synced
	if got := u.onHub("")["half.txt"]; got != "half of it\n" {
		t.Errorf("after its end it is %q", got)
	}
}

// onHub is what main has below a folder, without .gitattributes.
func (u *user) onHub(folder string) map[string]string {
	u.t.Helper()
	repo := hub.Repo{Type: hub.Model, ID: repoID}
	c := u.srv.Client()
	out := map[string]string{}
	for e, err := range c.Tree(u.t.Context(), repo, "main", folder, &hub.TreeOptions{Recursive: true}) {
		if err != nil {
			u.t.Fatal(err)
		}
		if e.Type == hub.TypeFile && e.Path != ".gitattributes" {
			content := download(u.t, c, hub.FileRef{Repo: repo, Revision: "main", Path: e.Path})
			out[strings.TrimPrefix(strings.TrimPrefix(e.Path, folder), "/")] = string(content)
		}
	}
	return out
}

func download(t testing.TB, c *hub.Client, f hub.FileRef) []byte {
	t.Helper()
	var buf bytes.Buffer
	if _, err := c.Download(t.Context(), f, &buf); err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("%s: %v", f.Path, err)
	}
	return buf.Bytes()
}
