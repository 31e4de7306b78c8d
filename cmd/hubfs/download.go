package main

import (
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/control"
	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/hub"
)

func downloadCommand() *cli.Command {
	return &cli.Command{
		Name:      "download",
		Usage:     "download files of a repository into the cache or a folder",
		ArgsUsage: "REPO[@REVISION] [FILE ...]",
		Description: "Prints the path of the file, if one was named, else of the folder that has the files. Without\n" +
			"--local-dir that is in the cache that all programs share. What is there already isn't fetched again,\n" +
			"and what was interrupted goes on. Patterns match whole paths, and * also matches /.",
		Flags: append(hubFlags(),
			&cli.StringFlag{Name: "repo-type", Usage: "`TYPE` of the repository: model, dataset or space, if REPO doesn't say it"},
			&cli.StringFlag{Name: "revision", Usage: "`REVISION`: branch, tag, refs/pr/N or commit"},
			&cli.StringSliceFlag{Name: "include", Usage: "only files that match `PATTERN`"},
			&cli.StringSliceFlag{Name: "exclude", Usage: "no files that match `PATTERN`"},
			&cli.StringFlag{Name: "local-dir", Usage: "put the files into `DIR`, under their own names"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"force-download"}, Usage: "ask the Hub also for what is there"},
			&cli.IntFlag{Name: "max-workers", Usage: "`N` files at a time", Value: 8},
			&cli.BoolFlag{Name: "quiet", Usage: "print nothing but the path"},
		),
		Action: runDownload,
	}
}

func runDownload(c *cli.Context) error {
	if err := needArgs(c, 1, 1<<20); err != nil {
		return err
	}
	source, err := fs.ParseSource(c.Args().First())
	if err != nil {
		return usagef("%s: %v", c.Command.HelpName, err)
	}
	method, params, err := downloadCall(c, source)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	api, err := cfg.api()
	if err != nil {
		return err
	}
	m, err := control.LookupMethod(method)
	if err != nil {
		return err
	}
	raw := make(map[string]json.RawMessage, len(params))
	for name, value := range params {
		if raw[name], err = json.Marshal(value); err != nil {
			return err
		}
	}
	bar := progress(c.App.ErrWriter, !cfg.DisableProgress && !c.Bool("quiet"))
	ctx := control.WithProgress(c.Context, func(p control.JobProgress) {
		bar.ChangeMax64(p.Total)
		_ = bar.Set64(p.TotalDone) // a terminal that can't be drawn on is no reason to stop
	})
	res, err := m.Call(ctx, api, raw)
	if err != nil {
		return err
	}
	_ = bar.Finish()
	_, err = fmt.Fprintln(c.App.Writer, res.Value)
	return err
}

// downloadCall is the method that does what the command line says, with its parameters.
func downloadCall(c *cli.Context, source fs.Source) (method string, params map[string]any, err error) {
	files := c.Args().Tail()
	patterns := len(c.StringSlice("include"))+len(c.StringSlice("exclude")) > 0
	revision, repoType := source.Revision, source.Repo.Type
	switch t := hub.RepoType(c.String("repo-type")); {
	case c.IsSet("revision") && revision != "":
		return "", nil, usagef("%s: the revision is given twice", c.Command.HelpName)
	case c.IsSet("repo-type") && t != hub.Model && t != hub.Dataset && t != hub.Space:
		return "", nil, usagef("--repo-type: must be model, dataset or space, not %q", t)
	case c.IsSet("repo-type") && repoType != hub.Model && t != repoType:
		return "", nil, usagef("%s: %s is no %s", c.Command.HelpName, source.Repo, t)
	case len(files) > 0 && patterns:
		return "", nil, usagef("%s: --include and --exclude are for all files; here some are named", c.Command.HelpName)
	case source.Sub != "":
		return "", nil, usagef("%s: %s: name files as further arguments, or give --include '%s/*'", c.Command.HelpName, c.Args().First(), source.Sub)
	case c.IsSet("repo-type"):
		repoType = t
	}
	if c.IsSet("revision") {
		revision = c.String("revision")
	}
	params = map[string]any{"repo_id": source.Repo.ID, "repo_type": repoType, "force_download": c.Bool("force")}
	for name, value := range map[string]string{"revision": revision, "local_dir": c.String("local-dir")} {
		if value != "" {
			params[name] = value
		}
	}
	if len(files) == 1 {
		params["filename"] = files[0]
		return "hf_hub_download", params, nil
	}
	params["max_workers"] = c.Int("max-workers")
	switch {
	case len(files) > 0:
		params["allow_patterns"] = files
	case c.IsSet("include"):
		params["allow_patterns"] = c.StringSlice("include")
	}
	if c.IsSet("exclude") {
		params["ignore_patterns"] = c.StringSlice("exclude")
	}
	return "snapshot_download", params, nil
}
