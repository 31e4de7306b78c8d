package localhub

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// contentPrefix is the first segment of the paths of the content host. A host
// that serves both has no user of that name, for names have no leading "-".
const contentPrefix = "-content"

// signer makes and checks URLs that are a permission in themselves.
type signer struct{ secret []byte }

// sign adds the time until which the URL is good, and the signature over all of
// it, to a query.
func (s signer) sign(method, path string, q url.Values, until time.Time) string {
	q.Set("Expires", strconv.FormatInt(until.Unix(), 10))
	q.Set("Signature", s.signature(method, path, q))
	return path + "?" + q.Encode()
}

func (s signer) signature(method, path string, q url.Values) string {
	m := hmac.New(sha256.New, s.secret)
	m.Write([]byte(method + "\n" + path + "\n" + q.Encode()))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// check refuses a URL that wasn't signed for the method, or is too old.
func (s signer) check(method, path string, q url.Values) error {
	sig := q.Get("Signature")
	q.Del("Signature")
	if !hmac.Equal([]byte(sig), []byte(s.signature(method, path, q))) {
		return fail(http.StatusForbidden, "The signature of this URL is wrong")
	}
	sec, err := strconv.ParseInt(q.Get("Expires"), 10, 64)
	if err != nil || time.Now().After(time.Unix(sec, 0)) {
		return expiredURL()
	}
	return nil
}

func expiredURL() *Error {
	return &Error{Status: http.StatusForbidden, Code: "ExpiredURL", Message: "This URL has expired"}
}

// contentBase is where clients reach the content host.
func (h *Hub) contentBase(c *call) string {
	if u := h.contentURL.Load(); u != nil {
		return strings.TrimSuffix(u.String(), "/")
	}
	return c.base()
}

// signedDownload is a URL for an LFS object. It expires.
func (h *Hub) signedDownload(c *call, oid, name string) string {
	path := "/" + contentPrefix + "/lfs/" + oid
	return h.contentBase(c) + h.signer.sign(http.MethodGet, path, url.Values{"name": {name}}, time.Now().Add(h.network.urlTTL()))
}

// serveContent answers a request to a signed URL.
func (h *Hub) serveContent(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Expose-Headers", "X-Request-Id,X-Error-Code,X-Error-Message,ETag,Accept-Ranges,Content-Range")
	if err := h.contentRoute(w, r); err != nil {
		(&call{h: h, w: w, r: r}).refuse(r.Context(), err)
	}
}

func (h *Hub) contentRoute(w http.ResponseWriter, r *http.Request) error {
	c := &call{h: h, w: w, r: r}
	path := r.URL.EscapedPath()
	segs := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(segs) != 3 || segs[0] != contentPrefix {
		return noRoute()
	}
	// A token that comes here has leaked. Where one host serves everything, it is
	// right to send it.
	if h.contentURL.Load() != nil && r.Header.Get("Authorization") != "" {
		return badRequest("Only one way to authenticate is allowed: the URL is signed, so there must be no Authorization header")
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("The query isn't well formed: %v", err)
	}
	c.segs = segs[2:]
	m := contentRoutes[segs[1]]
	if m == nil {
		return noRoute()
	}
	return c.do(m(q))
}

// contentRoutes are the routes of the content host, by what they are about.
var contentRoutes = map[string]func(url.Values) methods{
	"lfs": func(q url.Values) methods {
		return methods{http.MethodGet: func(c *call) error { return c.download(q) }}
	},
	"put": func(q url.Values) methods {
		return methods{http.MethodPut: func(c *call) error { return c.putObject(q) }}
	},
	"part": func(q url.Values) methods {
		return methods{http.MethodPut: func(c *call) error { return c.putPart(q) }}
	},
	"complete": func(q url.Values) methods {
		return methods{http.MethodPost: func(c *call) error { return c.completeUpload(q) }}
	},
}

func (c *call) download(q url.Values) error {
	if err := c.h.signer.check(http.MethodGet, c.r.URL.EscapedPath(), q); err != nil {
		return err
	}
	f, err := c.h.lfs.open(c.segs[0])
	if errors.Is(err, fs.ErrNotExist) {
		return entryNotFound("There is no such object")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	c.w.Header().Set("ETag", quote(c.segs[0]))
	c.w.Header().Set("Cache-Control", "private, max-age=604800, immutable")
	serveBytes(c.w, c.r, q.Get("name"), f)
	return nil
}
