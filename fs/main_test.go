package fs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// A program must not use a mount that it serves itself, so the daemon of every
// test is another process: this test binary, which serves a mount instead of
// running tests when it finds daemonEnv. The test tells it what to do on its
// standard input; when that ends, so does the mount, however the test ended.
const daemonEnv = "HUBFS_FS_TEST_DAEMON"

func TestMain(m *testing.M) {
	if config := os.Getenv(daemonEnv); config != "" {
		os.Exit(daemon(config))
	}
	os.Exit(m.Run())
}

// daemonConfig is what a test asks for.
type daemonConfig struct {
	Dir, Endpoint, Token, CacheDir string
	Source                         string
	Pin, Offline                   bool
	Umask                          uint32
	UID, GID                       *uint32
	Poll                           time.Duration
	Retries                        int
	CacheSize                      int64
	Progress                       time.Duration
	Debug                          bool
	Write                          *WriteOptions
}

// command is what a test tells its daemon, answer what it gets.
type command struct {
	Do, Path, Commit string
	Timeout          time.Duration
}

type answer struct {
	Err    string
	Errno  int
	Status Status
	// Names counts names that the kernel was told to forget.
	Names int64
	// Listings counts directories that were read there, and not from the cache of the kernel.
	Listings int64
	Pollers  int64
	Push     PushResult
	Changes  []Change
	Found    []Recovery
}

func daemon(config string) int {
	var cfg daemonConfig
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	out := json.NewEncoder(os.Stdout)
	m, err := startDaemon(cfg)
	if err != nil {
		return exit(out.Encode(failed(err)))
	}
	if err := out.Encode(answer{}); err != nil {
		return 1
	}
	go func() {
		m.Wait() // unmounted by the test
		if err := m.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close:", err)
			os.Exit(4)
		}
		left := leftovers()
		// What has done its last step may still be on its way out.
		for end := time.Now().Add(20 * time.Second); left != "" && time.Now().Before(end); left = leftovers() {
			time.Sleep(time.Millisecond)
		}
		if left != "" {
			fmt.Fprintln(os.Stderr, "still running after the end:\n"+left)
			os.Exit(3)
		}
		os.Exit(0)
	}()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return 2
		}
		if err := out.Encode(obey(m, c)); err != nil {
			break
		}
	}
	return exit(syscall.Unmount(cfg.Dir, syscall.MNT_DETACH)) // the test is gone
}

// leftovers are the goroutines that the mount has started and not ended.
func leftovers() string {
	buf := make([]byte, 1<<20)
	var left []string
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "created by github.com/hubfs/hubfs/fs.") && !strings.Contains(g, "fs.daemon") {
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}

