package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/hubfs/hubfs/control"
	"github.com/hubfs/hubfs/hub/localhub"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "an embedded Hub, a sample dataset and model, a mount, a short tour",
		Description: "Needs no account and no network. Everything is in a temporary folder, and gone at the end. As\n" +
			"root it needs /dev/fuse only, as a user fusermount3 too.",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "keep", Usage: "stay after the tour, to look around in, until ^C"}},
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 0, 0); err != nil {
				return err
			}
			if err := canMount(c); err != nil {
				return err
			}
			return runDemo(c.Context, c.App.Writer, c.App.ErrWriter, c.Bool("keep"))
		},
	}
}

// canMount says what this machine lacks for mounting, and what mends it.
func canMount(c *cli.Context) error {
	var lacks []string
	for _, f := range examine(c, nil, mountChecks) {
		if f.Status == statusProblem {
			lacks = append(lacks, fmt.Sprintf("%s %s; mend it with: %s", f.Check, f.Detail, f.Fix))
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	return fmt.Errorf("this machine can't mount: %s", strings.Join(lacks, "; and "))
}

// demo is one run: an embedded Hub in this process, and a mount in another, as it has to be for a program
// that touches it.
type demo struct {
	out, errOut io.Writer
	exe         string
	dir         string // temporary, with everything in it
	mnt         string
	server      *localServer
	env         []string
}

func runDemo(ctx context.Context, out, errOut io.Writer, keep bool) (err error) {
	outliveReaders()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hubfs-demo-")
	if err != nil {
		return err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // as the list of mounts has it
		return err
	}
	d := &demo{out: out, errOut: errOut, exe: exe, dir: dir, mnt: filepath.Join(dir, "mnt")}
	defer func() { err = errors.Join(err, d.removeFiles()) }()
	if err := os.Mkdir(d.mnt, 0o755); err != nil {
		return err
	}
	d.server, err = openLocal(ctx, localhub.Options{
		Root:  filepath.Join(dir, "hub"),
		Users: []localhub.User{{Name: demoUser, Token: "hf_demo"}},
	}, "127.0.0.1:0", "127.0.0.1:0", "")
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // until after the mount is gone
	served := make(chan error, 1)
	go func() { served <- d.server.serve(serving) }()
	defer func() {
		stop()
		err = errors.Join(err, <-served)
	}()
	if err := fillDemo(d.server.Hub); err != nil {
		return fmt.Errorf("the embedded Hub: %w", err)
	}
	d.env = d.environment()
	d.say("A Hub is running at %s, with the dataset %s and the model %s.", d.server.URL, demoDataset, demoModel)
	// A command that fails may have mounted all the same, such as one that can't print that it has.
	defer func() { err = errors.Join(err, d.unmount(ctx)) }()
	if err := d.hubfs(ctx, "mount", "--poll", "1s", d.mnt); err != nil {
		return err
	}
	if err := d.tour(ctx); err != nil {
		return err
	}
	if keep {
		d.say("The mount stays until ^C. In another terminal:\n\n    cd %s\n    hubfs status\n    export HF_ENDPOINT=%s HF_TOKEN=hf_demo   # for hubfs and huggingface_hub", d.mnt, d.server.URL)
		<-ctx.Done()
	}
	return nil
}

// environment is that of the demo's commands: its own Hub and cache, the machine's tools.
func (d *demo) environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "HF_") || strings.HasPrefix(name, "HUGGING") || name == "TRANSFORMERS_OFFLINE" || name == "XDG_STATE_HOME"
	})
	return append(env,
		"HF_ENDPOINT="+d.server.URL, "HF_TOKEN=hf_demo", "HF_HOME="+filepath.Join(d.dir, "huggingface"),
		"XDG_STATE_HOME="+filepath.Join(d.dir, "state"), "LC_ALL=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1")
}

// tour shows what a mount is good for. Every command is a process of its own.
func (d *demo) tour(ctx context.Context) error {
	dataset := filepath.Join(d.mnt, "datasets", demoDataset)
	model := filepath.Join(d.mnt, demoModel)
	weights := filepath.Join(model, "model.safetensors")
	out := filepath.Join(d.dir, "copy.safetensors")

	d.say("Repositories are folders, and nothing has been fetched yet but their listings:")
	if err := d.run(ctx, "ls", "-l", dataset, model); err != nil {
		return err
	}
	d.say("Reading fetches what is read:")
	if err := d.run(ctx, "head", "-n", "4", filepath.Join(dataset, "planets.csv")); err != nil {
		return err
	}
	if err := d.run(ctx, "cat", filepath.Join(model, "config.json")); err != nil {
		return err
	}
	if err := d.run(ctx, "cp", weights, out); err != nil {
		return err
	}
	if err := d.run(ctx, "cmp", weights, out); err != nil {
		return err
	}
	d.say("What the Hub knows about a file is in its extended attributes:")
	if err := d.attributes(ctx, weights); err != nil {
		return err
	}
	d.say("Programs load straight from it:")
	if _, err := exec.LookPath("python3"); err == nil {
		if err := d.run(ctx, "python3", filepath.Join(model, "predict.py"), "2.77"); err != nil {
			return err
		}
	} else {
		d.show("python3", filepath.Join(model, "predict.py"), "2.77")
		fmt.Fprintln(d.out, "(python3 isn't installed here)")
	}
	d.say("With the library it is one line: safetensors.numpy.load_file(%q)", weights)
	if err := d.newCommit(ctx, dataset); err != nil {
		return err
	}
	d.say("And any call of the Hub's API, by its name in Python's HfApi:")
	if err := d.hubfs(ctx, "api", "list_repo_commits", "repo_id="+demoDataset, "repo_type=dataset", "--jsonl"); err != nil {
		return err
	}
	return d.hubfs(ctx, "status", d.mnt)
}

