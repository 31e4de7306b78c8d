package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/control"
	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/hub"
)

func mountCommand() *cli.Command {
	return &cli.Command{
		Name:      "mount",
		Usage:     "mount a repository, or the whole Hub",
		ArgsUsage: "[SOURCE] DIR",
		Description: "SOURCE is [hf://][models/|datasets/|spaces/]NAMESPACE/NAME[@REVISION][/FOLDER]; without it the\n" +
			"whole Hub is mounted, and NAMESPACE/NAME[@REVISION] are folders in it. Returns when DIR can be used,\n" +
			"says whether and when it commits, and leaves a daemon behind, which hubfs umount DIR ends.\n\n" +
			"What is written is staged on this disk, and survives a crash from the close of the file on. It is\n" +
			"committed as a whole by the timer (--every), by sync PATH or hubfs flush PATH, and at unmount.\n\n" +
			"Examples:\n" +
			"   hubfs mount ~/hub\n" +
			"   hubfs mount openai-community/gpt2@main ~/gpt2\n" +
			"   hubfs mount --pin datasets/stanfordnlp/imdb /data/imdb\n" +
			"   hubfs mount --every 15 me/run-7 ~/run-7 && python train.py --output_dir ~/run-7\n" +
			"   hubfs mount --create-pr --every 0 google/gemma-2b ~/gemma && vi ~/gemma/README.md && hubfs umount ~/gemma\n\n" +
			"In /etc/fstab (with a link /sbin/mount.hubfs to this program):\n" +
			"   datasets/stanfordnlp/imdb  /data/imdb  hubfs  ro,pin,allow_other,token_file=/etc/hubfs.token,_netdev  0 0\n" +
			"   me/model                   /data/out   hubfs  rw,every=15m,token_file=/etc/hubfs.token,_netdev             0 0",
		Flags: slices.Concat(hubFlags(), writeFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "foreground", Aliases: []string{"f"}, Usage: "stay in the foreground; ^C unmounts"},
			&cli.BoolFlag{Name: "pin", Usage: "hold branches at the commit that they have now, until hubfs refresh; read-only"},
			&cli.DurationFlag{Name: "poll", Value: 30 * time.Second, Usage: "how often branches are looked at"},
			&cli.BoolFlag{Name: "allow-other", Usage: "let other users in (needs user_allow_other in /etc/fuse.conf, or root)"},
			&cli.BoolFlag{Name: "nonempty", Usage: "mount over a folder that has something in it"},
			&cli.StringFlag{Name: "uid", Usage: "owner of all files (default: the mounting user)"},
			&cli.StringFlag{Name: "gid", Usage: "group of all files (default: the mounting user's)"},
			&cli.StringFlag{Name: "umask", Usage: "octal `MASK` that is taken off 0644 and 0755"},
			&cli.StringFlag{Name: "cache-size", Usage: "evict what hubfs fetched beyond `SIZE`, such as 200G (default: no limit)"},
			&cli.StringFlag{Name: "state-dir", Usage: "`DIR` for what isn't committed yet, and logs; no cache, and no tmpfs (default: XDG_STATE_HOME/hubfs)"},
			&cli.StringFlag{Name: "log-file", Usage: "the daemon's log (default: a file in the state dir; with -f stderr)"},
			&cli.BoolFlag{Name: "debug", Usage: "log every request"},
			&cli.StringSliceFlag{Name: "o", Usage: "`OPTIONS` as in fstab: any flag above, comma separated; generic ones are ignored"},
			jsonFlag(),
		}),
		Action: runMount,
	}
}

// mountPlan is what a mount command asks for, checked, with absolute paths.
type mountPlan struct {
	cfg     *config
	dir     string
	source  fs.Source
	options fs.Options
	write   *writePlan
	maxSize int64
	logFile string
}

func runMount(c *cli.Context) error {
	if err := applyMountOptions(c); err != nil {
		return err
	}
	plan, err := planMount(c)
	if err != nil {
		return report(err)
	}
	if !c.Bool("foreground") && !isDaemon() {
		return startDaemon(c, plan.logFile)
	}
	return report(serveMount(c, plan))
}

