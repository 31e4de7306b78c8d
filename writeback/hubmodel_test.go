package writeback

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/localhub"
)

// hubModel is random work on a branch with others at work on the Hub. It has no model of
// what a conflict comes to, but of what may not get lost: each content is unique, and
// one that was saved and neither overwritten nor removed here is on the Hub after a flush. One of
// others stays there until they replace it, or somebody here does who was shown it.
type hubModel struct {
	*rapid.T
	r     *commitRig
	n     int
	saved map[string]bool // contents of ours
	their map[string]bool // contents of others, by now
	lost  map[localhub.Fault]float64
	held  map[string]*File // open for editing, by the path at which they were opened
}

func newHubModel(t *rapid.T, r *commitRig) *hubModel {
	return &hubModel{T: t, r: r, saved: make(map[string]bool), their: make(map[string]bool), held: make(map[string]*File),
		lost: map[localhub.Fault]float64{localhub.FaultLanded500: 0.3, localhub.FaultLostAnswer: 0.3}}
}

func (m *hubModel) content(path string) string {
	m.n++
	return fmt.Sprintf("%d of %s, long enough to be edited at many places", m.n, path)
}

func (m *hubModel) path(label string) string {
	return rapid.SampledFrom([]string{"a", "b.bin", "d/a", "d/b.bin", "d/e/a", "x"}).Draw(m.T, label)
}

func (m *hubModel) ok(what string, err error, also ...syscall.Errno) {
	m.Helper()
	if err == nil || slices.ContainsFunc(also, func(no syscall.Errno) bool { return isErrno(err, no) }) {
		return
	}
	m.Fatalf("%s: %v", what, err)
}

// forget notes that what a path shows now is about to be replaced by its owner.
func (m *hubModel) forget(path string) {
	if content, err := m.r.tryRead(path); err == nil {
		delete(m.saved, content)
		delete(m.their, content)
	}
	if e, err := m.r.Lookup(context.Background(), path); err == nil && e.Base != nil {
		for content := range m.their { // who has it open may have another
			if sum := sha256.Sum256([]byte(content)); e.Base.Hash() == gitOID(content).String() || e.Base.Hash() == hex.EncodeToString(sum[:]) {
				delete(m.their, content)
			}
		}
	}
}

func (m *hubModel) write() {
	path := m.path("path")
	for dir, _ := split(path); dir != ""; dir, _ = split(dir) {
		if parent, _ := split(dir); parent != "" {
			m.ok("mkdir", m.r.Mkdir(context.Background(), parent), syscall.EEXIST, syscall.ENOTDIR)
		}
		m.ok("mkdir", m.r.Mkdir(context.Background(), dir), syscall.EEXIST, syscall.ENOTDIR)
	}
	if e, err := m.r.Lookup(context.Background(), path); err == nil && e.Dir {
		return
	}
	m.forget(path)
	content := m.content(path)
	err := m.r.tryWrite(path, content)
	m.ok("write", err, syscall.ENOTDIR)
	if err == nil {
		m.saved[content] = true
	}
}

// edit writes a few bytes into a file that stays open for more.
func (m *hubModel) edit() {
	path := m.path("path")
	f := m.held[path]
	if f == nil {
		var err error
		if f, err = m.r.OpenFile(context.Background(), path, os.O_RDWR, 0); err != nil {
			return // it isn't there, or is a folder
		}
		m.held[path] = f
	}
	if e, err := m.r.Lookup(context.Background(), path); err != nil || e.ID != f.Stat().ID {
		m.ok("release", f.Release()) // it has another name now, or none
		delete(m.held, path)
		return
	}
	before, err := readAll(f)
	m.ok("read", err)
	m.n++
	text, off := fmt.Sprintf("<%d>", m.n), rapid.IntRange(0, 50).Draw(m.T, "off")
	_, err = f.WriteAt([]byte(text), int64(off))
	m.ok("edit", err)
	m.ok("flush", f.Flush())
	after, err := readAll(f)
	m.ok("read", err)
	want := before + string(make([]byte, max(0, off+len(text)-len(before))))
	if want = want[:off] + text + want[off+len(text):]; after != want {
		m.Fatalf("%s holds %q after an edit, want %q", path, after, want)
	}
	delete(m.saved, before)
	delete(m.their, before)
	m.saved[after] = true
}

func (m *hubModel) closeHeld() {
	for path, f := range m.held {
		m.ok("release", f.Release())
		delete(m.held, path)
	}
}

// crash is the death of the process and another start.
func (m *hubModel) crash() {
	clear(m.held)
	before := m.r.walk(m)
	m.r.stop()
	_ = m.r.group.Wait()
	m.ok("crash", errors.Join(m.r.journal.f.Close(), m.r.index.close(), m.r.lock.Unlock()))
	m.mount()
	if after := m.r.walk(m); !maps.Equal(before, after) {
		for content := range m.saved {
			found := false
			for _, c := range after {
				found = found || c == content
			}
			if !found && slices.Contains(slices.Collect(maps.Values(before)), content) {
				m.Fatalf("%q was saved and is gone after a crash; it was\n%q and is\n%q", content, before, after)
			}
		}
	}
}

