package hub

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// The types of a TreeEntry.
const (
	TypeFile      = "file"
	TypeDirectory = "directory"
)

// TreeEntry is a file or folder of a revision.
type TreeEntry struct {
	Type       string          `json:"type"` // TypeFile or TypeDirectory
	Path       string          `json:"path"` // from the root; passes ValidPath
	OID        string          `json:"oid"`  // Git's id: tree, blob, or for an LFS file the pointer's blob
	Size       int64           `json:"size"` // of the content; 0 for folders
	LFS        *LFSInfo        `json:"lfs,omitempty"`
	XetHash    string          `json:"xetHash,omitempty"`
	LastCommit *LastCommit     `json:"lastCommit,omitempty"`         // only with Expand
	Security   *SecurityStatus `json:"securityFileStatus,omitempty"` // only with Expand
}

// LastCommit is the commit that changed an entry last.
type LastCommit struct {
	ID    string    `json:"id"`
	Title string    `json:"title"`
	Date  time.Time `json:"date"`
}

// SecurityStatus is what the Hub's scanners say about a file.
type SecurityStatus struct {
	Status           string          `json:"status"` // "safe" if nothing was found
	AVScan           json.RawMessage `json:"avScan"`
	PickleImportScan json.RawMessage `json:"pickleImportScan"`
}

// TreeOptions refine Tree.
type TreeOptions struct {
	Recursive bool // everything below the folder
	Expand    bool // with LastCommit and Security; pages are then 20 times smaller
}

// Tree lists a folder of a revision; "" is the root. The order isn't defined.
// Iteration ends at the first error.
//
//	GET /api/{type}s/{id}/tree/{revision}[/{path}]
func (c *Client) Tree(ctx context.Context, repo Repo, revision, path string, opts *TreeOptions) iter.Seq2[TreeEntry, error] {
	return func(yield func(TreeEntry, error) bool) { yield(TreeEntry{}, errUnfinished) }
}

// PathsInfo describes the given paths of a revision, files and folders. Those
// that don't exist are left out.
//
//	POST /api/{type}s/{id}/paths-info/{revision}
func (c *Client) PathsInfo(ctx context.Context, repo Repo, revision string, paths []string, expand bool) ([]TreeEntry, error) {
	return nil, errUnfinished
}
