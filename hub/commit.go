package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// ErrAmbiguousCommit is a commit that was sent, and whose answer doesn't say
// whether it landed: a timeout, a server error, a lost connection, an answer that
// can't be read. Sending it again could double it: look for its mark with
// [Client.FindCommit] first, and keep the same ParentCommit.
var ErrAmbiguousCommit error = &kind{"it isn't known whether the commit landed", nil}

// CommitInput is a commit to be made.
type CommitInput struct {
	Summary     string // first line of the message; mandatory
	Description string // the rest of the message
	// ParentCommit is the commit that the branch must be at, else the commit
	// fails with ErrPreconditionFailed. "" is wherever it is. 5 to 40 hex digits.
	ParentCommit string
	// CreatePR makes a pull request against the revision, which takes read access only.
	CreatePR   bool
	Operations []Operation // in the order in which they apply

	// Mark is a unique text, usually a UUID, that is written as the last line of
	// the description, for FindCommit. "" is none.
	Mark string
	// GitIgnore are rules for what is left out, instead of those of the repository.
	GitIgnore string

	UploadOptions
}

// UploadOptions are how content is transferred.
type UploadOptions struct {
	// Workers is how many files or parts are transferred at a time. 0 is 8.
	Workers int
	// Progress is told what was done, from one goroutine at a time. It must not block.
	Progress func(Progress)
	// Checkpoint is called, from one goroutine at a time, whenever the State of an
	// addition has got further, so that it can be kept.
	Checkpoint func(*Add)
}

// Progress is how far a transfer is. A repeated part counts once.
type Progress struct {
	Path  string // of the file that moved, as it will be in the repository
	Done  int64  // bytes of that file
	Size  int64
	Files int // that are through

	TotalDone int64 // bytes of all files so far
	Total     int64 // bytes of all files that are known to need a transfer
}

// CommitInfo is a commit that was made.
type CommitInfo struct {
	CommitURL   string
	Message     string // as given, as is Description
	Description string
	OID         string
	RepoURL     RepoURL

	PRURL      string // "" but for CreatePR, as are the other two
	PRRevision string // "refs/pr/<number>"
	PRNum      int    // 0 is none

	// URL of what the caller uploaded: the file or folder, else CommitURL.
	URL string

	// NoChange says that nothing was left to commit: OID is the head as it was.
	NoChange  bool
	Unchanged []string // paths that were left out, as the repository has that content there
	Ignored   []string // paths that were left out, as the repository ignores them
	Warnings  []string // to be shown to the user
}

// CreateCommit makes one commit: it validates the metadata of a README.md, asks
// the server how each file is to be stored, uploads LFS files, looks up copies
// and sends the commit. What the repository has already is left out, and where
// nothing is left no commit is made. Revision "" is main.
//
// A commit that was sent whole is never sent again: see ErrAmbiguousCommit, to be
// tested for before any other kind, as its cause usually is ErrUnavailable. The
// State of the additions says what was done, also after an error, and a second
// call goes on from there. What failed because of single paths, [FailedPaths] tells.
//
//	POST /api/{type}s/{id}/commit/{revision}
func (c *Client) CreateCommit(ctx context.Context, repo Repo, revision string, in CommitInput) (*CommitInfo, error) {
	revision = cmp.Or(revision, defaultRevision)
	if err := firstError(repo.Validate(), validRevision(revision), in.check()); err != nil {
		return nil, err
	}
	paths, warnings, err := checkOperations(in.Operations)
	if err != nil {
		return nil, err
	}
	p := &commitPlan{c: c, repo: repo, revision: revision, in: &in, paths: paths, fresh: make(map[*Add]bool)}
	p.info = CommitInfo{Message: in.Summary, Description: in.Description, Warnings: warnings}
	defer p.close()
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	body, err := p.body(ctx)
	if err != nil {
		return nil, err
	}
	if body == nil {
		return p.noChange(ctx)
	}
	return p.send(ctx, body)
}

// defaultRevision is the branch that every repository has.
const defaultRevision = "main"

var parentCommit = regexp.MustCompile(`^[0-9a-fA-F]{5,40}$`)

