//go:build !linux

package hub

import (
	"io/fs"
	"time"
)

func accessTime(fi fs.FileInfo) time.Time { return fi.ModTime() }
