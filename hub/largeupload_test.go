package hub_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// How much TestLargeUploadKilled does; the soak build does more.
var (
	largeFiles = 400
	largeKills = 4
)

// largeVictim is set for the process that is to be killed: "endpoint token repo folder".
const largeVictim = "HUBFS_TEST_LARGE_UPLOAD"

func TestMain(m *testing.M) {
	if v := os.Getenv(largeVictim); v != "" {
		uploadVictim(strings.Fields(v))
		return
	}
	os.Exit(m.Run())
}

func uploadVictim(args []string) {
	c, err := hub.New(hub.Config{Endpoint: args[0], Token: hub.StaticToken(args[1])})
	if err == nil {
		_, err = c.UploadLargeFolder(context.Background(), hub.Repo{Type: hub.Model, ID: args[2]}, "", args[3], &hub.LargeUploadOptions{Workers: 4})
	}
	fmt.Println("ended", err)
}

// largeTree is a folder of many small files, a third of them LFS, no two alike.
func largeTree(t *testing.T, n int) (dir string, files map[string]string) {
	t.Helper()
	files = make(map[string]string, n)
	for i := range n {
		ext := []string{"txt", "json", "bin"}[i%3]
		files[fmt.Sprintf("d%02d/f%05d.%s", i%17, i, ext)] = strings.Repeat(fmt.Sprintf("%d,", i), 20)
	}
	return writeTree(t, files), files
}

// puts counts, by address without its signature, the objects that were stored.
func puts(srv *hubtest.Server, into map[string]int) {
	for _, r := range srv.Hub.Requests() {
		if r.Method == http.MethodPut && r.Status == http.StatusOK {
			into[r.Path]++
		}
	}
	srv.Hub.ResetCounts()
}

// A large upload is killed again and again. In the end all is there, no object was
// stored twice, and no file committed twice.
func TestLargeUploadKilled(t *testing.T) {
	srv := hubtest.New(t)
	dir, files := largeTree(t, largeFiles)
	rng := rand.New(rand.NewPCG(1, uint64(largeFiles)))
	stored := map[string]int{}
	spec := strings.Join([]string{srv.URL, srv.Token, "alice/large", dir}, " ")
	kills := 0
	for ended := false; !ended; {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), largeVictim+"="+spec)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line := make(chan string, 1)
		go func() {
			s, _ := bufio.NewReader(out).ReadString('\n')
			line <- s
		}()
		// After so many requests of this run, which is somewhere in its work.
		after := rng.IntN(largeFiles/largeKills/4) + 3
		tick := time.NewTicker(time.Millisecond)
		for waiting := true; waiting; {
			select {
			case s := <-line:
				waiting, ended = false, true
				if s != "ended <nil>\n" {
					t.Fatalf("the upload says %q", s)
				}
			case <-tick.C:
				n := len(srv.Hub.Requests())
				if n > 2000 { // the Hub forgets the oldest
					puts(srv, stored)
				}
				if kills < largeKills && n >= after {
					kills++
					waiting = false
					_ = cmd.Process.Kill()
				}
			}
		}
		tick.Stop()
		_ = cmd.Wait()
		puts(srv, stored)
	}
	if kills != largeKills {
		t.Errorf("it was killed %d times", kills)
	}
	for path, n := range stored {
		if n > 1 {
			t.Errorf("%s was stored %d times", path, n)
		}
	}
	c := srv.Client()
	repo := hub.Repo{Type: hub.Model, ID: "alice/large"}
	checkLargeTree(t, c, repo, files)
	// Every file came with one commit, and every commit brought files.
	total, before := 0, 0
	commits := history(t, c, repo, "main")
	for i := len(commits) - 1; i >= 0; i-- {
		n := 0
		for e, err := range c.Tree(t.Context(), repo, commits[i].ID, "", &hub.TreeOptions{Recursive: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Type == hub.TypeFile {
				n++
			}
		}
		if i < len(commits)-1 && n <= before {
			t.Errorf("commit %d of %d has %d files after %d", len(commits)-i, len(commits), n, before)
		}
		total, before = n, n
	}
	if total != len(files)+1 { // .gitattributes
		t.Errorf("%d files", total)
	}
}

