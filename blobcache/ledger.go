package blobcache

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// touchEvery is how exactly the time of last use is kept.
const touchEvery = 5 * time.Minute

// ledger is the durable list of what hubfs made in the shared cache, and of what
// it verified there: a log of lines, each a checksum and a JSON object. All
// processes append to it, and follow what the others append. It is rewritten
// only by a process that is alone. A lost line is safe: what isn't in the ledger
// is somebody else's, and never removed.
type ledger struct {
	dir *ownDir
	log *slog.Logger

	mu       sync.Mutex // held over one append or the reading of new lines
	file     *os.File   // nil until opened, or if the disk refuses
	alive    *os.File   // locked, shared, as long as the ledger is open
	in       *bufio.Reader
	pos      int64 // read so far
	lines    int   // read so far
	blobs    map[blobName]*ledgerBlob
	homes    map[string]string  // by hash: a repository for which hubfs made the blob; a hint
	refs     map[refName]string // made by hubfs, with their commits
	verified map[fileIdentity]struct{}
}

// blobName is a blob of a repository's folder; folder is Repo.String.
type blobName struct{ repo, hash string }

type refName struct{ repo, revision string }

type linkName struct{ commit, path string }

// ledgerBlob is what hubfs did about a blob.
type ledgerBlob struct {
	made  bool // the blob itself, not only links
	size  int64
	links map[linkName]struct{}
	used  time.Time
}

// fileIdentity is a file whose content was found to have that hash.
type fileIdentity struct {
	hash  string
	inode uint64
	size  int64
	mtime int64 // Unix nanoseconds
}

type ledgerLine struct {
	Op     string `json:"op"`
	Repo   string `json:"r,omitempty"`
	Hash   string `json:"h,omitempty"`
	Commit string `json:"c,omitempty"`
	Path   string `json:"p,omitempty"` // of a link; the revision of a ref
	Inode  uint64 `json:"i,omitempty"`
	Size   int64  `json:"n,omitempty"`
	Time   int64  `json:"t,omitempty"` // Unix nanoseconds
}

const (
	opBlob   = "blob"   // is going to be made
	opLink   = "link"   // is going to be made
	opRef    = "ref"    // is going to be made
	opUse    = "use"    // of a blob
	opOK     = "ok"     // a file was verified
	opGone   = "gone"   // a blob was removed, with its links
	opUnlink = "unlink" // a link was removed
	opUnref  = "unref"  // a ref was removed
)

func newLedger(dir *ownDir, log *slog.Logger) *ledger {
	l := &ledger{
		dir: dir, log: log,
		blobs: map[blobName]*ledgerBlob{}, homes: map[string]string{}, refs: map[refName]string{}, verified: map[fileIdentity]struct{}{},
	}
	return l
}

