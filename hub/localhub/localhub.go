package localhub

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"
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
	// RateLimits are what everybody may ask for. The zero value is no limit.
	RateLimits RateLimits
	// PageSize is the number of entries in one page of a tree or of a listing of
	// repositories; 0 means 1,000. Pages of a tree with commits, and of commits,
	// are a twentieth of it.
	PageSize int
	// ChunkSize is the size in bytes above which a client is asked to upload an
	// LFS object in parts, and the size of a part; 0 means 64 MiB.
	ChunkSize int64
	// NoSync leaves it to the operating system when data reach the disk: what was
	// accepted survives a crash of the process, but not of the machine. For tests.
	NoSync bool
	// Startup is how long it takes until a Space or an inference endpoint runs; 0
	// means 3 s.
	Startup time.Duration
	// Now is the clock that Spaces, inference endpoints and the counts of a day go by; nil is the real one.
	Now func() time.Time
	// Logger gets one line for each request (debug) and for what goes wrong in
	// the Hub itself (error). Nil discards.
	Logger *slog.Logger
}

const (
	defaultPageSize  = 1000
	defaultChunkSize = 64 << 20
)

// Hub is a Hub on local disk. Its ServeHTTP is the API; ContentHandler is the
// second host, from which the bytes of large files come. All methods may be
// called concurrently.
type Hub struct {
	pageSize   int
	chunkSize  int64
	startup    time.Duration
	now        func() time.Time // UTC
	log        *slog.Logger
	st         *state
	stores     *stores
	lfs        *lfsStore
	courier    *courier
	taken      *downloads
	signer     signer
	network    *network
	traffic    traffic
	known      factsCache
	uses       spaceUses
	contentURL atomic.Pointer[url.URL] // nil: the API serves content

	api     map[string]http.Handler // by class
	content http.Handler
}

// New opens the Hub at o.Root, which it makes if it is missing. It fails if
// another process has it open.
func New(o Options) (*Hub, error) {
	if o.Root == "" {
		return nil, errors.New("localhub: no Root")
	}
	if o.PageSize <= 0 {
		o.PageSize = defaultPageSize
	}
	if o.ChunkSize <= 0 {
		o.ChunkSize = defaultChunkSize
	}
	if o.Startup <= 0 {
		o.Startup = defaultStartup
	}
	clock := time.Now
	if o.Now != nil {
		clock = o.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Root, 0o755); err != nil {
		return nil, err
	}
	st, err := openState(o.Root, o.NoSync)
	if err != nil {
		return nil, err
	}
	h := &Hub{pageSize: o.PageSize, chunkSize: o.ChunkSize, startup: o.Startup, now: func() time.Time { return clock().UTC() }, log: o.Logger, st: st, network: newNetwork(o.Network, o.Logger)}
	h.courier = newCourier(st, h.now, o.Logger)
	if err := h.open(o); err != nil {
		st.close()
		return nil, err
	}
	if h.taken, err = newDownloads(st, h.now, o.Logger); err != nil {
		return nil, errors.Join(err, h.stores.close(), st.close())
	}
	limiter := newRateLimiter(o.RateLimits)
	h.api = map[string]http.Handler{}
	for _, class := range []string{ClassAPI, ClassResolve, ClassCommit, ClassContent} {
		api := limiter.wrap(http.HandlerFunc(h.serveAPI), class, h.rateKey)
		h.api[class] = h.count(h.network.wrap(api, class), class)
	}
	h.content = h.count(h.network.wrap(http.HandlerFunc(h.serveContent), ClassContent), ClassContent)
	return h, nil
}

func (h *Hub) open(o Options) (err error) {
	if h.signer.secret, err = h.st.secret(); err != nil {
		return err
	}
	if h.lfs, err = openLFS(o.Root, o.NoSync); err != nil {
		return err
	}
	if h.stores, err = openStores(o.Root, o.NoSync, func(uid string) bool { return h.st.repoByUID(uid) != nil }); err != nil {
		return err
	}
	h.stores.moved = h.refMoved
	for _, u := range o.Users {
		if err := h.CreateUser(u); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the Hub's work on its folder. Requests that still run fail.
func (h *Hub) Close() error {
	h.courier.close()
	h.taken.close()
	return errors.Join(h.stores.close(), h.st.close())
}

// ServeHTTP answers a request to the API.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.api[classOf(r)].ServeHTTP(w, r)
}

// ContentHandler serves the bytes of LFS objects to signed URLs. It is to be
// listened to on a host:port of its own, told to SetContentURL.
func (h *Hub) ContentHandler() http.Handler { return h.content }

// SetContentURL says at which base URL clients reach ContentHandler, such as
// http://127.0.0.1:8081. While it is empty, the API serves the content itself,
// without a redirect.
func (h *Hub) SetContentURL(u string) error {
	if u == "" {
		h.contentURL.Store(nil)
		return nil
	}
	p, err := url.Parse(u)
	if err != nil {
		return err
	}
	h.contentURL.Store(p)
	return nil
}

// SetNetwork changes how the network behaves, from the next request on.
func (h *Hub) SetNetwork(n Network) { h.network.set(n) }

// PutLFS stores an LFS object and returns its sha256 and size, to be named in an
// Operation.
func (h *Hub) PutLFS(r io.Reader) (LFSRef, error) { return h.lfs.put(r, nil) }

// LinkLFS stores a file of the local disk as an LFS object, by a hard link where
// that is possible. The file must not change afterwards. If oid isn't empty it
// is trusted to be the file's sha256: a sparse file of many gigabytes need not
// be read.
func (h *Hub) LinkLFS(path, oid string) (LFSRef, error) { return h.lfs.link(path, oid) }
