package writeback

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Recovered is what Open found.
type Recovered struct {
	Changes int      // paths that were changed and not committed
	Torn    []string // files that were being written when hubfs or the machine stopped
	Damaged int      // places of the journal that don't verify
	Lost    []string // paths whose content could not be found
	Aside   []string // files in the folder aside/ that hold what isn't accounted for
}

// Recovered tells what Open took over from before.
func (b *Branch) Recovered() Recovered { return b.recovered }

// A replayer puts the log's records together.
type replayer struct {
	nodes   map[string]*nodeRec
	inodes  map[uint64]*inodeRec
	written map[uint64]*replayedExtents // by layer
	attrs   map[string]*attr
	values  map[string]json.RawMessage
	boot    string
	lastID  uint64 // of all inodes and layers that the log has ever named
}

type replayedExtents struct {
	extents extents
	deltas  int
	missing bool
}

func newReplayer() *replayer {
	return &replayer{
		nodes: make(map[string]*nodeRec), inodes: make(map[uint64]*inodeRec),
		written: make(map[uint64]*replayedExtents), attrs: make(map[string]*attr),
		values: make(map[string]json.RawMessage),
	}
}

// changes are the paths that differ from what the Hub has.
func (r *replayer) changes() []string {
	var paths []string
	for path, n := range r.nodes {
		ino := r.inodes[n.Inode]
		clean := ino != nil && ino.Known != nil && n.Was.same(ino.Known)
		if n.Kind == kindFile && !clean || n.Kind != kindFile && n.Was.file() {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

func (r *replayer) apply(p put) {
	switch {
	case p.Boot != "":
		r.boot = p.Boot
	case p.Node != nil && p.Node.Kind == kindNone:
		delete(r.nodes, p.Node.Path)
	case p.Node != nil:
		r.nodes[p.Node.Path] = p.Node
	case p.Inode != nil && p.Inode.Gone:
		r.lastID = max(r.lastID, p.Inode.ID)
		delete(r.inodes, p.Inode.ID)
	case p.Inode != nil:
		r.lastID = max(r.lastID, p.Inode.ID)
		for _, l := range p.Inode.Layers {
			r.lastID = max(r.lastID, l.File)
		}
		r.inodes[p.Inode.ID] = p.Inode
	case p.Value != nil:
		r.values[p.Value.Name] = p.Value.Value
	case p.Attr != nil:
		r.attrs[p.Attr.Path] = p.Attr.Attr
	case p.Extents != nil:
		x := p.Extents
		r.lastID = max(r.lastID, x.File)
		have := r.written[x.File]
		if have == nil {
			have = &replayedExtents{}
			r.written[x.File] = have
		}
		switch {
		case x.All:
			*have = replayedExtents{deltas: x.Delta}
		case x.Delta <= have.deltas:
			return // a snapshot had it already
		case x.Delta != have.deltas+1:
			have.missing = true
		}
		have.deltas = x.Delta
		have.extents = have.extents.addFlat(x.Extents)
	}
}

// recover reads the log and makes the branch of it.
func (b *Branch) recover() error {
	for _, dir := range []string{dataDir, asideDir} {
		if err := b.disk.Mkdir("open", dir); err != nil {
			return err
		}
	}
	if err := b.disk.Remove("open clear", journalNewName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := b.disk.Open("open", journalName, false)
	if errors.Is(err, fs.ErrNotExist) {
		return b.begun(&replayer{}, nil)
	}
	if err != nil {
		return err
	}
	read, err := readJournal(f, b.journal.boot)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r := newReplayer()
	for _, p := range read.puts {
		r.apply(p)
	}
	j := b.journal
	j.f, j.end, j.seq, j.base, j.ragged = f, read.end, read.seq, read.end, read.length > read.end
	j.dirDirty = true // the process before may have died before it made the name durable
	b.recovered.Damaged = read.damaged
	return b.begun(r, read)
}

// begun builds the branch from what was replayed, and notes in the log what became of it.
func (b *Branch) begun(r *replayer, read *replay) error {
	names, err := b.disk.List(dataDir)
	if err != nil {
		return err
	}
	// A layer with the number of one that is gone would be taken for it: the extents of both
	// are in the log, as long as that isn't rewritten.
	b.nextID.Store(r.lastID)
	data := make(map[uint64]bool) // files of layers, and whether they are needed
	for _, name := range names {
		if id, err := strconv.ParseUint(name, 10, 64); err == nil {
			data[id] = false
			b.nextID.Store(max(b.nextID.Load(), id))
		}
	}
	if len(data) > 0 {
		b.sweeper.created.Add(1) // the process before may not have made their names durable
	}
	damaged := b.recovered.Damaged > 0
	rebooted := b.journal.boot == "" || r.boot != b.journal.boot
	var puts []put
	for id, rec := range r.inodes {
		ino, err := b.revive(rec, r, rebooted)
		if err != nil {
			return err
		}
		for _, l := range ino.layers {
			data[l.id] = true
		}
		b.inodes[id] = ino
		if len(ino.layers) > 1 {
			for _, l := range ino.layers {
				l.loggedAt = b.journal.seq
			}
			b.stacked(ino)
		}
	}
	for path, rec := range r.nodes {
		puts = append(puts, b.reviveNode(path, rec)...)
	}
	for id, ino := range b.inodes {
		if ino.node == nil { // only damage does that
			damaged = true
			puts = append(puts, put{Inode: &inodeRec{ID: id, Gone: true}})
			delete(b.inodes, id)
			for _, l := range ino.layers {
				data[l.id] = false
			}
			continue
		}
		if ino.torn {
			b.recovered.Torn = append(b.recovered.Torn, ino.node.path())
			puts = append(puts, ino.full()...)
		}
	}
	for path, a := range r.attrs {
		b.attrs.set(path, a)
	}
	maps.Copy(b.values, r.values)
	b.noteInFlight()
	slices.Sort(b.recovered.Torn)
	b.recovered.Changes = b.countChanges()

	if damaged && read != nil {
		if err := b.keepJournal(); err != nil {
			return err
		}
	}
	switch {
	case read == nil || damaged:
		if err := b.journal.rewrite(); err != nil {
			return err
		}
	case len(puts) > 0 || rebooted:
		// In one line: the verdict on a file must not be lost with the boot known. On a
		// full disk it is found again the next time.
		if err := b.journal.append(append(puts, put{Boot: b.journal.boot})...); err != nil {
			b.log.Warn("the journal can't be written", "error", err)
		}
	}
	return b.clearData(data, damaged)
}

// revive makes an inode of its record.
func (b *Branch) revive(rec *inodeRec, r *replayer, rebooted bool) (*inode, error) {
	ino := &inode{
		b: b, id: rec.ID, logged: true, appends: rec.Append, torn: rec.Torn || rec.Dirty, known: rec.Known, origin: rec.Origin,
		mode: rec.Mode, mtime: unixNano(rec.MTime),
	}
	if rec.Base != nil {
		ino.blob = b.blob(*rec.Base)
		ino.size = rec.Base.Size
	}
	for _, lr := range rec.Layers {
		l := &layer{id: lr.File, below: lr.Below, deltas: lr.Deltas, disk: b.disk, synced: rec.Synced && !rec.Dirty}
		var have replayedExtents
		if x := r.written[lr.File]; x != nil {
			have = *x
		}
		if have.missing || have.deltas < lr.Deltas {
			ino.torn = true
		}
		l.deltas = max(have.deltas, lr.Deltas)
		size, ok, err := b.layerSize(l)
		if err != nil {
			return nil, err
		}
		if !ok {
			ino.torn = true
		}
		// The file may have been cut without the log knowing.
		l.below = min(l.below, size)
		l.written = have.extents.cut(l.below)
		ino.size = size
		ino.layers = append(ino.layers, l)
	}
	if ino.torn {
		ino.known = nil
	}
	if rebooted && len(ino.layers) > 0 && (!rec.Synced || rec.Size != ino.size) {
		ino.torn = true
	}
	return ino, nil
}

// layerSize is the length of a layer's file. One that has vanished is made anew, empty.
func (b *Branch) layerSize(l *layer) (size int64, ok bool, err error) {
	f, err := b.disk.Open("open", dataName(l.id), false)
	if errors.Is(err, fs.ErrNotExist) {
		if f, err = b.disk.Open("open", dataName(l.id), true); err != nil {
			return 0, false, err
		}
		b.sweeper.created.Add(1)
		l.synced = false
		return 0, false, f.Close()
	}
	if err != nil {
		return 0, false, err
	}
	size, err = f.Size()
	if err == nil {
		l.shared, err = f.Shared()
	}
	return size, true, errors.Join(err, f.Close())
}

// reviveNode puts a path back into the tree, and gives what the log must learn of it.
func (b *Branch) reviveNode(path string, rec *nodeRec) []put {
	st := state{kind: rec.Kind, was: rec.Was, fail: rec.Fail, since: unixNano(rec.Since)}
	if rec.Kind != kindFile {
		b.root.make(path).state = st
		return nil
	}
	ino := b.inodes[rec.Inode]
	if ino == nil || ino.node != nil { // only damage does that
		b.recovered.Lost = append(b.recovered.Lost, path)
		return []put{{Node: &nodeRec{Path: path}}}
	}
	n := b.root.make(path)
	n.state, n.ino, ino.node = st, ino, n
	return nil
}

// countChanges is how many paths differ from the Hub's. It requires mu, or nobody else.
func (b *Branch) countChanges() int {
	count := 0
	b.root.all(func(_ string, n *node) {
		if n.changed() {
			count++
		}
	})
	return count
}

// keepJournal copies the log as it was found.
func (b *Branch) keepJournal() error {
	f := b.journal.f
	size, err := f.Size()
	if err != nil {
		return err
	}
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("keeping a copy of the damaged journal: %w", err)
	}
	name := fmt.Sprintf("%s/journal.%d", asideDir, time.Now().UnixNano())
	dst, err := b.disk.Open("aside create", name, true)
	if err != nil {
		return err
	}
	_, err = dst.WriteAt("aside write", data, 0)
	if err == nil {
		err = dst.Sync("aside sync")
	}
	b.recovered.Aside = append(b.recovered.Aside, name)
	return errors.Join(err, dst.Close())
}

// clearData removes files of layers that nothing names, or keeps them aside.
func (b *Branch) clearData(data map[uint64]bool, keep bool) error {
	maps.DeleteFunc(data, func(_ uint64, needed bool) bool { return needed })
	if len(data) == 0 {
		return nil
	}
	// The log that doesn't name them may be newer than the one on disk.
	if err := b.journal.sync(); err != nil {
		return err
	}
	for id := range data {
		var err error
		if keep {
			aside := fmt.Sprintf("%s/data.%d.%d", asideDir, id, time.Now().UnixNano())
			err = b.disk.Rename("aside rename", dataName(id), aside)
			b.recovered.Aside = append(b.recovered.Aside, aside)
		} else {
			err = b.disk.Remove("open remove", dataName(id))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// UnmarshalJSON refuses kinds that there aren't.
func (k *nodeKind) UnmarshalJSON(data []byte) error {
	var n uint8
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	if n > uint8(kindGone) {
		return fmt.Errorf("no kind of path: %d", n)
	}
	*k = nodeKind(n)
	return nil
}
