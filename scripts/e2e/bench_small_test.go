//go:build bench

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/localhub"
)

// smallFiles searches 10,000 small files that aren't in the cache with grep, against
// the official client's snapshot_download.
func smallFiles(t *testing.T) []row {
	const folders, files = 100, 100
	u := newUser(t)
	text := rand.NewChaCha8([32]byte{9})
	var ops []localhub.Operation
	for d := range folders {
		for f := range files {
			line := make([]byte, 256)
			text.Read(line)
			ops = append(ops, localhub.Operation{
				Kind: localhub.OpAdd, Path: fmt.Sprintf("d%02d/f%02d.json", d, f), Content: fmt.Appendf(nil, "{%x}\n", line),
			})
		}
	}
	u.commit("10,000 files", ops...)
	var requests []float64
	grep := func() float64 {
		u.forget()
		u.srv.Hub.SetNetwork(localhub.Network{})
		dir := u.mount(repoID)
		defer u.umount(dir)
		u.srv.Hub.SetNetwork(link)
		u.srv.Hub.ResetCounts()
		start := time.Now()
		out, err := exec.CommandContext(t.Context(), "grep", "-rl", "^{.*}$", dir).Output()
		took := time.Since(start).Seconds()
		if n := strings.Count(string(out), "\n"); err != nil || n != folders*files {
			t.Fatalf("grep found %d files: %v", n, err)
		}
		n := u.srv.Hub.Counts()
		requests = append(requests, float64(n.API+n.Resolve))
		return took
	}
	download := func() float64 {
		u.srv.Hub.SetNetwork(link)
		return u.python(`from huggingface_hub import snapshot_download; snapshot_download("`+repoID+`", cache_dir=WORK)`, t.TempDir())
	}
	speedup := 1 / ratio(grep, download)
	u.srv.Hub.SetNetwork(localhub.Network{})
	return []row{
		{"requests to read 10,000 small files, cold", median(requests), "requests", "<= 100", "grep -r, with listings"},
		{"grep -r over 10,000 small files, cold, over snapshot_download", speedup, "x", ">= 10", "times as fast"},
	}
}

// python runs a program of the official client, for which WORK is a folder, and
// returns the seconds that it took behind the imports.
func (u *user) python(program, work string) float64 {
	u.t.Helper()
	out, err := exec.CommandContext(u.t.Context(), "../conformance/venv.sh", "0.27.1").Output()
	if err != nil {
		u.t.Fatalf("the official client: %v", err)
	}
	cmd := u.command()
	cmd.Path = string(out[:len(out)-1])
	cmd.Args = []string{cmd.Path, "-c", `
import huggingface_hub, numpy, safetensors, safetensors.numpy, time
from huggingface_hub import hf_hub_download, snapshot_download, HfFileSystem
WORK = ` + fmt.Sprintf("%q", work) + `
start = time.perf_counter()
` + program + `
print(time.perf_counter() - start)`}
	cmd.Env = append(cmd.Env, "HF_HUB_DISABLE_XET=1", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_PROGRESS_BARS=1", "HF_HUB_DISABLE_UPDATE_CHECK=1")
	cmd.Stderr = os.Stderr
	said, err := cmd.Output()
	if err != nil {
		u.t.Fatalf("python: %v", err)
	}
	var seconds float64
	if _, err := fmt.Sscan(lastLine(said), &seconds); err != nil {
		u.t.Fatalf("python said %q", said)
	}
	return seconds
}

func lastLine(b []byte) string {
	lines := strings.Fields(string(b))
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}
