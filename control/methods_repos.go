package control

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hubfs/hubfs/hub"
)

type createRepoParams struct {
	inRepo
	Private       *bool    `param:"private" doc:"null: as the owner's settings say"`
	ExistOK       bool     `param:"exist_ok" default:"false" doc:"an existing repository is no error"`
	ResourceGroup string   `param:"resource_group_id" doc:"of an Enterprise organisation"`
	SDK           string   `param:"space_sdk" enum:"gradio|streamlit|docker|static" doc:"needed for a Space"`
	Hardware      string   `param:"space_hardware" doc:"such as cpu-basic"`
	Storage       string   `param:"space_storage" doc:"storage tier of a Space: small, medium or large"`
	SleepTime     *int     `param:"space_sleep_time" doc:"seconds without use until a Space sleeps; -1: never"`
	Secrets       keyValue `param:"space_secrets" secret:"true" doc:"list of {key, value, description}"`
	Variables     keyValue `param:"space_variables" doc:"list of {key, value, description}"`
}

// keyValue is a list of secrets or variables of a Space.
type keyValue []hub.KeyValue

func (keyValue) paramType() string { return "list[dict]" }

func createRepo(ctx context.Context, s *session, p *createRepoParams) (any, error) {
	if p.RepoType == hub.Space && p.SDK == "" {
		return nil, badParam("space_sdk", "is missing; a Space needs it")
	}
	u, err := s.Hub.CreateRepo(ctx, p.repo(), &hub.CreateRepoOptions{
		Private: p.Private, ExistOK: p.ExistOK, ResourceGroup: p.ResourceGroup,
		SDK: p.SDK, Hardware: p.Hardware, Storage: p.Storage, SleepTime: p.SleepTime,
		Secrets: p.Secrets, Variables: p.Variables,
	})
	if err != nil {
		return nil, err
	}
	return repoURL(s, u), nil
}

type deleteRepoParams struct {
	inRepo
	MissingOK bool `param:"missing_ok" default:"false" doc:"a repository that doesn't exist is no error"`
}

func deleteRepo(ctx context.Context, s *session, p *deleteRepoParams) (any, error) {
	return nil, s.Hub.DeleteRepo(ctx, p.repo(), p.MissingOK)
}

type moveRepoParams struct {
	FromID   string       `param:"from_id" required:"true" doc:"namespace/name now"`
	ToID     string       `param:"to_id" required:"true" doc:"namespace/name then"`
	RepoType hub.RepoType `param:"repo_type" default:"model" enum:"model|dataset|space" doc:"type of the repository"`
	caller
}

func moveRepo(ctx context.Context, s *session, p *moveRepoParams) (any, error) {
	return nil, s.Hub.MoveRepo(ctx, hub.Repo{Type: p.RepoType, ID: p.FromID}, p.ToID)
}

type updateSettingsParams struct {
	inRepo
	Gated   *gated `param:"gated" enum:"auto|manual|false" doc:"how access is granted; false: to everybody"`
	Private *bool  `param:"private" doc:"only the owner's members see it"`
}

// gated is "auto", "manual" or false.
type gated hub.Gated

func (gated) paramType() string { return "bool | str" }

// UnmarshalJSON takes the values that the table's enum allows.
func (g *gated) UnmarshalJSON(b []byte) error {
	var word string
	if json.Unmarshal(b, &word) == nil {
		*g = gated(word)
		return nil
	}
	*g = gated(hub.GatedNo)
	return nil
}

func updateRepoSettings(ctx context.Context, s *session, p *updateSettingsParams) (any, error) {
	if p.Gated == nil && p.Private == nil {
		return nil, badParam("gated", "or parameter private must be given: there is nothing to change")
	}
	settings := hub.RepoSettings{Private: p.Private}
	if p.Gated != nil {
		settings.Gated = hub.Gated(*p.Gated)
	}
	return nil, s.Hub.UpdateRepoSettings(ctx, p.repo(), settings)
}

type visibilityParams struct {
	inRepo
	Private bool `param:"private" default:"false" doc:"only the owner's members see it"`
}

func updateRepoVisibility(ctx context.Context, s *session, p *visibilityParams) (any, error) {
	return s.Hub.UpdateRepoVisibility(ctx, p.repo(), p.Private)
}

// infoParams are what all kinds of info calls take.
type infoParams struct {
	atRevision
	FilesMetadata bool       `param:"files_metadata" default:"false" doc:"with size, blob id and LFS of each file"`
	Expand        stringList `param:"expand" doc:"only these properties, by their names in the Hub's API"`
	timed
}

func (p *infoParams) ask(ctx context.Context, s *session, repo hub.Repo, securityStatus bool) (any, error) {
	if len(p.Expand) > 0 && (p.FilesMetadata || securityStatus) {
		return nil, badParam("expand", "can't be given with files_metadata or securityStatus")
	}
	info, err := s.Hub.RepoInfo(ctx, repo, &hub.RepoInfoOptions{
		Revision: p.Revision, FilesMetadata: p.FilesMetadata, SecurityStatus: securityStatus, Expand: p.Expand,
	})
	if err != nil {
		return nil, err
	}
	return repoInfo(info)
}

type repoInfoParams struct {
	inRepo
	infoParams
}

func getRepoInfo(ctx context.Context, s *session, p *repoInfoParams) (any, error) {
	return p.ask(ctx, s, p.repo(), false)
}

// oneType names a repository whose type is in the method's name.
type oneType struct {
	RepoID string `param:"repo_id" required:"true" doc:"namespace/name"`
	caller
}

type modelInfoParams struct {
	oneType
	infoParams
	SecurityStatus bool `param:"securityStatus" default:"false" doc:"with what the scanners say"`
}

func modelInfo(ctx context.Context, s *session, p *modelInfoParams) (any, error) {
	return p.ask(ctx, s, hub.Repo{Type: hub.Model, ID: p.RepoID}, p.SecurityStatus)
}

type otherInfoParams struct {
	oneType
	infoParams
}

func datasetInfo(ctx context.Context, s *session, p *otherInfoParams) (any, error) {
	return p.ask(ctx, s, hub.Repo{Type: hub.Dataset, ID: p.RepoID}, false)
}

func spaceInfo(ctx context.Context, s *session, p *otherInfoParams) (any, error) {
	return p.ask(ctx, s, hub.Repo{Type: hub.Space, ID: p.RepoID}, false)
}

func repoExists(ctx context.Context, s *session, p *inRepo) (any, error) {
	return s.Hub.RepoExists(ctx, p.repo())
}

func authCheck(ctx context.Context, s *session, p *inRepo) (any, error) {
	return nil, s.Hub.AuthCheck(ctx, p.repo())
}

type whoamiParams struct {
	caller
}

func whoami(ctx context.Context, s *session, _ *whoamiParams) (any, error) {
	who, err := s.Hub.WhoAmI(ctx)
	if err != nil {
		return nil, fmt.Errorf("whoami: %w", err)
	}
	return who.Raw, nil
}
