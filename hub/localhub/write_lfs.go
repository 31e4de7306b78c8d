package localhub

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	lfsMediaType = "application/vnd.git-lfs+json"
	maxBatch     = 1000
	// maxParts is how many parts an upload has at most: above it, parts grow.
	maxParts = 1000
	// uploadTTL is how long the URLs of an upload are good. Clients ask for all
	// of a large file's at once.
	uploadTTL = 24 * time.Hour
)

type lfsObject struct {
	OID  string `json:"oid"`
	Size int64  `json:"size"`
}

type lfsBatchBody struct {
	Operation string      `json:"operation"`
	Transfers []string    `json:"transfers"`
	Objects   []lfsObject `json:"objects"`
	HashAlgo  string      `json:"hash_algo"`
	Ref       *struct {
		Name string `json:"name"`
	} `json:"ref"`
}

type lfsAction struct {
	Href   string            `json:"href"`
	Header map[string]string `json:"header,omitempty"`
}

type lfsError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

type lfsAnswer struct {
	lfsObject
	Authenticated bool                 `json:"authenticated,omitempty"`
	Actions       map[string]lfsAction `json:"actions,omitempty"`
	Error         *lfsError            `json:"error,omitempty"`
}

// lfs answers the requests of the LFS protocol.
func (c *call) lfs() error {
	if len(c.segs) != 3 || c.segs[0] != "lfs" || c.segs[1] != "objects" {
		return noRoute()
	}
	if _, err := c.query(); err != nil {
		return err
	}
	switch c.segs[2] {
	case "batch":
		return c.lfsBatch()
	case "verify":
		return c.lfsVerify()
	}
	return noRoute()
}

func (c *call) lfsBatch() error {
	var body lfsBatchBody
	if err := c.body(&body); err != nil {
		return err
	}
	if a := body.HashAlgo; a != "" && a != "sha256" && a != "sha_256" {
		return badRequest(`"hash_algo" must be "sha256"`)
	}
	if len(body.Objects) > maxBatch {
		return fail(http.StatusRequestEntityTooLarge, "At most %d objects can be asked about at once", maxBatch)
	}
	transfers := body.Transfers
	if len(transfers) == 0 {
		transfers = []string{"basic"}
	}
	if !slices.Contains(transfers, "basic") && !slices.Contains(transfers, "multipart") {
		return badRequest(`"transfers" must have "basic" or "multipart"`)
	}
	var action func(lfsObject) (map[string]lfsAction, error)
	switch body.Operation {
	case "upload":
		// Without a ref, it is for a pull request that isn't there yet.
		rev := ""
		if body.Ref != nil {
			rev = body.Ref.Name
		}
		if err := c.mayWrite(rev, body.Ref == nil); err != nil {
			return err
		}
		action = func(o lfsObject) (map[string]lfsAction, error) {
			return c.uploadActions(o, slices.Contains(transfers, "multipart"))
		}
	case "download":
		if err := c.h.checkContent(c.caller, c.repo.repoRec); err != nil {
			return err
		}
		action = c.downloadActions
	default:
		return badRequest(`"operation" must be "upload" or "download"`)
	}
	answers := make([]lfsAnswer, 0, len(body.Objects))
	for _, o := range body.Objects {
		a := lfsAnswer{lfsObject: o}
		actions, err := action(o)
		var refused *Error
		switch {
		case errors.As(err, &refused):
			a.Error = &lfsError{refused.Status, refused.Message}
		case err != nil:
			return err
		default:
			a.Actions, a.Authenticated = actions, actions != nil
		}
		answers = append(answers, a)
	}
	transfer := "basic"
	if body.Operation == "upload" && slices.Contains(transfers, "multipart") {
		transfer = "multipart"
	}
	writeJSON(c.w, http.StatusOK, lfsMediaType, map[string]any{"transfer": transfer, "objects": answers, "hash_algo": "sha256"})
	return nil
}

// hasObject tells if the repository has an object of this size. An object of
// another size is refused.
func (c *call) hasObject(o lfsObject) (bool, error) {
	if !sha256Text.MatchString(o.OID) || o.Size < 0 {
		return false, fail(http.StatusUnprocessableEntity, "An object must have a sha256 and a size")
	}
	missing, err := c.h.st.unlinkedLFS(c.repo.UID, []string{o.OID})
	if err != nil || len(missing) > 0 {
		return false, err
	}
	n, err := c.h.lfs.size(o.OID)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && n != o.Size {
		return false, fail(http.StatusUnprocessableEntity, "The size of object %s is %d, not %d", o.OID, n, o.Size)
	}
	return err == nil, err
}

func (c *call) downloadActions(o lfsObject) (map[string]lfsAction, error) {
	ok, err := c.hasObject(o)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fail(http.StatusNotFound, "Object does not exist")
	}
	return map[string]lfsAction{"download": {Href: c.h.signedDownload(c, o.OID, o.OID)}}, nil
}

