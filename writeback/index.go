package writeback

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

var (
	attrBucket   = []byte("attr 1")   // path -> attr
	uploadBucket = []byte("upload 1") // sha256 -> how far an upload is
)

// An index keeps what outlives a commit, and may be lost. A nil index keeps nothing.
type index struct{ db *bbolt.DB }

// openIndex opens the index of a journal's folder. One that is damaged is put aside; where
// there can be none, on a full disk say, it goes without.
func openIndex(dir string, logger *slog.Logger) (*index, error) {
	name := filepath.Join(dir, "index.db")
	x, err := tryIndex(name)
	var failed *os.PathError
	var no syscall.Errno
	switch {
	case err == nil || errors.Is(err, os.ErrPermission):
		return x, err
	case errors.As(err, &failed), errors.As(err, &no), errors.Is(err, bbolterrors.ErrTimeout):
		logger.Warn("modes and times of files that are committed aren't kept", "index", name, "error", err)
		return nil, nil
	}
	aside := filepath.Join(dir, asideDir, fmt.Sprintf("index.db.%d", time.Now().Unix()))
	logger.Warn("the index of staged changes is damaged; a new one is begun", "index", name, "kept", aside, "error", err)
	if err := os.Rename(name, aside); err != nil {
		return nil, err
	}
	return tryIndex(name)
}

func tryIndex(name string) (x *index, err error) {
	defer rescue(&err)
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{attrBucket, uploadBucket} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		db.Close()
		return nil, err
	}
	return &index{db}, nil
}

// rescue turns a panic of bbolt, which a damaged page causes, into an error.
func rescue(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the index is damaged: %v", p)
	}
}

func (x *index) close() error {
	if x == nil {
		return nil
	}
	return x.db.Close()
}

// get reads a value; false is none.
func (x *index) get(bucket []byte, key string, v any) (ok bool) {
	if x == nil {
		return false
	}
	var err error
	defer func() { ok = ok && err == nil }()
	defer rescue(&err)
	err = x.db.View(func(tx *bbolt.Tx) error {
		data := tx.Bucket(bucket).Get([]byte(key))
		ok = data != nil && json.Unmarshal(data, v) == nil
		return nil
	})
	return ok
}

// put writes values durably; nil ones are removed.
func (x *index) put(bucket []byte, values map[string]any) (err error) {
	if x == nil {
		return nil
	}
	defer rescue(&err)
	return x.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		for key, v := range values {
			if v == nil {
				if err := b.Delete([]byte(key)); err != nil {
					return err
				}
				continue
			}
			data, err := json.Marshal(v)
			if err != nil {
				return err
			}
			if err := b.Put([]byte(key), data); err != nil {
				return err
			}
		}
		return nil
	})
}

// attrStore is the modes and times of paths. Those that were set of late are in
// memory and in the log, the others in the index.
type attrStore struct {
	index *index

	mu     sync.Mutex
	recent map[string]*attr // nil: forgotten
}

// get gives what was set for a path, or nil. It belongs to one content.
func (s *attrStore) get(path string) *attr {
	s.mu.Lock()
	a, ok := s.recent[path]
	s.mu.Unlock()
	if ok {
		return a
	}
	var kept attr
	if s.index.get(attrBucket, path, &kept) {
		return &kept
	}
	return nil
}

func (s *attrStore) set(path string, a *attr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent[path] = a
}

// settle moves what is recent to the index, so that the next log needn't hold it.
func (s *attrStore) settle() error {
	if s.index == nil {
		return nil
	}
	s.mu.Lock()
	recent := maps.Clone(s.recent)
	s.mu.Unlock()
	if len(recent) == 0 {
		return nil
	}
	values := make(map[string]any, len(recent))
	for path, a := range recent {
		values[path] = nil
		if a != nil {
			values[path] = a
		}
	}
	if err := s.index.put(attrBucket, values); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, a := range recent {
		if s.recent[path] == a {
			delete(s.recent, path)
		}
	}
	return nil
}

// records are the puts of what is recent.
func (s *attrStore) records() []put {
	s.mu.Lock()
	defer s.mu.Unlock()
	puts := make([]put, 0, len(s.recent))
	for path, a := range s.recent {
		puts = append(puts, put{Attr: &attrRec{path, a}})
	}
	return puts
}
