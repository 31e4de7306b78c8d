package writeback

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // Git's own hash
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// A sentCommit is a commit that was sent, as the log knows it before.
type sentCommit struct {
	Mark   string     `json:"mark"`
	Parent string     `json:"parent"`
	NewPR  bool       `json:"new_pr,omitempty"`
	Sent   int64      `json:"sent"` // Unix seconds
	Items  []sentItem `json:"items"`
}

// sentItem is a path of it.
type sentItem struct {
	Path  string `json:"p"`
	Now   *Was   `json:"w,omitempty"` // what the Hub has there afterwards
	Inode uint64 `json:"i,omitempty"`
}

// Commit is a commit that was made.
type Commit struct {
	OID     string    `json:"oid"`
	URL     string    `json:"url,omitempty"`
	PRURL   string    `json:"pr_url,omitempty"` // of the pull request that it began
	Time    time.Time `json:"time"`
	Changes int       `json:"changes"` // paths
}

// upload has everything that is stored apart from the commit uploaded, learns how each
// file is stored, and drops what the Hub has already.
func (b *Branch) upload(ctx context.Context, x *batch) error {
	var adds, unknown []*hub.Add
	for _, it := range x.items {
		if it.ino == nil || it.move != nil && len(it.move.Hash) == 64 {
			continue
		}
		it.add = &hub.Add{Path: it.path, Content: it.contentSource(ctx)}
		it.add.State.Multipart = b.multipart(it.path)
		if _, err := b.opts.Hub.CheckReadme(ctx, b.key.Repo.Type, it.add); err != nil {
			return err
		}
		adds = append(adds, it.add)
		if it.now == nil {
			unknown = append(unknown, it.add)
		}
	}
	if err := x.sums(ctx); err != nil {
		return err
	}
	if len(adds) > 0 {
		revision, newPR := b.target()
		start := b.now()
		opts := &hub.PreuploadOptions{CreatePR: newPR, UploadOptions: b.uploadOptions()}
		if err := b.opts.Hub.PreuploadLFSFiles(ctx, b.key.Repo, revision, adds, opts); err != nil {
			return err
		}
		b.noteUploads(unknown, start) // the Hub has the others
	}
	for _, it := range x.items {
		if err := it.identify(ctx); err != nil {
			return &hub.OperationError{Path: it.path, Err: err}
		}
	}
	return nil
}

// identify finds out what the Hub will have at the item's path.
func (it *item) identify(ctx context.Context) error {
	switch {
	case it.ino == nil:
		return nil
	case it.move != nil:
		it.now = &Was{Hash: it.move.Hash, Size: it.move.Size}
		return nil
	case it.add.State.Mode == hub.UploadLFS:
		it.now = &Was{Hash: it.add.Content.SHA256, Size: it.content.size}
		if it.now.Hash != "" {
			return nil
		}
	case it.add.Content.GitSHA1 == "":
		sum, err := gitHash(ctx, &it.content)
		if err != nil {
			return err
		}
		it.add.Content.GitSHA1 = sum
	}
	if it.add.State.Mode != hub.UploadLFS {
		it.now = &Was{Hash: it.add.Content.GitSHA1, Size: it.content.size}
		return nil
	}
	sum, err := sha256Of(ctx, &it.content)
	it.add.Content.SHA256, it.now.Hash = sum, sum
	return err
}

