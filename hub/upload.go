package hub

import "context"

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

// UploadFile adds or replaces one file.
func (c *Client) UploadFile(ctx context.Context, repo Repo, revision, path string, content ContentSource, opts *CommitOptions) (*CommitInfo, error) {
	return nil, errUnfinished
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
}

// UploadFolder adds the files of a local folder, hidden ones included. Links to
// files are taken as files; linked folders are not entered. It is one commit,
// unless the Hub's limits ask for several, of which the last is returned.
func (c *Client) UploadFolder(ctx context.Context, repo Repo, revision, folder string, opts *UploadFolderOptions) (*CommitInfo, error) {
	return nil, errUnfinished
}

// DeleteFile removes one file.
func (c *Client) DeleteFile(ctx context.Context, repo Repo, revision, path string, opts *CommitOptions) (*CommitInfo, error) {
	return nil, errUnfinished
}

// DeleteFiles removes the files that match one of the patterns; see Patterns. The
// .gitattributes at the root stays.
func (c *Client) DeleteFiles(ctx context.Context, repo Repo, revision string, patterns []string, opts *CommitOptions) (*CommitInfo, error) {
	return nil, errUnfinished
}

// DeleteFolder removes a folder and everything below it.
func (c *Client) DeleteFolder(ctx context.Context, repo Repo, revision, path string, opts *CommitOptions) (*CommitInfo, error) {
	return nil, errUnfinished
}
