package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// above is embedded in the nodes above the trees and refuses every change: what is
// there is made by other means. A read-only mount is so for the kernel, too, which then
// doesn't even ask; but an administrator can remount it, and go-fuse lets some of these
// succeed where a node has no answer.
type above struct{ mount *Mount }

func (a above) no() syscall.Errno {
	if a.mount.opts.Write == nil {
		return syscall.EROFS
	}
	return syscall.EPERM
}

var (
	_ fs.NodeSetattrer     = above{}
	_ fs.NodeSetxattrer    = above{}
	_ fs.NodeRemovexattrer = above{}
	_ fs.NodeCreater       = above{}
	_ fs.NodeTmpfiler      = above{}
	_ fs.NodeMkdirer       = above{}
	_ fs.NodeMknoder       = above{}
	_ fs.NodeSymlinker     = above{}
	_ fs.NodeLinker        = above{}
	_ fs.NodeRenamer       = above{}
	_ fs.NodeUnlinker      = above{}
	_ fs.NodeRmdirer       = above{}
	_ fs.NodeAllocater     = above{}
)

func (a above) Setattr(context.Context, fs.FileHandle, *fuse.SetAttrIn, *fuse.AttrOut) syscall.Errno {
	return a.no()
}

func (a above) Setxattr(context.Context, string, []byte, uint32) syscall.Errno { return a.no() }

func (a above) Removexattr(context.Context, string) syscall.Errno { return a.no() }

func (a above) Create(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, a.no()
}

func (a above) Tmpfile(context.Context, uint32, uint32, *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, a.no()
}

func (a above) Mkdir(context.Context, string, uint32, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, a.no()
}

func (a above) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, a.no()
}

func (a above) Symlink(context.Context, string, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, a.no()
}

func (a above) Link(context.Context, fs.InodeEmbedder, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, a.no()
}

func (a above) Rename(context.Context, string, fs.InodeEmbedder, string, uint32) syscall.Errno {
	return a.no()
}

func (a above) Unlink(context.Context, string) syscall.Errno { return a.no() }

func (a above) Rmdir(context.Context, string) syscall.Errno { return a.no() }

func (a above) Allocate(context.Context, fs.FileHandle, uint64, uint64, uint32) syscall.Errno {
	return a.no()
}