// gitHash is the id of content as a Git blob.
func gitHash(ctx context.Context, c *content) (string, error) {
	h := sha1.New() //nolint:gosec // as above
	fmt.Fprintf(h, "blob %d\x00", c.size)
	if _, err := io.Copy(h, io.NewSectionReader(contentReader{ctx, c}, 0, c.size)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// operations are the Hub's own for the items, deletions first: a path may be
// a folder before and a file afterwards.
func (x *batch) operations() []hub.Operation {
	var deletes, rest []hub.Operation
	folders := make(map[string]bool)
	for _, it := range x.items {
		if it.folder || it.ino != nil && it.was != nil && it.was.Dir {
			folders[it.path] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(folders)) {
		if !insideAny(dir, folders) {
			deletes = append(deletes, &hub.DeleteFolder{Path: dir})
		}
	}
	for _, it := range x.items {
		switch {
		case it.ino == nil && (it.folder || insideAny(it.path, folders)):
		case it.ino == nil:
			deletes = append(deletes, &hub.Delete{Path: it.path})
		case it.add != nil:
			rest = append(rest, it.add)
		default:
			rest = append(rest, &hub.Copy{Source: it.move.Path, SourceRevision: it.move.Commit, Path: it.path, SHA256: it.move.Hash})
		}
	}
	return append(deletes, rest...)
}

// insideAny says whether a path is below one of the folders.
func insideAny(path string, folders map[string]bool) bool {
	for dir, _ := split(path); dir != ""; dir, _ = split(dir) {
		if folders[dir] {
			return true
		}
	}
	return false
}

// summary is the first line of the commit's message.
func (x *batch) summary() string {
	var added, changed, deleted int
	for _, it := range x.items {
		switch {
		case it.ino == nil:
			deleted++
		case it.was.file():
			changed++
		default:
			added++
		}
	}
	if len(x.items) == 1 {
		verb := "Add "
		if changed == 1 {
			verb = "Update "
		} else if deleted == 1 {
			verb = "Delete "
		}
		return verb + x.items[0].path
	}
	var parts []string
	for _, p := range []struct {
		verb string
		n    int
	}{{"add", added}, {"update", changed}, {"delete", deleted}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", p.verb, p.n))
		}
	}
	text := strings.Join(parts, ", ") + " files"
	return strings.ToUpper(text[:1]) + text[1:]
}

// limit cuts a batch to what one commit may hold, and says whether it was more.
func (x *batch) limit() (more bool) {
	var ops []hub.Operation
	byOp := make(map[hub.Operation]*item)
	keep := make(map[*item]bool)
	for _, it := range x.items {
		switch {
		case it.ino == nil:
			keep[it] = it.inTheWay // the others go with the last part
			continue
		case it.add != nil:
			byOp[it.add] = it
			ops = append(ops, it.add)
		default:
			op := &hub.Copy{Path: it.path, SHA256: it.move.Hash}
			byOp[op] = it
			ops = append(ops, op)
		}
	}
	parts := hub.SplitOperations(ops, hub.HubLimits)
	if len(parts) < 2 {
		return false
	}
	for _, op := range parts[0] {
		keep[byOp[op]] = true
	}
	x.keep(func(it *item) bool { return keep[it] })
	return true
}

// keep drops the items that f doesn't want.
func (x *batch) keep(f func(*item) bool) {
	x.items = slices.DeleteFunc(x.items, func(it *item) bool {
		if f(it) {
			return false
		}
		it.release()
		return true
	})
}

// send makes one commit of the batch, whose content is uploaded. The log knows of
// it before the Hub does.
func (b *Branch) send(ctx context.Context, x *batch) (*Commit, error) {
	revision, newPR := b.target()
	sent := sentCommit{Mark: hub.NewMark(), Parent: x.tree.Commit(), NewPR: newPR, Sent: b.now().Unix()}
	for _, it := range x.items {
		one := sentItem{Path: it.path, Now: it.now}
		if it.ino != nil {
			one.Inode = it.ino.id
		}
		sent.Items = append(sent.Items, one)
	}
	if err := b.noteSent(x, sent); err != nil {
		return nil, err
	}
	info, err := b.opts.Hub.CreateCommit(ctx, b.key.Repo, revision, hub.CommitInput{
		Summary: x.summary(), ParentCommit: sent.Parent, CreatePR: newPR, Mark: sent.Mark,
		Operations: x.operations(), UploadOptions: b.uploadOptions(),
	})
	if err != nil {
		if !hub.MayHaveLanded(err) {
			return nil, errors.Join(err, b.forgetSent(sent.Mark))
		}
		return nil, err
	}
	made := &Commit{OID: info.OID, URL: info.CommitURL, PRURL: info.PRURL, Time: b.now(), Changes: len(x.items)}
	if info.NoChange {
		made = nil
	}
	if err := b.landed(sent, cmp.Or(info.OID, sent.Parent), info.PRRevision, made != nil); err != nil {
		return nil, err
	}
	return made, nil
}
