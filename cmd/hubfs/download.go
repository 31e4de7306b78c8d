package main

import (
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/control"
	"github.com/hubfs/hubfs/fs"
)

func downloadCommand() *cli.Command {
	return &cli.Command{
		Name:      "download",
		Usage:     "download files of a repository into the cache or a folder",
		ArgsUsage: "REPO[@REVISION] [FILE ...]",
		Description: "Prints the path of the file, if one was named, else of the folder that has the files. Without\n" +
			"--local-dir that is in the cache that all programs share. What is there already isn't fetched again,\n" +
			"and what was interrupted goes on. Patterns match whole paths, and * also matches /.",
		Flags: append(append(hubFlags(), targetFlags()...),
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
	source, err := target(c, c.Args().First())
	if err != nil {
		return err
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
	switch {
	case len(files) > 0 && patterns:
		return "", nil, usagef("%s: --include and --exclude are for all files; here some are named", c.Command.HelpName)
	case source.Sub != "":
		return "", nil, usagef("%s: %s: name files as further arguments, or give --include '%s/*'", c.Command.HelpName, c.Args().First(), source.Sub)
	}
	params = map[string]any{"repo_id": source.Repo.ID, "repo_type": source.Repo.Type, "force_download": c.Bool("force")}
	for name, value := range map[string]string{"revision": source.Revision, "local_dir": c.String("local-dir")} {
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
