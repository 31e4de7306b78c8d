package writeback

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

var errPower = errors.New("the machine is off")

// memDisk is a disk in memory that knows what is durable: of a file what it was at
// its last Sync, of a folder the names that it had at its last SyncDir.
type memDisk struct {
	mu      sync.Mutex
	files   map[string]*memData
	durable map[string]*memData
	ops     map[string][]dirOp // by folder, since its last SyncDir
	off     bool
	steps   int                            // changes so far
	seen    map[string]int                 // how often each step came
	fail    func(step string, n int) error // n-th change, from 1; asked before it is made
	free    int64                          // bytes that may still be written; <0: no limit
	dirs    map[string]bool
}

type memData struct{ data, durable []byte }

// dirOp is a change of names: each gets a file, or nil for none.
type dirOp map[string]*memData

func newMemDisk() *memDisk {
	return &memDisk{
		files: make(map[string]*memData), durable: make(map[string]*memData),
		ops: make(map[string][]dirOp), seen: make(map[string]int), dirs: map[string]bool{".": true}, free: -1,
	}
}

// step is asked before each change. It requires mu.
func (d *memDisk) step(step string) error {
	if d.off {
		return errPower
	}
	d.steps++
	d.seen[step]++
	if d.fail != nil {
		if err := d.fail(step, d.steps); err != nil {
			if errors.Is(err, errPower) {
				d.off = true
			}
			return err
		}
	}
	return nil
}

// names changes what names stand for. It requires mu.
func (d *memDisk) names(op dirOp) {
	for name, data := range op {
		if data == nil {
			delete(d.files, name)
		} else {
			d.files[name] = data
		}
	}
	for name := range op {
		dir := path.Dir(name)
		d.ops[dir] = append(d.ops[dir], op)
		break // a rename is between files of one folder, or taken for one of the first
	}
}

func (d *memDisk) Open(step, name string, create bool) (diskFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil, errPower
	}
	data := d.files[name]
	switch {
	case create && data != nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case !create && data == nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case create:
		if err := d.step(step); err != nil {
			return nil, err
		}
		data = &memData{}
		d.names(dirOp{name: data})
	}
	return &memFile{d: d, data: data}, nil
}

func (d *memDisk) Rename(step, from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(step); err != nil {
		return err
	}
	data := d.files[from]
	if data == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	d.names(dirOp{from: nil, to: data})
	return nil
}

func (d *memDisk) Remove(step, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return errPower
	}
	if d.files[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if err := d.step(step); err != nil {
		return err
	}
	d.names(dirOp{name: nil})
	return nil
}

func (d *memDisk) Mkdir(_, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirs[name] = true
	return nil
}

func (d *memDisk) SyncDir(step, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(step); err != nil {
		return err
	}
	d.settle(name, len(d.ops[name]))
	return nil
}

// settle makes the first n changes of a folder's names durable. It requires mu.
func (d *memDisk) settle(dir string, n int) {
	for _, op := range d.ops[dir][:n] {
		for name, data := range op {
			if data == nil {
				delete(d.durable, name)
			} else {
				d.durable[name] = data
			}
		}
	}
	d.ops[dir] = d.ops[dir][n:]
}

func (d *memDisk) List(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil, errPower
	}
	var names []string
	for file := range d.files {
		if rest, ok := strings.CutPrefix(file, name+"/"); ok {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names, nil
}

// restart is the disk after the process has died: files that were open aren't.
func (d *memDisk) restart() *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	n := newMemDisk()
	n.files, n.durable, n.ops, n.dirs = d.files, d.durable, d.ops, d.dirs
	return n
}

// powerCut is the disk after the machine has died. What isn't durable is gone, or,
// as r has it, some of it is there by chance.
func (d *memDisk) powerCut(r *rand.Rand) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	if r != nil {
		for _, dir := range slices.Sorted(maps.Keys(d.ops)) {
			d.settle(dir, r.IntN(len(d.ops[dir])+1))
		}
	}
	n := newMemDisk()
	n.dirs = d.dirs
	for _, name := range slices.Sorted(maps.Keys(d.durable)) {
		data := d.durable[name]
		now := slices.Clone(data.durable)
		if r != nil {
			switch r.IntN(3) {
			case 1:
				now = slices.Clone(data.data)
			case 2: // a part, as a file grows page by page
				keep := min(len(data.data), len(data.durable)+r.IntN(1+max(0, len(data.data)-len(data.durable))))
				now = append(now[:min(len(now), keep)], data.data[min(len(now), keep):keep]...)
			}
		}
		n.files[name] = &memData{data: now, durable: slices.Clone(now)}
	}
	n.durable = maps.Clone(n.files)
	return n
}

// memFile is an open file of a memDisk.
type memFile struct {
	d    *memDisk
	data *memData
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.off {
		return 0, errPower
	}
	if off >= int64(len(f.data.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(step string, p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(step); err != nil {
		if errors.Is(err, errPower) && len(p) > 1 {
			f.write(p[:len(p)/2], off) // it was under way
		}
		return 0, err
	}
	if f.d.free >= 0 {
		n := min(int64(len(p)), f.d.free)
		f.d.free -= n
		f.write(p[:n], off)
		if n < int64(len(p)) {
			return int(n), syscall.ENOSPC
		}
		return int(n), nil
	}
	f.write(p, off)
	return len(p), nil
}

func (f *memFile) write(p []byte, off int64) {
	if end := int(off) + len(p); end > len(f.data.data) {
		f.data.data = append(f.data.data, make([]byte, end-len(f.data.data))...)
	}
	copy(f.data.data[off:], p)
}

func (f *memFile) Truncate(step string, size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(step); err != nil {
		return err
	}
	if size <= int64(len(f.data.data)) {
		f.data.data = slices.Clone(f.data.data[:size])
	} else {
		f.data.data = append(f.data.data, make([]byte, size-int64(len(f.data.data)))...)
	}
	return nil
}

func (f *memFile) Punch(step string, off, n int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(step); err != nil {
		return err
	}
	clear(f.data.data[off : off+n])
	return nil
}

func (f *memFile) Sync(step string) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(step); err != nil {
		return err
	}
	f.data.durable = slices.Clone(f.data.data)
	return nil
}

func (d *memDisk) Path(string) string { return "" }

func (f *memFile) Shared() (bool, error) { return false, nil }

func (f *memFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.off {
		return 0, errPower
	}
	return int64(len(f.data.data)), nil
}

func (f *memFile) Close() error { return nil }
