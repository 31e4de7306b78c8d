package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/control"
	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/writeback"
)

// stopTimeout is for how long what is staged is pushed at the end of a mount, by default.
const stopTimeout = time.Minute

// writeFlags are those of a mount that takes changes.
func writeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "read-only", Usage: "refuse writes (also -o ro)"},
		&cli.StringFlag{Name: "every", Value: "5m", Usage: "commit what is staged every `TIME`; a bare number is minutes, 0 is never by itself"},
		&cli.DurationFlag{Name: "max-delay", Usage: "commit a folder in which a file is open for writing at the latest after this time (default: when it is closed)"},
		&cli.StringFlag{Name: "fsync", Value: string(fs.FsyncAuto), Usage: "`MODE`: auto: an fsynced file is committed soon after it is closed, and sync PATH waits for the commit; " +
			"commit: every fsync waits for one; local: none makes one"},
		&cli.DurationFlag{Name: "sync-timeout", Value: 5 * time.Minute, Usage: "how long sync PATH waits for the commit"},
		&cli.DurationFlag{Name: "stop-timeout", Value: stopTimeout, Usage: "how long what is staged is pushed at the end of the mount"},
		&cli.StringFlag{Name: "on-conflict", Value: string(writeback.KeepBoth), Usage: "`MODE` for files that others changed, too: keep-both, ours, theirs, fail"},
		&cli.BoolFlag{Name: "create-pr", Usage: "commit to a pull request of its own; read access is enough"},
		&cli.BoolFlag{Name: "atomic", Usage: "a file that the Hub refuses holds back the rest of its commit"},
		&cli.IntFlag{Name: "max-commits-per-hour", Value: 60, Usage: "limit of commits that nobody asked for, for each branch"},
		&cli.StringSliceFlag{Name: "commit-open", Usage: "`PATTERN` of logs, which are committed while they are open (more than once; !PATTERN takes one away; default: " +
			strings.Join(writeback.DefaultCommitOpen(), " ") + ")"},
		&cli.StringSliceFlag{Name: "local-only", Usage: "`PATTERN` of names that never leave this machine (more than once; !PATTERN takes one away; default: " +
			strings.Join(writeback.DefaultLocalOnly(), " ") + ")"},
	}
}

// writePlan is how a mount is to write; its Options are nil if it isn't.
type writePlan struct {
	*fs.WriteOptions
	stopTimeout time.Duration
	why         string // it is read-only
}

// planWriting reads writeFlags.
func planWriting(c *cli.Context) (*writePlan, error) {
	p := &writePlan{stopTimeout: c.Duration("stop-timeout"), WriteOptions: &fs.WriteOptions{
		SyncTimeout: c.Duration("sync-timeout"), MaxDelay: c.Duration("max-delay"),
		CreatePR: c.Bool("create-pr"), Atomic: c.Bool("atomic"), MaxCommitsPerHour: c.Int("max-commits-per-hour"),
	}}
	var err error
	if p.Every, err = parseEvery(c.String("every")); err != nil {
		return nil, usagef("--every: %v", err)
	}
	if p.Fsync, err = fs.ParseFsyncMode(c.String("fsync")); err != nil {
		return nil, usagef("--fsync: %v", err)
	}
	if p.OnConflict, err = writeback.ParseOnConflict(c.String("on-conflict")); err != nil {
		return nil, usagef("--%v", err)
	}
	for _, name := range []string{"max-delay", "sync-timeout", "stop-timeout"} {
		if c.Duration(name) < 0 {
			return nil, usagef("--%s: %s is negative", name, c.Duration(name))
		}
	}
	if p.SyncTimeout == 0 {
		return nil, usagef("--sync-timeout: must be more than 0")
	}
	if p.MaxCommitsPerHour < 1 {
		return nil, usagef("--max-commits-per-hour: at least 1; --every 0 makes no commits by itself")
	}
	if p.CommitOpen, err = patterns(writeback.DefaultCommitOpen(), c.StringSlice("commit-open")); err != nil {
		return nil, usagef("--commit-open: %v", err)
	}
	if p.LocalOnly, err = patterns(writeback.DefaultLocalOnly(), c.StringSlice("local-only")); err != nil {
		return nil, usagef("--local-only: %v", err)
	}
	if p.StateDir, err = stateDirOf(c); err != nil {
		return nil, err
	}
	readOnly := c.Bool("read-only") || wantsReadOnly(c)
	switch {
	case (readOnly || c.Bool("pin")) && p.CreatePR:
		return nil, usagef("--create-pr writes, --read-only and --pin don't: leave one of them out")
	case readOnly:
		p.WriteOptions, p.why = nil, ""
	case c.Bool("pin"):
		p.WriteOptions, p.why = nil, "pinned"
	}
	return p, nil
}

// parseEvery reads a time; a bare number is minutes.
func parseEvery(s string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		if n < 0 || n > 1e6 {
			return 0, fmt.Errorf("%q is no number of minutes", s)
		}
		return time.Duration(n * float64(time.Minute)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no time such as 90s, 5m, or a number of minutes", s)
	}
	return d, nil
}

