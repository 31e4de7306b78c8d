package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/writeback"
)

func recoverCommand() *cli.Command {
	return &cli.Command{
		Name:      "recover",
		Usage:     "list changes left by dead mounts, and save them",
		ArgsUsage: "[SOURCE]",
		Description: "Changes that a mount couldn't commit before it ended, by a crash for example, stay on this disk. The\n" +
			"next mount of the same branch by the same user takes them over; this is for when there is none.\n" +
			"SOURCE is NAMESPACE/NAME[@BRANCH] as for hubfs mount: only what belongs to it.\n\n" +
			"Examples:\n" +
			"   hubfs recover                        what there is\n" +
			"   hubfs recover --push me/model        commit it\n" +
			"   hubfs recover --export ~/saved       copy the files; they stay staged, too",
		Flags: append(hubFlags(),
			&cli.BoolFlag{Name: "push", Usage: "commit them"},
			&cli.StringFlag{Name: "export", Usage: "copy the changed files to `DIR`, below a folder for each branch; needs no network for what is whole here"},
			&cli.StringFlag{Name: "state-dir", Usage: "`DIR` that the mounts were given (default: XDG_STATE_HOME/hubfs)"},
			&cli.StringFlag{Name: "on-conflict", Value: string(writeback.KeepBoth), Usage: "`MODE` for files that others changed, too: keep-both, ours, theirs, fail"},
			&cli.BoolFlag{Name: "create-pr", Usage: "commit to a pull request"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up pushing after this time (default: never)"},
			jsonFlag(),
		),
		Action: runRecover,
	}
}

// leftover is a journal of a dead mount, and what was done about it.
type leftover struct {
	Endpoint  string               `json:"endpoint"`
	User      string               `json:"user"`
	Repo      string               `json:"repo"`
	Type      string               `json:"type"`
	Revision  string               `json:"revision"`
	Dir       string               `json:"dir"`                // of the journal
	Last      time.Time            `json:"last,omitzero"`      // when the last change was made
	Paths     []string             `json:"paths"`              // that are changed
	Commits   []writeback.Commit   `json:"commits,omitempty"`  // of --push
	Failed    []writeback.Change   `json:"failed,omitempty"`   // of --push: what could not be committed
	Exported  []writeback.Change   `json:"exported,omitempty"` // of --export
	Recovered *writeback.Recovered `json:"recovered,omitempty"`
	Error     string               `json:"error,omitempty"`

	key writeback.Key
	err error
}

func (l *leftover) name() string {
	return fs.Source{Repo: l.key.Repo, Revision: l.Revision}.String()
}

func runRecover(c *cli.Context) error {
	if err := needArgs(c, 0, 1); err != nil {
		return err
	}
	if c.Bool("push") && c.IsSet("export") {
		return usagef("--push and --export are two things: --export first, then --push")
	}
	mode, err := writeback.ParseOnConflict(c.String("on-conflict"))
	if err != nil {
		return usagef("--%v", err)
	}
	state, err := stateDirOf(c)
	if err != nil {
		return err
	}
	left, err := leftovers(state, c.Args().First())
	if err != nil {
		return err
	}
	switch {
	case c.Bool("push"):
		err = pushLeft(c, left, writeback.Options{StateDir: state, OnConflict: mode, CreatePR: c.Bool("create-pr")})
	case c.String("export") != "":
		err = exportLeft(c, left, state)
	case c.IsSet("export"):
		return usagef("--export: give a folder")
	}
	if err != nil {
		return err
	}
	return errors.Join(printLeft(c, left), leftError(left))
}

// leftovers are the journals with changes that no mount has open.
func leftovers(state, source string) ([]*leftover, error) {
	var want fs.Source
	if source != "" {
		var err error
		if want, err = fs.ParseSource(source); err != nil {
			return nil, usagef("%v", err)
		}
	}
	journals, err := writeback.Journals(state)
	if err != nil {
		return nil, err
	}
	left := []*leftover{}
	for _, j := range journals {
		if j.Live || len(j.Changes) == 0 && j.Err == nil ||
			source != "" && (want.Repo != j.Key.Repo || want.Revision != "" && want.Revision != j.Key.Branch) {
			continue
		}
		l := &leftover{
			Endpoint: j.Key.Endpoint, User: j.Key.User, Repo: j.Key.Repo.ID, Type: string(j.Key.Repo.Type), Revision: j.Key.Branch,
			Dir: j.Dir, Last: j.Last, Paths: j.Changes, key: j.Key,
		}
		if l.Paths == nil {
			l.Paths = []string{}
		}
		if j.Err != nil {
			l.fail(j.Err)
		}
		left = append(left, l)
	}
	return left, nil
}

func (l *leftover) fail(err error) {
	l.err, l.Error = errors.Join(l.err, err), explain(err)
}

// pushLeft commits what the journals have, each by itself: what goes wrong with one is its own.
func pushLeft(c *cli.Context, left []*leftover, opts writeback.Options) error {
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	if opts.Hub, err = cfg.client(cfg.Token); err != nil {
		return err
	}
	cache, err := blobcache.Open(blobcache.Options{Hub: opts.Hub, CacheDir: cfg.HubCache, Offline: cfg.Offline, Logger: cfg.Logger})
	if err != nil {
		return err
	}
	opts.Blob = func(f blobcache.File) (writeback.Blob, error) { return cache.Open(f) }
	opts.Keep, opts.Logger = cache.AddLocal, cfg.Logger
	ctx := c.Context
	if d := c.Duration("timeout"); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	for _, l := range left {
		if l.err == nil {
			if err := l.push(ctx, opts, cfg.Endpoint); err != nil {
				l.fail(fmt.Errorf("%s: %w", l.name(), err))
			}
		}
	}
	return cache.Close()
}

func (l *leftover) push(ctx context.Context, opts writeback.Options, endpoint string) (err error) {
	if l.Endpoint != endpoint {
		return fmt.Errorf("the changes are for %s, not for %s; give --endpoint %s and a token for it", l.Endpoint, endpoint, l.Endpoint)
	}
	user := ""
	if who, err := opts.Hub.WhoAmI(ctx); err == nil {
		user = who.Name
	} else if !errors.Is(err, hub.ErrUnauthorized) {
		return err
	}
	if user != l.User && l.User != "" {
		return fmt.Errorf("the changes are %s's, and the token is not; give --token-file", l.User)
	}
	trees := &writeback.HubTrees{Hub: opts.Hub, Repo: l.key.Repo}
	opts.OpenTree = trees.Open
	if opts.Tree, err = trees.Open(ctx, l.Revision, ""); err != nil {
		return err
	}
	b, err := writeback.Open(ctx, l.key, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	recovered := b.Recovered()
	l.Recovered = &recovered
	res, err := b.Flush(ctx, "")
	l.Commits, l.Failed = res.Commits, res.Failed
	return err
}

// exportLeft copies what the journals have to a folder for each branch.
func exportLeft(c *cli.Context, left []*leftover, state string) error {
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(c.String("export"))
	if err != nil {
		return err
	}
	client, err := cfg.client(cfg.Token)
	if err != nil {
		return err
	}
	cache, err := blobcache.Open(blobcache.Options{Hub: client, CacheDir: cfg.HubCache, Offline: cfg.Offline, Logger: cfg.Logger})
	if err != nil {
		return err
	}
	for _, l := range left {
		if l.err != nil {
			continue
		}
		opts := writeback.Options{StateDir: state, Tree: writeback.Unlisted{}, Logger: cfg.Logger}
		if l.Endpoint == cfg.Endpoint {
			opts.Blob = func(f blobcache.File) (writeback.Blob, error) { return cache.Open(f) }
		} else {
			opts.Blob = func(blobcache.File) (writeback.Blob, error) {
				return nil, fmt.Errorf("the rest of the file is on %s; give --endpoint", l.Endpoint)
			}
		}
		if err := l.export(c.Context, opts, filepath.Join(dir, filepath.FromSlash(l.name()))); err != nil {
			l.fail(fmt.Errorf("%s: %w", l.name(), err))
		}
	}
	return cache.Close()
}

func (l *leftover) export(ctx context.Context, opts writeback.Options, dir string) (err error) {
	b, err := writeback.Open(ctx, l.key, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	recovered := b.Recovered()
	l.Recovered = &recovered
	l.Exported, err = b.Export(ctx, dir)
	return err
}

// maxPaths is how many paths of a journal are printed for people.
const maxPaths = 20

func printLeft(c *cli.Context, left []*leftover) error {
	w := c.App.Writer
	if c.Bool("json") {
		return printJSON(w, left)
	}
	if len(left) == 0 {
		fmt.Fprintln(w, "no changes of dead mounts")
		return nil
	}
	for _, l := range left {
		user := l.User
		if user == "" {
			user = "anonymous"
		}
		fmt.Fprintf(w, "%s (%s as %s): %s, last %s\n", l.name(), l.Endpoint, user, plural(len(l.Paths), "change"), ago(l.Last))
		if l.Recovered != nil {
			for _, line := range describeRecovery(fs.Recovery{Repo: l.Repo, Revision: l.Revision, Recovered: *l.Recovered})[min(1, l.Recovered.Changes):] {
				fmt.Fprintln(w, "  "+line)
			}
		}
		switch {
		case len(l.Commits) > 0 || len(l.Failed) > 0:
			for _, commit := range l.Commits {
				printCommits(w, []fs.Commit{{Repo: l.Repo, Type: l.Type, Revision: l.Revision, Commit: commit}})
			}
			if err := printTable(w, leftRows(l.Failed)); err != nil {
				return err
			}
		case len(l.Exported) > 0:
			if err := printTable(w, leftRows(l.Exported)); err != nil {
				return err
			}
		default:
			for _, p := range l.Paths[:min(maxPaths, len(l.Paths))] {
				fmt.Fprintln(w, "  "+p)
			}
			if n := len(l.Paths) - maxPaths; n > 0 {
				fmt.Fprintf(w, "  and %d more\n", n)
			}
		}
	}
	if !c.Bool("push") && c.String("export") == "" {
		fmt.Fprintln(w, "mount the branch again, or: hubfs recover --push, hubfs recover --export DIR")
	}
	return nil
}

func leftRows(changes []writeback.Change) [][]string {
	var all []fs.Change
	for _, ch := range changes {
		all = append(all, fs.Change{Change: ch})
	}
	return changeRows(all)
}

// leftError is one line of what went wrong.
func leftError(left []*leftover) error {
	var errs []string
	failed := 0
	for _, l := range left {
		if l.err != nil {
			errs = append(errs, l.Error)
		}
		failed += len(l.Failed)
	}
	if failed > 0 {
		errs = append(errs, fmt.Sprintf("%s could not be committed, and stay staged", plural(failed, "path")))
	}
	if len(errs) == 0 {
		return nil
	}
	return errors.New(strings.Join(errs, "; "))
}
