package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/fs"
)

func discardCommand() *cli.Command {
	return &cli.Command{
		Name:      "discard",
		Usage:     "forget staged changes at or below PATH",
		ArgsUsage: "PATH",
		Description: "What the Hub has is there again. What was written is lost, so it asks before, unless --yes is given.\n" +
			"Nothing else ever drops a change.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "don't ask"},
			jsonFlag(),
		},
		Action: runDiscard,
	}
}

func runDiscard(c *cli.Context) error {
	if err := needArgs(c, 1, 1); err != nil {
		return err
	}
	if !c.Bool("yes") && !isTerminal(c.App.Reader) {
		return usagef("hubfs discard loses what was written, and there is no terminal to ask at: give --yes")
	}
	path := c.Args().First()
	client, rel, err := clientOf(path)
	if err != nil {
		return err
	}
	if !c.Bool("yes") {
		changes, err := client.Changes(c.Context, rel)
		if err != nil {
			return err
		}
		if len(changes) > 0 {
			if err := printTable(c.App.ErrWriter, changeRows(changes)); err != nil {
				return err
			}
			fmt.Fprintf(c.App.ErrWriter, "Forget %s? [y/N] ", plural(len(changes), "change"))
			answer, err := bufio.NewReader(c.App.Reader).ReadString('\n')
			if a := strings.ToLower(strings.TrimSpace(answer)); err != nil || a != "y" && a != "yes" {
				return fmt.Errorf("nothing was discarded")
			}
		}
	}
	gone, err := client.Discard(c.Context, rel)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, struct {
			Discarded []fs.Change `json:"discarded"`
		}{gone})
	}
	if err := printTable(c.App.Writer, changeRows(gone)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "discarded %s at %s\n", plural(len(gone), "change"), path)
	return err
}
