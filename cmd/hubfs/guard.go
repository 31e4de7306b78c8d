package main

import (
	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/control"
)

// guardName is the command that a daemon runs beside itself.
const guardName = "guard"

// guardCommand is for the daemon of a mount alone: see control.Guard.
func guardCommand() *cli.Command {
	return &cli.Command{
		Name: guardName, Hidden: true, HideHelp: true,
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 1, 1); err != nil {
				return err
			}
			return control.Guard(c.Args().First())
		},
	}
}
