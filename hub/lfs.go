package hub

// MultipartState is a multipart upload under way: which parts are stored. It holds
// signed addresses, and so is a secret. It can be kept as JSON; one that the
// server doesn't know any more is started anew.
type MultipartState struct {
	SHA256    string         `json:"sha256"`
	Size      int64          `json:"size"`
	ChunkSize int64          `json:"chunk_size"`
	Complete  string         `json:"complete"` // address that puts the parts together
	Parts     []string       `json:"parts"`    // address of each part
	ETags     map[int]string `json:"etags"`    // of the parts that are stored, by number from 1
}
