package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hubfs/hubfs/control"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/localhub"
)

// Programs write while the daemon is killed at random instants, again and again,
// on a Hub that loses answers. After each kill every file that was closed is
// whole in the next mount; at the end the Hub has them all, and its history has
// no file that is half written, no commit twice and none that changes nothing.
func TestKills(t *testing.T) {
	u := newUser(t)
	u.srv.Hub.SetNetwork(localhub.Network{Seed: 3, Faults: map[localhub.Fault]float64{"landed-500": 0.03, "lost-answer": 0.03, "status-503": 0.03}})
	seed := uint64(time.Now().UnixNano())
	if !prebuilt {
		seed = 1
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(u.home, "run"))
	client, err := control.NewClient(dir)
	if err != nil {
		t.Fatal(err)
	}
	var workers []*worker
	for i := range 4 {
		workers = append(workers, &worker{t: t, top: dir, dir: fmt.Sprintf("w%d", i), rng: rand.New(rand.NewPCG(seed, uint64(i+1))), want: map[string]string{}})
	}
	stayed := 0
	for i := range kills {
		pid := u.startMount(dir, "--every", "0.005", "--max-delay", "100ms", "--max-commits-per-hour", "1000000")
		for _, w := range workers {
			if err := os.MkdirAll(filepath.Join(dir, w.dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for _, w := range workers {
			wg.Go(func() { w.check(); w.work() })
		}
		life := time.Duration(rng.IntN(400)) * time.Millisecond
		if i%4 == 3 { // in the middle of a push that waits for it, too
			// No command: a fork closes a copy of every descriptor, and what was closed
			// once when the daemon dies counts as closed.
			wg.Go(func() { _, _ = client.Flush(t.Context(), "", 0) })
			life *= 4
		}
		time.Sleep(life)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		u.awaitEnd(pid)
		finish(t, &wg, dir)
		u.umountWithin(dir)
		for _, w := range workers {
			stayed += len(w.want)
		}
		if (i+1)%25 == 0 {
			t.Logf("%d kills", i+1)
		}
		if t.Failed() {
			t.Fatalf("after kill %d", i+1)
		}
	}
	u.srv.Hub.SetNetwork(localhub.Network{})
	u.startMount(dir, "--every", "0")
	for _, w := range workers {
		w.check()
		w.settle()
		w.check()
	}
	u.umountWithin(dir)
	want := map[string]string{}
	for _, w := range workers {
		for p, content := range w.want {
			want[p] = content
		}
	}
	commits, files := checkHistory(t, u.srv.Client(), want)
	t.Logf("%d kills, %d files that were closed before one checked after it, %d commits with %d versions of files", kills, stayed, commits, files)
}

// startMount mounts on dir, which nobody unmounts, and returns the daemon's pid.
func (u *user) startMount(dir string, args ...string) int {
	u.t.Helper()
	cmd, end := u.limited(append(append([]string{"mount", "--json"}, args...), repoID, dir)...)
	defer end()
	out, err := cmd.CombinedOutput()
	if err != nil {
		u.t.Fatalf("mount: %v: %s", err, out)
	}
	var m struct {
		PID      int  `json:"pid"`
		ReadOnly bool `json:"read_only"`
	}
	if err := json.Unmarshal(out, &m); err != nil || m.PID == 0 || m.ReadOnly {
		u.t.Fatalf("mount said %s: %v", out, err)
	}
	return m.PID
}

// patience is how long anything may take that shouldn't take a second.
const patience = 2 * time.Minute

// limited is a command that ends within patience.
func (u *user) limited(args ...string) (*exec.Cmd, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(u.t.Context(), patience)
	plain := u.command(args...)
	cmd := exec.CommandContext(ctx, plain.Path, args...)
	cmd.Env, cmd.WaitDelay = plain.Env, time.Second
	return cmd, cancel
}

// awaitEnd returns when a killed daemon is gone, with all that it had open.
func (u *user) awaitEnd(pid int) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), patience)
	defer cancel()
	if err := control.WaitExit(ctx, pid); err != nil {
		u.t.Errorf("after SIGKILL: %v", err)
	}
}

// finish waits for those who use a dead mount. Nobody helps them before a time that is long enough to tell that
// they hang.
func finish(t *testing.T, wg *sync.WaitGroup, dir string) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		_ = syscall.Unmount(dir, syscall.MNT_FORCE)
		<-done
		t.Error("programs in the mount hung when its daemon was killed")
	}
}

