package gitstore

import (
	"bytes"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Commit is a parsed commit. It must not be changed.
type Commit struct {
	OID     OID
	Tree    OID
	Parents []OID
	Author  string // name
	Email   string
	Date    time.Time // of the committer, UTC, whole seconds
	Message string
}

// Title is the first line of the message.
func (c *Commit) Title() string {
	t, _, _ := strings.Cut(c.Message, "\n")
	return strings.TrimSpace(t)
}

// Body is the message after its title.
func (c *Commit) Body() string {
	_, b, _ := strings.Cut(c.Message, "\n")
	return strings.TrimSpace(b)
}

const (
	kindCommit = iota
	kindTree
	kindLastCommit
)

// Commit reads a commit. An object of another type is ErrNotFound.
func (s *Store) Commit(h OID) (*Commit, error) {
	key := cacheKey{store: s, kind: kindCommit, oid: h}
	if v, ok := s.cache.get(key); ok {
		return v.(*Commit), nil
	}
	o, err := s.Read(h)
	if err != nil {
		return nil, err
	}
	if o.Type != plumbing.CommitObject {
		return nil, fmt.Errorf("%s is a %s, no commit: %w", h, o.Type, ErrNotFound)
	}
	var gc object.Commit
	if err := gc.Decode(memoryObject(o)); err != nil {
		return nil, fmt.Errorf("commit %s: %w", h, err)
	}
	c := &Commit{
		OID: h, Tree: gc.TreeHash, Parents: gc.ParentHashes,
		Author: gc.Author.Name, Email: gc.Author.Email, Date: gc.Committer.When.UTC(), Message: gc.Message,
	}
	s.cache.put(key, c, int64(256+len(c.Message)))
	return c, nil
}

func memoryObject(o *Object) plumbing.EncodedObject {
	m := &plumbing.MemoryObject{}
	m.SetType(o.Type)
	// A MemoryObject's Write can't fail.
	_, _ = m.Write(o.Content)
	return m
}

// AddCommit adds a commit to the batch.
func (b *Batch) AddCommit(c *Commit) (OID, error) {
	sig := object.Signature{Name: signatureText(c.Author, "unknown"), Email: signatureText(c.Email, ""), When: c.Date}
	gc := object.Commit{Author: sig, Committer: sig, TreeHash: c.Tree, ParentHashes: c.Parents, Message: messageText(c.Message)}
	m := &plumbing.MemoryObject{}
	if err := gc.Encode(m); err != nil {
		return OID{}, err
	}
	return b.addEncoded(m)
}

// AddTag adds an annotated tag of a commit to the batch.
func (b *Batch) AddTag(name string, target OID, author, email, message string, date time.Time) (OID, error) {
	gt := object.Tag{
		Name: name, Target: target, TargetType: plumbing.CommitObject, Message: messageText(message),
		Tagger: object.Signature{Name: signatureText(author, "unknown"), Email: signatureText(email, ""), When: date},
	}
	m := &plumbing.MemoryObject{}
	if err := gt.Encode(m); err != nil {
		return OID{}, err
	}
	return b.addEncoded(m)
}

func (b *Batch) addEncoded(m *plumbing.MemoryObject) (OID, error) {
	r, err := m.Reader()
	if err != nil {
		return OID{}, err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return OID{}, err
	}
	return b.Add(m.Type(), content)
}

// signatureText drops what git doesn't allow in a name or an address.
func signatureText(s, empty string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == '<' || r == '>' {
			return -1
		}
		return r
	}, s))
	if s == "" {
		return empty
	}
	return s
}

// messageText drops NUL, which git cuts a message at, and ends the message with
// a line end.
func messageText(s string) string {
	return strings.TrimRight(strings.ReplaceAll(s, "\x00", ""), "\n") + "\n"
}

// ParseOID reads an id of 40 hex digits.
func ParseOID(x string) (OID, bool) { return plumbing.NewHash(x), plumbing.IsHash(x) }

// Peel follows annotated tags to the commit that they name. Anything that is no
// commit in the end is ErrNotFound.
func (s *Store) Peel(h OID) (OID, error) {
	for range 10 {
		o, err := s.Read(h)
		if err != nil {
			return OID{}, err
		}
		switch o.Type {
		case plumbing.CommitObject:
			return h, nil
		case plumbing.TagObject:
			var t object.Tag
			if err := t.Decode(memoryObject(o)); err != nil {
				return OID{}, fmt.Errorf("tag %s: %w", h, err)
			}
			h = t.Target
		default:
			return OID{}, fmt.Errorf("%s is a %s, no commit: %w", h, o.Type, ErrNotFound)
		}
	}
	return OID{}, fmt.Errorf("tag %s is nested too deep: %w", h, ErrNotFound)
}

