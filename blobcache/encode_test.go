package blobcache

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestListingRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringN(1, 20, 60), 0, 30, rapid.ID[string]).Draw(t, "names")
		l := &Listing{Entries: []Entry{}}
		for _, n := range names {
			e := Entry{Name: n, Dir: rapid.Bool().Draw(t, "dir")}
			if rapid.Bool().Draw(t, "oid") {
				copy(e.OID[:], rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "oid"))
			}
			if rapid.Bool().Draw(t, "lfs") {
				copy(e.SHA256[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "sha256"))
			}
			e.Size = rapid.Int64Range(0, math.MaxInt64).Draw(t, "size")
			e.MTime = rapid.Int64().Draw(t, "mtime")
			l.Entries = append(l.Entries, e)
		}
		if err := sortListing(l); err != nil {
			t.Fatal(err)
		}
		b := encodeListing("key", l)
		got, err := decodeListing("key", b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, l) {
			t.Fatalf("got %v, want %v", got, l)
		}
		if _, err := decodeListing("kez", b); err == nil {
			t.Fatal("a listing of another key")
		}
		i := rapid.IntRange(0, len(b)-1).Draw(t, "i")
		b[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := decodeListing("key", b); err == nil {
			t.Fatalf("a flipped bit at %d isn't noticed", i)
		}
	})
}

func FuzzDecodeListing(f *testing.F) {
	l := &Listing{Entries: []Entry{{Name: "a", Size: 3}, {Name: "b", Dir: true, OID: OID{1}}, {Name: "c", SHA256: [32]byte{2}, MTime: 9}}}
	f.Add(encodeListing("k", l))
	f.Add([]byte(listingMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		// The checksum would keep the fuzzer out.
		if len(b) >= 4 {
			b = seal(slices.Clone(b))
		}
		l, err := decodeListing("k", b)
		if err != nil {
			return
		}
		if err := sortListing(l); err != nil {
			t.Fatal(err)
		}
		if again, err := decodeListing("k", encodeListing("k", l)); err != nil || !slices.Equal(again.Entries, l.Entries) {
			t.Fatalf("%v, %v", again, err)
		}
	})
}

func FuzzDecodeJournal(f *testing.F) {
	b := encodeJournalHeader(1000, 7)
	b = appendRecord(b, 0, 100, 1)
	b = appendMark(b, int64(len(b)), 1)
	b = appendRecord(b, 200, 300, 1)
	f.Add(b, int64(1000))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		b = slices.Clone(b)
		if len(b) >= journalHeader {
			copy(b, encodeJournalHeader(size, 7))
			for r := b[journalHeader:]; len(r) >= journalRecord; r = r[journalRecord:] {
				seal(r[:journalRecord])
			}
		}
		have, sound, err := decodeJournal(b, size, 7, 1)
		if err != nil {
			if len(have) != 0 {
				t.Fatal("ranges out of a damaged journal")
			}
			return
		}
		if sound > int64(len(b)) || len(have) > 0 && (have[0].off < 0 || have[len(have)-1].end > size) {
			t.Fatal(have, sound)
		}
	})
}

func TestJournalTrust(t *testing.T) {
	const size, inode, boot, later = 1000, 7, 1, 2
	b := encodeJournalHeader(size, inode)
	b = appendRecord(b, 0, 100, boot)
	covered := int64(len(b))
	b = appendRecord(b, 100, 200, boot) // while the data were synced
	b = appendMark(b, covered, boot)
	b = appendRecord(b, 500, 600, boot)

	check := func(name string, b []byte, inode, boot uint64, want ranges, fine bool) {
		t.Helper()
		have, _, err := decodeJournal(b, size, inode, boot)
		if (err == nil) != fine || !slices.Equal(have, want) {
			t.Errorf("%s: %v, %v", name, have, err)
		}
	}
	check("same boot", b, inode, boot, ranges{{0, 200}, {500, 600}}, true)
	check("later boot", b, inode, later, ranges{{0, 100}}, true)
	check("unknown boot", b, inode, 0, ranges{{0, 100}}, true)
	check("other file", b, 8, boot, nil, false)
	check("cut short", b[:len(b)-3], inode, boot, ranges{{0, 200}}, true)
	check("garbage after", append(slices.Clone(b), bytes.Repeat([]byte{9}, 40)...), inode, boot, ranges{{0, 200}, {500, 600}}, true)
	check("empty", nil, inode, boot, nil, false)
	torn := slices.Clone(b)
	torn[journalHeader+3] ^= 1
	check("damaged record", torn, inode, boot, nil, true)
	check("beyond the end", appendRecord(slices.Clone(b), 900, 1001, boot), inode, boot, nil, false)
}

func TestListingMemory(t *testing.T) {
	const n = 100_000
	l := &Listing{}
	for i := range n {
		l.Entries = append(l.Entries, Entry{Name: fmt.Sprintf("train-%05d-of-99999.parquet", i), OID: OID{byte(i)}, Size: 1 << 20, SHA256: [32]byte{1}})
	}
	b := encodeListing("k", l)
	l = nil
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l, err := decodeListing("k", b)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := int64(after.HeapAlloc-before.HeapAlloc) / n
	if per > 200 {
		t.Errorf("%d bytes an entry", per)
	}
	if est := l.memorySize() / n; est < per-20 || est > per+40 {
		t.Errorf("estimated %d bytes an entry, are %d", est, per)
	}
	runtime.KeepAlive(b)
}
