package writeback

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"
)

// mergeMax is how many bytes a layer may have to be merged into the one below.
const mergeMax = 64 << 20

// An inode is a file: its content and attributes, under whatever name, or none.
type inode struct {
	b  *Branch
	id uint64 // in the log, and its first layer's file

	// Guarded by Branch.mu.
	node    *node // nil: it has no name any more
	handles int
	writers int  // handles that may write
	opened  *Was // what the Hub had when it was opened, until it is changed
	// overtaken is what others have made of the path since, while a writer stays on what was
	// opened: a conflict as soon as it is changed.
	overtaken *conflict

	logged bool // the log knows it; guarded by both mutexes

	mu       sync.RWMutex // guards what follows
	content               // of the whole: what is on top is current
	dirty    bool         // written to since the last flush
	appends  bool         // was opened with O_APPEND
	torn     bool         // a crash came before it was closed
	known    *Was         // what the content is, if it was hashed since it was changed
	sum      *sum         // of the content, as far as it was written in order; or nil
	origin   string       // path that it had on the Hub when it was last there; "" if never
	mode     uint32       // 0: the default
	mtime    time.Time    // zero: unknown
	ver      uint64       // counts changes of the content
	gen      uint64       // counts changes of the layers' files
	syncErr  error        // a failed fsync, until the content is replaced
	kept     bool         // layers' files are held open
	doneVer  uint64       // of the content that was committed last, maybe but for the end of a log
	aheadVer uint64       // of the content that was uploaded ahead, or could not be
	closedAt time.Time    // when its last writer closed it; zero if that was another process
	wanted   bool         // a program has fsynced it, and a commit is due when it is closed
	// nameless says that the log needn't know it any more: it has no name.
	nameless bool
	dropped  bool // the content is gone
}

// record describes the inode for the log, with the extents that aren't there yet. It
// requires mu. The caller calls recorded when the log has them.
func (ino *inode) record() []put {
	r := &inodeRec{ID: ino.id, Dirty: ino.dirty, Append: ino.appends, Torn: ino.torn, Known: ino.known, Origin: ino.origin, Mode: ino.mode, MTime: mtimeOf(ino)}
	if ino.blob != nil {
		r.Base = &ino.blob.source
	}
	var puts []put
	r.Synced = true
	for _, l := range ino.layers {
		lr := l.record()
		if len(l.pending) > 0 {
			lr.Deltas++
			puts = append(puts, put{Extents: &extentsRec{File: l.id, Delta: lr.Deltas, Extents: l.pending.flat()}})
		}
		r.Layers = append(r.Layers, lr)
		r.Synced = r.Synced && l.synced
	}
	if r.Synced {
		r.Size = ino.size
	}
	return append(puts, put{Inode: r})
}

// recorded notes that the log has what record gave. It requires mu.
func (ino *inode) recorded() {
	for _, l := range ino.layers {
		if len(l.pending) > 0 {
			l.deltas++
			l.pending = nil
		}
	}
}

// full describes the inode for a log that may not know it, or may know it as it was some
// time ago. It requires mu, for reading. Extents that no flush has told of yet may be in
// it: they were written.
func (ino *inode) full() []put {
	r := ino.record()
	r = r[len(r)-1:]
	var puts []put
	for i, l := range ino.layers {
		r[0].Inode.Layers[i].Deltas = l.deltas
		puts = append(puts, put{Extents: &extentsRec{File: l.id, Delta: l.deltas, All: true, Extents: l.written.flat()}})
	}
	return append(puts, r...)
}

// recordedFull notes that the log has what full gave. It requires mu. The deltas go on
// with their numbers: a log that isn't rewritten has earlier ones.
func (ino *inode) recordedFull() {
	for _, l := range ino.layers {
		l.pending = nil
	}
}

// log appends the inode's record. It requires mu. An inode that has no name isn't logged.
func (ino *inode) log() error {
	if !ino.logged {
		return nil
	}
	if err := ino.b.journal.append(ino.record()...); err != nil {
		return err
	}
	ino.recorded()
	return nil
}

