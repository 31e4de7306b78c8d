package control

import (
	"context"

	"github.com/hubfs/hubfs/hub"
)

var accessShape = &shape{attrs: []attr{
	{name: "username", wire: "user.user"}, {name: "fullname", wire: "user.fullname"}, {name: "email", wire: "user.email"},
	{name: "timestamp", as: date}, {name: "status"}, {name: "fields"},
}}

func accessRequests(status hub.AccessStatus) func(context.Context, *session, *inRepo) (any, error) {
	return func(ctx context.Context, s *session, p *inRepo) (any, error) {
		list, err := s.Hub.AccessRequests(ctx, p.repo(), status)
		if err != nil {
			return nil, err
		}
		out := []any{}
		for _, a := range list {
			v, err := accessShape.of(a)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	}
}

type accessParams struct {
	inRepo
	User string `param:"user" required:"true" doc:"name of the user"`
}

func acceptAccess(ctx context.Context, s *session, p *accessParams) (any, error) {
	return nil, s.Hub.AcceptAccessRequest(ctx, p.repo(), p.User)
}

func cancelAccess(ctx context.Context, s *session, p *accessParams) (any, error) {
	return nil, s.Hub.CancelAccessRequest(ctx, p.repo(), p.User)
}

type rejectAccessParams struct {
	accessParams
	Reason string `param:"rejection_reason" doc:"what the user is told; at most 200 characters"`
}

func rejectAccess(ctx context.Context, s *session, p *rejectAccessParams) (any, error) {
	return nil, s.Hub.RejectAccessRequest(ctx, p.repo(), p.User, p.Reason)
}

// grantAccess gives what HfApi does: the answer, in which there is nothing.
func grantAccess(ctx context.Context, s *session, p *accessParams) (any, error) {
	return nil, s.Hub.GrantAccess(ctx, p.repo(), p.User)
}
