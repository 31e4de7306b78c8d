package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hubfs/hubfs/fs"
)

// Client speaks to the daemon on one control socket. Its methods may be called from many goroutines.
// Failed calls give an [Error].
type Client struct {
	dir  string
	sync bool // of a sync, not a mount
	http *http.Client
}

// NewClient makes a client for the mount at dir, without connecting: a daemon that isn't there shows
// at the first call, as an [Error] of kind [KindNotRunning].
func NewClient(dir string) (*Client, error) {
	path, err := SocketPath(dir)
	if err != nil {
		return nil, err
	}
	return newClient(dir, path), nil
}

func newClient(dir, socket string) *Client {
	return &Client{dir: dir, http: &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				// In /tmp anybody can lay a socket for others to speak to, secrets included.
				if err := CheckSocketDir(filepath.Dir(socket)); err != nil {
					return nil, err
				}
				return dial(ctx, socket)
			},
			DisableKeepAlives: true, // a connection costs nothing here, and an idle one would delay the daemon's end
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Status asks what the daemon serves.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var st Status
	return &st, c.do(ctx, http.MethodGet, "/v1/status", nil, &st)
}

// Refresh makes the daemon look at the Hub now; it returns when what has changed is visible.
func (c *Client) Refresh(ctx context.Context) (*MountStatus, error) {
	var st MountStatus
	return &st, c.do(ctx, http.MethodPost, "/v1/refresh", nil, &st)
}

// WaitCommit returns when the commit is visible at path, which is relative to the mount.
func (c *Client) WaitCommit(ctx context.Context, path, commit string) error {
	return c.do(ctx, http.MethodPost, "/v1/wait", WaitRequest{Path: path, Commit: commit}, nil)
}

// WaitStaged returns when what is staged now at or below path is committed.
func (c *Client) WaitStaged(ctx context.Context, path string) error {
	return c.do(ctx, http.MethodPost, "/v1/wait", WaitRequest{Path: path}, nil)
}

// Flush commits what is staged at or below path, until ctx ends or timeout is over; 0 is no timeout.
// What the Hub refuses is in the result and no error. With an error the result is what was done before.
func (c *Client) Flush(ctx context.Context, path string, timeout time.Duration) (fs.PushResult, error) {
	var res FlushResult
	err := c.do(ctx, http.MethodPost, "/v1/flush", PathRequest{Path: path, Timeout: timeout.Seconds()}, &res)
	if err == nil && res.Error != nil {
		err = res.Error
	}
	return res.PushResult, err
}

// Discard forgets what is changed at or below path, and tells what that was.
func (c *Client) Discard(ctx context.Context, path string) ([]fs.Change, error) {
	var gone []fs.Change
	err := c.do(ctx, http.MethodPost, "/v1/discard", PathRequest{Path: path}, &gone)
	return gone, err
}

// Changes lists what is changed at or below path.
func (c *Client) Changes(ctx context.Context, path string) ([]fs.Change, error) {
	var changes []fs.Change
	err := c.do(ctx, http.MethodGet, "/v1/changes?path="+url.QueryEscape(path), nil, &changes)
	return changes, err
}

// Unmount pushes what is staged for as long as timeout, nil being what the mount was given, and
// unmounts; the daemon ends soon after. A busy mount stays, and the error, of kind [KindBusy], names
// the processes.
func (c *Client) Unmount(ctx context.Context, timeout *time.Duration) (*UnmountResult, error) {
	var req UnmountRequest
	if timeout != nil {
		seconds := timeout.Seconds()
		req.Timeout = &seconds
	}
	var res UnmountResult
	return &res, c.do(ctx, http.MethodPost, "/v1/unmount", req, &res)
}

// Methods lists what can be called.
func (c *Client) Methods(ctx context.Context) ([]MethodInfo, error) {
	var infos []MethodInfo
	err := c.do(ctx, http.MethodGet, "/v1/methods", nil, &infos)
	return infos, err
}

// Call runs a method in the daemon. A single result is in Value, as a [json.RawMessage]. A list is
// in Elements, one [json.RawMessage] each, which must be read, at least in part, or the call stays
// open until ctx ends.
func (c *Client) Call(ctx context.Context, method string, params map[string]json.RawMessage) (*Result, error) {
	m, err := LookupMethod(method)
	if err != nil {
		return nil, err
	}
	if params == nil {
		params = map[string]json.RawMessage{}
	}
	resp, err := c.send(ctx, http.MethodPost, "/v1/api/"+url.PathEscape(method), params)
	if err != nil {
		return nil, err
	}
	if m.Stream {
		return &Result{Elements: elements(resp)}, nil
	}
	defer resp.Body.Close()
	var raw json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&raw); err != nil {
		return nil, broken(err)
	}
	return &Result{Value: raw}, nil
}

