package hub

import (
	"context"
)

// ErrAmbiguousCommit is a commit that was sent, and whose answer doesn't say
// whether it landed: a timeout, a server error, a lost connection, an answer that
// can't be read. Sending it again could double it: look for its mark with
// [Client.FindCommit] first, and keep the same ParentCommit.
var ErrAmbiguousCommit error = &kind{"it isn't known whether the commit landed", nil}

// CommitInput is a commit to be made.
type CommitInput struct {
	Summary     string // first line of the message; mandatory
	Description string // the rest of the message
	// ParentCommit is the commit that the branch must be at, else the commit
	// fails with ErrPreconditionFailed. "" is wherever it is. 5 to 40 hex digits.
	ParentCommit string
	// CreatePR makes a pull request against the revision, which takes read access only.
	CreatePR   bool
	Operations []Operation // in the order in which they apply

	// Mark is a unique text, usually a UUID, that is written as the last line of
	// the description, for FindCommit. "" is none.
	Mark string
	// GitIgnore are rules for what is left out, instead of those of the repository.
	GitIgnore string

	UploadOptions
}

// UploadOptions are how content is transferred.
type UploadOptions struct {
	// Workers is how many files or parts are transferred at a time. 0 is 8.
	Workers int
	// Progress is told what was done, from one goroutine at a time. It must not block.
	Progress func(Progress)
	// Checkpoint is called, from one goroutine at a time, whenever the State of an
	// addition has got further, so that it can be kept.
	Checkpoint func(*Add)
}

// Progress is how far a transfer is. A repeated part counts once.
type Progress struct {
	Path  string // of the file that moved, as it will be in the repository; "" for the commit itself
	Done  int64  // bytes of that file
	Size  int64
	Files int // transferred so far, of all that have to be

	TotalDone int64 // bytes of all files so far
	Total     int64 // bytes of all files that are known to need a transfer
}

// CommitInfo is a commit that was made.
type CommitInfo struct {
	CommitURL   string
	Message     string // as given, as is Description
	Description string
	OID         string
	RepoURL     RepoURL

	PRURL      string // "" but for CreatePR, as are the other two
	PRRevision string // "refs/pr/<number>"
	PRNum      int    // 0 is none

	// URL of what the caller uploaded: the file or folder, else CommitURL.
	URL string

	// NoChange says that nothing was left to commit: OID is the head as it was.
	NoChange  bool
	Unchanged []string // paths that were left out, as the repository has that content there
	Ignored   []string // paths that were left out, as the repository ignores them
	Warnings  []string // to be shown to the user
}

// CreateCommit makes one commit: it validates the metadata of a README.md, asks
// the server how each file is to be stored, uploads LFS files, looks up copies
// and sends the commit. What the repository has already is left out, and where
// nothing is left no commit is made.
//
// A commit that was sent is never sent again: see ErrAmbiguousCommit. The State
// of the additions says what was done, also after an error, and a second call
// goes on from there. A failure that belongs to one path is an *OperationError.
//
//	POST /api/{type}s/{id}/commit/{revision}
func (c *Client) CreateCommit(ctx context.Context, repo Repo, revision string, in CommitInput) (*CommitInfo, error) {
	return nil, errUnfinished
}

// PreuploadLFSFiles does what CreateCommit would do ahead of the commit: it asks
// how each file is to be stored, and uploads the LFS ones. Their State tells
// CreateCommit to do neither again.
//
//	POST /api/{type}s/{id}/preupload/{revision}
//	POST /{prefix}{id}.git/info/lfs/objects/batch
func (c *Client) PreuploadLFSFiles(ctx context.Context, repo Repo, revision string, adds []*Add, opts *PreuploadOptions) error {
	return errUnfinished
}

// PreuploadOptions refine PreuploadLFSFiles.
type PreuploadOptions struct {
	CreatePR  bool   // they are for a pull request
	GitIgnore string // as in CommitInput
	UploadOptions
}

// FindCommit looks for the commit that carries a mark, newest first, down to the
// commit since, which is not looked at; "" is the whole history. It is nil if
// there is none.
func (c *Client) FindCommit(ctx context.Context, repo Repo, revision, since, mark string) (*Commit, error) {
	return nil, errUnfinished
}
