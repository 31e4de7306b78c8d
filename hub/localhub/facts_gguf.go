package localhub

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// ggufReader reads the head of a GGUF file, the format of llama.cpp: a magic, the
// version, the numbers of tensors and of keys, the keys with their values, and a
// description of each tensor. The first error stays.
type ggufReader struct {
	r   *bufio.Reader
	err error
}

var errNotGGUF = errors.New("it isn't a GGUF file")

const (
	maxGGUFText  = 1 << 20
	maxGGUFItems = 1 << 22
)

func (g *ggufReader) fixed(v any) {
	if g.err == nil {
		g.err = binary.Read(g.r, binary.LittleEndian, v)
	}
}

func (g *ggufReader) u32() (v uint32) { g.fixed(&v); return v }
func (g *ggufReader) u64() (v uint64) { g.fixed(&v); return v }

func (g *ggufReader) text() string {
	n := g.u64()
	if g.err == nil && n > maxGGUFText {
		g.err = errNotGGUF
	}
	if g.err != nil {
		return ""
	}
	b := make([]byte, n)
	_, g.err = io.ReadFull(g.r, b)
	return string(b)
}

// ggufSizes are the sizes in bytes of the values of fixed size, by type.
var ggufSizes = map[uint32]int{0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

const (
	ggufU32, ggufText, ggufArray, ggufU64 = 4, 8, 9, 10
)

// value reads a value of a type. Only texts and whole numbers are given; others are
// passed over.
func (g *ggufReader) value(kind uint32) any {
	switch kind {
	case ggufText:
		return g.text()
	case ggufU32:
		return uint64(g.u32())
	case ggufU64:
		return g.u64()
	case ggufArray:
		elem, n := g.u32(), g.u64()
		if n > maxGGUFItems || elem == ggufArray {
			g.err = errors.Join(g.err, errNotGGUF)
		}
		for i := uint64(0); i < n && g.err == nil; i++ {
			g.value(elem)
		}
		return nil
	}
	size, ok := ggufSizes[kind]
	if !ok {
		g.err = errors.Join(g.err, errNotGGUF)
	}
	if g.err == nil {
		_, g.err = g.r.Discard(size)
	}
	return nil
}

// readGGUF reads what the Hub shows of a GGUF file, and counts its parameters.
func readGGUF(r io.Reader) (map[string]any, int64, error) {
	g := &ggufReader{r: bufio.NewReader(r)}
	var magic [4]byte
	g.fixed(&magic)
	if g.err == nil && string(magic[:]) != "GGUF" {
		g.err = errNotGGUF
	}
	if v := g.u32(); g.err == nil && v < 2 {
		g.err = errNotGGUF
	}
	tensors, keys := g.u64(), g.u64()
	if tensors > maxGGUFItems || keys > maxGGUFItems {
		return nil, 0, errNotGGUF
	}
	meta := map[string]any{}
	for i := uint64(0); i < keys && g.err == nil; i++ {
		key := g.text()
		if v := g.value(g.u32()); v != nil {
			meta[key] = v
		}
	}
	total := int64(0)
	for i := uint64(0); i < tensors && g.err == nil; i++ {
		g.text()
		n := int64(1)
		dims := g.u32()
		for d := uint32(0); d < dims && g.err == nil; d++ {
			n = times(n, int64(min(g.u64(), maxParameters)))
		}
		g.u32()
		g.u64()
		total += n
	}
	if g.err != nil {
		return nil, 0, g.err
	}
	out := map[string]any{"total": total}
	arch, _ := meta["general.architecture"].(string)
	for key, from := range map[string]string{
		"architecture": "general.architecture", "context_length": arch + ".context_length", "chat_template": "tokenizer.chat_template",
	} {
		if v, ok := meta[from]; ok {
			out[key] = v
		}
	}
	return out, total, nil
}

// addGGUF reads the head of a GGUF file. A file that isn't what its name says tells
// nothing.
func (f *facts) addGGUF(files rootFiles, name string) error {
	r, err := files.open(name)
	if r == nil || err != nil {
		return err
	}
	defer r.Close()
	if meta, total, err := readGGUF(r); err == nil {
		f.gguf = meta
		if f.parameters == 0 {
			f.parameters = total
		}
	}
	return nil
}