func (m *hubModel) unlink() {
	path := m.path("path")
	m.forget(path)
	m.ok("unlink", m.r.Unlink(context.Background(), path), syscall.ENOENT, syscall.EISDIR, syscall.ENOTDIR)
}

func (m *hubModel) rename() {
	from, to := m.path("from"), m.path("to")
	ctx := context.Background()
	if e, err := m.r.Lookup(ctx, from); err != nil || from == to {
		return
	} else if over, err := m.r.Lookup(ctx, to); err == nil && !over.Dir && !e.Dir {
		m.forget(to)
	}
	m.ok("rename", m.r.Rename(ctx, from, to, false), syscall.ENOENT, syscall.EISDIR, syscall.ENOTDIR, syscall.ENOTEMPTY, syscall.EINVAL)
}

func (m *hubModel) renameFolder() {
	to := rapid.SampledFrom([]string{"d/f", "y", "d"}).Draw(m.T, "to")
	from := rapid.SampledFrom([]string{"d", "d/e", "y"}).Draw(m.T, "from")
	m.ok("rename", m.r.Rename(context.Background(), from, to, false), syscall.ENOENT, syscall.ENOTDIR, syscall.ENOTEMPTY, syscall.EINVAL)
}

// others is somebody else's commit.
func (m *hubModel) others() {
	path := m.path("path")
	content := "theirs " + m.content(path)
	op := addOp(path, content)
	if rapid.Bool().Draw(m.T, "delete") {
		op = localhub.Operation{Kind: localhub.OpDelete, Path: path}
	}
	var before strings.Builder
	_, _ = m.r.client.Download(context.Background(), hub.FileRef{Repo: m.r.repo, Revision: "main", Path: path}, &before) // there may be none
	_, err := m.r.server.Hub.Commit("model", m.r.repo.ID, "main", localhub.CommitInput{Author: "bob", Title: "by others", Operations: []localhub.Operation{op}})
	if err != nil {
		return // there may be a folder, or nothing to delete
	}
	delete(m.their, before.String())
	if op.Kind == localhub.OpAdd {
		m.their[content] = true
	}
}

func (m *hubModel) poll() {
	asked := time.Now()
	tree, err := m.r.openTree(context.Background(), "main", "")
	m.ok("poll", err)
	m.ok("poll", m.r.SetTree(context.Background(), tree, asked))
}

func (m *hubModel) remount() {
	m.closeHeld()
	m.ok("close", m.r.Close())
	m.mount()
}

func (m *hubModel) mount() {
	tree, err := m.r.openTree(context.Background(), "main", "")
	m.ok("remount", err)
	m.r.opts.Tree = tree
	m.r.Branch, err = Open(context.Background(), Key{m.r.client.Endpoint(), "alice", m.r.repo, "main"}, m.r.opts)
	m.ok("remount", err)
	if rec := m.r.Recovered(); len(rec.Torn)+len(rec.Lost)+rec.Damaged > 0 {
		m.Fatalf("after a remount: %+v", rec)
	}
}

// flush has everything committed, or all that can be while files are open.
func (m *hubModel) flush(partly bool) {
	if !partly {
		m.closeHeld()
	}
	if rapid.IntRange(0, 3).Draw(m.T, "bad network") == 0 {
		m.r.server.Hub.SetNetwork(localhub.Network{Seed: int64(m.n), Faults: m.lost})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	res, err := m.r.Flush(ctx, "")
	m.ok("flush", err)
	m.r.server.Hub.SetNetwork(localhub.Network{})
	if len(res.Failed) > 0 {
		m.Fatalf("flush: %+v", res)
	}
	m.poll()
	m.compare(partly)
}

// compare checks that the Hub has what is shown here, and that nothing was lost.
func (m *hubModel) compare(partly bool) {
	onHub := make(map[string]string)
	for e, err := range m.r.client.Tree(context.Background(), m.r.repo, "main", "", &hub.TreeOptions{Recursive: true}) {
		m.ok("tree", err)
		if e.Type != hub.TypeFile || e.Path == ".gitattributes" {
			continue
		}
		var buf strings.Builder
		_, err := m.r.client.Download(context.Background(), hub.FileRef{Repo: m.r.repo, Revision: "main", Path: e.Path}, &buf)
		m.ok("download", err)
		onHub[e.Path] = buf.String()
	}
	if !partly {
		view := m.r.walk(m)
		maps.DeleteFunc(view, func(path, _ string) bool { return strings.HasSuffix(path, "/") || path == ".gitattributes" })
		if !maps.Equal(view, onHub) {
			m.Fatalf("shown\n%q\nthe Hub has\n%q\nchanges %+v", view, onHub, m.r.Changes())
		}
	}
	for content := range m.their {
		if !slices.Contains(slices.Collect(maps.Values(onHub)), content) {
			m.Fatalf("%q of others was undone; the Hub has %q", content, onHub)
		}
	}
	for _, content := range onHub {
		delete(m.saved, content) // what others do to it from now on is in the history
	}
	if !partly && len(m.saved) > 0 {
		m.Fatalf("%q was saved and is lost; the Hub has %q", slices.Collect(maps.Keys(m.saved)), onHub)
	}
}

// work is what is done in a mount, and by others.
func (m *hubModel) work() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"write":   func(*rapid.T) { m.write() },
		"write2":  func(*rapid.T) { m.write() },
		"unlink":  func(*rapid.T) { m.unlink() },
		"rename":  func(*rapid.T) { m.rename() },
		"renameF": func(*rapid.T) { m.renameFolder() },
		"others":  func(*rapid.T) { m.others() },
		"edit":    func(*rapid.T) { m.edit() },
		"edit2":   func(*rapid.T) { m.edit() },
		"compact": func(*rapid.T) { m.ok("compact", m.r.compact()) },
	}
}

