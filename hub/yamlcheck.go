package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// readmePath is the one file whose metadata the Hub checks.
const readmePath = "README.md"

// maxReadme bounds what is sent to be checked, which is held in memory.
const maxReadme = 16 << 20

// A MetadataError is a README.md whose metadata the Hub refuses.
type MetadataError struct {
	Messages []string // the Hub's own
	Err      error    // the refusal
}

// Error lists what is wrong, in the words of the Hub.
func (e *MetadataError) Error() string {
	return "invalid metadata in README.md: " + strings.Join(e.Messages, "; ")
}

// Unwrap gives the refusal.
func (e *MetadataError) Unwrap() error { return e.Err }

type yamlMessages []struct {
	Message string `json:"message"`
}

func (m yamlMessages) texts() []string {
	var texts []string
	for _, msg := range m {
		texts = append(texts, oneLine(msg.Message, 2000))
	}
	return texts
}

type yamlAnswer struct {
	Errors   yamlMessages `json:"errors"`
	Warnings yamlMessages `json:"warnings"`
}

// ValidateYAML lets the Hub check the metadata at the top of a README.md, and
// gives its warnings. Invalid metadata are a *MetadataError.
//
//	POST /api/validate-yaml
func (c *Client) ValidateYAML(ctx context.Context, t RepoType, readme string) (warnings []string, err error) {
	r, err := (&request{method: http.MethodPost, path: at("/api/validate-yaml"), repeat: true}).withJSON(struct {
		Content  string   `json:"content"`
		RepoType RepoType `json:"repoType"`
	}{readme, t})
	if err != nil {
		return nil, err
	}
	req, err := c.build(ctx, r, Repo{})
	if err != nil {
		return nil, err
	}
	resp, err := c.roundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var out yamlAnswer
	if resp.StatusCode == http.StatusBadRequest {
		// The error keeps the messages as one text only.
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		if err != nil {
			return nil, requestError(req, err)
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		refusal := responseError(resp)
		if json.Unmarshal(body, &out) != nil || len(out.Errors) == 0 {
			return nil, refusal
		}
		return nil, &MetadataError{out.Errors.texts(), refusal}
	}
	if resp.StatusCode >= 300 {
		return nil, responseError(resp)
	}
	if err := decodeJSON(resp, func(dec *json.Decoder) error { return dec.Decode(&out) }); err != nil {
		return nil, err
	}
	if len(out.Errors) > 0 {
		return nil, &MetadataError{out.Errors.texts(), protocolError(req, "errors in an answer that says success")}
	}
	return out.Warnings.texts(), nil
}

// CheckReadme lets the Hub check the metadata of an addition, if it is the README.md, and
// gives its warnings. Invalid metadata are an *[OperationError] with a *[MetadataError].
// CreateCommit does it first of all, and not again after this.
//
//	POST /api/validate-yaml
func (c *Client) CheckReadme(ctx context.Context, t RepoType, a *Add) (warnings []string, err error) {
	path, err := repoPath(a.Path)
	if err != nil {
		return nil, err
	}
	return c.checkReadme(ctx, t, addition{a, path})
}

// checkReadme checks a README.md before anything is uploaded.
func (c *Client) checkReadme(ctx context.Context, t RepoType, a addition) (warnings []string, err error) {
	if a.path != readmePath || a.State.Checked {
		return nil, nil
	}
	warnings, err = c.validateReadme(ctx, t, a.path, &a.Content)
	a.State.Checked = err == nil
	return warnings, err
}

// validateReadme is checkReadme of content at any path.
func (c *Client) validateReadme(ctx context.Context, t RepoType, path string, content *ContentSource) (warnings []string, err error) {
	if content.Size > maxReadme {
		return nil, &OperationError{path, &ValidationError{What: "file", Value: path, Reason: fmt.Sprintf("is larger than %d MiB", maxReadme>>20)}}
	}
	text, err := content.prefix(content.Size)
	if err != nil {
		return nil, &OperationError{path, err}
	}
	warnings, err = c.ValidateYAML(ctx, t, string(text))
	var invalid *MetadataError
	if errors.As(err, &invalid) {
		return nil, &OperationError{path, err}
	}
	return warnings, err
}
