package hub

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Redirects are followed here and nowhere else: net/http would send the token to
// subdomains, and drop the body where a repository was renamed.

// maxHops bounds the redirects of one request.
const maxHops = 10

// An answer is what a request came to after redirects within the endpoint.
type answer struct {
	resp      *http.Response
	hops      []http.Header // of all answers, resp's last
	elsewhere *url.URL      // resp redirects to another origin; nil if it doesn't
}

// header is from the last hop that has it.
func (a *answer) header(name string) string {
	for _, h := range slices.Backward(a.hops) {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// exchange sends a request and follows redirects within the endpoint, with
// method and body kept. Refusals are errors. A repository that was renamed is
// asked for under its new name from then on.
func (c *Client) exchange(ctx context.Context, r *request) (*answer, error) {
	repo := c.renames.now(r.repo)
	a, err := c.exchangeAs(ctx, r, repo)
	if repo != r.repo && errors.Is(err, ErrRepoNotFound) {
		// Moved again, or back, and somebody may have the old name now.
		c.renames.forget(r.repo)
		return c.exchangeAs(ctx, r, r.repo)
	}
	return a, err
}

func (c *Client) exchangeAs(ctx context.Context, r *request, repo Repo) (*answer, error) {
	req, err := c.build(ctx, r, repo)
	if err != nil {
		return nil, err
	}
	a := new(answer)
	for range maxHops {
		resp, err := c.roundTrip(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 400 {
			return nil, responseError(resp)
		}
		a.resp = resp
		a.hops = append(a.hops, resp.Header)
		to, err := redirectTarget(resp)
		if err != nil {
			resp.Body.Close()
			return nil, err
		}
		if to == nil {
			return a, nil
		}
		if !c.ours(to) {
			a.elsewhere = to
			return a, nil
		}
		discard(resp)
		next := *r
		if resp.StatusCode == http.StatusSeeOther && r.method != http.MethodHead {
			next.method, next.body, next.stream = http.MethodGet, nil, nil
		}
		if renamed, ok := c.renamedBy(r, req.URL, to); ok {
			c.logger.Info("the repository was renamed", "from", r.repo.String(), "to", renamed.String())
			c.renames.learn(r.repo, renamed)
			req, err = c.build(ctx, &next, renamed) // with the query, which Location may have lost
		} else {
			req, err = newRequest(ctx, &next, to.String())
		}
		if err != nil {
			return nil, err
		}
		req.Header.Set("X-Amzn-Trace-Id", resp.Request.Header.Get("X-Amzn-Trace-Id"))
	}
	return nil, protocolError(req, "more than %d redirects", maxHops)
}

// followElsewhere goes on at another origin, without the token. Only what merely
// reads may go there.
func (c *Client) followElsewhere(ctx context.Context, r *request, a *answer) (*http.Response, error) {
	from := a.resp.Request
	if r.method != http.MethodGet && r.method != http.MethodHead {
		return nil, protocolError(from, "a %s request is redirected to another host, %s", r.method, a.elsewhere.Host)
	}
	to := a.elsewhere
	for range maxHops {
		req, err := newRequest(ctx, r, to.String())
		if err != nil {
			return nil, err
		}
		resp, err := c.roundTrip(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 400 {
			return nil, responseError(resp)
		}
		next, err := redirectTarget(resp)
		if err != nil {
			resp.Body.Close()
			return nil, err
		}
		if next == nil {
			return resp, nil
		}
		discard(resp)
		to = next
	}
	return nil, protocolError(from, "more than %d redirects", maxHops)
}

// redirectTarget is where an answer sends us, nil if nowhere.
func redirectTarget(resp *http.Response) (*url.URL, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	location := resp.Header.Get("Location")
	if location == "" {
		return nil, protocolError(resp.Request, "a redirect without a Location")
	}
	to, err := resp.Request.URL.Parse(location)
	if err != nil {
		return nil, protocolError(resp.Request, "a redirect to what is no URL")
	}
	switch {
	case to.Scheme != "http" && to.Scheme != "https" || to.Host == "":
		return nil, protocolError(resp.Request, "a redirect to what is no http or https URL")
	case resp.Request.URL.Scheme == "https" && to.Scheme == "http":
		return nil, protocolError(resp.Request, "a redirect from https to http, at %s", to.Host)
	case to.User != nil:
		return nil, protocolError(resp.Request, "a redirect to a URL with a user in it, at %s", to.Host)
	}
	to.Fragment = ""
	return to, nil
}

// renamedBy reads a redirect that only exchanges the id of the repository.
func (c *Client) renamedBy(r *request, from, to *url.URL) (renamed Repo, ok bool) {
	if r.repo.ID == "" || from.EscapedPath() == to.EscapedPath() {
		return Repo{}, false
	}
	// What stands around the id is the same for any other id.
	before, after, _ := strings.Cut(r.path(Repo{Type: r.repo.Type, ID: "0"}), "/0")
	id, ok := strings.CutPrefix(to.EscapedPath(), c.endpoint.EscapedPath()+before+"/")
	if !ok {
		return Repo{}, false
	}
	if id, ok = strings.CutSuffix(id, after); !ok {
		return Repo{}, false
	}
	id, err := url.PathUnescape(id)
	renamed = Repo{Type: r.repo.Type, ID: id}
	return renamed, err == nil && renamed != r.repo && renamed.Validate() == nil
}

// renames remembers the new names of repositories, for a while: the old name may
// be given to another repository.
type renames struct {
	mu sync.Mutex // guards m
	m  map[Repo]renamed
}

type renamed struct {
	to    Repo
	until time.Time
}

const (
	renameTTL  = 10 * time.Minute
	maxRenames = 1000
)

// now is the present name of a repository, as far as is known.
func (r *renames) now(repo Repo) Repo {
	r.mu.Lock()
	defer r.mu.Unlock()
	if to, ok := r.m[repo]; ok && time.Now().Before(to.until) {
		return to.to
	}
	return repo
}

func (r *renames) learn(from, to Repo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil || len(r.m) >= maxRenames {
		r.m = make(map[Repo]renamed)
	}
	r.m[from] = renamed{to, time.Now().Add(renameTTL)}
}

func (r *renames) forget(repo Repo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.m, repo)
}
