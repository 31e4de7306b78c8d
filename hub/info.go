package hub

import (
	"context"
	"encoding/json"
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
	return nil, errUnfinished
}

// RepoExists says whether the repository exists and may be seen; a gated one
// does, whoever asks.
func (c *Client) RepoExists(ctx context.Context, repo Repo) (bool, error) {
	return false, errUnfinished
}

// RevisionExists says whether the repository and the revision exist.
func (c *Client) RevisionExists(ctx context.Context, repo Repo, revision string) (bool, error) {
	return false, errUnfinished
}

// AuthCheck fails unless the repository may be read: ErrGatedRepo, ErrRepoNotFound.
//
//	GET /api/{type}s/{id}/auth-check
func (c *Client) AuthCheck(ctx context.Context, repo Repo) error {
	return errUnfinished
}
