package control

import (
	"context"
	"time"

	"github.com/hubfs/hubfs/hub"
)

type uploadLargeFolderParams struct {
	RepoID   string       `param:"repo_id" required:"true" doc:"namespace/name; created if it is missing"`
	Folder   string       `param:"folder_path" required:"true" doc:"folder on this machine (absolute, where a mount is asked)"`
	RepoType hub.RepoType `param:"repo_type" required:"true" enum:"model|dataset|space" doc:"type of the repository"`
	atRevision
	Private     *bool      `param:"private" doc:"if it has to be created; the default of its owner if left out"`
	Allow       stringList `param:"allow_patterns" doc:"only files that match one of these"`
	Ignore      stringList `param:"ignore_patterns" doc:"no files that match one of these"`
	Workers     int        `param:"num_workers" default:"0" doc:"files that are worked on at a time; 0: one for each processor but two, and two at least"`
	Report      bool       `param:"print_report" default:"true" doc:"tell, as the progress of a job, how far it is"`
	ReportEvery int        `param:"print_report_every" default:"60" doc:"seconds between two such reports"`
}

func uploadLargeFolder(ctx context.Context, s *session, p *uploadLargeFolderParams) (any, error) {
	if p.Workers < 0 || p.Workers > 256 {
		return nil, badParam("num_workers", "is %d, and must be from 0 to 256", p.Workers)
	}
	if p.ReportEvery < 1 {
		return nil, badParam("print_report_every", "is %d, and must be 1 at least", p.ReportEvery)
	}
	folder, err := expandHome(p.Folder)
	if err != nil {
		return nil, err
	}
	opts := &hub.LargeUploadOptions{Private: p.Private, Allow: p.Allow, Ignore: p.Ignore, Workers: p.Workers}
	if tell := transferProgress(ctx); tell != nil && p.Report {
		opts.ReportEvery = time.Duration(p.ReportEvery) * time.Second
		opts.Report = func(r hub.LargeUploadReport) {
			tell(hub.Progress{Files: r.Committed, TotalDone: r.CommittedSize, Total: r.Size})
		}
	}
	_, err = s.Hub.UploadLargeFolder(ctx, hub.Repo{Type: p.RepoType, ID: p.RepoID}, p.Revision, folder, opts)
	return nil, err
}
