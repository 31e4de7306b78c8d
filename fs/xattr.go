package fs

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"syscall"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/writeback"
)

// Facts about a file or directory of a tree are extended attributes, in plain
// ASCII without newline.
const (
	attrOID        = "user.hub.oid"         // Git's id: 40 hex digits; of an LFS file, its pointer's
	attrSHA256     = "user.hub.sha256"      // of an LFS file: 64 hex digits
	attrCommit     = "user.hub.commit"      // that is shown: 40 hex digits
	attrLastCommit = "user.hub.last_commit" // that changed it last: 40 hex digits
	attrRepo       = "user.hub.repo"        // ns/name, datasets/ns/name, spaces/ns/name
	attrRevision   = "user.hub.revision"    // branch, tag, full ref or commit
	attrCached     = "user.hub.cached"      // bytes of the file on local disk, decimal
	attrState      = "user.hub.state"       // clean, staged, committing, failed, conflict, local, ignored
)

// Names that a listing of attributes has. The last commit costs a request for each
// file, and programs that copy attributes read all that are listed: it is for
// those who ask for it by name.
var (
	fileAttrs = []string{attrOID, attrSHA256, attrCommit, attrRepo, attrRevision, attrCached, attrState}
	dirAttrs  = []string{attrOID, attrCommit, attrRepo, attrRevision, attrState}
)

// Getxattr answers from what is here, but for the last commit.
func (f *fileNode) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	if b := f.t.branch.Load(); b != nil {
		if n, no, ok := f.stagedAttr(ctx, b, name, dest); ok {
			return n, no
		}
	}
	var value string
	switch name {
	case attrSHA256:
		if f.entry.LFS() {
			value = hex.EncodeToString(f.entry.SHA256[:])
		}
	case attrCached:
		value = strconv.FormatInt(f.t.repo.m.cache.Cached(f.blob()), 10)
	case attrOID:
		value = oidAttr(f.entry.OID)
	default:
		return f.t.getxattr(ctx, f.path(), f.lastCommit(), name, dest)
	}
	return putAttr(value, dest)
}

// Listxattr lists what Getxattr can tell without a request.
func (f *fileNode) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	return listAttrs(fileAttrs, func(name string) bool {
		return name == attrSHA256 && !f.entry.LFS() || name == attrOID && f.entry.OID == noOID ||
			(name == attrSHA256 || name == attrOID) && f.isStaged()
	}, dest)
}

// Getxattr answers from what is here, but for the last commit.
func (d *dirNode) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	if !slices.Contains(dirAttrs, name) && name != attrLastCommit {
		return 0, syscall.ENODATA // without a look at what is shown
	}
	m := d.t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	at := d.path()
	if b := d.t.branch.Load(); b != nil && name == attrState && at != "" {
		e, err := b.Lookup(c, at)
		if err != nil {
			return 0, m.fail("getxattr", d.t, at, err)
		}
		return putAttr(e.State.String(), dest)
	}
	s, err := d.t.current(c)
	if err != nil {
		return 0, m.fail("getxattr", d.t, at, err)
	}
	switch {
	case name == attrOID && at == "":
		return 0, syscall.ENODATA // the Hub doesn't tell the id of a root
	case name == attrLastCommit && at == "":
		return putAttr(s.commit, dest)
	case name == attrOID:
		e, err := d.t.entry(c, s, at)
		if err != nil {
			return 0, m.fail("getxattr", d.t, at, err)
		}
		return putAttr(oidAttr(e.OID), dest)
	}
	return d.t.getxattr(ctx, at, s.commit, name, dest)
}

// Listxattr lists what Getxattr can tell without a request.
func (d *dirNode) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	top := d.path() == ""
	return listAttrs(dirAttrs, func(name string) bool { return name == attrOID && top }, dest)
}

// getxattr answers what files and directories have in common.
func (t *tree) getxattr(ctx context.Context, path, commit, name string, dest []byte) (uint32, syscall.Errno) {
	var value string
	switch name {
	case attrCommit:
		value = commit
	case attrRepo:
		value = t.repo.id.String()
	case attrRevision:
		if value = t.revision(); t.fixed {
			value = t.name
		}
	case attrState:
		value = "clean"
	case attrLastCommit:
		c, end := newCall(ctx, t.repo.m.ctx)
		defer end()
		var err error
		if value, err = t.lastChange(c, commit, path); err != nil {
			return 0, t.repo.m.fail("getxattr", t, path, err)
		}
	}
	return putAttr(value, dest)
}

// lastChange asks for the commit that changed a path last, seen from commit.
func (t *tree) lastChange(ctx context.Context, commit, path string) (string, error) {
	m := t.repo.m
	return m.textAsked.do(ctx, t.repo.id.String()+" "+commit+" "+path, func(ctx context.Context) (string, error) {
		entries, err := m.hub.PathsInfo(ctx, t.repo.id, commit, []string{path}, true)
		if err != nil {
			return "", err
		}
		if len(entries) != 1 || entries[0].LastCommit == nil {
			return "", fmt.Errorf("%s has no %s at %s: %w", t.repo.id, path, commit, hub.ErrEntryNotFound)
		}
		if id := entries[0].LastCommit.ID; isCommit(id) {
			return id, nil
		}
		return "", fmt.Errorf("%s: the last commit of %s is %q: %w", t.repo.id, path, entries[0].LastCommit.ID, hub.ErrProtocol)
	})
}

func oidAttr(oid blobcache.OID) string {
	if oid == noOID {
		return ""
	}
	return oid.String()
}

// putAttr answers with a value; "" is an attribute that isn't there.
func putAttr(value string, dest []byte) (uint32, syscall.Errno) {
	if value == "" {
		return 0, syscall.ENODATA
	}
	if len(dest) < len(value) {
		return uint32(len(value)), syscall.ERANGE
	}
	return uint32(copy(dest, value)), 0
}

func listAttrs(names []string, absent func(string) bool, dest []byte) (uint32, syscall.Errno) {
	var list []byte
	for _, name := range names {
		if !absent(name) {
			list = append(append(list, name...), 0)
		}
	}
	if len(dest) < len(list) {
		return uint32(len(list)), syscall.ERANGE
	}
	return uint32(copy(dest, list)), 0
}

// stagedAttr answers what differs for a file that is, or was, changed here.
func (f *fileNode) stagedAttr(ctx context.Context, b *writeback.Branch, name string, dest []byte) (n uint32, no syscall.Errno, ok bool) {
	if !f.isStaged() && name != attrState {
		return 0, 0, false
	}
	m := f.t.repo.m
	c, end := newCall(ctx, m.ctx)
	defer end()
	switch name {
	case attrState, attrOID, attrSHA256, attrCached, attrLastCommit:
	default:
		return 0, 0, false
	}
	e, err := b.Lookup(c, f.path())
	if err != nil {
		return 0, m.fail("getxattr", f.t, f.path(), err), true
	}
	var value string
	switch {
	case name == attrState:
		value = e.State.String()
	case name == attrCached:
		value = strconv.FormatInt(e.Size, 10)
	case e.Base == nil: // what the Hub doesn't have, it has no name for
	case name == attrOID:
		value = oidAttr(e.Base.OID)
	case name == attrSHA256 && e.Base.LFS():
		value = hex.EncodeToString(e.Base.SHA256[:])
	case name == attrLastCommit:
		return 0, 0, false
	}
	n, no = putAttr(value, dest)
	return n, no, true
}
