package syncer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A candidate is a file that may have to be pushed.
type candidate struct {
	path string // relative to the folder, with slashes
	stamp
}

// scan lists the files of the folder that differ from their records, in the order of their paths; retry
// also those that the Hub has refused or ignored. A file that goes away meanwhile is none. Records of files
// that aren't there are forgotten: one that comes back is compared with the Hub again.
func (s *Syncer) scan(ctx context.Context, retry bool) ([]candidate, error) {
	patterns := s.o.patterns()
	var out []candidate
	gone := make(map[string]*record)
	for path := range s.store.files {
		gone[path] = nil
	}
	own, err := os.Stat(s.o.StateDir)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	err = filepath.WalkDir(s.o.Folder, func(name string, d fs.DirEntry, err error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil {
			if name == s.o.Folder {
				return err
			}
			if !errors.Is(err, fs.ErrNotExist) {
				s.log.Warn("not synced", "path", name, "err", err)
			}
			return nil
		}
		if d.IsDir() {
			if info, err := d.Info(); err == nil && os.SameFile(info, own) {
				return filepath.SkipDir // it changes with every push
			}
			return nil
		}
		rel, err := filepath.Rel(s.o.Folder, name)
		if err != nil {
			return err
		}
		if rel = filepath.ToSlash(rel); !patterns.Match(rel) {
			return nil
		}
		now, regular := look(name)
		if !regular {
			return nil
		}
		delete(gone, rel)
		rec := s.store.files[rel]
		if rec == nil || rec.stamp != now || rec.Again || rec.Cut || retry && (rec.Failure != "" || rec.Ignored) {
			out = append(out, candidate{rel, now})
		}
		return nil
	})
	if err != nil || len(gone) == 0 {
		return out, err
	}
	return out, s.store.save(gone, nil)
}

// look gives the stamp of a file, or of what a link leads to; false if that is no regular file, or nothing.
func look(name string) (stamp, bool) {
	var st unix.Stat_t
	if err := retryInterrupted(func() error { return unix.Stat(name, &st) }); err != nil {
		return stamp{}, false
	}
	return stampOf(&st)
}

func stampOf(st *unix.Stat_t) (stamp, bool) {
	return stamp{
		Size: st.Size, MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano(), Inode: st.Ino, Dev: uint64(st.Dev), //nolint:unconvert // int32 on macOS
	}, st.Mode&unix.S_IFMT == unix.S_IFREG
}

func retryInterrupted(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
