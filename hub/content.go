package hub

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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

// String is the address without its secrets.
func (l Location) String() string {
	u, err := url.Parse(l.URL)
	if err != nil {
		return "invalid location"
	}
	return redactURL(u)
}

// Expired says whether the address is known to be of no use any more, or within
// a few seconds.
func (l Location) Expired(now time.Time) bool {
	return !l.Expires.IsZero() && now.Add(5*time.Second).After(l.Expires)
}

// Range is a part of a file, in bytes.
type Range struct {
	Off int64
	Len int64 // <0: to the end
}

// check refuses a file that no request should be made for.
func (f *FileRef) check() error {
	if f.Revision == "" {
		f.Revision = "main"
	}
	return firstError(f.Repo.Validate(), validRevision(f.Revision), ValidPath(f.Path))
}

// request is one for the content of the file.
func (f *FileRef) request(method string) *request {
	return &request{
		method: method,
		repo:   f.Repo,
		path:   func(r Repo) string { return r.resolvePath(f.Revision, f.Path) },
		header: identity(),
	}
}

// identity asks for the bytes as they are: a compressed answer has another
// length, and its ranges are of something else.
func identity() http.Header { return http.Header{"Accept-Encoding": {"identity"}} }

// FileMetadata asks about a file without reading it.
//
//	HEAD /{prefix}{id}/resolve/{revision}/{path}
func (c *Client) FileMetadata(ctx context.Context, f FileRef) (*FileMetadata, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	a, err := c.exchange(ctx, f.request(http.MethodHead))
	if err != nil {
		return nil, err
	}
	a.resp.Body.Close()
	return a.metadata()
}

// FileExists says whether the repository, the revision and the file exist. What
// a gated repository holds is an error for those without access.
func (c *Client) FileExists(ctx context.Context, f FileRef) (bool, error) {
	_, err := c.FileMetadata(ctx, f)
	if errors.Is(err, ErrRepoNotFound) || errors.Is(err, ErrRevisionNotFound) || errors.Is(err, ErrEntryNotFound) {
		return false, nil
	}
	return err == nil, err
}

// metadata reads what the answers of a resolve address say about the file. Where
// the content is elsewhere, the redirect there says it.
func (a *answer) metadata() (*FileMetadata, error) {
	resp := a.resp
	m := &FileMetadata{
		CommitHash: a.header("X-Repo-Commit"),
		ETag:       normalETag(a.header("X-Linked-Etag")),
		Size:       -1,
	}
	if m.ETag == "" {
		m.ETag = normalETag(resp.Header.Get("ETag"))
	}
	if m.CommitHash != "" && !isOID(m.CommitHash) {
		return nil, protocolError(resp.Request, "the commit %q isn't 40 hexadecimal digits", m.CommitHash)
	}
	if m.ETag != "" && (ValidPath(m.ETag) != nil || strings.Contains(m.ETag, "/")) { // it becomes the name of a file
		return nil, protocolError(resp.Request, "the ETag %q can't be that of a file", m.ETag)
	}
	size := a.header("X-Linked-Size")
	if size == "" && a.elsewhere == nil && resp.StatusCode == http.StatusOK {
		size = resp.Header.Get("Content-Length")
	}
	if size != "" {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || n < 0 {
			return nil, protocolError(resp.Request, "the size %q is no number of bytes", size)
		}
		m.Size = n
	}
	at := resp.Request.URL
	if a.elsewhere != nil {
		at = a.elsewhere
	}
	m.Location = Location{URL: at.String(), Expires: expiry(at), Commit: m.CommitHash, ETag: m.ETag, Size: m.Size}
	return m, nil
}

// normalETag is an ETag without W/ and quotes.
func normalETag(s string) string {
	return strings.Trim(strings.TrimLeft(s, "W/"), `"`)
}

// expiry is when a signed URL ends, as the usual signers write it; zero if it
// doesn't say.
func expiry(u *url.URL) time.Time {
	q := u.Query()
	for _, vendor := range []string{"X-Amz-", "X-Goog-"} {
		from, err := time.Parse("20060102T150405Z", q.Get(vendor+"Date"))
		n, err2 := strconv.ParseInt(q.Get(vendor+"Expires"), 10, 32)
		if err == nil && err2 == nil {
			return from.Add(time.Duration(n) * time.Second)
		}
	}
	if n, err := strconv.ParseInt(q.Get("Expires"), 10, 64); err == nil && 0 < n && n < 1<<40 {
		return time.Unix(n, 0)
	}
	if t, err := time.Parse(time.RFC3339, q.Get("se")); err == nil {
		return t
	}
	return time.Time{}
}
