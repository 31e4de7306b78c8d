package pieces

import (
	"encoding/binary"
	"encoding/json"
	"io"
)

// safetensors begins with the length of a header, which is JSON: the tensors by
// name, each with its place behind the header.
//
// https://github.com/huggingface/safetensors
type safetensors struct{}

func (safetensors) First(size int64) Span { return Span{0, min(8, size)} }

func (safetensors) Read(file io.ReaderAt, size int64, have Span) (Pieces, Span, error) {
	var head [8]byte
	if _, err := file.ReadAt(head[:], 0); err != nil {
		return nil, Span{}, err
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n == 0 || n > maxDescription || 8+int64(n) > size {
		return nil, Span{}, errFormat
	}
	data := 8 + int64(n)
	if have.End < data {
		return nil, Span{0, data}, nil
	}
	var header map[string]struct {
		Offsets [2]int64 `json:"data_offsets"`
	}
	if err := json.NewDecoder(io.NewSectionReader(file, 8, int64(n))).Decode(&header); err != nil {
		return nil, Span{}, err
	}
	bounds := make([]int64, 0, 2+2*len(header))
	bounds = append(bounds, data)
	for name, t := range header {
		if name == "__metadata__" {
			continue
		}
		if t.Offsets[0] < 0 || t.Offsets[1] < t.Offsets[0] || t.Offsets[1] > size-data {
			return nil, Span{}, errFormat
		}
		bounds = append(bounds, data+t.Offsets[0], data+t.Offsets[1])
	}
	p, err := of(bounds, size)
	return p, Span{}, err
}
