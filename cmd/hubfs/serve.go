package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/hub/localhub"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:      "serve",
		Usage:     "run a Hub on local disk",
		ArgsUsage: "--root DIR",
		Description: "Speaks the Hub's API to huggingface_hub, hubfs and everything else that heeds HF_ENDPOINT. Its\n" +
			"repositories are git object stores below DIR. Its inference endpoints are at URL/v2, for\n" +
			"HF_INFERENCE_ENDPOINTS_ENDPOINT. ^C ends it.\n\n" +
			"Examples:\n" +
			"   hubfs serve --root ~/myhub --users-file users\n" +
			"   hubfs serve --root /tmp/hub --user me=hf_test --latency 30ms --fault reset=0.05,status-503=0.05",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "root", Usage: "`DIR` that holds the Hub; made if it is missing"},
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:8080", Usage: "`HOST:PORT` of the API; port 0 takes a free one"},
			&cli.StringFlag{Name: "content-listen", Usage: "`HOST:PORT` that large files come from (default: the host of --listen, a free port)"},
			&cli.StringFlag{Name: "content-url", Usage: "`URL` at which clients reach --content-listen (default: made from it)"},
			&cli.StringSliceFlag{Name: "user", Usage: "`NAME=TOKEN`, repeatable, \"NAME=TOKEN read\" for one that can't write; seen by everybody on this machine, so for tests only"},
			&cli.StringFlag{Name: "users-file", Usage: "`FILE` with NAME=TOKEN lines"},
			&cli.StringSliceFlag{Name: "org", Usage: "`NAME=USER[:ROLE],...`, repeatable: an organisation with members; roles are read, contributor, write and admin"},
			&cli.StringSliceFlag{Name: "no-billing", Usage: "`NAME` of a user or organisation for whom nobody pays, repeatable: hardware, storage and endpoints are refused"},
			&cli.DurationFlag{Name: "latency", Usage: "wait so long before each answer"},
			&cli.StringFlag{Name: "bandwidth", Usage: "bytes a second in all, such as 200MB/s"},
			&cli.StringFlag{Name: "connection-bandwidth", Usage: "bytes a second for each connection, such as 25MB/s"},
			&cli.StringSliceFlag{Name: "fault", Usage: "`KIND=RATE,...` of reset, truncate, stall, status-429, status-503, expire-url, corrupt, landed-500, lost-answer, stale-head"},
			&cli.DurationFlag{Name: "url-ttl", Usage: "how long a signed URL is valid (default: 1h)"},
			&cli.DurationFlag{Name: "startup", Value: 3 * time.Second, Usage: "how long it takes until a Space or an inference endpoint runs"},
			&cli.Int64Flag{Name: "seed", Usage: "of the random choice of faults (default: another one each time)"},
			&cli.BoolFlag{Name: "debug", Usage: "log every request"},
		},
		Action: runServe,
	}
}

func runServe(c *cli.Context) error {
	if err := needArgs(c, 0, 0); err != nil {
		return err
	}
	root := c.String("root")
	if root == "" {
		return usagef("hubfs serve: give the folder that holds the Hub: --root DIR")
	}
	listen := c.String("listen")
	contentListen := c.String("content-listen")
	if contentListen == "" {
		var err error
		if contentListen, err = sameHost(listen, "0"); err != nil {
			return err
		}
	}
	contentURL, err := contentURL(c.String("content-url"), contentListen)
	if err != nil {
		return err
	}
	users, err := serveUsers(c)
	if err != nil {
		return err
	}
	for i := range users {
		users[i].NoBilling = slices.Contains(c.StringSlice("no-billing"), users[i].Name)
	}
	network, err := serveNetwork(c)
	if err != nil {
		return err
	}
	level := slog.LevelWarn
	if c.Bool("debug") {
		level = slog.LevelDebug
	}
	opts := localhub.Options{Root: root, Users: users, Network: network, Startup: c.Duration("startup"),
		Logger: slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: level}))}
	s, err := openLocal(c.Context, opts, listen, contentListen, contentURL)
	if err != nil {
		return err
	}
	if err := makeOrgs(s.Hub, c.StringSlice("org"), c.StringSlice("no-billing")); err != nil {
		return errors.Join(err, s.close())
	}
	if len(c.StringSlice("user")) > 0 && !loopback(listen) {
		fmt.Fprintln(c.App.ErrWriter, "hubfs: warning: tokens in --user are for tests on loopback, and this Hub listens beyond it; use --users-file")
	}
	printLines(c.App.Writer,
		fmt.Sprintf("serving %s at %s (large files from %s)", root, s.URL, s.ContentURL),
		fmt.Sprintf("try: HF_ENDPOINT=%s HF_TOKEN=... hubfs api whoami", s.URL))
	if len(network.Faults) > 0 {
		fmt.Fprintf(c.App.ErrWriter, "hubfs: faults are on; --seed %d repeats them\n", network.Seed)
	}
	if len(users) == 0 {
		fmt.Fprintln(c.App.ErrWriter, "hubfs: no user was given; if this Hub has none yet, nobody can write to it: --users-file FILE or --user NAME=TOKEN")
	}
	return s.serve(c.Context)
}

