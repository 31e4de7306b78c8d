package hub

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// DefaultIgnorePatterns are what uploads of a folder always leave out: Git's own
// folder and the official client's, at any depth.
func DefaultIgnorePatterns() []string {
	return []string{
		".git", ".git/*", "*/.git", "**/.git/**",
		".cache/huggingface", ".cache/huggingface/*", "*/.cache/huggingface", "**/.cache/huggingface/**",
	}
}

// Patterns choose paths by shell patterns as Python's fnmatch reads them, which
// match the whole path:
//
//   - any run of characters, '/' included
//     ?       any one character, '/' included
//     [a-z]   one of a set; [!a-z] one that isn't in it
//
// A pattern that ends in '/' stands for everything below that folder. Letter case
// counts, and a backslash is the same as '/'.
type Patterns struct {
	Allow  []string // a path must match one of them; nil allows all, an empty list nothing
	Ignore []string // a path must match none of them
}

// Match says whether the patterns choose a path.
func (p Patterns) Match(path string) bool {
	if p.Allow != nil && !matchAny(p.Allow, path) {
		return false
	}
	return !matchAny(p.Ignore, path)
}

func matchAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return MatchPattern(pattern, path) })
}

// MatchPattern says whether one pattern, as described at [Patterns], matches a path.
func MatchPattern(pattern, path string) bool {
	pattern = strings.ReplaceAll(pattern, `\`, "/")
	path = strings.ReplaceAll(path, `\`, "/")
	if strings.HasSuffix(pattern, "/") {
		pattern += "*"
	}
	return fnmatch(pattern, path)
}

// fnmatch goes back to the last star only: what earlier stars took can't matter
// once a later one was reached. So its time is bounded by the product of the lengths.
func fnmatch(pattern, name string) bool {
	p, n := 0, 0
	star, starName := -1, 0 // after the last star, and where its run ends for now
	for n < len(name) {
		r, size := utf8.DecodeRuneInString(name[n:])
		if p < len(pattern) && pattern[p] == '*' {
			p++
			star, starName = p, n
			continue
		}
		if width, ok := matchOne(pattern[p:], r, name[n:n+size]); ok {
			p += width
			n += size
			continue
		}
		if star < 0 {
			return false
		}
		_, size = utf8.DecodeRuneInString(name[starName:])
		starName += size
		p, n = star, starName
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchOne matches the first element of a pattern, which is no star, against one
// character, and tells the element's length. raw is the character's bytes: those
// that aren't UTF-8 must be equal themselves.
func matchOne(pattern string, r rune, raw string) (width int, ok bool) {
	if pattern == "" {
		return 0, false
	}
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		if end := setEnd(pattern); end > 0 {
			return end + 1, inSet(pattern[1:end], r)
		}
	}
	_, size := utf8.DecodeRuneInString(pattern)
	return size, pattern[:size] == raw
}

// setEnd is where the set that pattern begins with is closed; -1 if it isn't, so
// that its bracket is an ordinary character.
func setEnd(pattern string) int {
	i := 1
	if strings.HasPrefix(pattern[i:], "!") {
		i++
	}
	if strings.HasPrefix(pattern[i:], "]") { // as the first member
		i++
	}
	end := strings.IndexByte(pattern[i:], ']')
	if end < 0 {
		return -1
	}
	return i + end
}

// inSet says whether the inside of a set takes r. A hyphen makes a range unless
// it is the first or last member, or follows a range; a range whose ends are the
// wrong way round is empty.
func inSet(set string, r rune) bool {
	set, negated := strings.CutPrefix(set, "!")
	members := []rune(set)
	in := false
	for i := 0; i < len(members); {
		lo, hi := members[i], members[i]
		if i+2 < len(members) && members[i+1] == '-' {
			hi = members[i+2]
			i += 3
		} else {
			i++
		}
		in = in || lo <= r && r <= hi
	}
	return in != negated
}
