package hub

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"golang.org/x/sync/errgroup"
)

var (
	// ErrNotSafetensors is a repository without safetensors weights at its root.
	ErrNotSafetensors error = &kind{"the repository has no safetensors weights", nil}
	// ErrBadSafetensors is a file that is called safetensors and isn't.
	ErrBadSafetensors error = &kind{"malformed safetensors file", nil}
)

// Names of the weights in a repository.
const (
	safetensorsFile  = "model.safetensors"
	safetensorsIndex = "model.safetensors.index.json"
)

// Bounds of what is read for metadata.
const (
	firstSafetensorsRead = 100_001 // most headers are shorter
	maxSafetensorsHeader = 25_000_000
	maxSafetensorsIndex  = 64 << 20
	safetensorsWorkers   = 8
)

// TensorInfo describes one tensor of a safetensors file.
type TensorInfo struct {
	DType       string   `json:"dtype"` // "F32", "BF16", ...
	Shape       []int64  `json:"shape"`
	DataOffsets [2]int64 `json:"data_offsets"` // first byte and the one after the last, from the end of the header
}

// ParameterCount is the number of elements: 1 for an empty shape.
func (t *TensorInfo) ParameterCount() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// SafetensorsFile is the header of a safetensors file.
type SafetensorsFile struct {
	Metadata map[string]string     // never nil
	Tensors  map[string]TensorInfo // by name
}

// ParameterCount is the number of elements of all tensors, by type.
func (f *SafetensorsFile) ParameterCount() map[string]int64 {
	count := make(map[string]int64)
	for _, t := range f.Tensors {
		count[t.DType] += t.ParameterCount()
	}
	return count
}

// SafetensorsRepo is what the safetensors files of a repository hold.
type SafetensorsRepo struct {
	Metadata  json.RawMessage // of the index; nil if there is none
	Sharded   bool
	WeightMap map[string]string // tensor to file
	Files     map[string]*SafetensorsFile
}

// ParameterCount is the number of elements of all tensors, by type.
func (r *SafetensorsRepo) ParameterCount() map[string]int64 {
	count := make(map[string]int64)
	for _, f := range r.Files {
		for dtype, n := range f.ParameterCount() {
			count[dtype] += n
		}
	}
	return count
}

// SafetensorsMetadata reads the headers of a repository's weights, which takes
// a small part of each file. ErrNotSafetensors if there are none.
func (c *Client) SafetensorsMetadata(ctx context.Context, repo Repo, revision string) (*SafetensorsRepo, error) {
	file, err := c.SafetensorsFile(ctx, FileRef{Repo: repo, Revision: revision, Path: safetensorsFile})
	if err == nil {
		r := &SafetensorsRepo{WeightMap: make(map[string]string), Files: map[string]*SafetensorsFile{safetensorsFile: file}}
		for name := range file.Tensors {
			r.WeightMap[name] = safetensorsFile
		}
		return r, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	r, err := c.safetensorsShards(ctx, FileRef{Repo: repo, Revision: revision, Path: safetensorsIndex})
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%s: %w", repo, ErrNotSafetensors)
	}
	return r, err
}