func planMount(c *cli.Context) (*mountPlan, error) {
	if err := needArgs(c, 1, 2); err != nil {
		return nil, err
	}
	p := &mountPlan{source: fs.Source{WholeHub: true}}
	dir := c.Args().Get(0)
	if c.Args().Len() == 2 {
		dir = c.Args().Get(1)
		if s := c.Args().Get(0); s != "none" && s != "hubfs" { // fstab has to name a source
			source, err := fs.ParseSource(s)
			if err != nil {
				return nil, usagef("%v", err)
			}
			p.source = source
		}
	}
	var err error
	if p.cfg, err = loadConfig(c); err != nil {
		return nil, err
	}
	if p.maxSize, err = parseSize("cache-size", c.String("cache-size")); err != nil {
		return nil, err
	}
	p.options = fs.Options{
		Source: p.source, Pin: c.Bool("pin"), Offline: p.cfg.Offline, AllowOther: c.Bool("allow-other"),
		NonEmpty: c.Bool("nonempty"), PollInterval: c.Duration("poll"), Debug: c.Bool("debug"),
		MountOptions: kernelOptions(c),
	}
	if p.write, err = planWriting(c); err != nil {
		return nil, err
	}
	p.options.Write = p.write.WriteOptions
	if p.options.UID, err = idFlag(c, "uid"); err != nil {
		return nil, err
	}
	if p.options.GID, err = idFlag(c, "gid"); err != nil {
		return nil, err
	}
	if s := c.String("umask"); s != "" {
		mask, err := strconv.ParseUint(s, 8, 32)
		if err != nil || mask > 0o777 {
			return nil, usagef("--umask: %q is no octal mask such as 022", s)
		}
		p.options.Umask = uint32(mask)
	}
	if c.Duration("poll") < time.Second {
		return nil, usagef("--poll: at least 1s")
	}
	if p.dir, err = control.RealPath(dir); err != nil {
		return nil, fmt.Errorf("%w; make it with: mkdir -p %s", err, dir)
	}
	if p.logFile, err = logFile(c, p.dir); err != nil {
		return nil, err
	}
	return p, nil
}

func idFlag(c *cli.Context, name string) (*uint32, error) {
	s := c.String(name)
	if s == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return nil, usagef("--%s: %q is no number", name, s)
	}
	id := uint32(n)
	return &id, nil
}

// serveMount mounts, says so, and serves until the mount is gone.
func serveMount(c *cli.Context, p *mountPlan) (err error) {
	outliveReaders()
	level := slog.LevelInfo
	if c.Bool("debug") {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: level}))
	p.cfg.Logger = log
	if err := os.Chdir("/"); err != nil { // the daemon keeps no folder busy
		return err
	}
	client, err := p.cfg.client(p.cfg.Token)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	cache, err := blobcache.Open(blobcache.Options{
		Hub: client, CacheDir: p.cfg.HubCache, MaxSize: p.maxSize, Offline: p.cfg.Offline, Logger: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	// The socket comes first: of two daemons for one folder, one ends here.
	listener, err := control.Listen(c.Context, p.dir)
	if err != nil {
		if errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("%s is mounted by hubfs already; hubfs umount %s unmounts it", p.dir, p.dir)
		}
		return err
	}
	p.options.Hub, p.options.Cache, p.options.Logger = client, cache, log
	stopGuard, err := control.StartGuard(guardName, p.dir)
	if err != nil {
		log.Warn("if this process is killed, programs that use the mount may hang until hubfs umount", "err", err)
		stopGuard = func() {}
	}
	defer stopGuard()
	m, err := fs.New(c.Context, p.dir, p.options)
	if err != nil {
		listener.Close()
		if errors.Is(err, syscall.ENOTCONN) {
			return fmt.Errorf("%s is a mount whose daemon is dead; remove it with: hubfs umount %s", p.dir, p.dir)
		}
		return err
	}
	if limit, limited := requestLimit(requestLimitFile); limited {
		log.Warn("the kernel ends the mount when a request takes longer, such as an fsync that waits for its commit", "limit", limit, "sysctl", "fs.fuse.max_request_timeout")
	}
	asking, stopAsking := context.WithCancel(c.Context)
	defer stopAsking()
	server := control.Serve(listener, control.ServerOptions{
		API: p.cfg.apiOn(client, cache), Mount: m, Cache: cache, Logger: log, Writing: p.write.control(),
		User: tokenOwner(asking, client, cache, p.cfg),
	})
	ready, err := p.ready(c.Bool("json"), m, log)
	reportReady(c, ready)
	if err != nil {
		log.Warn("how the mount is can't be told", "err", err)
	}
	return serveUntilGone(c, p, m, server, stopGuard, log)
}

