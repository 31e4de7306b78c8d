package writeback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestJournalIsRewritten(t *testing.T) {
	r := newRig(t, base)
	for i := range 300 {
		r.write(t, fmt.Sprintf("f%d", i%10), fmt.Sprint(i))
	}
	before := r.journal.end
	must(t, r.compact())
	if r.journal.end > before/4 {
		t.Errorf("%d bytes became %d", before, r.journal.end)
	}
	r.write(t, "after", "x")
	want := r.walk(t)
	r.kill(t)
	wantView(t, r, want)
}

// journalData is the log of a rig as bytes.
func (r *rig) journalData() *memData {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	return r.disk.files[journalName]
}

func TestDamagedJournal(t *testing.T) {
	r := newRig(t, base)
	r.write(t, "first", "1")
	from := len(r.journalData().data)
	r.write(t, "second", "2")
	to := len(r.journalData().data)
	r.write(t, "third", "3")
	must(t, r.journal.sync())
	must(t, r.Close())
	r.disk = r.disk.restart()
	r.Branch = nil
	data := r.journalData().data
	// Every line about the second file becomes unreadable.
	for i := from; i < to; i += 20 {
		data[i] ^= 0x10
	}
	r.open(t)
	want := view(base)
	want["first"], want["third"] = "1", "3"
	wantView(t, r, want)
	rec := r.Recovered()
	if rec.Damaged != 1 || len(rec.Aside) != 2 {
		t.Errorf("recovered %+v; want one damage, the journal and the second file's content aside", rec)
	}
	aside := ""
	for _, name := range rec.Aside {
		aside += string(r.disk.files[name].data)
	}
	if !strings.Contains(aside, "2") || !strings.Contains(aside, `"first"`) {
		t.Errorf("aside: %q", aside)
	}
	r.kill(t)
	wantView(t, r, want)
	if rec := r.Recovered(); rec.Damaged != 0 {
		t.Errorf("the damage is still there: %+v", rec)
	}
}

func TestLostData(t *testing.T) {
	r := newRig(t, nil)
	r.write(t, "f", "content")
	r.write(t, "g", "whole")
	r.kill(t)
	delete(r.disk.files, dataName(r.root.find("f").ino.layers[0].id))
	r.kill(t)
	if got := r.Recovered().Torn; !slices.Equal(got, []string{"f"}) {
		t.Errorf("torn: %v", got)
	}
	if got := r.read(t, "g"); got != "whole" {
		t.Errorf("g holds %q", got)
	}
}

func TestNewerJournalIsRefused(t *testing.T) {
	r := newRig(t, nil)
	must(t, r.Close())
	r.disk = r.disk.restart()
	r.Branch = nil
	b, err := line{Format: journalFormat + 1, Seq: 1}.encode()
	must(t, err)
	r.journalData().data = b
	if _, err := r.tryOpen(); !errors.Is(err, ErrFormat) {
		t.Errorf("open: %v", err)
	}
	if string(r.journalData().data) != string(b) {
		t.Error("it was changed")
	}
}

// TestFormat1 opens a journal as the first format has it. It stays readable for ever.
func TestFormat1(t *testing.T) {
	data, err := os.ReadFile("testdata/format1/journal")
	must(t, err)
	d := newMemDisk()
	d.files[journalName] = &memData{data: data}
	for name, content := range map[string]string{"2": "new content", "4": strings.Repeat("\x00", 10) + " editedhij"} {
		d.files[dataDir+"/"+name] = &memData{data: []byte(content)}
	}
	r := &rig{disk: d, tree: &hubTree{"c1", map[string]string{"old": "0123456789abcdefghij", "gone": "g"}}, blobs: &hubBlobs{content: make(map[string]string)}, boot: "boot 1"}
	for _, content := range r.tree.files {
		r.blobs.content[gitOID(content).String()] = content
	}
	r.open(t)
	defer r.Close()
	wantView(t, r, map[string]string{"new": "new content", "old": "0123456789 editedhij", "d/": ""})
	if rec := r.Recovered(); rec.Damaged > 0 || rec.Changes != 3 || len(rec.Torn) > 0 {
		t.Errorf("recovered %+v", rec)
	}
	if e, err := r.Lookup(context.Background(), "new"); err != nil || e.Mode != 0o755 || e.MTime.Unix() != 1700000000 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestLinesAreChecked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := line{Seq: rapid.Int64().Draw(t, "seq"), Puts: []put{{Node: &nodeRec{Path: rapid.String().Draw(t, "path"), Kind: kindDir}}}}
		b, err := l.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeLine(b[:len(b)-1])
		if err != nil || got.Seq != l.Seq || *got.Puts[0].Node != *l.Puts[0].Node {
			t.Fatalf("%s reads as %+v, %v", b, got, err)
		}
		bad := slices.Clone(b[:len(b)-1])
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if got, err := decodeLine(bad); err == nil {
			if same, _ := json.Marshal(got); string(same) != string(b[9:len(b)-1]) {
				t.Fatalf("%q was taken as %+v", bad, got)
			}
		}
	})
}

