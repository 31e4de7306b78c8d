package hub

import "context"

// A MetadataError is a README.md whose metadata the Hub refuses.
type MetadataError struct {
	Messages []string // the Hub's own
	Err      error    // the refusal
}

func (e *MetadataError) Error() string { return "" }
func (e *MetadataError) Unwrap() error { return e.Err }

// ValidateYAML lets the Hub check the metadata at the top of a README.md, and
// gives its warnings. Invalid metadata are a *MetadataError.
//
//	POST /api/validate-yaml
func (c *Client) ValidateYAML(ctx context.Context, t RepoType, readme string) (warnings []string, err error) {
	return nil, errUnfinished
}
