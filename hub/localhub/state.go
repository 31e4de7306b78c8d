package localhub

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// state is everything about the Hub that isn't in a git store: accounts, tokens,
// repositories, old names. The database is its home; the maps are a copy of it
// for reading, changed after the database was.
type state struct {
	db *bbolt.DB

	mu        sync.RWMutex // guards the maps; records are replaced, never changed
	users     map[string]*userRec
	orgs      map[string]*orgRec
	tokens    map[string]*tokenRec // by hash
	repos     map[repoKey]*repoRec
	byUID     map[string]*repoRec
	endpoints map[string]*endpointRec
	renames   map[repoKey]string // old name to uid
	// discussions are by uid of the repository and number.
	discussions map[string]map[int]*discussionRec
	webhooks    map[string]*webhookRec
	social      social

	// write keeps writers apart, from the check of what is there to the change of
	// the maps. It comes before mu.
	write sync.Mutex
}

// repoKey is a repository's type and its id in lower case: ids are one without
// regard to case.
type repoKey struct{ typ, id string }

func keyOf(typ, id string) repoKey { return repoKey{typ, strings.ToLower(id)} }

func (k repoKey) String() string { return k.typ + "/" + k.id }

type userRec struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Fullname  string    `json:"fullname,omitempty"`
	Email     string    `json:"email,omitempty"`
	Details   string    `json:"details,omitempty"`
	Pro       bool      `json:"pro,omitempty"`
	NoBilling bool      `json:"noBilling,omitempty"`
	Created   time.Time `json:"created"`
}

type orgRec struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Fullname  string            `json:"fullname,omitempty"`
	Details   string            `json:"details,omitempty"`
	Created   time.Time         `json:"created"`
	NoBilling bool              `json:"noBilling,omitempty"`
	Members   map[string]string `json:"members,omitempty"` // role by user name in lower case
}

type tokenRec struct {
	User   string  `json:"user"`
	Name   string  `json:"name"`
	Role   string  `json:"role"`
	Scopes []Scope `json:"scopes,omitempty"`
}

type repoRec struct {
	UID      string    `json:"uid"`
	Type     string    `json:"type"`
	ID       string    `json:"id"`
	Creator  string    `json:"creator,omitempty"`
	Private  bool      `json:"private,omitempty"`
	Gated    string    `json:"gated,omitempty"`
	Disabled bool      `json:"disabled,omitempty"`
	SDK      string    `json:"sdk,omitempty"`
	Created  time.Time `json:"created"`
	// Granted are users with access although gated, as it was kept before there were
	// requests.
	Granted []string    `json:"granted,omitempty"`
	Access  []accessRec `json:"access,omitempty"`
	// Downloads are those that SetDownloads told of; see downloadsRec for what is counted.
	Downloads    int64     `json:"downloads,omitempty"`
	DownloadsAll int64     `json:"downloadsAll,omitempty"`
	PRs          []prRec   `json:"prs,omitempty"`
	Space        *spaceRec `json:"space,omitempty"`
}

// prRec is a pull request as it was kept before there were discussions.
type prRec struct {
	Num     int       `json:"num"`
	Title   string    `json:"title"`
	Author  string    `json:"author"`
	Base    string    `json:"base"`
	Created time.Time `json:"created"`
}

func (r *repoRec) key() repoKey { return keyOf(r.Type, r.ID) }

// owner is the user or organisation that a repository belongs to.
func (r *repoRec) owner() string {
	ns, _ := splitID(r.ID)
	if ns == "" {
		return r.Creator
	}
	return ns
}

var (
	bucketConfig  = []byte("config")
	bucketUsers   = []byte("users")
	bucketOrgs    = []byte("orgs")
	bucketTokens  = []byte("tokens")
	bucketRepos   = []byte("repos")
	bucketRenames = []byte("renames")
	bucketLFS     = []byte("lfs") // <uid>/<oid>: the objects that a repository has

	keyFormat = []byte("format")
	keySecret = []byte("secret")
)

const stateFormat = "1"

// errInUse says that another process has the Hub's folder open.
var errInUse = errors.New("the folder is in use by another process")

