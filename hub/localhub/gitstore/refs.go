package gitstore

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
)

// Ref is a name for an object.
type Ref struct {
	Name string // "refs/heads/main"
	OID  OID    // of a commit, or of an annotated tag
}

var (
	// ErrRefChanged says that a ref isn't what the caller took it to be.
	ErrRefChanged = errors.New("ref has changed")
	// ErrRefClash says that a ref can't be beside another one: a and a/b.
	ErrRefClash = errors.New("ref clashes with another one")
)

// packedRefsFile holds the refs that the git program has put together.
const packedRefsFile = "packed-refs"

// ValidRefName tells if git takes a full name for a ref.
func ValidRefName(name string) bool {
	return len(name) <= 1024 && strings.HasPrefix(name, "refs/") && !strings.ContainsAny(name, "\\\x7f") &&
		plumbing.ReferenceName(name).Validate() == nil
}

// Ref returns what a full ref name points to; ErrNotFound if there is none.
func (s *Store) Ref(name string) (OID, error) {
	none := fmt.Errorf("ref %s: %w", name, ErrNotFound)
	if !ValidRefName(name) {
		return OID{}, none
	}
	h, err := s.looseRef(name)
	if err == nil || !errors.Is(err, ErrNotFound) {
		return h, err
	}
	packed, err := s.packedRefs()
	if err != nil {
		return OID{}, err
	}
	if h, ok := packed[name]; ok {
		return h, nil
	}
	// It may have become loose between the two looks.
	return s.looseRef(name)
}

func (s *Store) refPath(name string) string {
	return filepath.Join(s.dir, filepath.FromSlash(name))
}

func (s *Store) looseRef(name string) (OID, error) {
	b, err := os.ReadFile(s.refPath(name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENOTDIR) {
		return OID{}, fmt.Errorf("ref %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return OID{}, err
	}
	x := strings.TrimSpace(string(b))
	if !plumbing.IsHash(x) {
		return OID{}, fmt.Errorf("ref %s is damaged", name)
	}
	return plumbing.NewHash(x), nil
}

// packedRefs reads the refs that the git program has put into one file.
func (s *Store) packedRefs() (map[string]OID, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, packedRefsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	refs := map[string]OID{}
	sc := bufio.NewScanner(bytes.NewReader(b))
	for sc.Scan() {
		x, name, ok := strings.Cut(sc.Text(), " ")
		if ok && plumbing.IsHash(x) {
			refs[name] = plumbing.NewHash(x)
		}
	}
	return refs, sc.Err()
}

// Refs lists the refs whose name starts with prefix ("refs/heads/"), by name.
func (s *Store) Refs(prefix string) ([]Ref, error) {
	all, err := s.packedRefs()
	if err != nil {
		return nil, err
	}
	if all == nil {
		all = map[string]OID{}
	}
	root := s.refPath(strings.TrimSuffix(prefix, "/"))
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while we walked
		}
		if err != nil || d.IsDir() || strings.HasSuffix(p, lockSuffix) {
			return err
		}
		rel, err := filepath.Rel(s.dir, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		h, err := s.looseRef(name)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		all[name] = h
		return err
	})
	if err != nil {
		return nil, err
	}
	var refs []Ref
	for name, h := range all {
		if strings.HasPrefix(name, prefix) {
			refs = append(refs, Ref{name, h})
		}
	}
	slices.SortFunc(refs, func(a, b Ref) int { return strings.Compare(a.Name, b.Name) })
	return refs, nil
}

// UpdateRef lets a ref that points to old point to new, durably and at once for
// all readers. A zero old means that there must be none, a zero new removes it.
// The error is ErrRefChanged if it points elsewhere, ErrRefClash if another
// ref's name is in the way.
func (s *Store) UpdateRef(name string, old, new OID) error {
	if !ValidRefName(name) {
		return fmt.Errorf("%q is no name for a ref: %w", name, ErrNotFound)
	}
	s.refMu.RLock()
	defer s.refMu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	file := s.refPath(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			return fmt.Errorf("ref %s: %w", name, ErrRefClash)
		}
		return err
	}
	lock, err := os.OpenFile(file+lockSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("ref %s: %w", name, err)
	}
	done := false
	defer func() {
		lock.Close()
		if !done {
			os.Remove(lock.Name())
		}
	}()
	cur, err := s.Ref(name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if cur != old {
		return fmt.Errorf("ref %s is %s, not %s: %w", name, cur, old, ErrRefChanged)
	}
	if new.IsZero() {
		return s.removeRef(name)
	}
	if old.IsZero() {
		if err := s.checkClash(name); err != nil {
			return err
		}
	}
	_, err = lock.WriteString(new.String() + "\n")
	if err = s.sync.finish(lock, err); err != nil {
		return err
	}
	if err := os.Rename(lock.Name(), file); err != nil {
		return err
	}
	done = true
	// The folders above a new ref may be new as well.
	for d := filepath.Dir(file); ; d = filepath.Dir(d) {
		if err := s.sync.dir(d); err != nil {
			return err
		}
		if !old.IsZero() || d == filepath.Join(s.dir, "refs") {
			return nil
		}
	}
}

// checkClash refuses a name that is a folder of another ref's name, or the other
// way round. Empty folders that were left behind are removed.
func (s *Store) checkClash(name string) error {
	refs, err := s.Refs("refs/")
	if err != nil {
		return err
	}
	for _, r := range refs {
		if strings.HasPrefix(r.Name, name+"/") || strings.HasPrefix(name, r.Name+"/") {
			return fmt.Errorf("ref %s and %s: %w", name, r.Name, ErrRefClash)
		}
	}
	file := s.refPath(name)
	if fi, err := os.Stat(file); err == nil && fi.IsDir() {
		return removeEmptyDirs(file)
	}
	return nil
}

func removeEmptyDirs(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n.IsDir() {
			if err := removeEmptyDirs(filepath.Join(dir, n.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(dir)
}

// removeRef removes a ref, from packed-refs before the loose file, or the packed
// value would come back. Requires the ref's lock.
func (s *Store) removeRef(name string) error {
	packed, err := s.packedRefs()
	if err != nil {
		return err
	}
	if _, ok := packed[name]; ok {
		if err := s.removePacked(name); err != nil {
			return err
		}
	}
	file := s.refPath(name)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.sync.dir(filepath.Dir(file))
}

func (s *Store) removePacked(name string) error {
	file := filepath.Join(s.dir, packedRefsFile)
	lock, err := os.OpenFile(file+lockSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(file)
	if err == nil {
		var keep strings.Builder
		dropped := false
		for line := range strings.Lines(string(b)) {
			// A line with ^ is what the annotated tag of the line before names.
			if strings.HasPrefix(line, "^") && dropped {
				continue
			}
			_, n, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if dropped = n == name; !dropped {
				keep.WriteString(line)
			}
		}
		_, err = lock.WriteString(keep.String())
	}
	if err = s.sync.finish(lock, err); err == nil {
		err = os.Rename(lock.Name(), file)
	}
	if err != nil {
		os.Remove(lock.Name())
		return err
	}
	return s.sync.dir(s.dir)
}
