package writeback

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// openCommitting opens a branch that commits, on a disk that may kill the process.
func openCommitting(d disk, dir, url, token string) (*Branch, *remote, *blobcache.Cache, error) {
	ctx := context.Background()
	client, err := hub.New(hub.Config{Endpoint: url, Token: hub.StaticToken(token)})
	if err != nil {
		return nil, nil, nil, err
	}
	r := newRemote(client, hub.Repo{Type: hub.Model, ID: "alice/model"})
	cache, err := blobcache.Open(blobcache.Options{Hub: client, CacheDir: filepath.Join(dir, "cache"), Dir: filepath.Join(dir, "own")})
	if err != nil {
		return nil, nil, nil, err
	}
	tree, err := r.openTree(ctx, "main", "")
	if err != nil {
		return nil, nil, nil, err
	}
	b, err := openDisk(ctx, d, bootID(), nil, Key{url, "alice", r.repo, "main"}, Options{
		Tree: tree, Logger: discardLog, Hub: client, OpenTree: r.openTree, RetryPause: 10 * time.Millisecond, MaxCommitsPerHour: 1 << 20,
		Every: 20 * time.Millisecond, MaxDelay: time.Nanosecond,
		Blob: func(f blobcache.File) (Blob, error) { return cache.Open(f) },
		Keep: cache.AddLocal, KeepFile: cache.AddFile,
	})
	return b, r, cache, err
}

// committingVictim is victim with a Hub, a timer and flushes.
func committingVictim(arg string) {
	var dir, url, token string
	var seed uint64
	var first, step int
	if _, err := fmt.Sscanf(arg, "%s %s %s %d %d %d", &dir, &url, &token, &seed, &first, &step); err != nil {
		panic(err)
	}
	left := &atomic.Int64{}
	left.Store(int64(step))
	b, _, _, err := openCommitting(killDisk{osDisk{filepath.Join(dir, "state")}, left}, dir, url, token)
	if err != nil {
		panic(err)
	}
	next := victimOps(seed)
	for n := range 400 {
		op := next()
		if n < first {
			continue
		}
		fmt.Println("begin", n)
		err := op.do(b, n)
		fmt.Println("end", n, err)
		if n%9 == 5 {
			_, _ = b.Flush(context.Background(), "")
		}
	}
	fmt.Println("closed", b.Close())
}

// TestKillWhileCommitting kills processes that write and commit, and wants every file that was
// closed on the Hub, no commit twice, and in no commit a part of a file.
func TestKillWhileCommitting(t *testing.T) {
	const perHub = 10
	for i := range (killRounds + perHub - 1) / perHub {
		t.Run(strconv.Itoa(i), func(t *testing.T) { killCommitRun(t, uint64(1000+i), perHub) })
	}
}

