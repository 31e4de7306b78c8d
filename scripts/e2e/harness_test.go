// Package e2e runs the built binary as its users do, on an embedded Hub: `make
// soak` for the long checks (files of many gigabytes, many processes, a bad
// network), `make bench` for the measures. Both take minutes and gigabytes of
// disk, so `make test` has only what is quick of them.
package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

const repoID = "alice/big"

// user is somebody with a home folder of their own and a token for the Hub.
type user struct {
	t    testing.TB
	srv  *hubtest.Server
	home string
}

// newUser starts an embedded Hub with an empty model repository, and gives its
// user a home.
func newUser(t testing.TB) *user {
	t.Helper()
	srv := hubtest.New(t)
	if err := srv.Hub.CreateRepo("model", repoID, localhub.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	u := &user{t: t, srv: srv, home: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(u.home, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	return u
}

// program is the program: built by make for the long tests, which measure it; else
// built here, once.
var program = sync.OnceValues(func() (string, error) {
	if prebuilt {
		return filepath.Abs("../../bin/hubfs")
	}
	dir, err := os.MkdirTemp("", "hubfs-e2e-")
	if err != nil {
		return "", err
	}
	built = dir
	bin := filepath.Join(dir, "hubfs")
	out, err := exec.Command("go", "build", "-o", bin, "../../cmd/hubfs").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return bin, nil
})

// built is the folder of a binary that was built here, to be removed at the end.
var built string

func (u *user) command(args ...string) *exec.Cmd {
	u.t.Helper()
	bin, err := program()
	if err != nil {
		u.t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + u.home,
		"HF_HOME=" + filepath.Join(u.home, "hf"),
		"XDG_RUNTIME_DIR=" + filepath.Join(u.home, "run"),
		"XDG_STATE_HOME=" + filepath.Join(u.home, "state"),
		"HF_ENDPOINT=" + u.srv.URL, "HF_TOKEN=" + u.srv.Token,
	}
	return cmd
}

// hubfs runs a command that must succeed and returns what it printed.
func (u *user) hubfs(args ...string) string {
	u.t.Helper()
	out, err := u.command(args...).CombinedOutput()
	if err != nil {
		u.t.Fatalf("hubfs %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// mount mounts for the rest of the test and returns the mount point.
func (u *user) mount(args ...string) string {
	u.t.Helper()
	dir := u.t.TempDir()
	u.hubfs(append(append([]string{"mount"}, args...), dir)...)
	u.t.Cleanup(func() {
		// Unmounted already, where the test itself did it.
		if out, err := u.command("umount", dir).CombinedOutput(); err != nil && isMounted(dir) {
			u.t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

func (u *user) umount(dir string) {
	u.t.Helper()
	memoryPeak = max(memoryPeak, u.memory(dir))
	u.hubfs("umount", dir)
}

// memoryPeak is what a daemon had at most, of all that were unmounted since it was
// set to zero. Tests of this package run one after the other.
var memoryPeak int64

// memory is how many bytes of memory the daemon of a mount has had at most.
func (u *user) memory(dir string) int64 {
	u.t.Helper()
	var status struct{ Mounts []struct{ PID int } }
	if err := json.Unmarshal([]byte(u.hubfs("status", "--json", dir)), &status); err != nil || len(status.Mounts) != 1 {
		u.t.Fatalf("status of %s: %v", dir, err)
	}
	facts, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", status.Mounts[0].PID))
	if err != nil {
		u.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(facts), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		u.t.Fatal(err)
	}
	return kib << 10
}

// forget removes what the user's caches hold, so that the next mount is cold.
func (u *user) forget() {
	u.t.Helper()
	if err := os.RemoveAll(filepath.Join(u.home, "hf")); err != nil {
		u.t.Fatal(err)
	}
}

func isMounted(dir string) bool {
	mounts, err := os.ReadFile("/proc/self/mounts")
	return err == nil && strings.Contains(string(mounts), " "+dir+" ")
}

// islands makes a sparse file with 4 KiB of random bytes somewhere in every MiB,
// so that wrong offsets show and the disk doesn't fill.
func islands(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "original.bin")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	bytes := rand.NewChaCha8([32]byte{7})
	block := make([]byte, 4096)
	for off := int64(0); off+1<<20 <= size; off += 1 << 20 {
		bytes.Read(block)
		if _, err := f.WriteAt(block, off+int64(bytes.Uint64()%(1<<20-4096))); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return path
}

// addLFS commits a file of the local disk as an LFS file and returns the commit.
func (u *user) addLFS(path, local string) string {
	u.t.Helper()
	ref, err := u.srv.Hub.LinkLFS(local, "")
	if err != nil {
		u.t.Fatal(err)
	}
	return u.commit("add "+path, localhub.Operation{Kind: localhub.OpAdd, Path: path, LFS: &ref})
}

func (u *user) commit(title string, ops ...localhub.Operation) string {
	u.t.Helper()
	oid, err := u.srv.Hub.Commit("model", repoID, "main", localhub.CommitInput{Title: title, Operations: ops})
	if err != nil {
		u.t.Fatal(err)
	}
	return oid
}