// top is the layer that takes writes, ready for one. A new one is begun if a
// snapshot reads the present one, or the cache has it, or if that is whole and durable: then a crash of
// the machine leaves the one or the other, and no mixture that the log takes for whole. It
// requires mu, and that the inode has a layer.
func (ino *inode) top() (*layer, error) {
	l := ino.layers[len(ino.layers)-1]
	if l.pins.Load() == 0 && !l.shared && (ino.dirty || !l.synced) {
		return l, nil
	}
	next, err := ino.b.newLayer(ino.size, ino.size)
	if err != nil {
		return nil, err
	}
	defer next.unref()
	dirty, known := ino.dirty, ino.known
	ino.layers, ino.dirty, ino.known = append(ino.layers[:len(ino.layers):len(ino.layers)], next), true, nil
	if err := ino.log(); err != nil {
		ino.layers, ino.dirty, ino.known = ino.layers[:len(ino.layers)-1], dirty, known
		ino.b.discard(next)
		return nil, err
	}
	next.keep(ino.kept)
	next.loggedAt = ino.b.journal.last()
	ino.b.stacked(ino)
	return next, nil
}

// change readies the inode for a change of its content: the log says that it is
// dirty. It requires mu.
func (ino *inode) change() (*layer, error) {
	if ino.dropped {
		return nil, fmt.Errorf("the file was discarded: %w", syscall.ESTALE)
	}
	if ino.b.ended.Load() {
		return nil, ErrClosed
	}
	l, err := ino.top()
	if err != nil {
		return nil, err
	}
	if !ino.dirty || ino.known != nil {
		dirty, known := ino.dirty, ino.known
		ino.dirty, ino.known = true, nil
		if err := ino.log(); err != nil {
			ino.dirty, ino.known = dirty, known
			return nil, err
		}
	}
	ino.touch()
	return l, nil
}

// touch notes that the content changes. Who may set a user or group id by running the file may
// do so no more, whoever has changed it: POSIX leaves that open. It requires mu.
func (ino *inode) touch() {
	ino.ver++
	ino.gen++
	ino.mtime = ino.b.now()
	ino.mode = WithoutSetID(ino.mode)
}

// WithoutSetID is a mode without what a change of content or owner takes from it: as on Linux,
// a file that its group can't run keeps the bit for groups, which means something else.
func WithoutSetID(mode uint32) uint32 {
	mode &^= syscall.S_ISUID
	if mode&syscall.S_IXGRP != 0 {
		mode &^= syscall.S_ISGID
	}
	return mode
}

// write is pwrite. It requires mu.
func (ino *inode) write(p []byte, off int64) (int, error) {
	l, err := ino.change()
	if err != nil {
		return 0, err
	}
	in, end := ino.sum, ino.size
	ino.sum = nil
	var n int
	err = l.with(func(f diskFile) error {
		var err error
		n, err = f.WriteAt("stage write", p, off)
		return err
	})
	if n > 0 {
		l.wrote(off, off+int64(n))
		ino.size = max(ino.size, off+int64(n))
	}
	if err == nil && off == end {
		ino.grew(in, off)
	}
	return n, err
}

// truncate is ftruncate. It requires mu.
func (ino *inode) truncate(size int64) error {
	l, err := ino.change()
	if err != nil {
		return err
	}
	ino.sum = nil
	if err := l.with(func(f diskFile) error { return f.Truncate("stage truncate", size) }); err != nil {
		return err
	}
	l.synced = false
	ino.size = size
	if size < l.below {
		l.hide(size)
		// Else growing again would bring back what was cut off, if the process died.
		return ino.log()
	}
	return nil
}

// zero makes [off, off+n) zeros, without changing the size. It requires mu.
func (ino *inode) zero(off, n int64) error {
	n = min(n, ino.size-off)
	if n <= 0 {
		return nil
	}
	l, err := ino.change()
	if err != nil {
		return err
	}
	ino.sum = nil
	if err := l.with(func(f diskFile) error { return f.Punch("stage punch", off, n) }); err != nil {
		return err
	}
	l.wrote(off, off+n)
	return nil
}

// flush lets the log know all that was written, by a handle that is being closed.
// It requires mu.
func (ino *inode) flush() error {
	if ino.syncErr != nil {
		return ino.syncErr
	}
	if !ino.dirty && !ino.torn {
		return nil
	}
	dirty, torn, known := ino.dirty, ino.torn, ino.known
	ino.dirty, ino.torn = false, false
	if torn {
		ino.known = nil // what was hashed isn't what the crash has left
	}
	if err := ino.log(); err != nil {
		ino.dirty, ino.torn, ino.known = dirty, torn, known
		return err
	}
	return nil
}

// sync makes the content durable, and then the log. Nobody may hold Branch.mu or mu.
func (ino *inode) sync() error {
	if err := ino.syncContent(); err != nil {
		return err
	}
	return ino.b.journal.sync()
}

