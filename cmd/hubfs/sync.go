package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/control"
	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/syncer"
)

func syncCommand() *cli.Command {
	return &cli.Command{
		Name:      "sync",
		Usage:     "push a folder to a repository, again and again",
		ArgsUsage: "FOLDER REPO",
		Description: "REPO is [hf://][models/|datasets/|spaces/]NAMESPACE/NAME[@BRANCH][/FOLDER]; it is created if it doesn't\n" +
			"exist. What is new or changed in FOLDER becomes a commit, at once and then every --every; files that\n" +
			"are removed here stay there. Programs may go on writing: a file is taken as far as it was there, lines\n" +
			"of *.log, *.jsonl, *.csv, *.txt and *.out as far as they are whole. What was pushed is remembered:\n" +
			"started again, it goes on where it was. It is CommitScheduler of huggingface_hub as a command.\n\n" +
			"Returns when it runs, and leaves a daemon behind. hubfs flush FOLDER pushes now, and so does the signal\n" +
			"USR1; hubfs sync --stop FOLDER, or the signals TERM, INT and HUP, push a last time and end it; hubfs\n" +
			"status shows how it goes. Patterns match whole paths, and * also matches /.\n\n" +
			"Examples:\n" +
			"   hubfs sync runs/ me/my-runs && python train.py --logdir runs/ ; hubfs sync --stop runs/\n" +
			"   hubfs sync --every 15 --private --include '*.jsonl' feedback/ datasets/me/feedback/raw\n" +
			"   hubfs sync -f --squash-history /var/lib/app/state spaces/me/app-state@backup",
		Flags: slices.Concat(hubFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "foreground", Aliases: []string{"f"}, Usage: "stay in the foreground; ^C pushes a last time and ends"},
			&cli.StringFlag{Name: "every", Value: "5m", Usage: "push every `TIME`; a bare number is minutes, 0 is never by itself"},
			&cli.StringFlag{Name: "path-in-repo", Usage: "`FOLDER` of the repository that the files go to"},
			&cli.StringSliceFlag{Name: "include", Aliases: []string{"allow-patterns"}, Usage: "only files that match `PATTERN` (more than once)"},
			&cli.StringSliceFlag{Name: "exclude", Aliases: []string{"ignore-patterns"}, Usage: "no files that match `PATTERN` (more than once)"},
			&cli.BoolFlag{Name: "private", Usage: "if the repository has to be created, make it private"},
			&cli.BoolFlag{Name: "squash-history", Usage: "make one commit of the branch's whole history after each push"},
			&cli.IntFlag{Name: "max-commits-per-hour", Value: syncer.DefaultMaxCommitsPerHour, Usage: "limit of commits that nobody asked for"},
			&cli.DurationFlag{Name: "stop-timeout", Value: stopTimeout, Usage: "how long the last push may take"},
			&cli.BoolFlag{Name: "stop", Usage: "end the sync of FOLDER after a last push"},
			&cli.StringFlag{Name: "state-dir", Usage: "`DIR` for what was pushed, and logs (default: XDG_STATE_HOME/hubfs)"},
			&cli.StringFlag{Name: "log-file", Usage: "the daemon's log (default: a file in the state dir; with -f stderr)"},
			&cli.BoolFlag{Name: "debug", Usage: "log every request"},
			jsonFlag(),
		}),
		Action: runSync,
	}
}

// syncPlan is what a sync command asks for, checked, with absolute paths.
type syncPlan struct {
	cfg     *config
	options syncer.Options
	logFile string
}

func runSync(c *cli.Context) error {
	if c.Bool("stop") {
		if err := needArgs(c, 1, 1); err != nil {
			return err
		}
		return stopSync(c, c.Args().First())
	}
	plan, err := planSync(c)
	if err != nil {
		return report(err)
	}
	if !c.Bool("foreground") && !isDaemon() {
		return startDaemon(c, plan.logFile)
	}
	return report(serveSync(c, plan))
}

