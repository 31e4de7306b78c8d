package control

import (
	"context"

	"github.com/hubfs/hubfs/syncer"
)

// schedulerParams name the scheduler that is meant: hubfs sync is HfApi's CommitScheduler, and runs in a
// process of its own.
type schedulerParams struct {
	Folder string `param:"folder" required:"true" doc:"the folder that hubfs sync pushes, or a path in it"`
}

// client is the one for the daemon that pushes the folder.
func (p *schedulerParams) client() (*Client, error) {
	path, err := expandHome(p.Folder)
	if err != nil {
		return nil, err
	}
	folder, err := FindSync(path)
	if err != nil {
		return nil, err
	}
	return NewSyncClient(folder)
}

func schedulerTrigger(ctx context.Context, _ *session, p *schedulerParams) (any, error) {
	c, err := p.client()
	if err != nil {
		return nil, err
	}
	return nil, c.TriggerSync(ctx)
}

func schedulerPush(ctx context.Context, _ *session, p *schedulerParams) (any, error) {
	c, err := p.client()
	if err != nil {
		return nil, err
	}
	st, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	res, err := c.FlushSync(ctx, 0)
	if err != nil || len(res.Commits) == 0 || len(st.Syncs) != 1 {
		return nil, err
	}
	return scheduledCommit(&st.Syncs[0], res.Commits[len(res.Commits)-1]), nil
}

// schedulerStop pushes a last time, as the context manager of the official class does.
func schedulerStop(ctx context.Context, _ *session, p *schedulerParams) (any, error) {
	c, err := p.client()
	if err != nil {
		return nil, err
	}
	_, err = c.StopSync(ctx)
	return nil, err
}

// scheduledCommit is CommitInfo.
func scheduledCommit(st *syncer.Status, made syncer.Commit) any {
	repo := st.RepoID()
	var namespace any
	if ns := repo.Namespace(); ns != "" {
		namespace = ns
	}
	return map[string]any{
		"commit_url": made.URL, "commit_message": syncer.Summary, "commit_description": "", "oid": made.OID,
		"pr_url": nil, "pr_revision": nil, "pr_num": nil, "_url": nil,
		"repo_url": map[string]any{
			"url": st.Endpoint + "/" + repo.String(), "endpoint": st.Endpoint, "namespace": namespace,
			"repo_name": repo.Name(), "repo_id": repo.ID, "repo_type": repo.Type,
		},
	}
}
