package fs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// How long what the Hub said about names above the trees is good. Programs that
// want it newer call Refresh.
const (
	listTime      = time.Minute      // the repositories of a namespace
	aliasTime     = time.Minute      // that a repository has another name
	namespaceTime = 10 * time.Minute // that there is a namespace
)

// catalog knows which namespaces and repositories there are, as far as somebody
// has asked. All that it learns is kept on disk, too, and used when the Hub can't
// be reached.
type catalog struct {
	m *Mount

	mu         sync.Mutex                       // guards what follows; never held during I/O
	repos      map[hub.Repo]*repo               // by the Hub's own id; they live as long as the mount
	aliases    map[string]alias                 // by the lower-case name that was asked for
	namespaces map[string]namespace             // by lower-case name
	lists      map[spaceKey]repoList            //
	visited    map[hub.RepoType]map[string]bool // canonical names of namespaces
	user       *userRecord                      // nil before the Hub was asked
	anonymous  bool                             // it has said that there is no user
}

type alias struct {
	id    hub.Repo
	until time.Time
}

type namespace struct {
	Name  string    `json:"name"` // in the Hub's letter case
	until time.Time // zero is for ever
}

type spaceKey struct {
	typ  hub.RepoType
	name string
}

type repoList struct {
	Repos []repoInfo `json:"repos"` // sorted by id
	at    time.Time
}

type userRecord struct {
	Name string   `json:"name"` // "" is anonymous
	Orgs []string `json:"orgs"`
	Role string   `json:"role,omitempty"` // of the token: "read", "write", "fineGrained"; "" is unknown
}

// belongsTo says whether the user has a part in a namespace.
func (u *userRecord) belongsTo(namespace string) bool {
	return strings.EqualFold(u.Name, namespace) || slices.ContainsFunc(u.Orgs, func(org string) bool { return strings.EqualFold(org, namespace) })
}

func newCatalog(m *Mount) *catalog {
	c := &catalog{m: m, repos: make(map[hub.Repo]*repo), visited: make(map[hub.RepoType]map[string]bool)}
	for _, t := range hub.RepoTypes {
		c.visited[t] = make(map[string]bool)
	}
	c.forget()
	return c
}

// forget drops what may have changed on the Hub.
func (c *catalog) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aliases = make(map[string]alias)
	c.namespaces = make(map[string]namespace)
	c.lists = make(map[spaceKey]repoList)
	c.anonymous = false
	if c.user != nil {
		c.belongsLocked(c.user)
	}
}

// repo finds the repository that has been asked for, which may have another id:
// renamed, or spelled otherwise. It costs at most one request, and none if the
// repository or the list of its namespace is known.
func (c *catalog) repo(ctx context.Context, asked hub.Repo) (*repo, error) {
	if err := asked.Validate(); err != nil {
		return nil, err
	}
	if r := c.knownRepo(asked); r != nil {
		return r, nil
	}
	key := strings.ToLower(asked.String())
	info, err := c.m.reposAsked.do(ctx, key, func(ctx context.Context) (repoInfo, error) {
		answer, err := c.m.hub.RepoInfo(ctx, asked, &hub.RepoInfoOptions{Expand: infoProperties})
		if err == nil {
			info := newRepoInfo(answer)
			c.keep(recordRepo, key, info)
			return info, nil
		}
		if info, ok := c.formerRepo(asked); ok && !isRefusal(err) {
			return info, nil
		}
		return repoInfo{}, fmt.Errorf("%s: %w", asked, err)
	})
	if err != nil {
		return nil, err
	}
	return c.adopt(asked, info)
}

// formerRepo is what a former mount knew of a repository: by itself, by the list
// of its namespace, or by its references. What the official client has downloaded
// is known by its references, too.
func (c *catalog) formerRepo(asked hub.Repo) (repoInfo, bool) {
	var info repoInfo
	if c.kept(recordRepo, strings.ToLower(asked.String()), &info) {
		return info, true
	}
	var list repoList
	if c.kept(recordRepos, listKey(asked.Type, asked.Namespace()), &list) {
		for _, info := range list.Repos {
			if strings.EqualFold(info.ID, asked.ID) {
				return info, true
			}
		}
	}
	return repoInfo{ID: asked.ID}, c.kept(recordRefs, asked.String(), new(refs)) || len(c.m.cache.SharedRefs(asked)) > 0
}

// listKey is the key of a namespace's list on disk.
func listKey(typ hub.RepoType, namespace string) string {
	return string(typ) + " " + strings.ToLower(namespace)
}

