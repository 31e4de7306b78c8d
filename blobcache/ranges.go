package blobcache

import (
	"slices"
	"sort"
)

// span is the bytes [off, end).
type span struct{ off, end int64 }

func (s span) len() int64 { return s.end - s.off }

// ranges is a set of bytes: spans that are sorted, not empty, and neither
// overlap nor touch.
type ranges []span

// find is the index of the first span that ends at or after off.
func (r ranges) find(off int64) int {
	return sort.Search(len(r), func(i int) bool { return r[i].end >= off })
}

// add puts s into the set, and tells how many of its bytes are new there.
func (r *ranges) add(s span) int64 {
	if s.off >= s.end {
		return 0
	}
	var before int64
	// Spans i up to j touch s and become one with it.
	i := r.find(s.off)
	j := i
	for j < len(*r) && (*r)[j].off <= s.end {
		before += (*r)[j].len()
		j++
	}
	if i < j {
		s.off = min(s.off, (*r)[i].off)
		s.end = max(s.end, (*r)[j-1].end)
	}
	*r = slices.Replace(*r, i, j, s)
	return s.len() - before
}

// has tells whether all of s is in the set.
func (r ranges) has(s span) bool {
	if s.off >= s.end {
		return true
	}
	i := r.find(s.off + 1)
	return i < len(r) && r[i].off <= s.off && r[i].end >= s.end
}

// missing gives the parts of s that aren't in the set, in order.
func (r ranges) missing(s span) []span {
	var out []span
	for i := r.find(s.off + 1); i < len(r) && r[i].off < s.end && s.off < s.end; i++ {
		if r[i].off > s.off {
			out = append(out, span{s.off, r[i].off})
		}
		s.off = max(s.off, r[i].end)
	}
	if s.off < s.end {
		out = append(out, s)
	}
	return out
}

// until is the end of the span that holds off, or off itself if none does.
func (r ranges) until(off int64) int64 {
	i := r.find(off + 1)
	if i < len(r) && r[i].off <= off {
		return r[i].end
	}
	return off
}

// total is the number of bytes in the set.
func (r ranges) total() int64 {
	var n int64
	for _, s := range r {
		n += s.len()
	}
	return n
}

// align widens s to multiples of unit, within [0, size).
func align(s span, unit, size int64) span {
	s.end = min(s.end, size)
	if rest := s.end % unit; rest > 0 {
		s.end += min(unit-rest, size-s.end) // size may be as large as numbers go
	}
	return span{s.off - s.off%unit, s.end}
}
