package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RepoInfo is what the Hub says about a repository, of any type. Fields that its
// answer didn't have are nil, "" or zero: most come only where they apply, or
// were asked for by Expand. Its JSON is the Hub's own, and reads back equal.
type RepoInfo struct {
	Type RepoType `json:"-"` // known from the request

	ID               string          `json:"id"` // in the Hub's own letter case
	Author           string          `json:"author,omitempty"`
	SHA              string          `json:"sha,omitempty"` // commit of the revision asked for
	LastModified     time.Time       `json:"lastModified,omitzero"`
	CreatedAt        time.Time       `json:"createdAt,omitzero"`
	Private          *bool           `json:"private,omitempty"`
	Gated            Gated           `json:"gated,omitzero"`
	Disabled         *bool           `json:"disabled,omitempty"`
	Downloads        *int64          `json:"downloads,omitempty"` // of the last 30 days
	DownloadsAllTime *int64          `json:"downloadsAllTime,omitempty"`
	Likes            *int64          `json:"likes,omitempty"`
	Tags             []string        `json:"tags,omitzero"`
	TrendingScore    *float64        `json:"trendingScore,omitempty"`
	CardData         json.RawMessage `json:"cardData,omitempty"` // the README's metadata
	Siblings         []Sibling       `json:"siblings,omitzero"`  // unreliable beyond about 1,000 files: use Tree
	UsedStorage      *int64          `json:"usedStorage,omitempty"`
	ResourceGroup    json.RawMessage `json:"resourceGroup,omitempty"`

	// Models.
	PipelineTag              string          `json:"pipeline_tag,omitempty"`
	LibraryName              string          `json:"library_name,omitempty"`
	MaskToken                string          `json:"mask_token,omitempty"`
	Inference                string          `json:"inference,omitempty"`
	GGUF                     json.RawMessage `json:"gguf,omitempty"`
	Config                   json.RawMessage `json:"config,omitempty"`
	ModelIndex               json.RawMessage `json:"model-index,omitempty"`
	WidgetData               json.RawMessage `json:"widgetData,omitempty"`
	TransformersInfo         json.RawMessage `json:"transformersInfo,omitempty"`
	Safetensors              json.RawMessage `json:"safetensors,omitempty"`
	SecurityRepoStatus       json.RawMessage `json:"securityRepoStatus,omitempty"`
	Spaces                   []string        `json:"spaces,omitzero"`
	BaseModels               json.RawMessage `json:"baseModels,omitempty"`
	ChildrenModelCount       json.RawMessage `json:"childrenModelCount,omitempty"`
	EvalResults              json.RawMessage `json:"evalResults,omitempty"`
	InferenceProviderMapping json.RawMessage `json:"inferenceProviderMapping,omitempty"`

	// Datasets.
	PapersWithCodeID string `json:"paperswithcode_id,omitempty"`
	Citation         string `json:"citation,omitempty"`
	Description      string `json:"description,omitempty"`
	MainSize         *int64 `json:"mainSize,omitempty"`

	// Spaces.
	Host      string          `json:"host,omitempty"`
	Subdomain string          `json:"subdomain,omitempty"`
	SDK       string          `json:"sdk,omitempty"`
	Runtime   json.RawMessage `json:"runtime,omitempty"`
	Region    string          `json:"region,omitempty"`
	Models    []string        `json:"models,omitzero"`
	Datasets  []string        `json:"datasets,omitzero"`

	// Extra holds what has no field here, by its name in the answer.
	Extra map[string]json.RawMessage `json:"-"`
}

// Repo names the repository as the Hub spells it.
func (i *RepoInfo) Repo() Repo { return Repo{Type: i.Type, ID: i.ID} }

// Gated says how access to a repository is granted; "" is unknown.
type Gated string

// How access to a gated repository is granted.
const (
	GatedNo     Gated = "false" // on the wire the literal false
	GatedAuto   Gated = "auto"
	GatedManual Gated = "manual"
)

