package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/localhub"
)

// How often tests do what is random in them.
var lostRounds, killRounds = 30, 20

// victimArgs has what this program is to sync until it is killed, instead of running tests.
const victimArgs = "SYNCER_TEST_VICTIM"

func TestMain(m *testing.M) {
	if args := os.Getenv(victimArgs); args != "" {
		victim(args)
		return
	}
	os.Exit(m.Run())
}

func victim(args string) {
	var url, token, folder, state string
	if _, err := fmt.Sscanf(args, "%s %s %s %s", &url, &token, &folder, &state); err != nil {
		panic(err)
	}
	client, err := hub.New(hub.Config{Endpoint: url, Token: hub.StaticToken(token), Retries: -1})
	if err != nil {
		panic(err)
	}
	s, err := Open(Options{
		Hub: client, Endpoint: url, Folder: folder, Repo: hub.Repo{Type: hub.Model, ID: "alice/logs"}, StateDir: state,
		Every: 5 * time.Millisecond, MaxCommitsPerHour: -1, Logger: slog.New(slog.NewTextHandler(os.Stdout, nil)),
	})
	if err != nil {
		panic(err)
	}
	s.minPause, s.maxPause = time.Millisecond, 20*time.Millisecond
	fmt.Println("running")
	_, _ = s.Run(context.Background(), context.Background())
}

// unreliable is a Hub whose answers to commits can't be relied on.
var unreliable = localhub.Network{Seed: 1, Faults: map[localhub.Fault]float64{
	localhub.FaultLanded500: 0.25, localhub.FaultLostAnswer: 0.25, localhub.FaultStaleHead: 0.25,
}}

// quick is a client that leaves trying again to the Syncer.
func (b *bench) quick() *hub.Client {
	b.Helper()
	c, err := hub.New(hub.Config{Endpoint: b.hub.URL, Token: hub.StaticToken(b.hub.Token), Retries: -1})
	b.ok(err)
	b.Cleanup(c.CloseIdleConnections)
	return c
}

// sound wants no commit of ours to be there twice or to be empty, and every file of every commit to be what
// the folder once had there: a prefix of what a log has now, or one of the contents that were written.
func (b *bench) sound(written map[string]map[string]bool) {
	b.Helper()
	b.marks()
	checked := make(map[string]bool) // path and object
	var newer map[string]string
	for c, err := range b.client.Commits(b.Context(), b.repo, "main", nil) {
		b.ok(err)
		tree := make(map[string]string)
		for e, err := range b.client.Tree(b.Context(), b.repo, c.ID, "", &hub.TreeOptions{Recursive: true}) {
			b.ok(err)
			if e.Type != hub.TypeFile || e.Path == ".gitattributes" {
				continue
			}
			tree[e.Path] = e.OID
			if checked[e.Path+e.OID] {
				continue
			}
			checked[e.Path+e.OID] = true
			content, err := b.at(c.ID, e.Path)
			b.ok(err)
			if strings.HasSuffix(e.Path, ".jsonl") {
				whole, err := os.ReadFile(filepath.Join(b.folder, e.Path))
				b.ok(err)
				if !strings.HasPrefix(string(whole), content) {
					b.Errorf("%s of %s is no prefix of what was written", e.Path, c.ID)
				}
			} else if !written[e.Path][content] {
				b.Errorf("%s of %s was never written: %s", e.Path, c.ID, brief(content))
			}
		}
		if newer != nil && maps.Equal(newer, tree) {
			b.Errorf("the commit on top of %s is empty", c.ID)
		}
		newer = tree
	}
}

// A writer writes to a folder at random, and remembers what it has written.
type writer struct {
	b       *bench
	rng     *rand.Rand
	n       int
	written map[string]map[string]bool
}

func (b *bench) writer(seed uint64) *writer {
	return &writer{b: b, rng: rand.New(rand.NewPCG(seed, 1)), written: make(map[string]map[string]bool)}
}

func (w *writer) step() {
	w.b.Helper()
	w.n++
	switch path := fmt.Sprintf("d%d/f%d", w.rng.IntN(3), w.rng.IntN(5)); w.rng.IntN(5) {
	case 0:
		w.b.appendTo("train.jsonl", fmt.Sprintf("{\"step\": %d}\n", w.n))
	case 1: // large enough to be torn if that were possible; an LFS file
		w.replace(path+".bin", strings.Repeat(fmt.Sprintf("%08d", w.n), 20_000))
	default:
		w.replace(path+".json", fmt.Sprintf("[%d]", w.n))
	}
}

