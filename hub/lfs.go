package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	lfsMediaType   = "application/vnd.git-lfs+json"
	lfsBatchFiles  = 256       // objects a call
	lfsBatchBytes  = 256 << 20 // of content a call, so that the first upload doesn't wait for hashing all
	maxUploadParts = 100_000   // of one file; more can only be a mistake
)

// MultipartState is a multipart upload under way: which parts are stored. It holds
// signed addresses, and so is a secret. It can be kept as JSON; one that the
// server doesn't know any more is started anew.
type MultipartState struct {
	SHA256    string         `json:"sha256"`
	Size      int64          `json:"size"`
	ChunkSize int64          `json:"chunk_size"`
	Complete  string         `json:"complete"` // address that puts the parts together
	Parts     []string       `json:"parts"`    // address of each part
	ETags     map[int]string `json:"etags"`    // of the parts that are stored, by number from 1
}

// valid says whether a state that was kept somewhere belongs to the content, and
// is whole.
func (m *MultipartState) valid(sha256 string, size int64) bool {
	if m == nil || m.SHA256 != sha256 || m.Size != size || m.ChunkSize <= 0 || m.Complete == "" {
		return false
	}
	if int64(len(m.Parts)) != partCount(size, m.ChunkSize) {
		return false
	}
	for n, etag := range m.ETags {
		if n < 1 || n > len(m.Parts) || etag == "" {
			return false
		}
	}
	return true
}

// sameUpload says whether two addresses complete the same upload: those of one
// upload differ only in when they were signed.
func sameUpload(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	if errA != nil || errB != nil || ua.Host != ub.Host || ua.Path != ub.Path {
		return false
	}
	return maps.EqualFunc(lastingParams(ua), lastingParams(ub), slices.Equal)
}

// lastingParams are the parameters of a signed address that don't come from the
// signing. One too many only costs parts that are sent again.
func lastingParams(u *url.URL) url.Values {
	params := u.Query()
	maps.DeleteFunc(params, func(name string, _ []string) bool {
		name = strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
		switch name {
		case "signature", "sig", "expires", "expiration", "expiry", "exp", "policy", "keypairid", "awsaccesskeyid", "googleaccessid":
			return true
		}
		return strings.HasPrefix(name, "xamz") || strings.HasPrefix(name, "xgoog")
	})
	return params
}

func partCount(size, chunk int64) int64 { return (size-1)/chunk + 1 }

type lfsBatchRequest struct {
	Operation string      `json:"operation"`
	Transfers []string    `json:"transfers"`
	Objects   []lfsObject `json:"objects"`
	HashAlgo  string      `json:"hash_algo"`
	Ref       *lfsRef     `json:"ref,omitempty"`
}

type lfsObject struct {
	OID  string `json:"oid"`
	Size int64  `json:"size"`
}

type lfsRef struct {
	Name string `json:"name"`
}

type lfsBatchAnswer struct {
	Objects []lfsAnswer `json:"objects"`
}

type lfsAnswer struct {
	lfsObject
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Actions struct {
		Upload *lfsAction `json:"upload"`
		Verify *lfsAction `json:"verify"`
	} `json:"actions"`
}

type lfsAction struct {
	Href   string                     `json:"href"`
	Header map[string]json.RawMessage `json:"header"`
}

// An lfsUpload is what has to be done to store an object.
type lfsUpload struct {
	put       string          // address of the whole content; "" if it goes in parts
	multipart *MultipartState // with no parts stored
	verify    string          // address to be told at the end; "" is none
}

