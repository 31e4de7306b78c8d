package localhub

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

var (
	namePattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$`)
	hexPattern  = regexp.MustCompile(`^[0-9a-f]+$`)
	sha256Text  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// validName tells if a user, an organisation or the second half of a repository's
// id may be called so.
func validName(s string) bool {
	return len(s) <= 96 && namePattern.MatchString(s) && !strings.Contains(s, "--") && !strings.Contains(s, "..")
}

// validRepoID tells if a repository may be called so: "namespace/name", or a
// legacy id without a namespace.
func validRepoID(id string) bool {
	ns, name, ok := strings.Cut(id, "/")
	if !ok {
		ns, name = "x", id
	}
	return validName(ns) && validName(name) && !strings.HasSuffix(name, ".git")
}

// splitID splits an id. The namespace of a legacy id is empty.
func splitID(id string) (namespace, name string) {
	if ns, name, ok := strings.Cut(id, "/"); ok {
		return ns, name
	}
	return "", id
}

// validPath tells if a file may be called so. It refuses what git refuses and what
// would harm somebody who checks the files out.
func validPath(p string) bool {
	if p == "" || len(p) > 4000 || !utf8.ValidString(p) || strings.ContainsRune(p, '\\') {
		return false
	}
	if strings.ContainsFunc(p, unicode.IsControl) {
		return false
	}
	for seg := range strings.SplitSeq(p, "/") {
		if seg == "" || seg == "." || seg == ".." || len(seg) > 255 || isDotGit(seg) {
			return false
		}
	}
	return true
}

// isDotGit tells if a file system could take a name for ".git": without regard
// to case, to what Windows drops at the end, to its short names, and to the
// characters that macOS ignores.
func isDotGit(s string) bool {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
	s, _, _ = strings.Cut(s, ":")
	s = strings.TrimRight(s, ". ")
	return s == ".git" || s == "git~1"
}

// validBranch tells if a branch or tag may be called so.
func validBranch(name string) bool {
	return name != "" && name != "HEAD" && !strings.HasPrefix(name, "-") && !strings.HasPrefix(name, "refs/") &&
		!isCommitID(name) && gitstore.ValidRefName("refs/heads/"+name)
}

func isCommitID(s string) bool { return len(s) == 40 && hexPattern.MatchString(s) }

// oneLine makes a text fit for a header.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "..."
	}
	return s
}