// patterns are the default ones as changed by a flag.
func patterns(list, changes []string) ([]string, error) {
	for _, p := range changes {
		name, remove := strings.CutPrefix(p, "!")
		if _, err := filepath.Match(strings.TrimSuffix(name, "/"), ""); err != nil || strings.Trim(name, "/") == "" ||
			strings.Contains(strings.TrimSuffix(name, "/"), "/") {
			return nil, fmt.Errorf("%q is no pattern for a name, such as *.tmp or build/", p)
		}
		if i := slices.Index(list, name); !remove && i < 0 {
			list = append(list, name)
		} else if remove && i < 0 {
			return nil, fmt.Errorf("%q isn't in the list: %s", name, strings.Join(list, " "))
		} else if remove {
			list = slices.Delete(list, i, i+1)
		}
	}
	return list, nil
}

// stateDirOf is where state is kept, as an absolute path.
func stateDirOf(c *cli.Context) (string, error) {
	dir := c.String("state-dir")
	if dir == "" {
		return stateDir()
	}
	return filepath.Abs(dir)
}

// control is what the socket has to know of it.
func (p *writePlan) control() *control.Writing {
	if p.WriteOptions == nil {
		return nil
	}
	return &control.Writing{Every: p.Every, StopTimeout: p.stopTimeout}
}

// describe says whether and when the mount commits.
func (p *writePlan) describe(st fs.Status) string {
	if p.WriteOptions == nil {
		return readOnlyBecause(p.why)
	}
	target := ""
	if st.Source != "" && len(st.Branches) > 0 {
		b := st.Branches[0]
		if !b.Writable {
			return readOnlyBecause(b.ReadOnlyReason)
		}
		target = " to " + b.Repo + "@" + b.Revision
	} else if st.ReadOnly {
		return readOnlyBecause("")
	}
	if p.CreatePR {
		target = " to a pull request of its own"
		if st.Source == "" {
			target = " to pull requests"
		}
	}
	var when []string
	if p.Every > 0 {
		when = append(when, "every "+brief(p.Every))
	}
	switch p.Fsync {
	case fs.FsyncAuto:
		when = append(when, "on sync")
	case fs.FsyncCommit:
		when = append(when, "on every fsync")
	case fs.FsyncLocal:
		when = append(when, "on hubfs flush")
	}
	out := "read-write: commits" + target + " " + strings.Join(when, ", ")
	if p.stopTimeout > 0 {
		out += " and at unmount"
	}
	if st.Offline {
		out += ", once it is mounted without --offline"
	}
	return out
}

func readOnlyBecause(why string) string {
	if why == "" {
		return "read-only"
	}
	return "read-only: " + why
}

// brief is a time without its zero parts: 5m, not 5m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// notices are what whoever mounts should know of what is staged: what was taken over, what else lies
// there, and where it isn't safe.
func (p *writePlan) notices(recovered []fs.Recovery) []string {
	if p.WriteOptions == nil {
		return nil
	}
	var out []string
	for _, r := range recovered {
		out = append(out, describeRecovery(r)...)
	}
	if writeback.InMemory(p.StateDir) {
		out = append(out, fmt.Sprintf("warning: %s is in memory: what isn't committed is lost when the machine stops; give --state-dir", p.StateDir))
	}
	journals, err := writeback.Journals(p.StateDir)
	if err != nil {
		return append(out, fmt.Sprintf("warning: what dead mounts have left can't be listed: %v", err))
	}
	left := 0
	for _, j := range journals {
		if !j.Live && (len(j.Changes) > 0 || j.Err != nil) {
			left++
		}
	}
	if left > 0 {
		out = append(out, fmt.Sprintf("note: of dead mounts there is %s in %s; hubfs recover lists them", plural(left, "other journal"), p.StateDir))
	}
	return out
}

func describeRecovery(r fs.Recovery) []string {
	name := r.Repo + "@" + r.Revision
	var out []string
	if r.Changes > 0 {
		out = append(out, fmt.Sprintf("took over %s of %s from a mount that ended before", plural(r.Changes, "change"), name))
	}
	if len(r.Torn) > 0 {
		out = append(out, fmt.Sprintf("warning: half-written when it ended, and committed only if saved again: %s", list(r.Torn)))
	}
	if r.Damaged > 0 {
		out = append(out, fmt.Sprintf("warning: the journal of %s was damaged in %s; what verifies was taken over", name, plural(r.Damaged, "place")))
	}
	if len(r.Lost) > 0 {
		out = append(out, fmt.Sprintf("warning: content was lost of: %s", list(r.Lost)))
	}
	if len(r.Aside) > 0 {
		out = append(out, fmt.Sprintf("warning: what isn't accounted for is kept in: %s", list(r.Aside)))
	}
	return out
}

// list names a few of many.
func list(names []string) string {
	const few = 10
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:few], ", ") + fmt.Sprintf(" and %d more", len(names)-few)
}

// whatStays is the error of a mount that ended with changes that aren't committed; nil if none did.
func whatStays(dir string, r control.PushReport) error {
	if len(r.Staged) == 0 {
		return nil
	}
	msg := fmt.Sprintf("%s of %s stay staged", plural(len(r.Staged), "change"), dir)
	if r.Error != "" {
		msg += " (" + r.Error + ")"
	}
	return errors.New(msg + "; mount it again, or run: hubfs recover --push")
}
