package localhub

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

var bucketDiscussions = []byte("discussions") // <uid>/<number, 9 digits>

// States of a discussion. Merged and draft are for pull requests.
const (
	statusOpen   = "open"
	statusClosed = "closed"
	statusMerged = "merged"
	statusDraft  = "draft"
)

// discussionRec is a discussion or a pull request. The commits of a pull request
// are on refs/pr/<Num>.
type discussionRec struct {
	ID      string     `json:"id"`
	Num     int        `json:"num"`
	Title   string     `json:"title"`
	Author  string     `json:"author"`
	Status  string     `json:"status"`
	Created time.Time  `json:"created"`
	Pull    *pullRec   `json:"pull,omitempty"` // nil for a discussion
	Events  []eventRec `json:"events"`         // oldest first
}

// pullRec is what a pull request has beside a discussion.
type pullRec struct {
	Base string `json:"base"` // refs/heads/main
	// Fork is the commit of the base that the pull request was made from.
	Fork string `json:"fork"`
	// Head is the commit up to which there are events.
	Head  string `json:"head"`
	Merge string `json:"merge,omitempty"` // the commit that merged it
}

// Kinds of events.
const (
	eventComment = "comment"
	eventStatus  = "status-change"
	eventCommit  = "commit"
	eventTitle   = "title-change"
)

// eventRec is something that happened in a discussion.
type eventRec struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"` // eventComment, ...
	Author  string    `json:"author"`
	Created time.Time `json:"created"`

	Comment *commentRec `json:"comment,omitempty"`
	Status  string      `json:"status,omitempty"`
	Subject string      `json:"subject,omitempty"` // of a commit
	OID     string      `json:"oid,omitempty"`
	Parents []string    `json:"parents,omitempty"`
	From    string      `json:"from,omitempty"` // titles
	To      string      `json:"to,omitempty"`
}

// commentRec is a comment. It and what it was before are gone when it is hidden.
type commentRec struct {
	textRec

	HiddenBy string    `json:"hiddenBy,omitempty"`
	History  []textRec `json:"history,omitempty"` // what it was before, oldest first
}

// textRec is a text as somebody left it.
type textRec struct {
	Raw    string    `json:"raw"`
	Author string    `json:"author"`
	At     time.Time `json:"at"`
}

func (d *discussionRec) clone() *discussionRec {
	c := *d
	c.Events = slices.Clone(d.Events)
	if d.Pull != nil {
		p := *d.Pull
		c.Pull = &p
	}
	return &c
}

// add adds an event that happens now.
func (d *discussionRec) add(e eventRec) *eventRec {
	e.ID = newID(12)
	if e.Created.IsZero() {
		e.Created = time.Now().UTC()
	}
	d.Events = append(d.Events, e)
	return &d.Events[len(d.Events)-1]
}

func (d *discussionRec) comment(author, text string) *eventRec {
	at := time.Now().UTC()
	return d.add(eventRec{Type: eventComment, Author: author, Created: at, Comment: &commentRec{textRec: textRec{text, author, at}}})
}

func discussionKey(uid string, num int) string { return fmt.Sprintf("%s/%09d", uid, num) }

func noDiscussion(num int) *Error {
	return fail(http.StatusNotFound, "There is no discussion %d", num)
}

// loadDiscussions reads the discussions, after the repositories. Pull requests of
// a Hub that knew no discussions become some.
func (s *state) loadDiscussions(tx *bbolt.Tx) error {
	s.discussions = map[string]map[int]*discussionRec{}
	err := each(tx, bucketDiscussions, func(k string, d *discussionRec) {
		uid, _, _ := strings.Cut(k, "/")
		s.keepDiscussion(uid, d)
	})
	if err != nil {
		return err
	}
	for uid, r := range s.byUID {
		if r.PRs == nil {
			continue
		}
		for _, p := range r.PRs {
			d := &discussionRec{
				ID: newID(12), Num: p.Num, Title: p.Title, Author: p.Author, Status: statusOpen, Created: p.Created,
				Pull: &pullRec{Base: refsHeads + p.Base},
			}
			d.comment(p.Author, "")
			if err := put(tx, bucketDiscussions, discussionKey(uid, p.Num), d); err != nil {
				return err
			}
			s.keepDiscussion(uid, d)
		}
		r.PRs = nil // nobody else has the record yet
		if err := put(tx, bucketRepos, uid, r); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) keepDiscussion(uid string, d *discussionRec) {
	m := s.discussions[uid]
	if m == nil {
		m = map[int]*discussionRec{}
		s.discussions[uid] = m
	}
	m[d.Num] = d
}

// discussion finds a discussion of a repository.
func (s *state) discussion(uid string, num int) (*discussionRec, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d := s.discussions[uid][num]; d != nil {
		return d, nil
	}
	return nil, noDiscussion(num)
}

// discussionsOf lists the discussions of a repository, newest first.
func (s *state) discussionsOf(uid string) []*discussionRec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.discussions[uid]), func(a, b *discussionRec) int { return b.Num - a.Num })
}

// addDiscussion adds a discussion under a number that nobody else gives: see
// Hub.nextNumber.
func (s *state) addDiscussion(uid string, d *discussionRec) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.repoByUID(uid) == nil {
		return repoNotFound()
	}
	return s.putDiscussion(uid, d)
}

// changeDiscussion replaces a discussion by what fn makes of a copy of it.
func (s *state) changeDiscussion(uid string, num int, fn func(*discussionRec) error) (*discussionRec, error) {
	s.write.Lock()
	defer s.write.Unlock()
	old, err := s.discussion(uid, num)
	if err != nil {
		return nil, err
	}
	d := old.clone()
	if err := fn(d); err != nil {
		return nil, err
	}
	return d, s.putDiscussion(uid, d)
}

func (s *state) putDiscussion(uid string, d *discussionRec) error {
	return s.update(func(tx *bbolt.Tx) error { return put(tx, bucketDiscussions, discussionKey(uid, d.Num), d) },
		func() { s.keepDiscussion(uid, d) })
}

// deletePrefix removes the keys that start so.
func deletePrefix(b *bbolt.Bucket, prefix string) error {
	var keys [][]byte
	c := b.Cursor()
	for k, _ := c.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, _ = c.Next() {
		keys = append(keys, k)
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
