package writeback

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// How much is done; the soak build does more.
var (
	killRounds     = 30        // how often processes are killed
	modelChecks    = 200       // runs of TestModel
	hubModelChecks = 14        // runs of TestModelWithHub
	ambiguousTries = 12        // commits of TestNoCommitIsDoubled for each kind of answer
	modelSeed      = uint64(1) // of random work; 0 is another one each time
)

const victimEnv = "HUBFS_TEST_VICTIM" // "dir seed step": what the killed process is to do

func TestMain(m *testing.M) {
	flushWait = 50 * time.Millisecond
	if v := os.Getenv(victimEnv); v != "" {
		if rest, ok := strings.CutPrefix(v, "commit "); ok {
			committingVictim(rest)
			return
		}
		victim(v)
		return
	}
	// Flags of the command line come later, and count.
	if f := flag.Lookup("rapid.seed"); modelSeed != 0 && f.Value.String() == "0" {
		_ = f.Value.Set(strconv.FormatUint(modelSeed, 10))
	}
	os.Exit(m.Run())
}

// checks runs a property so many times, unless the command line says how often.
func checks(t *testing.T, n int, property func(*rapid.T)) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if before := f.Value.String(); before == f.DefValue {
		_ = f.Value.Set(strconv.Itoa(n))
		defer f.Value.Set(before) //nolint:errcheck // it was its value
	}
	rapid.Check(t, property)
}

// killDisk is a real disk that kills the process at its n-th change.
type killDisk struct {
	osDisk
	left *atomic.Int64
}

func (d killDisk) step() {
	if d.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // it comes at once
	}
}

func (d killDisk) Open(step, name string, create bool) (diskFile, error) {
	if create {
		d.step()
	}
	f, err := d.osDisk.Open(step, name, create)
	if err != nil {
		return nil, err
	}
	return killFile{f, d}, nil
}

func (d killDisk) Rename(step, from, to string) error {
	d.step()
	return d.osDisk.Rename(step, from, to)
}

func (d killDisk) Remove(step, name string) error {
	d.step()
	return d.osDisk.Remove(step, name)
}

type killFile struct {
	diskFile
	d killDisk
}

// WriteAt may be killed half-way.
func (f killFile) WriteAt(step string, p []byte, off int64) (int, error) {
	if f.d.left.Load() == 1 && len(p) > 1 {
		_, _ = f.diskFile.WriteAt(step, p[:len(p)/2], off)
	}
	f.d.step()
	return f.diskFile.WriteAt(step, p, off)
}

func (f killFile) Truncate(step string, size int64) error {
	f.d.step()
	return f.diskFile.Truncate(step, size)
}

func (f killFile) Sync(step string) error {
	f.d.step()
	return f.diskFile.Sync(step)
}

// victimOp is one operation of the load, decided by the seed alone.
type victimOp struct {
	kind, path, to string
	size           int
	off            int
}

func victimOps(seed uint64) func() victimOp {
	r := rand.New(rand.NewPCG(seed, 7))
	return func() victimOp {
		kinds := []string{"write", "write", "write", "edit", "edit", "unlink", "rename", "mkdir", "rmdir"}
		return victimOp{kinds[r.IntN(len(kinds))], modelPaths[r.IntN(len(modelPaths))], modelPaths[r.IntN(len(modelPaths))], r.IntN(3000), r.IntN(200)}
	}
}

func (op victimOp) content(n int) string {
	return strings.Repeat(fmt.Sprintf("%d:%s ", n, op.path), 1+op.size/8)
}

