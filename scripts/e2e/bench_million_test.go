//go:build bench

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/localhub"
)

// million walks through a repository of 1,000,000 files, in folders as large as the Hub
// allows, and counts what the daemon keeps of it.
func million(t *testing.T) []row {
	const folders, files = 100, 10_000
	u := newUser(t)
	for d := range folders {
		var ops []localhub.Operation
		for f := range files {
			ops = append(ops, localhub.Operation{Kind: localhub.OpAdd, Path: fmt.Sprintf("d%02d/file-%05d.txt", d, f), Content: []byte{byte(d)}})
		}
		u.commit("10,000 files", ops...)
	}
	dir := u.mount(repoID)
	before := u.resident(dir)
	timed := func(name string, args ...string) float64 {
		start := time.Now()
		out, err := exec.CommandContext(t.Context(), name, args...).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := strings.Count(string(out), "\n"); n < files {
			t.Fatalf("%s saw %d names", name, n)
		}
		return time.Since(start).Seconds()
	}
	one := timed("ls", filepath.Join(dir, "d00"))
	names := timed("find", dir)
	again := timed("find", dir)
	attributes := timed("find", dir, "-size", "-2M")
	entry := float64(u.resident(dir)-before) / (folders * files) / 1024
	// What the kernel forgets is forgotten here too. Needs root.
	after := "while the kernel knows them"
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0o200); err == nil {
		after = fmt.Sprintf("%d MiB in all once the kernel has forgotten them", u.resident(dir)>>20)
	}
	return []row{
		{"ls of one folder of 10,000, cold", one * 1000, "ms", "", "of 1,000,000 files"},
		{"find over 1,000,000 files, cold", names, "s", "", "names"},
		{"find over 1,000,000 files, again", again, "s", "", "names"},
		{"find -size over 1,000,000 files", attributes, "s", "", "attributes"},
		{"memory of the daemon for an entry", entry, "KiB", "<= 1", after},
	}
}

// resident is how many bytes of memory the daemon of a mount has now.
func (u *user) resident(dir string) int64 {
	u.t.Helper()
	var status struct{ Mounts []struct{ PID int } }
	if err := json.Unmarshal([]byte(u.hubfs("status", "--json", dir)), &status); err != nil || len(status.Mounts) != 1 {
		u.t.Fatalf("status of %s: %v", dir, err)
	}
	facts, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", status.Mounts[0].PID))
	if err != nil {
		u.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(facts), "VmRSS:")
	var kib int64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		u.t.Fatal(err)
	}
	return kib << 10
}