// uploadActions says where an object is to be sent: nowhere, if the repository has
// it. That another one has it is no reason: who uploads must have the bytes.
func (c *call) uploadActions(o lfsObject, parts bool) (map[string]lfsAction, error) {
	ok, err := c.hasObject(o)
	if err != nil || ok {
		return nil, err
	}
	until := time.Now().Add(uploadTTL)
	signed := func(method, kind string, more url.Values) string {
		q := url.Values{"repo": {c.repo.UID}, "size": {strconv.FormatInt(o.Size, 10)}}
		for k, v := range more {
			q[k] = v
		}
		return c.h.contentBase(c) + c.h.signer.sign(method, "/"+contentPrefix+"/"+kind+"/"+o.OID, q, until)
	}
	verify := lfsAction{Href: c.webURL(c.repo.repoRec) + ".git/info/lfs/objects/verify"}
	if !parts || o.Size <= c.h.chunkSize {
		return map[string]lfsAction{"upload": {Href: signed(http.MethodPut, "put", nil)}, "verify": verify}, nil
	}
	chunk := max(c.h.chunkSize, (o.Size+maxParts-1)/maxParts)
	upload := url.Values{"upload": {newID(16)}, "chunk": {strconv.FormatInt(chunk, 10)}}
	header := map[string]string{"chunk_size": strconv.FormatInt(chunk, 10)}
	for n := int64(1); (n-1)*chunk < o.Size; n++ {
		part := url.Values{"n": {strconv.FormatInt(n, 10)}, "upload": upload["upload"], "chunk": upload["chunk"]}
		header[fmt.Sprintf("%05d", n)] = signed(http.MethodPut, "part", part)
	}
	return map[string]lfsAction{"upload": {Href: signed(http.MethodPost, "complete", upload), Header: header}, "verify": verify}, nil
}

func (c *call) lfsVerify() error {
	var o lfsObject
	if err := c.body(&o); err != nil {
		return err
	}
	if c.anonymous() {
		return errNoToken()
	}
	if err := c.h.checkContent(c.caller, c.repo.repoRec); err != nil {
		return err
	}
	ok, err := c.hasObject(o)
	if err != nil {
		return err
	}
	if !ok {
		return entryNotFound("Object %s wasn't uploaded", o.OID)
	}
	writeJSON(c.w, http.StatusOK, lfsMediaType, map[string]any{})
	return nil
}

// upload is what the signed URL of an upload says.
type upload struct {
	repo, id string
	ref      LFSRef
	part     int
	chunk    int64
}

// signedUpload checks the URL of an upload.
func (c *call) signedUpload(method string, q url.Values) (upload, error) {
	if err := c.h.signer.check(method, c.r.URL.EscapedPath(), q); err != nil {
		return upload{}, err
	}
	// The signature vouches for the form of all of these.
	size, _ := strconv.ParseInt(q.Get("size"), 10, 64)
	chunk, _ := strconv.ParseInt(q.Get("chunk"), 10, 64)
	part, _ := strconv.Atoi(q.Get("n"))
	u := upload{repo: q.Get("repo"), id: q.Get("upload"), ref: LFSRef{c.segs[0], size}, part: part, chunk: chunk}
	if c.h.st.repoByUID(u.repo) == nil {
		return upload{}, repoNotFound()
	}
	return u, nil
}

// checkLength refuses a body of another size than it must have.
func (c *call) checkLength(want int64) error {
	if n := c.r.ContentLength; n >= 0 && n != want {
		return fail(http.StatusUnprocessableEntity, "The body has %d bytes, not %d", n, want)
	}
	return nil
}

// putObject receives an object in one piece.
func (c *call) putObject(q url.Values) error {
	u, err := c.signedUpload(http.MethodPut, q)
	if err != nil {
		return err
	}
	if err := c.checkLength(u.ref.Size); err != nil {
		return err
	}
	if _, err := c.h.lfs.put(c.r.Body, &u.ref); err != nil {
		return uploadError(err)
	}
	if err := c.h.st.linkLFS(u.repo, u.ref.OID); err != nil {
		return err
	}
	c.w.Header().Set("ETag", quote(u.ref.OID))
	return c.ok()
}

// putPart receives a part of an object.
func (c *call) putPart(q url.Values) error {
	u, err := c.signedUpload(http.MethodPut, q)
	if err != nil {
		return err
	}
	off := int64(u.part-1) * u.chunk
	size := min(u.chunk, u.ref.Size-off)
	if err := c.checkLength(size); err != nil {
		return err
	}
	etag, err := c.h.lfs.putPart(u.id, u.part, off, size, c.r.Body)
	if err != nil {
		return uploadError(err)
	}
	c.w.Header().Set("ETag", quote(etag))
	return c.ok()
}

// completeUpload puts the parts of an object together.
func (c *call) completeUpload(q url.Values) error {
	u, err := c.signedUpload(http.MethodPost, q)
	if err != nil {
		return err
	}
	var body struct {
		OID   string `json:"oid"`
		Parts []struct {
			Number int    `json:"partNumber"`
			ETag   string `json:"etag"`
		} `json:"parts"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	parts := int((u.ref.Size + u.chunk - 1) / u.chunk)
	if body.OID != u.ref.OID || len(body.Parts) != parts {
		return fail(http.StatusUnprocessableEntity, "The upload of %s has %d parts", u.ref.OID, parts)
	}
	etags := make([]string, parts)
	for _, p := range body.Parts {
		if p.Number < 1 || p.Number > parts || etags[p.Number-1] != "" || strings.Trim(p.ETag, `"`) == "" {
			return fail(http.StatusUnprocessableEntity, "Each of the %d parts must be named once, with its ETag", parts)
		}
		etags[p.Number-1] = p.ETag
	}
	if err := c.h.lfs.complete(u.id, etags, u.ref); err != nil {
		return uploadError(err)
	}
	if err := c.h.st.linkLFS(u.repo, u.ref.OID); err != nil {
		return err
	}
	return c.json(map[string]any{"success": true})
}

func uploadError(err error) error {
	switch {
	case errors.Is(err, errMismatch):
		return fail(http.StatusUnprocessableEntity, "%v", err)
	case errors.Is(err, fs.ErrNotExist):
		return fail(http.StatusNotFound, "There is no such upload")
	}
	return err
}
