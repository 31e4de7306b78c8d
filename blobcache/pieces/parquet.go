package pieces

import (
	"encoding/binary"
	"io"
)

// parquet ends with a description of its column chunks, in Thrift's compact
// protocol, the length of that, and "PAR1".
//
// https://github.com/apache/parquet-format
// https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
type parquet struct{}

const parquetTail = 8

func (parquet) First(size int64) Span { return Span{max(size-parquetTail, 0), size} }

func (parquet) Read(file io.ReaderAt, size int64, have Span) (Pieces, Span, error) {
	var tail [parquetTail]byte
	if size < 2*parquetTail {
		return nil, Span{}, errFormat
	}
	if _, err := file.ReadAt(tail[:], size-parquetTail); err != nil {
		return nil, Span{}, err
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	begin := size - parquetTail - n
	if string(tail[4:]) != "PAR1" || n > maxDescription || begin < 4 {
		return nil, Span{}, errFormat
	}
	if have.Off > begin {
		return nil, Span{begin, size}, nil
	}
	footer := make([]byte, n)
	if _, err := file.ReadAt(footer, begin); err != nil {
		return nil, Span{}, err
	}
	t := &thrift{b: footer}
	chunks := parquetChunks(t)
	if t.bad {
		return nil, Span{}, errFormat
	}
	bounds := []int64{begin}
	for _, c := range chunks {
		if c.Off < 0 || c.End < c.Off || c.End > begin {
			return nil, Span{}, errFormat
		}
		bounds = append(bounds, c.Off, c.End)
	}
	p, err := of(bounds, size)
	return p, Span{}, err
}

// The fields of the description that lead to the places of column chunks.
const (
	fileRowGroups    = 4
	rowGroupColumns  = 1
	columnMetaData   = 3
	metaCompressed   = 7
	metaDataPage     = 9
	metaDictionary   = 11
	maxParquetChunks = 1 << 20
)

func parquetChunks(t *thrift) []Span {
	var chunks []Span
	t.structure(0, func(field int, kind byte) {
		if field != fileRowGroups || kind != thriftList {
			t.skip(kind, 1)
			return
		}
		t.structures(func(field int, kind byte) {
			if field != rowGroupColumns || kind != thriftList {
				t.skip(kind, 3)
				return
			}
			t.structures(func(field int, kind byte) {
				if field != columnMetaData || kind != thriftStruct {
					t.skip(kind, 5)
					return
				}
				var size, data, dictionary int64
				t.structure(6, func(field int, kind byte) {
					switch {
					case field == metaCompressed && kind == thriftI64:
						size = t.integer()
					case field == metaDataPage && kind == thriftI64:
						data = t.integer()
					case field == metaDictionary && kind == thriftI64:
						dictionary = t.integer()
					default:
						t.skip(kind, 7)
					}
				})
				if dictionary > 0 && dictionary < data {
					data = dictionary
				}
				if len(chunks) == maxParquetChunks || size < 0 || data < 0 || data+size < data {
					t.bad = true
					return
				}
				chunks = append(chunks, Span{data, data + size})
			})
		})
	})
	return chunks
}

// Types of the compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
	thriftUUID   = 13

	maxThriftDepth = 32
)

// thrift reads a message. After bad it gives zeros.
type thrift struct {
	b   []byte
	bad bool
}

func (t *thrift) take(n int) []byte {
	if t.bad || n < 0 || n > len(t.b) {
		t.bad = true
		return make([]byte, min(max(n, 0), 16))
	}
	b := t.b[:n]
	t.b = t.b[n:]
	return b
}

func (t *thrift) octet() byte { return t.take(1)[0] }

func (t *thrift) unsigned() uint64 {
	v, n := binary.Uvarint(t.b)
	if n <= 0 {
		t.bad = true
		return 0
	}
	t.b = t.b[n:]
	return v
}

// integer reads a number of any width, whose sign is its lowest bit.
func (t *thrift) integer() int64 {
	v := t.unsigned()
	return int64(v>>1) ^ -int64(v&1)
}

// structure calls field for each field, which reads it or skips it.
func (t *thrift) structure(depth int, field func(id int, kind byte)) {
	if depth > maxThriftDepth {
		t.bad = true
	}
	for id := int64(0); !t.bad; {
		head := t.octet()
		if head == 0 {
			return
		}
		if delta := head >> 4; delta != 0 {
			id += int64(delta)
		} else {
			id = t.integer()
		}
		if id < -1<<15 || id >= 1<<15 {
			t.bad = true
			return
		}
		field(int(id), head&0xf)
	}
}

// list reads the head of a list: how many, and of what.
func (t *thrift) list() (n int, kind byte) {
	head := t.octet()
	n = int(head >> 4)
	if n == 15 {
		long := t.unsigned()
		if long > uint64(len(t.b)) {
			t.bad = true
			return 0, 0
		}
		n = int(long)
	}
	return n, head & 0xf
}

// structures reads a list of structures.
func (t *thrift) structures(field func(id int, kind byte)) {
	n, kind := t.list()
	if kind != thriftStruct && n > 0 {
		t.bad = true
	}
	for range n {
		if t.bad {
			return
		}
		t.structure(0, field)
	}
}

// skip passes over a value.
func (t *thrift) skip(kind byte, depth int) {
	if depth > maxThriftDepth {
		t.bad = true
	}
	if t.bad {
		return
	}
	switch kind {
	case thriftTrue, thriftFalse: // it is in the type
	case thriftByte:
		t.take(1)
	case thriftI16, thriftI32, thriftI64:
		t.unsigned()
	case thriftDouble:
		t.take(8)
	case thriftUUID:
		t.take(16)
	case thriftBinary:
		n := t.unsigned()
		if n > uint64(len(t.b)) {
			t.bad = true
			return
		}
		t.take(int(n))
	case thriftList, thriftSet:
		n, of := t.list()
		t.skipMany(n, depth, of)
	case thriftMap:
		n := t.unsigned()
		if n == 0 || t.bad {
			return
		}
		kinds := t.octet()
		if n > uint64(len(t.b)) {
			t.bad = true
			return
		}
		t.skipMany(int(n), depth, kinds>>4, kinds&0xf)
	case thriftStruct:
		t.structure(depth, func(_ int, kind byte) { t.skip(kind, depth+1) })
	default:
		t.bad = true
	}
}

// skipMany passes over n elements, in which a truth value takes a byte.
func (t *thrift) skipMany(n, depth int, kinds ...byte) {
	for range n {
		for _, kind := range kinds {
			if t.bad {
				return
			}
			if kind == thriftTrue || kind == thriftFalse {
				t.take(1)
			} else {
				t.skip(kind, depth+1)
			}
		}
	}
}
