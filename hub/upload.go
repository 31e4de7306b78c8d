package hub

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// CommitOptions are the parts of a CommitInput that methods for one purpose leave open.
type CommitOptions struct {
	Summary      string // "" is a text that tells what was done
	Description  string
	ParentCommit string
	CreatePR     bool
	Mark         string
	GitIgnore    string
	UploadOptions
}

// input is the commit with the given operations; summary is the default one.
func (o *CommitOptions) input(summary string, ops []Operation) CommitInput {
	return CommitInput{
		Summary: cmp.Or(o.Summary, summary), Description: o.Description, ParentCommit: o.ParentCommit, CreatePR: o.CreatePR,
		Operations: ops, Mark: o.Mark, GitIgnore: o.GitIgnore, UploadOptions: o.UploadOptions,
	}
}

// commitOne makes a commit of one operation.
func (c *Client) commitOne(ctx context.Context, repo Repo, revision, summary string, op Operation, opts *CommitOptions) (*CommitInfo, error) {
	if opts == nil {
		opts = &CommitOptions{}
	}
	return c.commitSettled(ctx, repo, revision, opts.input(summary, []Operation{op}))
}

// UploadFile adds or replaces one file. Where the answer to the commit doesn't
// say whether it landed, it looks before it sends again; only if that doesn't tell
// either, the error is ErrAmbiguousCommit.
func (c *Client) UploadFile(ctx context.Context, repo Repo, revision, path string, content ContentSource, opts *CommitOptions) (*CommitInfo, error) {
	clean, err := repoPath(path)
	if err != nil {
		return nil, err
	}
	info, err := c.commitOne(ctx, repo, revision, "Upload "+clean+" with hubfs", &Add{Path: path, Content: content}, opts)
	if err != nil {
		return nil, err
	}
	info.URL = info.pageURL("blob", revision, clean)
	return info, nil
}

// pageURL is the page of a file or folder at the revision that a commit went to.
func (i *CommitInfo) pageURL(kind, revision, path string) string {
	revision = cmp.Or(i.PRRevision, revision, defaultRevision)
	return i.RepoURL.URL + "/" + kind + "/" + escape(revision) + "/" + path
}

// DeleteFile removes one file.
func (c *Client) DeleteFile(ctx context.Context, repo Repo, revision, path string, opts *CommitOptions) (*CommitInfo, error) {
	return c.commitOne(ctx, repo, revision, "Delete "+path+" with hubfs", &Delete{path}, opts)
}

// DeleteFolder removes a folder and everything below it.
func (c *Client) DeleteFolder(ctx context.Context, repo Repo, revision, path string, opts *CommitOptions) (*CommitInfo, error) {
	return c.commitOne(ctx, repo, revision, "Delete folder "+path+" with hubfs", &DeleteFolder{path}, opts)
}

// DeleteFiles removes the files that match one of the patterns; see Patterns. The
// .gitattributes at the root stays.
func (c *Client) DeleteFiles(ctx context.Context, repo Repo, revision string, patterns []string, opts *CommitOptions) (*CommitInfo, error) {
	if opts == nil {
		opts = &CommitOptions{}
	}
	ops, err := c.deletions(ctx, repo, revision, "", patterns)
	if err != nil {
		return nil, err
	}
	return c.CreateCommit(ctx, repo, revision, opts.input("Delete files "+strings.Join(patterns, " ")+" with hubfs", ops))
}

// deletions are the files of a folder that match one of the patterns, which are
// relative to it.
func (c *Client) deletions(ctx context.Context, repo Repo, revision, folder string, patterns []string) ([]Operation, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	var paths []string
	for e, err := range c.Tree(ctx, repo, cmp.Or(revision, defaultRevision), "", &TreeOptions{Recursive: true}) {
		if err != nil {
			return nil, err
		}
		if e.Type != TypeFile || e.Path == ".gitattributes" {
			continue
		}
		rest := e.Path
		if folder != "" {
			var below bool
			if rest, below = strings.CutPrefix(e.Path, folder+"/"); !below {
				continue
			}
		}
		if matchAny(patterns, rest) {
			paths = append(paths, e.Path)
		}
	}
	slices.Sort(paths)
	ops := make([]Operation, len(paths))
	for i, p := range paths {
		ops[i] = &Delete{p}
	}
	return ops, nil
}

