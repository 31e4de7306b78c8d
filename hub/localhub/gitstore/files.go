package gitstore

import (
	"os"
	"path/filepath"
)

// Names that git, too, gives to what is being written.
const (
	tempPrefix = "tmp_"
	lockSuffix = ".lock"
)

// durability says when writing waits for the disk.
type durability struct{ noSync bool }

// create writes a small file.
func (d durability) create(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return d.finish(f, err)
}

// finish syncs and closes a file that has been written, and passes an earlier
// error on.
func (d durability) finish(f *os.File, err error) error {
	if err == nil && !d.noSync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// dir makes the names in a folder durable.
func (d durability) dir(name string) error {
	if d.noSync {
		return nil
	}
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return err
	}
	return d.finish(f, nil)
}

// publish gives a finished temporary file its name, read-only as git does.
func publish(temp, name string) error {
	if err := os.Chmod(temp, 0o444); err != nil {
		return err
	}
	return os.Rename(temp, name)
}
