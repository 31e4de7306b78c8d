package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// docs is the folder of the documentation.
const docs = "../../docs"

func TestReferenceIsUpToDate(t *testing.T) {
	var want bytes.Buffer
	if err := writeReference(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(docs, "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/api.md isn't what hubfs api --markdown prints: run make docs")
	}
}

var blockPattern = regexp.MustCompile("(?ms)^```(sh|python|go)\n(.*?)^```$")

// blocks are the examples in a document, by their language.
func blocks(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, name))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, m := range blockPattern.FindAllStringSubmatch(string(text), -1) {
		all[m[1]] = append(all[m[1]], m[2])
	}
	return all
}

// docShell is what the examples run in: a Hub, and hubfs in the path.
func docShell(t *testing.T) (srv *hubtest.Server, run func(program string, args ...string) string) {
	t.Helper()
	srv = hubtest.New(t, hubtest.WithStartup(500*time.Millisecond), hubtest.WithUsers(localhub.User{Name: "bob", Token: "hf_bob"}))
	work := t.TempDir()
	// A socket's name is short, and the folder of a test isn't.
	sockets, err := os.MkdirTemp("", "hubfs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	home := filepath.Join(work, "home")
	dir := filepath.Join(work, "mnt")
	if err := errors.Join(os.Mkdir(home, 0o755), os.Mkdir(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "PATH="+hubfsInPath(t)+":"+os.Getenv("PATH"), "HF_ENDPOINT="+srv.URL, "HF_INFERENCE_ENDPOINTS_ENDPOINT="+srv.URL+"/v2",
		"HF_TOKEN="+srv.Token, "HF_HOME="+filepath.Join(work, "hf"), "XDG_STATE_HOME="+filepath.Join(work, "state"), "XDG_RUNTIME_DIR="+sockets,
		"GORACE=atexit_sleep_ms=0", "DIR="+dir, "no_proxy=*")
	return srv, func(program string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir, cmd.Env = work, env
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
		return string(out)
	}
}

// marked splits an example into its commands and, of those that say so, what they print.
func marked(block string) (commands, wants []string) {
	var command strings.Builder
	for line := range strings.Lines(block) {
		text, want, ends := strings.Cut(strings.TrimSuffix(line, "\n"), "    # -> ")
		command.WriteString(text + "\n")
		if ends {
			commands, wants = append(commands, command.String()), append(wants, want)
			command.Reset()
		}
	}
	return append(commands, command.String()), append(wants, "")
}

// TestExamples runs docs/examples.md from its first command to its last.
func TestExamples(t *testing.T) {
	_, run := docShell(t)
	var script strings.Builder
	script.WriteString("set -eu\n")
	var wants []string
	for _, block := range blocks(t, "examples.md")["sh"] {
		commands, w := marked(block)
		for i, c := range commands {
			fmt.Fprintf(&script, "{\n:\n%s} > out.txt; cat out.txt; printf '\\036'\n", c)
			wants = append(wants, w[i])
		}
	}
	outputs := strings.Split(run("bash", "-c", script.String()), "\036")
	for i, want := range wants {
		if !strings.Contains(outputs[i], want) {
			t.Errorf("want %s in:\n%s", want, outputs[i])
		}
	}
}

// TestSocketExamples runs docs/socket.md at a mount.
func TestSocketExamples(t *testing.T) {
	srv, run := docShell(t)
	srv.Repo("model", map[string]string{"config.json": "{}"})
	run("hubfs", "mount", "alice/model", "mnt")
	defer run("hubfs", "umount", "mnt")
	all := blocks(t, "socket.md")
	out := run("bash", "-c", "set -eu\n"+strings.Join(all["sh"], "\n"))
	for _, want := range []string{`"name":"alice"`, `"config.json"`, `"state":"done"`, "event: done", `"kind":"repo_not_found"`} {
		if !strings.Contains(out, want) {
			t.Errorf("curl: no %s in\n%s", want, out)
		}
	}
	out = run("python3", "-c", all["python"][0])
	for _, want := range []string{"alice\n", "config.json\n", "repo_not_found: "} {
		if !strings.Contains(out, want) {
			t.Errorf("python: no %s in\n%s", want, out)
		}
	}
	out = run(goProgram(t, all["go"][0]))
	if out != "\".gitattributes\"\n\"config.json\"\nmodel_info done\nno such repository: true\n" {
		t.Errorf("go: %s", out)
	}
}

// TestGoExample builds docs/go.md as a program of somebody else's, which imports package hub alone.
func TestGoExample(t *testing.T) {
	_, run := docShell(t)
	program := blocks(t, "go.md")["go"][0]
	if strings.Count(program, "github.com/hubfs/hubfs/") != 1 {
		t.Error("the program imports more than package hub")
	}
	if out := run(goProgram(t, program)); out != ".gitattributes 1519\nconfig.json 2\nnot found: 404\ntiny running\n" {
		t.Errorf("%s", out)
	}
}

// goProgram builds an example as a module of its own, which has this one's dependencies.
func goProgram(t *testing.T, source string) (binary string) {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(mod), "module github.com/hubfs/hubfs\n", "module example\n", 1) +
		"\nrequire github.com/hubfs/hubfs v0.0.0\nreplace github.com/hubfs/hubfs => " + root + "\n"
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"go.mod": text, "go.sum": string(sum), "main.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary = filepath.Join(dir, "example")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-mod=mod", "-o", binary, ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}
