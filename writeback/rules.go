package writeback

import (
	"path"
	"slices"
	"strings"
)

// DefaultLocalOnly are names that never leave the machine, as shell patterns for
// one name at any depth, or for several with "/" between them. One that ends in "/" is
// for folders, and all below them. In .cache/huggingface a download into a folder keeps
// its marks; the Hub takes no such folder, so nobody could mend what failed there.
func DefaultLocalOnly() []string {
	return []string{
		".git/", ".DS_Store", "._*", ".Trash*/", "*.swp", "*~", ".#*", ".nfs*", ".fuse_hidden*",
		"__pycache__/", ".ipynb_checkpoints/", ".cache/huggingface/",
	}
}

// DefaultCommitOpen are the logs: files that are committed while they are open.
func DefaultCommitOpen() []string { return []string{"*.log", "events.out.tfevents.*"} }

// appendedLogs are logs if they were opened with O_APPEND.
var appendedLogs = []string{"*.jsonl", "*.csv", "*.txt", "*.out"}

// localName says whether a path is local-only by the names in it; those of its
// folders, and its own.
func localName(patterns []string, p string) bool {
	parts := strings.Split(p, "/")
	for _, pattern := range patterns {
		names, folder := strings.CutSuffix(pattern, "/")
		within := parts
		if folder {
			within = parts[:len(parts)-1]
		}
		if matchRun(strings.Split(names, "/"), within) {
			return true
		}
	}
	return false
}

// matchRun says whether patterns match names that follow each other somewhere in parts.
func matchRun(patterns, parts []string) bool {
	for ; len(parts) >= len(patterns); parts = parts[1:] {
		if slices.EqualFunc(patterns, parts[:len(patterns)], matchName) {
			return true
		}
	}
	return false
}

// matchName is path.Match; a pattern that is none matches nothing.
func matchName(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// isLocalOnly says whether a path of ours never leaves the machine. What the Hub has
// already isn't local, whatever its name. It requires mu.
func (b *Branch) isLocalOnly(n *node) bool {
	if n.was != nil {
		return false
	}
	return localName(b.opts.localOnly(), n.path()) || strings.HasSuffix(n.name, ".lock") && n.onlyLocks()
}

// onlyLocks says whether the node's folder holds nothing but lock files, so that they
// are no part of a program's files like poetry.lock. It requires mu.
func (n *node) onlyLocks() bool {
	for name, sibling := range n.parent.children {
		if sibling.kind != kindGone && !strings.HasSuffix(name, ".lock") {
			return false
		}
	}
	for dir := n.parent; dir.parent != nil; dir = dir.parent {
		if dir.kind == kindDir {
			return dir.was == nil
		}
	}
	return false // the Hub has the folder, so it has something else in it
}

// isLog says whether a file is committed while it is open.
func (o *Options) isLog(p string, appended bool) bool {
	name := path.Base(p)
	logs := o.CommitOpen
	if logs == nil {
		logs = DefaultCommitOpen()
	}
	match := func(pattern string) bool { return matchName(pattern, name) }
	return slices.ContainsFunc(logs, match) || appended && slices.ContainsFunc(appendedLogs, match)
}

// isText says whether a log is cut at the end of a line.
func isText(p string) bool { return !strings.HasPrefix(path.Base(p), "events.out.tfevents.") }

func (o *Options) localOnly() []string {
	if o.LocalOnly == nil {
		return DefaultLocalOnly()
	}
	return o.LocalOnly
}
