package writeback

import (
	"encoding/json"

	"github.com/hubfs/hubfs/blobcache"
)

// A put is one record of the log; exactly one of its fields is set.
type put struct {
	Boot    string      `json:"boot,omitempty"` // what follows was written since this start of the machine
	Node    *nodeRec    `json:"n,omitempty"`
	Inode   *inodeRec   `json:"i,omitempty"`
	Extents *extentsRec `json:"x,omitempty"`
	Attr    *attrRec    `json:"a,omitempty"`
	Value   *valueRec   `json:"v,omitempty"`
}

// nodeRec is what a path is. Kind kindNone with neither Was nor Inode forgets it.
type nodeRec struct {
	Path  string   `json:"p"`
	Kind  nodeKind `json:"k,omitempty"`
	Was   *Was     `json:"w,omitempty"`
	Inode uint64   `json:"i,omitempty"` // of kindFile
	Mode  uint32   `json:"o,omitempty"` // of kindDir; 0 is the default
	MTime int64    `json:"t,omitempty"` // of kindDir: Unix nanoseconds; 0 is unknown
	Fail  *Failure `json:"f,omitempty"`
	Since int64    `json:"s,omitempty"` // Unix nanoseconds of the oldest uncommitted change
}

// Was is what the Hub had at a path: a file by its content, or a folder.
type Was struct {
	Dir  bool   `json:"dir,omitempty"`
	Hash string `json:"hash,omitempty"` // of a file: sha256 of an LFS file, Git's blob id of another
	Size int64  `json:"size,omitempty"`
	OID  string `json:"oid,omitempty"` // Git's: of a folder, "" if unknown
}

// wasOf describes an entry of the Hub's tree; nil is none.
func wasOf(e *blobcache.Entry) *Was {
	switch {
	case e == nil:
		return nil
	case e.Dir && e.OID.IsZero():
		return &Was{Dir: true}
	case e.Dir:
		return &Was{Dir: true, OID: e.OID.String()}
	}
	return &Was{Hash: e.Hash(), Size: e.Size}
}

// same says whether two descriptions are of the same content. Folders are never
// told apart: what is below them is compared by itself.
func (w *Was) same(o *Was) bool {
	if w == nil || o == nil {
		return w == o
	}
	return w.Dir == o.Dir && (w.Dir || w.Hash == o.Hash && w.Size == o.Size)
}

// file says whether it is a file.
func (w *Was) file() bool { return w != nil && !w.Dir }

// Failure is why a path wasn't committed.
type Failure struct {
	State   State  `json:"state"` // Failed, Conflict or Ignored
	Message string `json:"message"`
	Time    int64  `json:"time"` // Unix seconds
}

// inodeRec is the content and attributes of a file.
type inodeRec struct {
	ID     uint64     `json:"id"`
	Gone   bool       `json:"gone,omitempty"` // forget it
	Base   *Source    `json:"b,omitempty"`    // blob below all layers
	Layers []layerRec `json:"l,omitempty"`    // from the bottom up
	Size   int64      `json:"z,omitempty"`    // when Synced was set
	Dirty  bool       `json:"d,omitempty"`    // written to since the last Flush
	Synced bool       `json:"y,omitempty"`    // on disk as it is, but for what Dirty announces
	Append bool       `json:"ap,omitempty"`   // was opened with O_APPEND
	Torn   bool       `json:"torn,omitempty"` // a crash came before it was closed
	Known  *Was       `json:"w,omitempty"`    // what the content is, if it was hashed
	Origin string     `json:"fr,omitempty"`   // path that it had on the Hub
	Mode   uint32     `json:"o,omitempty"`    // permission bits; 0 is the default
	MTime  int64      `json:"t,omitempty"`    // Unix nanoseconds
}

// layerRec is a layer.
type layerRec struct {
	File   uint64 `json:"f"` // name in data/
	Below  int64  `json:"b,omitempty"`
	Deltas int    `json:"n,omitempty"` // how many extentsRec came before
}

// extentsRec adds extents to a layer.
type extentsRec struct {
	File    uint64  `json:"f"`
	Delta   int     `json:"n"`             // 1, 2, 3, ... for each layer
	All     bool    `json:"all,omitempty"` // these are all up to this delta
	Extents []int64 `json:"x"`             // off, end, off, end, ...
}

// attrRec is the mode and time of a file that has no other change.
type attrRec struct {
	Path string `json:"p"`
	Attr *attr  `json:"a,omitempty"` // nil: forget it
}

// attr is a mode and a time that were set here, for a path with this content.
type attr struct {
	Hash  string `json:"h"`
	Mode  uint32 `json:"o,omitempty"`
	MTime int64  `json:"t,omitempty"`
}

// valueRec is a value of the committer.
type valueRec struct {
	Name  string          `json:"k"`
	Value json.RawMessage `json:"v,omitempty"` // none: forget it
}

// Source is a blob of the Hub, and where it can be had.
type Source struct {
	Hash   string `json:"h"`
	Size   int64  `json:"z"`
	Commit string `json:"c"`
	Path   string `json:"p"`
}

// flat gives extents as numbers.
func (e extents) flat() []int64 {
	var out []int64
	for _, x := range e {
		out = append(out, x.Off, x.End)
	}
	return out
}

// addFlat puts extents given as numbers into the set.
func (e extents) addFlat(flat []int64) extents {
	for i := 0; i+1 < len(flat); i += 2 {
		e = e.add(flat[i], flat[i+1])
	}
	return e
}
