package localhub

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Classes of requests.
const (
	ClassAPI     = "api"     // everything that isn't one of the others
	ClassResolve = "resolve" // HEAD and GET of a file at a revision
	ClassContent = "content" // signed URLs
	ClassCommit  = "commit"  // commits
)

// classOf tells the class of a request to the API's host by its form.
func classOf(r *http.Request) string {
	segs := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	at := func(i int, want string) bool { return i < len(segs) && segs[i] == want }
	switch {
	case at(0, contentPrefix):
		return ClassContent
	case at(0, "api") && at(1, "resolve-cache"):
		return ClassResolve
	case at(0, "api"):
		if r.Method == http.MethodPost && repoTypes[segs[min(1, len(segs)-1)]] != "" && (at(3, "commit") || at(4, "commit")) {
			return ClassCommit
		}
	default:
		for i := 1; i <= 3; i++ {
			if at(i, "resolve") || at(i, "raw") {
				return ClassResolve
			}
		}
	}
	return ClassAPI
}

// Counts says how many requests of each class have come since the Hub was
// opened or ResetCounts was called.
type Counts struct {
	API     int // everything that isn't one of the classes below
	Resolve int // HEAD and GET of a file at a revision
	Content int // requests to signed URLs
	Commit  int // commits
	// ContentBytes is the number of bytes of file content handed to the
	// network, from signed URLs and from resolve.
	ContentBytes int64
}

// Request is what the Hub remembers of a request.
type Request struct {
	Class  string // ClassAPI, ...
	Method string
	Path   string // as sent, without the query
	Query  string // without signatures
	Range  string // the Range header
	User   string // whose token it carried, "" for none
	Status int    // 0 while it has not been answered
	Bytes  int64  // bytes of the body of the answer
}

// keepRequests is how many requests the Hub remembers.
const keepRequests = 10_000

// traffic remembers what has come and gone. A request and its status are noted
// before the client can see the answer, so that a test that has the answer finds
// them.
type traffic struct {
	mu     sync.Mutex // guards all, also the fields of the requests
	counts Counts
	last   []*Request
}

// Counts returns the numbers so far.
func (h *Hub) Counts() Counts {
	h.traffic.mu.Lock()
	defer h.traffic.mu.Unlock()
	return h.traffic.counts
}

// ResetCounts sets all counts to zero and forgets the requests.
func (h *Hub) ResetCounts() {
	h.traffic.mu.Lock()
	defer h.traffic.mu.Unlock()
	h.traffic.counts, h.traffic.last = Counts{}, nil
}

// Requests returns the last 10,000 requests, oldest first.
func (h *Hub) Requests() []Request {
	h.traffic.mu.Lock()
	defer h.traffic.mu.Unlock()
	list := make([]Request, len(h.traffic.last))
	for i, r := range h.traffic.last {
		list[i] = *r
	}
	return list
}

func (t *traffic) begin(r *Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch r.Class {
	case ClassResolve:
		t.counts.Resolve++
	case ClassContent:
		t.counts.Content++
	case ClassCommit:
		t.counts.Commit++
	default:
		t.counts.API++
	}
	if len(t.last) >= keepRequests {
		t.last = append(t.last[:0:0], t.last[keepRequests/2:]...)
	}
	t.last = append(t.last, r)
}

// count notes the requests of a class.
func (h *Hub) count(next http.Handler, class string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := &Request{Class: class, Method: r.Method, Path: r.URL.EscapedPath(), Query: publicQuery(r.URL), Range: r.Header.Get("Range")}
		if _, t, err := h.authenticate(r); err == nil && t != nil {
			req.User = t.User
		}
		h.traffic.begin(req)
		w.Header().Set("X-Request-Id", requestID(r))
		cw := &countingWriter{ResponseWriter: w, t: &h.traffic, req: req}
		next.ServeHTTP(cw, r)
		h.log.DebugContext(r.Context(), "request", "class", class, "method", r.Method, "path", req.Path,
			"range", req.Range, "user", req.User, "status", cw.status, "bytes", cw.bytes)
	})
}

// publicQuery is a URL's query without what authorises.
func publicQuery(u *url.URL) string {
	q := u.Query()
	if !q.Has("Signature") {
		return u.RawQuery
	}
	q.Del("Signature")
	return q.Encode()
}

type countingWriter struct {
	http.ResponseWriter
	t      *traffic
	req    *Request
	status int
	bytes  int64
}

// Unwrap lets http.ResponseController reach the connection.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *countingWriter) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
		w.t.mu.Lock()
		w.req.Status = status
		w.t.mu.Unlock()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.add(len(b))
	n, err := w.ResponseWriter.Write(b)
	w.add(n - len(b))
	return n, err
}

func (w *countingWriter) add(n int) {
	if n == 0 || w.req.Method == http.MethodHead {
		return
	}
	w.bytes += int64(n)
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	w.req.Bytes += int64(n)
	if ok := w.status < 300; ok && (w.req.Class == ClassContent || w.req.Class == ClassResolve) {
		w.t.counts.ContentBytes += int64(n)
	}
}
