package control

import (
	"context"
	"errors"
	iofs "io/fs"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/hub"
)

// Kinds of errors that are the socket's own; those of the Hub are in hubKinds.
const (
	KindBadParameter  = "bad_parameter"
	KindBadRequest    = "bad_request"
	KindUnknownMethod = "unknown_method"
	KindForbidden     = "peer_refused" // the socket doesn't speak to this caller
	KindBusy          = "busy"         // programs use what should go; see Error.Processes
	KindOverloaded    = "overloaded"   // too many calls at once
	KindTimeout       = "timeout"
	KindCanceled      = "canceled"
	KindNotRunning    = "not_running" // no daemon answers
	KindLocal         = "local"       // this machine: files, permissions, a full disk
)

// Error is a failed call, on both ends of the socket. errors.Is finds the Hub's kinds in it
// (hub.ErrRepoNotFound, ...) on either.
type Error struct {
	// Status is that of the Hub's answer where there was one, else what fits best in HTTP.
	Status int `json:"status"`
	// Code is the Hub's X-Error-Code, or "".
	Code string `json:"code,omitempty"`
	// Message is one line for people, the Hub's own words included.
	Message string `json:"message"`
	// RequestID is for the Hub's support, or "".
	RequestID string `json:"request_id,omitempty"`
	// Kind is for programs: "repo_not_found", "bad_parameter", ...
	Kind string `json:"kind"`
	// Parameter is the one that is wrong, for KindBadParameter.
	Parameter string `json:"parameter,omitempty"`
	// RetryAfter is in seconds, 0 if the server didn't say.
	RetryAfter float64 `json:"retry_after,omitempty"`
	// Processes are in the way, for KindBusy.
	Processes []Process `json:"processes,omitempty"`

	cause error // on the server's side only
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives the Hub's kind, which survives the socket, and the cause, which doesn't.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, k := range hubKinds {
		if k.name == e.Kind {
			errs = append(errs, k.err)
		}
	}
	switch e.Kind {
	case KindTimeout:
		errs = append(errs, context.DeadlineExceeded)
	case KindCanceled:
		errs = append(errs, context.Canceled)
	case KindBusy:
		errs = append(errs, syscall.EBUSY)
	}
	if e.cause != nil {
		errs = append(errs, e.cause)
	}
	return errs
}

// hubKinds gives the Hub's kinds names that survive the wire, the special before the general.
// The status is used where the Hub didn't answer at all.
var hubKinds = []struct {
	err    error
	name   string
	status int
}{
	{hub.ErrAmbiguousCommit, "ambiguous_commit", http.StatusGatewayTimeout},
	{hub.ErrContentChanged, "content_changed", http.StatusConflict},
	{hub.ErrNotSafetensors, "not_safetensors", http.StatusNotFound},
	{hub.ErrBadSafetensors, "bad_safetensors", http.StatusUnprocessableEntity},
	{hub.ErrRepoNotFound, "repo_not_found", http.StatusNotFound},
	{hub.ErrRevisionNotFound, "revision_not_found", http.StatusNotFound},
	{hub.ErrEntryNotFound, "entry_not_found", http.StatusNotFound},
	{hub.ErrNotFound, "not_found", http.StatusNotFound},
	{hub.ErrGatedRepo, "gated_repo", http.StatusForbidden},
	{hub.ErrDisabledRepo, "disabled_repo", http.StatusForbidden},
	{hub.ErrForbidden, "forbidden", http.StatusForbidden},
	{hub.ErrUnauthorized, "unauthorized", http.StatusUnauthorized},
	{hub.ErrBadRequest, "bad_request", http.StatusBadRequest},
	{hub.ErrConflict, "conflict", http.StatusConflict},
	{hub.ErrPreconditionFailed, "precondition_failed", http.StatusPreconditionFailed},
	{hub.ErrTooLarge, "too_large", http.StatusRequestEntityTooLarge},
	{hub.ErrUnprocessable, "unprocessable", http.StatusUnprocessableEntity},
	{hub.ErrRangeNotSatisfiable, "range_not_satisfiable", http.StatusRequestedRangeNotSatisfiable},
	{hub.ErrRateLimited, "rate_limited", http.StatusTooManyRequests},
	{hub.ErrOffline, "offline", http.StatusServiceUnavailable},
	{hub.ErrProtocol, "protocol", http.StatusBadGateway},
	{hub.ErrLocationExpired, "location_expired", http.StatusBadGateway},
	{hub.ErrUnavailable, "unavailable", http.StatusServiceUnavailable},
}

// AsError turns any error into what goes over the socket.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var own *Error
	if errors.As(err, &own) {
		if own.Message != err.Error() { // wrapped: keep what was added
			c := *own
			c.Message = err.Error()
			return &c
		}
		return own
	}
	e := &Error{Status: http.StatusInternalServerError, Kind: KindLocal, Message: err.Error(), cause: err}
	var he *hub.Error
	if errors.As(err, &he) {
		e.Code, e.RequestID, e.RetryAfter = he.Code, he.RequestID, he.RetryAfter.Round(time.Millisecond).Seconds()
	}
	var invalid *hub.ValidationError
	var busy *fs.BusyError
	switch {
	case errors.As(err, &busy):
		e.Status, e.Kind, e.Processes = http.StatusConflict, KindBusy, busy.Processes
		return e
	case errors.As(err, &invalid):
		e.Status, e.Kind = http.StatusBadRequest, KindBadParameter
		return e
	case errors.Is(err, hub.ErrAmbiguousCommit): // whatever the cause: it matters more
	case errors.Is(err, context.Canceled):
		e.Status, e.Kind = 499, KindCanceled
		return e
	case errors.Is(err, context.DeadlineExceeded):
		e.Status, e.Kind = http.StatusGatewayTimeout, KindTimeout
		return e
	}
	for _, k := range hubKinds {
		if errors.Is(err, k.err) {
			e.Kind, e.Status = k.name, k.status
			break
		}
	}
	switch {
	case he != nil && he.Status >= 400:
		e.Status = he.Status
	case e.Kind != KindLocal:
	case errors.Is(err, iofs.ErrNotExist):
		e.Status = http.StatusNotFound
	case errors.Is(err, iofs.ErrPermission):
		e.Status = http.StatusForbidden
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Status, e.Kind = http.StatusGatewayTimeout, KindTimeout
	}
	return e
}
