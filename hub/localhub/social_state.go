package localhub

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

var (
	bucketLikes       = []byte("likes")       // <uid of the repository>/<user in lower case>: when
	bucketFollows     = []byte("follows")     // <follower>/<user or organisation>, both in lower case: when
	bucketCollections = []byte("collections") // by id
)

// social is the part of the state that is about people: who likes and follows what,
// and what they have collected. It is guarded as the other maps of state are.
type social struct {
	likes       map[string]map[string]time.Time // by uid, then by user
	follows     map[string]map[string]time.Time // by follower, then by who is followed
	collections map[string]*collectionRec
}

func newSocial() social {
	return social{likes: map[string]map[string]time.Time{}, follows: map[string]map[string]time.Time{}, collections: map[string]*collectionRec{}}
}

func (s *social) load(tx *bbolt.Tx) error {
	for _, b := range [][]byte{bucketLikes, bucketFollows, bucketCollections} {
		if _, err := tx.CreateBucketIfNotExists(b); err != nil {
			return err
		}
	}
	pairs := func(into map[string]map[string]time.Time) func(string, *time.Time) {
		return func(key string, at *time.Time) {
			a, b, _ := strings.Cut(key, "/")
			setPair(into, a, b, *at)
		}
	}
	return errors.Join(
		each(tx, bucketLikes, pairs(s.likes)),
		each(tx, bucketFollows, pairs(s.follows)),
		each(tx, bucketCollections, func(id string, r *collectionRec) { s.collections[id] = r }),
	)
}

func setPair(in map[string]map[string]time.Time, a, b string, at time.Time) {
	if in[a] == nil {
		in[a] = map[string]time.Time{}
	}
	in[a][b] = at
}

// setTie makes or ends what ties a to b: a like, or that a follows b. What is so
// already stays as it is, since when included. Requires write.
func (s *state) setTie(bucket []byte, ties map[string]map[string]time.Time, a, b string, on bool, at time.Time) error {
	s.mu.RLock()
	_, is := ties[a][b]
	s.mu.RUnlock()
	if is == on {
		return nil
	}
	key := a + "/" + b
	return s.update(func(tx *bbolt.Tx) error {
		if on {
			return put(tx, bucket, key, at)
		}
		return tx.Bucket(bucket).Delete([]byte(key))
	}, func() {
		if on {
			setPair(ties, a, b, at)
		} else {
			delete(ties[a], b)
		}
	})
}

func (s *state) setLike(uid, user string, on bool, at time.Time) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.repoByUID(uid) == nil {
		return repoNotFound()
	}
	return s.setTie(bucketLikes, s.social.likes, uid, strings.ToLower(user), on, at)
}

func (s *state) setFollow(user, whom string, on bool, at time.Time) error {
	s.write.Lock()
	defer s.write.Unlock()
	return s.setTie(bucketFollows, s.social.follows, strings.ToLower(user), strings.ToLower(whom), on, at)
}

// tied is one end of a tie.
type tied struct {
	name string // of a user or organisation in lower case, or the uid of a repository
	at   time.Time
}

// byTime sorts the newest first, and by name what is of one time.
func byTime(list []tied) []tied {
	slices.SortFunc(list, func(a, b tied) int { return cmp.Or(b.at.Compare(a.at), strings.Compare(a.name, b.name)) })
	return list
}

// outgoing are the second ends of the ties of a.
func outgoing(ties map[string]map[string]time.Time, a string) (list []tied) {
	for b, at := range ties[a] {
		list = append(list, tied{b, at})
	}
	return byTime(list)
}

// incoming are the first ends of the ties to b.
func incoming(ties map[string]map[string]time.Time, b string) (list []tied) {
	for a, ends := range ties {
		if at, ok := ends[b]; ok {
			list = append(list, tied{a, at})
		}
	}
	return byTime(list)
}

// likers are the users who like a repository.
func (s *state) likers(uid string) []tied {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return outgoing(s.social.likes, uid)
}

// liked are the repositories that a user likes, by uid.
func (s *state) liked(user string) []tied {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return incoming(s.social.likes, strings.ToLower(user))
}

func (s *state) following(user string) []tied {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return outgoing(s.social.follows, strings.ToLower(user))
}

func (s *state) followers(name string) []tied {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return incoming(s.social.follows, strings.ToLower(name))
}

func (s *state) follows(user, whom string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.social.follows[strings.ToLower(user)][strings.ToLower(whom)]
	return ok
}

// likesOf counts the likes of a repository: all, and those since a time.
func (s *state) likesOf(uid string, since time.Time) (all, recent int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, at := range s.social.likes[uid] {
		if all++; at.After(since) {
			recent++
		}
	}
	return all, recent
}

// dropLikes removes the likes of a repository from the database.
func (s *state) dropLikes(tx *bbolt.Tx, uid string) error {
	var err error
	c := tx.Bucket(bucketLikes).Cursor()
	prefix := uid + "/"
	for k, _ := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, _ = c.Next() {
		err = errors.Join(err, c.Delete())
	}
	return err
}

// collection finds a collection by its id.
func (s *state) collection(id string) *collectionRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.social.collections[id]
}

// collections lists all collections, in no order.
func (s *state) collections() []*collectionRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.social.collections))
}

// collectionsOf lists the collections of an owner, by their positions.
func (s *state) collectionsOf(owner string) []*collectionRec {
	list := slices.DeleteFunc(s.collections(), func(r *collectionRec) bool { return !strings.EqualFold(r.Owner, owner) })
	slices.SortFunc(list, func(a, b *collectionRec) int {
		return cmp.Or(a.Position-b.Position, strings.Compare(a.ID, b.ID))
	})
	return list
}

// putCollections writes collections, all or none. Requires write.
func (s *state) putCollections(list ...*collectionRec) error {
	return s.update(func(tx *bbolt.Tx) error {
		for _, r := range list {
			if err := put(tx, bucketCollections, r.ID, r); err != nil {
				return err
			}
		}
		return nil
	}, func() {
		for _, r := range list {
			s.social.collections[r.ID] = r
		}
	})
}

// changeCollection replaces a collection by what fn makes of a copy of it. fn may
// return others that change with it.
func (s *state) changeCollection(id string, fn func(*collectionRec) ([]*collectionRec, error)) error {
	s.write.Lock()
	defer s.write.Unlock()
	old := s.collection(id)
	if old == nil {
		return noCollection()
	}
	r := *old
	r.Items, r.Upvoters = slices.Clone(old.Items), slices.Clone(old.Upvoters)
	others, err := fn(&r)
	if err != nil {
		return err
	}
	return s.putCollections(append(others, &r)...)
}

// dropCollection removes a collection. Those behind it move up.
func (s *state) dropCollection(id string) error {
	s.write.Lock()
	defer s.write.Unlock()
	old := s.collection(id)
	if old == nil {
		return noCollection()
	}
	var moved []*collectionRec
	for i, r := range slices.DeleteFunc(s.collectionsOf(old.Owner), func(r *collectionRec) bool { return r.ID == id }) {
		if r.Position != i {
			c := *r
			c.Position = i
			moved = append(moved, &c)
		}
	}
	return s.update(func(tx *bbolt.Tx) error {
		err := tx.Bucket(bucketCollections).Delete([]byte(id))
		for _, r := range moved {
			err = errors.Join(err, put(tx, bucketCollections, r.ID, r))
		}
		return err
	}, func() {
		delete(s.social.collections, id)
		for _, r := range moved {
			s.social.collections[r.ID] = r
		}
	})
}
