package hub

import (
	"context"
	"errors"
	"strings"
	"time"
)

const settleTries = 3

// commitPatiently is CreateCommit, waiting where the server says that it will take
// the commit later.
func (c *Client) commitPatiently(ctx context.Context, repo Repo, revision string, in CommitInput) (*CommitInfo, error) {
	for waited := time.Duration(0); ; {
		info, err := c.CreateCommit(ctx, repo, revision, in)
		var e *Error
		if !errors.Is(err, ErrRateLimited) || !errors.As(err, &e) || e.RetryAfter <= 0 {
			return info, err
		}
		if waited += e.RetryAfter; waited > c.retrier.maxTold || sleep(ctx, e.RetryAfter) != nil {
			return info, err
		}
	}
}

// commitSettled is CreateCommit for a caller who keeps no journal: where it isn't
// known whether the commit landed, the branch is looked at. If it has the content,
// that's it; if not, the commit is sent again on the head that was looked at, so
// that of the two only one can land. This works for additions only, and not for
// the making of a pull request.
func (c *Client) commitSettled(ctx context.Context, repo Repo, revision string, in CommitInput) (*CommitInfo, error) {
	info, err := c.commitPatiently(ctx, repo, revision, in)
	var adds []*Add
	for _, op := range in.Operations {
		if a, ok := op.(*Add); ok {
			adds = append(adds, a)
		}
	}
	for try := range settleTries {
		if !errors.Is(err, ErrAmbiguousCommit) || in.CreatePR || len(adds) < len(in.Operations) || sleep(ctx, backoff(try)) != nil {
			break
		}
		head, landed, lookErr := c.hasAll(ctx, repo, revision, in.GitIgnore, adds)
		if lookErr != nil || head == "" {
			break
		}
		if !landed && in.ParentCommit != "" && !strings.HasPrefix(head, strings.ToLower(in.ParentCommit)) {
			break // somebody else was faster, or ours came and was built upon
		}
		in.ParentCommit = head
		again, againErr := c.commitPatiently(ctx, repo, revision, in)
		if errors.Is(againErr, ErrPreconditionFailed) {
			break // it may have been ours that came in between
		}
		if info, err = again, againErr; err == nil && landed {
			info.NoChange, info.Unchanged, info.OID = false, nil, head
			info.CommitURL = info.RepoURL.URL + "/commit/" + head
			info.URL = info.CommitURL
		}
	}
	return info, err
}

// hasAll asks the server anew what it has at the paths of additions. It gives the
// head of the branch, "" if the server doesn't say, and whether all that isn't
// ignored is there.
func (c *Client) hasAll(ctx context.Context, repo Repo, revision, gitIgnore string, adds []*Add) (head string, all bool, err error) {
	additions := make([]addition, len(adds))
	for i, a := range adds {
		path, err := repoPath(a.Path)
		if err != nil {
			return "", false, err
		}
		a.State.Mode = ""
		additions[i] = addition{a, path}
	}
	if revision == "" {
		revision = defaultRevision
	}
	if err := c.preupload(ctx, repo, revision, additions, false, gitIgnore); err != nil {
		return "", false, err
	}
	all = true
	for i, a := range additions {
		if i > 0 && a.State.RemoteHead != head {
			return "", false, nil // it moved between two calls
		}
		head = a.State.RemoteHead
		if a.State.Ignored {
			continue
		}
		same, err := a.sameAsRemote(ctx)
		if err != nil {
			return "", false, err
		}
		all = all && same
	}
	if !isOID(head) {
		head = ""
	}
	return head, all, nil
}