func planSync(c *cli.Context) (*syncPlan, error) {
	if err := needArgs(c, 2, 2); err != nil {
		return nil, err
	}
	target, err := fs.ParseSource(c.Args().Get(1))
	if err != nil {
		return nil, usagef("%s: %v", c.Command.HelpName, err)
	}
	p := &syncPlan{options: syncer.Options{
		Repo: target.Repo, Revision: target.Revision, PathInRepo: filepath.Join(target.Sub, c.String("path-in-repo")),
		Ignore: c.StringSlice("exclude"), Private: c.Bool("private"), SquashHistory: c.Bool("squash-history"),
		MaxCommitsPerHour: c.Int("max-commits-per-hour"), StopTimeout: c.Duration("stop-timeout"),
	}}
	o := &p.options
	if c.IsSet("include") {
		o.Allow = c.StringSlice("include")
	}
	if o.Every, err = parseEvery(c.String("every")); err != nil {
		return nil, usagef("--every: %v", err)
	}
	if o.StopTimeout < 0 {
		return nil, usagef("--stop-timeout: %s is negative", o.StopTimeout)
	}
	if o.MaxCommitsPerHour < 1 {
		return nil, usagef("--max-commits-per-hour: at least 1; --every 0 makes no commits by itself")
	}
	if p.cfg, err = loadConfig(c); err != nil {
		return nil, err
	}
	o.Endpoint = p.cfg.Endpoint
	if o.StateDir, err = stateDirOf(c); err != nil {
		return nil, err
	}
	if o.Folder, err = filepath.Abs(c.Args().First()); err != nil {
		return nil, err
	}
	p.logFile = filepath.Join(o.StateDir, "log", "sync-"+filepath.Base(o.Folder)+"-"+shortHash(o.Folder)+".log")
	if s := c.String("log-file"); s != "" {
		p.logFile, err = filepath.Abs(s)
	}
	return p, err
}

// serveSync pushes until it is told to end.
func serveSync(c *cli.Context, p *syncPlan) (err error) {
	level := slog.LevelInfo
	if c.Bool("debug") {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: level}))
	p.cfg.Logger, p.options.Logger = log, log
	client, err := p.cfg.client(p.cfg.Token)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	p.options.Hub = client
	s, err := syncer.Open(p.options)
	if err != nil {
		return alreadySynced(err, p.options.Folder)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := os.Chdir("/"); err != nil { // the daemon keeps no folder busy
		return err
	}
	listener, err := control.ListenSync(c.Context, s.Folder())
	if err != nil {
		return alreadySynced(err, s.Folder())
	}
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, syscall.SIGUSR1) // early: until then it ends the process
	defer signal.Stop(usr1)
	if err := prepareSync(c.Context, s, log); err != nil {
		listener.Close()
		return err
	}
	server := control.Serve(listener, control.ServerOptions{API: p.cfg.apiOn(client, nil), Sync: s, Logger: log})
	reportReady(c, p.ready(c.Bool("json"), s.Status()))
	res, err := p.run(c.Context, s, usr1)
	// Who has asked for the end by the socket still gets the answer.
	closing, cancel := context.WithTimeout(context.WithoutCancel(c.Context), 5*time.Second)
	defer cancel()
	return errors.Join(notPushed(s.Folder(), res, err), server.Close(closing))
}

// startTime is how long the Hub may take to answer before a sync starts without it.
const startTime = 20 * time.Second

// prepareSync makes the repository if need be. That the Hub is away is no reason not to start.
func prepareSync(ctx context.Context, s *syncer.Syncer, log *slog.Logger) error {
	short, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	err := s.Prepare(short)
	if err == nil || ctx.Err() != nil || !syncer.Temporary(err) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	log.Warn("the Hub can't be reached yet; what is to be pushed waits", "err", err)
	return nil
}

// run pushes until a signal or the socket ends it; a second signal breaks the last push off.
func (p *syncPlan) run(ctx context.Context, s *syncer.Syncer, usr1 <-chan os.Signal) (syncer.Result, error) {
	work, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	go func() {
		for {
			select {
			case <-usr1:
				s.Trigger()
			case <-work.Done():
				return
			case <-ctx.Done():
				again, stop := signal.NotifyContext(work, endSignals()...)
				defer stop()
				<-again.Done()
				giveUp()
				return
			}
		}
	}()
	return s.Run(ctx, work)
}

// alreadySynced says what to do about a sync of the same folder.
func alreadySynced(err error, folder string) error {
	var running *syncer.RunningError
	if errors.Is(err, syscall.EBUSY) || errors.As(err, &running) {
		return fmt.Errorf("%s is synced already; hubfs status shows how, and hubfs sync --stop %s ends it", folder, folder)
	}
	return err
}

