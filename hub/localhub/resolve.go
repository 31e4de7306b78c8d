package localhub

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// resolveFile answers with the content of a file, or with where it is.
func (c *call) resolveFile() error { return c.file(false) }

// rawFile answers with what git has of a file: of an LFS file, its pointer.
func (c *call) rawFile() error { return c.file(true) }

func (c *call) file(raw bool) error {
	q, err := c.query("download", "noContentDisposition")
	if err != nil {
		return err
	}
	for k := range q {
		// Accepted, without effect: what is served is for programs.
		if _, err := flag(q, k); err != nil {
			return err
		}
	}
	if err := c.h.checkContent(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	rev, err := c.revision()
	if err != nil {
		return err
	}
	name, err := c.arg()
	if err != nil {
		return err
	}
	commit, err := c.repo.resolveCommit(rev)
	if err != nil {
		return err
	}
	head := c.w.Header()
	head.Set("X-Repo-Commit", commit.OID.String())
	e, err := c.repo.git.Lookup(commit.Tree, name)
	if errors.Is(err, gitstore.ErrNotFound) || err == nil && (e.IsDir() || e.Mode == gitstore.ModeModule) {
		return entryNotFound("Entry not found")
	}
	if err != nil {
		return err
	}
	head.Set("Cache-Control", "no-cache")
	if !raw && countsAsDownload(c.repo.Type, name) {
		c.h.taken.take(c.repo.UID, c.h.rateKey(c.r))
	}
	if e.LFS != nil && !raw {
		return c.lfsFile(e.LFS, path.Base(name))
	}
	o, err := c.repo.git.Read(e.OID)
	if err != nil {
		return err
	}
	head.Set("ETag", quote(e.OID.String()))
	c.serveBytes(path.Base(name), bytes.NewReader(o.Content))
	return nil
}

// lfsFile answers with where an LFS object is, or with the object if there is no
// other host.
func (c *call) lfsFile(ref *gitstore.LFS, name string) error {
	head := c.w.Header()
	head.Set("X-Linked-Etag", quote(ref.OID))
	head.Set("X-Linked-Size", strconv.FormatInt(ref.Size, 10))
	head.Set("Accept-Ranges", "bytes")
	if c.h.contentURL.Load() != nil {
		head.Set("Location", c.h.signedDownload(c, ref.OID, name))
		head.Set("ETag", quote(ref.OID))
		head.Set("Content-Length", "0")
		c.w.WriteHeader(http.StatusFound)
		return nil
	}
	f, err := c.h.lfs.open(ref.OID)
	if err != nil {
		return err
	}
	defer f.Close()
	head.Set("ETag", quote(ref.OID))
	c.serveBytes(name, f)
	return nil
}

func (c *call) serveBytes(name string, content io.ReadSeeker) { serveBytes(c.w, c.r, name, content) }

// serveBytes answers with content, or with the range of it that is asked for. The
// ETag must be set.
func serveBytes(w http.ResponseWriter, r *http.Request, name string, content io.ReadSeeker) {
	head := w.Header()
	if head.Get("Content-Type") == "" {
		// Nothing that a browser would run: files are somebody's, not the Hub's.
		head.Set("Content-Type", "application/octet-stream")
	}
	head.Set("Content-Disposition", mime.FormatMediaType("inline", map[string]string{"filename": name}))
	head.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(&rangeWriter{ResponseWriter: w}, r, "", time.Time{}, content)
}

// rangeWriter gives the refusal of a range the Hub's form.
type rangeWriter struct {
	http.ResponseWriter
	refused bool
}

// Unwrap lets http.ResponseController reach the connection.
func (w *rangeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *rangeWriter) WriteHeader(status int) {
	if status >= 400 {
		w.refused = true
		w.Header().Del("Content-Disposition")
		writeError(w.ResponseWriter, fail(status, "The range can't be satisfied"))
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *rangeWriter) Write(b []byte) (int, error) {
	if w.refused {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

func quote(s string) string { return `"` + s + `"` }
