//go:build !linux

package hub

import (
	"io/fs"
	"time"
)

func accessTime(fi fs.FileInfo) time.Time { return fi.ModTime() }

// syncAll makes files durable that were written just now.
func (c *cacheRoot) syncAll(names []string) error {
	for _, name := range names {
		f, err := c.Open(name)
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
