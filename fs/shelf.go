package fs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hubfs/hubfs/hub"
)

// A shelf is a directory above the trees: of namespaces, or of repositories.
type shelf interface {
	// lookup finds a name. A name that isn't there is an error that isRefusal.
	lookup(ctx context.Context, name string) (item, error)
	// list gives what the directory shows, sorted by name. Some names that lookup
	// finds aren't listed: revisions, and namespaces that nobody has asked for.
	list(ctx context.Context) ([]item, error)
}

// item is what stands on a shelf: one of tree, shelf and link is set.
type item struct {
	name  string
	tree  *tree  // its root
	shelf shelf  //
	link  string // target of a symbolic link
}

var errNoName = fmt.Errorf("no such name: %w", hub.ErrNotFound)

// rootShelf is the root of a whole-Hub mount: the types of repositories, and the
// namespaces of models.
type rootShelf struct{ namespaces *typeShelf }

func newRootShelf(c *catalog) *rootShelf {
	return &rootShelf{&typeShelf{c: c, typ: hub.Model}}
}

func (s *rootShelf) typeItem(name string) item {
	if name == modelsDir {
		return item{name: name, shelf: &modelsShelf{s.namespaces}}
	}
	return item{name: name, shelf: &typeShelf{c: s.namespaces.c, typ: typeDirs[name]}}
}

func (s *rootShelf) lookup(ctx context.Context, name string) (item, error) {
	if typeDirs[name] != "" {
		return s.typeItem(name), nil
	}
	return s.namespaces.lookup(ctx, name)
}

// repo is the repository of that name on the shelf.
func (s *rootShelf) repo(name string) hub.Repo { return s.namespaces.repo(name) }

func (s *rootShelf) list(ctx context.Context) ([]item, error) {
	items, err := s.namespaces.list(ctx)
	if err != nil {
		return nil, err
	}
	for name := range typeDirs {
		items = append(items, s.typeItem(name))
	}
	return sortedItems(items), nil
}

// modelsShelf gives models a prefix, as all other types have one.
type modelsShelf struct{ namespaces *typeShelf }

func (s *modelsShelf) lookup(ctx context.Context, name string) (item, error) {
	if _, err := s.namespaces.lookup(ctx, name); err != nil {
		return item{}, err
	}
	return item{name: name, link: "../" + name}, nil
}

func (s *modelsShelf) list(ctx context.Context) ([]item, error) {
	items, err := s.namespaces.list(ctx)
	for i := range items {
		items[i] = item{name: items[i].name, link: "../" + items[i].name}
	}
	return items, err
}

// typeShelf holds the namespaces of one type of repository, and the repositories
// that have none.
type typeShelf struct {
	c   *catalog
	typ hub.RepoType
}

func (s *typeShelf) lookup(ctx context.Context, name string) (item, error) {
	n, ok := parseRepoName(name)
	if !ok || answeredLocally(name) {
		return item{}, errNoName
	}
	if !n.hasRevision {
		canonical, err := s.c.namespace(ctx, s.typ, name)
		switch {
		case err == nil && canonical == name:
			s.c.visit(s.typ, name)
			return s.namespaceItem(name), nil
		case err == nil:
			return item{name: name, link: canonical}, nil
		case !errors.Is(err, hub.ErrNotFound):
			return item{}, err
		}
	}
	asked := hub.Repo{Type: s.typ, ID: n.name}
	r, err := s.c.repo(ctx, asked)
	if errors.Is(err, hub.ErrNotFound) {
		return item{}, errNoName // also where the Hub wants to know first who asks
	}
	if err != nil {
		return item{}, err
	}
	return place(ctx, r, n, asked, name)
}

// repo is the repository of that name on the shelf.
func (s *typeShelf) repo(name string) hub.Repo { return hub.Repo{Type: s.typ, ID: name} }

func (s *typeShelf) namespaceItem(name string) item {
	return item{name: name, shelf: &namespaceShelf{c: s.c, typ: s.typ, name: name}}
}

func (s *typeShelf) list(ctx context.Context) ([]item, error) {
	names, err := s.c.names(ctx, s.typ)
	if err != nil {
		return nil, err
	}
	items := make([]item, len(names))
	for i, name := range names {
		items[i] = s.namespaceItem(name)
	}
	return items, nil
}

// namespaceShelf holds the repositories of a namespace.
type namespaceShelf struct {
	c    *catalog
	typ  hub.RepoType
	name string
}

func (s *namespaceShelf) lookup(ctx context.Context, name string) (item, error) {
	n, ok := parseRepoName(name)
	if !ok || answeredLocally(name) {
		return item{}, errNoName
	}
	asked := hub.Repo{Type: s.typ, ID: s.name + "/" + n.name}
	if asked.Validate() != nil {
		return item{}, errNoName
	}
	r, err := s.c.repo(ctx, asked)
	if err != nil {
		return item{}, err
	}
	return place(ctx, r, n, asked, name)
}

// repo is the repository of that name on the shelf.
func (s *namespaceShelf) repo(name string) hub.Repo {
	return hub.Repo{Type: s.typ, ID: s.name + "/" + name}
}

func (s *namespaceShelf) list(ctx context.Context) ([]item, error) {
	repos, err := s.c.list(ctx, s.typ, s.name)
	if err != nil {
		return nil, err
	}
	items := make([]item, 0, len(repos))
	for _, info := range repos {
		asked := hub.Repo{Type: s.typ, ID: info.ID}
		if asked.Namespace() != s.name {
			continue // in another letter case: it is listed there
		}
		r, err := s.c.adopt(asked, info)
		if err != nil {
			return nil, err
		}
		items = append(items, item{name: asked.Name(), tree: r.tree("")})
	}
	return sortedItems(items), nil
}

// place decides what stands at name, which asks for n of the repository asked,
// which is r: its tree, where this is the one place of that tree, else a link
// there.
func place(ctx context.Context, r *repo, n repoName, asked hub.Repo, name string) (item, error) {
	is := repoName{name: r.id.Name()}
	if n.hasRevision {
		revision, err := r.resolve(ctx, n.revision)
		if err != nil {
			return item{}, err
		}
		if !r.isDefault(revision) {
			is.revision, is.hasRevision = revision, true
		}
	}
	if r.id == asked && is.String() == name {
		return item{name: name, tree: r.tree(is.revision)}, nil
	}
	target := is.String()
	switch from, to := asked.Namespace(), r.id.Namespace(); {
	case from == to:
	case from == "": // a legacy id has moved into a namespace
		target = to + "/" + target
	case to == "":
		target = "../" + target
	default:
		target = "../" + to + "/" + target
	}
	return item{name: name, link: target}, nil
}

func sortedItems(items []item) []item {
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.name, b.name) })
	return slices.CompactFunc(items, func(a, b item) bool { return a.name == b.name })
}