func (c *catalog) knownRepo(asked hub.Repo) *repo {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.repos[asked]; r != nil {
		return r
	}
	if a, ok := c.aliases[strings.ToLower(asked.String())]; ok && time.Now().Before(a.until) {
		return c.repos[a.id]
	}
	list, ok := c.lists[spaceKey{asked.Type, strings.ToLower(asked.Namespace())}]
	if !ok || time.Since(list.at) > listTime {
		return nil
	}
	i, ok := slices.BinarySearchFunc(list.Repos, asked.ID, func(i repoInfo, id string) int { return strings.Compare(i.ID, id) })
	if !ok {
		return nil
	}
	return c.addLocked(asked.Type, list.Repos[i])
}

// adopt makes the repository that info tells of known, also under the name that
// it was asked for by.
func (c *catalog) adopt(asked hub.Repo, info repoInfo) (*repo, error) {
	id := hub.Repo{Type: asked.Type, ID: info.ID}
	if err := id.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", asked, hub.ErrProtocol, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if id != asked {
		c.aliases[strings.ToLower(asked.String())] = alias{id, time.Now().Add(aliasTime)}
	}
	return c.addLocked(asked.Type, info), nil
}

func (c *catalog) addLocked(typ hub.RepoType, info repoInfo) *repo {
	id := hub.Repo{Type: typ, ID: info.ID}
	r := c.repos[id]
	if r == nil {
		r = newRepo(c.m, typ, info)
		c.repos[id] = r
	}
	r.update(info)
	return r
}

// allRepos lists the repositories that have been looked at.
func (c *catalog) allRepos() []*repo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.repos))
}

// namespace gives the Hub's spelling of a namespace; hub.ErrNotFound if there is
// none. Most often it costs one request; only of a namespace that shows no
// repository of the type the Hub is asked whether it exists at all.
func (c *catalog) namespace(ctx context.Context, typ hub.RepoType, name string) (string, error) {
	key := strings.ToLower(name)
	c.mu.Lock()
	known, ok := c.namespaces[key]
	c.mu.Unlock()
	if ok && (known.until.IsZero() || time.Now().Before(known.until)) {
		return known.Name, nil
	}
	canonical, err := c.m.textAsked.do(ctx, "namespace "+string(typ)+" "+key, func(ctx context.Context) (string, error) {
		canonical, err := c.askNamespace(ctx, typ, name)
		if err == nil {
			c.keep(recordNamespace, key, namespace{Name: canonical})
			return canonical, nil
		}
		var kept namespace
		if !isRefusal(err) && c.kept(recordNamespace, key, &kept) {
			return kept.Name, nil
		}
		return "", fmt.Errorf("namespace %s: %w", name, err)
	})
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.namespaces[key] = namespace{canonical, time.Now().Add(namespaceTime)}
	return canonical, nil
}

func (c *catalog) askNamespace(ctx context.Context, typ hub.RepoType, name string) (string, error) {
	for info, err := range c.m.hub.ListRepos(ctx, typ, &hub.ListReposOptions{Author: name, Limit: 1, Expand: infoProperties}) {
		if err != nil {
			return "", err
		}
		repo := info.Repo()
		if ns := repo.Namespace(); strings.EqualFold(ns, name) {
			return ns, nil
		}
	}
	ns, err := c.m.hub.NamespaceOverview(ctx, name)
	if err != nil {
		return "", err
	}
	if !strings.EqualFold(ns.Name, name) {
		return "", fmt.Errorf("%w: asked for %q, got %q", hub.ErrProtocol, name, ns.Name)
	}
	return ns.Name, nil
}

// visit notes that somebody has entered a namespace, which is listed from then on.
func (c *catalog) visit(typ hub.RepoType, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.visited[typ][name] = true
}

