//go:build !linux

package writeback

import (
	"errors"
	"os"
)

func fdatasync(f *os.File) error { return f.Sync() }

func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }

// bootID isn't known: every journal counts as one of an earlier boot.
func bootID() string { return "" }

// InMemory says whether a folder's content is gone when the machine stops. It isn't known here.
func InMemory(string) bool { return false }