func killCommitRun(t *testing.T, seed uint64, kills int) {
	server := hubtest.New(t)
	must(t, server.Hub.CreateRepo("model", "alice/model", localhub.RepoOptions{}))
	var ops []localhub.Operation
	for path, content := range modelBase {
		ops = append(ops, addOp(path, content))
	}
	_, err := server.Hub.Commit("model", "alice/model", "main", localhub.CommitInput{Author: "bob", Title: "base", Operations: ops})
	must(t, err)

	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "state"), 0o700))
	luck := rand.New(rand.NewPCG(seed, 99))
	next := victimOps(seed)
	m := newModel()
	done := 0
	for range kills {
		step, after := 1+luck.IntN(200), time.Duration(0)
		if luck.IntN(2) == 0 {
			step, after = -1, time.Duration(30+luck.IntN(150))*time.Millisecond
		}
		end := runVictim(t, fmt.Sprintf("commit %s %s %s %d %d %d", dir, server.URL, server.Token, seed, done, step), after)
		end.replay(t, m, next, &done)
		if end.begun <= end.ended {
			continue
		}
		// What was in flight happened or not: make it so that it did.
		op := next()
		b, _, cache, err := openCommitting(osDisk{filepath.Join(dir, "state")}, dir, server.URL, server.Token)
		must(t, err)
		if !wantExcept(t, modelOf(t, b).view(), m.view(), op) {
			t.Logf("seed %d, op %d %+v", seed, done, op)
			must(t, b.Close())
			must(t, cache.Close())
			return
		}
		_ = op.do(b, done)
		if op.kind == "edit" || op.kind == "rename" {
			m = modelOf(t, b) // not to be told from what it was before
		} else {
			op.model(m, done)
		}
		done++
		must(t, b.Close())
		must(t, cache.Close())
	}
	b, r, cache, err := openCommitting(osDisk{filepath.Join(dir, "state")}, dir, server.URL, server.Token)
	must(t, err)
	defer cache.Close()
	defer b.Close()
	for _, c := range b.Changes() { // who was torn is saved again
		if c.State == Failed {
			f, err := b.OpenFile(t.Context(), c.Path, os.O_WRONLY, 0)
			must(t, err)
			must(t, f.Release())
		}
	}
	res, err := b.Flush(t.Context(), "")
	must(t, err)
	if left := b.Changes(); len(res.Failed)+len(left) > 0 {
		t.Errorf("not committed: %+v, %+v", res.Failed, left)
	}
	want := m.view()
	maps.DeleteFunc(want, func(path, _ string) bool { return strings.HasSuffix(path, "/") })
	check := &commitRig{t: t, remote: r}
	check.wantHub(want)
	checkHistory(t, check)
}

// wantExcept compares views but for what an operation may have changed.
func wantExcept(t *testing.T, got, want map[string]string, op victimOp) bool {
	t.Helper()
	for _, v := range []map[string]string{got, want} {
		maps.DeleteFunc(v, func(path, _ string) bool {
			path = strings.TrimSuffix(path, "/")
			return below(path, op.path) || op.kind == "rename" && below(path, op.to)
		})
	}
	ok := true
	for path := range want {
		if content, there := got[path]; !there || content != want[path] {
			t.Errorf("after a kill %s is there: %v, with %.60q, want %.60q", path, there, content, want[path])
			ok = false
		}
	}
	for path := range got {
		if _, there := want[path]; !there {
			t.Errorf("after a kill %s is there", path)
			ok = false
		}
	}
	return ok
}

// modelOf is the model of what a branch shows.
func modelOf(t *testing.T, b *Branch) *model {
	t.Helper()
	m := &model{files: make(map[string]*modelFile), dirs: make(map[string]bool)}
	for path, content := range (&rig{Branch: b}).walk(t) {
		if dir, ok := strings.CutSuffix(path, "/"); ok {
			m.dirs[dir] = true
		} else if path != ".gitattributes" {
			m.files[path] = &modelFile{content: content}
		}
	}
	return m
}

// checkHistory looks at every commit for marks that are there twice, commits that change
// nothing, and contents that no writer has closed a file with.
func checkHistory(t *testing.T, r *commitRig) {
	t.Helper()
	marks := make(map[string]bool)
	last := ""
	for c, err := range r.client.Commits(t.Context(), r.repo, "main", nil) {
		must(t, err)
		_, mark, ok := strings.Cut(c.Message, "Hubfs-Change: ")
		if !ok {
			continue
		}
		if marks[mark] {
			t.Errorf("commit %s is there twice", mark)
		}
		marks[mark] = true
		files := r.onHub(c.ID)
		if all := fmt.Sprint(files); all == last {
			t.Errorf("the commit after %s changes nothing", c.ID)
		} else {
			last = all
		}
		for path, content := range files {
			if modelBase[path] != content && !isBase(content) && !strings.Contains(content, "!") {
				t.Errorf("commit %s has a part of %s: %.80q", c.ID, path, content)
			}
		}
	}
	if len(marks) == 0 {
		t.Error("no commit was made")
	}
}

func isBase(content string) bool {
	for _, b := range modelBase {
		if b == content {
			return true
		}
	}
	return false
}
