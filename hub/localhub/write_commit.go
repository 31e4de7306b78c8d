package localhub

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// Limits of one commit.
const (
	maxRegular      = 10 << 20 // bytes of a regular file: above it, it must be an LFS file
	maxLine         = maxRegular/3*4 + 64<<10
	maxCommitBytes  = 1 << 30 // of all regular files
	maxCommitLFS    = 25_000
	maxCommitOthers = 250_000
)

// commitLine is one line of a commit's body.
type commitLine struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

type commitHeader struct {
	Summary      string `json:"summary"`
	Description  string `json:"description"`
	ParentCommit string `json:"parentCommit"`
}

type commitFile struct {
	Path     string `json:"path"`
	OldPath  string `json:"oldPath"`
	Content  string `json:"content"`
	Encoding string `json:"encoding"`
}

type commitLFSFile struct {
	Path    string `json:"path"`
	OldPath string `json:"oldPath"`
	Algo    string `json:"algo"`
	OID     string `json:"oid"`
	Size    *int64 `json:"size"`
}

type commitPath struct {
	Path string `json:"path"`
}

// strictJSON decodes one JSON value whose keys are all known.
func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return bodyError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequest("There is more on a line than one JSON value")
	}
	return nil
}

// readLines calls fn for each line that isn't empty. The last one may lack its
// line end.
func readLines(r io.Reader, fn func(line []byte) error) error {
	br := bufio.NewReaderSize(r, 64<<10)
	var long []byte
	for {
		part, err := br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(long) > 0 {
			if len(long)+len(part) > maxLine {
				return fail(http.StatusRequestEntityTooLarge, "A line of the commit is larger than %d bytes: files above %d bytes must be uploaded with LFS", maxLine, maxRegular)
			}
			long = append(long, part...)
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			part, long = long, nil
		}
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return bodyError(err)
		}
		if line := bytes.TrimSpace(part); len(line) > 0 {
			if err := fn(line); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

// readCommit fills a draft from a commit's body.
func (d *draft) readCommit(r io.Reader) error {
	var regular int64
	lines, lfs := 0, 0
	err := readLines(r, func(b []byte) error {
		var line commitLine
		if err := strictJSON(b, &line); err != nil {
			return err
		}
		lines++
		if (lines == 1) != (line.Key == "header") {
			return badRequest(`The first line, and no other, must have key "header"`)
		}
		switch line.Key {
		case "header":
			return d.readHeader(line.Value)
		case "file":
			n, err := d.readFile(line.Value)
			if regular += n; regular > maxCommitBytes {
				return fail(http.StatusRequestEntityTooLarge, "The regular files of one commit may have %d bytes at most", maxCommitBytes)
			}
			return err
		case "lfsFile":
			if lfs++; lfs > maxCommitLFS {
				return fail(http.StatusRequestEntityTooLarge, "One commit may have %d LFS files at most", maxCommitLFS)
			}
			return d.readLFSFile(line.Value)
		case "deletedFile", "deletedFolder":
			var v commitPath
			if err := strictJSON(line.Value, &v); err != nil {
				return err
			}
			return d.remove(OpDelete, v.Path)
		}
		return badRequest(`Unknown key %q: it must be "header", "file", "lfsFile", "deletedFile" or "deletedFolder"`, oneLine(line.Key))
	})
	switch {
	case err != nil:
		return err
	case lines == 0:
		return badRequest(`The first line, and no other, must have key "header"`)
	case len(d.ops) == 0:
		return badRequest(`The commit needs a line with key "lfsFile", "file", "deletedFile" or "deletedFolder"`)
	case len(d.ops) > maxCommitOthers:
		return fail(http.StatusRequestEntityTooLarge, "One commit may have %d operations at most", maxCommitOthers)
	}
	return nil
}

func (d *draft) readHeader(b []byte) error {
	var v commitHeader
	if err := strictJSON(b, &v); err != nil {
		return err
	}
	if strings.TrimSpace(v.Summary) == "" {
		return badRequest(`"summary" must not be empty`)
	}
	if p := v.ParentCommit; p != "" && (len(p) < 5 || len(p) > 40 || !hexPattern.MatchString(strings.ToLower(p))) {
		return badRequest(`"parentCommit" must be a commit's id`)
	}
	d.title, d.description, d.parent = v.Summary, v.Description, strings.ToLower(v.ParentCommit)
	return nil
}

func (d *draft) readFile(b []byte) (size int64, err error) {
	var v commitFile
	if err := strictJSON(b, &v); err != nil {
		return 0, err
	}
	if err := d.replaces(v.OldPath, v.Path); err != nil {
		return 0, err
	}
	return d.addEncoded(v.Path, v.Content, v.Encoding)
}

// addEncoded adds a regular file as clients send it, and returns its size.
func (d *draft) addEncoded(path, text, encoding string) (size int64, err error) {
	var content []byte
	switch encoding {
	case "base64":
		if content, err = base64.StdEncoding.DecodeString(text); err != nil {
			return 0, badRequest("The content of %s isn't base64", oneLine(path))
		}
	case "utf-8", "":
		content = []byte(text)
	default:
		return 0, badRequest(`The "encoding" of %s must be "base64" or "utf-8"`, oneLine(path))
	}
	if len(content) > maxRegular {
		return 0, fail(http.StatusRequestEntityTooLarge, "%s is larger than %d bytes: upload it with LFS", oneLine(path), maxRegular)
	}
	if path == "README.md" {
		if _, _, err := parseCard(content); err != nil {
			return 0, badRequest("Invalid metadata in README.md: %s", oneLine(err.Error()))
		}
	}
	return int64(len(content)), d.addFile(path, content)
}

func (d *draft) readLFSFile(b []byte) error {
	var v commitLFSFile
	if err := strictJSON(b, &v); err != nil {
		return err
	}
	if v.Algo != "" && v.Algo != "sha256" {
		return badRequest(`The "algo" of %s must be "sha256"`, oneLine(v.Path))
	}
	if !sha256Text.MatchString(v.OID) {
		return badRequest(`The "oid" of %s must be a sha256`, oneLine(v.Path))
	}
	size := int64(-1)
	if v.Size != nil {
		size = *v.Size
	}
	if err := d.replaces(v.OldPath, v.Path); err != nil {
		return err
	}
	return d.addLFS(v.Path, v.OID, size)
}

// replaces removes a file whose new name comes next.
func (d *draft) replaces(old, path string) error {
	if old == "" || old == path {
		return nil
	}
	return d.remove(OpDelete, old)
}

// checkLFSRights refuses objects that the repository doesn't have. Somebody who
// knows no more than an object's sha256 must not get its content.
func (d *draft) checkLFSRights() error {
	missing, err := d.h.st.unlinkedLFS(d.repo.UID, d.lfsOIDs())
	if err != nil || len(missing) == 0 {
		return err
	}
	for _, op := range d.ops {
		if op.entry.LFS != nil && op.entry.LFS.OID == missing[0] {
			return noLFSObject(op.path)
		}
	}
	return noLFSObject(missing[0])
}

func noLFSObject(path string) *Error {
	return fail(http.StatusUnprocessableEntity, "LFS pointer pointed to a file that does not exist: %s", oneLine(path))
}

// commit makes a commit.
func (c *call) commit() error {
	q, err := c.query("create_pr", "hot_reload")
	if err != nil {
		return err
	}
	pr, err := flag(q, "create_pr")
	if err != nil {
		return err
	}
	rev, err := c.writableRevision(pr)
	if err != nil {
		return err
	}
	if t, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type")); t != "application/x-ndjson" {
		return fail(http.StatusUnsupportedMediaType, "The body of a commit must be application/x-ndjson")
	}
	d := c.h.newDraft(c.repo, c.name())
	if err := d.readCommit(c.r.Body); err != nil {
		return err
	}
	if err := d.checkLFSRights(); err != nil {
		return err
	}
	var oid gitstore.OID
	out := map[string]any{"success": true, "hookOutput": ""}
	if pr {
		var n int
		if n, oid, err = d.commitToNewPR(rev); err == nil {
			out["pullRequestUrl"] = c.webURL(c.repo.repoRec) + "/discussions/" + strconv.Itoa(n)
		}
	} else {
		oid, err = d.commitTo(rev)
	}
	if err != nil {
		return err
	}
	out["commitOid"], out["commitUrl"] = oid.String(), c.webURL(c.repo.repoRec)+"/commit/"+oid.String()
	c.w.Header().Set("X-Repo-Commit", oid.String())
	return c.json(out)
}

// webURL is a repository's address on the site.
func (c *call) webURL(r *repoRec) string { return c.base() + "/" + webPrefix(r.Type) + r.ID }

var prRef = regexp.MustCompile(`^refs/pr/([1-9][0-9]{0,8})$`)

// writableRevision takes the revision that is to be written to from the path, and
// refuses callers who may not write there. With pr, it is what a new pull request
// is based on, for which reading the repository is enough; the author of a pull
// request may add to it.
func (c *call) writableRevision(pr bool) (string, error) {
	rev, revErr := c.revision()
	if err := c.mayWrite(rev, pr); err != nil {
		return "", err
	}
	if revErr != nil {
		return "", revErr
	}
	if len(c.segs) > 0 {
		return "", revisionNotFound(rev + "/" + strings.Join(c.segs, "/"))
	}
	_, _, err := c.repo.branchRef(rev)
	return rev, err
}

// mayWrite refuses callers who may not write to a revision.
func (c *call) mayWrite(rev string, pr bool) error {
	if m := prRef.FindStringSubmatch(rev); m != nil && !pr {
		num, _ := strconv.Atoi(m[1])
		if d, err := c.h.st.discussion(c.repo.UID, num); err == nil && d.Pull != nil && strings.EqualFold(d.Author, c.name()) {
			pr = true
		}
	}
	if !pr {
		return c.h.checkWrite(c.caller, c.repo.repoRec)
	}
	if c.anonymous() {
		return errNoToken()
	}
	if err := c.h.checkContent(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	if !c.token.allows(true, c.repo.owner(), c.repo.entityName()) && !c.token.allows(true, c.user.Name, "") {
		return fail(http.StatusForbidden, "This token may not open pull requests.")
	}
	return nil
}
