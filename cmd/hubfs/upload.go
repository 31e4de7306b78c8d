package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"

	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/hub"
)

func uploadCommand() *cli.Command {
	return &cli.Command{
		Name:      "upload",
		Usage:     "add a file or a folder to a repository",
		ArgsUsage: "REPO[@REVISION] [PATH [PATH_IN_REPO]]",
		Description: "Makes one commit, or as few as the Hub's limits allow, and prints its address. A repository or branch\n" +
			"that doesn't exist is created, a Space for Gradio. What the repository has already is left out; where\n" +
			"nothing is left, no commit is made. A file goes to the root under its own name, a folder's files go to\n" +
			"the root, unless PATH_IN_REPO says otherwise. Without PATH it is the file or folder that has the name of\n" +
			"the repository. Patterns match whole paths, and * also matches /.\n\n" +
			"These are the arguments of huggingface-cli upload, but for its --every: that is hubfs sync.",
		Flags: append(append(hubFlags(), targetFlags()...),
			&cli.StringFlag{Name: "message", Aliases: []string{"m", "commit-message"}, Usage: "first line of the commit's message"},
			&cli.StringFlag{Name: "description", Aliases: []string{"commit-description"}, Usage: "the rest of the message"},
			&cli.BoolFlag{Name: "create-pr", Usage: "make a pull request; read access is enough"},
			&cli.StringFlag{Name: "parent-commit", Usage: "fail if the branch isn't at `COMMIT`"},
			&cli.StringSliceFlag{Name: "include", Usage: "of a folder, only files that match `PATTERN`"},
			&cli.StringSliceFlag{Name: "exclude", Usage: "of a folder, no files that match `PATTERN`"},
			&cli.StringSliceFlag{Name: "delete", Usage: "remove files from the repository that match `PATTERN`, in the same commit"},
			&cli.BoolFlag{Name: "private", Usage: "if the repository has to be created, make it private"},
			&cli.BoolFlag{Name: "quiet", Usage: "print nothing but the address"},
			&cli.IntFlag{Name: "workers", Usage: "`N` transfers at a time", Value: 8},
			jsonFlag(),
		),
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 1, 3); err != nil {
				return err
			}
			up, err := newUpload(c)
			if err != nil {
				return err
			}
			info, err := up.run(c.Context)
			if err != nil {
				return err
			}
			return printCommit(c, info)
		},
	}
}

// An upload is what the command line asks for.
type upload struct {
	client  *hub.Client
	target  fs.Source
	local   string
	inRepo  string
	folder  bool
	private bool
	options hub.UploadFolderOptions
}

func newUpload(c *cli.Context) (*upload, error) {
	to, err := target(c, c.Args().Get(0))
	if err != nil {
		return nil, err
	}
	up := &upload{target: to, local: c.Args().Get(1), private: c.Bool("private")}
	if c.NArg() == 1 {
		up.local = path.Base(to.Repo.ID)
		if _, err := os.Stat(up.local); err != nil {
			return nil, usagef("%s: there is no file or folder %s here; name what is to be uploaded", c.Command.HelpName, up.local)
		}
	}
	info, err := os.Stat(up.local)
	if err != nil {
		return nil, err
	}
	up.folder = info.IsDir()
	if up.inRepo, err = up.pathInRepo(c.Args().Get(2)); err != nil {
		return nil, err
	}
	if !up.folder && len(c.StringSlice("include"))+len(c.StringSlice("exclude"))+len(c.StringSlice("delete")) > 0 {
		return nil, usagef("--include, --exclude and --delete are for folders, and %s is a file", up.local)
	}
	cfg, err := loadConfig(c)
	if err != nil {
		return nil, err
	}
	if up.client, err = cfg.client(cfg.Token); err != nil {
		return nil, err
	}
	up.options = hub.UploadFolderOptions{
		PathInRepo: up.inRepo, Ignore: c.StringSlice("exclude"), Delete: c.StringSlice("delete"),
		CommitOptions: hub.CommitOptions{
			Summary: c.String("message"), Description: c.String("description"),
			ParentCommit: c.String("parent-commit"), CreatePR: c.Bool("create-pr"),
			UploadOptions: hub.UploadOptions{Workers: c.Int("workers"), Progress: showProgress(progress(c.App.ErrWriter, !cfg.DisableProgress && !c.Bool("quiet")))},
		},
	}
	if c.IsSet("include") {
		up.options.Allow = c.StringSlice("include")
	}
	return up, nil
}

