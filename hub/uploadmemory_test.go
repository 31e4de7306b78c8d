package hub

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
)

// heap is the memory that objects take, after what nobody needs is gone.
func heap() uint64 {
	runtime.GC()
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// However large files are, and however many, little of them is in memory.
func TestUploadMemory(t *testing.T) {
	h := newWriteHub(t)
	var peak, received atomic.Uint64
	before := heap()
	h.on(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut && !strings.Contains(r.URL.Path, "/commit/") && !strings.HasPrefix(r.URL.Path, "/complete/") {
			return false
		}
		buf := make([]byte, 1<<20)
		for step := uint64(0); ; {
			n, err := r.Body.Read(buf)
			if sum := received.Add(uint64(n)); sum/(64<<20) > step {
				step = sum / (64 << 20)
				if now := heap(); now > peak.Load() {
					peak.Store(now)
				}
			}
			if err != nil {
				if err != io.EOF { //nolint:errorlint // bodies give it bare
					t.Error(err)
				}
				break
			}
		}
		w.Header().Set("ETag", `"x"`)
		if strings.Contains(r.URL.Path, "/commit/") {
			reply(200, fmt.Sprintf(`{"commitOid":%q,"commitUrl":"http://x/ns/name/commit/x"}`, oid2))(w, r)
		}
		return true
	})
	h.chunkSize = 100 << 20
	zero := func(path string, size int64) *Add { return &Add{Path: path, Content: ReaderAtContent(zeros{}, size)} }
	ops := []Operation{zero("large.bin", 1<<30), zero("regular", 300<<20)}
	for i := range 5000 {
		ops = append(ops, zero(fmt.Sprintf("small/%d", i), 10_000))
	}
	if _, err := h.c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", Operations: ops}); err != nil {
		t.Fatal(err)
	}
	if got := received.Load(); got < 1<<30+400<<20 {
		t.Errorf("only %d bytes came", got)
	}
	if grown := int64(peak.Load()) - int64(before); grown > 64<<20 {
		t.Errorf("it took %d MiB", grown>>20)
	} else {
		t.Logf("it took %d KiB", grown>>10)
	}
}