// umountWithin unmounts, within patience, what may have a dead daemon.
func (u *user) umountWithin(dir string) {
	u.t.Helper()
	cmd, end := u.limited("umount", dir)
	defer end()
	if out, err := cmd.CombinedOutput(); err != nil {
		u.t.Fatalf("umount: %v: %s", err, out)
	}
}

// record is a piece of content that tells whether it is whole. It is one line: of a text that is appended to, a
// commit may have the lines that are whole while the rest of them is being written.
func record(rng *rand.Rand, n int) string {
	body := make([]byte, n/2)
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	text := hex.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%s %s\n", hex.EncodeToString(sum[:]), text)
}

// wholeRecords says whether content is records to its end, one at least: who closes a file has written one.
func wholeRecords(content []byte) error {
	if len(content) == 0 {
		return errors.New("there is no record")
	}
	for len(content) > 0 {
		line, rest, ok := bytes.Cut(content, []byte("\n"))
		sum, text, ok2 := bytes.Cut(line, []byte(" "))
		if !ok || !ok2 {
			return fmt.Errorf("%d bytes at the end are no record", len(content))
		}
		if got := sha256.Sum256(text); hex.EncodeToString(got[:]) != string(sum) {
			return fmt.Errorf("a record of %d bytes has other ones, %d bytes before the end", len(line), len(content))
		}
		content = rest
	}
	return nil
}

// worker is a program that writes in a folder of its own, and knows what must be
// there.
type worker struct {
	t    *testing.T
	top  string
	dir  string // relative to top
	rng  *rand.Rand
	want map[string]string // what was closed, by its path relative to top
	// What the kill interrupted: paths that may be as they were or as they were to
	// become, or torn where content was being written.
	unsure map[string][]string // "" is no file
	torn   map[string]bool
}

const noFile = ""

// work does things until the daemon is gone.
func (w *worker) work() {
	if !w.settle() {
		return
	}
	for w.step() == nil {
	}
}

func (w *worker) name() string {
	return filepath.Join(w.dir, fmt.Sprintf("f%02d%s", w.rng.IntN(12), []string{".txt", ".bin"}[w.rng.IntN(2)]))
}

func (w *worker) step() error {
	p := w.name()
	old, exists := w.want[p]
	switch op := w.rng.IntN(10); {
	case op < 4 || !exists:
		content := record(w.rng, w.size(p))
		w.begin(true, p, old, content)
		if err := w.write(p, os.O_TRUNC, content); err != nil {
			return err
		}
		w.done(p, content)
	case op < 6:
		more := record(w.rng, 1+w.rng.IntN(5000))
		w.begin(true, p, old, old+more)
		if err := w.write(p, os.O_APPEND, more); err != nil {
			return err
		}
		w.done(p, old+more)
	case op < 8: // as editors save
		content, temp := record(w.rng, w.size(p)), p+".new"
		w.begin(true, temp, noFile, content)
		if err := w.write(temp, os.O_EXCL, content); err != nil {
			return err
		}
		w.done(temp, content)
		w.begin(false, temp, content, noFile)
		w.unsure[p] = []string{old, content}
		if err := os.Rename(filepath.Join(w.top, temp), filepath.Join(w.top, p)); err != nil {
			return err
		}
		w.done(temp, noFile)
		w.done(p, content)
	default:
		w.begin(false, p, old, noFile)
		if err := os.Remove(filepath.Join(w.top, p)); err != nil {
			return err
		}
		w.done(p, noFile)
	}
	return nil
}

func (w *worker) size(p string) int {
	if strings.HasSuffix(p, ".bin") && w.rng.IntN(8) == 0 {
		return 1 + w.rng.IntN(3<<20)
	}
	return w.rng.IntN(20_000)
}

func (w *worker) begin(torn bool, p, before, after string) {
	w.unsure, w.torn = map[string][]string{p: {before, after}}, map[string]bool{p: torn}
}

func (w *worker) done(p, content string) {
	delete(w.unsure, p)
	if content == noFile {
		delete(w.want, p)
	} else {
		w.want[p] = content
	}
}

