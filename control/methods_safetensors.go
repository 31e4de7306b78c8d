package control

import (
	"context"

	"github.com/hubfs/hubfs/hub"
)

type safetensorsParams struct {
	inRepo
	atRevision
}

func getSafetensors(ctx context.Context, s *session, p *safetensorsParams) (any, error) {
	r, err := s.Hub.SafetensorsMetadata(ctx, p.repo(), p.orMain())
	if err != nil {
		return nil, err
	}
	files := make(map[string]any, len(r.Files))
	for name, f := range r.Files {
		files[name] = safetensorsFile(f)
	}
	out := map[string]any{
		"metadata": nil, "sharded": r.Sharded, "weight_map": r.WeightMap, "files_metadata": files, "parameter_count": r.ParameterCount(),
	}
	if r.Metadata != nil {
		out["metadata"] = r.Metadata
	}
	return out, nil
}

type safetensorsFileParams struct {
	inRepo
	atRevision
	Filename string `param:"filename" required:"true" doc:"path of the file in the repository"`
}

func parseSafetensors(ctx context.Context, s *session, p *safetensorsFileParams) (any, error) {
	f, err := s.Hub.SafetensorsFile(ctx, hub.FileRef{Repo: p.repo(), Revision: p.orMain(), Path: p.Filename})
	if err != nil {
		return nil, err
	}
	return safetensorsFile(f), nil
}

// safetensorsFile is SafetensorsFileMetadata.
func safetensorsFile(f *hub.SafetensorsFile) any {
	tensors := make(map[string]any, len(f.Tensors))
	for name, t := range f.Tensors {
		tensors[name] = map[string]any{"dtype": t.DType, "shape": t.Shape, "data_offsets": t.DataOffsets, "parameter_count": t.ParameterCount()}
	}
	return map[string]any{"metadata": f.Metadata, "tensors": tensors, "parameter_count": f.ParameterCount()}
}
