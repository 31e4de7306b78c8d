//go:build bench

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/localhub"
)

// peers reads one cold file of 256 MiB on the link in every way that people use
// today, in turn. Programs that aren't installed are left out, and named.
func peers(t *testing.T) []row {
	const size = 256 << 20
	u := newUser(t)
	u.addLFS("big.bin", dense(t, size))
	url := u.srv.URL + "/" + repoID + "/resolve/main/big.bin"
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = append(u.command().Env, "GIT_TERMINAL_PROMPT=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	// rclone finds files by the links of a page, which the Hub doesn't have.
	index := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big.bin" {
			http.Redirect(w, r, url, http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<a href="big.bin">big.bin</a>`)
	}))
	defer index.Close()
	timed := func(f func()) float64 {
		start := time.Now()
		f()
		return time.Since(start).Seconds()
	}
	type peer struct {
		name  string
		needs []string // programs
		pkgs  string   // of Debian, that have them
		read  func() float64
	}
	all := []peer{
		{"hubfs", nil, "", func() float64 {
			u.srv.Hub.SetNetwork(localhub.Network{})
			u.forget()
			dir := u.mount(repoID)
			defer u.umount(dir)
			u.srv.Hub.SetNetwork(link)
			return timed(func() { readAll(t, filepath.Join(dir, "big.bin")) })
		}},
		{"curl, one stream", []string{"curl"}, "curl", func() float64 {
			return timed(func() { run("curl", "-sSfL", "-o", os.DevNull, url) })
		}},
		{"aria2, 16 connections", []string{"aria2c"}, "aria2", func() float64 {
			return timed(func() { run("aria2c", "-q", "-x16", "-s16", "-k1M", "-d", t.TempDir(), "-o", "big.bin", url) })
		}},
		{"hf_hub_download", nil, "", func() float64 {
			return u.python(`hf_hub_download("`+repoID+`", "big.bin", cache_dir=WORK)`, t.TempDir())
		}},
		{"HfFileSystem", nil, "", func() float64 {
			return u.python(`
f = HfFileSystem(endpoint=__import__("os").environ["HF_ENDPOINT"]).open("`+repoID+`/big.bin", "rb")
while f.read(1 << 20): pass`, t.TempDir())
		}},
		{"git clone with LFS", []string{"git", "git-lfs"}, "git git-lfs", func() float64 {
			dir := t.TempDir()
			return timed(func() {
				run("git", "-c", "filter.lfs.smudge=git-lfs smudge -- %f", "-c", "filter.lfs.process=git-lfs filter-process", "-c", "filter.lfs.required=true",
					"clone", "-q", u.srv.URL+"/"+repoID, filepath.Join(dir, "clone"))
				if info, err := os.Stat(filepath.Join(dir, "clone", "big.bin")); err != nil || info.Size() != size {
					t.Fatalf("the clone has %v, %v", info, err)
				}
			})
		}},
		{"rclone mount, full cache", []string{"rclone", "fusermount3"}, "rclone fuse3", func() float64 {
			dir, cache := t.TempDir(), t.TempDir()
			run("rclone", "mount", "--daemon", "--vfs-cache-mode", "full", "--cache-dir", cache, "--read-only",
				"--http-url", index.URL, ":http:", dir)
			defer run("umount", dir)
			return timed(func() { readAll(t, filepath.Join(dir, "big.bin")) })
		}},
	}
	took := make(map[string][]float64)
	var rows []row
	all = slices.DeleteFunc(all, func(p peer) bool {
		for _, program := range p.needs {
			if _, err := exec.LookPath(program); err != nil {
				rows = append(rows, row{"cold 256 MiB: " + p.name, 0, "left out", "", program + " is missing: apt-get install " + p.pkgs})
				return true
			}
		}
		return false
	})
	for range rounds {
		for _, p := range all {
			u.srv.Hub.SetNetwork(link)
			took[p.name] = append(took[p.name], p.read())
		}
	}
	u.srv.Hub.SetNetwork(localhub.Network{})
	for _, p := range all {
		v := median(took[p.name])
		rows = append(rows, row{"cold 256 MiB: " + p.name, size / v / 1e6, "MB/s", "", fmt.Sprintf("%.2f s", v)})
	}
	return rows
}
