package blobcache

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// A listing on disk is
//
//	magic[8] length of the key, key, number of entries, length of all names,
//	names one after the other, then for each entry
//	flags[1] length of the name, id[20]?, size?, sha256[32]?, mtime?
//	crc[4] of all before
//
// with numbers as varints, and with what the flags say is there. Names stand
// together so that all of them are parts of one string in memory.
const listingMagic = "hubfsls1"

const (
	flagDir = 1 << iota
	flagOID
	flagSize
	flagSHA256
	flagMTime
	flagsKnown = 1<<iota - 1
)

var errListing = errors.New("damaged listing")

func encodeListing(key string, l *Listing) []byte {
	names := 0
	for i := range l.Entries {
		names += len(l.Entries[i].Name)
	}
	b := make([]byte, 0, 64+len(key)+names+len(l.Entries)*64)
	b = append(b, listingMagic...)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	b = binary.AppendUvarint(b, uint64(len(l.Entries)))
	b = binary.AppendUvarint(b, uint64(names))
	for i := range l.Entries {
		b = append(b, l.Entries[i].Name...)
	}
	for i := range l.Entries {
		b = appendEntry(b, &l.Entries[i])
	}
	return seal(append(b, 0, 0, 0, 0))
}

func appendEntry(b []byte, e *Entry) []byte {
	var flags byte
	set := func(is bool, flag byte) bool {
		if is {
			flags |= flag
		}
		return is
	}
	set(e.Dir, flagDir)
	oid := set(!e.OID.IsZero(), flagOID)
	size := set(e.Size != 0, flagSize)
	lfs := set(e.LFS(), flagSHA256)
	mtime := set(e.MTime != 0, flagMTime)
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(len(e.Name)))
	if oid {
		b = append(b, e.OID[:]...)
	}
	if size {
		b = binary.AppendUvarint(b, uint64(e.Size))
	}
	if lfs {
		b = append(b, e.SHA256[:]...)
	}
	if mtime {
		b = binary.AppendVarint(b, e.MTime)
	}
	return b
}

// decodeListing reads what encodeListing wrote for that key.
func decodeListing(key string, b []byte) (*Listing, error) {
	if len(b) < len(listingMagic)+4 || !bytes.HasPrefix(b, []byte(listingMagic)) || !sealed(b) {
		return nil, errListing
	}
	d := decoder{b: b[len(listingMagic) : len(b)-4]}
	if k := d.bytes(d.length()); string(k) != key {
		return nil, fmt.Errorf("%w: of %q", errListing, k)
	}
	count, namesLen := d.length(), d.length()
	names := string(d.bytes(namesLen))
	if d.bad || count > len(d.b) { // an entry has at least two bytes
		return nil, errListing
	}
	l := &Listing{Entries: make([]Entry, count)}
	for i := range l.Entries {
		e := &l.Entries[i]
		flags := d.bytes(1)
		if d.bad || flags[0]&^flagsKnown != 0 {
			return nil, errListing
		}
		n := d.size()
		if n > int64(len(names)) {
			return nil, errListing
		}
		e.Name, names = names[:n], names[n:]
		e.Dir = flags[0]&flagDir != 0
		if flags[0]&flagOID != 0 {
			copy(e.OID[:], d.bytes(len(e.OID)))
		}
		if flags[0]&flagSize != 0 {
			e.Size = d.size()
		}
		if flags[0]&flagSHA256 != 0 {
			copy(e.SHA256[:], d.bytes(len(e.SHA256)))
		}
		if flags[0]&flagMTime != 0 {
			e.MTime = d.varint()
		}
		if d.bad || i > 0 && l.Entries[i-1].Name >= e.Name {
			return nil, errListing
		}
	}
	if len(d.b) != 0 || len(names) != 0 {
		return nil, errListing
	}
	return l, nil
}

// decoder takes things off b; what isn't there makes it bad, and is zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) size() int64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > math.MaxInt64 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return int64(v)
}

// length is a number of bytes or entries, which can't be more than there is.
func (d *decoder) length() int {
	n := d.size()
	if n > int64(len(d.b)) {
		d.bad, d.b = true, nil
		return 0
	}
	return int(n)
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// sortListing puts the entries in order, and refuses what can't be a folder.
func sortListing(l *Listing) error {
	byName := func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(l.Entries, byName) {
		slices.SortFunc(l.Entries, byName)
	}
	for i := range l.Entries {
		switch {
		case l.Entries[i].Name == "":
			return errors.New("listing with an empty name")
		case l.Entries[i].Size < 0:
			return fmt.Errorf("listing with %q of negative size", l.Entries[i].Name)
		case i > 0 && l.Entries[i-1].Name == l.Entries[i].Name:
			return fmt.Errorf("listing with two entries %q", l.Entries[i].Name)
		}
	}
	return nil
}

// memorySize is about what a listing takes in memory.
func (l *Listing) memorySize() int64 {
	n := int64(64)
	for i := range l.Entries {
		n += 112 + int64(len(l.Entries[i].Name))
	}
	return n
}
