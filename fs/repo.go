package fs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// repoInfo is what is known of a repository before anything in it is looked at,
// in the shape that is kept on disk.
type repoInfo struct {
	ID       string    `json:"id"`
	Head     string    `json:"head,omitempty"` // of the default branch, when it was asked for
	Modified time.Time `json:"modified,omitzero"`
}

// infoProperties are what repoInfo needs: a repository's whole description may be
// large.
var infoProperties = []string{"sha", "lastModified"}

func newRepoInfo(i *hub.RepoInfo) repoInfo {
	return repoInfo{ID: i.ID, Head: i.SHA, Modified: i.LastModified}
}

// repo is a repository that the mount shows, under the id that the Hub has for
// it. It lives as long as the mount.
type repo struct {
	m  *Mount
	id hub.Repo

	looking chan struct{} // holds a token while the references are asked for and acted upon

	mu      sync.Mutex // guards what follows; taken before tree.mu
	info    repoInfo
	refs    *refs // nil before the first answer
	refsAt  time.Time
	triedAt time.Time        // when they were last asked for
	former  *refs            // what a former mount saw last; nil if there was none
	trees   map[string]*tree // by revision; "" is the default branch
	polling bool             // a poller runs
}

func newRepo(m *Mount, typ hub.RepoType, info repoInfo) *repo {
	return &repo{
		m: m, id: hub.Repo{Type: typ, ID: info.ID}, info: info,
		looking: make(chan struct{}, 1), trees: make(map[string]*tree),
	}
}

// update takes over newer information.
func (r *repo) update(info repoInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if info.Modified.After(r.info.Modified) {
		r.info = info
	}
}

// isDefault says whether the revision, by its name here, is the default branch.
func (r *repo) isDefault(name string) bool {
	known, _ := r.known()
	return known != nil && known.Default == name
}

func (r *repo) modified() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.info.Modified
}

// known gives the references as they were last seen, and when. nil before the
// first time.
func (r *repo) known() (*refs, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refs, r.refsAt
}

// references gives the references, asking the Hub only if they aren't known, or
// lack pull requests that are needed. With the Hub out of reach it gives what a
// former mount has seen.
func (r *repo) references(ctx context.Context, withPulls bool) (*refs, error) {
	if known, _ := r.known(); known != nil && (known.WithPulls || !withPulls) {
		return known, nil
	}
	return r.askReferences(ctx, withPulls)
}

func (r *repo) askReferences(ctx context.Context, withPulls bool) (*refs, error) {
	key := r.id.String()
	if withPulls {
		key += " with pull requests"
	}
	return r.m.refsAsked.do(ctx, key, func(ctx context.Context) (*refs, error) {
		found, err := r.fetchReferences(ctx, withPulls)
		if err == nil || isRefusal(err) {
			return found, err
		}
		old, at := r.lastSeen()
		if old == nil {
			return nil, err
		}
		r.m.log.Warn("showing a repository as it was last seen", "repo", r.id.String(), "seen", at, "error", err)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refs == nil {
			r.refs, r.refsAt, r.former = old, at, old
		}
		return r.refs, nil
	})
}

// recorded gives the references that a former mount has seen, or nil.
func (r *repo) recorded() (*refs, time.Time) {
	old := new(refs)
	at, ok := r.m.cache.Record(recordRefs, r.m.recordKey(r.id.String()), old)
	if !ok || old.Branches == nil {
		return nil, time.Time{}
	}
	return old, at
}

// lastSeen gives the references that a former mount has seen, or else those that
// the official client left in the cache; nil if there are neither.
func (r *repo) lastSeen() (*refs, time.Time) {
	if old, at := r.recorded(); old != nil {
		return old, at
	}
	return sharedRefs(r.m.cache.SharedRefs(r.id)), time.Time{}
}

// formerHead is the commit of a revision that a former mount showed, or "".
func (r *repo) formerHead(revision string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.former == nil {
		return ""
	}
	_, commit, _ := r.former.find(revision)
	return commit
}

// takeReferences takes over what another repo of the same id has learnt.
func (r *repo) takeReferences(o *repo) {
	o.mu.Lock()
	found, foundAt, triedAt, former := o.refs, o.refsAt, o.triedAt, o.former
	o.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if found == nil || r.refs != nil {
		return
	}
	mine := *found
	mine.Default = mine.defaultBranch(r.info.Head)
	r.refs, r.refsAt, r.triedAt, r.former = &mine, foundAt, triedAt, former
}