// Modes of entries.
const (
	ModeDir     = 0o40000
	ModeFile    = 0o100644
	ModeExec    = 0o100755
	ModeSymlink = 0o120000
	ModeModule  = 0o160000
)

// LFS is what an LFS pointer file says.
type LFS struct {
	OID  string // sha256, hex
	Size int64
}

// Entry is an entry of a folder.
type Entry struct {
	Name string
	Mode uint32
	OID  OID
	Size int64 // of the blob: of a pointer file, if LFS is set
	LFS  *LFS  // nil for a regular file
}

// IsDir tells if the entry is a folder.
func (e *Entry) IsDir() bool { return e.Mode == ModeDir }

// sortName is what git sorts a folder's entries by.
func (e *Entry) sortName() string {
	if e.IsDir() {
		return e.Name + "/"
	}
	return e.Name
}

// Tree is a folder, its entries in git's order. It must not be changed.
type Tree struct {
	OID     OID
	Entries []Entry
}

// Find returns the entry of a name.
func (t *Tree) Find(name string) (*Entry, bool) {
	i, ok := t.index(name)
	if !ok {
		return nil, false
	}
	return &t.Entries[i], true
}

func (t *Tree) index(name string) (int, bool) {
	for _, key := range [2]string{name, name + "/"} {
		i := sort.Search(len(t.Entries), func(i int) bool { return t.Entries[i].sortName() >= key })
		if i < len(t.Entries) && t.Entries[i].Name == name {
			return i, true
		}
	}
	return 0, false
}

// Tree reads a folder with the sizes of its files, which are read once and then
// remembered with it.
func (s *Store) Tree(h OID) (*Tree, error) {
	key := cacheKey{store: s, kind: kindTree, oid: h}
	if v, ok := s.cache.get(key); ok {
		return v.(*Tree), nil
	}
	o, err := s.Read(h)
	if err != nil {
		return nil, err
	}
	if o.Type != plumbing.TreeObject {
		return nil, fmt.Errorf("%s is a %s, no folder: %w", h, o.Type, ErrNotFound)
	}
	t, err := decodeTree(h, o.Content)
	if err != nil {
		return nil, err
	}
	for i := range t.Entries {
		if err := s.fillSize(&t.Entries[i]); err != nil {
			return nil, err
		}
	}
	s.putTree(t)
	return t, nil
}

func (s *Store) putTree(t *Tree) {
	size := int64(128)
	for _, e := range t.Entries {
		size += int64(80 + len(e.Name))
		if e.LFS != nil {
			size += 100
		}
	}
	s.cache.put(cacheKey{store: s, kind: kindTree, oid: t.OID}, t, size)
}

func (s *Store) fillSize(e *Entry) error {
	if e.Mode == ModeDir || e.Mode == ModeModule {
		return nil
	}
	_, n, err := s.Header(e.OID)
	if err != nil {
		return err
	}
	e.Size = n
	if n >= minPointer && n <= maxPointer && e.Mode != ModeSymlink {
		o, err := s.Read(e.OID)
		if err != nil {
			return err
		}
		e.LFS = ParsePointer(o.Content)
	}
	return nil
}

func decodeTree(h OID, b []byte) (*Tree, error) {
	t := &Tree{OID: h}
	for len(b) > 0 {
		sp, nul := bytes.IndexByte(b, ' '), bytes.IndexByte(b, 0)
		if sp < 0 || nul < sp || len(b) < nul+21 {
			return nil, fmt.Errorf("folder %s is damaged", h)
		}
		mode, err := strconv.ParseUint(string(b[:sp]), 8, 32)
		if err != nil {
			return nil, fmt.Errorf("folder %s is damaged: %w", h, err)
		}
		e := Entry{Name: string(b[sp+1 : nul]), Mode: uint32(mode)}
		copy(e.OID[:], b[nul+1:])
		t.Entries = append(t.Entries, e)
		b = b[nul+21:]
	}
	return t, nil
}

// addTree adds a folder to the batch. Its entries are sorted in place.
func (b *Batch) addTree(entries []Entry) (*Tree, error) {
	sort.Slice(entries, func(i, j int) bool { return entries[i].sortName() < entries[j].sortName() })
	var buf bytes.Buffer
	for i := range entries {
		e := &entries[i]
		buf.WriteString(strconv.FormatUint(uint64(e.Mode), 8))
		buf.WriteByte(' ')
		buf.WriteString(e.Name)
		buf.WriteByte(0)
		buf.Write(e.OID[:])
	}
	h, err := b.Add(plumbing.TreeObject, buf.Bytes())
	return &Tree{OID: h, Entries: entries}, err
}