func TestExtents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 64
		var e extents
		var want [size]bool
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				off, n := rapid.Int64Range(0, size-1).Draw(t, "off"), rapid.Int64Range(0, 12).Draw(t, "n")
				end := min(off+n, size)
				e = e.add(off, end)
				for i := off; i < end; i++ {
					want[i] = true
				}
			},
			"cut": func(t *rapid.T) {
				at := rapid.Int64Range(0, size+3).Draw(t, "at")
				e = e.cut(at)
				for i := at; i < size; i++ {
					want[i] = false
				}
			},
			"": func(t *rapid.T) {
				var got [size]bool
				next, count := int64(0), int64(0)
				e.pieces(0, size, func(p piece) {
					if p.Off != next || p.End <= p.Off {
						t.Fatalf("piece %v after %d", p, next)
					}
					next = p.End
					for i := p.Off; i < p.End; i++ {
						got[i] = p.in
						if p.in {
							count++
						}
					}
				})
				if got != want || next != size || e.total() != count {
					t.Fatalf("%v is %v, want %v", e, got, want)
				}
				for i, x := range e {
					if x.Off >= x.End || i > 0 && x.Off <= e[i-1].End {
						t.Fatalf("not in order, or not apart: %v", e)
					}
				}
				if !slices.Equal(extents(nil).addFlat(e.flat()), e) {
					t.Fatalf("%v is not what it was written as", e)
				}
			},
		})
	})
}

// script is a life of a branch that makes every step that a disk knows. It stops at
// the first error, and gives what it was promised: contents that were fsynced, nil
// for paths that were removed before an fsync.
func script(r *rig) (promised map[string]*string, closed map[string][]string, err error) {
	ctx := context.Background()
	promised, closed = make(map[string]*string), make(map[string][]string)
	names := make(map[string]*string) // changes of names that wait for an fsync
	fsync := func(f *File, path, content string) {
		if err == nil {
			if err = f.Fsync(); err == nil {
				maps.Copy(promised, names)
				clear(names)
				promised[path] = &content
			}
		}
	}
	do := func(e error) {
		if err == nil {
			err = e
		}
	}
	open := func(path string, flag int) *File {
		if err != nil {
			return nil
		}
		var f *File
		f, err = r.OpenFile(ctx, path, flag, 0o644)
		return f
	}
	write := func(f *File, content string, off int64) {
		if err == nil {
			_, err = f.WriteAt([]byte(content), off)
		}
	}
	end := func(f *File, path, content string) {
		if f == nil {
			return
		}
		closed[path] = append(closed[path], content) // perhaps: it counts from the call on
		do(f.Release())
	}

	f := open("a", os.O_RDWR|os.O_CREATE)
	write(f, "content of a", 0)
	fsync(f, "a", "content of a")
	end(f, "a", "content of a")

	f = open("big.bin", os.O_RDWR)
	write(f, "HERE", 100)
	if err == nil {
		err = f.Zero(8, 8)
	}
	big := base["big.bin"][:8] + strings.Repeat("\x00", 8) + base["big.bin"][16:100] + "HERE" + base["big.bin"][104:]
	fsync(f, "big.bin", big)
	end(f, "big.bin", big)

	// Again, in place: what was fsynced is kept apart until it is fsynced itself.
	f = open("a", os.O_RDWR)
	write(f, "CONTENT", 0)
	end(f, "a", "CONTENT of a")
	delete(promised, "a")
	do(r.journalSync(&err))
	if err == nil {
		r.mergeAll()
		r.removeDoomed()
	}

	if err == nil {
		do(r.Mkdir(ctx, "dir"))
		do(r.Rename(ctx, "d", "dir/d", false))
		do(r.Unlink(ctx, "README.md"))
	}
	f = open("dir/b", os.O_RDWR|os.O_CREATE)
	if err == nil {
		fa, fb := base["d/a"], base["d/b"]
		names["dir/d/a"], names["dir/d/b"], names["d/a"], names["README.md"] = &fa, &fb, nil, nil
	}
	write(f, strings.Repeat("b", 5000), 0)
	if err == nil {
		err = f.Truncate(10)
	}
	fsync(f, "dir/b", strings.Repeat("b", 10))
	end(f, "dir/b", strings.Repeat("b", 10))
	if err == nil {
		do(r.compact())
	}
	f = open("dir/c", os.O_RDWR|os.O_CREATE)
	write(f, "saved by rename", 0)
	end(f, "dir/c", "saved by rename")
	if err == nil {
		// Either content is right from here on, but one of them is.
		delete(promised, "dir/b")
		closed["dir/b"] = append(closed["dir/b"], "saved by rename")
		do(r.Rename(ctx, "dir/c", "dir/b", false))
	}
	if err == nil {
		do(r.journal.sync())
		r.removeDoomed()
	}
	f = open("a", os.O_RDWR|os.O_TRUNC)
	write(f, "last", 0)
	fsync(f, "a", "last")
	end(f, "a", "last")
	return promised, closed, err
}

// journalSync makes the log durable unless an error came before.
func (r *rig) journalSync(err *error) error {
	if *err != nil {
		return *err
	}
	return r.journal.sync()
}