// UploadFolderOptions refine UploadFolder.
type UploadFolderOptions struct {
	CommitOptions
	PathInRepo string   // folder that the files go to; "" is the root
	Allow      []string // see Patterns; relative to the local folder
	Ignore     []string // in addition to DefaultIgnorePatterns
	// Delete are patterns of files, relative to PathInRepo, that are removed from
	// the repository in the same commit, unless they are uploaded. The .gitattributes
	// at the root stays.
	Delete []string
	// Limits of a commit; the zero value is HubLimits.
	Limits CommitLimits
}

// UploadFolder adds the files of a local folder, hidden ones included. Links to
// files are taken as files; linked folders are not entered. It is one commit,
// unless the Hub's limits ask for several, which are then put one on the other;
// the last is returned. After an error some of several may have been made. A
// commit that may have landed is treated as UploadFile does.
func (c *Client) UploadFolder(ctx context.Context, repo Repo, revision, folder string, opts *UploadFolderOptions) (*CommitInfo, error) {
	if opts == nil {
		opts = &UploadFolderOptions{}
	}
	if err := repo.Validate(); err != nil {
		return nil, err
	}
	target := strings.Trim(opts.PathInRepo, "/")
	if target == "." {
		target = ""
	}
	files, err := folderFiles(ctx, folder, Patterns{Allow: opts.Allow, Ignore: append(DefaultIgnorePatterns(), opts.Ignore...)})
	if err != nil {
		return nil, err
	}
	adds, err := c.folderAdds(ctx, repo, folder, target, files)
	if err != nil {
		return nil, err
	}
	ops, err := c.deletions(ctx, repo, revision, target, opts.Delete)
	if err != nil {
		return nil, err
	}
	added := make(map[string]bool, len(adds))
	for _, a := range adds {
		added[a.Path] = true
	}
	ops = slices.DeleteFunc(ops, func(op Operation) bool { d, ok := op.(*Delete); return ok && added[d.Path] })
	for _, a := range adds {
		ops = append(ops, a)
	}
	info, err := c.commitInParts(ctx, repo, revision, opts, adds, ops)
	if err != nil {
		return nil, err
	}
	info.URL = info.pageURL("tree", revision, target)
	return info, nil
}

// commitInParts makes as many commits as the limits ask for.
func (c *Client) commitInParts(ctx context.Context, repo Repo, revision string, opts *UploadFolderOptions, adds []*Add, ops []Operation) (*CommitInfo, error) {
	limits := opts.Limits
	if limits == (CommitLimits{}) {
		limits = HubLimits
	}
	in := opts.input("Upload folder using hubfs", ops)
	parts := [][]Operation{ops}
	if all := SplitOperations(ops, CommitLimits{LFSFiles: limits.LFSFiles, Operations: limits.Operations}); len(all) > 1 || regularBytesAtMost(adds) > limits.RegularBytes {
		// Only the server knows which files are regular.
		if err := c.PreuploadLFSFiles(ctx, repo, revision, adds, &PreuploadOptions{CreatePR: in.CreatePR, GitIgnore: in.GitIgnore, UploadOptions: in.UploadOptions}); err != nil {
			return nil, err
		}
		parts = SplitOperations(ops, limits)
	}
	if len(parts) <= 1 {
		return c.commitSettled(ctx, repo, revision, in)
	}
	var sum CommitInfo
	for i, part := range parts {
		in.Operations = part
		if i > 0 {
			in.Summary = fmt.Sprintf("%s (part %d)", cmp.Or(opts.Summary, "Upload folder using hubfs"), i+1)
			in.ParentCommit = sum.OID
			if opts.Mark != "" {
				in.Mark = fmt.Sprintf("%s-%d", opts.Mark, i+1)
			}
		}
		info, err := c.commitSettled(ctx, repo, revision, in)
		if err != nil {
			return nil, err
		}
		info.Ignored = append(sum.Ignored, info.Ignored...)
		info.Unchanged = append(sum.Unchanged, info.Unchanged...)
		info.Warnings = append(sum.Warnings, info.Warnings...)
		info.NoChange = info.NoChange && (i == 0 || sum.NoChange)
		if sum.PRRevision != "" {
			info.PRURL, info.PRRevision, info.PRNum = sum.PRURL, sum.PRRevision, sum.PRNum
		}
		if info.PRRevision != "" {
			revision, in.CreatePR = info.PRRevision, false
		}
		sum = *info
	}
	return &sum, nil
}

// regularBytesAtMost is what additions take if the server stores all of them as
// regular files.
func regularBytesAtMost(adds []*Add) int64 {
	var n int64
	for _, a := range adds {
		n += base64Len(a.Content.Size)
	}
	return n
}
