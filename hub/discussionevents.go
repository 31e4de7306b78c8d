package hub

import (
	"encoding/json"
	"errors"
	"time"
)

// Types of events. The Hub has more, of which Data tells.
const (
	EventComment      = "comment"
	EventStatusChange = "status-change"
	EventCommit       = "commit"
	EventTitleChange  = "title-change"
)

// DiscussionEvent is something that happened in a discussion. The field of its type is
// set, and no other.
type DiscussionEvent struct {
	ID        string
	Type      string // EventComment, ...
	CreatedAt time.Time
	Author    *Account // nil: the account was deleted

	Comment     *DiscussionComment
	NewStatus   DiscussionStatus  // EventStatusChange
	Commit      *DiscussionCommit // onto a pull request
	TitleChange *DiscussionTitleChange

	// Raw is the whole event as the Hub sent it.
	Raw json.RawMessage
}

// DiscussionComment is a comment as it is now.
type DiscussionComment struct {
	CommentText

	Edited   bool
	Hidden   bool // Content is a text that says so
	NumEdits int
	History  []CommentText // what it was, oldest first; nil where the Hub gives only NumEdits
}

// CommentText is the text of a comment at a time.
type CommentText struct {
	Content   string    `json:"raw"` // markdown
	HTML      string    `json:"html"`
	UpdatedAt time.Time `json:"updatedAt"`
	Author    *Account  `json:"author,omitempty"` // who left it so
}

// DiscussionCommit is a commit of a pull request.
type DiscussionCommit struct {
	Summary string   `json:"subject"` // first line of the message
	ID      string   `json:"oid"`
	Parents []string `json:"parents"`
}

// DiscussionTitleChange is a change of the title.
type DiscussionTitleChange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// UnmarshalJSON reads the Hub's form.
func (e *DiscussionEvent) UnmarshalJSON(data []byte) error {
	var w struct {
		ID        string          `json:"id"`
		Type      string          `json:"type"`
		CreatedAt time.Time       `json:"createdAt"`
		Author    *Account        `json:"author"`
		Data      json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	if w.ID == "" || w.Type == "" {
		return errors.New("an event without id or type")
	}
	out := DiscussionEvent{ID: w.ID, Type: w.Type, CreatedAt: w.CreatedAt, Author: w.Author, Raw: append(json.RawMessage(nil), data...)}
	var err error
	switch w.Type {
	case EventComment:
		var c struct {
			Edited   bool          `json:"edited"`
			Hidden   bool          `json:"hidden"`
			NumEdits *int          `json:"numEdits"`
			History  []CommentText `json:"history"`
			Latest   CommentText   `json:"latest"`
		}
		err = json.Unmarshal(w.Data, &c)
		out.Comment = &DiscussionComment{CommentText: c.Latest, Edited: c.Edited, Hidden: c.Hidden, NumEdits: len(c.History), History: c.History}
		if c.NumEdits != nil {
			out.Comment.NumEdits = *c.NumEdits
		}
	case EventStatusChange:
		var c struct {
			Status DiscussionStatus `json:"status"`
		}
		err = json.Unmarshal(w.Data, &c)
		out.NewStatus = c.Status
	case EventCommit:
		out.Commit = new(DiscussionCommit)
		err = json.Unmarshal(w.Data, out.Commit)
	case EventTitleChange:
		out.TitleChange = new(DiscussionTitleChange)
		err = json.Unmarshal(w.Data, out.TitleChange)
	}
	if err == nil {
		*e = out
	}
	return err
}

// MarshalJSON writes what UnmarshalJSON has read.
func (e DiscussionEvent) MarshalJSON() ([]byte, error) {
	if e.Raw == nil {
		return nil, errors.New("an event that doesn't come from the Hub")
	}
	return e.Raw, nil
}
