package control

import (
	"context"
	"iter"
	"net/url"
	"strings"

	"github.com/hubfs/hubfs/hub"
)

type listTreeParams struct {
	inRepo
	atRevision
	Path      string `param:"path_in_repo" doc:"folder; the root if left out"`
	Recursive bool   `param:"recursive" default:"false" doc:"everything below it"`
	Expand    bool   `param:"expand" default:"false" doc:"with last commit and security status; slower"`
}

func listRepoTree(ctx context.Context, s *session, p *listTreeParams) iter.Seq2[any, error] {
	return mapped(s.Hub.Tree(ctx, p.repo(), p.orMain(), p.Path, &hub.TreeOptions{Recursive: p.Recursive, Expand: p.Expand}), treeEntry)
}

type listFilesParams struct {
	inRepo
	atRevision
}

func listRepoFiles(ctx context.Context, s *session, p *listFilesParams) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for e, err := range s.Hub.Tree(ctx, p.repo(), p.orMain(), "", &hub.TreeOptions{Recursive: true}) {
			if err == nil && e.Type != hub.TypeFile {
				continue
			}
			if !yield(e.Path, err) || err != nil {
				return
			}
		}
	}
}

type pathsInfoParams struct {
	inRepo
	atRevision
	Paths  stringList `param:"paths" required:"true" doc:"files and folders"`
	Expand bool       `param:"expand" default:"false" doc:"with last commit and security status; slower"`
}

func getPathsInfo(ctx context.Context, s *session, p *pathsInfoParams) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		entries, err := s.Hub.PathsInfo(ctx, p.repo(), p.orMain(), p.Paths, p.Expand)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, e := range entries {
			out, err := treeEntry(e)
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

type fileParams struct {
	inRepo
	atRevision
	Filename string `param:"filename" required:"true" doc:"path of the file in the repository"`
}

func fileExists(ctx context.Context, s *session, p *fileParams) (any, error) {
	return s.Hub.FileExists(ctx, hub.FileRef{Repo: p.repo(), Revision: p.orMain(), Path: p.Filename})
}

type metadataParams struct {
	URL string `param:"url" required:"true" doc:"of the file: ENDPOINT/[datasets/|spaces/]ns/name/resolve/REVISION/PATH"`
	timed
	caller
}

func getHFFileMetadata(ctx context.Context, s *session, p *metadataParams) (any, error) {
	ref, err := parseResolveURL(s.Hub.Endpoint(), p.URL)
	if err != nil {
		return nil, err
	}
	m, err := s.Hub.FileMetadata(ctx, ref)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"commit_hash": nil, "etag": nil, "location": m.Location.URL, "size": nil}
	if m.CommitHash != "" {
		out["commit_hash"] = m.CommitHash
	}
	if m.ETag != "" {
		out["etag"] = m.ETag
	}
	if m.Size >= 0 {
		out["size"] = m.Size
	}
	return out, nil
}

// parseResolveURL reads the URL of a file on the endpoint; others are refused, since the token would
// go there.
func parseResolveURL(endpoint, s string) (hub.FileRef, error) {
	rest, ok := strings.CutPrefix(s, endpoint+"/")
	if !ok {
		return hub.FileRef{}, badParam("url", "must begin with %s/", endpoint)
	}
	rest, _, _ = strings.Cut(rest, "?")
	id, file, ok := strings.Cut(rest, "/resolve/")
	revision, path, ok2 := strings.Cut(file, "/")
	if !ok || !ok2 || path == "" {
		return hub.FileRef{}, badParam("url", "must have the form %s/NAMESPACE/NAME/resolve/REVISION/PATH", endpoint)
	}
	repo, err := hub.ParseRepo(id)
	if err != nil {
		return hub.FileRef{}, err
	}
	if revision, err = url.PathUnescape(revision); err != nil {
		return hub.FileRef{}, badParam("url", "has a revision that isn't percent-encoded well: %v", err)
	}
	if path, err = url.PathUnescape(path); err != nil {
		return hub.FileRef{}, badParam("url", "has a path that isn't percent-encoded well: %v", err)
	}
	return hub.FileRef{Repo: repo, Revision: revision, Path: path}, nil
}
