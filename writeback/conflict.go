package writeback

import (
	"fmt"
	"path"
	"strings"
)

// OnConflict is what becomes of a path that was changed here and on the Hub.
// Nothing is lost in any of them: what isn't shown is in the branch's history, or staged.
type OnConflict string

// The modes.
const (
	KeepBoth OnConflict = "keep-both" // the path shows theirs, ours gets a second name
	Ours     OnConflict = "ours"      // ours is committed over theirs
	Theirs   OnConflict = "theirs"    // ours stays staged
	Fail     OnConflict = "fail"      // nothing is committed until somebody decides
)

// ParseOnConflict reads a mode; "" is keep-both.
func ParseOnConflict(s string) (OnConflict, error) {
	switch m := OnConflict(s); m {
	case "":
		return KeepBoth, nil
	case KeepBoth, Ours, Theirs, Fail:
		return m, nil
	}
	return "", fmt.Errorf("on-conflict %q: it is one of keep-both, ours, theirs, fail", s)
}

// A verdict is how one conflict is solved.
type verdict uint8

const (
	keepOurs  verdict = iota // commit ours on top of theirs
	takeTheir                // forget ours: it is the same, or it was a deletion
	moveOurs                 // ours gets the second name
	moveTheir                // theirs gets the second name: a folder of ours is in its place
	holdBack                 // ours stays staged, as a conflict
)

// judge solves one conflict: a path that is kind here, with content ours if it is a
// file, was was when it was changed, and is theirs on the Hub now.
func judge(mode OnConflict, kind nodeKind, ours, theirs *Was) verdict {
	switch {
	case kind == kindFile && ours != nil && ours.same(theirs),
		kind == kindGone && theirs == nil,
		kind == kindDir && theirs != nil && theirs.Dir:
		return takeTheir // the same was done twice
	case theirs == nil:
		return keepOurs // an edit beats a delete
	}
	switch mode {
	case Ours:
		return keepOurs
	case Theirs, Fail:
		return holdBack
	}
	switch kind {
	case kindGone:
		return takeTheir // an edit beats a delete
	case kindDir:
		return moveTheir // a folder beats a file
	}
	return moveOurs
}

// maxExt is how long what comes behind the last dot of a name can be to be an extension.
const maxExt = 32

// conflictName is the second name of a file with the given sha256; try counts from
// 0, for when the name is taken.
func conflictName(p, sha256 string, try int) string {
	dir, name := split(p)
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	if stem == "" || len(ext) > maxExt { // .bashrc has no extension
		stem, ext = name, ""
	}
	tag := ".conflict-" + sha256[:8]
	if try > 0 {
		tag += fmt.Sprintf("-%d", try+1)
	}
	if over := len(stem) + len(tag) + len(ext) - maxName; over > 0 {
		stem = strings.ToValidUTF8(stem[:max(len(stem)-over, 1)], "")
	}
	return join(dir, stem+tag+ext)
}