// contentURL is what clients are sent to; an address that means every interface can't be.
func contentURL(given, listen string) (string, error) {
	if given != "" {
		if !strings.HasPrefix(given, "http://") && !strings.HasPrefix(given, "https://") {
			return "", usagef("--content-url: %q is no http or https URL", given)
		}
		return strings.TrimRight(given, "/"), nil
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return "", usagef("--content-listen: %v; write HOST:PORT", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return "", usagef("--listen on every interface needs --content-listen HOST:PORT and --content-url URL, so that clients can be sent there")
	}
	return "", nil
}

func serveUsers(c *cli.Context) ([]localhub.User, error) {
	var users []localhub.User
	for _, s := range c.StringSlice("user") {
		u, ok := parseUser(s)
		if !ok {
			return nil, usagef("--user: write NAME=TOKEN, or NAME=TOKEN read")
		}
		users = append(users, u)
	}
	if path := c.String("users-file"); path != "" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("--users-file: %w", err)
		}
		defer f.Close()
		more, err := readUsers(f)
		if err != nil {
			return nil, fmt.Errorf("--users-file %s: %w", path, err)
		}
		users = append(users, more...)
	}
	return users, nil
}

func readUsers(r io.Reader) ([]localhub.User, error) {
	var users []localhub.User
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		u, ok := parseUser(line)
		if !ok {
			return nil, fmt.Errorf("line %d isn't NAME=TOKEN", n)
		}
		users = append(users, u)
	}
	return users, sc.Err()
}

// parseUser reads NAME=TOKEN, with the token's role behind a space where it isn't write.
func parseUser(s string) (localhub.User, bool) {
	name, token, ok := strings.Cut(s, "=")
	token, role, _ := strings.Cut(strings.TrimSpace(token), " ")
	u := localhub.User{Name: strings.TrimSpace(name), Token: token}
	switch strings.TrimSpace(role) {
	case "", localhub.RoleWrite:
	case localhub.RoleRead:
		u.Token, u.Tokens = "", []localhub.Token{{Value: token, Role: localhub.RoleRead}}
	default:
		return localhub.User{}, false
	}
	return u, ok && u.Name != "" && token != ""
}

// makeOrgs makes the organisations of --org, whose members must be users.
func makeOrgs(h *localhub.Hub, orgs, unpaid []string) error {
	for _, o := range orgs {
		name, members, ok := strings.Cut(o, "=")
		if !ok || name == "" {
			return usagef("--org: write NAME=USER[:ROLE],...")
		}
		if err := h.CreateOrg(localhub.Org{Name: name, NoBilling: slices.Contains(unpaid, name)}); err != nil {
			return fmt.Errorf("--org %s: %w", name, err)
		}
		for m := range strings.SplitSeq(members, ",") {
			user, role, _ := strings.Cut(m, ":")
			if err := h.AddMember(name, user, role); err != nil {
				return fmt.Errorf("--org %s: %w", name, err)
			}
		}
	}
	return nil
}

func serveNetwork(c *cli.Context) (localhub.Network, error) {
	n := localhub.Network{Latency: c.Duration("latency"), URLTTL: c.Duration("url-ttl"), Seed: c.Int64("seed")}
	if !c.IsSet("seed") {
		n.Seed = rand.Int64()
	}
	var err error
	for name, rate := range map[string]*int64{"bandwidth": &n.Bandwidth, "connection-bandwidth": &n.ConnectionBandwidth} {
		if !c.IsSet(name) {
			continue
		}
		if *rate, err = localhub.ParseBandwidth(c.String(name)); err != nil {
			return n, usagef("--%s: %v", name, err)
		}
	}
	if faults := c.StringSlice("fault"); len(faults) > 0 {
		if n.Faults, err = localhub.ParseFaults(strings.Join(faults, ",")); err != nil {
			return n, usagef("--fault: %v", err)
		}
		if !c.IsSet("seed") {
			n.Seed = rand.Int64()
			fmt.Fprintf(c.App.ErrWriter, "hubfs: the faults are those of --seed %d\n", n.Seed)
		}
	}
	return n, nil
}
