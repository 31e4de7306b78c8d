package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

func cacheCommand() *cli.Command {
	return &cli.Command{
		Name:  "cache",
		Usage: "look at, check and shrink the cache that is shared with huggingface_hub",
		Subcommands: []*cli.Command{
			cacheLsCommand(),
			cacheVerifyCommand(),
			cachePruneCommand(),
		},
	}
}

func cacheFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "cache-dir", Usage: "shared cache `DIR` (default: HF_HUB_CACHE, else ~/.cache/huggingface/hub)"},
		jsonFlag(),
	}, more...)
}

// withCache runs f on the cache of the flags and the environment.
func withCache(c *cli.Context, f func(*blobcache.Cache, *config) error) error {
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	client, err := cfg.client(cfg.Token)
	if err != nil {
		return err
	}
	cache, err := blobcache.Open(blobcache.Options{Hub: client, CacheDir: cfg.HubCache, Offline: true})
	if err != nil {
		return err
	}
	return errors.Join(f(cache, cfg), cache.Close())
}

func cacheLsCommand() *cli.Command {
	return &cli.Command{
		Name:  "ls",
		Usage: "list what is in the cache, whoever put it there",
		Flags: cacheFlags(),
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 0, 0); err != nil {
				return err
			}
			return withCache(c, func(cache *blobcache.Cache, cfg *config) error {
				items, err := cache.List(c.Context)
				if err != nil {
					return err
				}
				if c.Bool("json") {
					if items == nil {
						items = []blobcache.Item{}
					}
					return printJSON(c.App.Writer, items)
				}
				rows := [][]string{{"REPO", "HASH", "HERE", "SIZE", "MADE BY", "USED", "FILE"}}
				var total int64
				for _, i := range items {
					rows = append(rows, itemRow(i))
					total += i.Cached
				}
				if err := printTable(c.App.Writer, rows); err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.App.Writer, "%s, %s in %s\n", plural(len(items), "blob"), size(total), cfg.HubCache)
				return err
			})
		},
	}
}

func itemRow(i blobcache.Item) []string {
	repo, by, used, file := i.Repo, "others", "", ""
	if repo == "" {
		repo = "(partial)"
	}
	if i.Ours {
		by = "hubfs"
	}
	if !i.LastUsed.IsZero() {
		used = i.LastUsed.Local().Format(time.DateTime)
	}
	if len(i.Paths) > 0 {
		_, file, _ = strings.Cut(i.Paths[0], "/")
		if n := len(i.Paths) - 1; n > 0 {
			file += fmt.Sprintf(" (and %s)", plural(n, "link"))
		}
	}
	return []string{repo, short(i.Hash), size(i.Cached), size(i.Size), by, used, file}
}

func cacheVerifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "hash the whole blobs in the cache, whoever put them there",
		ArgsUsage: "[REPO]",
		Description: "Names those whose content doesn't match; the exit status is 1 then. huggingface_hub itself looks\n" +
			"at sizes only.",
		Flags: cacheFlags(&cli.BoolFlag{Name: "remove", Usage: "delete bad blobs, so that the next reader fetches them again"}),
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 0, 1); err != nil {
				return err
			}
			opts := blobcache.VerifyOptions{Remove: c.Bool("remove")}
			if s := c.Args().First(); s != "" {
				repo, err := hub.ParseRepo(s)
				if err != nil {
					return usagef("%v", err)
				}
				opts.Repo = &repo
			}
			return withCache(c, func(cache *blobcache.Cache, cfg *config) error { return verify(c, cache, cfg, opts) })
		},
	}
}

func verify(c *cli.Context, cache *blobcache.Cache, cfg *config, opts blobcache.VerifyOptions) error {
	results := []blobcache.VerifyResult{}
	bad, checked := 0, 0
	err := cache.Verify(c.Context, opts, func(r blobcache.VerifyResult) error {
		checked++
		if c.Bool("json") {
			results = append(results, r)
		}
		if r.OK {
			return nil
		}
		bad++
		if c.Bool("json") {
			return nil
		}
		what := "bad content"
		switch {
		case r.Err != "":
			what = r.Err
		case r.Removed:
			what += ", removed"
		}
		_, err := fmt.Fprintf(c.App.Writer, "%s: %s (%s)\n", r.Path, what, r.Name)
		return err
	})
	if c.Bool("json") {
		err = errors.Join(err, printJSON(c.App.Writer, results))
	} else if err == nil {
		_, err = fmt.Fprintf(c.App.Writer, "%s checked, %d bad, in %s\n", plural(checked, "blob"), bad, cfg.HubCache)
	}
	if err != nil || bad == 0 {
		return err
	}
	if opts.Remove {
		return fmt.Errorf("%s had bad content", plural(bad, "blob"))
	}
	return fmt.Errorf("%s with bad content; remove with: hubfs cache verify --remove", plural(bad, "blob"))
}

func cachePruneCommand() *cli.Command {
	return &cli.Command{
		Name:        "prune",
		Usage:       "remove what hubfs fetched, least recently used first",
		ArgsUsage:   "--to SIZE",
		Description: "What others put into the cache or link to stays, and so does what is open.",
		Flags:       cacheFlags(&cli.StringFlag{Name: "to", Usage: "keep at most `SIZE`, such as 50G; 0 removes all that can go"}),
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 0, 0); err != nil {
				return err
			}
			if c.String("to") == "" {
				return usagef("hubfs cache prune: say how much to keep: --to SIZE, such as --to 50G or --to 0")
			}
			target, err := parseSize("to", c.String("to"))
			if err != nil {
				return err
			}
			return withCache(c, func(cache *blobcache.Cache, _ *config) error {
				res, err := cache.Prune(c.Context, target)
				if err != nil {
					return err
				}
				if c.Bool("json") {
					return printJSON(c.App.Writer, res)
				}
				_, err = fmt.Fprintf(c.App.Writer, "removed %s, %s freed, %s kept\n", plural(int(res.Blobs), "blob"), size(res.Bytes), size(res.Kept))
				return err
			})
		},
	}
}
