package hub

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
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
// Entries that [ValidPath] refuses, or that aren't in the folder, are left out
// and logged. Iteration ends at the first error.
//
//	GET /api/{type}s/{id}/tree/{revision}[/{path}]
func (c *Client) Tree(ctx context.Context, repo Repo, revision, path string, opts *TreeOptions) iter.Seq2[TreeEntry, error] {
	if opts == nil {
		opts = &TreeOptions{}
	}
	return func(yield func(TreeEntry, error) bool) {
		if err := firstError(repo.Validate(), validRevision(revision), validFolder(path)); err != nil {
			yield(TreeEntry{}, err)
			return
		}
		r := &request{method: http.MethodGet, repo: repo, path: below("tree", revision), query: url.Values{
			"recursive": {strconv.FormatBool(opts.Recursive)},
			"expand":    {strconv.FormatBool(opts.Expand)},
		}}
		if path != "" {
			r.path = below("tree", revision, path)
		}
		for entry, err := range pages[TreeEntry](ctx, c, r) {
			if err != nil {
				yield(TreeEntry{}, err)
				return
			}
			err := entry.check()
			if err == nil && !entry.within(path, opts.Recursive) {
				err = &ValidationError{What: "path", Value: entry.Path, Reason: "isn't in the folder that was listed"}
			}
			if err != nil {
				c.logger.WarnContext(ctx, "left out of a listing", "repo", repo.String(), "revision", revision, "folder", path, "error", err)
				continue
			}
			if !yield(entry, nil) {
				return
			}
		}
	}
}

// check refuses an entry that others could stumble over, and completes it.
func (e *TreeEntry) check() error {
	if e.Type != TypeFile {
		e.Type, e.Size, e.LFS = TypeDirectory, 0, nil
	}
	if e.LFS != nil && e.LFS.SHA256 == "" {
		e.LFS = nil // an empty object, as for a regular file
	}
	if !isSHA256(e.XetHash) {
		e.XetHash = ""
	}
	switch err := ValidPath(e.Path); {
	case err != nil:
		return err
	case !isOID(e.OID):
		return &ValidationError{What: "id of " + strconv.Quote(e.Path), Value: e.OID, Reason: "isn't 40 hexadecimal digits"}
	case e.Size < 0:
		return &ValidationError{What: "size of " + strconv.Quote(e.Path), Value: strconv.FormatInt(e.Size, 10), Reason: "is negative"}
	case e.LFS == nil:
		return nil
	case !isSHA256(e.LFS.SHA256):
		return &ValidationError{What: "sha256 of " + strconv.Quote(e.Path), Value: e.LFS.SHA256, Reason: "isn't 64 hexadecimal digits"}
	case e.LFS.Size != e.Size || e.LFS.PointerSize < 0:
		return &ValidationError{What: "size of " + strconv.Quote(e.Path), Value: strconv.FormatInt(e.LFS.Size, 10), Reason: "contradicts itself"}
	}
	return nil
}

// within says whether the entry is in the folder, or with deep anywhere below it.
func (e *TreeEntry) within(folder string, deep bool) bool {
	rest := e.Path
	if folder != "" {
		var ok bool
		if rest, ok = strings.CutPrefix(e.Path, folder+"/"); !ok {
			return false
		}
	}
	return deep || !strings.Contains(rest, "/")
}

// maxPathsInfo is how many paths the Hub takes in one request.
const maxPathsInfo = 1000

// PathsInfo describes the given paths of a revision, files and folders. Those
// that don't exist are left out. A server that lacks the endpoint has the
// folders of the paths listed instead.
//
//	POST /api/{type}s/{id}/paths-info/{revision}
func (c *Client) PathsInfo(ctx context.Context, repo Repo, revision string, paths []string, expand bool) ([]TreeEntry, error) {
	if err := firstError(repo.Validate(), validRevision(revision)); err != nil {
		return nil, err
	}
	wanted := make(map[string]bool, len(paths))
	for _, p := range paths {
		if err := ValidPath(p); err != nil {
			return nil, err
		}
		wanted[p] = true
	}
	var entries []TreeEntry
	if c.noPathsInfo.Load() {
		return c.pathsInfoByTree(ctx, repo, revision, wanted, expand)
	}
	for chunk := range slices.Chunk(paths, maxPathsInfo) {
		r := &request{
			method: http.MethodPost, repo: repo, path: below("paths-info", revision), repeat: true,
			header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			body:   []byte(url.Values{"paths": chunk, "expand": {strconv.FormatBool(expand)}}.Encode()),
		}
		var page []TreeEntry
		err := c.withWhole(ctx, r, func(resp *http.Response) (err error) {
			page, err = decodePage[TreeEntry](resp)
			return err
		})
		if lacksEndpoint(err) {
			c.logger.InfoContext(ctx, "the server has no paths-info: listing folders instead")
			c.noPathsInfo.Store(true)
			return c.pathsInfoByTree(ctx, repo, revision, wanted, expand)
		}
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if err := e.check(); err != nil {
				return nil, c.protocolError(r, "%v", err)
			}
			if wanted[e.Path] { // and only once
				delete(wanted, e.Path)
				entries = append(entries, e)
			}
		}
	}
	return entries, nil
}

// lacksEndpoint says whether a server refused because it doesn't know the
// endpoint; without an error code, a 404 is about no repository or revision.
func lacksEndpoint(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Status == http.StatusNotFound && e.Code == "" || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented
}

// pathsInfoByTree lists each folder that a wanted path is in.
func (c *Client) pathsInfoByTree(ctx context.Context, repo Repo, revision string, wanted map[string]bool, expand bool) ([]TreeEntry, error) {
	folders := make(map[string]bool)
	for p := range wanted {
		folder := path.Dir(p)
		if folder == "." {
			folder = ""
		}
		folders[folder] = true
	}
	var entries []TreeEntry
	for folder := range folders {
		for e, err := range c.Tree(ctx, repo, revision, folder, &TreeOptions{Expand: expand}) {
			if errors.Is(err, ErrEntryNotFound) {
				break // no folder, so nothing in it
			}
			if err != nil {
				return nil, err
			}
			if wanted[e.Path] {
				entries = append(entries, e)
			}
		}
	}
	return entries, nil
}
