package blobcache

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// The journal of a partial file says which ranges of it are there. It is a
// header and then records of one size, each with a checksum:
//
//	header  magic[8] size[8] inode of the data file[8] crc[4]
//	range   off[8] end[8] boot[8] crc[4]
//	mark    -1[8] n[8] boot[8] crc[4]     the first n bytes of the journal are durable
//
// boot names the machine's boot in which the record was written: the page cache
// of that boot has the bytes, whatever happened to the process. In a later boot
// only what a mark covers counts, since the data were synced before the mark.
const (
	journalMagic  = "hubfsmp1"
	journalHeader = 28
	journalRecord = 28
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errJournal = errors.New("damaged journal")

// seal puts the checksum of all but the last four bytes there.
func seal(b []byte) []byte {
	n := len(b) - 4
	binary.LittleEndian.PutUint32(b[n:], crc32.Checksum(b[:n], castagnoli))
	return b
}

func sealed(b []byte) bool {
	n := len(b) - 4
	return n >= 0 && binary.LittleEndian.Uint32(b[n:]) == crc32.Checksum(b[:n], castagnoli)
}

func encodeJournalHeader(size int64, inode uint64) []byte {
	b := make([]byte, journalHeader)
	copy(b, journalMagic)
	binary.LittleEndian.PutUint64(b[8:], uint64(size))
	binary.LittleEndian.PutUint64(b[16:], inode)
	return seal(b)
}

func appendRecord(b []byte, off, end int64, boot uint64) []byte {
	var r [journalRecord]byte
	binary.LittleEndian.PutUint64(r[:], uint64(off))
	binary.LittleEndian.PutUint64(r[8:], uint64(end))
	binary.LittleEndian.PutUint64(r[16:], boot)
	return append(b, seal(r[:])...)
}

// appendMark says that the first n bytes of the journal are durable.
func appendMark(b []byte, n int64, boot uint64) []byte { return appendRecord(b, -1, n, boot) }

// decodeJournal gives the ranges that can be relied on, and how many bytes of b
// are sound; the rest is to be cut off. It fails if the journal isn't one for a
// data file of that size and inode.
func decodeJournal(b []byte, size int64, inode, boot uint64) (have ranges, sound int64, err error) {
	if len(b) < journalHeader || string(b[:8]) != journalMagic || !sealed(b[:journalHeader]) ||
		binary.LittleEndian.Uint64(b[8:]) != uint64(size) || binary.LittleEndian.Uint64(b[16:]) != inode {
		return nil, 0, errJournal
	}
	type record struct {
		span
		at   int64 // where in the journal
		boot uint64
	}
	var pending []record // not covered by a mark yet
	sound = journalHeader
	for b = b[journalHeader:]; len(b) >= journalRecord && sealed(b[:journalRecord]); b = b[journalRecord:] {
		off := int64(binary.LittleEndian.Uint64(b))
		end := int64(binary.LittleEndian.Uint64(b[8:]))
		by := binary.LittleEndian.Uint64(b[16:])
		switch {
		case off == -1 && end >= 0 && end <= sound:
			keep := pending[:0]
			for _, p := range pending {
				if p.at < end {
					have.add(p.span)
				} else {
					keep = append(keep, p)
				}
			}
			pending = keep
		case off >= 0 && off < end && end <= size:
			pending = append(pending, record{span{off, end}, sound, by})
		default:
			return nil, 0, errJournal
		}
		sound += journalRecord
	}
	for _, p := range pending {
		if p.boot == boot && boot != 0 {
			have.add(p.span)
		}
	}
	return have, sound, nil
}
