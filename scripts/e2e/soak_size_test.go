//go:build soak

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// 4 KiB changed in a file of 10 GiB are there at once, and fetch nothing but what is
// around them; the commit then is of the whole file.
func TestEditOfLargeFile(t *testing.T) {
	const (
		limit = 200 << 20
		size  = 10 << 30
		at    = 5<<30 + 1234
	)
	u := newUser(t)
	original := islands(t, size)
	u.addLFS("large.safetensors", original)
	dir := t.TempDir()
	u.startMount(dir, "--every", "0")
	defer func() { _ = u.command("umount", dir).Run() }()
	block := bytes.Repeat([]byte("edit"), 1024)
	edit := func(path string) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(block, at); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "large.safetensors")
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	u.srv.Hub.ResetCounts()
	start := time.Now()
	edit(path)
	t.Logf("the edit took %v and fetched %d KiB", time.Since(start), u.srv.Hub.Counts().ContentBytes>>10)
	if n := u.srv.Hub.Counts().ContentBytes; n > 1<<20 {
		t.Errorf("the edit fetched %d bytes", n)
	}
	got := make([]byte, len(block))
	if _, err := readRange(path, got, at); err != nil || !bytes.Equal(got, block) {
		t.Errorf("the edit doesn't show: %v", err)
	}
	start = time.Now()
	u.flush(dir, 1)
	t.Logf("its commit took %v; the daemon had %d MiB", time.Since(start), u.memory(dir)>>20)
	if peak := u.memory(dir); peak > limit {
		t.Errorf("the daemon took %d MiB", peak>>20)
	}
	// The Hub keeps the file that it was given, so the edit is made on a copy.
	expected := filepath.Join(t.TempDir(), "expected")
	if out, err := exec.Command("cp", "--sparse=always", original, expected).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	edit(expected)
	u.wantOnHub("large.safetensors", expected)
}

// The timer goes off many times while a checkpoint is copied, slowly, and a log grows
// elsewhere: nothing of the checkpoint is committed before all of it is there, and of
// the log whole lines only, at every tick.
func TestTicksAmidCopy(t *testing.T) {
	for _, name := range []string{"model.safetensors", "data.jsonl"} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			original := filepath.Join(t.TempDir(), name)
			if err := os.Rename(islands(t, 2<<30), original); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			u.startMount(dir, "--every", "1s", "--max-commits-per-hour", "1000000")
			defer func() { _ = u.command("umount", dir).Run() }()
			for _, folder := range []string{"ckpt", "logs"} {
				if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			log, err := os.OpenFile(filepath.Join(dir, "logs/train.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			from := mustOpen(t, original)
			to, err := os.OpenFile(filepath.Join(dir, "ckpt", name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			// A file beside it is complete, but not the checkpoint.
			if err := os.WriteFile(filepath.Join(dir, "ckpt/config.json"), []byte("{}"), 0o644); err != nil {
				t.Fatal(err)
			}
			const steps = 40
			logged := ""
			for i := range steps {
				if _, err := io.CopyN(to, from, 2<<30/steps+1); err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				line := fmt.Sprintf("step %d\nstep %d, half a li", i, i)
				if _, err := log.WriteString(line); err != nil {
					t.Fatal(err)
				}
				logged += line
				time.Sleep(500 * time.Millisecond)
				for path, content := range u.onHub("") {
					if path != "logs/train.log" {
						t.Fatalf("%s was committed at step %d", path, i)
					}
					if !strings.HasPrefix(logged, content) || !strings.HasSuffix(content, "\n") {
						t.Fatalf("the log on the Hub ends with %.40q", content[max(0, len(content)-40):])
					}
				}
				if _, err := log.WriteString("ne\n"); err != nil {
					t.Fatal(err)
				}
				logged += "ne\n"
			}
			ticks := len(u.history())
			t.Logf("%d commits during the copy", ticks)
			if ticks < 5 {
				t.Errorf("only %d commits during the copy", ticks)
			}
			if err := to.Close(); err != nil {
				t.Fatal(err)
			}
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			u.hubfs("flush", dir)
			u.wantOnHub("ckpt/"+name, original)
			if got := u.onHub("logs")["train.log"]; got != logged {
				t.Errorf("the log on the Hub has %d bytes of %d", len(got), len(logged))
			}
			if got := u.onHub("ckpt")["config.json"]; got != "{}" {
				t.Errorf("beside it there is %q", got)
			}
		})
	}
}

// A program that syncs each of its lines makes a handful of commits, none lost.
func TestManyFsyncs(t *testing.T) {
	u := newUser(t)
	dir := t.TempDir()
	u.startMount(dir, "--every", "1m")
	defer func() { _ = u.command("umount", dir).Run() }()
	before := len(u.history())
	want := map[string]string{}
	start := time.Now()
	for i := range 100 {
		name := fmt.Sprintf("f%d.txt", i%10)
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		for j := range 100 {
			line := fmt.Sprintf("%d %d\n", i, j)
			if _, err := f.WriteString(line); err != nil {
				t.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			want[name] += line
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(start)
	u.hubfs("wait", "--timeout", "5m", dir)
	made := len(u.history()) - before
	t.Logf("10,000 fsyncs in %v made %d commits", took, made)
	if made > 10 {
		t.Errorf("%d commits", made)
	}
	got := u.onHub("")
	for name, content := range want {
		if got[name] != content {
			t.Errorf("%s has %d bytes on the Hub, not %d", name, len(got[name]), len(content))
		}
	}
}

// flush commits what is staged, by so many commits.
func (u *user) flush(dir string, commits int) {
	u.t.Helper()
	var pushed struct{ Commits []struct{ Changes int } }
	if err := json.Unmarshal([]byte(u.hubfs("flush", "--json", dir)), &pushed); err != nil {
		u.t.Fatal(err)
	}
	if len(pushed.Commits) != commits {
		u.t.Fatalf("commits: %+v", pushed.Commits)
	}
}

// wantOnHub compares a file in LFS with a local one, by what both say of their sha256.
func (u *user) wantOnHub(path, local string) {
	u.t.Helper()
	sum, err := exec.Command("sha256sum", local).Output()
	if err != nil {
		u.t.Fatal(err)
	}
	repo := hub.Repo{Type: hub.Model, ID: repoID}
	e, err := u.srv.Client().PathsInfo(u.t.Context(), repo, "main", []string{path}, false)
	if err != nil || len(e) != 1 || e[0].LFS == nil || !strings.HasPrefix(string(sum), e[0].LFS.SHA256) {
		u.t.Errorf("%s on the Hub is %+v, %v; its sha256 should be %s", path, e, err, sum)
	}
}

func (u *user) history() []hub.Commit {
	u.t.Helper()
	var list []hub.Commit
	for c, err := range u.srv.Client().Commits(u.t.Context(), hub.Repo{Type: hub.Model, ID: repoID}, "main", nil) {
		if err != nil {
			u.t.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}
