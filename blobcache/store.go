package blobcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// slotOf is the place of a small file below hubfs's own folder: by the hash of its key, and of
// the endpoint, since one cache may serve several Hubs.
func (c *Cache) slotOf(top, key string) string {
	sum := sha256.Sum256([]byte(c.hub.Endpoint() + "\x00" + key))
	name := hex.EncodeToString(sum[:16])
	return path.Join(top, name[:2], name)
}

// readSmall reads a file that decode understands; one that it doesn't is damaged,
// and removed.
func (c *Cache) readSmall(name string, decode func([]byte) error) bool {
	b, err := c.dir.read(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.log.Debug("cache file can't be read", "file", name, "err", err)
		}
		return false
	}
	if err := decode(b); err != nil {
		c.log.Warn("damaged cache file is removed", "file", name, "err", err)
		c.dir.remove(name)
		return false
	}
	return true
}

// inMemory keeps a value in memory, for as long as there is room. What doesn't
// get there replaces an older one all the same, by none.
func (c *Cache) inMemory(key string, v any, cost int64) {
	if !c.memory.Set(key, v, cost) {
		c.memory.Del(key)
	}
}

// Listing gives a folder that was put before, by this process or another.
func (c *Cache) Listing(key string) (*Listing, bool) {
	if v, ok := c.memory.Get("listing " + key); ok {
		return v.(*Listing), true
	}
	var l *Listing
	ok := c.readSmall(c.slotOf("listings", key), func(b []byte) (err error) {
		l, err = decodeListing(key, b)
		return err
	})
	if !ok {
		return nil, false
	}
	c.inMemory("listing "+key, l, l.memorySize())
	return l, true
}

// PutListing keeps a folder, for ever. Entries are sorted if they aren't; two of
// one name are an error. An error of the disk is returned, but the listing is
// kept in memory all the same.
func (c *Cache) PutListing(key string, l *Listing) error {
	if err := sortListing(l); err != nil {
		return err
	}
	c.inMemory("listing "+key, l, l.memorySize())
	return c.dir.replace(c.slotOf("listings", key), encodeListing(key, l))
}

// ListingFromTrees gives a folder of a commit from the complete listing that
// huggingface_hub's newer releases keep in the shared cache. Folders have no id
// there, so their entries' OID is zero, and no MTime.
func (c *Cache) ListingFromTrees(repo hub.Repo, commit, dir string) (*Listing, bool) {
	key := "trees " + repo.String() + " " + commit
	v, ok := c.memory.Get(key)
	if !ok {
		files, err := c.shared.ReadTrees(repo, commit)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				c.log.Debug("listing of the shared cache can't be read", "repo", repo, "err", err)
			}
			return nil, false
		}
		folders := foldersOf(files)
		var cost int64
		for name, l := range folders {
			cost += l.memorySize() + int64(len(name)) + 64
		}
		c.inMemory(key, folders, cost)
		v = folders
	}
	l, ok := v.(map[string]*Listing)[dir]
	return l, ok
}

// foldersOf makes the listings of all folders out of one of all files.
func foldersOf(files map[string]hub.CachedTreeFile) map[string]*Listing {
	folders := map[string]*Listing{"": {}}
	var folder func(dir string) *Listing
	folder = func(dir string) *Listing {
		l := folders[dir]
		if l == nil {
			l = &Listing{}
			folders[dir] = l
			up, name := path.Split(dir)
			parent := folder(strings.TrimSuffix(up, "/"))
			parent.Entries = append(parent.Entries, Entry{Name: name, Dir: true})
		}
		return l
	}
	for p, f := range files {
		dir, name := path.Split(p)
		e := Entry{Name: name, Size: f.Size}
		if oid, err := ParseOID(f.BlobID); err == nil {
			e.OID = oid
		}
		if f.SHA256 != nil {
			_, _ = hex.Decode(e.SHA256[:], []byte(*f.SHA256)) // checked by ReadTrees
			if f.LFSSize != nil {
				e.Size = *f.LFSSize
			}
		}
		l := folder(strings.TrimSuffix(dir, "/"))
		l.Entries = append(l.Entries, e)
	}
	for dir, l := range folders {
		if sortListing(l) != nil { // a name that is both file and folder
			delete(folders, dir)
		}
	}
	return folders
}

// PutTrees keeps the complete listing of a commit where huggingface_hub looks
// for it, for others to list it without network.
func (c *Cache) PutTrees(repo hub.Repo, commit string, files map[string]hub.CachedTreeFile) error {
	_, err := c.shared.WriteTrees(repo, commit, files)
	return err
}

// recordFile is a record on disk.
type recordFile struct {
	Kind  string          `json:"kind"`
	Key   string          `json:"key"`
	Time  time.Time       `json:"time"`
	Sum   uint32          `json:"sum"` // CRC-32C of Value
	Value json.RawMessage `json:"value"`
}

type record struct {
	at    time.Time
	value []byte
}

// Record reads a small value into v, a pointer, and tells when it was written.
func (c *Cache) Record(kind, key string, v any) (time.Time, bool) {
	var r record
	if m, ok := c.memory.Get("record " + kind + " " + key); ok {
		r = m.(record)
	} else {
		ok := c.readSmall(c.slotOf(recordDir(kind), key), func(b []byte) error {
			var f recordFile
			if err := json.Unmarshal(b, &f); err != nil {
				return err
			}
			if f.Kind != kind || f.Key != key || f.Sum != crc32.Checksum(f.Value, castagnoli) {
				return errors.New("damaged record")
			}
			r = record{f.Time, f.Value}
			return nil
		})
		if !ok {
			return time.Time{}, false
		}
		// It isn't kept in memory: somebody may be putting a newer one right now.
	}
	if err := json.Unmarshal(r.value, v); err != nil {
		c.log.Debug("record is of another shape", "kind", kind, "key", key, "err", err)
		return time.Time{}, false
	}
	return r.at, true
}

// PutRecord keeps a small value as JSON; it survives a restart. An error of the
// disk is returned, but the value is kept in memory all the same. Other
// processes may go on seeing the value that they have read before.
func (c *Cache) PutRecord(kind, key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("record %s of %s: %w", kind, key, err)
	}
	var compact bytes.Buffer // as Marshal writes it into the file
	if err := json.Compact(&compact, value); err != nil {
		return err
	}
	r := record{time.Now().UTC(), compact.Bytes()}
	c.inMemory("record "+kind+" "+key, r, int64(len(value)+len(kind)+len(key)+120))
	c.memory.Wait() // until then it would give the last value but one
	b, err := json.Marshal(recordFile{
		Kind: kind, Key: key, Time: r.at, Sum: crc32.Checksum(r.value, castagnoli), Value: r.value,
	})
	if err != nil {
		return err
	}
	return c.dir.replace(c.slotOf(recordDir(kind), key), b)
}

// recordDir is a folder for a kind, which is a word of ours.
func recordDir(kind string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, kind)
	return path.Join("records", clean)
}