// list gives the repositories of a namespace, sorted by id.
func (c *catalog) list(ctx context.Context, typ hub.RepoType, name string) ([]repoInfo, error) {
	key := spaceKey{typ, strings.ToLower(name)}
	c.mu.Lock()
	old, ok := c.lists[key]
	c.mu.Unlock()
	if ok && time.Since(old.at) < listTime {
		return old.Repos, nil
	}
	record := listKey(typ, name)
	list, err := c.m.listsAsked.do(ctx, record, func(ctx context.Context) (repoList, error) {
		list, err := c.askList(ctx, typ, name)
		if err == nil {
			c.keep(recordRepos, record, list)
			return list, nil
		}
		if isRefusal(err) || ctx.Err() != nil {
			return repoList{}, fmt.Errorf("list %s: %w", name, err)
		}
		if !ok {
			if !c.kept(recordRepos, record, &old) {
				return repoList{}, fmt.Errorf("list %s: %w", name, err)
			}
			old.Repos = slices.DeleteFunc(old.Repos, func(i repoInfo) bool {
				return !inNamespace(hub.Repo{Type: typ, ID: i.ID}, name)
			})
		}
		c.m.log.Warn("showing a namespace as it was last seen", "namespace", name, "error", err)
		return repoList{Repos: old.Repos, at: time.Now()}, nil
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists[key] = list
	return list.Repos, nil
}

func (c *catalog) askList(ctx context.Context, typ hub.RepoType, name string) (repoList, error) {
	list := repoList{at: time.Now()}
	for info, err := range c.m.hub.ListRepos(ctx, typ, &hub.ListReposOptions{Author: name, Expand: infoProperties}) {
		if err != nil {
			return repoList{}, err
		}
		if inNamespace(info.Repo(), name) {
			list.Repos = append(list.Repos, newRepoInfo(&info))
		}
	}
	slices.SortFunc(list.Repos, func(a, b repoInfo) int { return strings.Compare(a.ID, b.ID) })
	list.Repos = slices.CompactFunc(list.Repos, func(a, b repoInfo) bool { return a.ID == b.ID })
	return list, nil
}

func inNamespace(r hub.Repo, name string) bool {
	return r.Validate() == nil && strings.EqualFold(r.Namespace(), name)
}

// names lists the namespaces that are worth showing: the user's own, those of the
// user's organisations, and those that somebody has entered.
func (c *catalog) names(ctx context.Context, typ hub.RepoType) ([]string, error) {
	u, err := c.whoami(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := maps.Clone(c.visited[typ])
	for _, name := range append([]string{u.Name}, u.Orgs...) {
		if validNamespace(name) {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// whoami gives the owner of the token. It asks once. It fails only with ctx: with
// a bad token or without network, all but the user's own names can be shown.
func (c *catalog) whoami(ctx context.Context) (*userRecord, error) {
	c.mu.Lock()
	known := c.user
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	user, err := c.m.userAsked.do(ctx, "", func(ctx context.Context) (*userRecord, error) {
		who, err := c.m.hub.WhoAmI(ctx)
		if err == nil {
			u := &userRecord{Name: who.Name}
			if who.Auth.AccessToken != nil {
				u.Role = who.Auth.AccessToken.Role
			}
			for _, o := range who.Orgs {
				u.Orgs = append(u.Orgs, o.Name)
			}
			c.keep(recordUser, "", u)
			for _, name := range append([]string{u.Name}, u.Orgs...) {
				c.keep(recordNamespace, strings.ToLower(name), namespace{Name: name})
			}
			return u, nil
		}
		u := new(userRecord)
		if !isRefusal(err) && c.kept(recordUser, "", u) {
			return u, nil
		}
		return nil, fmt.Errorf("who am I: %w", err)
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(err, hub.ErrUnauthorized) { // which is what it is to be anonymous
			c.m.log.Warn("the user's own namespaces aren't known", "error", err)
		} else {
			c.mu.Lock()
			c.anonymous = true
			c.mu.Unlock()
		}
		return new(userRecord), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.user = user
	c.belongsLocked(user)
	return user, nil
}

// identity tells whose the token is, and what it may do; false if that isn't known.
func (c *catalog) identity(ctx context.Context) (*userRecord, bool) {
	user, err := c.whoami(ctx)
	if err != nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return user, c.user != nil || c.anonymous
}

// belongsLocked makes the user's own namespaces known for good.
func (c *catalog) belongsLocked(u *userRecord) {
	for _, name := range append([]string{u.Name}, u.Orgs...) {
		if validNamespace(name) {
			c.namespaces[strings.ToLower(name)] = namespace{Name: name}
		}
	}
}

// userName is the owner of the token as far as it is known, "" if not.
func (c *catalog) userName() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.user == nil {
		return ""
	}
	return c.user.Name
}

// keep and kept are the catalog's records on disk.
func (c *catalog) keep(kind, key string, v any) {
	if err := c.m.cache.PutRecord(kind, c.m.recordKey(key), v); err != nil {
		c.m.log.Warn("can't keep what the Hub said for times without network", "kind", kind, "error", err)
	}
}

func (c *catalog) kept(kind, key string, v any) bool {
	_, ok := c.m.cache.Record(kind, c.m.recordKey(key), v)
	return ok
}
