package blobcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// syncEvery is how many new bytes of a partial file may wait for an fsync.
const syncEvery = 64 << 20

// partialFile is the sparse data file of a blob and the journal of what is in
// it. It is owned by this process through a lock on the data file; if another
// process has that lock, the file is private: without a name or a journal, gone
// at close.
type partialFile struct {
	dir     *ownDir
	data    *os.File
	name    string // of the data; "" if private
	mapName string

	mu       sync.Mutex // held over one append or rewrite of the journal
	journal  *os.File   // nil if private, or after it failed
	pos      int64      // length of the journal
	have     ranges
	bytes    int64 // in have
	unsynced int64 // bytes that no mark covers
}

func partialNames(hash string) (data, journal string) {
	base := path.Join("partial", hash[:2], hash)
	return base + ".data", base + ".map"
}

// openPartial opens or makes the partial file of a blob. What a damaged or
// missing journal doesn't promise counts as absent.
func openPartial(dir *ownDir, hash string, size int64) (*partialFile, error) {
	dataName, mapName := partialNames(hash)
	for {
		// The mode is the one that a whole blob has in the shared cache.
		f, err := dir.open(dataName, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nil, fmt.Errorf("partial blob %s: %w", hash, err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return openPrivate(dir, dataName, size)
		}
		// A file system without locks has no other process's locks to respect.
		fi, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		now, err := dir.stat(dataName)
		if err != nil || !os.SameFile(fi, now) {
			f.Close() // its owner finished or dropped it meanwhile
			continue
		}
		p := &partialFile{dir: dir, data: f, name: dataName, mapName: mapName}
		if err := p.load(fi, size); err != nil {
			f.Close()
			return nil, err
		}
		return p, nil
	}
}

func openPrivate(dir *ownDir, beside string, size int64) (*partialFile, error) {
	f, name, err := dir.temp(beside)
	if err != nil {
		return nil, err
	}
	dir.remove(name)
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, err
	}
	return &partialFile{dir: dir, data: f}, nil
}

// load reads the journal and opens it for appending.
func (p *partialFile) load(fi fs.FileInfo, size int64) error {
	inode := inodeOf(fi)
	var sound int64
	if b, err := p.dir.read(p.mapName); err == nil && fi.Size() == size {
		p.have, sound, _ = decodeJournal(b, size, inode, bootID()) // damaged: nothing is there
		p.bytes = p.have.total()
	}
	if fi.Size() != size {
		if err := p.data.Truncate(size); err != nil {
			return fmt.Errorf("partial blob: %w", err)
		}
	}
	j, err := p.dir.open(p.mapName, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	if err := j.Truncate(sound); err != nil {
		j.Close()
		return err
	}
	p.journal, p.pos = j, sound
	if sound == 0 {
		if err := p.append(encodeJournalHeader(size, inode)); err != nil {
			j.Close()
			return err
		}
	}
	p.dir.touch(p.mapName)
	return nil
}

func inodeOf(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// append needs mu, or an owner that nobody else knows yet.
func (p *partialFile) append(b []byte) error {
	if p.journal == nil {
		return nil
	}
	if _, err := p.journal.Write(b); err != nil {
		// Half a record may be there, after which nothing would be read.
		if p.journal.Truncate(p.pos) != nil {
			p.journal.Close()
			p.journal = nil
		}
		return err
	}
	p.pos += int64(len(b))
	return nil
}

// write puts bytes into the data file, and then their range into the journal.
// An error is the disk's. It tells the ranges that are here now.
func (p *partialFile) write(b []byte, off int64) error {
	if _, err := p.data.WriteAt(b, off); err != nil {
		return err
	}
	end := off + int64(len(b))
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.append(appendRecord(nil, off, end, bootID())); err != nil {
		return err
	}
	p.bytes += p.have.add(span{off, end})
	p.unsynced += end - off
	return nil
}

// needsSync tells that many bytes would be lost in a crash of the machine.
func (p *partialFile) needsSync(limit int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unsynced >= limit
}

// sync makes what is here durable, and says so in the journal.
func (p *partialFile) sync() error {
	p.mu.Lock()
	covered, n := p.pos, p.unsynced
	p.mu.Unlock()
	if n == 0 {
		return nil
	}
	if err := p.data.Sync(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsynced -= n
	if p.journal == nil {
		return nil
	}
	return p.append(appendMark(nil, covered, bootID()))
}

// missing gives the parts of s that aren't here.
func (p *partialFile) missing(s span) []span {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.have.missing(s)
}

// until is the end of what is here from off on without a gap.
func (p *partialFile) until(off int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.have.until(off)
}

// total is the number of bytes that are here.
func (p *partialFile) total() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

// forget removes the journal, after the data file got another name.
func (p *partialFile) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.journal != nil {
		p.journal.Close()
		p.journal = nil
	}
	if p.name != "" {
		p.dir.remove(p.mapName)
	}
}

// drop removes the bytes, after they turned out wrong or needless. Open
// descriptors stay.
func (p *partialFile) drop() {
	if p.name != "" {
		p.dir.remove(p.name)
	}
	p.forget()
}

// closeJournal ends the journal; the data file is the caller's to close, which
// gives the blob back to other processes.
func (p *partialFile) closeJournal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.journal != nil {
		p.journal.Close()
		p.journal = nil
	}
}

// partialBytes tells how many bytes of a partial blob are here, by its files
// alone. It is right whoever owns them.
func partialBytes(dir *ownDir, hash string, size int64) int64 {
	dataName, mapName := partialNames(hash)
	fi, err := dir.stat(dataName)
	if err != nil || fi.Size() != size {
		return 0
	}
	b, err := dir.read(mapName)
	if err != nil {
		return 0
	}
	have, _, err := decodeJournal(b, size, inodeOf(fi), bootID())
	if err != nil {
		return 0
	}
	return have.total()
}

// partialInfo is a partial blob on disk, whoever owns it.
type partialInfo struct {
	hash string
	size int64 // of the whole content
	disk int64 // bytes that it takes
	used time.Time
}

// partials lists the partial blobs of all processes.
func (c *Cache) partials() []partialInfo {
	var out []partialInfo
	for name, fi := range c.dir.walk("partial") {
		hash, ok := strings.CutSuffix(path.Base(name), ".data")
		if !ok || !validHash(hash) {
			continue
		}
		p := partialInfo{hash: hash, size: fi.Size(), disk: diskBytes(fi), used: fi.ModTime()}
		if m, err := c.dir.stat(strings.TrimSuffix(name, ".data") + ".map"); err == nil {
			p.used = m.ModTime()
		}
		out = append(out, p)
	}
	return out
}

// removePartial removes a partial blob, unless a process uses it.
func (c *Cache) removePartial(hash string) bool {
	dataName, mapName := partialNames(hash)
	f, err := c.dir.open(dataName, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	if errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK) || !c.dir.remove(dataName) {
		return false
	}
	c.dir.remove(mapName)
	return true
}

func diskBytes(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return fi.Size()
}
