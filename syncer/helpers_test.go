package syncer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// A bench is a folder, a Hub and a state of a test's own.
type bench struct {
	*testing.T
	hub    *hubtest.Server
	client *hub.Client
	folder string
	state  string
	repo   hub.Repo
}

func newBench(t *testing.T, opts ...hubtest.Option) *bench {
	t.Helper()
	srv := hubtest.New(t, opts...)
	b := &bench{T: t, hub: srv, client: srv.Client(), folder: filepath.Join(t.TempDir(), "runs"), state: t.TempDir(), repo: hub.Repo{Type: hub.Model, ID: "alice/logs"}}
	b.ok(os.Mkdir(b.folder, 0o755))
	return b
}

func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// options are those of most tests: no clock, so that pushes come when they are asked for.
func (b *bench) options() Options {
	return Options{
		Hub: b.client, Endpoint: b.hub.URL, Folder: b.folder, Repo: b.repo, StateDir: b.state, StopTimeout: 20 * time.Second,
		Logger: slog.New(slog.NewTextHandler(b.Output(), nil)),
	}
}

// A runner is a Syncer that runs.
type runner struct {
	*Syncer
	b    *bench
	stop context.CancelFunc
	end  chan struct{}
	res  Result
	err  error
}

// start runs a Syncer until the test ends, or stopped is called.
func (b *bench) start(change func(*Options)) *runner {
	b.Helper()
	o := b.options()
	if change != nil {
		change(&o)
	}
	s, err := Open(o)
	b.ok(err)
	s.minPause, s.maxPause = 10*time.Millisecond, 100*time.Millisecond
	return b.run(s)
}

func (b *bench) run(s *Syncer) *runner {
	ctx, stop := context.WithCancel(context.Background())
	r := &runner{Syncer: s, b: b, stop: stop, end: make(chan struct{})}
	go func() {
		defer close(r.end)
		r.res, r.err = s.Run(ctx, context.Background())
	}()
	b.Cleanup(func() { _, _ = r.stopped() })
	return r
}

// stopped ends the Syncer and gives its last push.
func (r *runner) stopped() (Result, error) {
	r.stop()
	<-r.end
	if err := r.Close(); err != nil && !strings.Contains(err.Error(), "not open") {
		r.b.Error(err)
	}
	return r.res, r.err
}

// flush pushes, and wants so many commits.
func (r *runner) flush(commits int) Result {
	r.b.Helper()
	ctx, cancel := context.WithTimeout(r.b.Context(), time.Minute)
	defer cancel()
	res, err := r.Flush(ctx)
	r.b.ok(err)
	if len(res.Commits) != commits {
		r.b.Fatalf("%d commits, not %d: %+v", len(res.Commits), commits, res)
	}
	return res
}

func (b *bench) write(path, content string) {
	b.Helper()
	name := filepath.Join(b.folder, path)
	b.ok(os.MkdirAll(filepath.Dir(name), 0o755))
	b.ok(os.WriteFile(name, []byte(content), 0o644))
}

func (b *bench) appendTo(path, content string) {
	b.Helper()
	f, err := os.OpenFile(filepath.Join(b.folder, path), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	b.ok(err)
	_, err = f.WriteString(content)
	b.ok(errors.Join(err, f.Close()))
}

// age makes a file look as if nobody had written to it for a minute.
func (b *bench) age(path string) {
	b.Helper()
	old := time.Now().Add(-time.Minute)
	b.ok(os.Chtimes(filepath.Join(b.folder, path), old, old))
}

// content is all files of the repository but .gitattributes.
func (b *bench) content() map[string]string {
	b.Helper()
	files := make(map[string]string)
	for e, err := range b.client.Tree(b.Context(), b.repo, "main", "", &hub.TreeOptions{Recursive: true}) {
		b.ok(err)
		if e.Type != hub.TypeFile || e.Path == ".gitattributes" {
			continue
		}
		var buf bytes.Buffer
		_, err := b.client.Download(b.Context(), hub.FileRef{Repo: b.repo, Path: e.Path}, &buf)
		b.ok(err)
		files[e.Path] = buf.String()
	}
	return files
}

// has wants the repository to have these files and no other.
func (b *bench) has(want map[string]string) {
	b.Helper()
	got := b.content()
	for _, path := range slices.Sorted(maps.Keys(got)) {
		if w, ok := want[path]; !ok || w != got[path] {
			b.Errorf("%s has %s, not %s", path, brief(got[path]), brief(w))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if _, ok := got[path]; !ok {
			b.Errorf("%s is missing", path)
		}
	}
}

func brief(s string) string {
	if len(s) > 60 {
		return fmt.Sprintf("%q... (%d bytes)", s[:60], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// marks are the commits of ours in the history, newest first; none may be there twice, or be empty.
func (b *bench) marks() []string {
	b.Helper()
	var marks []string
	for c, err := range b.client.Commits(b.Context(), b.repo, "main", nil) {
		b.ok(err)
		if _, mark, ok := strings.Cut(c.Message, "Hubfs-Change: "); ok {
			if slices.Contains(marks, mark) {
				b.Errorf("the commit %s is there twice", mark)
			}
			marks = append(marks, mark)
		}
	}
	return marks
}

// requests are how many the Hub has had since ResetCounts.
func (b *bench) requests() (n, commits, uploads int) {
	for _, r := range b.hub.Hub.Requests() {
		n++
		switch {
		case r.Class == localhub.ClassCommit:
			commits++
		case r.Method == http.MethodPut:
			uploads++
		}
	}
	return n, commits, uploads
}
