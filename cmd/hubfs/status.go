package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/control"
	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/writeback"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:        "status",
		Usage:       "show mounts, branches, syncs, cache and quota",
		ArgsUsage:   "[DIR]",
		Description: "Of the mount or the sync that DIR lies in, or of all of this user.",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 0, 1); err != nil {
				return err
			}
			var st *control.Status
			var err error
			if dir := c.Args().First(); dir != "" {
				st, err = control.StatusOf(c.Context, dir)
			} else {
				st, err = control.Collect(c.Context)
			}
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return printJSON(c.App.Writer, st)
			}
			return printStatus(c.App.Writer, st)
		},
	}
}

func printStatus(w io.Writer, st *control.Status) error {
	if err := printSyncs(w, st.Syncs); err != nil {
		return err
	}
	if len(st.Mounts) == 0 && len(st.Syncs) > 0 {
		return printTable(w, quotaRows(st.Quota))
	}
	if len(st.Mounts) == 0 {
		fmt.Fprintln(w, "nothing is mounted; hubfs mount --help tells how")
		return nil
	}
	for _, m := range st.Mounts {
		if m.Error != "" {
			fmt.Fprintf(w, "%s: %s\n", m.Dir, m.Error)
			continue
		}
		source := m.Source
		if source == "" {
			source = "the whole Hub"
		}
		mode := ""
		if m.ReadOnly {
			mode = ", read-only"
		}
		user := m.User
		if user == "" {
			user = "anonymous"
		}
		fmt.Fprintf(w, "%s: %s (%s as %s, pid %d%s)\n", m.Dir, source, m.Endpoint, user, m.PID, mode)
		if err := errors.Join(printBranches(w, m), printTable(w, changeRows(m.Changes)), printTable(w, uploadRows(m.Uploads))); err != nil {
			return err
		}
	}
	if st.Cache.Dir == "" { // no daemon answered
		return nil
	}
	fmt.Fprintln(w)
	return printTable(w, append(cacheRows(st.Cache), quotaRows(st.Quota)...))
}

func printBranches(w io.Writer, m control.MountStatus) error {
	var rows [][]string
	for _, b := range m.Branches {
		state := "seen " + ago(b.PolledAt)
		if b.Pinned {
			state = "pinned"
		}
		if b.Error != "" {
			state = b.Error
		}
		row := []string{"  " + b.Repo + "@" + b.Revision, short(b.Head), state}
		if !m.ReadOnly {
			row = append(row, writeState(b, m.Every))
		}
		rows = append(rows, row)
	}
	return printTable(w, rows)
}

// writeState says what isn't committed of a branch, and when it will be.
func writeState(b fs.BranchStatus, every float64) string {
	if !b.Writable {
		return readOnlyBecause(b.ReadOnlyReason)
	}
	var parts []string
	for _, n := range []struct {
		count int
		what  writeback.State
	}{
		{b.Staged, writeback.Staged}, {b.Committing, writeback.Committing}, {b.Failed, writeback.Failed},
		{b.Conflict, writeback.Conflict}, {b.Local, writeback.Local}, {b.Ignored, writeback.Ignored},
	} {
		if n.count > 0 {
			parts = append(parts, strconv.Itoa(n.count)+" "+n.what.String())
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing staged")
	} else if b.Bytes > 0 {
		parts = append(parts, size(b.Bytes))
	}
	if !b.Oldest.IsZero() {
		parts = append(parts, "oldest "+ago(b.Oldest))
	}
	if !b.NextCommit.IsZero() && b.Staged > 0 {
		parts = append(parts, "commits "+in(b.NextCommit))
	} else if every == 0 && b.Staged > 0 {
		parts = append(parts, "commits at hubfs flush")
	}
	if b.LastCommit != nil {
		parts = append(parts, "last commit "+short(b.LastCommit.OID)+" "+ago(b.LastCommit.Time))
	}
	if b.WriteError != "" {
		parts = append(parts, b.WriteError)
		if !b.RetryAt.IsZero() {
			parts = append(parts, "again "+in(b.RetryAt))
		}
	}
	return strings.Join(parts, ", ")
}

func uploadRows(uploads []fs.Upload) [][]string {
	var rows [][]string
	for _, up := range uploads {
		rows = append(rows, []string{"  uploading", up.Path, size(up.Bytes) + " of " + size(up.Total)})
	}
	return rows
}

// in is a time ahead.
func in(t time.Time) string {
	return "in " + max(0, time.Until(t)).Round(time.Second).String()
}

func cacheRows(cs control.CacheStatus) [][]string {
	limit := ""
	if cs.MaxSize > 0 {
		limit = " of " + size(cs.MaxSize)
	}
	return [][]string{
		{"cache", fmt.Sprintf("%s whole, %s partial%s, in %s", size(cs.WholeBytes), size(cs.PartialBytes), limit, cs.Dir)},
		{"", fmt.Sprintf("%s fetched, %s served since the mount", size(cs.FetchedBytes), size(cs.ServedBytes))},
	}
}

func quotaRows(quota map[string]control.QuotaStatus) [][]string {
	var classes []string
	for class := range quota {
		classes = append(classes, class)
	}
	slices.Sort(classes)
	var rows [][]string
	for _, class := range classes {
		q := quota[class]
		rows = append(rows, []string{"quota " + class, strconv.FormatInt(q.Remaining, 10) + " of " + strconv.FormatInt(q.Limit, 10) +
			" requests left, for " + (time.Duration(q.ResetIn) * time.Second).String() + "; " + strconv.FormatInt(q.Used, 10) + " sent since the mount"})
	}
	return rows
}

func short(commit string) string {
	if len(commit) > 12 {
		return commit[:12]
	}
	return commit
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return time.Since(t).Round(time.Second).String() + " ago"
}
