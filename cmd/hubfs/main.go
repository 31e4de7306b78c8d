// Command hubfs mounts Hugging Face Hub repositories as directories, and makes every call of the
// Hub's API available to scripts.
//
// Each command is a file of its own. They hold no logic of their own: flags become the options of the
// packages below, results become output, and errors one line and an exit status.
//
// The process owns nothing that has to survive it. A mount's daemon is the same program, started again
// in the background; if it dies, the mount point stays behind and "hubfs umount" removes it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// version is set by the linker.
var version = ""

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	status := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// endSignals are those that ask a command to end.
func endSignals() []os.Signal {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup has it ignored
		ends = append(ends, syscall.SIGHUP)
	}
	return ends
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := newApp(stdin, stdout, stderr)
	args, fake := fromMountHelper(args)
	if fake {
		return exitOK
	}
	app.Metadata = map[string]any{metaArgs: args}
	err := app.RunContext(ctx, permute(app, args))
	if err == nil {
		return exitOK
	}
	if msg := explain(err); msg != "" {
		fmt.Fprintln(stderr, "hubfs: "+msg)
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}
	app := &cli.App{
		Name:      "hubfs",
		HelpName:  "hubfs",
		Usage:     "the Hugging Face Hub as a directory",
		UsageText: "hubfs COMMAND [flags] [arguments]",
		Description: "Mounts repositories of the Hub, reads only what is touched, and shares its cache with\n" +
			"huggingface_hub. Begin with: hubfs demo",
		Version:                   versionString(),
		Reader:                    stdin,
		Writer:                    stdout,
		ErrWriter:                 stderr,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		OnUsageError:              usageErrorOf,
		ExitErrHandler:            func(*cli.Context, error) {},
		Commands: []*cli.Command{
			mountCommand(),
			umountCommand(),
			statusCommand(),
			flushCommand(),
			refreshCommand(),
			waitCommand(),
			warmCommand(),
			discardCommand(),
			recoverCommand(),
			syncCommand(),
			downloadCommand(),
			uploadCommand(),
			uploadLargeCommand(),
			apiCommand(),
			jobsCommand(),
			cacheCommand(),
			serveCommand(),
			demoCommand(),
			doctorCommand(),
			completionCommand(),
			completeWordsCommand(),
			guardCommand(),
			versionCommand(),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Len() == 0 {
				_ = cli.ShowAppHelp(c)
				return &usageError{}
			}
			return unknownCommand(c.App.Commands, "hubfs", c.Args().First())
		},
	}
	for _, c := range app.Commands {
		prepareCommand(c, "hubfs "+c.Name)
	}
	return app
}

// prepareCommand gives every command what all have in common.
func prepareCommand(c *cli.Command, path string) {
	c.HideHelpCommand = true
	c.OnUsageError = usageErrorOf
	for _, f := range c.Flags {
		if b, ok := f.(*cli.BoolFlag); ok {
			b.DisableDefaultText = true // that a switch is off by default goes without saying
		}
	}
	for _, sub := range c.Subcommands {
		prepareCommand(sub, path+" "+sub.Name)
	}
	if len(c.Subcommands) > 0 {
		subs := c.Subcommands
		c.Action = func(cc *cli.Context) error {
			if cc.Args().Len() == 0 {
				_ = cli.ShowSubcommandHelp(cc)
				return &usageError{}
			}
			return unknownCommand(subs, path, cc.Args().First())
		}
	}
}

func unknownCommand(commands []*cli.Command, path, name string) error {
	var known []string
	for _, c := range commands {
		if !c.Hidden {
			known = append(known, c.Name)
		}
	}
	return usagef("no command %q; %s has: %s", name, path, strings.Join(known, ", "))
}

func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