// newCommit shows how a commit that somebody else makes appears.
func (d *demo) newCommit(ctx context.Context, dataset string) error {
	d.say("Somebody pushes a commit with a new file. It shows within the poll interval, or when it is waited for:")
	commit, err := d.server.Hub.Commit(localhub.Dataset, demoDataset, "main", localhub.CommitInput{
		Author: demoUser, Title: "Add a dwarf planet", Operations: []localhub.Operation{
			add("dwarfs.csv", "name,distance_au,period_years\nCeres,2.77,4.60\n"),
		},
	})
	if err != nil {
		return err
	}
	if err := d.hubfs(ctx, "wait", "--timeout", "30s", "--commit", commit, dataset); err != nil {
		return err
	}
	return d.run(ctx, "cat", filepath.Join(dataset, "dwarfs.csv"))
}

// attributes shows what getfattr would, which isn't everywhere.
func (d *demo) attributes(ctx context.Context, path string) error {
	if _, err := exec.LookPath("getfattr"); err == nil {
		return d.run(ctx, "getfattr", "--absolute-names", "-d", "-m", `user\.hub\.`, path)
	}
	d.show("getfattr", "-d", path)
	buf := make([]byte, 4096)
	n, err := unix.Listxattr(path, buf)
	if err != nil {
		return &os.PathError{Op: "listxattr", Path: path, Err: err}
	}
	names := strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00")
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasPrefix(name, "user.hub.") || name == "user.hub.last_commit" {
			continue
		}
		n, err := unix.Getxattr(path, name, buf)
		if err != nil {
			return &os.PathError{Op: "getxattr " + name, Path: path, Err: err}
		}
		fmt.Fprintf(d.out, "%s=%q\n", name, buf[:n])
	}
	return nil
}

// unmount ends the daemon, whatever happened before.
func (d *demo) unmount(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*umountTimeout)
	defer cancel()
	var failed error
	for {
		mounted, err := d.mounted()
		if err != nil || !mounted {
			return err
		}
		if failed == nil {
			d.say("At the end:")
			if failed = d.hubfs(ctx, "umount", d.mnt); failed == nil {
				return nil
			}
			d.say("Waiting for that.")
			d.out, d.errOut = io.Discard, io.Discard
		}
		// A program that ^C has hit may still be on its way out of the mount.
		select {
		case <-ctx.Done():
			return failed
		case <-time.After(300 * time.Millisecond):
		}
		if d.hubfs(ctx, "umount", d.mnt) == nil {
			return nil
		}
	}
}

func (d *demo) mounted() (bool, error) {
	points, err := control.MountPoints()
	return slices.ContainsFunc(points, func(p control.MountPoint) bool { return p.Dir == d.mnt }), err
}

// removeFiles removes the temporary folder, unless something is still mounted in it.
func (d *demo) removeFiles() error {
	mounted, err := d.mounted()
	if err != nil {
		return err
	}
	if mounted {
		return fmt.Errorf("%s is still mounted: hubfs umount %s, then rm -r %s", d.mnt, d.mnt, d.dir)
	}
	return os.RemoveAll(d.dir)
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "\n"+format+"\n\n", args...)
}

func (d *demo) show(name string, args ...string) {
	fmt.Fprintf(d.out, "$ %s %s\n", name, strings.Join(args, " "))
}

// hubfs runs this program, as the user would.
func (d *demo) hubfs(ctx context.Context, args ...string) error {
	d.show("hubfs", args...)
	cmd := exec.CommandContext(ctx, d.exe)
	cmd.Args = append([]string{"hubfs"}, args...)
	return d.start(cmd)
}

func (d *demo) run(ctx context.Context, name string, args ...string) error {
	d.show(name, args...)
	return d.start(exec.CommandContext(ctx, name, args...))
}

func (d *demo) start(cmd *exec.Cmd) error {
	cmd.Env, cmd.Stdout, cmd.Stderr = d.env, d.out, d.errOut
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}
