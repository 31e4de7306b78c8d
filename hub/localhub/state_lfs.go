package localhub

import (
	"maps"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// linkLFS gives a repository the right to LFS objects.
func (s *state) linkLFS(uid string, oids ...string) error {
	missing, err := s.unlinkedLFS(uid, oids)
	if err != nil || len(missing) == 0 {
		return err
	}
	slices.Sort(missing)
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, oid := range missing {
			if err := tx.Bucket(bucketLFS).Put([]byte(uid+"/"+oid), []byte{1}); err != nil {
				return err
			}
		}
		return nil
	})
}

// unlinkedLFS returns those of the objects that a repository has no right to.
func (s *state) unlinkedLFS(uid string, oids []string) (missing []string, err error) {
	set := map[string]struct{}{}
	err = s.db.View(func(tx *bbolt.Tx) error {
		for _, oid := range oids {
			if tx.Bucket(bucketLFS).Get([]byte(uid+"/"+oid)) == nil {
				set[oid] = struct{}{}
			}
		}
		return nil
	})
	return slices.Collect(maps.Keys(set)), err
}

// copyLFS gives one repository the right to all the objects of another one.
func (s *state) copyLFS(from, to string) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketLFS)
		var oids []string
		c := b.Cursor()
		prefix := from + "/"
		for k, _ := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, _ = c.Next() {
			oids = append(oids, strings.TrimPrefix(string(k), prefix))
		}
		for _, oid := range oids {
			if err := b.Put([]byte(to+"/"+oid), []byte{1}); err != nil {
				return err
			}
		}
		return nil
	})
}