func (c *Client) safetensorsShards(ctx context.Context, index FileRef) (*SafetensorsRepo, error) {
	content, err := c.OpenFile(ctx, index, Range{Len: -1})
	if err != nil {
		return nil, err
	}
	defer content.Close()
	if content.Size > maxSafetensorsIndex {
		return nil, badSafetensors(index.Path, "an index of %d bytes", content.Size)
	}
	data, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	var wire struct {
		Metadata  json.RawMessage   `json:"metadata"`
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return nil, badSafetensors(index.Path, "%v", err)
	}
	if string(wire.Metadata) == "null" {
		wire.Metadata = nil
	}
	r := &SafetensorsRepo{Metadata: wire.Metadata, Sharded: true, WeightMap: wire.WeightMap, Files: make(map[string]*SafetensorsFile)}
	index.Revision = content.Commit // all of one commit

	files := make(map[string]bool)
	for _, name := range r.WeightMap {
		if err := ValidPath(name); err != nil {
			return nil, badSafetensors(index.Path, "%v", err)
		}
		files[name] = true
	}
	var mu sync.Mutex // guards r.Files
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(safetensorsWorkers)
	for name := range files {
		group.Go(func() error {
			f, err := c.SafetensorsFile(ctx, FileRef{Repo: index.Repo, Revision: index.Revision, Path: name})
			if errors.Is(err, ErrNotFound) {
				return badSafetensors(index.Path, "it names %q, which doesn't exist", name)
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			r.Files[name] = f
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return r, nil
}

// SafetensorsFile reads the header of one file. ErrBadSafetensors if it has none.
func (c *Client) SafetensorsFile(ctx context.Context, f FileRef) (*SafetensorsFile, error) {
	content, err := c.OpenFile(ctx, f, Range{Len: firstSafetensorsRead})
	if err != nil {
		return nil, err
	}
	defer content.Close()
	start, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	if len(start) < 8 {
		return nil, badSafetensors(f.Path, "it has only %d bytes", len(start))
	}
	n := binary.LittleEndian.Uint64(start)
	if n > maxSafetensorsHeader || int64(n)+8 > content.Size {
		return nil, badSafetensors(f.Path, "a header of %d bytes", n)
	}
	header := start[8:]
	if missing := int64(n) - int64(len(header)); missing > 0 {
		rest, err := c.resume(ctx, f, content.Location, Range{int64(len(start)), missing})
		if err != nil {
			return nil, err
		}
		defer rest.Close()
		more, err := io.ReadAll(rest)
		if err != nil {
			return nil, err
		}
		if rest.ETag != content.ETag || int64(len(more)) != missing {
			return nil, fmt.Errorf("%s: %w: it changes while it is read", f.Path, ErrUnavailable)
		}
		header = append(header, more...)
	}
	file, err := parseSafetensors(header[:n])
	if err != nil {
		return nil, badSafetensors(f.Path, "%v", err)
	}
	return file, nil
}

// parseSafetensors reads a header: a JSON object of tensors by name.
func parseSafetensors(header []byte) (*SafetensorsFile, error) {
	var wire map[string]json.RawMessage
	if err := json.Unmarshal(header, &wire); err != nil {
		return nil, err
	}
	f := &SafetensorsFile{Metadata: make(map[string]string), Tensors: make(map[string]TensorInfo)}
	for name, raw := range wire {
		if name == "__metadata__" {
			if err := json.Unmarshal(raw, &f.Metadata); err != nil || f.Metadata == nil {
				return nil, fmt.Errorf("its metadata isn't a map of strings: %.100s", raw)
			}
			continue
		}
		var t struct {
			DType       *string  `json:"dtype"`
			Shape       *[]int64 `json:"shape"`
			DataOffsets []int64  `json:"data_offsets"`
		}
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if t.DType == nil || t.Shape == nil || len(t.DataOffsets) != 2 || t.DataOffsets[0] < 0 || t.DataOffsets[1] < t.DataOffsets[0] {
			return nil, fmt.Errorf("tensor %q is incomplete", name)
		}
		if !countable(*t.Shape) {
			return nil, fmt.Errorf("tensor %q can't have the shape %v", name, *t.Shape)
		}
		f.Tensors[name] = TensorInfo{*t.DType, *t.Shape, [2]int64(t.DataOffsets)}
	}
	return f, nil
}

// countable says whether the number of elements of a shape is a number.
func countable(shape []int64) bool {
	n := int64(1)
	for _, d := range shape {
		if d < 0 || d > 0 && n > math.MaxInt64/d {
			return false
		}
		n *= d
	}
	return true
}

func badSafetensors(path, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", path, ErrBadSafetensors, oneLine(fmt.Sprintf(format, args...), 500))
}
