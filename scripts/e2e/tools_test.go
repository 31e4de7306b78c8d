package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Programs as they are, in a mount: what they leave there is what they leave on
// a local disk, and what is on the Hub after a flush.
func TestTools(t *testing.T) {
	for _, tool := range []struct {
		name   string
		needs  []string
		script string // runs in the folder; $SRC is a tree to copy
		local  []string
	}{
		{"cp -a", nil, `cp -a "$SRC" copy; chmod 755 copy/run.sh; cp -a --reflink=auto copy/big.bin big2.bin`, nil},
		{"cp over", nil, `cp -r "$SRC" copy; cp copy/a.txt copy/big.bin; cp -r "$SRC/." copy`, nil},
		{"rsync", []string{"rsync"}, `rsync -a "$SRC/" copy; echo more >> "$SRC/a.txt"; rsync -a --delete --inplace "$SRC/" copy; rm "$SRC/dir/b.txt"; rsync -a --delete "$SRC/" copy`, nil},
		{"tar", []string{"tar"}, `tar -C "$SRC" --sort=name --mtime=@0 -cf all.tar .; mkdir out; tar -C out -xpf all.tar; tar --mtime=@0 -rf all.tar -C "$SRC" a.txt`, nil},
		{"mv", nil, `cp -r "$SRC" copy; mv copy moved; mv moved/dir/b.txt moved/c.txt; mkdir -p x/y; mv moved x/y/; mv x/y/moved/big.bin .`, nil},
		{"sed -i", []string{"sed"}, `cp "$SRC/a.txt" .; sed -i -e 's/line/LINE/' a.txt; sed -i.bak -e 1d a.txt`, nil},
		{"vim", []string{"vim"}, `cp "$SRC/a.txt" .; vim -es -u NONE -c 'set backup backupcopy=auto' -c '%s/line/LINE/' -c 'wq' a.txt; vim -es -u NONE -c 'normal Gonew' -c 'wq' a.txt`, []string{"a.txt~"}},
		// As a download with --local-dir leaves it: the files, and marks that the Hub doesn't take.
		{"hf download", nil, `mkdir -p data/.cache/huggingface/download; printf '*' > data/.cache/huggingface/.gitignore; cp "$SRC/big.bin" data; : > data/.cache/huggingface/download/big.bin.lock
			printf 'commit\netag\n1.0\n' > data/.cache/huggingface/download/big.bin.metadata`, []string{"data/.cache/huggingface"}},
		{"shell", nil, `for i in 1 2 3 4 5; do echo $i >> list; done; : > empty; printf x > short; truncate -s 1000000 sparse.bin; printf end | dd of=sparse.bin bs=1 seek=500000 conv=notrunc status=none; rm short; mkdir only-local; ln list hard 2>/dev/null && exit 7; ln -s list soft 2>/dev/null && exit 8; true`, []string{"only-local"}},
		{"sqlite3", []string{"sqlite3"}, `sqlite3 data.db 'create table t(a,b); insert into t values(1,"x"),(2,"y");'
			for i in 1 2 3; do sqlite3 data.db "insert into t values($i, hex(randomblob(20000)))"; done
			sqlite3 data.db 'pragma journal_mode=persist; update t set b="z" where a=1; vacuum; pragma integrity_check' | grep -qx ok; rm -f data.db-journal`, nil},
		// As torch.save and safetensors do: a zip that is gone back into, a header and what was reserved behind it, a map.
		{"python", []string{"python3"}, `python3 -c '
import json, mmap, os, pickle, struct, zipfile
def member(name): return zipfile.ZipInfo("archive/" + name, (1980, 1, 1, 0, 0, 0))
with zipfile.ZipFile("model.pt.tmp", "w") as z:
    z.writestr(member("data.pkl"), pickle.dumps({"weight": list(range(1000))}, 2))
    for i in range(3):
        with z.open(member("data/%d" % i), "w") as f:
            for j in range(5): f.write(bytes([i, j]) * 100000)
os.replace("model.pt.tmp", "model.pt")
header = json.dumps({"w": {"dtype": "U8", "shape": [1000000], "data_offsets": [0, 1000000]}}).encode()
with open("model.safetensors", "wb+") as f:
    f.write(struct.pack("<Q", len(header)) + header)
    f.truncate(8 + len(header) + 1000000)
    f.flush()
    with mmap.mmap(f.fileno(), 0) as m:
        m[-1000000:] = bytes(range(250)) * 4000
        m.flush()
with zipfile.ZipFile("model.pt") as z: assert z.testzip() is None and pickle.loads(z.read("archive/data.pkl"))["weight"][999] == 999
'`, nil},
		{"git", []string{"git"}, `git init -q -b main "$SRC.git"; cp "$SRC/a.txt" "$SRC.git/"; git -C "$SRC.git" add .; git -C "$SRC.git" commit -qm one
			git clone -q "$SRC.git" work; cd work; echo more >> a.txt; echo new > new.txt; git add .; git commit -qm two; git fsck --strict
			test "$(git log --oneline | wc -l)" = 2; git gc -q; git status --porcelain | grep . && exit 9; true`, []string{"work/.git"}},
	} {
		t.Run(tool.name, func(t *testing.T) {
			need(t, tool.needs...)
			u := newUser(t)
			dir := u.mount(repoID, "--every", "0")
			work := filepath.Join(dir, "work")
			if err := os.Mkdir(work, 0o755); err != nil {
				t.Fatal(err)
			}
			src := sample(t)
			cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", tool.script)
			cmd.Dir = work
			cmd.Env = append(os.Environ(), "SRC="+src, "HOME="+u.home, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b.c", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b.c")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			// The same on a local disk, where that is the same each time.
			if tool.name != "sqlite3" && tool.name != "git" {
				local := t.TempDir()
				src := sample(t)
				cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", strings.ReplaceAll(tool.script, "&& exit", "&& rm -f hard soft; true"))
				cmd.Dir, cmd.Env = local, append(os.Environ(), "SRC="+src, "HOME="+u.home)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("locally: %v: %s", err, out)
				}
				sameFiles(t, "in the mount", readTree(t, work), readTree(t, local))
			}
			u.hubfs("flush", dir)
			want := readTree(t, work)
			for p := range want {
				if slices.ContainsFunc(tool.local, func(l string) bool { return p == l || strings.HasPrefix(p, l+"/") }) {
					delete(want, p)
				}
			}
			sameFiles(t, "on the Hub", u.onHub("work"), want)
			// And after a remount, when all comes from the Hub but what is local.
			before := readTree(t, work)
			u.umount(dir)
			u.hubfs("mount", repoID, dir)
			sameFiles(t, "after a remount", readTree(t, work), before)
		})
	}
}

