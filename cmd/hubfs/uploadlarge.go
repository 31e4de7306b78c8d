package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/hub"
)

func uploadLargeCommand() *cli.Command {
	return &cli.Command{
		Name:      "upload-large-folder",
		Usage:     "add a folder of any size to a repository; interrupted, it goes on where it was",
		ArgsUsage: "REPO[@REVISION] FOLDER",
		Description: "Adds the files of FOLDER to the root of a repository, in many commits, and creates the repository if\n" +
			"there is none. Whatever happens on the way, the same command again goes on where it was: what is done\n" +
			"is kept in FOLDER/.cache/huggingface, in the form of huggingface-cli, which may go on as well.\n" +
			"Where the Hub or the network fails it waits and tries again. How far it is, it tells on stderr.",
		Flags: append(append(hubFlags(), targetFlags()...),
			&cli.StringSliceFlag{Name: "include", Usage: "only files that match `PATTERN`"},
			&cli.StringSliceFlag{Name: "exclude", Usage: "no files that match `PATTERN`"},
			&cli.BoolFlag{Name: "private", Usage: "if the repository has to be created, make it private"},
			&cli.IntFlag{Name: "workers", Aliases: []string{"num-workers"}, Usage: "`N` files that are worked on at a time (default: a few less than there are processors)"},
			&cli.BoolFlag{Name: "no-report", Usage: "don't tell how far it is"},
			&cli.BoolFlag{Name: "no-bars", Usage: "tell it in lines also on a terminal"},
			jsonFlag(),
		),
		Action: runUploadLarge,
	}
}

func runUploadLarge(c *cli.Context) error {
	if err := needArgs(c, 2, 2); err != nil {
		return err
	}
	to, err := target(c, c.Args().Get(0))
	if err != nil {
		return err
	}
	if to.Sub != "" {
		return usagef("%s: the files go to the root of the repository; %q can't be chosen", c.Command.HelpName, to.Sub)
	}
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	client, err := cfg.client(cfg.Token)
	if err != nil {
		return err
	}
	opts := &hub.LargeUploadOptions{Ignore: c.StringSlice("exclude"), Workers: c.Int("workers")}
	if c.IsSet("include") {
		opts.Allow = c.StringSlice("include")
	}
	if c.IsSet("private") {
		private := c.Bool("private")
		opts.Private = &private
	}
	if !c.Bool("no-report") {
		reportLarge(c, opts, cfg.DisableProgress || c.Bool("no-bars"))
	}
	report, err := client.UploadLargeFolder(c.Context, to.Repo, to.Revision, c.Args().Get(1), opts)
	if report != nil {
		err = cmp.Or(printLarge(c, client, to, report), err)
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(c.App.ErrWriter, "hubfs: the same command goes on from here")
	}
	return err
}

// reportLarge tells how far an upload is: by a bar on a terminal, else by a line a minute.
func reportLarge(c *cli.Context, opts *hub.LargeUploadOptions, lines bool) {
	if !lines && isTerminal(c.App.ErrWriter) {
		bar := progress(c.App.ErrWriter, true)
		opts.ReportEvery = time.Second
		opts.Report = func(r hub.LargeUploadReport) {
			bar.ChangeMax64(r.Size)
			bar.Describe(fmt.Sprintf("%d of %d files committed", r.Committed, r.Files))
			_ = bar.Set64(r.CommittedSize) // a terminal that can't be drawn on is no reason to stop
		}
		return
	}
	opts.Report = func(r hub.LargeUploadReport) { fmt.Fprintln(c.App.ErrWriter, "hubfs: "+largeLine(r)) }
}

func largeLine(r hub.LargeUploadReport) string {
	line := fmt.Sprintf("%s: %d of %s committed (%s of %s), %d hashed, %d of %d large ones uploaded (%s)",
		r.Elapsed.Round(time.Second), r.Committed, plural(r.Files, "file"), size(r.CommittedSize), size(r.Size), r.Hashed, r.Uploaded, r.LFS, size(r.UploadedSize))
	if r.Ignored > 0 {
		line += fmt.Sprintf(", %d ignored", r.Ignored)
	}
	if r.Failed > 0 {
		line += fmt.Sprintf(", %d failed", r.Failed)
	}
	return line
}

// printLarge prints the address of the repository, or what came of the upload as JSON.
func printLarge(c *cli.Context, client *hub.Client, to fs.Source, r *hub.LargeUploadReport) error {
	url := client.Endpoint() + "/" + to.Repo.String()
	if c.Bool("json") {
		return printJSON(c.App.Writer, map[string]any{
			"url": url, "files": r.Files, "size": r.Size, "ignored": r.Ignored, "committed": r.Committed, "failed": r.Failed, "seconds": r.Elapsed.Seconds(),
		})
	}
	_, err := fmt.Fprintln(c.App.Writer, url)
	return err
}
