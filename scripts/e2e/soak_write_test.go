//go:build soak

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub"
)

// A thousand files and one of 6 GiB are one commit of the right bytes, and the
// daemon stays small.
func TestLargeCopy(t *testing.T) {
	const limit = 200 << 20
	u := newUser(t)
	src := filepath.Join(t.TempDir(), "ckpt")
	if err := os.MkdirAll(filepath.Join(src, "small"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if err := os.WriteFile(filepath.Join(src, "small", fmt.Sprintf("f%03d.json", i)), bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 500), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(islands(t, 6<<30), filepath.Join(src, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	u.startMount(dir, "--every", "0")
	defer func() { _ = u.command("umount", dir).Run() }()
	if out, err := exec.Command("cp", "-r", "--sparse=never", src, dir).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	afterCopy := u.memory(dir)
	var pushed struct {
		Commits []struct{ Changes int }
	}
	if err := json.Unmarshal([]byte(u.hubfs("flush", "--json", dir)), &pushed); err != nil {
		t.Fatal(err)
	}
	if len(pushed.Commits) != 1 || pushed.Commits[0].Changes != 1001 {
		t.Errorf("commits: %+v", pushed.Commits)
	}
	peak := u.memory(dir)
	t.Logf("memory of the daemon: %d MiB after cp, %d MiB after the commit", afterCopy>>20, peak>>20)
	if peak > limit {
		t.Errorf("the daemon took %d MiB", peak>>20)
	}
	sum, err := exec.Command("sha256sum", filepath.Join(src, "model.safetensors")).Output()
	if err != nil {
		t.Fatal(err)
	}
	repo := hub.Repo{Type: hub.Model, ID: repoID}
	files, err := u.srv.Client().PathsInfo(t.Context(), repo, "main", []string{"ckpt/model.safetensors"}, false)
	if err != nil || len(files) != 1 || files[0].LFS == nil || !strings.HasPrefix(string(sum), files[0].LFS.SHA256) {
		t.Errorf("on the Hub: %+v, %v; its sha256 is %s", files, err, sum)
	}
	for name, content := range u.onHub("ckpt/small") {
		want, err := os.ReadFile(filepath.Join(src, "small", name))
		if err != nil || string(want) != content {
			t.Errorf("%s on the Hub has other bytes: %v", name, err)
		}
	}
	// What was written isn't downloaded to be read again.
	u.srv.Hub.ResetCounts()
	same(t, filepath.Join(dir, "ckpt/model.safetensors"), filepath.Join(src, "model.safetensors"))
	if n := u.srv.Hub.Counts().ContentBytes; n != 0 {
		t.Errorf("%d bytes were downloaded", n)
	}
}