// checkLargeTree compares the repository with the files, by their hashes.
func checkLargeTree(t *testing.T, c *hub.Client, repo hub.Repo, files map[string]string) {
	t.Helper()
	left := maps.Clone(files)
	for e, err := range c.Tree(t.Context(), repo, "main", "", &hub.TreeOptions{Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		want, ok := left[e.Path]
		if e.Type != hub.TypeFile || e.Path == ".gitattributes" {
			continue
		}
		sum := sha256.Sum256([]byte(want))
		if !ok || e.Size != int64(len(want)) || e.LFS != nil && e.LFS.SHA256 != hex.EncodeToString(sum[:]) || strings.HasSuffix(e.Path, ".bin") != (e.LFS != nil) {
			t.Errorf("%+v", e)
		}
		delete(left, e.Path)
	}
	if len(left) > 0 {
		t.Errorf("%d files are missing", len(left))
	}
}

// The state of 0.27.1 is understood, and written.
func TestLargeUploadState(t *testing.T) {
	srv := hubtest.New(t)
	c := srv.Client()
	repo := hub.Repo{Type: hub.Dataset, ID: "alice/states"}
	files := map[string]string{"a.txt": "a", "b.bin": "bb", "sub/c.bin": "ccc", "sub/d.txt": "dddd", "e.txt": "eeeee"}
	dir := writeTree(t, files)
	sum := func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	state := func(path string) string { return filepath.Join(dir, ".cache/huggingface/upload", path+".metadata") }
	later := fmt.Sprintf("%d.25\n", time.Now().Add(time.Hour).Unix())
	earlier := fmt.Sprintf("%d.25\n", time.Now().Add(-time.Hour).Unix())
	old := fmt.Sprintf("%d.25\n", time.Now().Add(-21*time.Hour).Unix())
	past := time.Now().Add(-22 * time.Hour)
	for path, text := range map[string]string{
		"a.txt":     later + "1\n0\n" + sum("a") + "\nregular\n0\n1\n",   // committed, says who has done it
		"b.bin":     earlier + "2\n0\n" + sum("other") + "\nlfs\n1\n1\n", // changed since
		"sub/c.bin": old + "3\n0\n" + sum("ccc") + "\nlfs\n1\n0\n",       // uploaded too long ago
		"sub/d.txt": "nonsense",
		"e.txt":     later + "5\n1\n" + sum("eeeee") + "\nregular\n\n0\n0\n", // ignored; as 1.0 writes it
	} {
		if err := os.MkdirAll(filepath.Dir(state(path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(state(path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(dir, "sub/c.bin"), past, past); err != nil {
		t.Fatal(err)
	}
	var last hub.LargeUploadReport
	told := 0
	report, err := c.UploadLargeFolder(t.Context(), repo, "", dir, &hub.LargeUploadOptions{ReportEvery: time.Millisecond, Report: func(r hub.LargeUploadReport) { last = r; told++ }})
	if err != nil {
		t.Fatal(err)
	}
	if told == 0 || last.Committed != report.Committed || report.Files != 4 || report.Ignored != 1 || report.Committed != 4 || report.LFS != 2 || report.Uploaded != 2 ||
		report.CommittedSize != 1+2+3+4 || report.Failed+report.Unasked+report.Hashing+report.Committing != 0 {
		t.Errorf("the report is %+v", *report)
	}
	got := readAll(t, c, repo, "main")
	delete(got, ".gitattributes")
	if want := map[string]string{"b.bin": "bb", "sub/c.bin": "ccc", "sub/d.txt": "dddd"}; !maps.Equal(got, want) {
		t.Errorf("the repository has %v", got)
	}
	text, err := os.ReadFile(state("b.bin"))
	lines := strings.Split(string(text), "\n")
	if err != nil || len(lines) != 8 || strings.Join(lines[1:], " ") != "2 0 "+sum("bb")+" lfs 1 1 " {
		t.Errorf("the state of b.bin is %q, %v", text, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, ".cache/huggingface/.gitignore")); err != nil || string(b) != "*" {
		t.Errorf("the .gitignore is %q, %v", b, err)
	}
	if _, err := srv.ClientWithToken("").UploadLargeFolder(t.Context(), hub.Repo{Type: hub.Model, ID: "alice/new"}, "", dir, nil); !errors.Is(err, hub.ErrUnauthorized) {
		t.Errorf("without a token: %v", err)
	}
	// All is done: nothing is asked but whether the repository is there.
	srv.Hub.ResetCounts()
	if _, err := c.UploadLargeFolder(t.Context(), repo, "", dir, nil); err != nil {
		t.Fatal(err)
	}
	if n := srv.Hub.Counts(); n.API > 2 || n.Commit > 0 || n.Content > 0 {
		t.Errorf("the second time took %+v", n)
	}
}

// A network that fails, a file that can't be read, one that the server refuses.
func TestLargeUploadTroubles(t *testing.T) {
	srv := hubtest.New(t, hubtest.WithNetwork(localhub.Network{Seed: 3, Faults: map[localhub.Fault]float64{
		localhub.FaultStatus503: 0.1, localhub.FaultLanded500: 0.2, localhub.FaultLostAnswer: 0.2, localhub.FaultReset: 0.1}}))
	dir, files := largeTree(t, 150)
	c, err := hub.New(hub.Config{Endpoint: srv.URL, Token: hub.StaticToken(srv.Token), Retries: 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte("---\nlicense: [\n---\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	repo := hub.Repo{Type: hub.Model, ID: "alice/troubles"}
	report, err := c.UploadLargeFolder(t.Context(), repo, "", dir, &hub.LargeUploadOptions{Workers: 3})
	if single := hub.FailedPaths(err); len(single) != 1 || single[0].Path != "README.md" || !errors.Is(err, hub.ErrBadRequest) {
		t.Fatalf("got %v", err)
	}
	if report.Failed != 1 || report.Committed != len(files) {
		t.Errorf("the report is %+v", *report)
	}
	checkLargeTree(t, c, repo, files)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.UploadLargeFolder(ctx, repo, "", dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
	if _, err := c.UploadLargeFolder(t.Context(), repo, "", filepath.Join(dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a folder: %v", err)
	}
}
