package blobcache

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
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

// TestAddFile gives the cache files as they are.
func TestAddFile(t *testing.T) {
	h := newFakeHub(t)
	c := newTestCache(t, h)
	data := random(3<<20, 5)
	file := h.lfs("big.bin", data)
	path := filepath.Join(filepath.Dir(c.shared.Path()), "staged")
	if err := os.WriteFile(path, data[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.AddFile(t.Context(), file, path); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another size: %v", err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.AddFile(t.Context(), file, path); err != nil {
			t.Fatal(err)
		}
	}
	blob, err := c.shared.BlobPath(file.Repo, file.Hash)
	if err != nil {
		t.Fatal(err)
	}
	one, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.Stat(blob)
	if err != nil || !os.SameFile(one, other) || other.Mode() != 0o644 {
		t.Errorf("the blob is %v, %v", other, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.want(file, data)
	if _, ok := regular(c.snapshot(file)); !ok {
		t.Error("it isn't in the snapshot")
	}
	if n := h.requests.Load(); n != 0 {
		t.Errorf("%d requests for what was here", n)
	}
}
