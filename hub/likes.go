package hub

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Like is a repository that a user likes.
type Like struct {
	Repo      Repo
	CreatedAt time.Time // zero where the Hub doesn't say
}

// Like lets the user like a repository. Doing so again changes nothing. The Hub itself
// may refuse programs; embedded ones don't.
//
//	POST /api/{type}s/{id}/like
func (c *Client) Like(ctx context.Context, repo Repo) error {
	return c.setLike(ctx, http.MethodPost, repo)
}

// Unlike takes a like back. Without one it changes nothing.
//
//	DELETE /api/{type}s/{id}/like
func (c *Client) Unlike(ctx context.Context, repo Repo) error {
	return c.setLike(ctx, http.MethodDelete, repo)
}

func (c *Client) setLike(ctx context.Context, method string, repo Repo) error {
	if err := repo.Validate(); err != nil {
		return err
	}
	return c.doNothing(ctx, &request{method: method, repo: repo, path: below("like"), repeat: true})
}

// LikedRepos lists the public repositories that a user likes; "" is the owner of the
// token. Those with an impossible id are left out and logged. Iteration ends at the
// first error; ErrNotFound without such a user.
//
//	GET /api/users/{user}/likes
func (c *Client) LikedRepos(ctx context.Context, user string) iter.Seq2[Like, error] {
	return func(yield func(Like, error) bool) {
		user := user
		if user == "" {
			who, err := c.WhoAmI(ctx)
			if err == nil && who.Type != "user" {
				err = &ValidationError{What: "user", Reason: "is empty, and the token is no user's"}
			}
			if err != nil {
				yield(Like{}, err)
				return
			}
			user = who.Name
		}
		if err := validNamespace(user); err != nil {
			yield(Like{}, err)
			return
		}
		type wire struct {
			CreatedAt time.Time `json:"createdAt"`
			Repo      struct {
				Name string   `json:"name"`
				Type RepoType `json:"type"`
			} `json:"repo"`
		}
		for w, err := range pages[wire](ctx, c, &request{method: http.MethodGet, path: at("/api/users/" + escape(user) + "/likes")}) {
			if err != nil {
				yield(Like{}, err)
				return
			}
			like := Like{Repo: Repo{Type: w.Repo.Type, ID: w.Repo.Name}, CreatedAt: w.CreatedAt}
			if err := like.Repo.Validate(); err != nil {
				c.logger.WarnContext(ctx, "left out of the likes", "user", user, "error", err)
				continue
			}
			if !yield(like, nil) {
				return
			}
		}
	}
}

// RepoLikers lists who likes a repository. Iteration ends at the first error.
//
//	GET /api/{type}s/{id}/likers
func (c *Client) RepoLikers(ctx context.Context, repo Repo) iter.Seq2[User, error] {
	if err := repo.Validate(); err != nil {
		return failed[User](err)
	}
	return pages[User](ctx, c, &request{method: http.MethodGet, repo: repo, path: below("likers")})
}
