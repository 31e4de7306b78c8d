package localhub_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub/localhub"
)

// crashRoot is the environment variable that makes a test binary the process that
// is killed: it commits to the Hub in that folder until it dies.
const crashRoot = "LOCALHUB_CRASH_ROOT"

func TestMain(m *testing.M) {
	if root := os.Getenv(crashRoot); root != "" {
		fmt.Fprintln(os.Stderr, commitForEver(root))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// commitForEver makes commits of a regular file, of an LFS file, and of many files,
// and writes the id of each that was accepted.
func commitForEver(root string) error {
	h, err := localhub.New(localhub.Options{Root: root})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		ref, err := h.PutLFS(strings.NewReader(strings.Repeat(fmt.Sprint(i), 50_000)))
		if err != nil {
			return err
		}
		in := localhub.CommitInput{Title: fmt.Sprint("commit ", i), Operations: []localhub.Operation{
			{Kind: localhub.OpAdd, Path: "count", Content: fmt.Append(nil, i)},
			{Kind: localhub.OpAdd, Path: "large.bin", LFS: &ref},
		}}
		for f := range i % 3 * 50 {
			in.Operations = append(in.Operations, localhub.Operation{Kind: localhub.OpAdd, Path: fmt.Sprintf("d%d/f%d", i, f), Content: fmt.Append(nil, i, f)})
		}
		oid, err := h.Commit(localhub.Model, "alice/m", "main", in)
		if err != nil {
			return err
		}
		if err := h.CreateTag(localhub.Model, "alice/m", "t"+oid, oid, ""); err != nil {
			return err
		}
		if _, err := fmt.Println(oid); err != nil {
			return err
		}
	}
}

// TestKilled kills a process that commits, and looks at what it has left.
func TestKilled(t *testing.T) {
	root := t.TempDir()
	h, err := localhub.New(localhub.Options{Root: root, Users: []localhub.User{{Name: "alice"}}})
	must(t, err)
	must(t, h.CreateRepo(localhub.Model, "alice/m", localhub.RepoOptions{}))
	must(t, h.Close())
	for round := range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), crashRoot+"="+root)
		var log strings.Builder
		cmd.Stderr = &log
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		var accepted []string
		lines := bufio.NewScanner(out)
		for lines.Scan() && len(accepted) < 3+round*4 {
			accepted = append(accepted, lines.Text())
		}
		must(t, cmd.Process.Kill())
		for lines.Scan() {
			accepted = append(accepted, lines.Text())
		}
		_ = cmd.Wait() // it was killed
		if len(accepted) == 0 {
			t.Fatalf("nothing was committed: %s", log.String())
		}
		h, err := localhub.New(localhub.Options{Root: root})
		must(t, err)
		for _, oid := range accepted {
			if got, err := h.Head(localhub.Model, "alice/m", "t"+oid); err != nil || got != oid {
				t.Errorf("round %d: accepted commit %s: %s, %v", round, oid, got, err)
			}
		}
		_, err = h.Commit(localhub.Model, "alice/m", "main", localhub.CommitInput{Title: "after"})
		must(t, err)
		must(t, h.Close())
		fsck(t, root)
		last := accepted[len(accepted)-1]
		repos, _ := filepath.Glob(filepath.Join(root, "repos", "*.git"))
		if out, err := exec.CommandContext(t.Context(), "git", "--git-dir", repos[0], "merge-base", "--is-ancestor", last, "main").CombinedOutput(); err != nil {
			t.Errorf("round %d: main has lost %s: %v %s", round, last, err, out)
		}
	}
	must(t, filepath.WalkDir(filepath.Join(root, "lfs"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		sum := sha256.New()
		if _, err := io.Copy(sum, f); err != nil {
			return err
		}
		if hex.EncodeToString(sum.Sum(nil)) != d.Name() {
			t.Errorf("%s isn't what its name says", p)
		}
		return nil
	}))
}
