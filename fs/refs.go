package fs

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// refs is what a repository's references point at, in the shape that is kept on
// disk. It isn't changed after it was made.
type refs struct {
	Default  string            `json:"default"` // name of the default branch
	Branches map[string]string `json:"branches"`
	Tags     map[string]string `json:"tags"`
	Others   map[string]string `json:"others"` // by full name: refs/pr/1, refs/convert/parquet
	// WithPulls says that pull requests were asked for.
	WithPulls bool `json:"with_pulls"`
	asked     time.Time
}

// newRefs reads the Hub's answer. head is the commit of the default branch, ""
// if it isn't known.
func newRefs(answer *hub.Refs, head string, withPulls bool) *refs {
	r := &refs{
		Branches: make(map[string]string), Tags: make(map[string]string), Others: make(map[string]string),
		WithPulls: withPulls,
	}
	for _, b := range answer.Branches {
		r.Branches[b.Name] = b.TargetCommit
	}
	for _, t := range answer.Tags {
		r.Tags[t.Name] = t.TargetCommit
	}
	for _, o := range slices.Concat(answer.Converts, answer.PullRequests) {
		r.Others[o.Ref] = o.TargetCommit
	}
	r.Default = r.defaultBranch(head)
	return r
}

// sharedRefs makes references of what huggingface_hub has downloaded: commits by
// revision. Whether a name is a branch or a tag isn't known; it's all the same
// where nothing moves. nil if there are none.
func sharedRefs(commits map[string]string) *refs {
	r := &refs{Branches: make(map[string]string), Tags: make(map[string]string), Others: make(map[string]string), WithPulls: true}
	for name, commit := range commits {
		if strings.HasPrefix(name, "refs/") {
			r.Others[name] = commit
		} else {
			r.Branches[name] = commit
		}
	}
	if len(commits) == 0 {
		return nil
	}
	r.Default = r.defaultBranch("")
	return r
}

// defaultBranch is main, as on the Hub, or else what looks most like it.
func (r *refs) defaultBranch(head string) string {
	for _, name := range []string{"main", "master"} {
		if c, ok := r.Branches[name]; ok && (head == "" || c == head || name == "main") {
			return name
		}
	}
	names := slices.Sorted(maps.Keys(r.Branches))
	for _, name := range names {
		if r.Branches[name] == head {
			return name
		}
	}
	if len(names) > 0 {
		return names[0]
	}
	return ""
}

// find looks a revision up and gives it the one name under which a mount shows
// it: branches and tags the short one, all others the full one. A tag that is
// called like a branch has its full name.
func (r *refs) find(revision string) (name, commit string, ok bool) {
	if revision == "" {
		revision = r.Default
	}
	name = revision
	if c, ok := r.Branches[name]; ok {
		return name, c, true
	}
	if c, ok := r.Tags[name]; ok {
		return name, c, true
	}
	if short, is := strings.CutPrefix(revision, headsPrefix); is {
		c, ok := r.Branches[short]
		return short, c, ok
	}
	if short, is := strings.CutPrefix(revision, tagsPrefix); is {
		c, ok := r.Tags[short]
		if _, taken := r.Branches[short]; taken {
			return revision, c, ok
		}
		return short, c, ok
	}
	c, ok := r.Others[revision]
	return name, c, ok
}

// with is r with a branch, or another reference, that points at a commit.
func (r *refs) with(revision, commit string) *refs {
	next := *r
	name, _, _ := r.find(revision)
	in := &next.Branches
	if strings.HasPrefix(name, "refs/") {
		in = &next.Others
	}
	more := make(map[string]string, len(*in)+1)
	maps.Copy(more, *in)
	more[name] = commit
	*in = more
	return &next
}

// needsPulls says whether a revision is found only among pull requests.
func needsPulls(revision string) bool { return strings.HasPrefix(revision, pullsPrefix) }

func (r *refs) equal(o *refs) bool {
	return r.Default == o.Default && r.WithPulls == o.WithPulls &&
		maps.Equal(r.Branches, o.Branches) && maps.Equal(r.Tags, o.Tags) && maps.Equal(r.Others, o.Others)
}
