package main

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"
)

// finding is the result of one check of doctor.
type finding struct {
	Check string `json:"check"`
	// Status is "ok", "warning" (works, but something will be missed) or "problem" (won't work).
	Status string `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // a command or a setting
}

const (
	statusOK      = "ok"
	statusWarning = "warning"
	statusProblem = "problem"
)

func ok(format string, args ...any) finding {
	return finding{Status: statusOK, Detail: fmt.Sprintf(format, args...)}
}

func warning(fix, format string, args ...any) finding {
	return finding{Status: statusWarning, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func problem(fix, format string, args ...any) finding {
	return finding{Status: statusProblem, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:        "doctor",
		Usage:       "say what this machine lacks, and the command that mends it",
		Description: "Changes nothing. The exit status is 1 if something won't work.",
		Flags:       append(hubFlags(), &cli.StringFlag{Name: "state-dir", Usage: "`DIR` for logs and state (default: XDG_STATE_HOME/hubfs)"}, jsonFlag()),
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 0, 0); err != nil {
				return err
			}
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			findings := examine(c, cfg, allChecks)
			problems := 0
			for _, f := range findings {
				if f.Status == statusProblem {
					problems++
				}
			}
			if c.Bool("json") {
				err = printJSON(c.App.Writer, findings)
			} else {
				err = printFindings(c, findings)
			}
			if err == nil && problems > 0 {
				err = fmt.Errorf("%s found; the lines with \"fix:\" tell what mends them", plural(problems, "problem"))
			}
			return err
		},
	}
}

func printFindings(c *cli.Context, findings []finding) error {
	var rows [][]string
	for _, f := range findings {
		rows = append(rows, []string{f.Status, f.Check, f.Detail})
		if f.Fix != "" {
			rows = append(rows, []string{"", "", "fix: " + f.Fix})
		}
	}
	return printTable(c.App.Writer, rows)
}

// check is one that doctor makes; it gives at least one finding.
type check struct {
	name string
	run  func(*cli.Context, *config) []finding
}

// mountChecks look at what mounting itself needs; they take no configuration.
var mountChecks = []check{
	{"/dev/fuse", checkDevice},
	{"fusermount3", checkFusermount},
}

// allChecks are in the order in which they matter.
var allChecks = append(slices.Clone(mountChecks), []check{
	{"allow-other", checkAllowOther},
	{"kernel", checkKernel},
	{"fuse limits", checkFuseLimits},
	{"mounts", checkMounts},
	{"cache", checkCache},
	{"state", checkState},
	{"socket", checkSocket},
	{"endpoint", checkEndpoint},
	{"token", checkToken},
}...)

func examine(c *cli.Context, cfg *config, checks []check) []finding {
	var findings []finding
	for _, check := range checks {
		for _, f := range check.run(c, cfg) {
			f.Check = check.name
			findings = append(findings, f)
		}
	}
	return findings
}
