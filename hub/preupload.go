package hub

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"golang.org/x/sync/errgroup"
)

const (
	preuploadFiles   = 256 // a call
	preuploadCalls   = 4   // at a time
	preuploadSample  = 512 // bytes of each file that are shown to the server
	maxGitIgnoreSize = 1 << 20
)

type preuploadRequest struct {
	Files     []preuploadFile `json:"files"`
	GitIgnore *string         `json:"gitIgnore,omitempty"`
}

type preuploadFile struct {
	Path   string `json:"path"`
	Sample []byte `json:"sample"` // base64 on the wire
	Size   int64  `json:"size"`
}

type preuploadAnswer struct {
	Files []struct {
		Path         string     `json:"path"`
		UploadMode   UploadMode `json:"uploadMode"`
		ShouldIgnore bool       `json:"shouldIgnore"`
		OID          string     `json:"oid"`
	} `json:"files"`
	CommitOID string `json:"commitOid"`
}

// An addition is an Add whose path was checked.
type addition struct {
	*Add
	path string
}

// preupload asks how those of the additions are stored whose mode isn't known.
func (c *Client) preupload(ctx context.Context, repo Repo, revision string, adds []addition, createPR bool, gitIgnore string) error {
	rules, err := ignoreRules(adds, gitIgnore)
	if err != nil {
		return err
	}
	var unknown []addition
	for _, a := range adds {
		if a.State.Mode == "" {
			unknown = append(unknown, a)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(preuploadCalls)
	for len(unknown) > 0 {
		n := min(len(unknown), preuploadFiles)
		some := unknown[:n]
		unknown = unknown[n:]
		g.Go(func() error { return c.preuploadSome(ctx, repo, revision, some, createPR, rules) })
	}
	return g.Wait()
}

// ignoreRules are those that the caller gave, else those of a .gitignore that is
// itself being added.
func ignoreRules(adds []addition, given string) (*string, error) {
	if given != "" {
		return &given, nil
	}
	for _, a := range adds {
		if a.path != ".gitignore" {
			continue
		}
		if a.Content.Size > maxGitIgnoreSize {
			return nil, &OperationError{a.path, &ValidationError{What: "file", Value: a.path, Reason: fmt.Sprintf("is larger than %d bytes", maxGitIgnoreSize)}}
		}
		text, err := a.Content.prefix(maxGitIgnoreSize)
		if err != nil {
			return nil, &OperationError{a.path, err}
		}
		rules := string(text)
		return &rules, nil
	}
	return nil, nil
}

func (c *Client) preuploadSome(ctx context.Context, repo Repo, revision string, adds []addition, createPR bool, rules *string) error {
	in := preuploadRequest{GitIgnore: rules}
	byPath := make(map[string][]addition, len(adds))
	for _, a := range adds {
		sample, err := a.Content.prefix(preuploadSample)
		if err != nil {
			return &OperationError{a.path, err}
		}
		if byPath[a.path] == nil {
			in.Files = append(in.Files, preuploadFile{a.path, sample, a.Content.Size})
		}
		byPath[a.path] = append(byPath[a.path], a)
	}
	r, err := (&request{method: http.MethodPost, repo: repo, path: below("preupload", revision), query: createPRQuery(createPR), repeat: true}).withJSON(in)
	if err != nil {
		return err
	}
	var out preuploadAnswer
	if err := c.doJSON(ctx, r, &out); err != nil {
		return err
	}
	for _, f := range out.Files {
		if f.UploadMode != UploadLFS && f.UploadMode != UploadRegular {
			return c.protocolError(r, "the server wants %q stored in a way that isn't known: %q", f.Path, f.UploadMode)
		}
		for _, a := range byPath[f.Path] {
			mode := f.UploadMode
			if a.Content.Size == 0 {
				mode = UploadRegular // there is no empty LFS object
			}
			a.State.Mode, a.State.Ignored = mode, f.ShouldIgnore
			a.State.RemoteOID, a.State.RemoteHead = f.OID, out.CommitOID
		}
		delete(byPath, f.Path)
	}
	for path := range byPath {
		return c.protocolError(r, "the server doesn't say how to store %q", path)
	}
	return nil
}

func createPRQuery(createPR bool) url.Values {
	if !createPR {
		return nil
	}
	return url.Values{"create_pr": {"1"}}
}
