package localhub

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

func itoa(n int) string { return strconv.Itoa(n) }

// htmlText is a text as HTML: the Hub formats commit messages for its pages.
func htmlText(s string) string { return html.EscapeString(s) }

// treeCursor is where the next page of a tree begins. It names the commit, so that
// all pages are of one.
type treeCursor struct {
	Commit string `json:"c"`
	After  string `json:"a"` // relative to the folder
}

func (t treeCursor) String() string {
	// A struct of strings can always be encoded.
	b, _ := json.Marshal(t)
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseTreeCursor(s string) (t treeCursor, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err != nil || !isCommitID(t.Commit) {
		return t, badRequest(`"cursor" isn't one that this Hub has given`)
	}
	return t, nil
}

// entry is what a listing says about a file or folder.
type entry struct {
	Type       string         `json:"type"`
	OID        string         `json:"oid"`
	Size       int64          `json:"size"`
	Path       string         `json:"path"`
	LFS        *entryLFS      `json:"lfs,omitempty"`
	LastCommit *entryCommit   `json:"lastCommit,omitempty"`
	Security   map[string]any `json:"securityFileStatus,omitempty"`
}

type entryLFS struct {
	OID         string `json:"oid"`
	Size        int64  `json:"size"`
	PointerSize int64  `json:"pointerSize"`
}

type entryCommit struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Date  string `json:"date"`
}

func newEntry(p string, e *gitstore.Entry) entry {
	out := entry{Type: "file", OID: e.OID.String(), Size: e.Size, Path: p}
	if e.IsDir() {
		out.Type, out.Size = "directory", 0
	}
	if e.LFS != nil {
		out.Size = e.LFS.Size
		out.LFS = &entryLFS{e.LFS.OID, e.LFS.Size, e.Size}
	}
	return out
}

// expand adds the last commit to entries, and that no scanner has looked at files.
func (r *repo) expand(head gitstore.OID, list []entry) error {
	for i := range list {
		dir, name := path.Split(list[i].Path)
		last, err := r.git.LastCommits(head, strings.TrimSuffix(dir, "/"))
		if err != nil {
			return err
		}
		if k := last[name]; k != nil {
			list[i].LastCommit = &entryCommit{k.OID.String(), k.Title(), date(k.Date)}
		}
		if list[i].Type == "file" {
			list[i].Security = map[string]any{"status": "unscanned", "avScan": nil, "pickleImportScan": nil}
		}
	}
	return nil
}

// tree lists a folder.
func (c *call) tree() error {
	q, err := c.query("recursive", "expand", "limit", "cursor")
	if err != nil {
		return err
	}
	recursive, err := flag(q, "recursive")
	if err != nil {
		return err
	}
	expand, err := flag(q, "expand")
	if err != nil {
		return err
	}
	size := c.h.pageSize
	if expand {
		size = max(size/20, 1)
	}
	limit, err := number(q, "limit", size, 1, 1<<30)
	if err != nil {
		return err
	}
	limit = min(limit, size)
	rev, err := c.revision()
	if err != nil {
		return err
	}
	dir, err := c.arg()
	if err != nil {
		return err
	}
	dir = strings.Trim(dir, "/")
	var at treeCursor
	if q.Has("cursor") {
		if at, err = parseTreeCursor(q.Get("cursor")); err != nil {
			return err
		}
		rev = at.Commit
	}
	commit, err := c.repo.resolveCommit(rev)
	if err != nil {
		return err
	}
	folder, err := c.repo.git.Lookup(commit.Tree, dir)
	if errors.Is(err, gitstore.ErrNotFound) || err == nil && !folder.IsDir() {
		c.w.Header().Set("X-Repo-Commit", commit.OID.String())
		return entryNotFound("%s does not exist on %q", oneLine(dir), rev)
	}
	if err != nil {
		return err
	}
	prefix := ""
	if dir != "" {
		prefix = dir + "/"
	}
	list := make([]entry, 0, min(limit, 1000))
	more := false
	err = c.repo.git.Walk(folder.OID, recursive, at.After, func(p string, e *gitstore.Entry) bool {
		if len(list) == limit {
			more = true
			return false
		}
		list = append(list, newEntry(prefix+p, e))
		return true
	})
	if errors.Is(err, gitstore.ErrNotFound) {
		return badRequest(`"cursor" isn't of this listing`)
	}
	if err != nil {
		return err
	}
	if expand {
		if err := c.repo.expand(commit.OID, list); err != nil {
			return err
		}
	}
	if more {
		last := strings.TrimPrefix(list[len(list)-1].Path, prefix)
		c.next(url.Values{"cursor": {treeCursor{commit.OID.String(), last}.String()}})
	}
	c.w.Header().Set("X-Repo-Commit", commit.OID.String())
	return c.json(list)
}

// maxPaths is how many paths one paths-info may ask about.
const maxPaths = 1000

// pathsInfo answers what is at each of some paths; one that isn't there is left
// out.
func (c *call) pathsInfo() error {
	if _, err := c.query(); err != nil {
		return err
	}
	paths, expand, err := c.pathsBody()
	if err != nil {
		return err
	}
	if len(paths) > maxPaths {
		return fail(http.StatusRequestEntityTooLarge, "At most %d paths can be asked about at once", maxPaths)
	}
	rev, err := c.revision()
	if err != nil {
		return err
	}
	if len(c.segs) > 0 {
		return revisionNotFound(rev + "/" + strings.Join(c.segs, "/"))
	}
	commit, err := c.repo.resolveCommit(rev)
	if err != nil {
		return err
	}
	list := []entry{}
	seen := map[string]bool{}
	for _, p := range paths {
		p = strings.Trim(p, "/")
		if p == "" || seen[p] {
			continue
		}
		seen[p] = true
		e, err := c.repo.git.Lookup(commit.Tree, p)
		if errors.Is(err, gitstore.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		list = append(list, newEntry(p, e))
	}
	if expand {
		if err := c.repo.expand(commit.OID, list); err != nil {
			return err
		}
	}
	c.w.Header().Set("X-Repo-Commit", commit.OID.String())
	return c.json(list)
}

// pathsBody reads the paths from a form or from JSON, as clients send either.
func (c *call) pathsBody() (paths []string, expand bool, err error) {
	mediaType, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	switch mediaType {
	case "application/json":
		var body struct {
			Paths  pathList `json:"paths"`
			Expand bool     `json:"expand"`
		}
		if err := c.body(&body); err != nil {
			return nil, false, err
		}
		return body.Paths, body.Expand, nil
	case "application/x-www-form-urlencoded", "":
		c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxJSON)
		if err := c.r.ParseForm(); err != nil {
			return nil, false, bodyError(err)
		}
		for k := range c.r.PostForm {
			if k != "paths" && k != "expand" {
				return nil, false, badRequest("Unknown form field %q", oneLine(k))
			}
		}
		expand, err = flag(c.r.PostForm, "expand")
		return c.r.PostForm["paths"], expand, err
	}
	return nil, false, fail(http.StatusUnsupportedMediaType, "The body must be a form or JSON")
}

// pathList is one path or several.
type pathList []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *pathList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = pathList{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}
