package gitstore

import (
	"fmt"
	"regexp"
	"strconv"
)

// An LFS file is kept in git as a small text that names its content.
const (
	pointerText = "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n"
	minPointer  = 126 // with a size of one digit
	maxPointer  = 144 // and of nineteen
)

var pointerPattern = regexp.MustCompile(`^version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]{0,18})\n$`)

// Pointer is the text that names an LFS object.
func Pointer(oid string, size int64) []byte { return fmt.Appendf(nil, pointerText, oid, size) }

// ParsePointer reads such a text. It returns nil for any other.
func ParsePointer(b []byte) *LFS {
	if len(b) < minPointer || len(b) > maxPointer {
		return nil
	}
	m := pointerPattern.FindSubmatch(b)
	if m == nil {
		return nil
	}
	n, err := strconv.ParseInt(string(m[2]), 10, 64)
	if err != nil {
		return nil
	}
	return &LFS{OID: string(m[1]), Size: n}
}
