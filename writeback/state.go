package writeback

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// State is what becomes of a path; see the package comment.
type State uint8

// The states, in the order of the package comment.
const (
	Clean State = iota
	Staged
	Committing
	Failed
	Conflict
	Local
	Ignored
)

var stateNames = [...]string{"clean", "staged", "committing", "failed", "conflict", "local", "ignored"}

// String is the state as users see it.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// MarshalText gives the state as users see it.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText gives.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("no state of a path: %q", text)
	}
	*s = State(i)
	return nil
}

// tornMessage is why a torn file isn't committed.
const tornMessage = "hubfs or the machine stopped while this file was being written: save it again to have it committed, or discard it"

// stateOf is the state of a path of ours. It requires mu.
func (b *Branch) stateOf(n *node) State {
	switch {
	case n.kind == kindNone:
		return Clean
	case n.kind == kindDir && !n.was.file():
		if n.was == nil {
			return Local // Git has no empty folders
		}
		return Clean
	case n.clean():
		return Clean
	case b.committing[n]:
		return Committing
	case n.theirs != nil && (b.opts.OnConflict == Theirs || b.opts.OnConflict == Fail):
		return Conflict
	case n.fail != nil && n.failVer == n.ver():
		return n.fail.State
	case b.isLocalOnly(n):
		return Local
	case n.ino != nil && n.ino.isTorn():
		return Failed
	}
	return Staged
}

// clean says whether a file of ours is what the Hub has, and only waits for the tree.
// It requires mu.
func (n *node) clean() bool {
	if n.kind != kindFile {
		return false
	}
	n.ino.mu.RLock()
	defer n.ino.mu.RUnlock()
	return n.ino.known != nil && n.was.same(n.ino.known)
}

// ver is the version of the node's content; 0 if it has none. It requires mu.
func (n *node) ver() uint64 {
	if n.ino == nil {
		return 0
	}
	n.ino.mu.RLock()
	defer n.ino.mu.RUnlock()
	return n.ino.ver
}

// changed says whether a path differs from what the Hub has. Folders don't count,
// but for those in the place of a file. It requires mu.
func (n *node) changed() bool {
	switch n.kind {
	case kindFile:
		return !n.clean()
	case kindGone, kindDir:
		return n.was.file()
	}
	return false
}

func (ino *inode) isTorn() bool {
	ino.mu.RLock()
	defer ino.mu.RUnlock()
	return ino.torn
}

// Change is a path that is changed here, as Status tells it.
type Change struct {
	Path    string    `json:"path"`
	Deleted bool      `json:"deleted,omitempty"`
	Size    int64     `json:"size"`
	State   State     `json:"state"`
	Since   time.Time `json:"since"` // of the oldest change that isn't committed
	Message string    `json:"message,omitempty"`
}

// Changes lists what isn't as the Hub has it, sorted by path. Folders are left out.
func (b *Branch) Changes() []Change {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []Change
	b.root.all(func(path string, n *node) {
		if !n.changed() {
			return
		}
		c := Change{Path: path, Deleted: n.kind != kindFile, State: b.stateOf(n), Since: n.since}
		if n.kind == kindFile {
			n.ino.mu.RLock()
			c.Size = n.ino.size
			if n.ino.torn {
				c.Message = tornMessage
			}
			n.ino.mu.RUnlock()
		}
		if n.fail != nil && n.failVer == n.ver() {
			c.Message = n.fail.Message
		}
		out = append(out, c)
	})
	slices.SortFunc(out, func(x, y Change) int { return cmp.Compare(x.Path, y.Path) })
	return out
}
