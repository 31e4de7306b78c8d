package blobcache

const (
	fetchUnit    = 64 << 10  // fetches start and end at multiples of it
	firstFetch   = 128 << 10 // at the start of a file
	minWindow    = 128 << 10
	maxWindow    = 128 << 20
	maxSegment   = 8 << 20 // one range request
	minSegment   = 128 << 10
	streamSlack  = 1 << 20   // how far back a late read of a stream may be
	streamSkip   = 256 << 10 // how far forward its next
	maxStreams   = 16
	aheadPerBlob = 8 // range requests at a time for what nobody waits for yet
)

// readahead finds sequential streams in the reads of one blob, whichever handles
// they come through, and says how far ahead of each bytes are worth fetching. A
// stream's window doubles each time that half of it has been read; reads that
// belong to no stream get nothing ahead.
type readahead struct {
	streams []stream // the least recently used first
}

type stream struct {
	pos    int64 // end of the furthest read
	window int64 // 0 until a second read continued the first
	grown  int64 // pos when the window grew last
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
		switch {
		case st.window == 0:
			st.window, st.grown = minWindow, st.pos
		case st.pos-st.grown >= st.window/2:
			st.window, st.grown = min(2*st.window, maxWindow), st.pos
		}
		r.streams = append(append(r.streams[:i], r.streams[i+1:]...), st)
		return
	}
	if len(r.streams) == maxStreams {
		r.streams = r.streams[:copy(r.streams, r.streams[1:])]
	}
	r.streams = append(r.streams, stream{pos: s.end, grown: s.end})
}

// windows are what should be on its way for all streams, the latest first.
func (r *readahead) windows() []span {
	var out []span
	for i := len(r.streams) - 1; i >= 0; i-- {
		if st := r.streams[i]; st.window > 0 {
			out = append(out, span{st.pos, st.pos + st.window})
		}
	}
	return out
}

// segment is the length of one request in a window: several run side by side.
func segment(window int64) int64 {
	return max(minSegment, min(window/4, maxSegment))
}