// do is the operation on a branch.
func (op victimOp) do(b *Branch, n int) error {
	ctx := context.Background()
	switch op.kind {
	case "unlink":
		return b.Unlink(ctx, op.path)
	case "mkdir":
		return b.Mkdir(ctx, op.path)
	case "rmdir":
		return b.Rmdir(ctx, op.path)
	case "rename":
		return b.Rename(ctx, op.path, op.to, false)
	}
	flag, off := os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0
	if op.kind == "edit" {
		flag, off = os.O_RDWR|os.O_CREATE, op.off
	}
	f, err := b.OpenFile(ctx, op.path, flag, 0o644)
	if err != nil {
		return err
	}
	for _, part := range []string{op.content(n), "!"} {
		var k int
		if k, err = f.WriteAt([]byte(part), int64(off)); err != nil {
			break
		}
		off += k
	}
	if err == nil && op.size%5 == 0 {
		err = f.Fsync()
	}
	return errors.Join(err, f.Flush(), f.Release())
}

// model does the operation on the model, and says whether it could be done.
func (op victimOp) model(m *model, n int) (ok bool) {
	switch op.kind {
	case "unlink":
		return m.unlink(op.path) == 0
	case "mkdir":
		return m.mkdir(op.path) == 0
	case "rmdir":
		return m.rmdir(op.path) == 0
	case "rename":
		return m.rename(op.path, op.to) == 0
	default:
		if !m.parentOK(op.path) || m.dirs[op.path] {
			return false
		}
		f := m.files[op.path]
		if f == nil {
			f = &modelFile{}
			m.files[op.path] = f
		}
		content := op.content(n) + "!"
		if op.kind == "edit" {
			c := f.content + string(make([]byte, max(0, op.off-len(f.content))))
			content = c[:op.off] + content + c[min(len(c), op.off+len(content)):]
		}
		f.content = content
		return true
	}
}

func victimRig() (*hubTree, *hubBlobs) {
	blobs := &hubBlobs{content: make(map[string]string)}
	for _, content := range modelBase {
		blobs.content[gitOID(content).String()] = content
	}
	return &hubTree{"c1", modelBase}, blobs
}

// victim works until it is killed, and says on its output how far it is.
func victim(arg string) {
	var dir string
	var seed uint64
	var first, step int
	if _, err := fmt.Sscanf(arg, "%s %d %d %d", &dir, &seed, &first, &step); err != nil {
		panic(err)
	}
	left := &atomic.Int64{}
	left.Store(int64(step))
	tree, blobs := victimRig()
	b, err := openDisk(context.Background(), killDisk{osDisk{dir}, left}, bootID(), nil, testKey, Options{Tree: tree, Blob: blobs.open, Logger: discardLog})
	if err != nil {
		panic(err)
	}
	next := victimOps(seed)
	for n := range 400 {
		op := next()
		if n < first {
			continue // an earlier process has done it
		}
		fmt.Println("begin", n)
		err := op.do(b, n)
		fmt.Println("end", n, err)
		if n%40 == 20 {
			_ = b.compact()
		}
	}
	fmt.Println("closed", b.Close())
}

// TestKill kills processes in the middle of their work, at every kind of step and at
// any time, and starts another on what they have left.
func TestKill(t *testing.T) {
	const perDir = 10
	for i := range (killRounds + perDir - 1) / perDir {
		t.Run(strconv.Itoa(i), func(t *testing.T) { killRun(t, uint64(i), perDir) })
	}
}

func killRun(t *testing.T, seed uint64, kills int) {
	dir := t.TempDir()
	luck := rand.New(rand.NewPCG(seed, 99))
	next := victimOps(seed)
	m := newModel()
	done := 0
	for range kills {
		step, after := 1+luck.IntN(120), time.Duration(0)
		if luck.IntN(4) == 0 {
			step, after = -1, time.Duration(20+luck.IntN(60))*time.Millisecond
		}
		end := runVictim(t, fmt.Sprintf("%s %d %d %d", dir, seed, done, step), after)
		end.replay(t, m, next, &done)
		candidates := []*model{m.clone()}
		inFlight := ""
		if end.begun > end.ended {
			op := next()
			after := m.clone()
			op.model(after, done)
			candidates = append(candidates, after)
			if op.kind == "write" || op.kind == "edit" {
				inFlight = op.path
			}
			done++
		}
		m = checkVictim(t, dir, candidates, inFlight)
		if m == nil {
			return
		}
	}
}