// check refuses what can't be sent.
func (in *CommitInput) check() error {
	switch {
	case in.Summary == "":
		return &ValidationError{What: "commit summary", Reason: "is empty"}
	case in.ParentCommit != "" && !parentCommit.MatchString(in.ParentCommit):
		return &ValidationError{What: "parent commit", Value: in.ParentCommit, Reason: "must be 5 to 40 hexadecimal digits"}
	case strings.ContainsAny(in.Mark, "\r\n") || strings.TrimSpace(in.Mark) != in.Mark:
		return &ValidationError{What: "mark", Value: in.Mark, Reason: "must be one line, without spaces around it"}
	}
	return nil
}

// description is the rest of the message, with the mark as its last line.
func (in *CommitInput) description() string {
	switch {
	case in.Mark == "":
		return in.Description
	case strings.TrimSpace(in.Description) == "":
		return markLine(in.Mark)
	}
	return strings.TrimRight(in.Description, "\n") + "\n\n" + markLine(in.Mark)
}

// send sends the commit. It is sent again only while the server can't have got all
// of it.
func (p *commitPlan) send(ctx context.Context, body *commitBody) (*CommitInfo, error) {
	r := &request{
		method: http.MethodPost, repo: p.repo, path: below("commit", p.revision), query: createPRQuery(p.in.CreatePR),
		header: http.Header{"Content-Type": {"application/x-ndjson"}},
		stream: &stream{size: body.length, open: body.open},
	}
	resp, err := p.c.do(ctx, r)
	for try := 0; unsent(err, body) && try < p.c.retrier.max && sleep(ctx, backoff(try)) == nil; try++ {
		p.c.retrier.retries.Add(1)
		resp, err = p.c.do(ctx, r)
	}
	if errors.Is(err, ErrUnprocessable) {
		p.forgetUploads()
	}
	if err != nil {
		return nil, commitError(err, body.delivered.Load())
	}
	defer resp.Body.Close()
	var answer commitAnswer
	err = decodeJSON(resp, func(dec *json.Decoder) error { return dec.Decode(&answer) })
	if err == nil {
		err = p.landed(r, answer)
	}
	if err != nil {
		return nil, ambiguous(err) // the status said yes
	}
	return &p.info, nil
}

// forgetUploads has the next call ask about LFS objects again: the server may have
// dropped some that were uploaded long ago.
func (p *commitPlan) forgetUploads() {
	for _, a := range p.adds {
		a.State.Uploaded = false
	}
}

// unsent says whether a commit failed because the network did, before its last
// byte was on the way.
func unsent(err error, body *commitBody) bool {
	var e *Error
	var op *OperationError
	return errors.As(err, &e) && e.Status == 0 && errors.Is(err, ErrUnavailable) && !errors.As(err, &op) && !body.delivered.Load()
}

// commitError sorts out a commit that failed: whether it may have landed, or why
// it can't be sent.
func commitError(err error, delivered bool) error {
	var op *OperationError // of the body: it wasn't sent whole
	if errors.As(err, &op) {
		return op
	}
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Status >= 500, e.Status == http.StatusRequestTimeout, e.Status == 0 && delivered:
		return ambiguous(err)
	}
	return err
}

func ambiguous(err error) error { return fmt.Errorf("%w: %w", ErrAmbiguousCommit, err) }

type commitAnswer struct {
	CommitURL      string `json:"commitUrl"`
	CommitOID      string `json:"commitOid"`
	PullRequestURL string `json:"pullRequestUrl"`
}

var discussionNumber = regexp.MustCompile(`/discussions/([0-9]{1,9})$`)