// ready is what a sync that runs says.
func (p *syncPlan) ready(asJSON bool, st syncer.Status) string {
	if asJSON {
		var b strings.Builder
		if err := printJSON(&b, st); err == nil {
			return strings.TrimSpace(b.String())
		}
	}
	when := "on demand"
	if p.options.Every > 0 {
		when = "every " + p.options.Every.String()
	}
	return fmt.Sprintf("syncing %s to %s %s", st.Folder, syncTarget(&st), when)
}

// syncTarget is where a sync pushes to.
func syncTarget(st *syncer.Status) string {
	repo := st.RepoID()
	text := repo.String() + "@" + st.Revision
	if st.PathInRepo != "" {
		text += "/" + st.PathInRepo
	}
	return text
}

// notPushed is the one line for what the last push has left.
func notPushed(folder string, res syncer.Result, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("not all of %s was pushed in the time that there was; the next hubfs sync goes on", folder)
	case err != nil:
		return fmt.Errorf("not all of %s was pushed: %w", folder, err)
	case len(res.Failed) > 0:
		return fmt.Errorf("%s of %s could not be pushed: %s: %s", plural(len(res.Failed), "file"), folder, res.Failed[0].Path, res.Failed[0].Message)
	}
	return nil
}

func stopSync(c *cli.Context, folder string) error {
	real, err := control.RealPath(folder)
	if err != nil {
		return err
	}
	client, err := control.NewSyncClient(real)
	if err != nil {
		return err
	}
	res, err := client.StopSync(c.Context)
	if res.PID == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context, umountTimeout)
	defer cancel()
	if exitErr := control.WaitExit(ctx, res.PID); exitErr != nil {
		return errors.Join(err, fmt.Errorf("pushed, but the daemon goes on: %w", exitErr))
	}
	return errors.Join(printSyncPush(c, res), notPushed(real, res.Result, err))
}

// flushSync is hubfs flush in a folder that is synced.
func flushSync(c *cli.Context, folder string) error {
	client, err := control.NewSyncClient(folder)
	if err != nil {
		return err
	}
	res, err := client.FlushSync(c.Context, c.Duration("timeout"))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("not everything in %s is pushed after %s; the push goes on, and hubfs status %s tells how", folder, c.Duration("timeout"), folder)
	case err != nil && res.PID == 0:
		return err
	}
	return errors.Join(printSyncPush(c, res), notPushed(folder, res.Result, err))
}

func printSyncPush(c *cli.Context, res *control.SyncResult) error {
	if c.Bool("json") {
		return printJSON(c.App.Writer, res)
	}
	if len(res.Commits) == 0 && len(res.Failed) == 0 {
		_, err := fmt.Fprintln(c.App.Writer, "nothing to commit")
		return err
	}
	for _, made := range res.Commits {
		fmt.Fprintf(c.App.Writer, "committed %s: %s %s\n", plural(made.Files, "file"), made.OID, made.URL)
	}
	return printTable(c.App.Writer, failureRows(res.Failed))
}

func failureRows(failures []syncer.Failure) [][]string {
	var rows [][]string
	for _, f := range failures {
		rows = append(rows, []string{"  failed", f.Path, ago(f.Time), f.Message})
	}
	return rows
}

// printSyncs is the part of hubfs status about folders that are pushed.
func printSyncs(w io.Writer, syncs []syncer.Status) error {
	for i := range syncs {
		st := &syncs[i]
		fmt.Fprintf(w, "%s: synced to %s (%s, pid %d)\n", st.Folder, syncTarget(st), st.Endpoint, st.PID)
		state := []string{"  " + plural(st.Files, "file"), pendingFiles(st)}
		switch {
		case st.Pushing && st.Total > 0:
			state = append(state, fmt.Sprintf("pushing, %s of %s", size(st.Uploaded), size(st.Total)))
		case st.Pushing:
			state = append(state, "pushing")
		case st.NextAt != nil:
			state = append(state, "next push "+in(*st.NextAt))
		}
		if st.LastCommit != nil {
			state = append(state, "last commit "+short(st.LastCommit.OID)+" "+ago(st.LastCommit.Time))
		}
		rows := [][]string{state}
		if st.Error != "" {
			rows = append(rows, []string{"  " + st.Error})
		}
		if err := printTable(w, append(rows, failureRows(st.Failures)...)); err != nil {
			return err
		}
	}
	return nil
}

func pendingFiles(st *syncer.Status) string {
	if st.Pending == 0 {
		return "nothing pending"
	}
	return strconv.Itoa(st.Pending) + " pending"
}
