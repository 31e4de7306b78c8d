package hub

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RepoType is the kind of a repository on the Hub.
type RepoType string

// The types of repositories.
const (
	Model   RepoType = "model"
	Dataset RepoType = "dataset"
	Space   RepoType = "space"
)

// RepoTypes lists all types of repositories, in the order in which the Hub names them.
var RepoTypes = []RepoType{Model, Dataset, Space}

// valid says whether t is a known type.
func (t RepoType) valid() bool {
	return t == Model || t == Dataset || t == Space
}

// plural is the type as it stands in URLs of the API ("models").
func (t RepoType) plural() string { return string(t) + "s" }

// prefix stands before the id in web, resolve and Git URLs, and in [Repo.String].
func (t RepoType) prefix() string {
	if t == Model {
		return ""
	}
	return t.plural() + "/"
}

// Repo names a repository. It is comparable, and may be the key of a map; the
// Hub itself ignores the letter case of an id.
type Repo struct {
	Type RepoType
	ID   string // "namespace/name", or the bare "name" of a legacy repository
}

// String is the id with the prefix of its type: "ns/name", "datasets/ns/name".
// [ParseRepo] reads it back.
func (r Repo) String() string { return r.Type.prefix() + r.ID }

// Namespace is the user or organisation that owns the repository, "" for a
// legacy id.
func (r Repo) Namespace() string {
	ns, _, ok := strings.Cut(r.ID, "/")
	if !ok {
		return ""
	}
	return ns
}

// Name is the id without its namespace.
func (r Repo) Name() string {
	return r.ID[strings.LastIndexByte(r.ID, '/')+1:]
}

// ParseRepo reads [hf://][models/|datasets/|spaces/]namespace/name, or a legacy
// id without a namespace. It fails with a [*ValidationError].
func ParseRepo(s string) (Repo, error) {
	rest := strings.TrimPrefix(s, "hf://")
	r := Repo{Type: Model, ID: rest}
	if first, id, ok := strings.Cut(rest, "/"); ok {
		for _, t := range RepoTypes {
			if first == t.plural() {
				r = Repo{Type: t, ID: id}
			}
		}
	}
	if err := r.Validate(); err != nil {
		return Repo{}, err
	}
	return r, nil
}

// Validate checks the id by the Hub's rules, without a request. A non-nil error
// is a [*ValidationError].
func (r Repo) Validate() error {
	if !r.Type.valid() {
		return &ValidationError{What: "repo type", Value: string(r.Type), Reason: "must be model, dataset or space"}
	}
	bad := func(reason string) error {
		return &ValidationError{What: "repo id", Value: r.ID, Reason: reason}
	}
	switch {
	case r.ID == "":
		return bad("is empty")
	case !utf8.ValidString(r.ID):
		return bad("isn't UTF-8")
	case strings.Count(r.ID, "/") > 1:
		return bad("must have the form name or namespace/name")
	case strings.Contains(r.ID, "--") || strings.Contains(r.ID, ".."):
		return bad("must not contain -- or ..")
	case strings.HasSuffix(r.ID, ".git"):
		return bad("must not end in .git")
	}
	for part := range strings.SplitSeq(r.ID, "/") {
		if part == "" {
			return bad("must have the form name or namespace/name")
		}
		for _, c := range part {
			if !isWord(c) && c != '-' && c != '.' {
				return bad("may hold letters, digits, '-', '_' and '.' only")
			}
		}
		first, _ := utf8.DecodeRuneInString(part)
		last, _ := utf8.DecodeLastRuneInString(part)
		if !isWord(first) || !isWord(last) {
			return bad("namespace and name must start and end with a letter, a digit or '_'")
		}
	}
	if utf8.RuneCountInString(r.Name()) > 96 {
		return bad("the name has more than 96 characters")
	}
	return nil
}

// isWord is the word class of the official client, which is Unicode's.
func isWord(c rune) bool {
	return c == '_' || unicode.IsLetter(c) || unicode.IsNumber(c)
}

// apiPath is the escaped path of the repository in the API, with the already
// escaped rest below it.
func (r Repo) apiPath(rest string) string {
	return "/api/" + r.Type.plural() + "/" + escapePath(r.ID) + rest
}

// resolvePath is the escaped path that answers with the content of a file.
func (r Repo) resolvePath(revision, path string) string {
	return "/" + r.Type.prefix() + escapePath(r.ID) + "/resolve/" + escape(revision) + "/" + escapePath(path)
}

// escape percent-encodes all but RFC 3986's unreserved characters, as the
// official clients do; url.PathEscape leaves more as it is.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("_.-~", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// escapePath escapes each component of a path and keeps its slashes.
func escapePath(p string) string {
	parts := strings.Split(p, "/")
	for i, s := range parts {
		parts[i] = escape(s)
	}
	return strings.Join(parts, "/")
}

// A ValidationError says why an argument was refused before any request.
type ValidationError struct {
	What   string // "repo id", "path", "revision", ...
	Value  string
	Reason string
}

// Error says what is refused, and why.
func (e *ValidationError) Error() string {
	v := e.Value
	if len(v) > 200 {
		v = v[:200] + "..."
	}
	return fmt.Sprintf("invalid %s %q: %s", e.What, v, e.Reason)
}