// write writes in pieces, and closes: then it counts.
func (w *worker) write(p string, flag int, content string) error {
	f, err := os.OpenFile(filepath.Join(w.top, p), os.O_WRONLY|os.O_CREATE|flag, 0o644)
	if err != nil {
		return err
	}
	for rest := content; rest != "" && err == nil; {
		n := min(len(rest), 1+w.rng.IntN(max(len(content)/2, 1)))
		_, err = f.WriteString(rest[:n])
		rest = rest[n:]
	}
	if err == nil && w.rng.IntN(10) == 0 {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// check compares what is in the mount with what must be.
func (w *worker) check() {
	for p, content := range w.want {
		if w.unsure[p] != nil {
			continue
		}
		got, err := os.ReadFile(filepath.Join(w.top, p))
		if gone(err) || !isMounted(w.top) {
			return // killed meanwhile
		}
		if err != nil || string(got) != content {
			w.t.Errorf("%s was closed with %d bytes and has %d, or others: %v", p, len(content), len(got), err)
		}
	}
	for p, may := range w.unsure {
		got, err := os.ReadFile(filepath.Join(w.top, p))
		if gone(err) || !isMounted(w.top) {
			return
		}
		if errors.Is(err, fs.ErrNotExist) {
			got, err = nil, nil
		}
		if err != nil || !w.torn[p] && string(got) != may[0] && string(got) != may[1] {
			w.t.Errorf("%s, which was being changed, has %d bytes and not %d or %d: %v", p, len(got), len(may[0]), len(may[1]), err)
		}
	}
	if len(w.unsure) > 0 {
		return // its name may be one too much, or too few
	}
	names, err := os.ReadDir(filepath.Join(w.top, w.dir))
	if err != nil {
		return
	}
	for _, n := range names {
		if _, ok := w.want[filepath.Join(w.dir, n.Name())]; !ok {
			w.t.Errorf("%s/%s was removed, and is there", w.dir, n.Name())
		}
	}
}

// settle makes what is unsure sure, by removing it, and says whether it could.
func (w *worker) settle() bool {
	for p := range w.unsure {
		err := os.Remove(filepath.Join(w.top, p))
		if err != nil && !errors.Is(err, fs.ErrNotExist) || !isMounted(w.top) {
			return false
		}
		w.done(p, noFile)
	}
	return true
}

// gone says whether an error is that of a daemon that was killed.
func gone(err error) bool {
	return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.EIO)
}

// checkHistory reads every version of every file from the Hub, and compares the
// last one with what must be there.
func checkHistory(t *testing.T, c *hub.Client, want map[string]string) (commits, versions int) {
	t.Helper()
	repo := hub.Repo{Type: hub.Model, ID: repoID}
	marks, checked := map[string]string{}, map[string]bool{}
	var newer map[string]string
	var list []hub.Commit
	for commit, err := range c.Commits(t.Context(), repo, "main", nil) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, commit)
	}
	for i, commit := range list {
		tree := map[string]string{}
		for e, err := range c.Tree(t.Context(), repo, commit.ID, "", &hub.TreeOptions{Recursive: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Type != hub.TypeFile || !strings.HasPrefix(e.Path, "w") {
				continue
			}
			tree[e.Path] = e.OID
			if checked[e.OID] && i > 0 {
				continue
			}
			checked[e.OID] = true
			content := download(t, c, hub.FileRef{Repo: repo, Revision: commit.ID, Path: e.Path})
			if err := wholeRecords(content); err != nil {
				t.Errorf("%s in commit %s: %v", e.Path, commit.ID, err)
			}
			if i == 0 && string(content) != want[e.Path] {
				t.Errorf("%s on the Hub has %d bytes and not the %d that were closed", e.Path, len(content), len(want[e.Path]))
			}
		}
		if i == 0 {
			for p := range want {
				if tree[p] == "" {
					t.Errorf("%s isn't on the Hub", p)
				}
			}
		} else if sameTree(tree, newer) {
			t.Errorf("commit %s changes nothing", list[i-1].ID)
		}
		newer = tree
		if _, mark, ok := strings.Cut(commit.Message, "Hubfs-Change: "); ok {
			if other := marks[mark]; other != "" {
				t.Errorf("commits %s and %s are one", other, commit.ID)
			}
			marks[mark] = commit.ID
		}
	}
	return len(marks), len(checked)
}

func sameTree(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for p, oid := range a {
		if b[p] != oid {
			return false
		}
	}
	return true
}
