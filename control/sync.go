package control

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hubfs/hubfs/syncer"
)

// folderSync is what the server needs from a sync; *syncer.Syncer is one.
type folderSync interface {
	Status() syncer.Status
	Trigger()
	Flush(ctx context.Context) (syncer.Result, error)
	Stop(ctx context.Context) (syncer.Result, error)
}

// SyncRequest is the body of POST /v1/flush and /v1/stop to the daemon of a sync.
type SyncRequest struct {
	// Path is in the folder; the whole folder is pushed whatever it is.
	Path string `json:"path,omitempty"`
	// Timeout ends the wait, in seconds; 0 is never. The push goes on.
	Timeout float64 `json:"timeout,omitempty"`
}

// SyncResult is their answer.
type SyncResult struct {
	PID int `json:"pid"` // of the daemon
	syncer.Result
	// Error is why the push ended early, where commits were made until then, or the daemon ends all the same.
	Error *Error `json:"error,omitempty"`
}

// syncSocket is the end of the name of a sync's socket. A folder can be a mount's and be synced as well.
const syncSocket = ".sync.sock"

// SyncSocketPath is the socket of the sync of a folder, which needn't exist.
func SyncSocketPath(folder string) (string, error) {
	path, err := SocketPath(folder)
	return strings.TrimSuffix(path, ".sock") + syncSocket, err
}

// ListenSync makes the socket of the sync of a folder, as [Listen] does for a mount.
func ListenSync(ctx context.Context, folder string) (*net.UnixListener, error) {
	path, err := SyncSocketPath(folder)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return listen(ctx, path)
}

// FindSync finds the sync that path belongs to: the nearest folder at or above it that is synced. The error
// of any other path is an [Error] of kind [KindNotRunning].
func FindSync(path string) (folder string, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for dir := abs; ; dir = filepath.Dir(dir) {
		if real, err := RealPath(dir); err == nil {
			socket, err := SyncSocketPath(real)
			if err != nil {
				return "", err
			}
			if _, err := os.Lstat(socket); err == nil {
				return real, nil
			}
		}
		if dir == "/" {
			return "", &Error{Status: http.StatusNotFound, Kind: KindNotRunning,
				Message: fmt.Sprintf("%s is in no folder that is synced; hubfs status lists them", path)}
		}
	}
}

// NewSyncClient makes a client for the sync of a folder, without connecting.
func NewSyncClient(folder string) (*Client, error) {
	path, err := SyncSocketPath(folder)
	if err != nil {
		return nil, err
	}
	c := newClient(folder, path)
	c.sync = true
	return c, nil
}

// FlushSync pushes the folder now, and returns when the Hub has accepted it, or timeout is over; 0 is none.
// What the Hub refuses is in the result and no error. With an error the result is what was done before.
func (c *Client) FlushSync(ctx context.Context, timeout time.Duration) (*SyncResult, error) {
	return c.askSync(ctx, "/v1/flush", timeout)
}

// TriggerSync asks for a push, and doesn't wait for it.
func (c *Client) TriggerSync(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/v1/trigger", nil, nil)
}

// StopSync has the sync push a last time and end, and returns when it has pushed.
func (c *Client) StopSync(ctx context.Context) (*SyncResult, error) {
	return c.askSync(ctx, "/v1/stop", 0)
}

func (c *Client) askSync(ctx context.Context, path string, timeout time.Duration) (*SyncResult, error) {
	var res SyncResult
	if err := c.do(ctx, http.MethodPost, path, SyncRequest{Timeout: timeout.Seconds()}, &res); err != nil {
		return &res, err
	}
	if res.Error != nil {
		return &res, res.Error
	}
	return &res, nil
}

// routeSync is what the daemon of a sync answers instead of what a mount's does.
func (s *Server) routeSync(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/flush", func(w http.ResponseWriter, r *http.Request) { s.pushSync(w, r, s.opts.Sync.Flush) })
	mux.HandleFunc("POST /v1/stop", func(w http.ResponseWriter, r *http.Request) { s.pushSync(w, r, s.opts.Sync.Stop) })
	mux.HandleFunc("POST /v1/trigger", func(w http.ResponseWriter, _ *http.Request) {
		s.opts.Sync.Trigger()
		s.answer(w, struct{}{})
	})
}

func (s *Server) pushSync(w http.ResponseWriter, r *http.Request, push func(context.Context) (syncer.Result, error)) {
	var req SyncRequest
	if err := readBody(w, r, &req); err != nil {
		s.fail(w, err)
		return
	}
	ctx := r.Context()
	switch {
	case req.Timeout < 0 || req.Timeout > math.MaxInt32:
		s.fail(w, &Error{Status: http.StatusBadRequest, Kind: KindBadParameter, Parameter: "timeout",
			Message: fmt.Sprintf("timeout is %v, and must be a number of seconds", req.Timeout)})
		return
	case req.Timeout > 0:
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(req.Timeout*float64(time.Second)))
		defer cancel()
	}
	res, err := push(ctx)
	if err != nil && (len(res.Commits) == 0 && r.URL.Path != "/v1/stop" || ctx.Err() != nil) {
		s.fail(w, err)
		return
	}
	out := SyncResult{PID: os.Getpid(), Result: res}
	if err != nil {
		out.Error = AsError(err)
	}
	if out.Commits == nil {
		out.Commits = []syncer.Commit{}
	}
	if out.Failed == nil {
		out.Failed = []syncer.Failure{}
	}
	s.answer(w, out)
}

// syncUnreachable says what to start where no sync's daemon listens.
func (c *Client) syncUnreachable(err error) error {
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return &Error{Status: http.StatusNotFound, Kind: KindNotRunning, cause: err,
			Message: fmt.Sprintf("%s isn't synced; start it with: hubfs sync %s REPO", c.dir, c.dir)}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Status: http.StatusNotFound, Kind: KindNotRunning, cause: err,
			Message: fmt.Sprintf("the sync of %s is dead; start it again with: hubfs sync %s REPO", c.dir, c.dir)}
	}
	return nil
}
