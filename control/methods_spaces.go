package control

import (
	"context"
	"encoding/json"

	"github.com/hubfs/hubfs/hub"
)

// inSpace is the part of a parameter struct that names a Space.
type inSpace struct {
	RepoID string `param:"repo_id" required:"true" doc:"namespace/name of the Space"`
	caller
}

// runtimeOf is SpaceRuntime.
func runtimeOf(rt *hub.SpaceRuntime, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	raw, err := jsonOf(rt.Raw)
	if err != nil {
		return nil, err
	}
	return spaceRuntime(raw), nil
}

// variablesOf is the dict of SpaceVariable, by key.
func variablesOf(vars map[string]hub.SpaceVariable, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(vars))
	for key, v := range vars {
		out[key] = map[string]any{"key": key, "value": v.Value, "description": orNull(v.Description), "updated_at": dateOf(v.UpdatedAt)}
	}
	return out, nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

type spaceKeyParams struct {
	inSpace
	Key string `param:"key" required:"true" doc:"name of it: letters, digits and _"`
}

type spaceSecretParams struct {
	spaceKeyParams
	Value       *string `param:"value" required:"true" secret:"true" doc:"what the app reads; nobody is shown it again"`
	Description string  `param:"description" doc:"what it is for"`
}

func addSpaceSecret(ctx context.Context, s *session, p *spaceSecretParams) (any, error) {
	return nil, s.Hub.AddSpaceSecret(ctx, p.RepoID, hub.KeyValue{Key: p.Key, Value: *p.Value, Description: p.Description})
}

func deleteSpaceSecret(ctx context.Context, s *session, p *spaceKeyParams) (any, error) {
	return nil, s.Hub.DeleteSpaceSecret(ctx, p.RepoID, p.Key)
}

func getSpaceVariables(ctx context.Context, s *session, p *inSpace) (any, error) {
	return variablesOf(s.Hub.SpaceVariables(ctx, p.RepoID))
}

type spaceVariableParams struct {
	spaceKeyParams
	Value       *string `param:"value" required:"true" doc:"what the app reads; everybody who may write to the Space sees it"`
	Description string  `param:"description" doc:"what it is for"`
}

func addSpaceVariable(ctx context.Context, s *session, p *spaceVariableParams) (any, error) {
	return variablesOf(s.Hub.AddSpaceVariable(ctx, p.RepoID, hub.KeyValue{Key: p.Key, Value: *p.Value, Description: p.Description}))
}

func deleteSpaceVariable(ctx context.Context, s *session, p *spaceKeyParams) (any, error) {
	return variablesOf(s.Hub.DeleteSpaceVariable(ctx, p.RepoID, p.Key))
}

func getSpaceRuntime(ctx context.Context, s *session, p *inSpace) (any, error) {
	return runtimeOf(s.Hub.SpaceRuntime(ctx, p.RepoID))
}

type spaceHardwareParams struct {
	inSpace
	Hardware  string `param:"hardware" required:"true" doc:"such as cpu-basic or t4-medium"`
	SleepTime *int   `param:"sleep_time" doc:"seconds without use until it sleeps; -1: never"`
}

func requestSpaceHardware(ctx context.Context, s *session, p *spaceHardwareParams) (any, error) {
	return runtimeOf(s.Hub.RequestSpaceHardware(ctx, p.RepoID, p.Hardware, p.SleepTime))
}

type spaceSleepParams struct {
	inSpace
	SleepTime int `param:"sleep_time" required:"true" doc:"seconds without use until it sleeps; -1: never"`
}

func setSpaceSleepTime(ctx context.Context, s *session, p *spaceSleepParams) (any, error) {
	return runtimeOf(s.Hub.SetSpaceSleepTime(ctx, p.RepoID, p.SleepTime))
}

func pauseSpace(ctx context.Context, s *session, p *inSpace) (any, error) {
	return runtimeOf(s.Hub.PauseSpace(ctx, p.RepoID))
}

type restartSpaceParams struct {
	inSpace
	Factory bool `param:"factory_reboot" default:"false" doc:"build it from scratch"`
}

func restartSpace(ctx context.Context, s *session, p *restartSpaceParams) (any, error) {
	return runtimeOf(s.Hub.RestartSpace(ctx, p.RepoID, p.Factory))
}

type spaceStorageParams struct {
	inSpace
	Storage string `param:"storage" required:"true" doc:"small, medium or large; it can't shrink"`
}

func requestSpaceStorage(ctx context.Context, s *session, p *spaceStorageParams) (any, error) {
	return runtimeOf(s.Hub.RequestSpaceStorage(ctx, p.RepoID, p.Storage))
}

func deleteSpaceStorage(ctx context.Context, s *session, p *inSpace) (any, error) {
	return runtimeOf(s.Hub.DeleteSpaceStorage(ctx, p.RepoID))
}

type duplicateSpaceParams struct {
	FromID    string   `param:"from_id" required:"true" doc:"namespace/name of the original"`
	ToID      string   `param:"to_id" doc:"name, id or URL of the copy; the name of the original if left out"`
	Private   *bool    `param:"private" doc:"null: as the original"`
	ExistOK   bool     `param:"exist_ok" default:"false" doc:"an existing Space is no error"`
	Hardware  string   `param:"hardware" doc:"such as cpu-basic"`
	Storage   string   `param:"storage" doc:"small, medium or large"`
	SleepTime *int     `param:"sleep_time" doc:"seconds without use until it sleeps; -1: never"`
	Secrets   keyValue `param:"secrets" secret:"true" doc:"list of {key, value, description}; those of the original aren't copied"`
	Variables keyValue `param:"variables" doc:"list of {key, value, description}, added to those of the original"`
	caller
}

func duplicateSpace(ctx context.Context, s *session, p *duplicateSpaceParams) (any, error) {
	u, err := s.Hub.DuplicateSpace(ctx, p.FromID, &hub.DuplicateSpaceOptions{
		To: p.ToID, Private: p.Private, ExistOK: p.ExistOK, Hardware: p.Hardware, Storage: p.Storage, SleepTime: p.SleepTime,
		Secrets: p.Secrets, Variables: p.Variables,
	})
	if err != nil {
		return nil, err
	}
	return repoURL(s, u), nil
}

// jsonOf is any JSON as values whose numbers keep their digits.
func jsonOf(raw json.RawMessage) (any, error) {
	var v any
	return v, decodeNumbers(raw, &v)
}
