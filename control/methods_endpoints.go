package control

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hubfs/hubfs/hub"
)

// object is a JSON object that is passed on as it is.
type object json.RawMessage

func (object) paramType() string { return "dict" }

// UnmarshalJSON takes an object.
func (o *object) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '{' {
		return fmt.Errorf("an object")
	}
	*o = append(object(nil), b...)
	return nil
}

// endpointOf is InferenceEndpoint.
func endpointOf(e *hub.InferenceEndpoint, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	raw, err := jsonOf(e.Raw)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"name": e.Name, "namespace": e.Namespace, "repository": e.Repository, "status": e.Status, "url": orNull(e.URL),
		"framework": e.Framework, "revision": orNull(e.Revision), "task": orNull(e.Task),
		"created_at": dateOf(e.CreatedAt), "updated_at": dateOf(e.UpdatedAt), "type": e.Type, "health_route": orNull(e.HealthRoute), "raw": raw,
	}, nil
}

// inNamespace is the part of a parameter struct that says whose endpoints are meant.
type inNamespace struct {
	Namespace string `param:"namespace" doc:"whose endpoints; the user's own if left out"`
	caller
}

type endpointParams struct {
	Name string `param:"name" required:"true" doc:"name of the endpoint"`
	inNamespace
}

type listEndpointsParams struct {
	Namespace string `param:"namespace" doc:"whose endpoints; the user's own if left out; *: those of the user's organisations as well"`
	caller
}

func listInferenceEndpoints(ctx context.Context, s *session, p *listEndpointsParams) (any, error) {
	list, err := s.Hub.InferenceEndpoints(ctx, p.Namespace)
	if err != nil {
		return nil, err
	}
	out := make([]any, len(list))
	for i, e := range list {
		if out[i], err = endpointOf(e, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

type createEndpointParams struct {
	Name         string            `param:"name" required:"true" doc:"name of the endpoint: lower-case letters, digits and -"`
	Repository   string            `param:"repository" required:"true" doc:"namespace/name of the model"`
	Framework    string            `param:"framework" required:"true" doc:"such as pytorch or custom"`
	Accelerator  string            `param:"accelerator" required:"true" doc:"cpu, gpu or neuron"`
	InstanceSize string            `param:"instance_size" required:"true" doc:"such as x2"`
	InstanceType string            `param:"instance_type" required:"true" doc:"such as intel-icl"`
	Region       string            `param:"region" required:"true" doc:"such as us-east-1"`
	Vendor       string            `param:"vendor" required:"true" doc:"such as aws"`
	AccountID    string            `param:"account_id" doc:"account of a private link"`
	MinReplica   int               `param:"min_replica" default:"0" doc:"instances at least"`
	MaxReplica   int               `param:"max_replica" default:"1" doc:"instances at most"`
	ScaleToZero  *int              `param:"scale_to_zero_timeout" default:"15" doc:"minutes without use until it is scaled to zero"`
	Revision     string            `param:"revision" doc:"commit, branch or tag of the model"`
	Task         string            `param:"task" doc:"such as text-classification"`
	CustomImage  object            `param:"custom_image" doc:"Docker image: {url, health_route, env, ...}"`
	Secrets      map[string]string `param:"secrets" secret:"true" doc:"what the container reads as environment variables"`
	Type         string            `param:"type" default:"protected" doc:"who may use it: public, protected (authenticated) or private"`
	inNamespace
}

func createInferenceEndpoint(ctx context.Context, s *session, p *createEndpointParams) (any, error) {
	return endpointOf(s.Hub.CreateInferenceEndpoint(ctx, hub.EndpointOptions{
		Name: p.Name, Namespace: p.Namespace, Repository: p.Repository, Framework: p.Framework, Revision: p.Revision, Task: p.Task,
		Accelerator: p.Accelerator, InstanceSize: p.InstanceSize, InstanceType: p.InstanceType, Region: p.Region, Vendor: p.Vendor,
		AccountID: p.AccountID, MinReplica: p.MinReplica, MaxReplica: &p.MaxReplica, ScaleToZeroTimeout: p.ScaleToZero,
		CustomImage: json.RawMessage(p.CustomImage), Secrets: p.Secrets, Type: p.Type,
	}))
}

func getInferenceEndpoint(ctx context.Context, s *session, p *endpointParams) (any, error) {
	return endpointOf(s.Hub.InferenceEndpoint(ctx, p.Namespace, p.Name))
}

type updateEndpointParams struct {
	Name         string            `param:"name" required:"true" doc:"name of the endpoint"`
	Accelerator  string            `param:"accelerator" doc:"cpu, gpu or neuron"`
	InstanceSize string            `param:"instance_size" doc:"such as x4"`
	InstanceType string            `param:"instance_type" doc:"such as intel-icl"`
	MinReplica   *int              `param:"min_replica" doc:"instances at least"`
	MaxReplica   *int              `param:"max_replica" doc:"instances at most"`
	ScaleToZero  *int              `param:"scale_to_zero_timeout" doc:"minutes without use until it is scaled to zero"`
	Repository   string            `param:"repository" doc:"namespace/name of the model"`
	Framework    string            `param:"framework" doc:"such as pytorch or custom"`
	Revision     string            `param:"revision" doc:"commit, branch or tag of the model"`
	Task         string            `param:"task" doc:"such as text-classification"`
	CustomImage  object            `param:"custom_image" doc:"Docker image: {url, health_route, env, ...}"`
	Secrets      map[string]string `param:"secrets" secret:"true" doc:"all that there shall be"`
	inNamespace
}

func updateInferenceEndpoint(ctx context.Context, s *session, p *updateEndpointParams) (any, error) {
	return endpointOf(s.Hub.UpdateInferenceEndpoint(ctx, p.Namespace, p.Name, hub.EndpointUpdate{
		Accelerator: p.Accelerator, InstanceSize: p.InstanceSize, InstanceType: p.InstanceType,
		MinReplica: p.MinReplica, MaxReplica: p.MaxReplica, ScaleToZeroTimeout: p.ScaleToZero,
		Repository: p.Repository, Framework: p.Framework, Revision: p.Revision, Task: p.Task,
		CustomImage: json.RawMessage(p.CustomImage), Secrets: p.Secrets,
	}))
}

func deleteInferenceEndpoint(ctx context.Context, s *session, p *endpointParams) (any, error) {
	return nil, s.Hub.DeleteInferenceEndpoint(ctx, p.Namespace, p.Name)
}

func pauseInferenceEndpoint(ctx context.Context, s *session, p *endpointParams) (any, error) {
	return endpointOf(s.Hub.PauseInferenceEndpoint(ctx, p.Namespace, p.Name))
}

type resumeEndpointParams struct {
	endpointParams
	RunningOK bool `param:"running_ok" default:"true" doc:"an endpoint that runs already is no error"`
}

func resumeInferenceEndpoint(ctx context.Context, s *session, p *resumeEndpointParams) (any, error) {
	return endpointOf(s.Hub.ResumeInferenceEndpoint(ctx, p.Namespace, p.Name, p.RunningOK))
}

func scaleToZeroInferenceEndpoint(ctx context.Context, s *session, p *endpointParams) (any, error) {
	return endpointOf(s.Hub.ScaleToZeroInferenceEndpoint(ctx, p.Namespace, p.Name))
}
