package blobcache

import (
	"bytes"
	"errors"
	"testing"
)

func TestAddLocal(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	for _, f := range []struct {
		name string
		make func(string, []byte) File
		n    int
	}{{"dir/a.json", h.regular, 700}, {"big.bin", h.lfs, 3 << 20}, {"empty", h.regular, 0}} {
		data := random(f.n, uint64(f.n))
		file := f.make(f.name, data)
		bad := append(bytes.Clone(data), 'x')
		bad[0] ^= 1
		if f.n > 0 {
			if err := c.AddLocal(t.Context(), file, bytes.NewReader(bad)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: other bytes: %v", f.name, err)
			}
			if n := c.Cached(file); n != 0 {
				t.Errorf("%s: other bytes are kept: %d", f.name, n)
			}
		}
		for range 2 {
			if err := c.AddLocal(t.Context(), file, bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
		}
		c.want(file, data)
		if _, ok := regular(c.snapshot(file)); !ok {
			t.Errorf("%s isn't in the snapshot", f.name)
		}
	}
	if n := h.requests.Load(); n != 0 {
		t.Errorf("%d requests for what was here", n)
	}
}