func newModel() *model {
	m := &model{files: make(map[string]*modelFile), dirs: make(map[string]bool)}
	for path, content := range modelBase {
		m.files[path] = &modelFile{content: content}
		for dir, _ := split(path); dir != ""; dir, _ = split(dir) {
			m.dirs[dir] = true
		}
	}
	return m
}

type victimEnd struct {
	begun, ended int
	said         map[int]string // what came of each operation: an error, or "<nil>"
}

// replay does on the model what a process has done, and compares whether it could.
func (end *victimEnd) replay(t *testing.T, m *model, next func() victimOp, done *int) {
	t.Helper()
	for ; *done <= end.ended; *done++ {
		op := next()
		if ok := op.model(m, *done); ok != (end.said[*done] == "<nil>") {
			t.Errorf("operation %d %+v: %s, and the model says %v", *done, op, end.said[*done], ok)
		}
	}
}

// runVictim runs a process until it is dead; after a while if it doesn't do that itself.
func runVictim(t *testing.T, arg string, after time.Duration) victimEnd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+arg)
	out, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	if after > 0 {
		timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
	}
	end := victimEnd{-1, -1, make(map[int]string)}
	in := bufio.NewReader(out)
	for {
		text, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		word, number, _ := strings.Cut(strings.TrimSpace(text), " ")
		number, said, _ := strings.Cut(number, " ")
		n, _ := strconv.Atoi(number)
		switch word {
		case "begin":
			end.begun = n
		case "end":
			end.ended = n
			end.said[n] = said
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Exited()) {
		t.Fatalf("the process ended by itself: %v", err)
	}
	return end
}

// checkVictim compares what a dead process has left with what it may have, and gives the
// model of it.
func checkVictim(t *testing.T, dir string, candidates []*model, inFlight string) *model {
	t.Helper()
	tree, blobs := victimRig()
	r := &rig{tree: tree, blobs: blobs}
	b, err := openDisk(t.Context(), osDisk{dir}, bootID(), nil, testKey, Options{Tree: tree, Blob: blobs.open, Logger: discardLog})
	must(t, err)
	r.Branch = b
	defer b.Close()
	got := r.walk(t)
	rec := r.Recovered()
	if rec.Damaged > 0 || len(rec.Lost) > 0 || len(rec.Aside) > 0 {
		t.Errorf("recovered %+v", rec)
	}
	for _, path := range rec.Torn {
		if path != inFlight && !wasTorn(candidates, path) {
			t.Errorf("%s is torn, and nobody was writing to it", path)
		}
	}
	var why []string
	for _, m := range candidates {
		want := m.view()
		if slices.Contains(rec.Torn, inFlight) {
			delete(want, inFlight)
			delete(got, inFlight)
		}
		if maps.Equal(got, want) {
			found := m.clone()
			for _, path := range rec.Torn {
				content := r.read(t, path)
				found.files[path] = &modelFile{content: content, dirty: true}
			}
			return found
		}
		for path := range want {
			if got[path] != want[path] {
				why = append(why, fmt.Sprintf("%s: %.60q, want %.60q", path, got[path], want[path]))
			}
		}
		for path := range got {
			if _, ok := want[path]; !ok {
				why = append(why, path+" is there")
			}
		}
	}
	t.Errorf("in flight %q, torn %v:\n%s", inFlight, rec.Torn, strings.Join(why, "\n"))
	return nil
}

// wasTorn says whether a path, maybe under another name, was torn before.
func wasTorn(candidates []*model, path string) bool {
	return slices.ContainsFunc(candidates, func(m *model) bool { return m.files[path] != nil && m.files[path].dirty })
}
