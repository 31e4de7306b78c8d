package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func suggested(t *testing.T, line string) string {
	t.Helper()
	var words []string
	for _, s := range complete(newApp(strings.NewReader(""), os.Stdout, os.Stderr), splitLine(line)) {
		words = append(words, s.word)
	}
	return strings.Join(words, " ")
}

func TestComplete(t *testing.T) {
	for line, want := range map[string]string{
		"hubfs umo":                            "umount",
		"hubfs cache ":                         "ls verify prune",
		"hubfs cache v":                        "verify",
		"hubfs completion z":                   "zsh",
		"hubfs __com":                          "",
		"hubfs mount --cache-s":                "--cache-size",
		"hubfs mount --cache-dir /t":           "",
		"hubfs api create_r":                   "create_repo",
		"hubfs api --json create_r":            "create_repo",
		"hubfs api --mount /mnt/hub create_r":  "create_repo",
		"hubfs api --mount cre":                "",
		"hubfs api repo_info rep":              "repo_id= repo_type=",
		"hubfs api repo_info repo_id=a/b rep":  "repo_type=",
		"hubfs api repo_info repo_type=":       "repo_type=model repo_type=dataset repo_type=space",
		"hubfs api repo_info repo_type=d":      "repo_type=dataset",
		"hubfs api create_repo private=":       "private=true private=false",
		"hubfs api add_space_secret val":       "value@=",
		"hubfs api get_paths_info paths=a pat": "paths=",
		"hubfs api nothing rep":                "",
		"hubfs mount ":                         "",
	} {
		if got := suggested(t, line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	if got := suggested(t, "hubfs "); !strings.Contains(got, "mount umount status") || strings.Contains(got, "__") {
		t.Errorf("%q", got)
	}
	if got := splitLine(`hubfs api 'a b' "c`); !slices.Equal(got, []string{"hubfs", "api", "a b", "c"}) {
		t.Errorf("%q", got)
	}
}

// hubfsInPath makes a program called hubfs, for shells to find, out of this test.
func hubfsInPath(t *testing.T) (dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "hubfs")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func runShell(t *testing.T, shell string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Skipf("%s isn't installed", shell)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "PATH="+hubfsInPath(t)+":"+os.Getenv("PATH"), "HOME="+t.TempDir(), "TERM=xterm", "GORACE=atexit_sleep_ms=0")
	cmd.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(cmd.Dir, "some-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", shell, err, out)
	}
	return string(out)
}

func TestCompletionInBash(t *testing.T) {
	out := runShell(t, "bash", "--norc", "-c", `
		source <(hubfs completion bash)
		try() {
			COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=()
			_hubfs_complete hubfs
			printf '[%s]' "${COMPREPLY[@]}"
			echo
		}
		try 'hubfs api create_r'
		try 'hubfs api repo_info repo_type=d'
		try 'hubfs api repo_info rep'
		try 'hubfs mount '
		complete -p hubfs
	`)
	// Behind a = bash completes only what follows it.
	want := "[create_repo ]\n[dataset ]\n[repo_id=][repo_type=]\n[]\ncomplete -o default -o nospace -F _hubfs_complete hubfs\n"
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func TestCompletionInFish(t *testing.T) {
	out := runShell(t, "fish", "--no-config", "-c", `
		hubfs completion fish | source
		complete -C 'hubfs api create_r'
		complete -C 'hubfs api repo_info repo_type=d'
		complete -C 'hubfs api repo_info rep'
		complete -C 'hubfs mount some'
		complete -C 'hubfs api upload_file path_or_fileobj=some'
	`)
	want := []string{"create_repo\tCreate an empty repository.", "repo_type=dataset", "repo_id=\tnamespace/name", "repo_type=\ttype of the repository", "some-file", "path_or_fileobj=some-file"}
	if got := strings.Split(strings.TrimSpace(out), "\n"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// In zsh completion needs a terminal: one of its own is typed into, and what the line became is shown by
// what runs it.
func TestCompletionInZsh(t *testing.T) {
	out := runShell(t, "zsh", "-f", "-c", `
		zmodload zsh/zpty
		zpty shell zsh -f -i
		seen() { local text chunk; while [[ $text != *$1* ]]; do zpty -r shell chunk || return; text+=$chunk; done }
		zpty -w shell 'PS1=; autoload -U compinit; compinit -D; source <(hubfs completion zsh)'
		zpty -w shell 'hubfs() { if [[ $1 == __complete ]]; then command hubfs "$@"; else print "GOT:$*:"; fi }; print READ""Y'
		seen READY
		zpty -w shell $'hubfs api create_r\t'
		seen 'GOT:api create_repo:' && print method
		zpty -w shell $'hubfs api repo_info repo_type=d\t'
		seen 'GOT:api repo_info repo_type=dataset:' && print choice
		zpty -w shell $'hubfs api repo_info repo_i\tx'
		seen 'GOT:api repo_info repo_id=x:' && print name
		zpty -w shell $'hubfs mount some\t'
		seen 'GOT:mount some-file:' && print file
		zpty -w shell $'hubfs api upload_file path_or_fileobj=some\t'
		seen 'GOT:api upload_file path_or_fileobj=some-file:' && print value
		zpty -d shell
	`)
	if out != "method\nchoice\nname\nfile\nvalue\n" {
		t.Errorf("%s", out)
	}
}
