package hub

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The kinds of errors, for errors.Is. ErrRepoNotFound, ErrRevisionNotFound and
// ErrEntryNotFound are also ErrNotFound; ErrGatedRepo and ErrDisabledRepo are
// also ErrForbidden.
var (
	ErrNotFound         error = &kind{"not found", nil}
	ErrRepoNotFound     error = &kind{"repository not found", ErrNotFound} // or private, and not ours
	ErrRevisionNotFound error = &kind{"revision not found", ErrNotFound}
	ErrEntryNotFound    error = &kind{"no such file or folder", ErrNotFound}

	ErrUnauthorized error = &kind{"not authenticated", nil} // the token is missing, wrong or expired
	ErrForbidden    error = &kind{"access denied", nil}
	ErrGatedRepo    error = &kind{"access to this repository must be requested", ErrForbidden}
	ErrDisabledRepo error = &kind{"repository is disabled", ErrForbidden}

	ErrBadRequest          error = &kind{"bad request", nil}
	ErrConflict            error = &kind{"conflict", nil} // what was to be made exists already
	ErrPreconditionFailed  error = &kind{"the branch has moved", nil}
	ErrTooLarge            error = &kind{"too large for one request", nil}
	ErrUnprocessable       error = &kind{"refused content", nil}
	ErrRangeNotSatisfiable error = &kind{"range not satisfiable", nil}
	ErrRateLimited         error = &kind{"rate limited", nil} // see Error.RetryAfter

	// ErrUnavailable is the network, a server that fails (5xx, 408), that stops
	// sending, or that closes the connection early: asking again may help.
	ErrUnavailable error = &kind{"the Hub is unavailable", nil}
	// ErrProtocol is an answer that can't be right: HTML for JSON, lengths that
	// contradict each other, ids that aren't ids.
	ErrProtocol error = &kind{"unexpected answer", nil}
	// ErrOffline is every request of a client with Config.Offline.
	ErrOffline error = &kind{"offline mode is on", nil}
	// ErrLocationExpired is a Location that its server refuses: resolve again.
	ErrLocationExpired error = &kind{"the signed address has expired", nil}
)

// kind is a class of errors.
type kind struct {
	text   string
	parent error
}

func (k *kind) Error() string { return k.text }
func (k *kind) Unwrap() error { return k.parent }

// Error is a request that failed. errors.Is finds its kind (ErrNotFound, ...)
// and what caused it, such as context.Canceled or io.ErrUnexpectedEOF.
type Error struct {
	Method     string
	URL        string        // without secrets of the query
	Status     int           // of the answer; 0 if there was none
	Code       string        // X-Error-Code, such as "RepoNotFound"
	Message    string        // the server's own words, "" if it had none
	RequestID  string        // for the Hub's support
	RetryAfter time.Duration // how long the server asked to wait; 0 if it didn't
	Err        error         // cause, or nil

	kind error
}

// Error is one line: what was asked, what went wrong, the server's words and the request id.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Method != "" {
		fmt.Fprintf(&b, "%s %s: ", e.Method, e.URL)
	}
	switch {
	case e.kind != nil:
		b.WriteString(e.kind.Error())
	case e.Status != 0:
		b.WriteString("the server refused")
	default:
		b.WriteString("failed")
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " (%d %s)", e.Status, http.StatusText(e.Status))
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "; retry in %s", e.RetryAfter.Round(time.Second))
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request id %s)", e.RequestID)
	}
	return b.String()
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	var errs []error
	if e.kind != nil {
		errs = append(errs, e.kind)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}
