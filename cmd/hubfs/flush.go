package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/control"
	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/hub"
)

func flushCommand() *cli.Command {
	return &cli.Command{
		Name:      "flush",
		Usage:     "commit now what is staged at or below PATH, or push the folder of a sync",
		ArgsUsage: "PATH",
		Description: "Returns when the Hub has accepted it, and prints each commit. Files that are open for writing are left\n" +
			"out, but for logs. Paths that the Hub refuses are listed with its message, the rest is committed, and\n" +
			"the exit status is 1.\n\n" +
			"Example:\n" +
			"   cp model.safetensors ~/gpt2/ && hubfs flush ~/gpt2",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this time; what isn't committed stays staged (default: never)"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 1, 1); err != nil {
				return err
			}
			if c.Duration("timeout") < 0 {
				return usagef("--timeout: %s is negative", c.Duration("timeout"))
			}
			path := c.Args().First()
			client, rel, err := clientOf(path)
			if err != nil {
				if folder, syncErr := control.FindSync(path); path != "" && syncErr == nil {
					return flushSync(c, folder)
				}
				return err
			}
			stop := showUploads(c.Context, c, client)
			res, err := client.Flush(c.Context, rel, c.Duration("timeout"))
			stop()
			return errors.Join(printPush(c, res), flushError(c, path, res, err))
		},
	}
}

// flushError is the one line for what isn't committed.
func flushError(c *cli.Context, path string, res fs.PushResult, err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("not everything at %s is committed after %s; it stays staged, and hubfs status %s tells why", path, c.Duration("timeout"), path)
	case err != nil:
		return err
	case len(res.Failed) > 0:
		return fmt.Errorf("%s could not be committed, and stay staged; mend and flush again, or: hubfs discard PATH", plural(len(res.Failed), "path"))
	}
	return nil
}

// printPush prints commits and what wasn't committed.
func printPush(c *cli.Context, res fs.PushResult) error {
	if c.Bool("json") {
		if res.Commits == nil {
			res.Commits = []fs.Commit{}
		}
		if res.Failed == nil {
			res.Failed = []fs.Change{}
		}
		return printJSON(c.App.Writer, res)
	}
	if len(res.Commits) == 0 && len(res.Failed) == 0 {
		_, err := fmt.Fprintln(c.App.Writer, "nothing to commit")
		return err
	}
	printCommits(c.App.Writer, res.Commits)
	return printTable(c.App.Writer, changeRows(res.Failed))
}

func printCommits(w io.Writer, commits []fs.Commit) {
	for _, commit := range commits {
		where := commit.URL
		if commit.PRURL != "" {
			where = commit.PRURL
		}
		fmt.Fprintf(w, "committed %s to %s@%s: %s %s\n", plural(commit.Changes, "change"), commit.Repo, commit.Revision, commit.OID, where)
	}
}

// changeRows are lines of a table of changes.
func changeRows(changes []fs.Change) [][]string {
	var rows [][]string
	for _, ch := range changes {
		what := size(ch.Size)
		if ch.Deleted {
			what = "deleted"
		}
		rows = append(rows, []string{"  " + ch.State.String(), ch.Path, what, ago(ch.Since), ch.Message})
	}
	return rows
}

// progressPause is how often a daemon is asked how far uploads are.
const progressPause = 300 * time.Millisecond

// wantsProgress says whether the environment allows progress bars.
func wantsProgress() bool {
	env, err := hub.LoadEnv(os.Getenv)
	return err == nil && !env.DisableProgress
}

// showUploads shows on a terminal what the daemon uploads, until stop is called.
func showUploads(ctx context.Context, c *cli.Context, client *control.Client) (stop func()) {
	if !isTerminal(c.App.ErrWriter) || !wantsProgress() {
		return func() {}
	}
	bar := progress(c.App.ErrWriter, true)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(progressPause)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				_ = bar.Clear() // it is only for show
				return
			case <-tick.C:
			}
			st, err := client.Status(ctx)
			if err != nil || len(st.Mounts) != 1 {
				continue
			}
			var sent, total int64
			for _, up := range st.Mounts[0].Uploads {
				sent, total = sent+up.Bytes, total+up.Total
			}
			if total > 0 {
				bar.ChangeMax64(total)
				_ = bar.Set64(sent)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
