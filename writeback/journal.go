package writeback

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"strconv"
	"sync"
)

// journalFormat is the version of the log's lines. One that is older is read for
// ever; a newer one is refused.
const journalFormat = 1

// ErrFormat is a journal that a newer hubfs has written.
var ErrFormat = errors.New("the journal was written by a newer hubfs")

const (
	journalName    = "journal"
	journalNewName = "journal.new"
	rewriteMin     = 1 << 20 // a log below this length is left as it is
)

// A journal is the log of a branch, open for appending.
type journal struct {
	disk disk
	boot string
	// snapshot gives all records that count. Each may be of another instant: lines
	// that are appended meanwhile are read after it.
	snapshot func() []put

	// syncing is held for an fsync, and for putting a new log in place of the old.
	syncing  sync.Mutex
	dirDirty bool  // the name of the log isn't durable; guarded by syncing
	broken   error // why the log can't be trusted to be on disk; guarded by syncing

	mu     sync.Mutex // guards what follows; held over writes to the log
	f      diskFile
	end    int64  // length of what counts
	seq    int64  // of the last line
	synced int64  // of the last line that is durable
	base   int64  // length of the log when it was last rewritten
	ragged bool   // there may be something behind end
	teeing bool   // the log is being rewritten
	tee    []byte // lines since that began
}

