package hub

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func safetensors(header string) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), content(64)...)
}

// filesHub serves files by path.
func filesHub(t *testing.T, files map[string][]byte) (*Client, *recorder) {
	var rec recorder
	c, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		data, ok := files[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		if !ok {
			reply(404, "{}", "X-Error-Code", "EntryNotFound")(w, r)
			return
		}
		w.Header().Set("X-Repo-Commit", oid1)
		w.Header().Set("ETag", `"`+oid2+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	return c, &rec
}

const twoTensors = `{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"I8","shape":[],"data_offsets":[24,25]}}   `

func TestSafetensorsFile(t *testing.T) {
	var long strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&long, `"tensor%d":{"dtype":"F16","shape":[%d],"data_offsets":[0,4]},`, i, 2)
	}
	c, rec := filesHub(t, map[string][]byte{
		"model.safetensors": safetensors(twoTensors),
		"long":              safetensors("{" + long.String() + twoTensors[1:]),
		"edge":              safetensors(twoTensors + strings.Repeat(" ", firstSafetensorsRead-7-len(twoTensors))),
	})
	ref := FileRef{Repo: testRepo, Path: "model.safetensors"}
	f, err := c.SafetensorsFile(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if n := f.ParameterCount(); f.Metadata["format"] != "pt" || n["F32"] != 6 || n["I8"] != 1 || f.Tensors["a"].DataOffsets != [2]int64{0, 24} {
		t.Errorf("%+v", f)
	}
	for path, tensors := range map[string]int{"long": 2002, "edge": 2} {
		rec.take()
		ref.Path = path
		f, err := c.SafetensorsFile(t.Context(), ref)
		if err != nil || len(f.Tensors) != tensors {
			t.Errorf("%s: %+v, %v", path, f, err)
		}
		if n := strings.Count(rec.take(), "\n") + 1; n != 2 {
			t.Errorf("%s: %d requests", path, n)
		}
	}
}

func TestSafetensorsMetadata(t *testing.T) {
	index := `{"metadata":{"total_size":5},"weight_map":{"a":"one.safetensors","b":"one.safetensors","c":"two.safetensors"}}`
	c, _ := filesHub(t, map[string][]byte{
		"model.safetensors.index.json": []byte(index), "one.safetensors": safetensors(twoTensors),
		"two.safetensors": safetensors(`{"c":{"dtype":"F32","shape":[10],"data_offsets":[0,40]}}`),
	})
	r, err := c.SafetensorsMetadata(t.Context(), testRepo, "main")
	if err != nil {
		t.Fatal(err)
	}
	if n := r.ParameterCount(); !r.Sharded || string(r.Metadata) != `{"total_size":5}` || len(r.Files) != 2 || n["F32"] != 16 || r.WeightMap["c"] != "two.safetensors" {
		t.Errorf("%+v", r)
	}
	c, _ = filesHub(t, map[string][]byte{"model.safetensors": safetensors(twoTensors)})
	if r, err = c.SafetensorsMetadata(t.Context(), testRepo, ""); err != nil || r.Sharded || r.Metadata != nil || r.WeightMap["a"] != "model.safetensors" {
		t.Errorf("%+v, %v", r, err)
	}
	for name, files := range map[string]map[string][]byte{
		"shard missing": {"model.safetensors.index.json": []byte(index), "one.safetensors": safetensors(twoTensors)},
		"hostile path":  {"model.safetensors.index.json": []byte(`{"weight_map":{"a":"../../x"}}`)},
		"no JSON":       {"model.safetensors.index.json": []byte(`{`)},
		"empty":         {"model.safetensors": nil},
		"short":         {"model.safetensors": []byte("1234")},
		"huge header":   {"model.safetensors": bytes.Repeat([]byte{0xff}, 100)},
		"header beyond": {"model.safetensors": []byte("\x20\x00\x00\x00\x00\x00\x00\x00{}")},
	} {
		c, _ := filesHub(t, files)
		_, err := c.SafetensorsMetadata(t.Context(), testRepo, "main")
		if err == nil {
			t.Error(name)
		}
		wantKind(t, err, ErrBadSafetensors)
	}
	c, _ = filesHub(t, nil)
	_, err = c.SafetensorsMetadata(t.Context(), testRepo, "main")
	wantKind(t, err, ErrNotSafetensors)
	gated, _ := serve(t, reply(403, "{}", "X-Error-Code", "GatedRepo"))
	_, err = gated.SafetensorsMetadata(t.Context(), testRepo, "main")
	wantKind(t, err, ErrGatedRepo)
}

func FuzzSafetensors(f *testing.F) {
	for _, s := range []string{twoTensors, `{}`, `{"a":{"dtype":"F32","shape":[9223372036854775807,2],"data_offsets":[0,1]}}`, `{"a":{"shape":[-1]}}`, `{"__metadata__":null}`, `{"a":null}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		file, err := parseSafetensors(header)
		if err != nil {
			return
		}
		for name, tensor := range file.Tensors {
			if n := tensor.ParameterCount(); n < 0 || tensor.DataOffsets[0] > tensor.DataOffsets[1] {
				t.Fatalf("%q: %+v, %d", name, tensor, n)
			}
		}
		if file.Metadata == nil {
			t.Fatal("no metadata")
		}
	})
}

// A server that answers a refusal one byte at a time doesn't hold anybody up.
func TestSlowRefusal(t *testing.T) {
	c, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.WriteHeader(http.StatusNotFound)
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	}))
	start := time.Now()
	_, err := c.WhoAmI(t.Context())
	wantKind(t, err, ErrRepoNotFound)
	if d := time.Since(start); d > 15*time.Second {
		t.Errorf("it took %s", d)
	}
}
