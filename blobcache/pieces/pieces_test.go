package pieces

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// find runs a format over a file, giving it no more than it asked for.
func find(t testing.TB, name string, file []byte) (Pieces, int, error) {
	t.Helper()
	f, size := Of(name), int64(len(file))
	have, steps := f.First(size), 0
	for {
		if have.Off < 0 || have.End > size || have.Off > have.End {
			t.Fatalf("asks for %v of %d bytes", have, size)
		}
		hidden := make([]byte, size) // what wasn't asked for reads as zeros
		copy(hidden[have.Off:have.End], file[have.Off:have.End])
		p, next, err := f.Read(bytes.NewReader(hidden), size, have)
		if err != nil || p != nil {
			return p, steps, err
		}
		if next.End-next.Off <= have.End-have.Off {
			t.Fatalf("asks for %v after %v", next, have)
		}
		have = next
		if steps++; steps > 40 {
			t.Fatal("asks without an end")
		}
	}
}

func sampleSafetensors(t testing.TB) ([]byte, Pieces) {
	t.Helper()
	header, err := json.Marshal(map[string]any{
		"__metadata__": map[string]string{"format": "pt"},
		"b":            map[string]any{"dtype": "F32", "shape": []int{10}, "data_offsets": []int{100, 140}},
		"a":            map[string]any{"dtype": "U8", "shape": []int{100}, "data_offsets": []int{0, 100}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	data := int64(len(b))
	return append(b, make([]byte, 140)...), Pieces{data, data + 100, data + 140}
}

func sampleGGUF(facts int) ([]byte, Pieces) {
	var b []byte
	u32 := func(v uint32) { b = binary.LittleEndian.AppendUint32(b, v) }
	u64 := func(v uint64) { b = binary.LittleEndian.AppendUint64(b, v) }
	text := func(s string) { u64(uint64(len(s))); b = append(b, s...) }
	b = append(b, "GGUF"...)
	u32(3)
	u64(2)
	u64(uint64(facts) + 3)
	text("general.alignment")
	u32(4)
	u32(64)
	text("general.name")
	u32(8)
	text(strings.Repeat("long ", 40))
	text("tokens")
	u32(9)
	u32(8)
	u64(uint64(facts))
	for i := range facts {
		text(fmt.Sprintf("token %d", i))
	}
	for i := range facts {
		text(fmt.Sprintf("scores.%d", i))
		u32(9)
		u32(6)
		u64(3)
		b = append(b, make([]byte, 12)...)
	}
	for i, off := range []uint64{0, 640} {
		text(fmt.Sprintf("blk.%d", i))
		u32(2)
		u64(4)
		u64(5)
		u32(0)
		u64(off)
	}
	for len(b)%64 != 0 {
		b = append(b, 0)
	}
	data := int64(len(b))
	return append(b, make([]byte, 1000)...), Pieces{data, data + 640, data + 1000}
}

func TestPieces(t *testing.T) {
	tensors, tensorsWant := sampleSafetensors(t)
	short, shortWant := sampleGGUF(3)
	long, longWant := sampleGGUF(20_000)
	// Written by pyarrow 21: 3 row groups of 2 columns, one of them with a dictionary.
	table, err := os.ReadFile("testdata/table.parquet")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		file []byte
		want Pieces
	}{
		{"model.safetensors", tensors, tensorsWant},
		{"a/short.GGUF", short, shortWant},
		{"long.gguf", long, longWant},
		{"table.parquet", table, tableWant},
	} {
		got, steps, err := find(t, c.name, c.file)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
		t.Logf("%s: %d bytes, %d steps", c.name, len(c.file), steps)
	}
	if f := Of("weights.bin"); f != nil {
		t.Errorf("a format of its own: %T", f)
	}
}

func TestFind(t *testing.T) {
	p := Pieces{10, 20, 50}
	for off, want := range map[int64]Span{0: {0, 10}, 9: {0, 10}, 10: {10, 20}, 49: {20, 50}} {
		if got := p.Find(off); got != want {
			t.Errorf("Find(%d) = %v, want %v", off, got, want)
		}
	}
}

// FuzzPieces damages files: no format may fail otherwise than by an error, nor give
// pieces that aren't of the file.
func FuzzPieces(f *testing.F) {
	tensors, _ := sampleSafetensors(f)
	gguf, _ := sampleGGUF(2)
	table, err := os.ReadFile("testdata/table.parquet")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(0, tensors)
	f.Add(1, gguf)
	f.Add(2, table)
	f.Fuzz(func(t *testing.T, kind int, file []byte) {
		names := []string{"x.safetensors", "x.gguf", "x.parquet"}
		p, _, err := find(t, names[uint(kind)%3], file)
		if err != nil {
			return
		}
		if !slices.IsSorted(p) || p[0] <= 0 || p[len(p)-1] != int64(len(file)) {
			t.Errorf("pieces of %d bytes: %v", len(file), p)
		}
	})
}

// tableWant is what pyarrow itself tells of the places of the column chunks.
var tableWant = Pieces{4, 1494, 1634, 2767, 2907, 4040, 4180, 5085}
