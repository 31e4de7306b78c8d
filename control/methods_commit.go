package control

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hubfs/hubfs/hub"
)

// commitParams are what all methods take that make a commit.
type commitParams struct {
	inRepo
	atRevision
	Description string `param:"commit_description" doc:"the rest of the message"`
	CreatePR    bool   `param:"create_pr" default:"false" doc:"make a pull request; read access is enough"`
	Parent      string `param:"parent_commit" doc:"fail if the branch isn't at this commit"`
}

func (p *commitParams) options(ctx context.Context, summary string) hub.CommitOptions {
	return hub.CommitOptions{
		Summary: summary, Description: p.Description, ParentCommit: p.Parent, CreatePR: p.CreatePR,
		UploadOptions: hub.UploadOptions{Progress: transferProgress(ctx)},
	}
}

// summary is the parameter of methods that have a default for it.
type summary struct {
	Summary string `param:"commit_message" doc:"first line of the message; a default if left out"`
}

// threads is the parameter of methods whose uploads can be limited.
type threads struct {
	Threads int `param:"num_threads" default:"5" doc:"transfers at a time"`
}

// localFile is the content of a file: its path on this machine, or the content itself.
type localFile struct {
	path    string
	content []byte // where path is ""
}

func (localFile) paramType() string { return "dict | str" }

// UnmarshalJSON takes a path, {"text": "..."} or {"base64": "..."}.
func (f *localFile) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return json.Unmarshal(b, &f.path)
	}
	var in struct {
		Text   *string `json:"text"`
		Base64 *[]byte `json:"base64"`
	}
	if err := strictJSON(b, &in); err != nil {
		return err
	}
	switch {
	case in.Text != nil && in.Base64 == nil:
		f.content = []byte(*in.Text)
	case in.Base64 != nil && in.Text == nil:
		f.content = *in.Base64
	default:
		return fmt.Errorf("one of text and base64")
	}
	return nil
}

func (f *localFile) source() (hub.ContentSource, error) {
	if f.path == "" {
		return hub.BytesContent(f.content), nil
	}
	path, err := expandHome(f.path)
	if err != nil {
		return hub.ContentSource{}, err
	}
	return hub.FileContent(path)
}

// expandHome is a path with a leading ~ replaced.
func expandHome(path string) (string, error) {
	if path != "~" && !strings.HasPrefix(path, "~/") {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, path[1:]), nil
}

// operation is one of a commit's; which one, its attributes' names tell, as the classes of HfApi have them:
//
//	{"op": "add", "path_in_repo": "...", "path_or_fileobj": "..."}
//	{"op": "delete", "path_in_repo": "...", "is_folder": true}
//	{"op": "copy", "src_path_in_repo": "...", "path_in_repo": "...", "src_revision": "..."}
type operation struct {
	Op             string     `json:"op"`
	PathInRepo     string     `json:"path_in_repo"`
	File           *localFile `json:"path_or_fileobj"`
	IsFolder       *folder    `json:"is_folder"`
	SourcePath     string     `json:"src_path_in_repo"`
	SourceRevision string     `json:"src_revision"`
}

// folder is true, false or "auto".
type folder struct{ yes, no bool }

func (f *folder) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "true":
		f.yes = true
	case "false":
		f.no = true
	case `"auto"`:
	default:
		return fmt.Errorf(`is_folder is true, false or "auto"`)
	}
	return nil
}

// operations is the parameter of create_commit.
type operations []operation

func (operations) paramType() string { return "list[dict]" }

// UnmarshalJSON refuses attributes that no operation has.
func (l *operations) UnmarshalJSON(b []byte) error { return strictJSON(b, (*[]operation)(l)) }

