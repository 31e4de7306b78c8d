package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/control"
)

// umountTimeout is how long a daemon may take to unmount and to end, besides pushing.
const umountTimeout = 30 * time.Second

func umountCommand() *cli.Command {
	return &cli.Command{
		Name:      "umount",
		Aliases:   []string{"unmount"},
		Usage:     "unmount, and end the daemon",
		ArgsUsage: "DIR",
		Description: "Commits what is staged, for as long as --stop-timeout, and unmounts. If something stays staged it is\n" +
			"listed, and the exit status is 1: the next mount has it, or hubfs recover.\n\n" +
			"A mount that programs use stays, and they are listed; the exit status is 1 then. A mount whose\n" +
			"daemon is dead is removed, too. After a plain umount or fusermount3 -u the daemon commits as well.",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "stop-timeout", Usage: "how long what is staged is pushed; 0 pushes nothing (default: what the mount was given)"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 1, 1); err != nil {
				return err
			}
			if c.Duration("stop-timeout") < 0 {
				return usagef("--stop-timeout: %s is negative", c.Duration("stop-timeout"))
			}
			return umount(c.Context, c, c.Args().First())
		},
	}
}

func umount(ctx context.Context, c *cli.Context, dir string) error {
	real, err := control.RealPath(dir)
	if err != nil {
		return err
	}
	client, err := control.NewClient(real)
	if err != nil {
		return err
	}
	// Whether it lives is asked first: then it may push for as long as it likes.
	asking, cancel := context.WithTimeout(ctx, umountTimeout)
	defer cancel()
	if dying, err := control.AbortDying(asking, real); err != nil {
		return fmt.Errorf("the daemon of %s was killed and can't end: %w", real, err)
	} else if dying {
		return umountDead(ctx, c, real)
	}
	_, err = client.Status(asking)
	res := &control.UnmountResult{}
	if err == nil {
		var timeout *time.Duration
		if c.IsSet("stop-timeout") {
			d := c.Duration("stop-timeout")
			timeout = &d
		}
		stop := showUploads(ctx, c, client)
		res, err = client.Unmount(ctx, timeout)
		stop()
	}
	var e *control.Error
	switch {
	case err == nil:
		return unmounted(ctx, c, real, res)
	case errors.As(err, &e) && e.Kind == control.KindBusy:
		return busyError(real, e.Processes)
	case errors.As(err, &e) && e.Kind == control.KindNotRunning:
		return umountDead(ctx, c, real)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the daemon of %s doesn't answer; kill it, then run this again", real)
	}
	return err
}

// unmounted tells how it went, when the daemon has ended.
func unmounted(ctx context.Context, c *cli.Context, dir string, res *control.UnmountResult) error {
	ctx, cancel := context.WithTimeout(ctx, umountTimeout)
	defer cancel()
	if err := control.WaitExit(ctx, res.PID); err != nil {
		return fmt.Errorf("unmounted %s, but its daemon goes on: %w", dir, err)
	}
	if c.Bool("json") {
		return errors.Join(printJSON(c.App.Writer, res), whatStays(dir, res.PushReport))
	}
	printCommits(c.App.Writer, res.Commits)
	fmt.Fprintf(c.App.Writer, "unmounted %s\n", dir)
	if len(res.Kept) > 0 {
		var names []string
		for _, k := range res.Kept {
			names = append(names, k.Path)
		}
		fmt.Fprintf(c.App.Writer, "never committed, by their names: %s\n", list(names))
	}
	return errors.Join(printTable(c.App.Writer, changeRows(res.Staged)), whatStays(dir, res.PushReport))
}

// umountDead removes a mount that no daemon serves any more.
func umountDead(ctx context.Context, c *cli.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, umountTimeout)
	defer cancel()
	points, err := control.MountPoints()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(points, func(p control.MountPoint) bool { return p.Dir == dir })
	if i < 0 {
		if control.RemoveDeadSocket(ctx, dir) {
			fmt.Fprintf(c.App.Writer, "%s was unmounted already; removed what its dead daemon had left\n", dir)
			return nil
		}
		return fmt.Errorf("nothing of hubfs is mounted at %s; hubfs status lists the mounts", dir)
	}
	// Root may unmount what another user's daemon serves, as it may with umount; the daemon ends by itself.
	dead, err := points[i].Dead(ctx)
	if os.Getuid() != 0 && (err != nil || !dead) {
		return fmt.Errorf("%s is served by a daemon that this user can't speak to; run this as the user who mounted it", dir)
	}
	err = control.UnmountDead(ctx, dir)
	var e *control.Error
	if errors.As(err, &e) && e.Kind == control.KindBusy {
		return busyError(dir, e.Processes)
	}
	if err != nil {
		return err
	}
	control.RemoveDeadSocket(ctx, dir)
	why := ""
	if dead {
		why = " (its daemon was dead)"
	}
	fmt.Fprintf(c.App.Writer, "unmounted %s%s\n", dir, why)
	return nil
}

func busyError(dir string, processes []control.Process) error {
	if len(processes) == 0 {
		return fmt.Errorf("%s is busy, by programs that this user can't see; try again as root", dir)
	}
	var who []string
	for _, p := range processes {
		who = append(who, fmt.Sprintf("%d (%s, %s)", p.PID, p.Program, p.Uses))
	}
	return fmt.Errorf("%s is busy: used by %s; end them and run this again", dir, strings.Join(who, ", "))
}
