// Package pieces knows the formats whose files fall into pieces that are read as a
// whole: the tensors of a model, the column chunks of a table. Who has read the
// beginning of one will read the rest of it, and who has read all of one needn't
// want the next.
//
// It has no state, reads nothing but what it is given, and trusts none of it: a
// file may be damaged, or made to harm.
package pieces

import (
	"errors"
	"io"
	"path"
	"slices"
	"sort"
	"strings"
)

// A Format finds the pieces of a file step by step, since where they are described
// is itself described in the file.
type Format interface {
	// First is the span of bytes that Read needs first.
	First(size int64) Span
	// Read is given a file of that size, in which the bytes of the span have is there,
	// and gives the pieces; or the span that it needs next, which is longer; or an error
	// if the file isn't what it should be.
	Read(file io.ReaderAt, size int64, have Span) (Pieces, Span, error)
}

// Span is the bytes [Off, End).
type Span struct{ Off, End int64 }

// Of gives the format of a file by its name, nil if none is known.
func Of(name string) Format {
	switch strings.ToLower(path.Ext(name)) {
	case ".safetensors":
		return safetensors{}
	case ".gguf":
		return gguf{}
	case ".parquet":
		return parquet{}
	}
	return nil
}

// Pieces are where the pieces of a file end, ascending. The first begins at 0, each
// other where the one before ends, and the last ends with the file.
type Pieces []int64

// errFormat is a file that isn't what its name says.
var errFormat = errors.New("not of the format that the name says")

// maxDescription bounds what is read to find out about a file, in bytes.
const maxDescription = 64 << 20

// of makes pieces of where some begin and end, in any order.
func of(bounds []int64, size int64) (Pieces, error) {
	bounds = append(bounds, size)
	slices.Sort(bounds)
	if bounds[0] < 0 || bounds[len(bounds)-1] != size {
		return nil, errFormat
	}
	bounds = slices.Compact(bounds)
	if bounds[0] == 0 {
		bounds = bounds[1:]
	}
	return slices.Clip(bounds), nil
}

// Find gives the piece that holds the byte at off, which must be in the file.
func (p Pieces) Find(off int64) Span {
	i := sort.Search(len(p), func(i int) bool { return p[i] > off })
	if i == len(p) {
		i--
	}
	s := Span{0, p[i]}
	if i > 0 {
		s.Off = p[i-1]
	}
	return s
}
