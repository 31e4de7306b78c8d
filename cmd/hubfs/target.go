package main

import (
	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/hub"
)

// targetFlags say what the name of a repository can say as well: they are those of
// huggingface-cli.
func targetFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "repo-type", Aliases: []string{"type"}, Usage: "`TYPE` of the repository: model, dataset or space, if REPO doesn't say it"},
		&cli.StringFlag{Name: "revision", Usage: "`REVISION`: branch, tag, refs/pr/N or commit, if REPO doesn't say it"},
	}
}

// target reads the name of a repository together with targetFlags.
func target(c *cli.Context, name string) (fs.Source, error) {
	src, err := fs.ParseSource(name)
	if err != nil {
		return fs.Source{}, usagef("%s: %v", c.Command.HelpName, err)
	}
	if src.WholeHub {
		return fs.Source{}, usagef("%s: %s is the whole Hub; name a repository", c.Command.HelpName, name)
	}
	t := hub.RepoType(c.String("repo-type"))
	switch {
	case c.IsSet("revision") && src.Revision != "":
		return fs.Source{}, usagef("%s: the revision is given twice", c.Command.HelpName)
	case c.IsSet("repo-type") && t != hub.Model && t != hub.Dataset && t != hub.Space:
		return fs.Source{}, usagef("--repo-type: must be model, dataset or space, not %q", t)
	case c.IsSet("repo-type") && src.Repo.Type != hub.Model && t != src.Repo.Type:
		return fs.Source{}, usagef("%s: %s is no %s", c.Command.HelpName, src.Repo, t)
	case c.IsSet("repo-type"):
		src.Repo.Type = t
	}
	if c.IsSet("revision") {
		src.Revision = c.String("revision")
	}
	return src, nil
}
