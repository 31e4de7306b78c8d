package main

import (
	"errors"

	"github.com/urfave/cli/v2"
)

func unfinished(name string) *cli.Command {
	return &cli.Command{Name: name, Usage: "not finished", Action: func(*cli.Context) error {
		return errors.New(name + ": not finished")
	}}
}

func demoCommand() *cli.Command   { return unfinished("demo") }
func doctorCommand() *cli.Command { return unfinished("doctor") }