// pathInRepo is where the file, or the files of the folder, go.
func (u *upload) pathInRepo(given string) (string, error) {
	to := path.Join(u.target.Sub, given)
	if u.folder || given != "" && !strings.HasSuffix(given, "/") {
		return to, nil
	}
	abs, err := filepath.Abs(u.local)
	if err != nil {
		return "", err
	}
	return path.Join(to, filepath.Base(abs)), nil
}

// run uploads, and creates the repository and the branch if there are none.
func (u *upload) run(ctx context.Context) (*hub.CommitInfo, error) {
	info, err := u.commit(ctx)
	if errors.Is(err, hub.ErrRepoNotFound) {
		if createErr := u.createRepo(ctx); createErr != nil {
			return nil, fmt.Errorf("%w; it can't be created either: %w", err, createErr)
		}
		info, err = u.commit(ctx)
	}
	if errors.Is(err, hub.ErrRevisionNotFound) && u.target.Revision != "" && !u.options.CreatePR {
		if createErr := u.client.CreateBranch(ctx, u.target.Repo, u.target.Revision, &hub.CreateBranchOptions{ExistOK: true}); createErr != nil {
			return nil, fmt.Errorf("%w; it can't be created either: %w", err, createErr)
		}
		info, err = u.commit(ctx)
	}
	return info, err
}

func (u *upload) createRepo(ctx context.Context) error {
	opts := &hub.CreateRepoOptions{ExistOK: true}
	if u.private {
		opts.Private = &u.private
	}
	if u.target.Repo.Type == hub.Space {
		opts.SDK = "gradio"
	}
	_, err := u.client.CreateRepo(ctx, u.target.Repo, opts)
	return err
}

func (u *upload) commit(ctx context.Context) (*hub.CommitInfo, error) {
	if u.folder {
		return u.client.UploadFolder(ctx, u.target.Repo, u.target.Revision, u.local, &u.options)
	}
	content, err := hub.FileContent(u.local)
	if err != nil {
		return nil, err
	}
	return u.client.UploadFile(ctx, u.target.Repo, u.target.Revision, u.inRepo, content, &u.options.CommitOptions)
}

// showProgress moves a bar as an upload goes on.
func showProgress(bar *progressbar.ProgressBar) func(hub.Progress) {
	return func(p hub.Progress) {
		bar.ChangeMax64(p.Total)
		_ = bar.Set64(p.TotalDone) // a terminal that can't be drawn on is no reason to stop
	}
}

// printCommit tells what came of an upload: the address on standard output, all
// else on standard error.
func printCommit(c *cli.Context, info *hub.CommitInfo) error {
	for _, w := range info.Warnings {
		fmt.Fprintln(c.App.ErrWriter, "hubfs: warning: "+w)
	}
	if n := len(info.Ignored); n > 0 {
		fmt.Fprintf(c.App.ErrWriter, "hubfs: %s left out, as the repository's .gitignore says\n", plural(n, "file"))
	}
	if c.Bool("json") {
		out := map[string]any{
			"commit_url": info.CommitURL, "oid": info.OID, "repo": info.RepoURL.Repo.String(), "no_change": info.NoChange,
			"unchanged": emptyList(info.Unchanged), "ignored": emptyList(info.Ignored),
		}
		if info.PRURL != "" {
			out["pr_url"], out["pr_revision"] = info.PRURL, info.PRRevision
		}
		return printJSON(c.App.Writer, out)
	}
	switch {
	case info.NoChange:
		fmt.Fprintln(c.App.ErrWriter, "hubfs: nothing to commit: the repository has all of it")
	case info.PRURL != "":
		_, err := fmt.Fprintln(c.App.Writer, info.PRURL)
		return err
	}
	_, err := fmt.Fprintln(c.App.Writer, info.CommitURL)
	return err
}

// emptyList is a list that JSON shows as one, also where there is none.
func emptyList(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}
