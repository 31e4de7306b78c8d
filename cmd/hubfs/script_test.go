package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/control"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hubfs": main, "mount.hubfs": main})
}

// TestScripts runs the files of testdata: commands as users type them, with what they print. Each has an
// embedded Hub of its own, with the dataset alice/data and the model alice/model.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"commit":    commitCmd,
			"hub":       hubCmd,
			"jsonfield": jsonFieldCmd,
			"killpid":   killPidCmd,
			"onhub":     onHubCmd,
			"waitgone":  waitGoneCmd,
			"waitfile":  waitFileCmd,
			"xattr":     xattrCmd,
		},
		RequireExplicitExec: true,
	})
}

const hubKey = "hub"

func setupScript(env *testscript.Env) error {
	t := env.T().(testing.TB)
	srv := hubtest.New(t)
	h := srv.Hub
	if err := h.CreateRepo(localhub.Dataset, "alice/data", localhub.RepoOptions{}); err != nil {
		return err
	}
	if err := h.CreateRepo(localhub.Model, "alice/model", localhub.RepoOptions{}); err != nil {
		return err
	}
	weights, err := h.PutLFS(strings.NewReader(strings.Repeat("weights.", 1<<15)))
	if err != nil {
		return err
	}
	if _, err := h.Commit(localhub.Dataset, "alice/data", "main", localhub.CommitInput{Title: "Add data", Operations: []localhub.Operation{
		add("data.csv", "a,b\n1,2\n"), add("more/deep.txt", "deep\n"),
	}}); err != nil {
		return err
	}
	head, err := h.Commit(localhub.Model, "alice/model", "main", localhub.CommitInput{Title: "Add weights", Operations: []localhub.Operation{
		add("config.json", "{}\n"), {Kind: localhub.OpAdd, Path: "weights.bin", LFS: &weights},
	}})
	if err != nil {
		return err
	}
	// A socket's name is short, and the folder of a test isn't.
	run, err := os.MkdirTemp("", "hubfs")
	if err != nil {
		return err
	}
	env.Defer(func() { os.RemoveAll(run) })
	work, err := filepath.EvalSymlinks(env.WorkDir)
	if err != nil {
		return err
	}
	env.Defer(func() { detachBelow(t, work) })
	for _, dir := range []string{"mnt", "home"} {
		if err := os.Mkdir(filepath.Join(work, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(work, "token.txt"), []byte(srv.Token+"\n"), 0o600); err != nil {
		return err
	}
	for k, v := range map[string]string{
		"HF_ENDPOINT": srv.URL, "HF_TOKEN": srv.Token, "HF_HOME": filepath.Join(work, "hf"), "HOME": filepath.Join(work, "home"),
		"XDG_RUNTIME_DIR": run, "XDG_STATE_HOME": filepath.Join(work, "state"), "MNT": filepath.Join(work, "mnt"),
		"HEAD": head, "TOKEN": srv.Token,
		"GORACE": "atexit_sleep_ms=0", // the race detector's programs else end a second late
	} {
		env.Setenv(k, v)
	}
	env.Values[hubKey] = srv.Hub
	return nil
}

// detachBelow removes mounts that a failed script has left, so that its folder can be removed.
func detachBelow(t testing.TB, dir string) {
	points, err := control.MountPoints()
	if err != nil {
		t.Error(err)
	}
	for _, p := range points {
		if strings.HasPrefix(p.Dir, dir+"/") {
			t.Errorf("%s was left mounted", p.Dir)
			if err := unix.Unmount(p.Dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
	}
}

// commitCmd is "commit VAR TYPE REPO PATH CONTENT": another client's commit, whose id goes into VAR.
func commitCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: commit VAR TYPE REPO PATH CONTENT")
	}
	id, err := ts.Value(hubKey).(*localhub.Hub).Commit(args[1], args[2], "main", localhub.CommitInput{
		Title: "Add " + args[3], Operations: []localhub.Operation{add(args[3], args[4]+"\n")},
	})
	ts.Check(err)
	ts.Setenv(args[0], id)
}

// jsonFieldCmd is "jsonfield VAR PATH": a value in the JSON on the last command's stdout goes into VAR;
// PATH is keys and indexes with dots between them.
func jsonFieldCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: jsonfield VAR PATH")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for _, key := range strings.Split(args[1], ".") {
		switch in := v.(type) {
		case map[string]any:
			inner, ok := in[key]
			if !ok {
				ts.Fatalf("no %s in %v", key, v)
			}
			v = inner
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(in) {
				ts.Fatalf("no element %s in %v", key, v)
			}
			v = in[i]
		default:
			ts.Fatalf("no %s in %v", key, v)
		}
	}
	s, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		ts.Check(err)
		s = string(b)
	}
	ts.Setenv(args[0], s)
}

// onHubCmd is "onhub TYPE REPO PATH FILE": main has there what the file has.
func onHubCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: onhub TYPE REPO PATH FILE")
	}
	client, err := hub.New(hub.Config{Endpoint: ts.Getenv("HF_ENDPOINT"), Token: hub.StaticToken(ts.Getenv("TOKEN"))})
	ts.Check(err)
	var got strings.Builder
	repo := hub.Repo{Type: hub.RepoType(args[0]), ID: args[1]}
	_, err = client.Download(context.Background(), hub.FileRef{Repo: repo, Revision: "main", Path: args[2]}, &got)
	if err == nil && got.String() != ts.ReadFile(args[3]) {
		err = fmt.Errorf("it is %q", got.String())
	}
	if (err == nil) == neg {
		ts.Fatalf("%s on the Hub: %v", args[2], err)
	}
}

// hubCmd is "hub down" and "hub up": whether the Hub answers.
func hubCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hub down|up")
	}
	network := localhub.Network{}
	if args[0] == "down" {
		network.Faults = map[localhub.Fault]float64{"status-503": 1}
	}
	ts.Value(hubKey).(*localhub.Hub).SetNetwork(network)
}

// waitGoneCmd is "waitgone PID": until the process has ended.
func waitGoneCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitgone PID")
	}
	pid, err := strconv.Atoi(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ts.Check(control.WaitExit(ctx, pid))
}

// killPidCmd is "killpid PID": the process dies as if the machine had killed it.
func killPidCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: killpid PID")
	}
	pid, err := strconv.Atoi(args[0])
	ts.Check(err)
	if pid <= 1 {
		ts.Fatalf("%d is no process's id: it would kill the test and who started it", pid)
	}
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
}

// waitFileCmd is "waitfile FILE PATTERN [VAR]": until the file, which a program in the background writes,
// matches; the first group goes into VAR.
func waitFileCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: waitfile FILE PATTERN [VAR]")
	}
	re := regexp.MustCompile("(?m)" + args[1])
	var text string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err != nil && !os.IsNotExist(err) {
			ts.Check(err)
		}
		text = string(b)
		if m := re.FindStringSubmatch(text); m != nil {
			if len(args) == 3 {
				ts.Setenv(args[2], m[1])
			}
			return
		}
	}
	ts.Fatalf("%s doesn't match in:\n%s", args[1], text)
}

// xattrCmd is "xattr PATH NAME VALUE".
func xattrCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: xattr PATH NAME VALUE")
	}
	buf := make([]byte, 1024)
	n, err := unix.Getxattr(ts.MkAbs(args[0]), args[1], buf)
	ts.Check(err)
	if got := string(buf[:n]); (got == args[2]) == neg {
		ts.Fatalf("%s of %s is %q", args[1], args[0], got)
	}
}