// fetchReferences asks the Hub, and keeps the answer.
func (r *repo) fetchReferences(ctx context.Context, withPulls bool) (*refs, error) {
	asked := time.Now()
	answer, err := r.m.hub.Refs(ctx, r.id, withPulls)
	now := time.Now()
	if err != nil {
		r.mu.Lock()
		r.triedAt = now
		r.mu.Unlock()
		return nil, fmt.Errorf("references of %s: %w", r.id, err)
	}
	var former *refs
	if known, _ := r.known(); known == nil {
		former, _ = r.recorded()
	}
	r.mu.Lock()
	found := newRefs(answer, r.info.Head, withPulls)
	found.asked = asked
	old := r.refs
	if old == nil {
		r.former = former
	}
	r.refs, r.refsAt, r.triedAt = found, now, now
	r.mu.Unlock()
	if old == nil || !old.equal(found) {
		r.keep(found)
	}
	return found, nil
}

// advance notes where a commit from here has moved a revision, which the Hub hasn't been
// asked about since, and keeps it for times without network.
func (r *repo) advance(revision, commit string) {
	r.mu.Lock()
	if r.refs == nil {
		r.mu.Unlock()
		return
	}
	next := r.refs.with(revision, commit)
	r.refs = next
	r.mu.Unlock()
	r.keep(next)
}

// keep has later mounts find the references when the Hub is out of reach.
func (r *repo) keep(found *refs) {
	if err := r.m.cache.PutRecord(recordRefs, r.m.recordKey(r.id.String()), found); err != nil {
		r.m.log.Warn("can't keep references for times without network", "repo", r.id.String(), "error", err)
	}
}

// settle is how old references may be to say that a revision doesn't exist.
const settle = 2 * time.Second

// resolve gives a revision that exists the name under which it is shown. That of
// the default branch is its own, see isDefault.
func (r *repo) resolve(ctx context.Context, revision string) (name string, err error) {
	if sha := strings.ToLower(revision); isCommit(sha) {
		_, err := r.m.folder(ctx, r, &snapshot{commit: sha}, "", noOID)
		return sha, err
	}
	known, err := r.references(ctx, needsPulls(revision))
	if err != nil {
		return "", err
	}
	if name, _, ok := known.find(revision); ok {
		return name, nil
	}
	if _, at := r.known(); time.Since(at) > settle {
		if known, err = r.askReferences(ctx, needsPulls(revision)); err != nil {
			return "", err
		}
		if name, _, ok := known.find(revision); ok {
			return name, nil
		}
	}
	if sha := strings.ToLower(revision); mayBeCommit(sha) {
		return r.complete(ctx, sha)
	}
	return "", fmt.Errorf("%s has no revision %q: %w", r.id, revision, hub.ErrRevisionNotFound)
}

// complete gives the full id of an abbreviated commit.
func (r *repo) complete(ctx context.Context, short string) (string, error) {
	info, err := r.m.infoAsked.do(ctx, r.id.String()+"@"+short, func(ctx context.Context) (*hub.RepoInfo, error) {
		info, err := r.m.hub.RepoInfo(ctx, r.id, &hub.RepoInfoOptions{Revision: short, Expand: infoProperties})
		if err == nil && !strings.HasPrefix(info.SHA, short) {
			err = fmt.Errorf("%s has no commit %s: %w", r.id, short, hub.ErrRevisionNotFound)
		}
		return info, err
	})
	if err != nil {
		return "", err
	}
	return info.SHA, nil
}

// tree is the tree of a revision, under the name that resolve gave it, or ""
// for the default branch. It needs no request.
func (r *repo) tree(name string) *tree {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.trees[name]
	if t == nil {
		t = newTree(r, name)
		r.trees[name] = t
	}
	return t
}

func (r *repo) allTrees() []*tree {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*tree, 0, len(r.trees))
	for _, t := range r.trees {
		all = append(all, t)
	}
	return all
}

// look asks for the references and moves all trees to where they point now. It
// returns when the kernel has forgotten what changed. Pinned trees move only with
// force.
func (r *repo) look(ctx context.Context, force bool) error {
	return r.turn(ctx, func() error { return r.lookNow(ctx, force) })
}

// turn calls f when nobody else moves the trees.
func (r *repo) turn(ctx context.Context, f func() error) error {
	select {
	case r.looking <- struct{}{}:
		defer func() { <-r.looking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return f()
}

func (r *repo) lookNow(ctx context.Context, force bool) error {
	for range looks - 1 {
		if err := r.lookOnce(ctx, force); !errors.Is(err, errAskedTooEarly) {
			return err
		}
	}
	return r.lookOnce(ctx, force)
}

// looks is how often a look is repeated whose answer has been overtaken by a commit.
const looks = 3

func (r *repo) lookOnce(ctx context.Context, force bool) error {
	trees := r.allTrees()
	withPulls := false
	for _, t := range trees {
		withPulls = withPulls || needsPulls(t.name) || needsPulls(t.pointer())
	}
	found, err := r.fetchReferences(ctx, withPulls)
	if err != nil {
		for _, t := range trees {
			t.looked(err)
		}
		return err
	}
	var errs []error
	for _, t := range trees {
		errs = append(errs, t.follow(ctx, found, force))
	}
	return errors.Join(errs...)
}