// strictJSON is json.Unmarshal that takes no unknown names.
func strictJSON(b []byte, into any) error {
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

func (l operations) parse(param string) ([]hub.Operation, error) {
	ops := make([]hub.Operation, len(l))
	for i := range l {
		op, err := l[i].parse()
		if err != nil {
			return nil, badParam(param, "has a wrong operation, number %d: %v", i+1, err)
		}
		ops[i] = op
	}
	return ops, nil
}

func (o *operation) parse() (hub.Operation, error) {
	switch {
	case o.PathInRepo == "":
		return nil, fmt.Errorf("path_in_repo is missing")
	case o.File != nil && o.Op != "add", o.IsFolder != nil && o.Op != "delete",
		(o.SourcePath != "" || o.SourceRevision != "") && o.Op != "copy":
		return nil, fmt.Errorf("it has attributes that op %q doesn't take", o.Op)
	}
	switch o.Op {
	case "add":
		if o.File == nil {
			return nil, fmt.Errorf("path_or_fileobj is missing")
		}
		content, err := o.File.source()
		if err != nil {
			return nil, err
		}
		return &hub.Add{Path: o.PathInRepo, Content: content}, nil
	case "delete":
		switch {
		case o.IsFolder != nil && o.IsFolder.yes:
			return &hub.DeleteFolder{Path: o.PathInRepo}, nil
		case o.IsFolder != nil && o.IsFolder.no:
			return &hub.Delete{Path: strings.TrimRight(o.PathInRepo, "/")}, nil
		}
		return &hub.Delete{Path: o.PathInRepo}, nil
	case "copy":
		if o.SourcePath == "" {
			return nil, fmt.Errorf("src_path_in_repo is missing")
		}
		return &hub.Copy{Source: o.SourcePath, SourceRevision: o.SourceRevision, Path: o.PathInRepo}, nil
	}
	return nil, fmt.Errorf(`op must be "add", "delete" or "copy"`)
}

type createCommitParams struct {
	commitParams
	future
	threads
	Operations operations `param:"operations" required:"true" doc:"list of {op: add, path_in_repo, path_or_fileobj}, {op: delete, path_in_repo, is_folder}, {op: copy, src_path_in_repo, path_in_repo, src_revision}"`
	Summary    string     `param:"commit_message" required:"true" doc:"first line of the message"`
}

func createCommit(ctx context.Context, s *session, p *createCommitParams) (any, error) {
	ops, err := p.Operations.parse("operations")
	if err != nil {
		return nil, err
	}
	return s.commitInfo(s.Hub.CreateCommit(ctx, p.repo(), p.Revision, hub.CommitInput{
		Summary: p.Summary, Description: p.Description, ParentCommit: p.Parent, CreatePR: p.CreatePR,
		Operations: ops, UploadOptions: hub.UploadOptions{Workers: p.Threads, Progress: transferProgress(ctx)},
	}))
}

type uploadFileParams struct {
	commitParams
	future
	summary
	File localFile `param:"path_or_fileobj" required:"true" doc:"path on this machine (absolute, where a mount is asked), or {text: ...} or {base64: ...}"`
	Path string    `param:"path_in_repo" required:"true" doc:"path in the repository"`
}

func uploadFile(ctx context.Context, s *session, p *uploadFileParams) (any, error) {
	content, err := p.File.source()
	if err != nil {
		return nil, err
	}
	opts := p.options(ctx, p.Summary)
	return s.commitInfo(s.Hub.UploadFile(ctx, p.repo(), p.Revision, p.Path, content, &opts))
}

type uploadFolderParams struct {
	commitParams
	future
	summary
	Folder string     `param:"folder_path" required:"true" doc:"folder on this machine (absolute, where a mount is asked)"`
	Path   string     `param:"path_in_repo" doc:"folder in the repository; the root if left out"`
	Allow  stringList `param:"allow_patterns" doc:"only files that match one of these"`
	Ignore stringList `param:"ignore_patterns" doc:"no files that match one of these"`
	Delete stringList `param:"delete_patterns" doc:"remove files from the repository that match one of these"`
}

func uploadFolder(ctx context.Context, s *session, p *uploadFolderParams) (any, error) {
	folder, err := expandHome(p.Folder)
	if err != nil {
		return nil, err
	}
	return s.commitInfo(s.Hub.UploadFolder(ctx, p.repo(), p.Revision, folder, &hub.UploadFolderOptions{
		CommitOptions: p.options(ctx, p.Summary), PathInRepo: p.Path, Allow: p.Allow, Ignore: p.Ignore, Delete: p.Delete,
	}))
}

type deletePathParams struct {
	commitParams
	summary
	Path string `param:"path_in_repo" required:"true" doc:"path in the repository"`
}

func deleteFile(ctx context.Context, s *session, p *deletePathParams) (any, error) {
	opts := p.options(ctx, p.Summary)
	return s.commitInfo(s.Hub.DeleteFile(ctx, p.repo(), p.Revision, p.Path, &opts))
}

func deleteFolder(ctx context.Context, s *session, p *deletePathParams) (any, error) {
	opts := p.options(ctx, p.Summary)
	return s.commitInfo(s.Hub.DeleteFolder(ctx, p.repo(), p.Revision, p.Path, &opts))
}

type deleteFilesParams struct {
	commitParams
	summary
	Patterns stringList `param:"delete_patterns" required:"true" doc:"files to remove; * stands for any characters, / included"`
}

func deleteFiles(ctx context.Context, s *session, p *deleteFilesParams) (any, error) {
	opts := p.options(ctx, p.Summary)
	return s.commitInfo(s.Hub.DeleteFiles(ctx, p.repo(), p.Revision, p.Patterns, &opts))
}

type preuploadParams struct {
	inRepo
	atRevision
	threads
	Additions operations `param:"additions" required:"true" doc:"list of {op: add, path_in_repo, path_or_fileobj}"`
	CreatePR  bool       `param:"create_pr" default:"false" doc:"they are for a pull request"`
	GitIgnore string     `param:"gitignore_content" doc:"rules for what is left out, instead of the repository's"`
}

func preuploadLFSFiles(ctx context.Context, s *session, p *preuploadParams) (any, error) {
	ops, err := p.Additions.parse("additions")
	if err != nil {
		return nil, err
	}
	adds := make([]*hub.Add, len(ops))
	for i, op := range ops {
		add, ok := op.(*hub.Add)
		if !ok {
			return nil, badParam("additions", "has an operation, number %d, that adds nothing", i+1)
		}
		adds[i] = add
	}
	return nil, s.Hub.PreuploadLFSFiles(ctx, p.repo(), p.Revision, adds, &hub.PreuploadOptions{
		CreatePR: p.CreatePR, GitIgnore: p.GitIgnore, UploadOptions: hub.UploadOptions{Workers: p.Threads, Progress: transferProgress(ctx)},
	})
}

// commitInfo makes CommitInfo of what a method of the client gave.
func (s *session) commitInfo(info *hub.CommitInfo, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	out := map[string]any{
		"commit_url": info.CommitURL, "commit_message": info.Message, "commit_description": info.Description,
		"oid": info.OID, "repo_url": repoURL(s, &info.RepoURL), "pr_url": nil, "pr_revision": nil, "pr_num": nil, "_url": nil,
	}
	if info.PRNum != 0 {
		out["pr_url"], out["pr_revision"], out["pr_num"] = info.PRURL, info.PRRevision, info.PRNum
	}
	if info.URL != info.CommitURL {
		out["_url"] = info.URL
	}
	return out, nil
}

// repoURL is RepoUrl.
func repoURL(s *session, u *hub.RepoURL) any {
	var namespace any
	if ns := u.Repo.Namespace(); ns != "" {
		namespace = ns
	}
	return map[string]any{
		"url": u.URL, "endpoint": s.Hub.Endpoint(), "namespace": namespace,
		"repo_name": u.Repo.Name(), "repo_id": u.Repo.ID, "repo_type": u.Repo.Type,
	}
}