// A writer of events goes on for longer than one commit takes: each commit that the timer makes meanwhile has
// what was there at some instant, no byte of it another.
func TestEventWriter(t *testing.T) {
	const rounds = 4
	u := newUser(t)
	dir := u.mount(repoID, "--every", "0.005", "--max-commits-per-hour", "1000000")
	const name = "events.out.tfevents.1700000000.host"
	if err := os.Mkdir(filepath.Join(dir, "runs"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "runs", name))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(9, 9))
	var all string
	for round := range rounds {
		for range 50 {
			event := record(rng, rng.IntN(500))
			if _, err := f.WriteString(event); err != nil {
				t.Fatal(err)
			}
			all += event
		}
		end := time.Now().Add(time.Minute)
		for got := ""; got != all; got = u.onHub("")["runs/"+name] {
			if !strings.HasPrefix(all, got) {
				t.Fatalf("round %d: a commit has %d bytes that nobody wrote so", round, len(got))
			}
			if time.Now().After(end) {
				t.Fatalf("round %d: %d of %d bytes were committed while the file was open", round, len(got), len(all))
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	u.hubfs("flush", dir)
	if got := u.onHub("")["runs/"+name]; got != all {
		t.Errorf("the Hub has %d bytes of %d", len(got), len(all))
	}
}

// need ends a test that can't be made without programs.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is missing; install it with: apt-get install %s", p, p)
		}
	}
}

// sample is a tree of a few files of several kinds.
func sample(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "src")
	rng := rand.New(rand.NewPCG(5, 5))
	big := make([]byte, 3<<20)
	for i := range big {
		big[i] = byte(rng.Uint32())
	}
	for name, content := range map[string]string{
		"a.txt": "line one\nline two\nline three\n", "run.sh": "#!/bin/sh\n", "empty": "", "dir/b.txt": strings.Repeat("deep line\n", 10_000),
		"dir/with space/ü.txt": "odd\n", "big.bin": string(big),
	} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// readTree is what the files of a tree hold.
func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(p)
		out[rel] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameFiles(t *testing.T, where string, got, want map[string]string) {
	t.Helper()
	var wrong bytes.Buffer
	for p, content := range want {
		if g, ok := got[p]; !ok {
			fmt.Fprintf(&wrong, "\n%s is missing", p)
		} else if g != content {
			fmt.Fprintf(&wrong, "\n%s has %d bytes, not the right %d", p, len(g), len(content))
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			fmt.Fprintf(&wrong, "\n%s is too much", p)
		}
	}
	if wrong.Len() > 0 {
		t.Errorf("%s:%s", where, wrong.String())
	}
}
