package syncer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// DefaultMaxCommitsPerHour bounds automatic commits where Options doesn't say otherwise.
const DefaultMaxCommitsPerHour = 60

// Hub is what a Syncer asks of the Hub; *hub.Client is one.
type Hub interface {
	RepoInfo(ctx context.Context, repo hub.Repo, opts *hub.RepoInfoOptions) (*hub.RepoInfo, error)
	CreateRepo(ctx context.Context, repo hub.Repo, opts *hub.CreateRepoOptions) (*hub.RepoURL, error)
	Refs(ctx context.Context, repo hub.Repo, includePRs bool) (*hub.Refs, error)
	FindCommit(ctx context.Context, repo hub.Repo, revision, since, mark string) (*hub.Commit, error)
	PreuploadLFSFiles(ctx context.Context, repo hub.Repo, revision string, adds []*hub.Add, opts *hub.PreuploadOptions) error
	CreateCommit(ctx context.Context, repo hub.Repo, revision string, in hub.CommitInput) (*hub.CommitInfo, error)
	SuperSquashHistory(ctx context.Context, repo hub.Repo, branch, message string) error
}

// Options say what is pushed, where to, and when.
type Options struct {
	Hub      Hub
	Endpoint string // of the Hub; part of what the state is kept by
	Folder   string // is made if it doesn't exist
	Repo     hub.Repo
	Revision string // a branch, or a pull request as refs/pr/<number>; "" is main

	PathInRepo string        // folder of the repository that the files go to; "" is the root
	Allow      []string      // see hub.Patterns; nil allows all
	Ignore     []string      // in addition to hub.DefaultIgnorePatterns
	Every      time.Duration // between automatic pushes; 0 is never: on demand, and at the end
	Private    bool          // if the repository has to be created
	// SquashHistory makes one commit of all the branch's history after a push that committed something.
	SquashHistory bool
	// MaxCommitsPerHour bounds automatic commits; 0 is DefaultMaxCommitsPerHour, below 0 is no bound. What
	// is asked for and the push at the end don't wait for it.
	MaxCommitsPerHour int
	// StopTimeout is for how long the push at the end may go on.
	StopTimeout time.Duration

	StateDir string // of all syncs; never a cache
	Logger   *slog.Logger
}

// Key is whose state is whose.
type Key struct {
	Endpoint   string       `json:"endpoint"`
	Folder     string       `json:"folder"`
	Type       hub.RepoType `json:"type"`
	Repo       string       `json:"repo"`
	Revision   string       `json:"revision"`
	PathInRepo string       `json:"path_in_repo"`
}

// name is that of the key's folder.
func (k Key) name() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		k.Endpoint, k.Folder, string(k.Type), strings.ToLower(k.Repo), k.Revision, k.PathInRepo,
	}, "\x00")))
	return hex.EncodeToString(sum[:12])
}

// check refuses what can't be pushed, and brings the rest into one form.
func (o *Options) check() error {
	o.Revision = cmp.Or(o.Revision, "main")
	o.Repo.Type = cmp.Or(o.Repo.Type, hub.Model)
	o.MaxCommitsPerHour = cmp.Or(o.MaxCommitsPerHour, DefaultMaxCommitsPerHour)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := o.Repo.Validate(); err != nil {
		return err
	}
	switch {
	case o.Every < 0:
		return &hub.ValidationError{What: "time between pushes", Value: o.Every.String(), Reason: "is below zero"}
	case o.SquashHistory && strings.HasPrefix(o.Revision, "refs/pr/"):
		return &hub.ValidationError{What: "revision", Value: o.Revision, Reason: "is a pull request, whose history can't be squashed"}
	case o.StateDir == "":
		return errors.New("syncer: no folder for state")
	}
	o.PathInRepo = strings.Trim(path.Clean("/"+o.PathInRepo), "/")
	if o.PathInRepo != "" {
		if err := hub.ValidPath(o.PathInRepo); err != nil {
			return err
		}
	}
	info, err := os.Stat(o.Folder)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = os.MkdirAll(o.Folder, 0o777) //nolint:gosec // the user's umask decides
	case err == nil && !info.IsDir():
		err = &os.PathError{Op: "sync", Path: o.Folder, Err: errors.New("not a folder")}
	}
	if err != nil {
		return err
	}
	if o.Folder, err = filepath.Abs(o.Folder); err == nil {
		o.Folder, err = filepath.EvalSymlinks(o.Folder)
	}
	return err
}

func (o *Options) key() Key {
	return Key{o.Endpoint, o.Folder, o.Repo.Type, o.Repo.ID, o.Revision, o.PathInRepo}
}

// patterns are those of all pushes.
func (o *Options) patterns() hub.Patterns {
	return hub.Patterns{Allow: o.Allow, Ignore: append(hub.DefaultIgnorePatterns(), o.Ignore...)}
}

// prepareRepo makes the repository if there is none, and gives when it was created, zero if that isn't known.
func (s *Syncer) prepareRepo(ctx context.Context) (time.Time, error) {
	info, err := s.o.Hub.RepoInfo(ctx, s.o.Repo, nil)
	if errors.Is(err, hub.ErrRepoNotFound) || errors.Is(err, hub.ErrUnauthorized) {
		if s.o.Repo.Type == hub.Space {
			return time.Time{}, fmt.Errorf("%w; make the Space first: hubfs api create_repo repo_id=%s repo_type=space space_sdk=docker", err, s.o.Repo.ID)
		}
		opts := &hub.CreateRepoOptions{ExistOK: true}
		if s.o.Private {
			opts.Private = &s.o.Private
		}
		if _, err := s.o.Hub.CreateRepo(ctx, s.o.Repo, opts); err != nil {
			return time.Time{}, fmt.Errorf("create %s: %w", s.o.Repo, err)
		}
		s.log.Info("repository created", "repo", s.o.Repo, "private", s.o.Private)
		info, err = s.o.Hub.RepoInfo(ctx, s.o.Repo, nil)
	}
	if err != nil {
		return time.Time{}, err
	}
	if s.o.Private && info.Private != nil && !*info.Private {
		s.log.Warn("the repository is there already, and public", "repo", s.o.Repo)
	}
	return info.CreatedAt, nil
}

// head is the commit that the branch is at.
func (s *Syncer) head(ctx context.Context) (string, error) {
	isPR := strings.HasPrefix(s.o.Revision, "refs/pr/")
	refs, err := s.o.Hub.Refs(ctx, s.o.Repo, isPR)
	if err != nil {
		return "", err
	}
	for ref := range branches(refs) {
		if ref.Name == s.o.Revision && !isPR || ref.Ref == s.o.Revision {
			return ref.TargetCommit, nil
		}
	}
	for _, tag := range refs.Tags {
		if tag.Name == s.o.Revision {
			return "", fmt.Errorf("%s@%s is a tag, and only branches take commits", s.o.Repo, s.o.Revision)
		}
	}
	return "", fmt.Errorf("%s has no branch %s: %w", s.o.Repo, s.o.Revision, hub.ErrRevisionNotFound)
}

// branches are the refs that take commits.
func branches(refs *hub.Refs) iter.Seq[hub.Ref] {
	return func(yield func(hub.Ref) bool) {
		for _, list := range [][]hub.Ref{refs.Branches, refs.PullRequests} {
			for _, ref := range list {
				if !yield(ref) {
					return
				}
			}
		}
	}
}
