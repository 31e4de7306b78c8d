package writeback

import (
	"time"

	"github.com/hubfs/hubfs/blobcache"
)

// attrDir stands for the content of a folder, which has none of its own.
const attrDir = "dir"

// attrHash is the content that an attr belongs to.
func attrHash(e *blobcache.Entry) string {
	if e.Dir {
		return attrDir
	}
	return e.Hash()
}

// apply sets what was set here.
func (a *attr) apply(e *Entry) {
	if a.Mode != 0 {
		e.Mode = a.Mode
	}
	if a.MTime != 0 {
		e.MTime = unixNano(a.MTime)
	}
}

// with gives an attr for content with the given hash, on top of a, which may be
// nil or for other content.
func (a *attr) with(hash string, s Setattr) *attr {
	out := attr{Hash: hash}
	if a != nil && a.Hash == hash {
		out = *a
	}
	if s.Mode != nil {
		out.Mode = *s.Mode & 0o7777
	}
	if s.MTime != nil {
		out.MTime = s.MTime.UnixNano()
	}
	return &out
}

// unixNano is the time of Unix nanoseconds, of which 0 is unknown.
func unixNano(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// mtimeOf is the time of an inode in Unix nanoseconds. It requires the inode's mu.
func mtimeOf(ino *inode) int64 {
	if ino.mtime.IsZero() {
		return 0
	}
	return ino.mtime.UnixNano()
}