// serveUntilGone serves until the mount is gone, by a command or a signal, and pushes what is staged.
func serveUntilGone(c *cli.Context, p *mountPlan, m *fs.Mount, server *control.Server, stopGuard func(), log *slog.Logger) error {
	gone := make(chan struct{})
	go func() {
		m.Wait()
		close(gone)
	}()
	untilUnmounted(c.Context, m, gone, log)
	stopGuard()
	// A signal that asked to end has been heeded; the next one ends the pushing, too.
	ctx, stop := signal.NotifyContext(context.WithoutCancel(c.Context), endSignals()...)
	defer stop()
	report := server.Finish(ctx)
	stays := whatStays(p.dir, report)
	for _, change := range report.Staged {
		log.Warn("stays staged", "repo", change.Repo, "path", change.Path, "state", change.State, "message", change.Message)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(stays, server.Close(closing), m.Close())
}

// mounted is what "hubfs mount --json" prints.
type mounted struct {
	Dir       string        `json:"dir"`
	PID       int           `json:"pid"` // of the daemon
	Source    string        `json:"source"`
	Endpoint  string        `json:"endpoint"`
	ReadOnly  bool          `json:"read_only"`
	Commits   string        `json:"commits"` // whether and when, for people
	Recovered []fs.Recovery `json:"recovered"`
	Notices   []string      `json:"notices"`
}

// ready is what a mount that serves says.
func (p *mountPlan) ready(asJSON bool, m *fs.Mount, log *slog.Logger) (string, error) {
	st, recovered := m.Status(), m.Recovered()
	commits, notices := p.write.describe(st), p.write.notices(recovered)
	for _, line := range notices {
		log.Info(line)
	}
	if !asJSON {
		text := fmt.Sprintf("mounted %s at %s (%s)", p.describe(), p.dir, commits)
		return strings.Join(append([]string{text}, notices...), "\n"), nil
	}
	if recovered == nil {
		recovered = []fs.Recovery{}
	}
	if notices == nil {
		notices = []string{}
	}
	var b strings.Builder
	err := printJSON(&b, mounted{
		Dir: p.dir, PID: os.Getpid(), Source: st.Source, Endpoint: p.cfg.Endpoint, ReadOnly: strings.HasPrefix(commits, "read-only"),
		Commits: commits, Recovered: recovered, Notices: notices,
	})
	return strings.TrimSpace(b.String()), err
}

func (p *mountPlan) describe() string {
	if p.source.WholeHub {
		return p.cfg.Endpoint
	}
	return p.source.String()
}

// ownerAge is how long it is remembered whose a token is.
const ownerAge = 24 * time.Hour

// tokenOwner finds out whose the token is, while the mount is made and after it: nobody waits for it. The
// Hub wants to be asked this rarely, so the answer is kept.
func tokenOwner(ctx context.Context, client *hub.Client, cache *blobcache.Cache, cfg *config) func() string {
	var owner atomic.Value
	owner.Store("")
	go func() {
		token, err := cfg.Token.Token(ctx)
		if err != nil || token == "" {
			return
		}
		key := cfg.Endpoint + " " + shortHash(token)
		var name string
		if at, ok := cache.Record("owner", key, &name); ok && (cfg.Offline || time.Since(at) < ownerAge) {
			owner.Store(name)
			return
		}
		who, err := client.WhoAmI(hub.WithBackground(ctx))
		if err != nil {
			cfg.Logger.Info("it isn't known whose the token is", "err", err)
			return
		}
		owner.Store(who.Name)
		if err := cache.PutRecord("owner", key, who.Name); err != nil {
			cfg.Logger.Info("whose the token is can't be kept", "err", err)
		}
	}()
	return func() string { return owner.Load().(string) }
}

// untilUnmounted serves until the mount is gone. A signal unmounts; while programs use the mount it
// waits for them and says who they are, since going away under them would fail their reads. What is
// staged is pushed meanwhile, for who signals may lose patience.
func untilUnmounted(ctx context.Context, m *fs.Mount, gone <-chan struct{}, log *slog.Logger) {
	select {
	case <-gone:
		return
	case <-ctx.Done():
	}
	retry := time.NewTicker(time.Second)
	defer retry.Stop()
	for said := false; ; {
		err := m.Unmount()
		if err == nil {
			<-gone
			return
		}
		if !said {
			said = true
			busy, _ := fs.Busy(m.Dir()) // who it is is a courtesy
			log.Warn("asked to end, waiting until the mount is free", "err", err, "processes", busy)
			pushing, stop := context.WithCancel(context.WithoutCancel(ctx))
			pushed := make(chan struct{})
			go func() {
				defer close(pushed)
				if _, err := m.Flush(pushing, ""); err != nil && pushing.Err() == nil {
					log.Warn("what is staged can't be pushed", "err", err)
				}
			}()
			defer func() {
				stop()
				<-pushed
			}()
		}
		select {
		case <-gone:
			return
		case <-retry.C:
		}
	}
}

// logFile is where the daemon of dir logs.
func logFile(c *cli.Context, dir string) (string, error) {
	if s := c.String("log-file"); s != "" {
		return filepath.Abs(s)
	}
	state, err := stateDirOf(c)
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "log", filepath.Base(dir)+"-"+shortHash(dir)+".log"), nil
}