func openState(root string, noSync bool) (*state, error) {
	db, err := bbolt.Open(filepath.Join(root, "hub.db"), 0o600, &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType, NoSync: noSync})
	if errors.Is(err, bolterrors.ErrTimeout) {
		err = errInUse
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	s := &state{
		db: db, users: map[string]*userRec{}, orgs: map[string]*orgRec{}, tokens: map[string]*tokenRec{},
		repos: map[repoKey]*repoRec{}, byUID: map[string]*repoRec{}, renames: map[repoKey]string{}, endpoints: map[string]*endpointRec{},
		social: newSocial(), webhooks: map[string]*webhookRec{},
	}
	if err := s.load(); err != nil {
		db.Close()
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	return s, nil
}

func (s *state) load() error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{bucketConfig, bucketUsers, bucketOrgs, bucketTokens, bucketRepos, bucketRenames, bucketLFS, bucketEndpoints, bucketDiscussions, bucketWebhooks} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		conf := tx.Bucket(bucketConfig)
		switch f := string(conf.Get(keyFormat)); f {
		case stateFormat:
		case "":
			secret := make([]byte, 32)
			if _, err := rand.Read(secret); err != nil {
				return err
			}
			if err := errors.Join(conf.Put(keyFormat, []byte(stateFormat)), conf.Put(keySecret, secret)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("format %s of the Hub's database is newer than this program", f)
		}
		for _, err := range []error{
			each(tx, bucketUsers, func(_ string, r *userRec) { s.users[strings.ToLower(r.Name)] = r }),
			each(tx, bucketOrgs, func(_ string, r *orgRec) { s.orgs[strings.ToLower(r.Name)] = r }),
			each(tx, bucketTokens, func(hash string, r *tokenRec) { s.tokens[hash] = r }),
			each(tx, bucketRepos, func(_ string, r *repoRec) {
				r.grantAll()
				s.repos[r.key()], s.byUID[r.UID] = r, r
			}),
			each(tx, bucketEndpoints, func(k string, r *endpointRec) { s.endpoints[k] = r }),
			each(tx, bucketRenames, func(k string, uid *string) {
				typ, id, _ := strings.Cut(k, "/")
				s.renames[repoKey{typ, id}] = *uid
			}),
			s.social.load(tx),
			s.loadDiscussions(tx),
			each(tx, bucketWebhooks, func(id string, w *webhookRec) { s.webhooks[id] = w }),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func each[T any](tx *bbolt.Tx, bucket []byte, fn func(key string, v *T)) error {
	return tx.Bucket(bucket).ForEach(func(k, b []byte) error {
		v := new(T)
		if err := json.Unmarshal(b, v); err != nil {
			return fmt.Errorf("%s %s: %w", bucket, k, err)
		}
		fn(string(k), v)
		return nil
	})
}

func put(tx *bbolt.Tx, bucket []byte, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Bucket(bucket).Put([]byte(key), b)
}

// update changes the database and then, if that has worked, the maps.
func (s *state) update(tx func(*bbolt.Tx) error, after func()) error {
	if err := s.db.Update(tx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	after()
	return nil
}

func (s *state) close() error { return s.db.Close() }

// secret is the key that signs URLs. It stays the same over restarts, so that a
// client's URLs do, too.
func (s *state) secret() (secret []byte, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		secret = slices.Clone(tx.Bucket(bucketConfig).Get(keySecret))
		return nil
	})
	return secret, err
}

// Reading. All answer with records that don't change.

func (s *state) user(name string) *userRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.users[strings.ToLower(name)]
}

func (s *state) org(name string) *orgRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.orgs[strings.ToLower(name)]
}

func (s *state) orgsOf(user string) []*orgRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var orgs []*orgRec
	for _, o := range s.orgs {
		if _, ok := o.Members[strings.ToLower(user)]; ok {
			orgs = append(orgs, o)
		}
	}
	slices.SortFunc(orgs, func(a, b *orgRec) int { return strings.Compare(a.Name, b.Name) })
	return orgs
}

func tokenHash(value string) string {
	h := sha256.Sum256([]byte(value))
	return hex.EncodeToString(h[:])
}

func (s *state) token(value string) *tokenRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tokens[tokenHash(value)]
}

// repo finds a repository by its name. If it only had that name once, renamed is
// set.
func (s *state) repo(k repoKey) (r *repoRec, renamed bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.repos[k]; r != nil {
		return r, false
	}
	if uid, ok := s.renames[k]; ok {
		return s.byUID[uid], true
	}
	return nil, false
}

func (s *state) repoByUID(uid string) *repoRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byUID[uid]
}

// reposOf lists the repositories of a type, in no order.
func (s *state) reposOf(typ string) []*repoRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []*repoRec
	for _, r := range s.repos {
		if r.Type == typ {
			list = append(list, r)
		}
	}
	return list
}
