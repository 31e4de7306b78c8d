package writeback

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/hubfs/hubfs/hub"
)

// Journal is a journal on disk, as Journals finds it.
type Journal struct {
	Key     Key
	Dir     string
	Live    bool      // a mount has it open
	Changes []string  // paths that were changed, sorted; not known of one that is live
	Last    time.Time // when the last change was made
	Err     error     // why it can't be read
}

// Journals lists the journals below a state directory. It changes nothing: Open
// takes one over.
func Journals(stateDir string) ([]Journal, error) {
	dirs, err := os.ReadDir(filepath.Join(stateDir, branchesDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Journal
	for _, d := range dirs {
		if d.IsDir() {
			out = append(out, inspect(filepath.Join(stateDir, branchesDir, d.Name())))
		}
	}
	return out, nil
}

// inspect reads one journal.
func inspect(dir string) Journal {
	j := Journal{Dir: dir}
	var k keyFile
	data, err := os.ReadFile(filepath.Join(dir, "key.json"))
	if err == nil {
		err = json.Unmarshal(data, &k)
	}
	if err != nil {
		j.Err = fmt.Errorf("whose changes these are isn't known: %w", err)
		return j
	}
	j.Key = k.Key
	j.Key.Repo = hub.Repo{Type: hub.RepoType(k.Type), ID: k.ID}
	lock := flock.New(filepath.Join(dir, "lock"))
	ok, err := lock.TryRLock()
	switch {
	case err != nil:
		j.Err = err
		return j
	case !ok:
		j.Live = true
		return j
	}
	defer lock.Unlock() //nolint:errcheck // it ends with the file at the latest
	if info, err := os.Stat(filepath.Join(dir, journalName)); err == nil {
		j.Last = info.ModTime()
	}
	j.Changes, j.Err = readChanges(osDisk{dir})
	return j
}

// readChanges reads which paths a log has changed.
func readChanges(d disk) ([]string, error) {
	f, err := d.Open("inspect", journalName, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	read, err := readJournal(f, bootID())
	if err != nil {
		return nil, err
	}
	r := newReplayer()
	for _, p := range read.puts {
		r.apply(p)
	}
	return r.changes(), nil
}
