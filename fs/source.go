package fs

import "github.com/hubfs/hubfs/hub"

// Source is what a mount shows: the whole Hub, or one tree of a repository.
type Source struct {
	WholeHub bool
	Repo     hub.Repo
	Revision string // branch, tag, commit or full ref; "" is the default branch
	Sub      string // folder of the tree that is the root of the mount; "" is all of it
}

// ParseSource reads [hf://][models/|datasets/|spaces/]NS/REPO[@REV][/SUB]. A "/"
// in REV is written %2F.
func ParseSource(s string) (Source, error) {
	return Source{}, errUnfinished
}

// String is what ParseSource reads; "" for the whole Hub.
func (s Source) String() string { return "" }
