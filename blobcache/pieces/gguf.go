package pieces

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// gguf begins with a description that has no length: facts about the model, among
// them its vocabulary, and then the tensors with their places behind it.
//
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
type gguf struct{}

const firstGGUF = 64 << 10

func (gguf) First(size int64) Span { return Span{0, min(firstGGUF, size)} }

func (gguf) Read(file io.ReaderAt, size int64, have Span) (Pieces, Span, error) {
	r := &ggufReader{r: bufio.NewReader(io.NewSectionReader(file, 0, have.End))}
	p, err := r.pieces(size)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if have.End >= min(size, maxDescription) {
			return nil, Span{}, errFormat
		}
		return nil, Span{0, min(2*have.End, size, maxDescription)}, nil
	}
	return p, Span{}, err
}

type ggufReader struct {
	r   *bufio.Reader
	pos int64
	err error // the first
}

const (
	ggufString = 8
	ggufArray  = 9
	// maxGGUFTensors bounds what is remembered; the largest models have some thousands.
	maxGGUFTensors = 1 << 20
)

// ggufSizes are the lengths of values by type; strings and arrays have their own.
var ggufSizes = [...]int64{0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

func (g *ggufReader) pieces(size int64) (Pieces, error) {
	if g.u32() != 0x46554747 { // "GGUF"
		return nil, g.failed()
	}
	if v := g.u32(); v < 2 || v > 3 {
		return nil, g.failed()
	}
	tensors, facts := g.u64(), g.u64()
	if tensors > maxGGUFTensors || facts > maxGGUFTensors {
		return nil, g.failed()
	}
	align := int64(32)
	for range facts {
		key := g.text()
		kind := g.u32()
		if key == "general.alignment" && kind == 4 {
			align = int64(g.u32())
			continue
		}
		g.value(kind, 0)
		if g.err != nil {
			return nil, g.err
		}
	}
	var offsets []int64
	for range tensors {
		g.text()
		dims := g.u32()
		if dims > 8 {
			return nil, g.failed()
		}
		g.skip(8*int64(dims) + 4)
		off := g.u64()
		if g.err != nil {
			return nil, g.err
		}
		if off > uint64(size) {
			return nil, errFormat
		}
		offsets = append(offsets, int64(off))
	}
	if g.err != nil {
		return nil, g.err
	}
	if align <= 0 || align > 1<<20 {
		return nil, errFormat
	}
	data := (g.pos + align - 1) / align * align
	if data > size {
		return nil, errFormat
	}
	bounds := []int64{data}
	for _, off := range offsets {
		if off > size-data {
			return nil, errFormat
		}
		bounds = append(bounds, data+off)
	}
	return of(bounds, size)
}

// failed is the reason why what was read makes no sense.
func (g *ggufReader) failed() error {
	if g.err != nil {
		return g.err
	}
	return errFormat
}

func (g *ggufReader) bytes(n int) []byte {
	var b [8]byte
	if g.err == nil {
		_, g.err = io.ReadFull(g.r, b[:n])
		g.pos += int64(n)
	}
	return b[:n]
}

func (g *ggufReader) u32() uint32 { return binary.LittleEndian.Uint32(g.bytes(4)) }
func (g *ggufReader) u64() uint64 { return binary.LittleEndian.Uint64(g.bytes(8)) }

func (g *ggufReader) skip(n int64) {
	if g.err != nil {
		return
	}
	if n < 0 || n > maxDescription {
		g.err = errFormat
		return
	}
	if _, err := g.r.Discard(int(n)); err != nil {
		g.err = err
	}
	g.pos += n
}

// text gives a short string, and "" for a long one.
func (g *ggufReader) text() string {
	n := g.u64()
	if n > 64 {
		if n > maxDescription {
			g.err = g.failed()
			return ""
		}
		g.skip(int64(n))
		return ""
	}
	b := make([]byte, n)
	if g.err == nil {
		_, g.err = io.ReadFull(g.r, b)
		g.pos += int64(n)
	}
	return string(b)
}

// value passes over a value. Arrays may be of arrays.
func (g *ggufReader) value(kind uint32, depth int) {
	switch {
	case g.err != nil:
	case kind == ggufString:
		g.text()
	case kind == ggufArray:
		of, n := g.u32(), g.u64()
		if n > maxDescription || depth > 4 {
			g.err = g.failed()
			return
		}
		if of != ggufString && of != ggufArray && int(of) < len(ggufSizes) {
			g.skip(int64(n) * ggufSizes[of])
			return
		}
		for range n {
			if g.value(of, depth+1); g.err != nil {
				return
			}
		}
	case int(kind) < len(ggufSizes):
		g.skip(ggufSizes[kind])
	default:
		g.err = errFormat
	}
}
