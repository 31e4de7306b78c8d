package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/hub"
)

// usageError is a command line that can't be meant; the exit status is 2.
type usageError struct {
	msg string // "" where help has been printed instead
}

func (e *usageError) Error() string { return e.msg }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// usageErrorOf is what cli calls for flags that it can't parse.
func usageErrorOf(c *cli.Context, err error, _ bool) error {
	path := "hubfs"
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != "hubfs" {
		path = c.Command.HelpName
	}
	return usagef("%v; see: %s --help", err, path)
}

// needArgs checks the number of arguments.
func needArgs(c *cli.Context, least, most int) error {
	n := c.Args().Len()
	if n >= least && n <= most {
		return nil
	}
	what := "too few arguments"
	if n > most {
		what = fmt.Sprintf("unexpected argument %q", c.Args().Get(most))
	}
	return usagef("%s: %s; usage: %s %s", c.Command.HelpName, what, c.Command.HelpName, c.Command.ArgsUsage)
}

// explain makes one line of an error, with what to do next where that is known.
func explain(err error) string {
	msg := strings.Join(strings.Fields(err.Error()), " ")
	if msg == "" {
		return ""
	}
	if h := hint(err); h != "" && !strings.Contains(msg, h) {
		msg = strings.TrimSuffix(msg, ".") + "; " + h
	}
	return msg
}

// hint is the next step after an error of the Hub or of this machine.
func hint(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, hub.ErrGatedRepo):
		return "ask for access on the repository's page"
	case errors.Is(err, hub.ErrRepoNotFound):
		return "check the name and the type, and that your token may see it"
	case errors.Is(err, hub.ErrRevisionNotFound):
		return "hubfs api list_repo_refs lists the branches and tags"
	case errors.Is(err, hub.ErrEntryNotFound):
		return "hubfs api list_repo_files lists the files"
	case errors.Is(err, hub.ErrUnauthorized):
		return "check the token: HF_TOKEN, or the file of --token-file"
	case errors.Is(err, hub.ErrForbidden):
		return "the token lacks the right; hubfs api whoami tells whose it is"
	case errors.Is(err, hub.ErrRateLimited):
		return "hubfs status shows the quota that is left"
	case errors.Is(err, hub.ErrOffline):
		return "unset HF_HUB_OFFLINE or drop --offline"
	case errors.Is(err, hub.ErrUnavailable):
		return "check the network and HF_ENDPOINT, or run: hubfs doctor"
	case errors.Is(err, syscall.ENOSPC):
		return "make room: hubfs cache prune --to SIZE"
	}
	return ""
}
