package fs

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hubfs/hubfs/blobcache"
	"github.com/hubfs/hubfs/writeback"
)

// Attributes of files never change: what has other content or another date under
// the same name is another node, see fileGeneration. Only those of directories
// do.

// dirSize is shown as the size of every directory, as on many disks.
const dirSize = 4096

// owner is what all files of a mount have in common.
type owner struct {
	uid, gid uint32
	umask    uint32
}

func (o owner) fileAttr(out *fuse.Attr, e *blobcache.Entry) {
	out.Mode = syscall.S_IFREG | 0o644&^o.umask
	out.Nlink = 1
	out.Size = uint64(max(e.Size, 0))
	out.Blocks = (out.Size + 511) / 512
	o.common(out, e.MTime)
}

// dirAttr gives directories one link, which means that it doesn't tell how many
// directories are in it: programs that believe two would skip them.
func (o owner) dirAttr(out *fuse.Attr, mtime int64) {
	out.Mode = syscall.S_IFDIR | 0o755&^o.umask
	out.Nlink = 1
	out.Size = dirSize
	out.Blocks = dirSize / 512
	o.common(out, mtime)
}

func (o owner) linkAttr(out *fuse.Attr, target string, mtime int64) {
	out.Mode = syscall.S_IFLNK | 0o777
	out.Nlink = 1
	out.Size = uint64(len(target))
	o.common(out, mtime)
}

func (o owner) common(out *fuse.Attr, mtime int64) {
	out.Uid, out.Gid = o.uid, o.gid
	out.Mtime = uint64(max(mtime, 0))
	out.Ctime, out.Atime = out.Mtime, out.Mtime
	out.Blksize = 4096
}

// writeBlock is the size of block that programs are told of where they write: most fill a buffer of
// it, and each write costs a round trip to this program.
const writeBlock = 256 << 10

// blockAttr tells in which blocks to write a file that is changed here. Who reads a log wants
// to see each line soon, so that whoever writes one shouldn't gather many.
func (m *Mount) blockAttr(out *fuse.Attr, e *writeback.Entry, name string) {
	if e.Local && !e.Dir && !m.looksLikeLog(name) {
		out.Blksize = writeBlock
	}
}

// rootIno is the inode number of the root of a whole-Hub mount.
const rootIno = 1

// childIno is the inode number of a name in a directory. It depends on nothing
// else, so it is the same after a remount and for every content. Two names share
// a number by chance once in 2^64 pairs.
func childIno(parent uint64, name string) uint64 {
	b := make([]byte, 0, 64)
	b = binary.LittleEndian.AppendUint64(b, parent)
	b = append(b, name...)
	return hash64(b)
}

// fileGeneration tells nodes of one name apart: the kernel takes another
// generation for another file, so that handles of the old content keep it, with
// its pages. The date is part of it, which makes all that a node shows constant.
func fileGeneration(e *blobcache.Entry) uint64 {
	b := make([]byte, 0, 96)
	b = append(b, e.OID[:]...)
	b = append(b, e.SHA256[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Size))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.MTime))
	return hash64(b)
}

// hash64 avoids the numbers that mean something to FUSE.
func hash64(b []byte) uint64 {
	sum := sha256.Sum256(b)
	n := binary.LittleEndian.Uint64(sum[:8])
	if n <= rootIno || n == math.MaxUint64 {
		n = 2
	}
	return n
}
