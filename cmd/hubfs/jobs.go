package main

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/control"
)

func jobsCommand() *cli.Command {
	return &cli.Command{
		Name:      "jobs",
		Usage:     "show, wait for and cancel calls in the background",
		ArgsUsage: "DIR [JOB]",
		Description: "Lists the calls that the daemon of the mount at DIR runs in the background (hubfs api --background).\n" +
			"With JOB it waits for that one and prints its result as JSON; a job that failed is exit status 1.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "cancel", Usage: "cancel JOB"},
			jsonFlag(),
		},
		Action: runJobs,
	}
}

func runJobs(c *cli.Context) error {
	if err := needArgs(c, 1, 2); err != nil {
		return err
	}
	client, err := control.NewClient(c.Args().First())
	if err != nil {
		return err
	}
	id := c.Args().Get(1)
	switch {
	case id == "" && c.Bool("cancel"):
		return usagef("hubfs jobs: --cancel needs the JOB")
	case id == "":
		return listJobs(c, client)
	case c.Bool("cancel"):
		job, err := client.CancelJob(c.Context, id)
		if err != nil {
			return err
		}
		return printJSON(c.App.Writer, job)
	}
	job, err := client.WaitJob(c.Context, id)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = printJSON(c.App.Writer, job)
	} else if job.State == control.JobDone {
		err = printJSON(c.App.Writer, job.Result)
	}
	if err == nil && job.Error != nil {
		return job.Error
	}
	return err
}

func listJobs(c *cli.Context, client *control.Client) error {
	all, err := client.Jobs(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, all)
	}
	var rows [][]string
	for _, j := range all {
		rows = append(rows, []string{j.ID, j.Method, j.State, time.Since(j.Created).Round(time.Second).String(), jobNote(j)})
	}
	return printTable(c.App.Writer, rows)
}

// jobNote is how far a job is, or why it failed.
func jobNote(j control.Job) string {
	p := j.Progress
	switch {
	case j.Error != nil:
		return j.Error.Message
	case p == nil:
		return ""
	case p.Total > 0:
		return fmt.Sprintf("%s of %s", humanize.Bytes(uint64(max(p.TotalDone, 0))), humanize.Bytes(uint64(p.Total)))
	case p.Elements > 0:
		return fmt.Sprintf("%d elements", p.Elements)
	}
	return ""
}