// replace writes a file as programs do that don't want it seen half-way.
func (w *writer) replace(path, content string) {
	w.b.Helper()
	if w.written[path] == nil {
		w.written[path] = make(map[string]bool)
	}
	w.written[path][content] = true
	name := filepath.Join(w.b.folder, path)
	tmp := filepath.Join(filepath.Dir(w.b.folder), "tmp")
	w.b.ok(os.MkdirAll(filepath.Dir(name), 0o755))
	w.b.ok(os.WriteFile(tmp, []byte(content), 0o644))
	w.b.ok(os.Rename(tmp, name))
}

// folderContent is what the folder has.
func (b *bench) folderContent() map[string]string {
	b.Helper()
	files := make(map[string]string)
	b.ok(filepath.WalkDir(b.folder, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(b.folder, name)
		files[rel] = string(data)
		return err
	}))
	return files
}

// TestLostAnswers: with a Hub that answers 500 or nothing after a commit has landed, and whose head is stale,
// no commit is doubled, empty or lost.
func TestLostAnswers(t *testing.T) {
	b := newBench(t)
	r := b.start(func(o *Options) { o.Hub = b.quick() })
	r.flush(0)
	b.hub.Hub.SetNetwork(unreliable)
	w := b.writer(1)
	made := 0
	for range lostRounds {
		for range 1 + w.rng.IntN(4) {
			w.step()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		res, err := r.Flush(ctx)
		cancel()
		b.ok(err)
		made += len(res.Commits)
	}
	b.hub.Hub.SetNetwork(localhub.Network{})
	b.has(b.folderContent())
	if n := len(b.marks()); n != made {
		t.Errorf("%d commits were told of, and %d are there", made, n)
	}
	b.sound(w.written)
}

// TestHubDown: what can't be pushed waits, also across a restart, and is pushed when the Hub is back.
func TestHubDown(t *testing.T) {
	b := newBench(t)
	b.hub.Hub.SetNetwork(localhub.Network{Faults: map[localhub.Fault]float64{localhub.FaultStatus503: 1}})
	b.write("a", "a")
	change := func(o *Options) { o.Hub, o.StopTimeout, o.Every = b.quick(), 20*time.Millisecond, time.Hour }
	r := b.start(change)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if _, err := r.stopped(); err == nil {
		t.Error("the last push can't have succeeded")
	}
	r = b.start(change)
	b.write("b", "b")
	b.hub.Hub.SetNetwork(localhub.Network{})
	for deadline := time.Now().Add(20 * time.Second); len(b.tryContent()) < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", r.Status())
		}
	}
	b.has(map[string]string{"a": "a", "b": "b"})
}

// TestOthersCommit: a branch that others move is followed.
func TestOthersCommit(t *testing.T) {
	b := newBench(t)
	r := b.start(nil)
	r.flush(0)
	m := &meddler{Client: b.client, upload: func() {}}
	_, _ = r.stopped()
	n := 0
	m.commit = func() {
		if n++; n%3 != 0 {
			_, err := b.client.UploadFile(t.Context(), b.repo, "main", fmt.Sprintf("theirs%d", n), hub.BytesContent([]byte("theirs")), nil)
			b.ok(err)
		}
	}
	r = b.start(func(o *Options) { o.Hub = m })
	b.write("ours", "ours")
	r.flush(1)
	b.has(map[string]string{"ours": "ours", "theirs1": "theirs", "theirs2": "theirs"})
}

// TestKill kills the process of a sync at random instants while the folder is written to and the Hub can't
// be relied on.
func TestKill(t *testing.T) {
	b := newBench(t)
	r := b.start(nil)
	r.flush(0) // makes the repository
	_, _ = r.stopped()
	b.hub.Hub.SetNetwork(unreliable)
	w := b.writer(2)
	for range killRounds {
		b.killOnce(w)
	}
	b.hub.Hub.SetNetwork(localhub.Network{})
	landed := len(b.marks())
	b.restartAndCheck(w)
	t.Logf("%d kills, %d steps, %d commits", killRounds, w.n, landed)
	if landed < killRounds/4 {
		t.Error("hardly any commit was made between kills: the test tests nothing")
	}
}

