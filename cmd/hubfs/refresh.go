package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/control"
)

func refreshCommand() *cli.Command {
	return &cli.Command{
		Name:        "refresh",
		Usage:       "look at the Hub now, and move pinned branches",
		ArgsUsage:   "DIR",
		Description: "Returns when what has changed can be seen in the mount.",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 1, 1); err != nil {
				return err
			}
			client, _, err := clientOf(c.Args().First())
			if err != nil {
				return err
			}
			m, err := client.Refresh(c.Context)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return printJSON(c.App.Writer, m)
			}
			return printBranches(c.App.Writer, *m)
		},
	}
}

// clientOf is the client for the mount that path lies in, and path below it.
func clientOf(path string) (*control.Client, string, error) {
	if path == "" {
		return nil, "", errors.New("the path is empty")
	}
	dir, rel, err := control.FindMount(path)
	if err != nil {
		return nil, "", err
	}
	client, err := control.NewClient(dir)
	return client, rel, err
}