func exit(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

func startDaemon(cfg daemonConfig) (*Mount, error) {
	level := slog.LevelInfo
	if cfg.Debug {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	client, err := hub.New(hub.Config{
		Endpoint: cfg.Endpoint, Token: hub.StaticToken(cfg.Token), Offline: cfg.Offline, Retries: cfg.Retries,
		ProgressTimeout: cfg.Progress, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	cache, err := blobcache.Open(blobcache.Options{Hub: client, CacheDir: cfg.CacheDir, MaxSize: cfg.CacheSize, Offline: cfg.Offline, Logger: logger})
	if err != nil {
		return nil, err
	}
	src := Source{WholeHub: true}
	if cfg.Source != "" {
		if src, err = ParseSource(cfg.Source); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return New(ctx, cfg.Dir, Options{
		Hub: client, Cache: cache, Source: src, Pin: cfg.Pin, Offline: cfg.Offline, Umask: cfg.Umask,
		UID: cfg.UID, GID: cfg.GID, PollInterval: cfg.Poll, Logger: logger, Debug: cfg.Debug, Write: cfg.Write,
	})
}

func obey(m *Mount, c command) answer {
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	var err error
	var a answer
	switch c.Do {
	case "status":
	case "flush":
		a.Push, err = m.Flush(ctx, c.Path)
	case "changes":
		a.Changes, a.Found = m.Changes(c.Path), m.Recovered()
	case "discard":
		a.Changes, err = m.Discard(ctx, c.Path)
	case "staged":
		err = m.WaitStaged(ctx, c.Path)
	case "refresh":
		err = m.Refresh(ctx)
	case "wait":
		err = m.WaitCommit(ctx, c.Path, c.Commit)
	case "unmount":
		err = m.Unmount()
	default:
		err = errors.New("no such command")
	}
	if err != nil {
		a.Err, a.Errno = err.Error(), int(errno(err))
	}
	a.Status, a.Names, a.Listings, a.Pollers = m.Status(), m.kernel.names.Load(), m.kernel.listings.Load(), m.pollers.Load()
	return a
}

func failed(err error) answer {
	if err == nil {
		return answer{}
	}
	return answer{Err: err.Error(), Errno: int(errno(err))}
}

// mounted is a mount in another process.
type mounted struct {
	t    testing.TB
	cfg  daemonConfig
	cmd  *exec.Cmd
	in   *json.Encoder
	out  *json.Decoder
	log  *logBuffer
	turn sync.Mutex
	over atomic.Bool
}

// logBuffer keeps what a daemon logs, for when its test fails.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// mount mounts a source of the Hub s, "" being the whole, until the test ends.
func mount(t testing.TB, s *hubtest.Server, source string, more ...func(*daemonConfig)) *mounted {
	t.Helper()
	m, err := tryMount(t, s, source, more...)
	if err != nil {
		t.Fatalf("mount %q: %v", source, err)
	}
	return m
}

func tryMount(t testing.TB, s *hubtest.Server, source string, more ...func(*daemonConfig)) (*mounted, error) {
	t.Helper()
	cfg := daemonConfig{
		Endpoint: s.URL, Token: s.Token, Source: source, Poll: time.Hour, Retries: 1, Progress: 20 * time.Second,
	}
	for _, f := range more {
		f(&cfg)
	}
	if cfg.CacheDir == "" {
		cfg.CacheDir = filepath.Join(t.TempDir(), "hub")
	}
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(t.TempDir(), "mnt")
		if err := os.Mkdir(cfg.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return startMount(t, cfg)
}

func startMount(t testing.TB, cfg daemonConfig) (*mounted, error) {
	t.Helper()
	config, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := &mounted{t: t, cfg: cfg, log: new(logBuffer), cmd: exec.Command(os.Args[0])}
	// The race detector would wait a second before each exit.
	m.cmd.Env = append(os.Environ(), daemonEnv+"="+string(config), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	m.cmd.Stderr = m.log
	in, err := m.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.in, m.out = json.NewEncoder(in), json.NewDecoder(out)
	t.Cleanup(m.end)
	var first answer
	if err := m.out.Decode(&first); err != nil {
		t.Fatalf("the daemon died: %v\n%s", err, m.log)
	}
	if first.Err != "" {
		m.over.Store(true)
		if err := m.cmd.Wait(); err != nil {
			t.Errorf("daemon: %v\n%s", err, m.log)
		}
		return nil, mountError{first}
	}
	return m, nil
}

// mountError is an error of New in the daemon.
type mountError struct{ answer }

func (e mountError) Error() string { return e.Err }

// tell asks the daemon to do something.
func (m *mounted) tell(c command) answer {
	m.t.Helper()
	m.turn.Lock()
	defer m.turn.Unlock()
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if err := m.in.Encode(c); err != nil {
		m.t.Fatalf("tell the daemon: %v\n%s", err, m.log)
	}
	var a answer
	if err := m.out.Decode(&a); err != nil {
		m.t.Fatalf("the daemon died: %v\n%s", err, m.log)
	}
	return a
}

func (m *mounted) refresh() {
	m.t.Helper()
	if a := m.tell(command{Do: "refresh"}); a.Err != "" {
		m.t.Fatalf("refresh: %s", a.Err)
	}
}

func (m *mounted) wait(path, commit string) {
	m.t.Helper()
	if a := m.tell(command{Do: "wait", Path: path, Commit: commit}); a.Err != "" {
		m.t.Fatalf("wait for %s: %s\n%s", commit, a.Err, m.log)
	}
}

func (m *mounted) status() Status { m.t.Helper(); return m.tell(command{Do: "status"}).Status }

// unmount unmounts and waits for the daemon, which must end well.
func (m *mounted) unmount() {
	m.t.Helper()
	if m.over.Swap(true) {
		return
	}
	if err := unmountDir(m.cfg.Dir); err != nil {
		m.t.Errorf("unmount: %v; busy: %v", err, busyNow(m.cfg.Dir))
		if err := syscall.Unmount(m.cfg.Dir, syscall.MNT_DETACH|syscall.MNT_FORCE); err != nil {
			m.t.Errorf("unmount by force: %v", err)
		}
	}
	if err := m.waitEnd(); err != nil {
		m.t.Errorf("daemon: %v\n%s", err, m.log)
	}
}

func busyNow(dir string) []Process {
	p, _ := Busy(dir)
	return p
}

// unmountDir tries for a moment: closing is told to the daemon after close(2).
func unmountDir(dir string) (err error) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if os.Geteuid() == 0 {
			err = syscall.Unmount(dir, 0)
		} else {
			err = exec.Command("fusermount3", "-u", dir).Run()
		}
		if err == nil {
			return nil
		}
	}
	return err
}

func (m *mounted) waitEnd() error {
	done := make(chan error, 1)
	go func() { done <- m.cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(30 * time.Second):
		err := m.cmd.Process.Signal(syscall.SIGQUIT) // to see all goroutines
		return errors.Join(errors.New("the daemon didn't end after the unmount"), err, <-done)
	}
}

// end is what every test ends with.
func (m *mounted) end() {
	m.unmount()
	if m.t.Failed() {
		m.t.Logf("log of the daemon of %s:\n%s", m.cfg.Dir, m.log)
	}
	if mountedNow(m.t, m.cfg.Dir) {
		m.t.Errorf("%s is still mounted", m.cfg.Dir)
	}
}

func mountedNow(t testing.TB, dir string) bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), " "+dir+" ")
}

func (m *mounted) path(elem ...string) string {
	return filepath.Join(append([]string{m.cfg.Dir}, elem...)...)
}

// create makes a repository with files, and gives the commit.
func create(t testing.TB, s *hubtest.Server, typ, id string, files map[string]string) string {
	t.Helper()
	if err := s.Hub.CreateRepo(typ, id, localhub.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	return commit(t, s, typ, id, "main", files)
}

// deleted as a file's content deletes it.
const deleted = "\x00deleted"

// commit changes files on a branch, and gives the new commit.
func commit(t testing.TB, s *hubtest.Server, typ, id, branch string, files map[string]string) string {
	t.Helper()
	in := localhub.CommitInput{Title: "change"}
	var adds []localhub.Operation // a folder can't be where a file still is
	for path, content := range files {
		if content == deleted {
			in.Operations = append(in.Operations, localhub.Operation{Kind: localhub.OpDelete, Path: path})
			continue
		}
		adds = append(adds, localhub.Operation{Kind: localhub.OpAdd, Path: path, Content: []byte(content)})
	}
	in.Operations = append(in.Operations, adds...)
	oid, err := s.Hub.Commit(typ, id, branch, in)
	if err != nil {
		t.Fatal(err)
	}
	return oid
}
