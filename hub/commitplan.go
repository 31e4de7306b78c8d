package hub

import (
	"context"
	"strings"
)

// A commitPlan is one call of CreateCommit on its way.
type commitPlan struct {
	c        *Client
	repo     Repo
	revision string
	in       *CommitInput
	paths    []string // of the operations, checked

	adds    []addition
	fresh   map[*Add]bool // asked about in this call
	copies  map[*Copy]*copySource
	spool   *spool // content of regular files that are copied
	tracker *tracker
	info    CommitInfo // the result, being filled in
}

func (p *commitPlan) close() {
	if p.spool != nil {
		p.spool.close()
	}
}

// prepare does all that comes ahead of the commit itself.
func (p *commitPlan) prepare(ctx context.Context) error {
	for i, op := range p.in.Operations {
		if add, ok := op.(*Add); ok {
			p.adds = append(p.adds, addition{add, p.paths[i]})
		}
	}
	for _, a := range p.adds {
		warnings, err := p.c.checkReadme(ctx, p.repo.Type, a)
		if err != nil {
			return err
		}
		p.info.Warnings = append(p.info.Warnings, warnings...)
	}
	if err := p.ask(ctx); err != nil {
		return err
	}
	p.tracker = newTracker(p.in.Progress)
	for _, a := range p.adds {
		if a.State.Mode == UploadRegular && !a.State.Ignored {
			p.tracker.expect(a.path, a.Content.Size)
		}
	}
	if err := p.c.uploadLFS(ctx, p.repo, p.revision, p.adds, p.in.CreatePR, p.in.UploadOptions, p.tracker); err != nil {
		return err
	}
	for _, a := range p.adds {
		if err := a.hashForCommit(ctx); err != nil {
			return ofPath(ctx, a.path, err)
		}
	}
	return p.resolveCopies(ctx)
}

// ask makes the mode of every addition known. What an earlier call learnt about
// the content of the repository is asked for again where it would drop an
// addition as unchanged, unless it is known of the very commit that this one is
// put on: others may have changed the file since.
func (p *commitPlan) ask(ctx context.Context) error {
	for _, a := range p.adds {
		s := &a.State
		if s.Mode == "" || s.Ignored {
			p.fresh[a.Add] = s.Mode == ""
			continue
		}
		if p.atParent(s.RemoteHead) {
			continue
		}
		same, err := a.sameAsRemote(ctx)
		if err != nil {
			return ofPath(ctx, a.path, err)
		}
		if same {
			s.Mode = ""
			p.fresh[a.Add] = true
		}
	}
	return p.c.preupload(ctx, p.repo, p.revision, p.adds, p.in.CreatePR, p.in.GitIgnore)
}

// atParent says whether head is the parent that the commit names.
func (p *commitPlan) atParent(head string) bool {
	return head != "" && p.in.ParentCommit != "" && strings.HasPrefix(head, strings.ToLower(p.in.ParentCommit))
}

// unchanged says whether the repository has an addition's content already, in the
// commit that this one is put on.
func (p *commitPlan) unchanged(ctx context.Context, a addition) (bool, error) {
	s := &a.State
	switch {
	case p.atParent(s.RemoteHead):
	case p.in.ParentCommit != "" && (s.RemoteHead != "" || p.in.CreatePR):
		return false, nil // it is known of another commit
	case !p.fresh[a.Add]:
		return false, nil
	}
	return a.sameAsRemote(ctx)
}

// sameAsRemote compares the content with what the server said it has at the path.
func (a addition) sameAsRemote(ctx context.Context) (bool, error) {
	remote := a.State.RemoteOID
	if remote == "" {
		return false, nil
	}
	var local string
	var err error
	if a.State.Mode == UploadLFS {
		local, err = a.Content.sum256(ctx)
	} else {
		local, err = a.Content.sumGit(ctx)
	}
	return local == remote, err
}

// hashForCommit makes the hashes known that the commit needs.
func (a addition) hashForCommit(ctx context.Context) error {
	if a.State.Ignored {
		return nil
	}
	var err error
	switch {
	case a.State.Mode == UploadLFS:
		_, err = a.Content.sum256(ctx)
	case a.State.RemoteOID != "":
		_, err = a.Content.sumGit(ctx)
	}
	return err
}

// ofPath is an error of one path, unless the whole call was given up.
func ofPath(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &OperationError{path, err}
}

// body is the commit without what changes nothing; nil if nothing is left.
func (p *commitPlan) body(ctx context.Context) (*commitBody, error) {
	b := newCommitBody(p.tracker.move)
	if err := b.line("header", commitHeader{p.in.Summary, p.in.description(), p.in.ParentCommit}); err != nil {
		return nil, err
	}
	empty := true
	var before touched
	for i, op := range p.in.Operations {
		path := p.paths[i]
		left, same, err := p.leftOut(ctx, op, path)
		if err != nil {
			return nil, ofPath(ctx, path, err)
		}
		switch {
		case left:
			p.info.Ignored = append(p.info.Ignored, path)
			continue
		case same && !before.any(path):
			p.info.Unchanged = append(p.info.Unchanged, path)
			continue
		}
		if err := p.line(b, op, path); err != nil {
			return nil, err
		}
		before.add(path)
		empty = false
	}
	if empty {
		return nil, nil
	}
	return b, nil
}

// leftOut says whether the repository ignores what an operation makes, or has it already.
func (p *commitPlan) leftOut(ctx context.Context, op Operation, path string) (ignored, same bool, err error) {
	switch op := op.(type) {
	case *Add:
		if op.State.Ignored {
			return true, false, nil
		}
		same, err = p.unchanged(ctx, addition{op, path})
	case *Copy:
		same = p.copies[op].same
	}
	return false, same, err
}

// line adds the line of an operation.
func (p *commitPlan) line(b *commitBody, op Operation, path string) error {
	switch op := op.(type) {
	case *Add:
		if op.State.Mode == UploadLFS {
			return b.line("lfsFile", commitLFSFile{path, "sha256", op.Content.SHA256, &op.Content.Size})
		}
		return b.file(path, &op.Content)
	case *Copy:
		src := p.copies[op]
		if src.sha256 != "" {
			return b.line("lfsFile", commitLFSFile{Path: path, Algo: "sha256", OID: src.sha256})
		}
		return b.file(path, &src.content)
	case *Delete:
		if !strings.HasSuffix(op.Path, "/") {
			return b.line("deletedFile", commitPath{path})
		}
	}
	return b.line("deletedFolder", commitPath{path})
}

// touched are the paths that earlier operations of a commit change. An operation
// on one of them counts even if it gives it the content that the repository has:
// it may undo what the earlier one did.
type touched struct {
	paths   map[string]bool
	parents map[string]bool // folders above them
}

func (t *touched) add(path string) {
	if t.paths == nil {
		t.paths, t.parents = make(map[string]bool), make(map[string]bool)
	}
	t.paths[path] = true
	for dir := parent(path); dir != "" && !t.parents[dir]; dir = parent(dir) {
		t.parents[dir] = true
	}
}

// any says whether path, a folder above it or something below it was touched.
func (t *touched) any(path string) bool {
	if t.parents[path] {
		return true
	}
	for ; path != ""; path = parent(path) {
		if t.paths[path] {
			return true
		}
	}
	return false
}