func TestModelWithHub(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "0"}, nil)
	round := 0
	checks(t, hubModelChecks, func(rt *rapid.T) {
		round++
		r.repo = hub.Repo{Type: hub.Model, ID: fmt.Sprintf("alice/model-%d", round)}
		must(t, r.server.Hub.CreateRepo("model", r.repo.ID, localhub.RepoOptions{}))
		r.server.Hub.SetNetwork(localhub.Network{})
		m := newHubModel(rt, r)
		m.remount()
		actions := m.work()
		actions["poll"] = func(*rapid.T) { m.poll() }
		actions["remount"] = func(*rapid.T) { m.remount() }
		actions["flush"] = func(*rapid.T) { m.flush(rapid.Bool().Draw(m.T, "while files are open")) }
		actions["crash"] = func(*rapid.T) { m.crash() }
		rt.Repeat(actions)
		m.flush(false)
	})
}

// excuse forgets contents of ours that were on the Hub, and that others have removed from there.
func (m *hubModel) excuse() {
	var commits []hub.Commit
	for c, err := range m.r.client.Commits(context.Background(), m.r.repo, "main", nil) {
		m.ok("history", err)
		commits = append(commits, c)
	}
	var before map[string]bool
	for _, c := range slices.Backward(commits) {
		now := make(map[string]bool)
		for e, err := range m.r.client.Tree(context.Background(), m.r.repo, c.ID, "", &hub.TreeOptions{Recursive: true}) {
			m.ok("tree", err)
			now[e.OID] = true
			if e.LFS != nil {
				now[e.LFS.SHA256] = true
			}
		}
		for content := range m.saved {
			oid, sum := gitOID(content).String(), sha256.Sum256([]byte(content))
			for _, hash := range []string{oid, hex.EncodeToString(sum[:])} {
				if c.Title == "by others" && before[hash] && !now[hash] {
					delete(m.saved, content)
				}
			}
		}
		before = now
	}
}

// TestModelWhileCommitted does the same work while commits are made all the time.
func TestModelWhileCommitted(t *testing.T) {
	r := newCommitRig(t, map[string]string{"a": "0"}, nil)
	round := 0
	checks(t, hubModelChecks, func(rt *rapid.T) {
		round++
		r.repo = hub.Repo{Type: hub.Model, ID: fmt.Sprintf("alice/busy-%d", round)}
		must(t, r.server.Hub.CreateRepo("model", r.repo.ID, localhub.RepoOptions{}))
		m := newHubModel(rt, r)
		m.remount()
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func(b *Branch) {
			defer close(ended)
			for ctx.Err() == nil {
				if res, err := b.Flush(ctx, ""); ctx.Err() == nil && (err != nil || len(res.Failed) > 0) {
					t.Errorf("flush: %+v, %v", res, err)
					return
				}
			}
		}(r.Branch)
		actions := m.work()
		actions["network"] = func(*rapid.T) {
			var network localhub.Network
			if rapid.Bool().Draw(m.T, "bad") {
				network = localhub.Network{Seed: int64(m.n), Faults: m.lost}
			}
			r.server.Hub.SetNetwork(network)
		}
		rt.Repeat(actions)
		cancel()
		<-ended
		m.r.server.Hub.SetNetwork(localhub.Network{})
		clear(m.their) // it may have been shown between two looks
		res, err := r.Flush(context.Background(), "")
		if err != nil || len(res.Failed) > 0 {
			rt.Fatalf("flush: %+v, %v", res, err)
		}
		m.excuse()
		m.flush(false)
	})
}
