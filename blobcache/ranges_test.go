package blobcache

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRangesAgainstBits compares every operation with a plain array of bits.
func TestRangesAgainstBits(t *testing.T) {
	const size = 96
	rapid.Check(t, func(t *rapid.T) {
		var r ranges
		var bits [size]bool
		draw := func() span {
			a := rapid.Int64Range(0, size).Draw(t, "off")
			return span{a, rapid.Int64Range(a, size).Draw(t, "end")}
		}
		for range rapid.IntRange(0, 24).Draw(t, "n") {
			s := draw()
			got := r.add(s)
			for i := s.off; i < s.end; i++ {
				if !bits[i] {
					got--
				}
				bits[i] = true
			}
			if got != 0 {
				t.Fatalf("add %v: off by %d new bytes", s, got)
			}
			for i, p := range r {
				if p.off >= p.end || i > 0 && r[i-1].end >= p.off {
					t.Fatalf("not normal: %v", r)
				}
			}
			var total int64
			for _, b := range bits {
				if b {
					total++
				}
			}
			if r.total() != total {
				t.Fatalf("total %d, want %d: %v", r.total(), total, r)
			}
			q := draw()
			var want []span
			for i := q.off; i < q.end; i++ {
				switch {
				case bits[i]:
				case len(want) > 0 && want[len(want)-1].end == i:
					want[len(want)-1].end++
				default:
					want = append(want, span{i, i + 1})
				}
			}
			if got := r.missing(q); !slices.Equal(got, want) {
				t.Fatalf("missing %v of %v: %v, want %v", q, r, got, want)
			}
			if got := r.has(q); got != (len(want) == 0) {
				t.Fatalf("has %v in %v: %v", q, r, got)
			}
			end := q.off
			for end < size && bits[end] {
				end++
			}
			if got := r.until(q.off); got != end {
				t.Fatalf("until %d in %v: %d, want %d", q.off, r, got, end)
			}
		}
	})
}

func TestRangesEdges(t *testing.T) {
	var r ranges
	r.add(span{5, 5})
	if len(r) != 0 || !r.has(span{3, 3}) || r.missing(span{4, 4}) != nil || r.until(7) != 7 {
		t.Fatalf("empty set: %v", r)
	}
	r.add(span{10, 20})
	r.add(span{20, 30})
	r.add(span{0, 10})
	if !slices.Equal(r, ranges{{0, 30}}) {
		t.Fatalf("touching spans stay apart: %v", r)
	}
	r.add(span{1 << 40, 1<<40 + 1})
	if r.total() != 31 || r.has(span{29, 31}) {
		t.Fatal(r)
	}
}

func TestAlign(t *testing.T) {
	for _, c := range []struct {
		in   span
		size int64
		want span
	}{
		{span{0, 1}, 1000, span{0, 64}},
		{span{63, 65}, 1000, span{0, 128}},
		{span{64, 128}, 1000, span{64, 128}},
		{span{990, 1000}, 1000, span{960, 1000}},
	} {
		if got := align(c.in, 64, c.size); got != c.want {
			t.Errorf("align %v: %v, want %v", c.in, got, c.want)
		}
	}
}

// A server may claim any size.
func TestAlignAtTheEnd(t *testing.T) {
	const size = math.MaxInt64
	for _, c := range []struct{ s, want span }{
		{span{0, 1}, span{0, 1 << 18}}, {span{1 << 18, 1<<18 + 1}, span{1 << 18, 1 << 19}}, {span{5, 1 << 18}, span{0, 1 << 18}},
		{span{size - 10, size}, span{size - size%(1<<18), size}},
	} {
		if got := align(c.s, 1<<18, size); got != c.want {
			t.Errorf("%v is aligned to %v, want %v", c.s, got, c.want)
		}
	}
	for _, end := range []int64{11, 100, 1000} {
		if got := align(span{10, end}, 1<<18, 100); got != (span{0, 100}) {
			t.Error(got)
		}
	}
}
