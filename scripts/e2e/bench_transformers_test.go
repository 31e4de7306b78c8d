//go:build bench

package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub/localhub"
)

var transformersPython = flag.String("transformers", "",
	"a Python that has torch, transformers and huggingface_hub, to load a model with transformers itself")

// twoShards makes a model of random weights that transformers saves as two shards.
const twoShards = `
import sys, transformers
transformers.BertModel(transformers.BertConfig(vocab_size=60000)).save_pretrained(sys.argv[1], max_shard_size="300MB")
`

// fromPretrained loads it from a folder, or where that is a repository from a download of it to
// the second argument, and prints how long that took and a sum that other weights don't have.
const fromPretrained = `
import sys, time, torch, transformers, huggingface_hub
start = time.perf_counter()
where = sys.argv[1]
if len(sys.argv) > 2:
    where = huggingface_hub.snapshot_download(where, cache_dir=sys.argv[2])
model = transformers.AutoModel.from_pretrained(where, low_cpu_mem_usage=True)
total = sum(p.double().sum().item() for p in model.parameters())
print(time.perf_counter() - start, total)
`

// pretrained loads a model of two shards with transformers through a cold mount, against
// snapshot_download and then loading.
func pretrained(t *testing.T) []row {
	if *transformersPython == "" {
		t.Skip("needs -transformers PYTHON, one that has torch: docs/performance.md tells how to have it")
	}
	u := newUser(t)
	run := func(program string, args ...string) string {
		cmd := u.command()
		cmd.Path, cmd.Args = *transformersPython, append([]string{*transformersPython, "-W", "ignore", "-c", program}, args...)
		cmd.Env = append(cmd.Env, "HF_HUB_DISABLE_XET=1", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_PROGRESS_BARS=1")
		out, err := cmd.Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				t.Logf("%s", exit.Stderr)
			}
			t.Fatalf("python: %v", err)
		}
		return string(out)
	}
	saved := t.TempDir()
	run(twoShards, saved)
	files, err := os.ReadDir(saved)
	if err != nil {
		t.Fatal(err)
	}
	shards := 0
	for _, f := range files {
		path := filepath.Join(saved, f.Name())
		if strings.HasSuffix(path, ".safetensors") {
			u.addLFS(f.Name(), path)
			shards++
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		u.commit("add "+f.Name(), localhub.Operation{Kind: localhub.OpAdd, Path: f.Name(), Content: content})
	}
	if shards != 2 {
		t.Fatalf("transformers saved %d shards", shards)
	}
	var sums []float64
	load := func(args ...string) float64 {
		u.srv.Hub.SetNetwork(link)
		defer u.srv.Hub.SetNetwork(localhub.Network{})
		var seconds, sum float64
		if out := run(fromPretrained, args...); !scanned(out, &seconds, &sum) {
			t.Fatalf("python said %q", out)
		}
		if sums = append(sums, sum); sum != sums[0] {
			t.Errorf("the weights sum up to %v and to %v", sums[0], sum)
		}
		return seconds
	}
	versus := ratio(func() float64 {
		u.forget()
		dir := u.mount(repoID)
		defer u.umount(dir)
		return load(dir)
	}, func() float64 { return load(repoID, t.TempDir()) })
	return []row{{"transformers' from_pretrained, two shards, cold, over snapshot_download then load", versus, "x", "<= 0.6", "of the time; 528 MB"}}
}

func scanned(text string, into ...any) bool {
	n, err := fmt.Sscan(text, into...)
	return err == nil && n == len(into)
}
