package localhub

import (
	"io"
	"log/slog"
	"net/http"
)

// Options says where a Hub lives and how it behaves. The zero value of every
// field but Root is usable.
type Options struct {
	// Root is the folder that holds the Hub. It is made if it is missing. One
	// process at a time may have it open.
	Root string
	// Users are made when the Hub opens, or brought up to date if they exist.
	Users []User
	// Network makes the Hub behave like a bad network. See SetNetwork.
	Network Network
	// PageSize is the number of entries in one page of a tree or of a listing of
	// repositories; 0 means 1,000. Pages of a tree with commits are a twentieth
	// of it.
	PageSize int
	// ChunkSize is the size in bytes above which a client is asked to upload an
	// LFS object in parts, and the size of a part; 0 means 64 MiB.
	ChunkSize int64
	// Logger gets one line for each request (debug) and for what goes wrong in
	// the Hub itself (error). Nil discards.
	Logger *slog.Logger
}

// Hub is a Hub on local disk. Its ServeHTTP is the API; ContentHandler is the
// second host, from which the bytes of large files come. All methods may be
// called concurrently.
type Hub struct{ opt Options }

// New opens the Hub at o.Root, which it makes if it is missing. It fails if
// another process has it open.
func New(o Options) (*Hub, error) { return &Hub{opt: o}, nil }

// Close ends the Hub's work on its folder. Requests that still run fail.
func (h *Hub) Close() error { return nil }

// ServeHTTP answers a request to the API.
func (h *Hub) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "not there yet", http.StatusNotImplemented)
}

// ContentHandler serves the bytes of LFS objects to signed URLs. It is to be
// listened to on a host:port of its own, told to SetContentURL.
func (h *Hub) ContentHandler() http.Handler { return http.NotFoundHandler() }

// SetContentURL says at which base URL clients reach ContentHandler, such as
// http://127.0.0.1:8081. While it is empty, the API serves the content itself,
// without a redirect.
func (h *Hub) SetContentURL(u string) {}

// SetNetwork changes how the network behaves, from the next request on.
func (h *Hub) SetNetwork(n Network) {}

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

// Counts returns the numbers so far.
func (h *Hub) Counts() Counts { return Counts{} }

// ResetCounts sets all counts to zero and forgets the requests.
func (h *Hub) ResetCounts() {}

// Request is what the Hub remembers of a request.
type Request struct {
	Class  string // "api", "resolve", "content" or "commit"
	Method string
	Path   string // as sent, without the query
	Query  string // without signatures
	Range  string // the Range header
	User   string // whose token it carried, "" for none
	Status int    // 0 while it has not been answered
	Bytes  int64  // bytes of the body of the answer
}

// Requests returns the last requests, oldest first.
func (h *Hub) Requests() []Request { return nil }

// PutLFS stores an LFS object and returns its sha256 and size, to be named in an
// Operation.
func (h *Hub) PutLFS(r io.Reader) (LFSRef, error) { return LFSRef{}, errNotYet }

// LinkLFS stores a file of the local disk as an LFS object, by a hard link where
// that is possible. The file must not change afterwards. If oid isn't empty it
// is trusted to be the file's sha256: a sparse file of many gigabytes need not
// be read.
func (h *Hub) LinkLFS(path, oid string) (LFSRef, error) { return LFSRef{}, errNotYet }