// Background has the daemon run a method in the background, after the caller's other jobs.
func (c *Client) Background(ctx context.Context, method string, params map[string]json.RawMessage) (*Job, error) {
	if params == nil {
		params = map[string]json.RawMessage{}
	}
	job := new(Job)
	return job, c.do(ctx, http.MethodPost, "/v1/api/"+url.PathEscape(method)+"?background=1", params, job)
}

// Jobs lists the calls in the background, the oldest first, without their results.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	var all []Job
	err := c.do(ctx, http.MethodGet, "/v1/jobs", nil, &all)
	return all, err
}

// WaitJob returns a job when it has ended; its failure is in the job.
func (c *Client) WaitJob(ctx context.Context, id string) (*Job, error) {
	for {
		job := new(Job)
		if err := c.do(ctx, http.MethodGet, "/v1/jobs/"+url.PathEscape(id)+"?wait=3600", nil, job); err != nil {
			return nil, err
		}
		if job.Finished() {
			return job, nil
		}
	}
}

// CancelJob ends a job, and returns it as it is by then: what runs may take a moment to end.
func (c *Client) CancelJob(ctx context.Context, id string) (*Job, error) {
	job := new(Job)
	return job, c.do(ctx, http.MethodPost, "/v1/jobs/"+url.PathEscape(id)+"/cancel", nil, job)
}

// elements reads an array as it comes, and its end: closed, or broken off with an error.
func elements(resp *http.Response) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		defer resp.Body.Close()
		dec := json.NewDecoder(resp.Body)
		_, err := dec.Token() // the opening bracket
		for err == nil && dec.More() {
			var raw json.RawMessage
			if err = dec.Decode(&raw); err == nil && !yield(raw, nil) {
				return
			}
		}
		if err == nil {
			_, err = dec.Token() // the closing one
		}
		if err == nil {
			return
		}
		// The reason, if the server could still give one, comes after the body's end.
		_, _ = io.Copy(io.Discard, resp.Body)
		var e Error
		if t := resp.Trailer.Get(ErrorTrailer); t != "" && json.Unmarshal([]byte(t), &e) == nil {
			yield(nil, &e)
			return
		}
		yield(nil, broken(err))
	}
}

func (c *Client) do(ctx context.Context, method, path string, body, result any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if result == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(result); err != nil {
		return broken(err)
	}
	return nil
}

// send makes a request; an answer that isn't a success is an error.
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+Host+path, r)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusAccepted {
		return resp, nil
	}
	defer resp.Body.Close()
	e := &Error{Status: resp.StatusCode, Kind: KindLocal}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(e); err != nil || e.Message == "" {
		e.Message = fmt.Sprintf("the daemon of %s answered %s", c.dir, resp.Status)
	}
	return nil, e
}

// unreachable says what to start where nobody listens.
func (c *Client) unreachable(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case c.sync && c.syncUnreachable(err) != nil:
		return c.syncUnreachable(err)
	case errors.Is(err, iofs.ErrNotExist):
		return &Error{Status: http.StatusNotFound, Kind: KindNotRunning, cause: err,
			Message: fmt.Sprintf("no mount of hubfs at %s; start one with: hubfs mount SOURCE %s", c.dir, c.dir)}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Status: http.StatusNotFound, Kind: KindNotRunning, cause: err,
			Message: fmt.Sprintf("the daemon of %s is dead; clean up with: hubfs umount %s", c.dir, c.dir)}
	case errors.Is(err, iofs.ErrPermission):
		return &Error{Status: http.StatusForbidden, Kind: KindForbidden, cause: err,
			Message: fmt.Sprintf("the daemon of %s belongs to another user", c.dir)}
	}
	var dir *socketDirError
	if errors.As(err, &dir) {
		return &Error{Status: http.StatusForbidden, Kind: KindForbidden, cause: err, Message: dir.Error()}
	}
	return broken(err)
}

// broken is a conversation that the daemon didn't end as it should: it died or was killed.
func broken(err error) error {
	return &Error{Status: http.StatusBadGateway, Kind: KindNotRunning, cause: err,
		Message: fmt.Sprintf("the daemon broke off: %v; its log says why", err)}
}