// lfsBatch asks how to store objects. The answer has one entry for each: nil for
// those that are stored already. Of the objects that the server refuses, failed
// has the reasons.
func (c *Client) lfsBatch(ctx context.Context, repo Repo, ref string, objects []lfsObject) (uploads map[string]*lfsUpload, failed map[string]error, err error) {
	in := lfsBatchRequest{Operation: "upload", Transfers: []string{"basic", "multipart"}, Objects: objects, HashAlgo: "sha256"}
	if ref != "" {
		in.Ref = &lfsRef{ref}
	}
	r, err := (&request{method: http.MethodPost, repo: repo, path: lfsBatchPath, repeat: true}).withJSON(in)
	if err != nil {
		return nil, nil, err
	}
	r.header = http.Header{"Accept": {lfsMediaType}, "Content-Type": {lfsMediaType}}
	var out lfsBatchAnswer
	if err := c.doJSON(ctx, r, &out); err != nil {
		return nil, nil, err
	}
	sizes := make(map[string]int64, len(objects))
	for _, o := range objects {
		sizes[o.OID] = o.Size
	}
	uploads, failed = make(map[string]*lfsUpload), make(map[string]error)
	for _, o := range out.Objects {
		size, asked := sizes[o.OID]
		if !asked {
			continue
		}
		if o.Error != nil {
			failed[o.OID] = c.lfsError(r, o.Error.Code, o.Error.Message)
			continue
		}
		upload, err := c.parseUpload(r, o, size)
		if err != nil {
			return nil, nil, err
		}
		uploads[o.OID] = upload
	}
	for oid := range sizes {
		if _, ok := uploads[oid]; !ok && failed[oid] == nil {
			return nil, nil, c.protocolError(r, "the server doesn't say how to store the object %s", oid)
		}
	}
	return uploads, failed, nil
}

func lfsBatchPath(r Repo) string {
	return "/" + r.Type.prefix() + escapePath(r.ID) + ".git/info/lfs/objects/batch"
}

// lfsError is the refusal of one object, as the HTTP error that it stands for.
func (c *Client) lfsError(r *request, code int, message string) error {
	if code < 400 || code > 599 {
		code = http.StatusUnprocessableEntity
	}
	u, err := url.Parse(c.Endpoint() + r.path(r.repo))
	if err != nil {
		u = c.endpoint
	}
	return &Error{
		Method: r.method, URL: redactURL(u), Status: code, Message: oneLine(message, 2000),
		kind: errorKind(code, "", message, u),
	}
}

// parseUpload reads the actions of an object.
func (c *Client) parseUpload(r *request, o lfsAnswer, size int64) (*lfsUpload, error) {
	if o.Actions.Upload == nil {
		return nil, nil
	}
	href := c.rehost(o.Actions.Upload.Href)
	if href == "" {
		return nil, c.protocolError(r, "no address to upload the object %s to", o.OID)
	}
	up := &lfsUpload{put: href}
	if v := o.Actions.Verify; v != nil {
		up.verify = c.rehost(v.Href)
	}
	chunk, ok := o.Actions.Upload.Header["chunk_size"]
	if !ok {
		return up, nil
	}
	m, err := parseMultipart(o.Actions.Upload.Header, chunk, size)
	if err != nil {
		return nil, c.protocolError(r, "the parts of the object %s: %v", o.OID, err)
	}
	m.SHA256, m.Complete = o.OID, href
	up.put, up.multipart = "", m
	return up, nil
}

// parseMultipart reads the size of the parts and their addresses, which stand
// among the headers with numbers for names.
func parseMultipart(header map[string]json.RawMessage, chunk json.RawMessage, size int64) (*MultipartState, error) {
	chunkSize, err := strconv.ParseInt(strings.Trim(string(chunk), `"`), 10, 64)
	if err != nil || chunkSize <= 0 {
		return nil, fmt.Errorf("the chunk size %.40q can't be right", chunk)
	}
	want := partCount(size, chunkSize)
	if want > maxUploadParts {
		return nil, fmt.Errorf("%d of %d bytes are too many", want, chunkSize)
	}
	addresses := make(map[int64]string)
	for name, value := range header {
		if strings.Trim(name, "0123456789") != "" || name == "" {
			continue
		}
		n, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("number %.40s can't be right", name)
		}
		var address string
		if json.Unmarshal(value, &address) != nil || address == "" {
			return nil, fmt.Errorf("number %d has no address", n)
		}
		if addresses[n] != "" {
			return nil, fmt.Errorf("number %d is there twice", n)
		}
		addresses[n] = address
	}
	if int64(len(addresses)) != want {
		return nil, fmt.Errorf("%d are needed, and there are %d", want, len(addresses))
	}
	m := &MultipartState{Size: size, ChunkSize: chunkSize, ETags: make(map[int]string)}
	for _, n := range slices.Sorted(maps.Keys(addresses)) {
		m.Parts = append(m.Parts, addresses[n])
	}
	return m, nil
}
