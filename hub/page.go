package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
)

// pages gives the elements of a paginated list, page after page. A page is read
// whole before its first element is given, so that one that breaks off can be
// asked for again. Iteration ends at the first error.
func pages[T any](ctx context.Context, c *Client, first *request) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		r := first
		seen := make(map[string]bool)
		for {
			var page []T
			var next *url.URL
			err := c.withWhole(ctx, r, func(resp *http.Response) (err error) {
				if page, err = decodePage[T](resp); err != nil {
					return err
				}
				next, err = c.nextPage(resp)
				return err
			})
			if err != nil {
				yield(zero, err)
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			link := strings.TrimPrefix(next.EscapedPath(), c.endpoint.EscapedPath()) + "?" + next.RawQuery
			if seen[link] {
				yield(zero, &Error{Method: r.method, URL: redactURL(next), Message: "the pages of the list go in a circle", kind: ErrProtocol})
				return
			}
			seen[link] = true
			r = &request{method: first.method, path: at(link), header: first.header}
		}
	}
}

// decodePage reads a JSON array element by element.
func decodePage[T any](resp *http.Response) ([]T, error) {
	var page []T
	err := decodeJSON(resp, func(dec *json.Decoder) error {
		open, err := dec.Token()
		if err != nil {
			return err
		}
		if open != json.Delim('[') {
			return fmt.Errorf("it isn't a list")
		}
		for dec.More() {
			var v T
			if err := dec.Decode(&v); err != nil {
				return err
			}
			page = append(page, v)
		}
		_, err = dec.Token()
		return err
	})
	return page, err
}

// nextPage is the address of the next page, nil on the last. It must be the
// endpoint's: the token goes there.
func (c *Client) nextPage(resp *http.Response) (*url.URL, error) {
	for _, link := range resp.Header.Values("Link") {
		target, ok := parseLink(link, "next")
		if !ok {
			continue
		}
		next, err := resp.Request.URL.Parse(target)
		if err != nil {
			return nil, protocolError(resp.Request, "the link to the next page is no URL")
		}
		if !c.ours(next) || !strings.HasPrefix(next.EscapedPath(), c.endpoint.EscapedPath()+"/") {
			return nil, protocolError(resp.Request, "the link to the next page leads to another place, at %s", next.Host)
		}
		return next, nil
	}
	return nil, nil
}

// parseLink finds the target of a relation in a Link header:
//
//	<https://host/path?a=b>; rel="next", <...>; rel="prev"
func parseLink(header, rel string) (target string, ok bool) {
	for header != "" {
		_, rest, found := strings.Cut(header, "<")
		if !found {
			return "", false
		}
		if target, rest, found = strings.Cut(rest, ">"); !found {
			return "", false
		}
		params, more := cutMember(rest)
		header = more
		for _, p := range strings.Split(params, ";") {
			name, value, _ := strings.Cut(p, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "rel") {
				continue
			}
			for r := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
				if strings.EqualFold(r, rel) {
					return target, true
				}
			}
		}
	}
	return "", false
}

// cutMember splits a header that is a list at its first comma outside of quotes.
func cutMember(s string) (member, rest string) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
