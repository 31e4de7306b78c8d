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

func inMemory(string) bool { return false }
