package localhub

import (
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// draft is a commit that is being put together. Its files' blobs are in the batch
// already.
type draft struct {
	h    *Hub
	repo *repo
	b    *gitstore.Batch
	ops  []draftOp
	// attributes is the content of a .gitattributes among the operations.
	attributes []byte

	author, email      string
	title, description string
	parent             string // must be the head of the branch, or where a pull request starts
	date               time.Time
	dated              bool // the date was given, and stays as it is
}

type draftOp struct {
	kind    string // OpAdd, ...
	path    string
	entry   gitstore.Entry // OpAdd
	from    string         // OpCopy
	fromRev string
}

const gitattributesFile = ".gitattributes"

func (h *Hub) newDraft(r *repo, author string) *draft {
	return &draft{h: h, repo: r, b: r.git.NewBatch(), author: author, email: h.emailOf(author), date: h.commitTime()}
}

// emailOf is the address in a user's commits. Nobody's real one is made public.
func (h *Hub) emailOf(author string) string { return author + "@users.noreply.localhub" }

func checkPath(p string) error {
	if !validPath(p) {
		return fail(http.StatusUnprocessableEntity, "Invalid path in repo: %q", oneLine(p))
	}
	return nil
}

// addFile adds a regular file.
func (d *draft) addFile(path string, content []byte) error {
	if err := checkPath(path); err != nil {
		return err
	}
	// A file that reads like a pointer is one, for everybody who reads it.
	if p := gitstore.ParsePointer(content); p != nil {
		return d.addLFS(path, p.OID, p.Size)
	}
	oid, err := d.b.Add(plumbing.BlobObject, content)
	if err != nil {
		return err
	}
	if path == gitattributesFile {
		d.attributes = content
	}
	e := gitstore.Entry{OID: oid, Size: int64(len(content))}
	d.ops = append(d.ops, draftOp{kind: OpAdd, path: path, entry: e})
	return nil
}

// addLFS adds an LFS file. A negative size is that of the stored object.
func (d *draft) addLFS(path, oid string, size int64) error {
	if err := checkPath(path); err != nil {
		return err
	}
	if path == gitattributesFile {
		return fail(http.StatusUnprocessableEntity, "%s can't be an LFS file", path)
	}
	stored, err := d.h.lfs.size(oid)
	if errors.Is(err, fs.ErrNotExist) || err == nil && size >= 0 && size != stored {
		return noLFSObject(path)
	}
	if err != nil {
		return err
	}
	text := gitstore.Pointer(oid, stored)
	blob, err := d.b.Add(plumbing.BlobObject, text)
	if err != nil {
		return err
	}
	e := gitstore.Entry{OID: blob, Size: int64(len(text)), LFS: &gitstore.LFS{OID: oid, Size: stored}}
	d.ops = append(d.ops, draftOp{kind: OpAdd, path: path, entry: e})
	return nil
}

func (d *draft) remove(kind, path string) error {
	path = strings.TrimSuffix(path, "/")
	if err := checkPath(path); err != nil {
		return err
	}
	d.ops = append(d.ops, draftOp{kind: kind, path: path})
	return nil
}

// lfsOIDs are the objects that the draft names.
func (d *draft) lfsOIDs() []string {
	var oids []string
	for _, op := range d.ops {
		if op.entry.LFS != nil {
			oids = append(oids, op.entry.LFS.OID)
		}
	}
	return oids
}

// commitTo makes the commit on a branch or on a pull request.
func (d *draft) commitTo(rev string) (gitstore.OID, error) {
	d.repo.commit.Lock()
	defer d.repo.commit.Unlock()
	ref, head, err := d.repo.branchRef(rev)
	if err != nil {
		return gitstore.OID{}, err
	}
	if d.parent != "" {
		if p, err := d.repo.commitID(d.parent); err != nil || p != head {
			return gitstore.OID{}, fail(http.StatusPreconditionFailed, "A commit has happened since. Please refresh and try again.")
		}
	}
	oid, err := d.write(head)
	if err != nil {
		return gitstore.OID{}, err
	}
	if err := d.repo.moveRef(ref, head, oid); err != nil {
		return gitstore.OID{}, err
	}
	if m := prRef.FindStringSubmatch(ref); m != nil {
		num, _ := strconv.Atoi(m[1])
		// The commit is made, whatever happens to the event: whoever reads the pull
		// request next adds it.
		if _, err := d.h.followPull(d.repo, num); err != nil {
			d.h.log.Error("no event of a commit", "repo", d.repo.ID, "pull request", num, "error", err)
		}
	}
	return oid, nil
}

// commitToNewPR makes the commit on a new pull request against a branch, and
// returns its number.
func (d *draft) commitToNewPR(base string) (int, gitstore.OID, error) {
	d.repo.commit.Lock()
	defer d.repo.commit.Unlock()
	ref, head, err := d.repo.branchRef(base)
	if err != nil {
		return 0, gitstore.OID{}, err
	}
	if d.parent != "" {
		if head, err = d.repo.commitID(d.parent); err != nil {
			return 0, gitstore.OID{}, revisionNotFound(d.parent)
		}
	}
	oid, err := d.write(head)
	if err != nil {
		return 0, gitstore.OID{}, err
	}
	n, err := d.h.nextNumber(d.repo)
	if err != nil {
		return 0, gitstore.OID{}, err
	}
	// The ref comes first: without the record its number isn't given again.
	if err := d.repo.moveRef(pullRef(n), gitstore.OID{}, oid); err != nil {
		return 0, gitstore.OID{}, err
	}
	rec := newDiscussion(n, d.author, d.title, strings.TrimSpace(d.description))
	rec.Pull = &pullRec{Base: ref, Fork: head.String(), Head: head.String()}
	if err := d.h.st.addDiscussion(d.repo.UID, rec); err != nil {
		return 0, gitstore.OID{}, err
	}
	d.h.discussed(d.repo, "create", rec, &rec.Events[0])
	_, err = d.h.followPull(d.repo, n)
	return n, oid, err
}

// write writes the commit on top of head (zero: the first one) and makes it
// durable. No ref names it yet. Requires the repository's commit lock.
func (d *draft) write(head gitstore.OID) (gitstore.OID, error) {
	c := &gitstore.Commit{Author: d.author, Email: d.email, Date: d.date, Message: message(d.title, d.description)}
	var root gitstore.OID
	if !head.IsZero() {
		parent, err := d.repo.git.Commit(head)
		if err != nil {
			return gitstore.OID{}, err
		}
		root, c.Parents = parent.Tree, []gitstore.OID{head}
		if !d.dated && c.Date.Before(parent.Date) {
			c.Date = parent.Date // a clock that was set back must not turn history round
		}
	}
	ed := d.repo.git.NewEdit(root)
	for _, op := range d.ops {
		if err := d.apply(ed, root, op); err != nil {
			return gitstore.OID{}, err
		}
	}
	if err := d.trackLFS(ed); err != nil {
		return gitstore.OID{}, err
	}
	var err error
	if c.Tree, err = ed.Write(d.b); err != nil {
		return gitstore.OID{}, err
	}
	oid, err := d.b.AddCommit(c)
	if err != nil {
		return gitstore.OID{}, err
	}
	if err := d.b.Flush(); err != nil {
		return gitstore.OID{}, err
	}
	return oid, d.h.st.linkLFS(d.repo.UID, d.lfsOIDs()...)
}

func message(title, description string) string {
	if description = strings.TrimSpace(description); description != "" {
		return title + "\n\n" + description
	}
	return title
}

func (d *draft) apply(ed *gitstore.Edit, root gitstore.OID, op draftOp) error {
	var err error
	switch op.kind {
	case OpAdd:
		err = ed.Set(op.path, op.entry)
	case OpDelete, OpDeleteFolder:
		err = ed.Remove(op.path)
		if errors.Is(err, gitstore.ErrNotFound) {
			return entryNotFound("A file with this name doesn't exist: %s", oneLine(op.path))
		}
	case OpCopy:
		from := root
		if op.fromRev != "" {
			c, err := d.repo.resolveCommit(op.fromRev)
			if err != nil {
				return err
			}
			from = c.Tree
		}
		e, err := d.repo.git.Lookup(from, op.from)
		if errors.Is(err, gitstore.ErrNotFound) || err == nil && e.IsDir() {
			return entryNotFound("A file with this name doesn't exist: %s", oneLine(op.from))
		}
		if err != nil {
			return err
		}
		if err := ed.Set(op.path, *e); err != nil {
			return fail(http.StatusUnprocessableEntity, "%v", err)
		}
		return nil
	}
	if errors.Is(err, gitstore.ErrNotFolder) {
		return fail(http.StatusUnprocessableEntity, "A file and a folder can't have one name: %s", oneLine(op.path))
	}
	return err
}

// trackLFS adds a rule for each new LFS file that .gitattributes doesn't track, so
// that a clone knows it for one.
func (d *draft) trackLFS(ed *gitstore.Edit) error {
	var text []byte
	var rules attributes
	loaded := false
	before := 0
	for _, op := range d.ops {
		if op.kind != OpAdd || op.entry.LFS == nil {
			continue
		}
		if !loaded {
			loaded = true
			var err error
			if text, err = d.attributesOf(ed); err != nil {
				return err
			}
			rules, before = parseAttributes(text), len(text)
		}
		if rules.isLFS(op.path) {
			continue
		}
		if len(text) > 0 && text[len(text)-1] != '\n' {
			text = append(text, '\n')
		}
		line := attributeRule(op.path)
		text = append(text, line...)
		rules = append(rules, parseAttributes([]byte(line))...)
	}
	if len(text) == before {
		return nil
	}
	oid, err := d.b.Add(plumbing.BlobObject, text)
	if err != nil {
		return err
	}
	return ed.Set(gitattributesFile, gitstore.Entry{OID: oid, Size: int64(len(text))})
}

func (d *draft) attributesOf(ed *gitstore.Edit) ([]byte, error) {
	e, err := ed.Find(gitattributesFile)
	if errors.Is(err, gitstore.ErrNotFound) || err == nil && e.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if d.attributes != nil && e.OID == plumbing.ComputeHash(plumbing.BlobObject, d.attributes) {
		return append([]byte(nil), d.attributes...), nil
	}
	o, err := d.repo.git.Read(e.OID)
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), o.Content...), nil
}

// moveRef moves a ref, with the refusals of git as the Hub's.
func (r *repo) moveRef(name string, old, oid gitstore.OID) error {
	err := r.git.UpdateRef(name, old, oid)
	switch {
	case err == nil:
		r.moved(name, old, oid)
	case errors.Is(err, gitstore.ErrRefChanged) && old.IsZero():
		return fail(http.StatusConflict, "Reference already exists: %s", name)
	case errors.Is(err, gitstore.ErrRefChanged):
		return fail(http.StatusPreconditionFailed, "A commit has happened since. Please refresh and try again.")
	case errors.Is(err, gitstore.ErrRefClash):
		return fail(http.StatusConflict, "A reference whose name is part of this one already exists: %s", name)
	}
	return err
}
