package localhub

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

func newID(n int) string {
	b := make([]byte, n)
	// It never fails: see the documentation of crypto/rand.
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func (s *state) putUser(u *userRec) error {
	return s.update(func(tx *bbolt.Tx) error { return put(tx, bucketUsers, strings.ToLower(u.Name), u) },
		func() { s.users[strings.ToLower(u.Name)] = u })
}

func (s *state) putOrg(o *orgRec) error {
	return s.update(func(tx *bbolt.Tx) error { return put(tx, bucketOrgs, strings.ToLower(o.Name), o) },
		func() { s.orgs[strings.ToLower(o.Name)] = o })
}

func (s *state) putToken(value string, t *tokenRec) error {
	h := tokenHash(value)
	return s.update(func(tx *bbolt.Tx) error { return put(tx, bucketTokens, h, t) }, func() { s.tokens[h] = t })
}

func (s *state) dropToken(value string) error {
	h := tokenHash(value)
	return s.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketTokens).Delete([]byte(h)) },
		func() { delete(s.tokens, h) })
}

// changeRepo replaces the record of a repository by what fn makes of a copy of it.
func (s *state) changeRepo(uid string, fn func(*repoRec) error) error {
	s.write.Lock()
	defer s.write.Unlock()
	old := s.repoByUID(uid)
	if old == nil {
		return repoNotFound()
	}
	r := *old
	r.Access = slices.Clone(old.Access)
	if err := fn(&r); err != nil {
		return err
	}
	return s.update(func(tx *bbolt.Tx) error { return put(tx, bucketRepos, uid, &r) },
		func() { s.repos[r.key()], s.byUID[uid] = &r, &r })
}

// addRepo adds a repository. An old name of another one is free to take.
func (s *state) addRepo(r *repoRec) error {
	s.write.Lock()
	defer s.write.Unlock()
	k := r.key()
	if other, renamed := s.repo(k); other != nil && !renamed {
		return errRepoExists(other)
	}
	return s.update(func(tx *bbolt.Tx) error {
		return errors.Join(put(tx, bucketRepos, r.UID, r), tx.Bucket(bucketRenames).Delete([]byte(k.String())))
	}, func() {
		s.repos[k], s.byUID[r.UID] = r, r
		delete(s.renames, k)
	})
}

// moveRepo gives a repository another id. Its old one redirects from then on.
func (s *state) moveRepo(uid, to string) error {
	s.write.Lock()
	defer s.write.Unlock()
	old := s.repoByUID(uid)
	if old == nil {
		return repoNotFound()
	}
	r := *old
	r.ID = to
	from, k := old.key(), r.key()
	if other, renamed := s.repo(k); other != nil && !renamed && other.UID != uid {
		return errRepoExists(other)
	}
	return s.update(func(tx *bbolt.Tx) error {
		err := errors.Join(put(tx, bucketRepos, uid, &r), tx.Bucket(bucketRenames).Delete([]byte(k.String())))
		if err == nil && from != k {
			err = put(tx, bucketRenames, from.String(), uid)
		}
		return err
	}, func() {
		delete(s.repos, from)
		delete(s.renames, k)
		if from != k {
			s.renames[from] = uid
		}
		s.repos[k], s.byUID[uid] = &r, &r
	})
}

// dropRepo forgets a repository, its old names and its right to LFS objects.
func (s *state) dropRepo(uid string) error {
	s.write.Lock()
	defer s.write.Unlock()
	r := s.repoByUID(uid)
	if r == nil {
		return repoNotFound()
	}
	s.mu.RLock()
	var old []repoKey
	for k, u := range s.renames {
		if u == uid {
			old = append(old, k)
		}
	}
	s.mu.RUnlock()
	return s.update(func(tx *bbolt.Tx) error {
		err := tx.Bucket(bucketRepos).Delete([]byte(uid))
		for _, k := range old {
			err = errors.Join(err, tx.Bucket(bucketRenames).Delete([]byte(k.String())))
		}
		prefix := uid + "/"
		err = errors.Join(err, deletePrefix(tx.Bucket(bucketLFS), prefix), deletePrefix(tx.Bucket(bucketDiscussions), prefix))
		return errors.Join(err, s.dropLikes(tx, uid))
	}, func() {
		delete(s.repos, r.key())
		delete(s.byUID, uid)
		delete(s.social.likes, uid)
		delete(s.discussions, uid)
		for _, k := range old {
			delete(s.renames, k)
		}
	})
}