// Sibling is a file of a repository as RepoInfo lists it. All but the name comes
// only with FilesMetadata.
type Sibling struct {
	Name   string   `json:"rfilename"` // path from the root
	Size   *int64   `json:"size,omitempty"`
	BlobID string   `json:"blobId,omitempty"` // Git's id, of the pointer for an LFS file
	LFS    *LFSInfo `json:"lfs,omitempty"`
}

// LFSInfo is the content of an LFS file.
type LFSInfo struct {
	SHA256      string `json:"sha256"` // 64 lower-case hex digits; called oid in listings
	Size        int64  `json:"size"`
	PointerSize int64  `json:"pointerSize"`
}

// RepoInfoOptions refine RepoInfo.
type RepoInfoOptions struct {
	Revision       string   // branch, tag, ref or commit; "" is the default branch
	FilesMetadata  bool     // with sizes and ids of Siblings
	SecurityStatus bool     // with SecurityRepoStatus (models)
	Expand         []string // only these properties; excludes the two above
}

// RepoInfo describes a repository at a revision.
//
//	GET /api/{type}s/{id}[/revision/{revision}]
func (c *Client) RepoInfo(ctx context.Context, repo Repo, opts *RepoInfoOptions) (*RepoInfo, error) {
	if opts == nil {
		opts = &RepoInfoOptions{}
	}
	if err := repo.Validate(); err != nil {
		return nil, err
	}
	if len(opts.Expand) > 0 && (opts.FilesMetadata || opts.SecurityStatus) {
		return nil, &ValidationError{What: "option", Value: "Expand", Reason: "excludes FilesMetadata and SecurityStatus"}
	}
	r := &request{method: http.MethodGet, repo: repo, path: below(), query: url.Values{}}
	if opts.Revision != "" {
		if err := validRevision(opts.Revision); err != nil {
			return nil, err
		}
		r.path = below("revision", opts.Revision)
	}
	if opts.FilesMetadata {
		r.query.Set("blobs", "true")
	}
	if opts.SecurityStatus {
		r.query.Set("securityStatus", "true")
	}
	for _, property := range opts.Expand {
		r.query.Add("expand", property)
	}
	info := &RepoInfo{Type: repo.Type}
	if err := c.doJSON(ctx, r, info); err != nil {
		return nil, err
	}
	if err := info.check(); err != nil {
		return nil, c.protocolError(r, "%v", err)
	}
	c.dropHostileSiblings(ctx, info)
	return info, nil
}

// check looks at what others build paths and requests from.
func (i *RepoInfo) check() error {
	if err := i.Repo().Validate(); err != nil {
		return err
	}
	if i.SHA != "" && !isOID(i.SHA) {
		return &ValidationError{What: "commit", Value: i.SHA, Reason: "isn't 40 hexadecimal digits"}
	}
	return nil
}

// dropHostileSiblings leaves out files that nobody should create, and logs them.
func (c *Client) dropHostileSiblings(ctx context.Context, info *RepoInfo) {
	info.Siblings = slices.DeleteFunc(info.Siblings, func(s Sibling) bool {
		err := ValidPath(s.Name)
		if err == nil && s.LFS != nil && !isSHA256(s.LFS.SHA256) {
			err = &ValidationError{What: "sha256 of " + strconv.Quote(s.Name), Value: s.LFS.SHA256, Reason: "isn't 64 hexadecimal digits"}
		}
		if err != nil {
			c.logger.WarnContext(ctx, "left out of the files", "repo", info.Repo().String(), "error", err)
		}
		return err != nil
	})
}

// RepoExists says whether the repository exists and may be seen; a gated one
// does, whoever asks.
func (c *Client) RepoExists(ctx context.Context, repo Repo) (bool, error) {
	_, err := c.RepoInfo(ctx, repo, nil)
	switch {
	case errors.Is(err, ErrGatedRepo):
		return true, nil
	case errors.Is(err, ErrRepoNotFound):
		return false, nil
	}
	return err == nil, err
}

