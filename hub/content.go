package hub

import (
	"context"
	"time"
)

// FileRef names a file at a revision. Revision "" is the default branch.
type FileRef struct {
	Repo     Repo
	Revision string
	Path     string
}

// FileMetadata is what the Hub says about the content of a file.
type FileMetadata struct {
	CommitHash string // commit that the revision stands for; "" if not said
	ETag       string // sha256 for an LFS file, Git's blob id for others
	Size       int64  // -1 if not said
	Location   Location
}

// Location is where the bytes of a file are: an address of the Hub itself, or a
// signed one elsewhere that expires. It is a value, to be kept and reused.
type Location struct {
	URL     string    // a secret: whoever has it may read the file
	Expires time.Time // zero if unknown
	Commit  string    // of the file, as in FileMetadata
	ETag    string
	Size    int64  // -1 if unknown
	Tag     string // the ETag of that address itself, to notice a change between two ranges
}

// Range is a part of a file, in bytes.
type Range struct {
	Off int64
	Len int64 // <0: to the end
}

// Content is an open part of a file. Read gives exactly Len bytes and then
// io.EOF, or an error: ErrUnavailable where the connection ends early or stands
// still for Config.ProgressTimeout. It isn't safe for concurrent use.
type Content struct {
	Off      int64 // of the first byte
	Len      int64 // bytes to come; -1 if only the end of the answer tells
	Size     int64 // of the whole file; -1 if unknown
	ETag     string
	Commit   string
	Location Location // for OpenLocation
}

// Read implements io.Reader.
func (r *Content) Read(p []byte) (int, error) { return 0, errUnfinished }

// Close gives the connection back. It is needed after an error, too.
func (r *Content) Close() error { return nil }

// FileMetadata asks about a file without reading it.
//
//	HEAD /{prefix}{id}/resolve/{revision}/{path}
func (c *Client) FileMetadata(ctx context.Context, f FileRef) (*FileMetadata, error) {
	return nil, errUnfinished
}

// FileExists says whether the repository, the revision and the file exist.
func (c *Client) FileExists(ctx context.Context, f FileRef) (bool, error) {
	return false, errUnfinished
}

// OpenFile opens a part of a file: one request to the Hub, and where that
// redirects to storage elsewhere a second one there. The caller closes the
// Content, and resumes with OpenLocation where Read fails with ErrUnavailable.
//
//	GET /{prefix}{id}/resolve/{revision}/{path}
func (c *Client) OpenFile(ctx context.Context, f FileRef, r Range) (*Content, error) {
	return nil, errUnfinished
}

// OpenLocation opens a part of a file whose Location is known: one request, and
// none to the Hub where the Location is elsewhere. ErrLocationExpired means to
// use OpenFile again.
func (c *Client) OpenLocation(ctx context.Context, l Location, r Range) (*Content, error) {
	return nil, errUnfinished
}
