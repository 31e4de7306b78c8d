package syncer

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"go.etcd.io/bbolt"

	"github.com/hubfs/hubfs/hub"
)

// syncsDir holds the folders of all keys, below Options.StateDir.
const syncsDir = "sync"

var (
	filesBucket   = []byte("files 1")   // path -> record
	uploadsBucket = []byte("uploads 1") // sha256 -> hub.MultipartState
	metaBucket    = []byte("meta 1")    // "meta" -> meta
	metaKey       = []byte("meta")
)

// A stamp tells whether a file was written to since.
type stamp struct {
	Size  int64  `json:"size"`
	MTime int64  `json:"mtime"` // nanoseconds since 1970, as is CTime
	CTime int64  `json:"ctime"` // programs can set MTime back, but not this
	Inode uint64 `json:"ino"`
	Dev   uint64 `json:"dev"`
}

// A record is what is known of a file since it was last pushed.
type record struct {
	stamp
	// Sent is how many bytes were committed, SHA256 of which content; "" is none yet.
	Sent   int64  `json:"sent"`
	SHA256 string `json:"sha256,omitempty"`
	// Again has it hashed though the stamp is the same: it was written to so lately that another write
	// may have left no trace in its times.
	Again bool `json:"again,omitempty"`
	// Cut says that Sent is less than there was: it ends at a newline.
	Cut bool `json:"cut,omitempty"`
	// Took is how long a large file's last upload took, in milliseconds, and At when that was (Unix seconds).
	Took int64 `json:"took,omitempty"`
	At   int64 `json:"at,omitempty"`
	// Failure is why the Hub refused it with this stamp, at FailedAt (Unix seconds).
	Failure  string `json:"failure,omitempty"`
	FailedAt int64  `json:"failed_at,omitempty"`
	// Ignored says that the repository's own rules left it out.
	Ignored bool `json:"ignored,omitempty"`
}

// A sentCommit was sent, and it isn't known whether it landed.
type sentCommit struct {
	Mark   string             `json:"mark"`
	Parent string             `json:"parent"`
	Files  map[string]*record `json:"files"` // what is recorded if it has landed
}

// meta is all but files and uploads.
type meta struct {
	Key       Key          `json:"key"`
	CreatedAt time.Time    `json:"created_at,omitzero"` // of the repository
	Sent      []sentCommit `json:"sent,omitempty"`      // all with the same parent
	Times     []int64      `json:"times,omitempty"`     // Unix seconds of the commits of the last hour
	Squash    bool         `json:"squash,omitempty"`    // is due
	Last      *Commit      `json:"last,omitempty"`
}

// A store is the state of one key on disk, locked for us.
type store struct {
	dir  string
	lock *flock.Flock
	db   *bbolt.DB

	files map[string]*record // as in the database
	meta  meta
}

// RunningError is a sync of the same folder to the same place that runs already.
type RunningError struct{ Key Key }

func (e *RunningError) Error() string {
	return fmt.Sprintf("%s is being synced to %s already; hubfs status tells by which process", e.Key.Folder, e.Key.Repo)
}

func openStore(stateDir string, key Key, log *slog.Logger) (_ *store, err error) {
	st := &store{dir: filepath.Join(stateDir, syncsDir, key.name())}
	if err := os.MkdirAll(st.dir, 0o700); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	st.lock = flock.New(filepath.Join(st.dir, "lock"), flock.SetPermissions(0o600))
	ok, err := st.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if !ok {
		return nil, &RunningError{key}
	}
	defer func() {
		if err != nil {
			_ = st.lock.Unlock() // it ends with the file in any case
		}
	}()
	name := filepath.Join(st.dir, "state.db")
	if err = st.load(name); err != nil && !errors.Is(err, os.ErrPermission) {
		aside := filepath.Join(st.dir, "aside", fmt.Sprintf("state.db.%d", time.Now().UnixNano()))
		log.Warn("what was synced can't be read; the folder is compared with the Hub anew", "state", name, "kept", aside, "err", err)
		if err = os.MkdirAll(filepath.Dir(aside), 0o700); err == nil {
			err = os.Rename(name, aside)
		}
		if err == nil {
			err = st.load(name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	st.meta.Key = key
	return st, nil
}

// load opens the database and reads it into memory.
func (st *store) load(name string) (err error) {
	defer rescue(&err)
	st.files, st.meta = make(map[string]*record), meta{}
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{Timeout: 5 * time.Second})
	if err != nil {
		return err
	}
	st.db = db
	defer func() {
		if err != nil {
			db.Close()
		}
	}()
	if err := db.Update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{filesBucket, uploadsBucket, metaBucket} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return db.View(func(tx *bbolt.Tx) error {
		if data := tx.Bucket(metaBucket).Get(metaKey); data != nil {
			if err := json.Unmarshal(data, &st.meta); err != nil {
				return err
			}
		}
		return tx.Bucket(filesBucket).ForEach(func(k, v []byte) error {
			rec := new(record)
			if err := json.Unmarshal(v, rec); err != nil {
				return err
			}
			st.files[string(k)] = rec
			return nil
		})
	})
}

// rescue turns a panic of bbolt, which a damaged page causes, into an error.
func rescue(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the database is damaged: %v", p)
	}
}

// save makes a change of meta and records of files durable, all or none of it. A nil record is removed.
// Memory follows only if the disk has it.
func (st *store) save(files map[string]*record, change func(*meta)) (err error) {
	defer rescue(&err)
	m := st.meta
	if change != nil {
		change(&m)
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	err = st.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(filesBucket)
		for path, rec := range files {
			if rec == nil {
				if err := b.Delete([]byte(path)); err != nil {
					return err
				}
				continue
			}
			data, err := json.Marshal(rec)
			if err != nil {
				return err
			}
			if err := b.Put([]byte(path), data); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put(metaKey, data)
	})
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	st.meta = m
	for path, rec := range files {
		if rec == nil {
			delete(st.files, path)
		} else {
			st.files[path] = rec
		}
	}
	return nil
}

// upload gives how far the upload of a content was when it was last noted, or nil.
func (st *store) upload(sha256 string) (state *hub.MultipartState) {
	var err error
	defer rescue(&err) // it begins anew then
	_ = st.db.View(func(tx *bbolt.Tx) error {
		if data := tx.Bucket(uploadsBucket).Get([]byte(sha256)); data != nil && json.Unmarshal(data, &state) != nil {
			state = nil
		}
		return nil
	})
	return state
}

// noteUpload keeps how far an upload is; nil forgets it.
func (st *store) noteUpload(sha256 string, state *hub.MultipartState) (err error) {
	defer rescue(&err)
	return st.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(uploadsBucket)
		if state == nil {
			if b.Get([]byte(sha256)) == nil {
				return nil
			}
			return b.Delete([]byte(sha256))
		}
		data, err := json.Marshal(state)
		if err != nil {
			return err
		}
		return b.Put([]byte(sha256), data)
	})
}

func (st *store) close() error { return errors.Join(st.db.Close(), st.lock.Unlock()) }
