package hub

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// folderFiles lists the files below a local folder that the patterns choose, by
// their paths relative to it, with slashes, sorted by component.
func folderFiles(ctx context.Context, folder string, patterns Patterns) ([]string, error) {
	info, err := os.Stat(folder)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &os.PathError{Op: "upload", Path: folder, Err: errors.New("not a folder")}
	}
	if folder, err = filepath.EvalSymlinks(folder); err != nil {
		return nil, err
	}
	var files []string
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if d.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if !patterns.Match(rel) || !isFileEntry(path, d) {
			return nil
		}
		files = append(files, rel)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b string) int { return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) })
	return files, nil
}

// isFileEntry says whether an entry is a regular file, or a link to one.
func isFileEntry(path string, d fs.DirEntry) bool {
	if d.Type()&fs.ModeSymlink == 0 {
		return d.Type().IsRegular()
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() // a link to nowhere is no file
}

// folderAdds makes the additions of the files of a folder. A README.md at its top
// is checked also where it goes to another folder of the repository.
func (c *Client) folderAdds(ctx context.Context, repo Repo, folder, target string, files []string) ([]*Add, error) {
	adds := make([]*Add, 0, len(files))
	for _, rel := range files {
		content, err := FileContent(filepath.Join(folder, filepath.FromSlash(rel)))
		if err != nil {
			return nil, err
		}
		path := rel
		if target != "" {
			path = target + "/" + rel
		}
		if _, err := repoPath(path); err != nil {
			return nil, err
		}
		if rel == readmePath && target != "" {
			if _, err := c.validateReadme(ctx, repo.Type, path, &content); err != nil {
				return nil, err
			}
		}
		adds = append(adds, &Add{Path: path, Content: content})
	}
	return adds, nil
}
