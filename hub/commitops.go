package hub

import (
	"fmt"
	"strings"
)

// An Operation is one change of a commit: an *Add, *Delete, *DeleteFolder or
// *Copy. Paths are from the root of the repository, with slashes; a leading "/"
// or "./" is dropped.
type Operation interface {
	isOperation()
}

// Add creates a file or replaces it. It belongs to one call at a time.
type Add struct {
	Path    string
	Content ContentSource // its hashes are filled in when they were computed

	// State is what earlier calls have learnt and done; a fresh Add has none.
	// It may be kept and given back, also by another process.
	State AddState
}

// AddState is how far an addition is on its way into a commit.
type AddState struct {
	Mode       UploadMode `json:"mode,omitempty"`        // "" is not yet known
	Ignored    bool       `json:"ignored,omitempty"`     // by the repository's .gitignore
	RemoteOID  string     `json:"remote_oid,omitempty"`  // of what is at the path: sha256 of an LFS file, else Git's blob id; "" for a new file
	RemoteHead string     `json:"remote_head,omitempty"` // the commit that had it; "" if the server didn't say
	Uploaded   bool       `json:"uploaded,omitempty"`    // the LFS object is stored; the Hub drops those that stay uncommitted for a day
	Committed  bool       `json:"committed,omitempty"`
	Checked    bool       `json:"checked,omitempty"` // a README.md whose metadata the Hub takes

	Multipart *MultipartState `json:"multipart,omitempty"` // of an upload under way
}

// UploadMode is how a file is stored.
type UploadMode string

// The modes, which the server chooses.
const (
	UploadRegular UploadMode = "regular" // a Git blob, sent inside the commit
	UploadLFS     UploadMode = "lfs"     // an object of its own, uploaded ahead of the commit
)

// Delete removes a file. A Path with "/" at its end is a folder.
type Delete struct{ Path string }

// DeleteFolder removes a folder and everything below it.
type DeleteFolder struct{ Path string }

// Copy makes a file with the content that another file of the repository has. For
// an LFS file nothing is transferred; a regular one is downloaded and sent again.
// A rename is a Copy and a Delete.
type Copy struct {
	Source         string
	SourceRevision string // "" is the revision that the commit goes to
	Path           string
	// SHA256 of the source, if it is known to be an LFS file: it isn't looked up then.
	SHA256 string
}

func (*Add) isOperation()          {}
func (*Delete) isOperation()       {}
func (*DeleteFolder) isOperation() {}
func (*Copy) isOperation()         {}

// An OperationError is a commit that failed because of one path. Leaving out that
// path may let the rest go through.
type OperationError struct {
	Path string
	Err  error
}

// Error is the path and the reason.
func (e *OperationError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap gives Err.
func (e *OperationError) Unwrap() error { return e.Err }

// repoPath is the form of a path that is sent to the server. It refuses what the
// Hub doesn't take, and what no client should be asked to create.
func repoPath(p string) (string, error) {
	bad := func(reason string) (string, error) {
		return "", &ValidationError{What: "path in the repository", Value: p, Reason: reason}
	}
	clean := strings.TrimPrefix(p, "/")
	if clean == "." || clean == ".." || strings.HasPrefix(clean, "../") {
		return bad("leads out of the repository")
	}
	clean = strings.TrimPrefix(clean, "./")
	for part := range strings.SplitSeq(clean, "/") {
		if part == ".git" || part == ".cache" {
			return bad("a folder or file named " + part + " can't be changed")
		}
	}
	if err := ValidPath(clean); err != nil {
		return "", err
	}
	return clean, nil
}

// folderPath is repoPath for a folder, which may end in "/".
func folderPath(p string) (string, error) {
	clean, err := repoPath(strings.TrimSuffix(p, "/"))
	if err != nil {
		return "", err
	}
	return clean, nil
}

// checkOperations refuses what can't be sent, and gives the paths as they will be
// sent, in the same order, and what should be told to the user.
func checkOperations(ops []Operation) (paths, warnings []string, err error) {
	paths = make([]string, len(ops))
	given := make(map[*Add]bool)
	added := make(map[string]int)  // how often
	within := make(map[string]int) // folder -> additions below it so far
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	for i, op := range ops {
		folder := false
		p := ""
		switch op := op.(type) {
		case *Add:
			if op.State.Committed {
				return nil, nil, &ValidationError{What: "operation", Value: op.Path, Reason: "was already committed"}
			}
			if op.Content.Open == nil || op.Content.Size < 0 {
				return nil, nil, &ValidationError{What: "operation", Value: op.Path, Reason: "has no content"}
			}
			if given[op] {
				return nil, nil, &ValidationError{What: "operation", Value: op.Path, Reason: "is there twice"}
			}
			given[op] = true
			p, err = repoPath(op.Path)
		case *Copy:
			if _, err := repoPath(op.Source); err != nil {
				return nil, nil, err
			}
			p, err = repoPath(op.Path)
		case *Delete:
			folder = strings.HasSuffix(op.Path, "/")
			p, err = folderPath(op.Path)
		case *DeleteFolder:
			folder = true
			p, err = folderPath(op.Path)
		default:
			err = &ValidationError{What: "operation", Reason: "is nil"}
		}
		if err != nil {
			return nil, nil, err
		}
		paths[i] = p
		switch {
		case isAdd(op):
			if added[p]++; added[p] == 2 {
				warn("%s is added more than once: the last one counts", p)
			}
			for dir := parent(p); dir != ""; dir = parent(dir) {
				within[dir]++
			}
		case folder && within[p] > 0:
			warn("%s is deleted after files in it were added", p)
		case added[p] > 0:
			if _, ok := op.(*Delete); ok {
				warn("%s is deleted after it was added", p)
			}
		}
	}
	return paths, warnings, nil
}

func isAdd(op Operation) bool {
	_, ok := op.(*Add)
	return ok
}

// parent is the folder of a path, "" for the root.
func parent(p string) string {
	i := strings.LastIndexByte(p, '/')
	return p[:max(i, 0)]
}
