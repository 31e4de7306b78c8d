package blobcache

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/hubfs/hubfs/hub"
)

// OID is a Git object id.
type OID [20]byte

// ParseOID reads 40 hex digits.
func ParseOID(s string) (OID, error) {
	var o OID
	if len(s) != 2*len(o) {
		return o, fmt.Errorf("object id %q: not 40 hex digits", s)
	}
	if _, err := hex.Decode(o[:], []byte(s)); err != nil {
		return OID{}, fmt.Errorf("object id %q: not 40 hex digits", s)
	}
	return o, nil
}

// String is 40 hex digits.
func (o OID) String() string { return hex.EncodeToString(o[:]) }

// IsZero tells an unknown id.
func (o OID) IsZero() bool { return o == OID{} }

// Entry is one name in a folder.
type Entry struct {
	Name   string
	Dir    bool
	OID    OID // Git's id: tree, blob, or for an LFS file the pointer's blob; zero if unknown
	Size   int64
	SHA256 [32]byte // of an LFS file's content; zero: a regular file
	MTime  int64    // Unix seconds; 0 is unknown
}

// LFS tells whether the entry is an LFS file.
func (e *Entry) LFS() bool { return e.SHA256 != [32]byte{} }

// Hash names the entry's content: its sha256 for an LFS file, else Git's id.
func (e Entry) Hash() string {
	if e.LFS() {
		return hex.EncodeToString(e.SHA256[:])
	}
	return e.OID.String()
}

// Listing is a folder. It is shared: nobody may change it after PutListing or
// when it came from the cache.
type Listing struct {
	Entries []Entry // sorted by Name, which is unique
}

// Find looks a name up.
func (l *Listing) Find(name string) (*Entry, bool) {
	i, ok := slices.BinarySearchFunc(l.Entries, name, func(e Entry, n string) int { return cmp.Compare(e.Name, n) })
	if !ok {
		return nil, false
	}
	return &l.Entries[i], true
}

// TreeKey is the key of a folder by its Git tree id.
func TreeKey(repo hub.Repo, oid OID) string { return "tree " + repo.String() + " " + oid.String() }

// RootKey is the key of the root folder of a commit, whose tree id the Hub
// doesn't give.
func RootKey(repo hub.Repo, commit string) string { return "root " + repo.String() + " " + commit }

// SharedRefs are the commits of the revisions that the shared cache knows of a
// repository, as huggingface_hub left them: names of branches and tags, and full
// names such as refs/pr/1. Empty if it has none of the repository.
func (c *Cache) SharedRefs(repo hub.Repo) map[string]string {
	refs, err := c.shared.Refs(repo)
	if err != nil {
		c.log.Debug("refs of the shared cache can't be read", "repo", repo, "err", err)
	}
	return refs
}
