package hub

import (
	"strings"
	"unicode/utf8"
)

// Limits of a path: those of the file systems that it is going to be shown in.
const (
	maxComponent = 255
	maxPath      = 4095
)

// ValidPath refuses paths that must not be created or followed, wherever they
// come from: absolute ones, empty components, ".", "..", ".git" in any letter
// case, NUL, backslash, what isn't UTF-8, components longer than 255 bytes. A
// non-nil error is a [*ValidationError].
func ValidPath(p string) error {
	bad := func(reason string) error {
		return &ValidationError{What: "path", Value: p, Reason: reason}
	}
	switch {
	case p == "":
		return bad("is empty")
	case len(p) > maxPath:
		return bad("is too long")
	case p[0] == '/':
		return bad("is absolute")
	case strings.ContainsAny(p, "\\\x00"):
		return bad("holds a backslash or NUL")
	case !utf8.ValidString(p):
		return bad("isn't UTF-8")
	}
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "":
			return bad("has an empty component")
		case part == "." || part == "..":
			return bad("has a . or .. component")
		case strings.EqualFold(part, ".git"):
			return bad("leads into .git")
		case len(part) > maxComponent:
			return bad("has a component of more than 255 bytes")
		}
	}
	return nil
}

// validFolder is ValidPath, with "" for the root.
func validFolder(p string) error {
	if p == "" {
		return nil
	}
	return ValidPath(p)
}

// validRevision refuses what can't be a revision; what it is, the server knows.
func validRevision(rev string) error {
	bad := func(reason string) error {
		return &ValidationError{What: "revision", Value: rev, Reason: reason}
	}
	switch {
	case rev == "":
		return bad("is empty")
	case len(rev) > 1024:
		return bad("is too long")
	case !utf8.ValidString(rev):
		return bad("isn't UTF-8")
	case rev == "." || rev == ".." || strings.Contains(rev, "..") || strings.HasPrefix(rev, "/") || strings.HasSuffix(rev, "/"):
		return bad("is no name of a branch, tag or commit")
	}
	for i := range len(rev) {
		if rev[i] < ' ' || rev[i] == 0x7f {
			return bad("holds a control character")
		}
	}
	return nil
}

// isHex says whether s is exactly n lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range n {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isOID(s string) bool    { return isHex(s, 40) }
func isSHA256(s string) bool { return isHex(s, 64) }

// firstError is the first that isn't nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
