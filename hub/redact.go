package hub

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// plainParams are the query parameters whose values may be shown. All others
// may be signatures or credentials.
var plainParams = map[string]bool{
	"author": true, "blobs": true, "cardData": true, "config": true, "create_pr": true, "direction": true,
	"expand": true, "expand[]": true, "filter": true, "full": true, "gated": true, "include_prs": true,
	"limit": true, "linked": true, "p": true, "pipeline_tag": true, "recursive": true, "search": true,
	"securityStatus": true, "sort": true,
}

// redactURL is u for logs and errors: no user, no secret of the query.
func redactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	s := u.EscapedPath()
	if u.Host != "" {
		s = u.Scheme + "://" + u.Host + s
	}
	if u.RawQuery == "" {
		return s
	}
	pairs := strings.Split(u.RawQuery, "&")
	for i, pair := range pairs {
		name, _, ok := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		switch {
		case !ok:
			pairs[i] = "REDACTED"
		case err != nil || !plainParams[plain]:
			pairs[i] = name + "=REDACTED"
		}
	}
	return s + "?" + strings.Join(pairs, "&")
}

// secrets are what access tokens look like.
var secrets = regexp.MustCompile(`hf_[A-Za-z0-9]{6,}|(?i:bearer\s+)\S+`)

// scrub removes tokens from a text that a server wrote: it may repeat what it was sent.
func scrub(s string, req *http.Request) string {
	if _, token, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok && token != "" {
		s = strings.ReplaceAll(s, token, "REDACTED")
	}
	return secrets.ReplaceAllString(s, "REDACTED")
}

// oneLine makes a server's text fit for a line in a log or on a terminal: no
// control characters, at most n bytes.
func oneLine(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