// open reads the ledger at first use. Needs mu.
func (l *ledger) open() {
	if l.file != nil {
		return
	}
	f, err := l.dir.open("ledger", os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		l.log.Warn("the ledger of the cache can't be opened", "err", err)
		return
	}
	l.file = f
	l.follow()
	alive, err := l.dir.open("ledger.lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	l.alive = alive
	if unix.Flock(int(alive.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		l.compact()
	}
	// Alone no longer, as far as the file system knows locks.
	_ = unix.Flock(int(alive.Fd()), unix.LOCK_SH|unix.LOCK_NB)
}

// compact rewrites the ledger if most of its lines are history. Needs mu, and
// that no other process has it open.
func (l *ledger) compact() {
	facts := len(l.refs) + len(l.verified)
	for _, b := range l.blobs {
		facts += 2 + len(b.links)
	}
	if l.lines < 2*facts+1000 {
		return
	}
	var out bytes.Buffer
	for n, b := range l.blobs {
		if b.made {
			out.Write(encodeLine(ledgerLine{Op: opBlob, Repo: n.repo, Hash: n.hash, Size: b.size}))
		}
		for k := range b.links {
			out.Write(encodeLine(ledgerLine{Op: opLink, Repo: n.repo, Hash: n.hash, Commit: k.commit, Path: k.path}))
		}
		out.Write(encodeLine(ledgerLine{Op: opUse, Repo: n.repo, Hash: n.hash, Time: b.used.UnixNano()}))
	}
	for n, commit := range l.refs {
		out.Write(encodeLine(ledgerLine{Op: opRef, Repo: n.repo, Path: n.revision, Commit: commit}))
	}
	for f := range l.verified {
		out.Write(encodeLine(ledgerLine{Op: opOK, Hash: f.hash, Inode: f.inode, Size: f.size, Time: f.mtime}))
	}
	if err := l.dir.replace("ledger", out.Bytes()); err != nil {
		l.log.Warn("the ledger of the cache can't be rewritten", "err", err)
		return
	}
	f, err := l.dir.open("ledger", os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	l.file.Close()
	l.file, l.pos, l.lines = f, int64(out.Len()), facts
}

func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Sync()
		l.file.Close()
		l.file = nil
	}
	if l.alive != nil {
		l.alive.Close()
		l.alive = nil
	}
}

func encodeLine(line ledgerLine) []byte {
	b, err := json.Marshal(line)
	if err != nil {
		panic(err) // strings and numbers
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(b, castagnoli), b)
}

func decodeLine(b []byte) (ledgerLine, bool) {
	var line ledgerLine
	sum, data, ok := bytes.Cut(b, []byte(" "))
	if !ok || string(sum) != fmt.Sprintf("%08x", crc32.Checksum(data, castagnoli)) {
		return line, false
	}
	return line, json.Unmarshal(data, &line) == nil
}

// follow reads what was appended since. Needs mu.
func (l *ledger) follow() {
	if l.file == nil {
		return
	}
	news := io.NewSectionReader(l.file, l.pos, 1<<62)
	if l.in == nil {
		l.in = bufio.NewReaderSize(news, 1<<16)
	} else {
		l.in.Reset(news)
	}
	for {
		b, err := l.in.ReadBytes('\n')
		if err != nil {
			return // the end, or a line that is being written
		}
		l.pos += int64(len(b))
		l.lines++
		// A damaged line is skipped. One that a crash cut short takes the next
		// line with it: both fail the checksum.
		if line, ok := decodeLine(b[:len(b)-1]); ok {
			l.apply(line)
		}
	}
}

// apply needs mu.
func (l *ledger) apply(line ledgerLine) {
	name := blobName{line.Repo, line.Hash}
	blob := func() *ledgerBlob {
		b := l.blobs[name]
		if b == nil {
			b = &ledgerBlob{links: map[linkName]struct{}{}}
			l.blobs[name] = b
		}
		return b
	}
	at := time.Unix(0, line.Time)
	switch line.Op {
	case opBlob:
		b := blob()
		b.made, b.size = true, line.Size
		if line.Repo != "" {
			l.homes[line.Hash] = line.Repo
		}
	case opLink:
		blob().links[linkName{line.Commit, line.Path}] = struct{}{}
	case opUse:
		if b := l.blobs[name]; b != nil && at.After(b.used) {
			b.used = at
		}
	case opOK:
		l.verified[fileIdentity{line.Hash, line.Inode, line.Size, line.Time}] = struct{}{}
	case opRef:
		l.refs[refName{line.Repo, line.Path}] = line.Commit
	case opUnref:
		delete(l.refs, refName{line.Repo, line.Path})
	case opGone:
		delete(l.blobs, name)
		if l.homes[line.Hash] == line.Repo {
			delete(l.homes, line.Hash)
		}
	case opUnlink:
		if b := l.blobs[name]; b != nil {
			delete(b.links, linkName{line.Commit, line.Path})
			if !b.made && len(b.links) == 0 {
				delete(l.blobs, name)
			}
		}
	}
}

// add appends lines. An error means that they may be forgotten.
func (l *ledger) add(lines ...ledgerLine) error {
	var b []byte
	for _, line := range lines {
		b = append(b, encodeLine(line)...)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	if l.file == nil {
		return fmt.Errorf("no ledger at %s", l.dir.abs("ledger"))
	}
	if _, err := l.file.Write(b); err != nil {
		// Half a line may be there; end it, so that the next one is whole.
		_, _ = l.file.WriteString("\n")
		return err
	}
	l.follow()
	return nil
}

// isVerified tells whether a file was found to have its hash, and hasn't changed.
func (l *ledger) isVerified(f fileIdentity) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	if _, ok := l.verified[f]; ok {
		return true
	}
	l.follow()
	_, ok := l.verified[f]
	return ok
}

// touch notes the use of a blob.
func (l *ledger) touch(n blobName) {
	now := time.Now()
	l.mu.Lock()
	l.open()
	b := l.blobs[n]
	old := b != nil && now.Sub(b.used) > touchEvery
	l.mu.Unlock()
	if old {
		_ = l.add(ledgerLine{Op: opUse, Repo: n.repo, Hash: n.hash, Time: now.UnixNano()})
	}
}

// blob is a copy of what is known about a blob.
func (l *ledger) blob(n blobName) (ledgerBlob, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	b := l.blobs[n]
	if b == nil {
		return ledgerBlob{}, false
	}
	return b.clone(), true
}

func (b *ledgerBlob) clone() ledgerBlob {
	c := *b
	c.links = maps.Clone(b.links)
	return c
}

// all is a copy of all blobs, with the news of other processes.
func (l *ledger) all() map[blobName]ledgerBlob {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	l.follow()
	out := make(map[blobName]ledgerBlob, len(l.blobs))
	for n, b := range l.blobs {
		out[n] = b.clone()
	}
	return out
}

// sizes is the number and bytes of all whole blobs that hubfs made.
func (l *ledger) sizes() (blobs, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	l.follow()
	for _, b := range l.blobs {
		if b.made {
			blobs++
			size += b.size
		}
	}
	return blobs, size
}

// refsTo are the revisions of a repository that hubfs let name that commit.
func (l *ledger) refsTo(repo, commit string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	var out []string
	for n, c := range l.refs {
		if n.repo == repo && c == commit {
			out = append(out, strings.Clone(n.revision))
		}
	}
	return out
}

// madeRef tells whether hubfs made a ref, and nobody has moved it since.
func (l *ledger) madeRef(n refName, commit string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	return l.refs[n] == commit && commit != ""
}

// repoOf gives another repository than own for which hubfs made a blob.
func (l *ledger) repoOf(hash, own string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	r, ok := l.homes[hash]
	return r, ok && r != own
}
