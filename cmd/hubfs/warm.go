package main

import (
	"context"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/hubfs/hubfs/control"
)

// warmWorkers is how many files are read at once; the daemon splits each into parallel ranges.
const warmWorkers = 8

func warmCommand() *cli.Command {
	return &cli.Command{
		Name:        "warm",
		Usage:       "fetch what is at or below PATH ahead of its use",
		ArgsUsage:   "PATH",
		Description: "Reads every file once that isn't wholly on local disk yet.",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 1, 1); err != nil {
				return err
			}
			path := c.Args().First()
			if _, _, err := control.FindMount(path); err != nil {
				return err
			}
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			bar := progress(c.App.ErrWriter, !cfg.DisableProgress)
			n, bytes, err := warm(c.Context, path, bar)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return printJSON(c.App.Writer, map[string]int64{"files": int64(n), "bytes": bytes})
			}
			_, err = fmt.Fprintf(c.App.Writer, "%s read, %s\n", plural(n, "file"), size(bytes))
			return err
		},
	}
}

// warm reads the files below root that aren't cached whole.
func warm(ctx context.Context, root string, bar *progressbar.ProgressBar) (files int, bytes int64, err error) {
	type todo struct {
		path string
		size int64
	}
	var list []todo
	err = filepath.WalkDir(root, func(path string, d iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() > cachedBytes(path) {
			list = append(list, todo{path, info.Size()})
			bytes += info.Size()
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	bar.ChangeMax64(bytes)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(warmWorkers)
	for _, t := range list {
		g.Go(func() error { return readThrough(ctx, t.path, bar) })
	}
	err = g.Wait()
	if err == nil {
		err = bar.Finish()
	}
	return len(list), bytes, err
}

// cachedBytes is how much of a file the daemon has on local disk.
func cachedBytes(path string) int64 {
	buf := make([]byte, 32)
	n, err := unix.Lgetxattr(path, "user.hub.cached", buf)
	if err != nil {
		return -1
	}
	cached, err := strconv.ParseInt(string(buf[:n]), 10, 64)
	if err != nil {
		return -1
	}
	return cached
}

func readThrough(ctx context.Context, path string, w io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for ctx.Err() == nil {
		n, err := f.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// progress is a bar on a terminal, and silent elsewhere and where it isn't wanted.
func progress(w io.Writer, wanted bool) *progressbar.ProgressBar {
	return progressbar.NewOptions64(0,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetVisibility(wanted && isTerminal(w)),
		progressbar.OptionShowBytes(true),
		progressbar.OptionEnableColorCodes(false),
		progressbar.OptionClearOnFinish(),
	)
}

// isTerminal says whether somebody may be watching what is written to w, or typing what is read.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
