package gitstore

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // the format of git
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
)

// packEncoder writes a pack, object by object, without deltas. It is for one
// goroutine.
type packEncoder struct {
	w      io.Writer
	sum    hash.Hash
	z      *zlib.Writer
	buf    bytes.Buffer
	offset uint64 // of the next object
}

// newPackEncoder begins a pack of so many objects.
func newPackEncoder(w io.Writer, objects int) (*packEncoder, error) {
	e := &packEncoder{w: w, sum: sha1.New()} //nolint:gosec // the format of git
	var err error
	// The fastest level also resets fastest, which is what small objects cost.
	if e.z, err = zlib.NewWriterLevel(&e.buf, zlib.BestSpeed); err != nil {
		return nil, err
	}
	var head [12]byte
	copy(head[:], "PACK")
	binary.BigEndian.PutUint32(head[4:], 2)
	binary.BigEndian.PutUint32(head[8:], uint32(objects))
	return e, e.write(head[:])
}

func (e *packEncoder) write(b []byte) error {
	e.sum.Write(b)
	e.offset += uint64(len(b))
	_, err := e.w.Write(b)
	return err
}

// add writes an object, and tells where it begins and the checksum of its entry.
func (e *packEncoder) add(o *Object) (offset uint64, crc uint32, err error) {
	e.buf.Reset()
	packEntryHead(&e.buf, o.Type, len(o.Content))
	e.z.Reset(&e.buf)
	if _, err := e.z.Write(o.Content); err != nil {
		return 0, 0, err
	}
	if err := e.z.Close(); err != nil {
		return 0, 0, err
	}
	offset = e.offset
	return offset, crc32.ChecksumIEEE(e.buf.Bytes()), e.write(e.buf.Bytes())
}

// close ends the pack, and returns its checksum.
func (e *packEncoder) close() (sum OID, err error) {
	e.sum.Sum(sum[:0])
	_, err = e.w.Write(sum[:])
	return sum, err
}

// packEntryHead writes the type and size of an entry: four bits of the size with
// the type, then seven a byte.
func packEntryHead(buf *bytes.Buffer, t plumbing.ObjectType, size int) {
	c := byte(t)<<4 | byte(size&0xf)
	for size >>= 4; size > 0; size >>= 7 {
		buf.WriteByte(c | 0x80)
		c = byte(size & 0x7f)
	}
	buf.WriteByte(c)
}

// encodePack writes a pack and returns its index and checksum.
func encodePack(w io.Writer, objects []pendingObject) (*idxfile.MemoryIndex, OID, error) {
	e, err := newPackEncoder(w, len(objects))
	if err != nil {
		return nil, OID{}, err
	}
	var idx idxfile.Writer
	if err := idx.OnHeader(uint32(len(objects))); err != nil {
		return nil, OID{}, err
	}
	for _, o := range objects {
		offset, crc, err := e.add(&o.Object)
		if err != nil {
			return nil, OID{}, err
		}
		idx.Add(o.oid, offset, crc)
	}
	sum, err := e.close()
	if err != nil {
		return nil, OID{}, err
	}
	if err := idx.OnFooter(sum); err != nil {
		return nil, OID{}, fmt.Errorf("pack index: %w", err)
	}
	m, err := idx.Index()
	return m, sum, err
}

// WritePack writes a pack of the objects, which must exist. One object is in
// memory at a time.
func (s *Store) WritePack(w io.Writer, ids []OID) error {
	e, err := newPackEncoder(w, len(ids))
	if err != nil {
		return err
	}
	for _, id := range ids {
		o, err := s.Read(id)
		if err != nil {
			return fmt.Errorf("pack %s: %w", id, err)
		}
		if _, _, err := e.add(o); err != nil {
			return err
		}
	}
	_, err = e.close()
	return err
}
