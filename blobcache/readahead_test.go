package blobcache

import "testing"

func TestReadahead(t *testing.T) {
	const kb = 1 << 10
	var r readahead
	r.note(span{0, 4 * kb})
	r.note(span{500 << 20, 500<<20 + 4*kb})
	r.note(span{900 << 20, 900<<20 + 4*kb})
	if w := r.windows(); len(w) != 0 {
		t.Fatalf("random reads fetch ahead: %v", w)
	}
	// Two streams, interleaved and out of order, through whichever handle.
	for i := range int64(512) {
		off := (i ^ 1) * 128 * kb
		r.note(span{off, off + 128*kb})
		r.note(span{500<<20 + i*kb, 500<<20 + (i+1)*kb})
	}
	w := r.windows()
	if len(w) != 2 {
		t.Fatalf("windows %v", w)
	}
	if w[1].off != 64<<20 || w[1].len() < 16<<20 || w[1].len() > 128<<20 {
		t.Errorf("a stream of 64 MiB has window %v", w[1])
	}
	if w[0].len() > 2<<20 {
		t.Errorf("a stream of 512 KiB has window %v", w[0])
	}
	for i := range int64(100) { // more than are kept
		r.note(span{i << 31, i<<31 + 1})
	}
	if len(r.streams) != maxStreams || len(r.windows()) != 0 {
		t.Errorf("streams %v", r.streams)
	}
}

func TestSegment(t *testing.T) {
	for _, c := range [][2]int64{{minWindow, minSegment}, {1 << 20, 256 << 10}, {maxWindow, maxSegment}} {
		if got := segment(c[0]); got != c[1] {
			t.Errorf("segment(%d) = %d, want %d", c[0], got, c[1])
		}
	}
}
