package writeback

import (
	"cmp"
	"slices"
)

// An extent is the bytes [Off, End).
type extent struct{ Off, End int64 }

// extents is a set of bytes: sorted, apart from each other, none empty.
type extents []extent

// from is the index of the first extent that ends at or behind off.
func (e extents) from(off int64) int {
	i, _ := slices.BinarySearchFunc(e, off, func(x extent, off int64) int { return cmp.Compare(x.End, off) })
	return i
}

// add puts [off, end) into the set.
func (e extents) add(off, end int64) extents {
	if off >= end {
		return e
	}
	i := e.from(off)
	k := i
	for ; k < len(e) && e[k].Off <= end; k++ {
		off, end = min(off, e[k].Off), max(end, e[k].End)
	}
	if k == i+1 {
		e[i] = extent{off, end} // the common case moves nothing
		return e
	}
	return slices.Replace(e, i, k, extent{off, end})
}

// cut takes everything at and behind size out of the set.
func (e extents) cut(size int64) extents {
	i := e.from(size)
	if i == len(e) {
		return e
	}
	if e[i].Off < size {
		e[i].End = size
		i++
	}
	return e[:i]
}

// A piece is a run of bytes that are all in a set, or all not.
type piece struct {
	extent
	in bool
}

// pieces calls yield for the runs of [off, end), in order.
func (e extents) pieces(off, end int64, yield func(piece)) {
	for i := e.from(off); off < end; i++ {
		if i == len(e) || e[i].Off >= end {
			yield(piece{extent{off, end}, false})
			return
		}
		x := e[i]
		if x.Off > off {
			yield(piece{extent{off, x.Off}, false})
			off = x.Off
		}
		if stop := min(x.End, end); stop > off {
			yield(piece{extent{off, stop}, true})
			off = stop
		}
	}
}

// total is how many bytes are in the set.
func (e extents) total() int64 {
	var n int64
	for _, x := range e {
		n += x.End - x.Off
	}
	return n
}
