package gitstore

import (
	"container/heap"
	"errors"
	"slices"
	"strings"
)

// Log calls fn for the commits that can be reached from head, newest first as
// git log does, until fn returns false.
func (s *Store) Log(head OID, fn func(*Commit) bool) error {
	c, err := s.Commit(head)
	if err != nil {
		return err
	}
	queue := &commitQueue{c}
	seen := map[OID]bool{head: true}
	for queue.Len() > 0 {
		c := heap.Pop(queue).(*Commit)
		if !fn(c) {
			return nil
		}
		for _, p := range c.Parents {
			if seen[p] {
				continue
			}
			seen[p] = true
			pc, err := s.Commit(p)
			if err != nil {
				return err
			}
			heap.Push(queue, pc)
		}
	}
	return nil
}

// commitQueue has the newest commit on top.
type commitQueue []*Commit

func (q commitQueue) Len() int           { return len(q) }
func (q commitQueue) Less(i, j int) bool { return q[i].Date.After(q[j].Date) }
func (q commitQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *commitQueue) Push(c any)        { *q = append(*q, c.(*Commit)) }
func (q *commitQueue) Pop() any {
	old := *q
	c := old[len(old)-1]
	*q = old[:len(old)-1]
	return c
}

// LastCommits finds for each entry of the folder dir ("" is the root) the commit
// that gave it its present content, following first parents from head.
func (s *Store) LastCommits(head OID, dir string) (map[string]*Commit, error) {
	c, err := s.Commit(head)
	if err != nil {
		return nil, err
	}
	at, err := s.Lookup(c.Tree, dir)
	if err != nil {
		return nil, err
	}
	if !at.IsDir() {
		return nil, ErrNotFound
	}
	key := cacheKey{store: s, kind: kindLastCommit, oid: head, path: dir}
	if v, ok := s.cache.get(key); ok {
		return v.(map[string]*Commit), nil
	}
	cur, err := s.Tree(at.OID)
	if err != nil {
		return nil, err
	}
	found := make(map[string]*Commit, len(cur.Entries))
	// open are the entries whose commit is c or an older one.
	open := slices.Clone(cur.Entries)
	for len(open) > 0 {
		var parent *Commit
		var before *Tree
		if len(c.Parents) > 0 {
			if parent, err = s.Commit(c.Parents[0]); err != nil {
				return nil, err
			}
			if before, err = s.treeAt(parent.Tree, dir); err != nil {
				return nil, err
			}
		}
		if before == nil || before.OID != cur.OID {
			open = slices.DeleteFunc(open, func(e Entry) bool {
				if before != nil {
					if old, ok := before.Find(e.Name); ok && old.OID == e.OID && old.Mode == e.Mode {
						return false
					}
				}
				found[e.Name] = c
				return true
			})
		}
		if before != nil {
			cur = before
		}
		c = parent
	}
	size := int64(128)
	for name := range found {
		size += int64(48 + len(name))
	}
	s.cache.put(key, found, size)
	return found, nil
}

// treeAt returns the folder at a path of a tree, nil if there is none.
func (s *Store) treeAt(root OID, dir string) (*Tree, error) {
	e, err := s.Lookup(root, strings.Trim(dir, "/"))
	if errors.Is(err, ErrNotFound) || err == nil && !e.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.Tree(e.OID)
}
