package main

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"
)

func TestKepler(t *testing.T) {
	weight, bias := fitKepler()
	if math.Abs(weight-1.5) > 0.001 || math.Abs(bias) > 0.001 {
		t.Errorf("got %g and %g: the planets are wrong, or Kepler", weight, bias)
	}
}

func TestSafetensors(t *testing.T) {
	b, err := safetensors([]scalar{{"w", 1.5}, {"b", -2}}, map[string]string{"format": "np"})
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(b)
	if n%8 != 0 || int(n)+8+8 != len(b) {
		t.Fatalf("header of %d bytes in %d", n, len(b))
	}
	var header map[string]struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(b[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	data := b[8+n:]
	for name, want := range map[string]float32{"w": 1.5, "b": -2} {
		h := header[name]
		if h.DType != "F32" || len(h.Shape) != 1 || h.Shape[0] != 1 || h.Offsets[1]-h.Offsets[0] != 4 {
			t.Errorf("%s: %+v", name, h)
			continue
		}
		if got := math.Float32frombits(binary.LittleEndian.Uint32(data[h.Offsets[0]:])); got != want {
			t.Errorf("%s is %g", name, got)
		}
	}
}
