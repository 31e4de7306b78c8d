package fs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
)

// A tree moves from one commit to another in three steps.
//
// First, every directory that the kernel may remember something of is looked up
// in the new commit. Where its id is the same, the listing is; else it is fetched.
// All of this may take long, and the old commit is shown meanwhile. Directories
// that are asked about for the first time in this step are answered from the old
// commit, too, but the kernel isn't allowed to remember.
//
// Then the tree is switched to the new snapshot, and each of those directories to
// its new view, at once and under the tree's lock.
//
// Last, without any lock, the kernel is told which names to forget. It does so
// under its own lock of the directory, which a lookup in progress holds, too: so
// when it has answered, no answer of before the switch is still on its way.

// listers is how many folders of one tree are fetched at a time.
const listers = 4

// change is what a move does to a directory.
type change struct {
	d        *dirNode
	old, new *view
}

// remembered is a directory of which the kernel may remember something, as it was
// when a move began.
type remembered struct {
	d     *dirNode
	at    string
	shown *view
}

// follow moves the tree to where its revision points in found. It returns when
// the kernel shows nothing older. A pinned tree moves only with force.
func (t *tree) follow(ctx context.Context, found *refs, force bool) error {
	s := t.snap.Load()
	if t.fixed || s == nil {
		return nil
	}
	_, commit, ok := found.find(t.pointer())
	b := t.branch.Load()
	var err error
	switch {
	case !ok:
		err = fmt.Errorf("%s is gone from the Hub; showing what it was: %w", t, hub.ErrRevisionNotFound)
	case b != nil:
		err = t.followBranch(ctx, b, commit, found.asked)
	case commit != s.commit && (force || !t.repo.m.opts.Pin):
		err = t.move(ctx, &snapshot{commit: commit, before: s.commit})
	}
	t.looked(err)
	return err
}

// move is called by one goroutine at a time, the one that looks.
func (t *tree) move(ctx context.Context, next *snapshot) error {
	t.mu.Lock()
	t.moving = true
	dirs := t.rememberedLocked()
	t.mu.Unlock()

	changes, err := t.prepare(ctx, next, dirs)

	t.mu.Lock()
	t.moving = false
	late := slices.Collect(maps.Keys(t.late))
	clear(t.late)
	if err != nil {
		t.mu.Unlock()
		t.repo.m.kernel.moved(nil, late)
		return fmt.Errorf("move %s to %s: %w", t, next.commit, err)
	}
	old := t.snap.Swap(next)
	for i, c := range changes {
		switch at := c.d.pathLocked(); {
		case t.dirs[at] != c.d: // it has been forgotten meanwhile
		case at != dirs[i].at: // renamed
			c.d.shown = unknownView(next)
		default:
			if c.d.shown.listing != c.new.listing {
				c.d.former = c.d.shown
			}
			c.d.shown = c.new
		}
	}
	t.mu.Unlock()

	t.repo.m.log.Info("moved", "tree", t.String(), "from", old.commit, "to", next.commit)
	t.repo.m.kernel.moved(changes, late)

	t.mu.Lock()
	defer t.mu.Unlock()
	t.shows(next.commit)
	return nil
}

// rememberedLocked gives all directories that a move has to see to, by depth.
func (t *tree) rememberedLocked() []remembered {
	dirs := make([]remembered, 0, len(t.dirs))
	for at, d := range t.dirs {
		dirs = append(dirs, remembered{d, at, d.shown})
	}
	slices.SortFunc(dirs, func(a, b remembered) int {
		return cmp.Or(cmp.Compare(depth(a.at), depth(b.at)), strings.Compare(a.at, b.at))
	})
	return dirs
}

