package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
)

func waitCommand() *cli.Command {
	return &cli.Command{
		Name:      "wait",
		Usage:     "wait until what is staged is committed, or a commit can be seen",
		ArgsUsage: "PATH",
		Description: "Returns when what is staged now at or below PATH is committed, by the timer or whatever else; hubfs\n" +
			"flush commits it now. What the Hub refuses is a failure.\n\n" +
			"With --commit: when every walk of the repository at PATH sees that commit: to hand over between a job\n" +
			"that pushes and one that reads.\n\n" +
			"Examples:\n" +
			"   hubfs wait --timeout 10m ~/run-7/checkpoint-500\n" +
			"   hubfs wait --commit 2b51a2c7... /mnt/hub/me/model && ./evaluate /mnt/hub/me/model",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "commit", Usage: "the `SHA`, 40 hex digits, to be seen"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this time (default: never)"},
		},
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 1, 1); err != nil {
				return err
			}
			commit := c.String("commit")
			if c.IsSet("commit") && !isCommit(commit) {
				return usagef("--commit: %q is no commit; it has 40 hex digits", commit)
			}
			client, rel, err := clientOf(c.Args().First())
			if err != nil {
				return err
			}
			ctx := c.Context
			if d := c.Duration("timeout"); d > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, d)
				defer cancel()
			}
			what := "what is staged at " + c.Args().First() + " isn't committed"
			if commit != "" {
				what = "commit " + commit + " isn't visible"
				err = client.WaitCommit(ctx, rel, commit)
			} else {
				err = client.WaitStaged(ctx, rel)
			}
			if errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("%s after %s", what, c.Duration("timeout").Round(time.Millisecond))
			}
			return err
		},
	}
}

func isCommit(s string) bool {
	if len(s) != 40 {
		return false
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}
