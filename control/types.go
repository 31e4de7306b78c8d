package control

import (
	"encoding/json"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/syncer"
)

// Host is the Host header of every request to the socket; another is refused.
const Host = "hubfs.local"

// ErrorTrailer holds the JSON of an [Error] when a list broke after its first elements were sent.
const ErrorTrailer = "Hubfs-Error"

// MethodInfo is what a row of the table tells about itself.
type MethodInfo struct {
	Name   string      `json:"name"`
	Doc    string      `json:"doc"`
	Params []ParamInfo `json:"params"`
	// Returns names the shape of the result: a class of HfApi, "list[...]" of one, "str", "bool",
	// "dict", or "None".
	Returns string `json:"returns"`
	// Stream says that the result is a list that is sent as it comes.
	Stream bool `json:"stream"`
}

// ParamInfo is a parameter of a method.
type ParamInfo struct {
	Name string `json:"name"`
	// Type is written as Python writes it: str, int, float, bool, dict, any, list[str], and choices
	// such as "bool | str". Every parameter that isn't required may also be null.
	Type     string            `json:"type"`
	Required bool              `json:"required,omitempty"`
	Default  json.RawMessage   `json:"default,omitempty"`
	Enum     []json.RawMessage `json:"enum,omitempty"`
	// Secret says that the value is nobody else's business: it shouldn't be in the arguments of a program.
	Secret bool   `json:"secret,omitempty"`
	Doc    string `json:"doc,omitempty"`
}

// Status is the answer of GET /v1/status, and of several daemons merged what "hubfs status" prints.
type Status struct {
	Mounts []MountStatus          `json:"mounts"`
	Syncs  []syncer.Status        `json:"syncs"` // folders that are pushed
	Cache  CacheStatus            `json:"cache"`
	Quota  map[string]QuotaStatus `json:"quota"` // by class of request: api, resolvers, pages
}

// MountStatus is one mount.
type MountStatus struct {
	fs.Status
	// Every is the time between automatic commits in seconds; 0 is none.
	Every float64 `json:"every,omitempty"`
	// Changes are those that need somebody's attention, failed or in conflict: the first hundred.
	Changes []fs.Change `json:"changes,omitempty"`
	Uploads []fs.Upload `json:"uploads,omitempty"` // those that run
	// Socket is where its daemon listens.
	Socket string `json:"socket,omitempty"`
	// Error says that the mount has no daemon, or one that doesn't answer, and what mends it; Dir and
	// Source are all that is known then.
	Error string `json:"error,omitempty"`
}

// CacheStatus is the blob cache of a daemon, or what several daemons did with the same one.
type CacheStatus struct {
	Dir string `json:"dir"` // HF_HUB_CACHE
	blobcache.Stats
}

// QuotaStatus is what the Hub last said about the requests that are left to the user.
type QuotaStatus struct {
	Limit     int64   `json:"limit"`
	Remaining int64   `json:"remaining"`
	ResetIn   float64 `json:"reset_in"` // seconds
	Used      int64   `json:"used"`     // requests of the daemons that answered, since they began
}

// WaitRequest is the body of POST /v1/wait.
type WaitRequest struct {
	// Path is in the mount, relative to its root; "" or "." is the root.
	Path string `json:"path"`
	// Commit is what shall be visible there: 40 hex digits. "" waits until what is staged there is
	// committed.
	Commit string `json:"commit,omitempty"`
}

// PathRequest is the body of POST /v1/flush and /v1/discard.
type PathRequest struct {
	// Path is in the mount, relative to its root; "" or "." is the root.
	Path string `json:"path"`
	// Timeout ends a flush, in seconds; 0 is never. What isn't committed by then stays staged.
	Timeout float64 `json:"timeout,omitempty"`
}

// FlushResult is the answer of POST /v1/flush.
type FlushResult struct {
	fs.PushResult
	// Error is why it ended early, where commits were made until then; else the call fails with it.
	Error *Error `json:"error,omitempty"`
}

// UnmountRequest is the body of POST /v1/unmount.
type UnmountRequest struct {
	// Timeout is for how many seconds what is staged is pushed; nil is what the mount was given.
	Timeout *float64 `json:"timeout,omitempty"`
}

// UnmountResult is the answer of POST /v1/unmount. The daemon ends after it has been sent.
type UnmountResult struct {
	Dir string `json:"dir"`
	PID int    `json:"pid"` // of the daemon
	PushReport
}

// PushReport is what became of the changes when a mount ended.
type PushReport struct {
	Commits []fs.Commit `json:"commits"`
	Staged  []fs.Change `json:"staged"` // what stays, failed ones included; the next mount has them
	Kept    []fs.Change `json:"kept"`   // local and ignored names, which are never committed
	Error   string      `json:"error,omitempty"`
}

// Process is a program that keeps a mount busy.
type Process = fs.Process

// quotaStatus puts what a client knows into its shape on the wire.
func quotaStatus(q hub.Quota) QuotaStatus {
	return QuotaStatus{Limit: int64(q.Limit), Remaining: int64(q.Remaining), ResetIn: secondsUntil(q.Reset), Used: q.Used}
}