// prepare finds the directories, which are sorted by depth, in the next snapshot.
func (t *tree) prepare(ctx context.Context, next *snapshot, dirs []remembered) ([]change, error) {
	if len(dirs) == 0 {
		return nil, nil
	}
	p := preparation{t: t, next: next, shown: make(map[string]*view), found: make(map[string]*view)}
	for _, d := range dirs {
		p.shown[d.at] = d.shown
	}
	changes := make([]change, len(dirs))
	for start, end := 0, 0; start < len(dirs); start = end {
		for end < len(dirs) && depth(dirs[end].at) == depth(dirs[start].at) {
			end++
		}
		p.fetchAtOnce(ctx, dirs[start:end])
		var level errgroup.Group
		level.SetLimit(listers)
		for i := start; i < end; i++ {
			level.Go(func() error {
				v, err := p.view(ctx, dirs[i].at)
				changes[i] = change{dirs[i].d, dirs[i].shown, v}
				return err
			})
		}
		if err := level.Wait(); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// fetchAtOnce lists the whole tree if most of many directories have changed, and
// that takes far fewer requests than to list them one by one.
func (p *preparation) fetchAtOnce(ctx context.Context, dirs []remembered) {
	if p.atOnce || len(dirs) < walkFolders {
		return
	}
	m, r := p.t.repo.m, p.t.repo
	changed, known := 0, 0
	for _, d := range dirs {
		parent, name := splitPath(d.at)
		p.mu.Lock()
		in := p.found[parent]
		p.mu.Unlock()
		if in == nil {
			continue
		}
		if e, ok := in.listing.Find(name); ok && e.Dir && e.OID != d.shown.oid {
			changed++
		}
	}
	for _, v := range p.shown {
		known += len(v.listing.Entries)
	}
	requests := known/pageEntries + 1
	if changed < walkFolders || changed < walkGain*requests {
		return
	}
	p.atOnce = true
	if err := m.fetchBelow(ctx, r, p.next, "", (2*requests+walkFolders)*pageEntries); err != nil && ctx.Err() == nil {
		m.log.Info("folders are listed one by one", "repo", r.id.String(), "below", orRoot(""), "reason", err)
	}
}

// depth counts the components of a path.
func depth(p string) int {
	if p == "" {
		return 0
	}
	return strings.Count(p, "/") + 1
}

// preparation remembers what is found on the way.
type preparation struct {
	t      *tree
	next   *snapshot
	shown  map[string]*view // by path; not changed any more
	atOnce bool             // the whole tree has been listed, or tried to
	asked  singleflight.Group

	mu    sync.Mutex // guards found
	found map[string]*view
}

// view finds the directory at path in the next snapshot.
func (p *preparation) view(ctx context.Context, path string) (*view, error) {
	v, err, _ := p.asked.Do(path, func() (any, error) {
		p.mu.Lock()
		v := p.found[path]
		p.mu.Unlock()
		if v != nil {
			return v, nil
		}
		v, err := p.find(ctx, path)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.found[path] = v
		return v, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*view), nil
}

func (p *preparation) find(ctx context.Context, path string) (*view, error) {
	m, r, old := p.t.repo.m, p.t.repo, p.shown[path]
	var before *blobcache.Listing
	if old != nil && !old.unknown {
		before = old.listing
	}
	if path == "" {
		l, err := m.fetchFolder(ctx, r, p.next, "", noOID, before)
		if err != nil {
			return nil, err
		}
		return &view{snap: p.next, mtime: p.next.date.Load(), listing: l}, nil
	}
	parent, name := splitPath(path)
	in, err := p.view(ctx, parent)
	if err != nil {
		return nil, err
	}
	e, ok := in.listing.Find(name)
	if !ok || !e.Dir {
		return goneView(p.next), nil
	}
	v := &view{snap: p.next, oid: e.OID, mtime: e.MTime}
	if old != nil && !old.gone && !old.unknown && old.oid == e.OID && e.OID != noOID {
		v.listing = old.listing
		return v, nil
	}
	v.listing, err = m.fetchFolder(ctx, r, p.next, path, e.OID, before)
	if errors.Is(err, hub.ErrEntryNotFound) { // the listing above contradicts this one
		err = fmt.Errorf("%w: the folder is in the listing above it", err)
	}
	return v, err
}
