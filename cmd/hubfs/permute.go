package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// permute moves the flags of a command before its arguments, since the flag package stops at the first
// argument: "hubfs status DIR --json" then means what its writer meant. What follows "--" stays as it is.
func permute(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	out := args[:1:1]
	rest := args[1:]
	commands := app.Commands
	known := globalFlags()
	for len(rest) > 0 {
		if strings.HasPrefix(rest[0], "-") {
			break // a flag of hubfs itself, or of a command with subcommands
		}
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(rest[0]) })
		if i < 0 {
			break
		}
		out = append(out, rest[0])
		if commands[i].SkipFlagParsing {
			return append(out, rest[1:]...)
		}
		known = append(globalFlags(), commands[i].Flags...)
		commands, rest = commands[i].Subcommands, rest[1:]
	}
	if len(out) == 1 || len(commands) > 0 {
		return append(out, rest...)
	}
	var flags, positional []string
	for len(rest) > 0 {
		word := rest[0]
		rest = rest[1:]
		switch {
		case word == "--":
			positional = append(positional, rest...)
			rest = nil
		case len(word) > 1 && word[0] == '-':
			flags = append(flags, word)
			if takesValue(known, word) && len(rest) > 0 {
				flags = append(flags, rest[0])
				rest = rest[1:]
			}
		default:
			positional = append(positional, word)
		}
	}
	if i := slices.IndexFunc(flags, func(f string) bool { return f == "--help" || f == "-h" }); i >= 0 && len(positional) > 0 {
		// cli would take the argument for a help topic. Behind a method of the API it is one.
		if findFlag(known, describeFlag) != nil {
			flags[i] = "--" + describeFlag
		} else {
			positional = nil
		}
	}
	out = append(out, flags...)
	if len(positional) > 0 {
		out = append(append(out, "--"), positional...)
	}
	return out
}

func globalFlags() []cli.Flag { return []cli.Flag{cli.HelpFlag, cli.VersionFlag} }

// takesValue says whether the next word belongs to the flag. An unknown flag takes none, and is
// complained about when it is parsed.
func takesValue(known []cli.Flag, word string) bool {
	name := strings.TrimLeft(word, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range known {
		if slices.Contains(f.Names(), name) {
			_, isBool := f.(*cli.BoolFlag)
			return !isBool
		}
	}
	return false
}