// killOnce runs a process for a moment, while the folder is written to.
func (b *bench) killOnce(w *writer) {
	b.Helper()
	exe, err := os.Executable()
	b.ok(err)
	cmd := exec.Command(exe) //nolint:noctx // it is killed below
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %s", victimArgs, b.hub.URL, b.hub.Token, b.folder, b.state))
	out, err := cmd.StdoutPipe()
	b.ok(err)
	cmd.Stderr = os.Stderr
	b.ok(cmd.Start())
	first := make([]byte, len("running\n"))
	if _, err := io.ReadFull(out, first); err != nil || string(first) != "running\n" {
		b.Fatalf("the process said %q, %v", first, err)
	}
	go io.Copy(io.Discard, out) //nolint:errcheck // it ends with the process
	// At any time, or soon after it has begun to send a commit.
	before, late := b.hub.Hub.Counts().Commit, w.rng.IntN(3) > 0
	end := time.Now().Add(time.Duration(w.rng.IntN(200)) * time.Millisecond)
	if late {
		end = time.Now().Add(10 * time.Second)
	}
	for time.Now().Before(end) && (!late || b.hub.Hub.Counts().Commit == before) {
		w.step()
		time.Sleep(time.Duration(w.rng.IntN(20)) * time.Millisecond)
	}
	time.Sleep(time.Duration(w.rng.IntN(30)) * time.Millisecond)
	b.ok(cmd.Process.Kill())
	_ = cmd.Wait() // it says that it was killed
}

// restartAndCheck wants all to be pushed by the next process, once.
func (b *bench) restartAndCheck(w *writer) {
	b.Helper()
	r := b.start(nil)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	_, err := r.Flush(ctx)
	b.ok(err)
	b.has(b.folderContent())
	b.sound(w.written)
	r.flush(0)
}

// brokenStore is a Hub whose storage of large files is out of order for one of them.
type brokenStore struct {
	*hub.Client
	path string // "" once it is mended
}

func (h *brokenStore) PreuploadLFSFiles(ctx context.Context, repo hub.Repo, revision string, adds []*hub.Add, opts *hub.PreuploadOptions) error {
	for _, a := range adds {
		if a.Path == h.path {
			return &hub.OperationError{Path: a.Path, Err: hub.ErrUnavailable}
		}
	}
	return h.Client.PreuploadLFSFiles(ctx, repo, revision, adds, opts)
}

// TestBrokenUpload: a file whose upload fails for now holds up no other.
func TestBrokenUpload(t *testing.T) {
	b := newBench(t)
	b.write("a.bin", "a")
	b.write("b.bin", "b")
	o := b.options()
	h := &brokenStore{b.client, "a.bin"}
	o.Hub = h
	s, err := Open(o)
	b.ok(err)
	defer s.Close()
	made, err := s.note(s.push(t.Context(), false, false))
	if len(made) != 1 || !errors.Is(err, hub.ErrUnavailable) || s.Status().Failed != 0 || s.Status().Error == "" {
		t.Errorf("%+v, %v", made, err)
	}
	b.has(map[string]string{"b.bin": "b"})
	h.path = ""
	if made, err := s.note(s.push(t.Context(), false, false)); len(made) != 1 || err != nil {
		t.Errorf("%+v, %v", made, err)
	}
	b.has(map[string]string{"a.bin": "a", "b.bin": "b"})
}

// TestPullRequest: a pull request takes pushes as a branch does.
func TestPullRequest(t *testing.T) {
	b := newBench(t)
	_, err := b.client.CreateRepo(t.Context(), b.repo, nil)
	b.ok(err)
	pr, err := b.client.UploadFile(t.Context(), b.repo, "main", "first", hub.BytesContent([]byte("1")), &hub.CommitOptions{CreatePR: true})
	b.ok(err)
	b.write("a", "a")
	b.start(func(o *Options) { o.Revision = pr.PRRevision }).flush(1)
	if got, err := b.at(pr.PRRevision, "a"); err != nil || got != "a" {
		t.Errorf("%q, %v", got, err)
	}
	b.has(map[string]string{})
	o := b.options()
	o.Revision, o.SquashHistory = pr.PRRevision, true
	if _, err := Open(o); err == nil {
		t.Error("the history of a pull request can't be squashed")
	}
}
