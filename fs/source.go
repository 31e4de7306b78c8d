package fs

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/hubfs/hubfs/hub"
)

// Source is what a mount shows: the whole Hub, or one tree of a repository.
type Source struct {
	WholeHub bool
	Repo     hub.Repo
	Revision string // branch, tag, commit or full ref; "" is the default branch
	Sub      string // folder of the tree that is the root of the mount; "" is all of it
}

// openRef matches the references whose slashes may stay as they are in a source,
// as in the URLs of the official client.
var openRef = regexp.MustCompile(`^refs/(pr/[0-9]+|convert/[^/]+)`)

// ParseSource reads [hf://][models/|datasets/|spaces/]NS/REPO[@REV][/SUB]. A "/"
// in REV is written %2F, except in refs/pr/N and refs/convert/NAME. A legacy id
// has no namespace, and so a folder only behind a revision. "hf://" alone is the
// whole Hub. An id that the Hub can't have is a *hub.ValidationError.
func ParseSource(s string) (Source, error) {
	rest, isURL := strings.CutPrefix(s, "hf://")
	rest = strings.TrimRight(rest, "/")
	if rest == "" {
		if isURL {
			return Source{WholeHub: true}, nil
		}
		return Source{}, fmt.Errorf("source %q: want [models/|datasets/|spaces/]NAMESPACE/REPO[@REVISION][/FOLDER]", s)
	}
	src := Source{Repo: hub.Repo{Type: hub.Model}}
	if first, below, ok := strings.Cut(rest, "/"); ok && typeDirs[first] != "" {
		src.Repo.Type, rest = typeDirs[first], below
	}
	id, rest, hasRevision := strings.Cut(rest, "@")
	switch {
	case hasRevision && strings.Count(id, "/") <= 1:
		revision := openRef.FindString(rest)
		if revision != "" && (len(rest) == len(revision) || rest[len(revision)] == '/') {
			rest = rest[len(revision):]
		} else {
			revision, rest, _ = strings.Cut(rest, "/")
			revision = unescapeRevision(revision)
		}
		if revision == "" {
			return Source{}, fmt.Errorf("source %q: no revision after @", s)
		}
		src.Revision, src.Sub = revision, strings.TrimPrefix(rest, "/")
	default: // no revision: an @ further down belongs to the name of a folder
		if hasRevision {
			id += "@" + rest
		}
		if parts := strings.SplitN(id, "/", 3); len(parts) == 3 {
			id, src.Sub = parts[0]+"/"+parts[1], parts[2]
		}
	}
	src.Repo.ID = id
	if err := src.Repo.Validate(); err != nil {
		return Source{}, fmt.Errorf("source %q: %w", s, err)
	}
	if src.Sub != "" {
		if err := hub.ValidPath(src.Sub); err != nil {
			return Source{}, fmt.Errorf("source %q: %w", s, err)
		}
	}
	return src, nil
}

// String is what ParseSource reads; "" for the whole Hub.
func (s Source) String() string {
	if s.WholeHub {
		return ""
	}
	out := s.Repo.String()
	if s.Revision != "" {
		out += "@" + escapeRevision(s.Revision)
	}
	if s.Sub != "" {
		out += "/" + s.Sub
	}
	return out
}
