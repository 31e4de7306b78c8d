package localhub

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// repoTypes are the types by the segment that stands for them in URLs.
var repoTypes = map[string]string{"models": Model, "datasets": Dataset, "spaces": Space}

// webPrefix is what comes before an id in the URLs of the site.
func webPrefix(typ string) string {
	if typ == Model {
		return ""
	}
	return typ + "s/"
}

// verb is what can be done with a repository, named by the segment behind its id.
type verb struct {
	methods methods
	// args are how many segments may follow: at least, and at most (-1: any).
	least, most int
}

var (
	getOnly  = func(fn handler) methods { return methods{http.MethodGet: fn} }
	postOnly = func(fn handler) methods { return methods{http.MethodPost: fn} }
)

// apiVerbs are the routes below /api/{models,datasets,spaces}/{id}.
var apiVerbs = map[string]verb{
	"revision":   {getOnly((*call).repoInfo), 1, -1},
	"tree":       {getOnly((*call).tree), 1, -1},
	"commits":    {getOnly((*call).commits), 1, -1},
	"refs":       {getOnly((*call).refs), 0, 0},
	"paths-info": {postOnly((*call).pathsInfo), 1, -1},
	"auth-check": {getOnly((*call).authCheck), 0, 1},

	"preupload":    {postOnly((*call).preupload), 1, -1},
	"commit":       {postOnly((*call).commit), 1, -1},
	"branch":       {methods{http.MethodPost: (*call).createBranch, http.MethodDelete: (*call).deleteBranch}, 1, -1},
	"tag":          {methods{http.MethodPost: (*call).createTag, http.MethodDelete: (*call).deleteTag}, 1, -1},
	"super-squash": {postOnly((*call).superSquash), 1, -1},
	"settings":     {methods{http.MethodPut: (*call).settings}, 0, 0},
	"duplicate":    {postOnly((*call).duplicate), 0, 0},
	"runtime":      {getOnly(ofSpace((*call).getRuntime)), 0, 0},
	"secrets":      {methods{http.MethodGet: ofSpace((*call).getSecrets), http.MethodPost: ofSpace((*call).addSecret), http.MethodDelete: ofSpace((*call).deleteSecret)}, 0, 0},
	"variables":    {methods{http.MethodGet: ofSpace((*call).getVariables), http.MethodPost: ofSpace((*call).addVariable), http.MethodDelete: ofSpace((*call).deleteVariable)}, 0, 0},
	"hardware":     {postOnly(ofSpace((*call).requestHardware)), 0, 0},
	"sleeptime":    {postOnly(ofSpace((*call).setSleepTime)), 0, 0},
	"pause":        {postOnly(ofSpace((*call).pauseSpace)), 0, 0},
	"restart":      {postOnly(ofSpace((*call).restartSpace)), 0, 0},
	"storage":      {methods{http.MethodPost: ofSpace((*call).requestStorage), http.MethodDelete: ofSpace((*call).deleteStorage)}, 0, 0},

	"user-access-request": {methods{http.MethodGet: (*call).accessRequests, http.MethodPost: (*call).accessRequests}, 1, 1},
	"discussions":         {methods{http.MethodGet: (*call).discussions, http.MethodPost: (*call).discussions}, 0, 4},

	"like":   {methods{http.MethodPost: (*call).like, http.MethodDelete: (*call).unlike}, 0, 0},
	"likers": {getOnly((*call).likers), 0, 0},

	"xet-read-token":  {getOnly((*call).noXet), 1, -1},
	"xet-write-token": {getOnly((*call).noXet), 1, -1},
}

// webVerbs are the routes below /{id}, /datasets/{id} and /spaces/{id}.
var webVerbs = map[string]verb{
	"resolve":    {getOnly((*call).resolveFile), 2, -1},
	"ask-access": {postOnly((*call).askForm), 0, 0},
	"raw":        {getOnly((*call).rawFile), 2, -1},
	// of {id}.git
	"info":        {methods{http.MethodPost: (*call).lfs, http.MethodGet: (*call).gitRefs}, 1, 3},
	gitUploadPack: {postOnly((*call).uploadPack), 0, 0},
}

