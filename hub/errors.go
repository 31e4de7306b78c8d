package hub

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
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
	Commit     string        // that the revision asked for stands for, where that much was found
	RetryAfter time.Duration // how long the server asked to wait; 0 if it didn't
	Err        error         // cause, or nil

	kind error
	url  string // of what exists already, where the refusal names it
	slug string // of the collection that exists already
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

// maxErrorBody is how much of a refusal's body is read.
const maxErrorBody = 64 << 10

// readSome reads what isn't worth waiting for: the first bytes of a body, as far
// as they come within two seconds, after which it closes the body.
func readSome(body io.ReadCloser) []byte {
	defer time.AfterFunc(2*time.Second, func() { body.Close() }).Stop()
	data, _ := io.ReadAll(io.LimitReader(body, maxErrorBody)) // what came is good enough
	return data
}

// responseError turns a refusal (status 400 and above) into an *Error, and
// closes its body.
func responseError(resp *http.Response) *Error {
	defer resp.Body.Close()
	body := readSome(resp.Body)
	req, h := resp.Request, resp.Header
	e := &Error{
		Method:     req.Method,
		URL:        redactURL(req.URL),
		Status:     resp.StatusCode,
		Code:       h.Get("X-Error-Code"),
		RequestID:  oneLine(cmp.Or(h.Get("X-Request-Id"), h.Get("X-Amzn-Trace-Id"), h.Get("X-Amz-Cf-Id")), 200),
		RetryAfter: toldWait(resp, time.Now()),
	}
	var exists struct {
		URL  string `json:"url"`
		Slug string `json:"slug"`
	}
	if e.Status == http.StatusConflict && json.Unmarshal(body, &exists) == nil {
		e.url, e.slug = exists.URL, exists.Slug
	}
	if commit := h.Get("X-Repo-Commit"); isOID(commit) {
		e.Commit = commit
	}
	e.kind = errorKind(resp.StatusCode, e.Code, h.Get("X-Error-Message"), req.URL)
	e.Code = oneLine(e.Code, 100)
	lines := serverMessage(h, body)
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		lines = append(lines, fmt.Sprintf("asked for %q, the file has %q", req.Header.Get("Range"), h.Get("Content-Range")))
	}
	e.Message = oneLine(scrub(strings.Join(lines, "; "), req), 2000)
	return e
}

// unauthorizedRepo matches the API and resolve paths for which a bare 401 means
// that there is no such repository for this caller.
var unauthorizedRepo = regexp.MustCompile(`^/api/(models|datasets|spaces)/.+|^/.+/resolve/.+`)

// errorKind is the table of the protocol: the first matching row decides.
func errorKind(status int, code, message string, u *url.URL) error {
	switch code {
	case "RevisionNotFound":
		return ErrRevisionNotFound
	case "EntryNotFound":
		return ErrEntryNotFound
	case "GatedRepo":
		return ErrGatedRepo
	}
	if message == "Access to this resource is disabled." {
		return ErrDisabledRepo
	}
	if code == "RepoNotFound" {
		return ErrRepoNotFound
	}
	switch status {
	case http.StatusUnauthorized:
		if u.Scheme == "https" && unauthorizedRepo.MatchString(u.EscapedPath()) && message != "Invalid credentials in Authorization header" {
			return ErrRepoNotFound
		}
		return ErrUnauthorized
	case http.StatusPaymentRequired, http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound, http.StatusGone:
		return ErrNotFound
	case http.StatusRequestTimeout:
		return ErrUnavailable
	case http.StatusConflict:
		return ErrConflict
	case http.StatusPreconditionFailed:
		return ErrPreconditionFailed
	case http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	case http.StatusRequestedRangeNotSatisfiable:
		return ErrRangeNotSatisfiable
	case http.StatusUnprocessableEntity:
		return ErrUnprocessable
	case http.StatusTooManyRequests:
		return ErrRateLimited
	}
	if status >= 500 {
		return ErrUnavailable
	}
	return ErrBadRequest
}

// serverMessage collects the server's own words, each once.
func serverMessage(h http.Header, body []byte) []string {
	var lines []string
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(lines, s) {
			lines = append(lines, s)
		}
	}
	add(h.Get("X-Error-Message"))
	var text string
	if json.Unmarshal(body, &text) == nil {
		add(text)
		return lines
	}
	var obj map[string]json.RawMessage
	if json.Unmarshal(body, &obj) != nil {
		if !json.Valid(body) && !strings.Contains(h.Get("Content-Type"), "html") {
			for line := range strings.Lines(string(body)) {
				add(line)
			}
		}
		return lines
	}
	// Each part is read for itself: one of an odd type doesn't hide the others.
	var one, description string
	if json.Unmarshal(obj["error"], &one) == nil {
		if json.Unmarshal(obj["error_description"], &description) == nil && description != "" {
			one += ": " + description
		}
		add(one)
	}
	var many []string
	if json.Unmarshal(obj["error"], &many) == nil {
		for _, s := range many {
			add(s)
		}
	}
	var list []struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(obj["errors"], &list) == nil {
		for _, l := range list {
			add(l.Message)
		}
	}
	return lines
}

// requestError turns a request that got no answer, or whose answer broke, into
// an *Error. What the caller's context says comes before what the network says.
func requestError(req *http.Request, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	e = &Error{Method: req.Method, URL: redactURL(req.URL), kind: ErrUnavailable}
	if ctxErr := req.Context().Err(); ctxErr != nil {
		e.kind, e.Err = nil, ctxErr
		return e
	}
	var ue *url.Error // its text has the whole URL
	if errors.As(err, &ue) {
		err = ue.Err
	}
	e.Err = err
	return e
}

// protocolError is an answer that can't be right.
func protocolError(req *http.Request, format string, args ...any) *Error {
	return &Error{
		Method:  req.Method,
		URL:     redactURL(req.URL),
		Message: oneLine(scrub(fmt.Sprintf(format, args...), req), 2000),
		kind:    ErrProtocol,
	}
}