// syncContent makes the content durable, and lets the log know. Nobody may hold
// Branch.mu or mu.
func (ino *inode) syncContent() error {
	ino.mu.Lock()
	if err := ino.syncErr; err != nil {
		ino.mu.Unlock()
		return err
	}
	gen := ino.gen
	layers := slices.DeleteFunc(slices.Clone(ino.layers), func(l *layer) bool { return l.synced })
	// Open from here on: a layer that isn't needed any more may lose its name meanwhile.
	var err error
	for _, l := range layers {
		if _, openErr := l.file(); openErr != nil {
			err = openErr
			continue
		}
		defer l.unref()
	}
	ino.mu.Unlock()

	for _, l := range layers {
		if err == nil {
			err = l.with(func(f diskFile) error { return f.Sync("stage sync") })
		}
	}
	if err == nil && len(layers) > 0 {
		err = ino.b.syncData()
	}

	ino.mu.Lock()
	defer ino.mu.Unlock()
	if err != nil {
		ino.syncErr = fmt.Errorf("making staged content durable: %w", err)
		return ino.syncErr
	}
	if ino.gen == gen { // else the log goes on saying that something isn't durable
		for _, l := range layers {
			l.synced = true
		}
	}
	if len(layers) > 0 || ino.dirty {
		return ino.log()
	}
	return nil
}

// replace drops the content: the file is empty. What was there stays on disk until
// the log that says so is durable. It requires mu.
func (ino *inode) replace() error {
	l, err := ino.b.newLayer(0, 0)
	if err != nil {
		return err
	}
	defer l.unref()
	old, size, blob, was, known := ino.layers, ino.size, ino.blob, ino.dirty, ino.known
	ino.layers, ino.size, ino.blob, ino.dirty, ino.known = []*layer{l}, 0, nil, true, nil
	if err := ino.log(); err != nil {
		ino.layers, ino.size, ino.blob, ino.dirty, ino.known = old, size, blob, was, known
		ino.b.discard(l)
		return err
	}
	ino.sum = nil
	l.keep(ino.kept)
	if ino.kept {
		blob.unref()
	}
	for _, l := range old {
		l.keep(false)
	}
	ino.b.doom(old...)
	ino.touch()
	ino.syncErr, ino.torn = nil, false
	return nil
}

// readAt is pread: io.EOF where the file ends.
func (ino *inode) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	ino.mu.RLock()
	if ino.dropped {
		ino.mu.RUnlock()
		return 0, fmt.Errorf("the file was discarded: %w", syscall.ESTALE)
	}
	if off >= ino.size {
		ino.mu.RUnlock()
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), ino.size-off))
	holes, err := ino.readLocal(p[:n], off)
	below := content{blob: ino.blob}
	below.blob.ref()
	ino.mu.RUnlock()
	defer below.blob.unref()
	if err == nil {
		err = below.readBlob(ctx, holes)
	}
	switch {
	case err != nil:
		return 0, err
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// keep holds the layers' files and the blob open while there are handles.
func (ino *inode) keep(on bool) {
	ino.mu.Lock()
	defer ino.mu.Unlock()
	if ino.kept == on {
		return
	}
	ino.kept = on
	if on {
		ino.blob.ref()
	} else {
		ino.blob.unref()
	}
	for _, l := range ino.layers {
		l.keep(on)
	}
}

// snapshot is the content as it is now, for a reader that is slow: writes go
// elsewhere until release is called.
func (ino *inode) snapshot() (c content, release func()) {
	ino.mu.Lock()
	defer ino.mu.Unlock()
	return ino.pin()
}

// pin is snapshot; it requires mu.
func (ino *inode) pin() (c content, release func()) {
	c = content{blob: ino.blob, layers: slices.Clone(ino.layers), size: ino.size}
	c.blob.ref()
	for _, l := range c.layers {
		l.pins.Add(1)
	}
	return c, sync.OnceFunc(func() {
		for _, l := range c.layers {
			l.pins.Add(-1)
		}
		c.blob.unref()
	})
}

// readAt reads a snapshot.
func (c *content) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	n := int(max(min(int64(len(p)), c.size-off), 0))
	holes, err := c.readLocal(p[:n], off)
	if err == nil {
		err = c.readBlob(ctx, holes)
	}
	switch {
	case err != nil:
		return 0, err
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}