// line is what a line of the log holds.
type line struct {
	Format int   `json:"format,omitempty"` // in the first line only
	Seq    int64 `json:"s"`
	Known  int64 `json:"d,omitempty"` // up to which line the log was durable when this one was written
	Puts   []put `json:"p,omitempty"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode gives a line as it is written: a checksum, the JSON, a newline.
func (l line) encode() ([]byte, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(b)+10)
	out = fmt.Appendf(out, "%08x ", crc32.Checksum(b, castagnoli))
	return append(append(out, b...), '\n'), nil
}

// decodeLine reads a line without its newline.
func decodeLine(b []byte) (line, error) {
	var l line
	if len(b) < 9 || b[8] != ' ' {
		return l, errors.New("not a line of a journal")
	}
	sum, err := strconv.ParseUint(string(b[:8]), 16, 32)
	if err != nil {
		return l, err
	}
	if crc32.Checksum(b[9:], castagnoli) != uint32(sum) {
		return l, errors.New("wrong checksum")
	}
	return l, json.Unmarshal(b[9:], &l)
}

// append writes puts as one line: they count together or not at all. After an error none counts.
func (j *journal) append(puts ...put) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	b, err := line{Seq: j.seq + 1, Known: j.synced, Puts: puts}.encode()
	if err != nil {
		return err
	}
	if j.ragged {
		if err := j.f.Truncate("journal trim", j.end); err != nil {
			return fmt.Errorf("mending the journal: %w", err)
		}
		j.ragged = false
	}
	if _, err := j.f.WriteAt("journal append", b, j.end); err != nil {
		j.ragged = j.f.Truncate("journal trim", j.end) != nil
		return fmt.Errorf("writing the journal: %w", err)
	}
	if j.teeing {
		j.tee = append(j.tee, b...)
	}
	j.end += int64(len(b))
	j.seq++
	return nil
}

// dirty says whether something was appended that isn't durable.
func (j *journal) dirty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.synced < j.seq
}

// grown says whether rewriting would pay.
func (j *journal) grown() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end > rewriteMin && j.end > 4*j.base
}

// sync makes durable what was appended before the call. Callers that come
// together share an fsync. Nobody may hold Branch.mu or an inode.mu.
func (j *journal) sync() error {
	j.mu.Lock()
	want := j.seq
	j.mu.Unlock()

	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	f, seq, done := j.f, j.seq, j.synced >= want
	j.mu.Unlock()
	switch {
	case j.broken != nil:
		// What the kernel failed to write it may have forgotten: write all of it anew.
		return j.replace()
	case done && !j.dirDirty:
		return nil
	case done:
		return j.syncName()
	}
	if err := f.Sync("journal sync"); err != nil {
		j.broken = fmt.Errorf("making the journal durable: %w", err)
		return j.broken
	}
	j.mu.Lock()
	j.synced = seq
	j.mu.Unlock()
	return j.syncName()
}

// syncName makes the name of the log durable. It requires syncing.
func (j *journal) syncName() error {
	if !j.dirDirty {
		return nil
	}
	if err := j.disk.SyncDir("journal dirsync", "."); err != nil {
		return fmt.Errorf("making the journal durable: %w", err)
	}
	j.dirDirty = false
	return nil
}

// rewrite puts a log in place that holds only what counts.
func (j *journal) rewrite() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	return j.replace()
}

// replace is rewrite; it requires syncing. Lines that are appended meanwhile go to
// the old log, and then behind the snapshot: they needn't be durable in the new one
// when it gets its name, since nobody has been told that they are, for lack of
// syncing. A line that the snapshot knows already does no harm: of each record the
// last put counts.
func (j *journal) replace() error {
	fail := func(err error) error { return fmt.Errorf("rewriting the journal: %w", err) }
	if err := j.disk.Remove("rewrite clear", journalNewName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	f, err := j.disk.Open("rewrite create", journalNewName, true)
	if err != nil {
		return fail(err)
	}
	j.mu.Lock()
	j.teeing = true
	seq := j.seq
	j.mu.Unlock()
	end, err := writeLines(f, seq, append([]put{{Boot: j.boot}}, j.snapshot()...))
	if err == nil {
		err = f.Sync("rewrite sync")
	}

	j.mu.Lock()
	if err == nil {
		_, err = f.WriteAt("rewrite append", j.tee, end)
		end += int64(len(j.tee))
	}
	if err == nil {
		// Under the lock: no line may go to a log that has lost its name.
		err = j.disk.Rename("rewrite rename", journalNewName, journalName)
	}
	old := f
	if err == nil {
		old = j.f
		j.f, j.end, j.base, j.synced, j.ragged = f, end, end, seq, false
	}
	j.teeing, j.tee = false, nil
	j.mu.Unlock()
	if old != nil {
		old.Close()
	}
	if err != nil {
		return fail(err)
	}
	j.broken, j.dirDirty = nil, true
	return j.syncName()
}

// writeLines writes a log with the given records, whose last line has number seq: a
// log that replaces another goes on with its numbers.
func writeLines(f diskFile, seq int64, puts []put) (end int64, err error) {
	const perLine, perWrite = 64, 1 << 20
	lines := int64((len(puts)+perLine-1)/perLine) + 1
	// Numbers begin so that they end at seq, and may be negative.
	l := line{Format: journalFormat, Seq: seq - lines + 1, Known: seq}
	var buf bytes.Buffer
	write := func() error {
		_, err := f.WriteAt("rewrite write", buf.Bytes(), end)
		end += int64(buf.Len())
		buf.Reset()
		return err
	}
	for {
		b, err := l.encode()
		if err != nil {
			return 0, err
		}
		buf.Write(b)
		if buf.Len() >= perWrite {
			if err := write(); err != nil {
				return 0, err
			}
		}
		if len(puts) == 0 {
			break
		}
		n := min(perLine, len(puts))
		l = line{Seq: l.Seq + 1, Puts: puts[:n]}
		puts = puts[n:]
	}
	return end, write()
}

// close makes the log durable and closes it.
func (j *journal) close() error {
	err := j.sync()
	return errors.Join(err, j.f.Close())
}

// A replay is a log that was read.
type replay struct {
	puts    []put
	boot    string
	seq     int64 // of the last line
	end     int64 // behind the last good line
	length  int64
	damaged int // places that don't verify, or lines that are missing
}

// A gap is a place in a log where lines are missing.
type gap struct {
	puts     int // before it
	seq, end int64
}

// readJournal reads a log. A last line that isn't whole is as it should be after a
// crash. Where the machine has been booted since, so are lines that are missing
// behind what was durable, as the disk writes in any order: what comes after them doesn't count.
// Any other gap is damage, and what comes after it counts; so is a log without any good line.
func readJournal(f diskFile, boot string) (*replay, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	if n, err := f.ReadAt(data, 0); int64(n) < size && !errors.Is(err, io.EOF) {
		return nil, err
	} else if int64(n) < size {
		data = data[:n]
	}
	r := &replay{length: size}
	var gaps []gap
	bad, off, known := false, int64(0), int64(math.MinInt64)
	for first := true; len(data) > 0; {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			break
		}
		l, err := decodeLine(data[:i])
		data = data[i+1:]
		off += int64(i) + 1
		if err != nil {
			bad = true
			continue
		}
		if l.Format > journalFormat {
			return nil, fmt.Errorf("%w (format %d)", ErrFormat, l.Format)
		}
		if bad || first && l.Format == 0 || !first && l.Seq != r.seq+1 {
			gaps = append(gaps, gap{len(r.puts), r.seq, r.end})
		}
		if first {
			known = l.Seq // nothing got the name of the log before it was durable
		}
		bad, first = false, false
		r.puts = append(r.puts, l.Puts...)
		for _, p := range l.Puts {
			r.boot = cmp.Or(p.Boot, r.boot)
		}
		r.seq, r.end, known = l.Seq, off, max(known, l.Known)
	}
	if bad || r.end == 0 { // no log gets its name without a whole first line
		gaps = append(gaps, gap{len(r.puts), r.seq, r.end})
	}
	rebooted := boot == "" || r.boot != boot
	for i, g := range gaps {
		if rebooted && g.end > 0 && g.seq >= known {
			r.puts, r.seq, r.end = r.puts[:g.puts], g.seq, g.end
			gaps = gaps[:i]
			break
		}
	}
	r.damaged = len(gaps)
	return r, nil
}

// last is the number of the last line.
func (j *journal) last() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seq
}

// durable is the number of the last line that is durable.
func (j *journal) durable() int64 {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dirDirty || j.broken != nil {
		return math.MinInt64
	}
	return j.synced
}
