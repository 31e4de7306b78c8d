package blobcache

import "github.com/hubfs/hubfs/blobcache/pieces"

// description is what is being found out about the pieces of a file. It belongs to
// the core and is guarded by its mu.
type description struct {
	format pieces.Format // nil: there is nothing to find out, or no more
	next   span          // what has to be here to go on
	busy   bool
	wanted bool // next is worth fetching: somebody has read what led to it
}

// maxWantedDescription is how much of a description is fetched ahead.
const maxWantedDescription = 16 << 20

// describe begins to find out about the pieces, as soon as the part of the file that
// tells is here. Needs mu.
func (k *core) describe() {
	d := &k.description
	if d.format == nil || d.busy || k.part == nil || len(k.part.missing(d.next)) > 0 {
		return
	}
	format, have, data := d.format, d.next, k.data.acquire()
	d.busy = k.work(func() {
		defer data.release()
		found, next, err := format.Read(data, k.key.size, pieces.Span{Off: have.off, End: have.end})
		k.mu.Lock()
		defer k.mu.Unlock()
		d.busy = false
		switch {
		case err != nil, found == nil && next.End-next.Off <= have.len():
			d.format, d.wanted = nil, false
		case found != nil:
			d.format, d.wanted = nil, false
			k.ahead.pieces = found
		default:
			d.next = span{next.Off, next.End}
			d.wanted = d.next.len() <= maxWantedDescription
			if len(k.files) > 0 {
				k.pump(k.files[0])
			}
			k.describe()
		}
	})
	if !d.busy {
		data.release()
	}
}
