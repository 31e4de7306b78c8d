package blobcache

import "github.com/hubfs/hubfs/blobcache/pieces"

const (
	fetchUnit      = 64 << 10  // fetches start and end at multiples of it
	firstFetch     = 128 << 10 // at the start of a file
	minWindow      = 128 << 10
	sureWindow     = 1 << 20 // of a stream that may be expected to go on
	maxWindow      = 256 << 20
	maxWaiting     = 1 << 30 // of a stream whose reader waits for what failed, or takes long
	maxSegment     = 3 << 20 // one range request: several round trips long where a connection has 25 MB/s
	regularSegment = 8 << 20 // of a file in Git
	minSegment     = 128 << 10
	lastSegment    = 512 << 10 // at the end of a file, where requests get shorter so that they end together
	streamSlack    = 1 << 20   // how far back a late read of a stream may be
	streamSkip     = 256 << 10 // how far forward its next
	maxStreams     = 16
	aheadPerBlob   = 16 // range requests at a time for what nobody waits for yet

	// pieceSlack is how far behind the beginning of a piece a read is of its
	// beginning; pieceWindow is the window that it gets.
	pieceSlack  = 256 << 10
	pieceWindow = 16 << 20
	page        = 4096
	// crossSlack is how far behind the end of a piece the kernel's own readahead may be,
	// of who reads no more than that piece.
	crossSlack = 512 << 10
)

// readahead finds sequential streams in the reads of one blob, whichever handles
// they come through, and says how far ahead of each bytes are worth fetching. A
// stream's window grows each time that half of it has been read; reads that
// belong to no stream get nothing ahead.
//
// Where it is known that a file falls into pieces, who begins to read one gets the rest
// of it, up to pieceWindow, and nothing behind it until they have gone on to the next.
type readahead struct {
	streams []stream      // the least recently used first
	pieces  pieces.Pieces // nil if not known
}

type stream struct {
	pos    int64 // end of the furthest read
	window int64 // 0 until a second read continued the first
	grown  int64 // pos when the window grew last
	first  int64 // of the first byte that was asked for
}

// note takes a read into account.
func (r *readahead) note(s span) {
	for i := len(r.streams) - 1; i >= 0; i-- {
		st := r.streams[i]
		if s.off < st.pos-streamSlack || s.off > st.pos+max(st.window/2, streamSkip) {
			continue
		}
		if s.end <= st.pos {
			return // repeated or late: of the stream, but no progress
		}
		st.pos = s.end
		if r.pieces != nil && st.first < r.pieces[0] && s.end > r.pieces[0] {
			st.first = s.asked() // the description has been read, now it begins
		}
		switch {
		case st.window == 0:
			st.window, st.grown = minWindow, st.pos
		case st.pos-st.grown >= st.window/2:
			st.window, st.grown = min(growth(st.first)*st.window, maxWindow), st.pos
		}
		r.streams = append(append(r.streams[:i], r.streams[i+1:]...), st)
		return
	}
	if len(r.streams) == maxStreams {
		r.streams = r.streams[:copy(r.streams, r.streams[1:])]
	}
	first := r.first(s)
	r.streams = append(r.streams, stream{pos: s.end, grown: s.end, first: first, window: r.begins(first, s.end)})
}

// growth is the factor by which a window grows: who begins at the start of a file mostly
// reads all of it.
func growth(first int64) int64 {
	if first < fetchUnit {
		return 4
	}
	return 2
}

// widen doubles the window of the stream of a read that has to wait although all of the
// window is here: what it waits for takes unusually long, and the link is idle. Streams
// that haven't got far don't count.
func (r *readahead) widen(s span) {
	for i := len(r.streams) - 1; i >= 0; i-- {
		st := &r.streams[i]
		if s.end <= st.pos && s.off >= st.pos-streamSlack && st.window >= sureWindow {
			st.window = min(2*st.window, maxWaiting)
			return
		}
	}
}

// asked is a byte that the reader surely wanted: where a page of a map is touched,
// the kernel reads as much before it as behind.
func (s span) asked() int64 { return min((s.off+s.end)/2+page-1, s.end-1) }

// first is a byte of the piece that a new stream reads. A page may have the end of one
// piece and the beginning of the next; who copies a piece out of a map often touches
// its end early.
func (r *readahead) first(s span) int64 {
	at := s.asked()
	if r.pieces == nil {
		return at
	}
	p := r.pieces.Find(at)
	if p.Off == 0 || p.Off <= at&^(page-1) {
		return at
	}
	before := r.pieces.Find(p.Off - 1)
	for _, st := range r.streams {
		if st.window > 0 && st.pos < before.End && st.first >= before.Off && st.first < before.End {
			return before.End - 1
		}
	}
	return at
}

// begins is the window for who has read up to end, from the beginning of a piece.
func (r *readahead) begins(first, end int64) int64 {
	if r.pieces == nil {
		return 0
	}
	p := r.pieces.Find(first)
	if first-p.Off > pieceSlack {
		return 0
	}
	return min(max(p.End-end, 0), pieceWindow)
}

// window is what should be on its way for a stream. What is behind a hard end is
// worth nothing yet.
type window struct {
	span
	hard bool
}

// cut takes off s what is behind a hard end.
func (w *window) cut(s span) span {
	if w.hard {
		s.end = min(s.end, w.end)
	}
	return s
}

// windows are those of all streams, the latest first.
func (r *readahead) windows() []window {
	var out []window
	for i := len(r.streams) - 1; i >= 0; i-- {
		st := r.streams[i]
		w := window{span: span{st.pos, st.pos + st.window}}
		if r.pieces != nil {
			if end := r.pieces.Find(st.first).End; st.pos <= end+crossSlack && w.end >= end {
				w.end, w.hard = end, true
			}
		}
		if w.len() > 0 {
			out = append(out, w)
		}
	}
	return out
}

// segment is the length of one request in a window: as many as may run side by side.
func segment(window int64) int64 {
	return max(minSegment, min(window/aheadPerBlob, maxSegment))
}