// fixed are the routes with a path of their own.
var fixed = map[string]methods{
	"api/whoami-v2":     getOnly((*call).whoami),
	"api/validate-yaml": postOnly((*call).validateYAML),
	"api/repos/create":  postOnly((*call).createRepo),
	"api/repos/delete":  {http.MethodDelete: (*call).deleteRepo},
	"api/repos/move":    postOnly((*call).moveRepo),
	"api/models":        getOnly(func(c *call) error { return c.listRepos(Model) }),
	"api/datasets":      getOnly(func(c *call) error { return c.listRepos(Dataset) }),
	"api/spaces":        getOnly(func(c *call) error { return c.listRepos(Space) }),

	"api/models-tags-by-type":   getOnly(func(c *call) error { return c.tagsByType(Model) }),
	"api/datasets-tags-by-type": getOnly(func(c *call) error { return c.tagsByType(Dataset) }),
	"api/collections":           {http.MethodGet: (*call).listCollections, http.MethodPost: (*call).createCollection},
	"api/papers/search":         getOnly((*call).searchPapers),
}

func noRoute() *Error {
	return fail(http.StatusNotFound, "Not found: this Hub has nothing at this address")
}

// route finds the handler of the request. It goes by the path as it was sent: an
// encoded slash is part of its segment.
func (c *call) route() error {
	path := strings.TrimPrefix(c.r.URL.EscapedPath(), "/")
	if m := fixed[path]; m != nil {
		return c.do(m)
	}
	segs := strings.Split(path, "/")
	if segs[0] == contentPrefix && c.h.contentURL.Load() == nil {
		c.h.serveContent(c.w, c.r)
		return nil
	}
	if segs[0] == inferencePrefix && len(segs) >= 3 && (segs[1] == "endpoint" || segs[1] == "serve") {
		return c.endpointRoutes(segs[1:])
	}
	if segs[0] != "api" {
		typ := Model
		if t := repoTypes[segs[0]]; t != "" && t != Model {
			typ, segs = t, segs[1:]
		}
		return c.repoRoute(typ, segs, webVerbs, nil)
	}
	if len(segs) < 3 {
		return noRoute()
	}
	if segs[1] == "settings" && segs[2] == "webhooks" {
		return c.webhookRoute(segs[3:])
	}
	switch kind := segs[1]; kind {
	case "models", "datasets", "spaces":
		return c.repoRoute(repoTypes[kind], segs[2:], apiVerbs, getOnly((*call).repoInfo))
	case "resolve-cache":
		if typ := repoTypes[segs[2]]; typ != "" {
			return c.repoRoute(typ, segs[3:], map[string]verb{"": {getOnly((*call).resolveFile), 2, -1}}, nil)
		}
	case "collections":
		return c.collectionRoute(segs[2:])
	case "papers":
		if id, err := url.PathUnescape(segs[2]); err == nil && len(segs) == 3 {
			c.segs = []string{id}
			return c.do(getOnly((*call).paper))
		}
	case "users", "organizations":
		if len(segs) == 4 {
			name, err := url.PathUnescape(segs[2])
			if m := accountRoutes[kind+"/"+segs[3]]; err == nil && m != nil {
				c.segs = []string{name}
				return c.do(m)
			}
		}
	}
	return noRoute()
}

// accountRoutes are the routes below /api/users/{u} and /api/organizations/{o}.
var accountRoutes = map[string]methods{
	"users/overview":          getOnly((*call).userOverview),
	"users/likes":             getOnly((*call).userLikes),
	"users/followers":         getOnly((*call).userFollowers),
	"users/following":         getOnly((*call).userFollowing),
	"users/follow":            {http.MethodPost: (*call).follow, http.MethodDelete: (*call).unfollow},
	"organizations/overview":  getOnly((*call).orgOverview),
	"organizations/members":   getOnly((*call).orgMembers),
	"organizations/followers": getOnly((*call).orgFollowers),
	"organizations/follow":    {http.MethodPost: (*call).follow, http.MethodDelete: (*call).unfollow},
}