// landed takes in the answer to a commit.
func (p *commitPlan) landed(r *request, answer commitAnswer) error {
	info := &p.info
	if !isOID(answer.CommitOID) {
		return p.c.protocolError(r, "the answer has no id of the commit, but %q", answer.CommitOID)
	}
	info.OID = answer.CommitOID
	info.CommitURL = p.c.rehost(answer.CommitURL)
	before, _, _ := cutLast(info.CommitURL, "/commit/")
	if u, err := p.c.repoURL(r, before); err == nil {
		info.RepoURL = *u
	} else {
		// The commit is there all the same.
		info.RepoURL = RepoURL{URL: p.c.Endpoint() + "/" + p.repo.String(), Repo: p.repo}
		info.CommitURL = info.RepoURL.URL + "/commit/" + info.OID
	}
	info.URL = info.CommitURL
	if p.in.CreatePR {
		m := discussionNumber.FindStringSubmatch(answer.PullRequestURL)
		if m == nil {
			return p.c.protocolError(r, "the answer has no address of the pull request, but %q", answer.PullRequestURL)
		}
		info.PRURL = p.c.rehost(answer.PullRequestURL)
		info.PRNum, _ = strconv.Atoi(m[1]) // it is a small number
		info.PRRevision = "refs/pr/" + strconv.Itoa(info.PRNum)
	}
	for _, op := range p.in.Operations {
		if add, ok := op.(*Add); ok {
			add.State.Committed = true
		}
	}
	p.tracker.allDone()
	return nil
}

// noChange is the result where nothing is left to commit.
func (p *commitPlan) noChange(ctx context.Context) (*CommitInfo, error) {
	info := &p.info
	info.NoChange = true
	info.RepoURL = RepoURL{URL: p.c.Endpoint() + "/" + p.repo.String(), Repo: p.repo}
	for _, a := range p.adds {
		if p.fresh[a.Add] && isOID(a.State.RemoteHead) {
			info.OID = a.State.RemoteHead
		}
	}
	if info.OID == "" {
		repo, err := p.c.RepoInfo(ctx, p.repo, &RepoInfoOptions{Revision: p.revision})
		if err != nil {
			return nil, err
		}
		info.OID = repo.SHA
	}
	info.CommitURL = info.RepoURL.URL + "/commit/" + info.OID
	info.URL = info.CommitURL
	return info, nil
}

// cutLast splits s around the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// PreuploadOptions refine PreuploadLFSFiles.
type PreuploadOptions struct {
	CreatePR  bool   // they are for a pull request
	GitIgnore string // as in CommitInput
	UploadOptions
}

// PreuploadLFSFiles does what CreateCommit would do ahead of the commit: it asks
// how each file is to be stored, and uploads the LFS ones. Their State tells
// CreateCommit to do neither again. Errors are as those of CreateCommit.
//
//	POST /api/{type}s/{id}/preupload/{revision}
//	POST /{prefix}{id}.git/info/lfs/objects/batch
func (c *Client) PreuploadLFSFiles(ctx context.Context, repo Repo, revision string, adds []*Add, opts *PreuploadOptions) error {
	if opts == nil {
		opts = &PreuploadOptions{}
	}
	revision = cmp.Or(revision, defaultRevision)
	if err := firstError(repo.Validate(), validRevision(revision)); err != nil {
		return err
	}
	ops := make([]Operation, len(adds))
	for i, a := range adds {
		ops[i] = a
	}
	paths, _, err := checkOperations(ops)
	if err != nil {
		return err
	}
	additions := make([]addition, len(adds))
	for i, a := range adds {
		additions[i] = addition{a, paths[i]}
	}
	if err := c.preupload(ctx, repo, revision, additions, opts.CreatePR, opts.GitIgnore); err != nil {
		return err
	}
	return c.uploadLFS(ctx, repo, revision, additions, opts.CreatePR, opts.UploadOptions, newTracker(opts.Progress))
}

// uploadLFS uploads those additions that are LFS files.
func (c *Client) uploadLFS(ctx context.Context, repo Repo, revision string, adds []addition, createPR bool, opts UploadOptions, t *tracker) error {
	var lfs []addition
	for _, a := range adds {
		if s := &a.State; s.Mode == UploadLFS && !s.Ignored && !s.Uploaded {
			lfs = append(lfs, a)
		}
	}
	if len(lfs) == 0 {
		return nil
	}
	ref := revision
	if createPR {
		ref = "" // its branch doesn't exist yet
	}
	return newUploader(c, repo, ref, opts, t).upload(ctx, lfs)
}
