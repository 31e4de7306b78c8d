package blobcache

import (
	"testing"

	"github.com/hubfs/hubfs/blobcache/pieces"
)

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
	if w[1].off != 64<<20 || w[1].len() < 64<<20 || w[1].len() > maxWindow {
		t.Errorf("a stream of 64 MiB has window %v", w[1])
	}
	if w[0].len() > 2<<20 {
		t.Errorf("a stream of 512 KiB has window %v", w[0])
	}
	// A read that waits although all of the window is here widens it, if it is of a long stream.
	r.widen(span{500<<20 + 511*kb, 500<<20 + 512*kb})
	r.widen(span{900 << 20, 900<<20 + 4*kb})
	if now := r.windows(); len(now) != 2 || now[0].len() != w[0].len() && now[0].len() != 2*w[0].len() {
		t.Errorf("windows %v, after a wait %v", w, now)
	}
	for i := range int64(100) { // more than are kept
		r.note(span{i << 31, i<<31 + 1})
	}
	if len(r.streams) != maxStreams || len(r.windows()) != 0 {
		t.Errorf("streams %v", r.streams)
	}
}

func TestSegment(t *testing.T) {
	for _, c := range [][2]int64{{minWindow, minSegment}, {8 << 20, 512 << 10}, {maxWindow, maxSegment}} {
		if got := segment(c[0]); got != c[1] {
			t.Errorf("segment(%d) = %d, want %d", c[0], got, c[1])
		}
	}
}

// Who begins to read a piece gets the rest of it at once, and nothing behind it before
// they read on there.
func TestReadaheadOfPieces(t *testing.T) {
	const mb, kb = 1 << 20, 1 << 10
	head := int64(7001)
	tensors := pieces.Pieces{head, head + 4*mb, head + 8*mb, head + 100*mb}
	begin := func() *readahead {
		r := new(readahead)
		r.note(span{0, 128 * kb})
		r.pieces = tensors
		return r
	}
	only := func(r *readahead) window {
		t.Helper()
		w := r.windows()
		if len(w) != 1 {
			t.Fatalf("windows %v", w)
		}
		return w[0]
	}
	second := span{head + 4*mb, head + 8*mb}

	// A page of a map is touched, with what the kernel reads around it.
	r := begin()
	at := second.off &^ (page - 1)
	r.note(span{at - 64*kb, at + 64*kb})
	if w := only(r); !w.hard || w.end != second.end || w.off != at+64*kb {
		t.Errorf("the beginning of a tensor gets %v", w)
	}
	// Its last page, in which the next one begins, and then the rest, with the kernel's own readahead.
	last := second.end &^ (page - 1)
	r.note(span{last - 64*kb, last + 64*kb})
	for off := at + 64*kb; off < second.end+128*kb; off += 128 * kb {
		r.note(span{off, off + 128*kb})
	}
	for _, w := range r.windows() {
		if w.end > second.end+crossSlack {
			t.Errorf("a tensor that was read brings %v", w)
		}
	}

	// Who goes on reads a stream as any other.
	r = begin()
	for off := int64(128 * kb); off < head+20*mb; off += 128 * kb {
		r.note(span{off, off + 128*kb})
	}
	if w := only(r); w.hard || w.len() < 8*mb {
		t.Errorf("a stream of 20 MiB through pieces has %v", w)
	}

	// The middle of a piece is no beginning.
	r = begin()
	r.note(span{head + 50*mb, head + 50*mb + 4*kb})
	if w := r.windows(); len(w) != 0 {
		t.Errorf("one read in the middle of a tensor brings %v", w)
	}
	// A large piece isn't fetched whole for its first page.
	r = begin()
	r.note(span{second.end, second.end + 4*kb})
	if w := only(r); w.hard || w.len() != pieceWindow {
		t.Errorf("the beginning of a large tensor gets %v", w)
	}
}