// RevisionExists says whether the repository and the revision exist, and may be
// seen: nothing of a gated repository may, before access is granted.
func (c *Client) RevisionExists(ctx context.Context, repo Repo, revision string) (bool, error) {
	if err := validRevision(revision); err != nil {
		return false, err
	}
	_, err := c.RepoInfo(ctx, repo, &RepoInfoOptions{Revision: revision})
	if errors.Is(err, ErrRevisionNotFound) || errors.Is(err, ErrRepoNotFound) || errors.Is(err, ErrGatedRepo) {
		return false, nil
	}
	return err == nil, err
}

// AuthCheck fails unless the files of the repository may be read: ErrGatedRepo,
// ErrRepoNotFound.
//
//	GET /api/{type}s/{id}/auth-check
func (c *Client) AuthCheck(ctx context.Context, repo Repo) error {
	if err := repo.Validate(); err != nil {
		return err
	}
	return c.doNothing(ctx, &request{method: http.MethodGet, repo: repo, path: below("auth-check")})
}

// UnmarshalJSON reads the Hub's answer. Newer and older spellings of a name are
// both understood.
func (i *RepoInfo) UnmarshalJSON(data []byte) error {
	type plain RepoInfo // without this method
	var p plain
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	for name, into := range map[string]any{
		"last_modified":     &p.LastModified,
		"created_at":        &p.CreatedAt,
		"card_data":         &p.CardData,
		"model_index":       &p.ModelIndex,
		"transformers_info": &p.TransformersInfo,
	} {
		if raw, ok := all[name]; ok && reflect.ValueOf(into).Elem().IsZero() {
			if err := json.Unmarshal(raw, into); err != nil {
				return err
			}
			delete(all, name)
		}
	}
	v := reflect.ValueOf(&p).Elem()
	for n, name := range infoNames {
		delete(all, name)
		if raw, ok := v.Field(n).Addr().Interface().(*json.RawMessage); ok && string(*raw) == "null" {
			*raw = nil
		}
	}
	if len(all) > 0 {
		p.Extra = all
	}
	p.Type = i.Type
	*i = RepoInfo(p)
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads, Extra included.
func (i RepoInfo) MarshalJSON() ([]byte, error) {
	type plain RepoInfo // without this method
	data, err := json.Marshal(plain(i))
	if err != nil || len(i.Extra) == 0 {
		return data, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	for name, raw := range i.Extra {
		if _, taken := all[name]; !taken {
			all[name] = raw
		}
	}
	return json.Marshal(all)
}

// infoNames are the JSON names of RepoInfo, by index of the field.
var infoNames = func() map[int]string {
	names := make(map[int]string)
	t := reflect.TypeFor[RepoInfo]()
	for n := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(n).Tag.Get("json"), ","); name != "-" {
			names[n] = name
		}
	}
	return names
}()

// UnmarshalJSON reads false, "auto" or "manual".
func (g *Gated) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "null":
		return nil
	case "false":
		*g = GatedNo
		return nil
	case "true": // no server should, but some know no more than that
		*g = GatedManual
		return nil
	}
	return json.Unmarshal(data, (*string)(g))
}

// MarshalJSON writes false, "auto" or "manual".
func (g Gated) MarshalJSON() ([]byte, error) {
	if g == GatedNo {
		return []byte("false"), nil
	}
	return json.Marshal(string(g))
}

// UnmarshalJSON takes the digest under either of its names.
func (l *LFSInfo) UnmarshalJSON(data []byte) error {
	var wire struct {
		SHA256      string `json:"sha256"`
		OID         string `json:"oid"`
		Size        int64  `json:"size"`
		PointerSize int64  `json:"pointerSize"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*l = LFSInfo{SHA256: cmp.Or(wire.SHA256, wire.OID), Size: wire.Size, PointerSize: wire.PointerSize}
	return nil
}