// repoRoute runs a route below a repository. bare handles the repository itself.
//
// An id has one segment or two, and a verb may be part of an id, so that there
// can be two readings. The one with the longer id wins if there is a repository
// of that name, else one whose repository exists, else the longer.
func (c *call) repoRoute(typ string, segs []string, verbs map[string]verb, bare methods) error {
	type reading struct {
		id      string
		idLen   int
		methods methods
		rest    []string
	}
	var readings []reading
	for _, n := range []int{2, 1} {
		if len(segs) < n {
			continue
		}
		parts := make([]string, n)
		for i, s := range segs[:n] {
			parts[i], _ = url.PathUnescape(s)
		}
		if bare == nil {
			// git's own address of a repository; no id ends so.
			parts[n-1] = strings.TrimSuffix(parts[n-1], ".git")
		}
		id := strings.Join(parts, "/")
		if slices.Contains(parts, "") || strings.Count(id, "/") != n-1 {
			continue
		}
		if len(segs) == n {
			if bare != nil {
				readings = append(readings, reading{id, n, bare, nil})
			}
			continue
		}
		name, rest := segs[n], segs[n+1:]
		v, ok := verbs[name]
		if !ok {
			if v, ok = verbs[""]; ok {
				rest = segs[n:]
			}
		}
		if ok && len(rest) >= v.least && (v.most < 0 || len(rest) <= v.most) {
			readings = append(readings, reading{id, n, v.methods, rest})
		}
	}
	if len(readings) == 0 {
		return noRoute()
	}
	chosen := readings[0]
	for _, rd := range readings {
		if r, _ := c.h.st.repo(keyOf(typ, rd.id)); r != nil {
			chosen = rd
			break
		}
	}
	c.segs = chosen.rest
	rec, renamed := c.h.st.repo(keyOf(typ, chosen.id))
	if rec == nil {
		return hidden(c.caller)
	}
	if err := c.h.checkRead(c.caller, rec); err != nil {
		return err
	}
	if renamed {
		return c.redirectRenamed(rec, segs, chosen.idLen)
	}
	store, err := c.h.stores.get(rec.UID)
	if err != nil {
		return err
	}
	c.repo = &repo{rec, store}
	return c.do(chosen.methods)
}

// redirectRenamed sends the client to the new name of a repository, by a path
// without a host: clients take a redirect to a host for the content's.
func (c *call) redirectRenamed(rec *repoRec, segs []string, idLen int) error {
	all := strings.Split(c.r.URL.EscapedPath(), "/")
	before := all[:len(all)-len(segs)]
	to := strings.Join(slices.Concat(before, strings.Split(rec.ID, "/"), segs[idLen:]), "/")
	if c.r.URL.RawQuery != "" {
		to += "?" + c.r.URL.RawQuery
	}
	c.w.Header().Set("Location", to)
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

// arg is what is left of the segments, decoded and joined by slashes.
func (c *call) arg() (string, error) {
	s, err := url.PathUnescape(strings.Join(c.segs, "/"))
	if err != nil {
		return "", badRequest("The path isn't well formed")
	}
	return s, nil
}

// revision takes a revision from the front of the segments and leaves the rest in
// c.segs. It should be one segment, its slashes encoded, but some clients send
// refs/pr/1 or feat/x as it is: the shortest run of segments that names a
// revision is it.
func (c *call) revision() (rev string, err error) {
	first, err := url.PathUnescape(c.segs[0])
	if err != nil {
		return "", badRequest("The path isn't well formed")
	}
	for n := 1; n <= len(c.segs) && n <= 8; n++ {
		rev, err := url.PathUnescape(strings.Join(c.segs[:n], "/"))
		if err != nil {
			return "", badRequest("The path isn't well formed")
		}
		_, err = c.repo.resolve(rev)
		if err == nil {
			c.segs = c.segs[n:]
			return rev, nil
		}
		if !errors.Is(err, ErrRevisionNotFound) {
			return "", err
		}
	}
	c.segs = c.segs[1:]
	return first, revisionNotFound(first)
}
