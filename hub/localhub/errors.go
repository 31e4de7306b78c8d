package localhub

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is a refusal, as a client sees it. The methods of Hub return it, too.
type Error struct {
	Status  int
	Code    string // X-Error-Code
	Message string // one line, X-Error-Message
	// Fields are added to the JSON body, beside "error".
	Fields map[string]any
	// header is added to the answer.
	header http.Header
}

func (e *Error) Error() string { return e.Message }

// Is tells if target is an Error with the same code, so that errors.Is works with
// the values below.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code && (t.Status == 0 || t.Status == e.Status)
}

// Kinds of Error, for errors.Is.
var (
	ErrRepoNotFound     = &Error{Code: codeRepoNotFound, Message: "Repository not found"}
	ErrRevisionNotFound = &Error{Code: codeRevisionNotFound, Message: "Revision not found"}
	ErrEntryNotFound    = &Error{Code: codeEntryNotFound, Message: "Entry not found"}
	ErrConflict         = &Error{Code: "Conflict", Message: "Conflict"}
	ErrBadRequest       = &Error{Code: "BadRequest", Message: "Bad request"}
	ErrPrecondition     = &Error{Code: "PreconditionFailed", Message: "Precondition failed"}
)

const (
	codeRepoNotFound     = "RepoNotFound"
	codeRevisionNotFound = "RevisionNotFound"
	codeEntryNotFound    = "EntryNotFound"
	codeGatedRepo        = "GatedRepo"
)

// codes are the codes of refusals that have none of their own.
var codes = map[int]string{
	http.StatusBadRequest:                   "BadRequest",
	http.StatusUnauthorized:                 "Unauthorized",
	http.StatusPaymentRequired:              "PaymentRequired",
	http.StatusForbidden:                    "Forbidden",
	http.StatusNotFound:                     "NotFound",
	http.StatusMethodNotAllowed:             "MethodNotAllowed",
	http.StatusConflict:                     "Conflict",
	http.StatusGone:                         "Gone",
	http.StatusLengthRequired:               "LengthRequired",
	http.StatusPreconditionFailed:           "PreconditionFailed",
	http.StatusRequestEntityTooLarge:        "PayloadTooLarge",
	http.StatusUnsupportedMediaType:         "UnsupportedMediaType",
	http.StatusRequestedRangeNotSatisfiable: "RangeNotSatisfiable",
	http.StatusUnprocessableEntity:          "UnprocessableEntity",
	http.StatusTooManyRequests:              "TooManyRequests",
	http.StatusInternalServerError:          "InternalServerError",
	http.StatusServiceUnavailable:           "ServiceUnavailable",
}

func fail(status int, format string, args ...any) *Error {
	return &Error{Status: status, Code: codes[status], Message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *Error {
	return fail(http.StatusBadRequest, format, args...)
}

func repoNotFound() *Error {
	return &Error{Status: http.StatusNotFound, Code: codeRepoNotFound, Message: "Repository not found"}
}

func revisionNotFound(rev string) *Error {
	return &Error{Status: http.StatusNotFound, Code: codeRevisionNotFound, Message: fmt.Sprintf("Invalid rev id: %s", oneLine(rev))}
}

func entryNotFound(format string, args ...any) *Error {
	return &Error{Status: http.StatusNotFound, Code: codeEntryNotFound, Message: fmt.Sprintf(format, args...)}
}

// isRefusal tells if an error is the Hub's answer, not a failure of its own.
func isRefusal(err error) bool {
	var e *Error
	return errors.As(err, &e)
}
