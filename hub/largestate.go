package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Where the official client keeps what it knows of the files of a folder.
const (
	largeStateDir  = ".cache/huggingface"
	largeUploadDir = largeStateDir + "/upload"
)

// lfsKeeps is how long an object that was uploaded, but not committed, is surely
// still there: the Hub drops it after a day.
const lfsKeeps = 20 * time.Hour

// largeState is what is known of a file between runs. It is a file of lines, as
// huggingface_hub 0.27 writes it, so that either goes on where the other stopped:
//
//	time of writing, size, should_ignore, sha256, upload mode, is_uploaded, is_committed
//
// where what isn't known is an empty line. Releases from 1.0 have the oid of what
// the repository had in front of is_uploaded; that is read, too.
type largeState struct {
	at        time.Time
	size      int64
	ignored   bool
	sha256    string
	mode      UploadMode
	uploaded  bool
	committed bool
}

func (s *largeState) String() string {
	flag := func(b bool) string {
		if b {
			return "1"
		}
		return "0"
	}
	ignored := ""
	if s.mode != "" || s.ignored {
		ignored = flag(s.ignored)
	}
	stamp := fmt.Sprintf("%d.%06d", s.at.Unix(), s.at.Nanosecond()/1000)
	return strings.Join([]string{stamp, strconv.FormatInt(s.size, 10), ignored, s.sha256, string(s.mode), flag(s.uploaded), flag(s.committed), ""}, "\n")
}

func parseLargeState(text string) (s *largeState, ok bool) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) == 8 {
		lines = append(lines[:5:5], lines[6:]...)
	}
	if len(lines) != 7 {
		return nil, false
	}
	stamp, err := strconv.ParseFloat(lines[0], 64)
	size, sizeErr := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || sizeErr != nil || !(stamp > 0 && stamp < 1e11) {
		return nil, false
	}
	s = &largeState{at: time.UnixMicro(int64(stamp * 1e6)), size: size, sha256: lines[3], mode: UploadMode(lines[4])}
	for i, into := range map[int]*bool{2: &s.ignored, 5: &s.uploaded, 6: &s.committed} {
		*into = lines[i] == "1"
		if lines[i] != "1" && lines[i] != "0" && (i != 2 || lines[i] != "") {
			return nil, false
		}
	}
	return s, (s.mode == "" || s.mode == UploadLFS || s.mode == UploadRegular) && (s.sha256 == "" || isSHA256(s.sha256))
}

// A largeFile is a file of the folder. It belongs to one worker at a time.
type largeFile struct {
	folder string // local
	path   string // in the folder and in the repository, with slashes
	size   int64
	add    *Add
	asked  bool          // add.State was asked for in this run, and so says what the repository has
	again  bool          // its object was uploaded again, as the server had dropped it
	seen   largeProgress // guarded by largeQueue.mu, unlike all else
}

func (f *largeFile) local() string { return filepath.Join(f.folder, filepath.FromSlash(f.path)) }

func (f *largeFile) statePath(suffix string) string {
	return filepath.Join(f.folder, filepath.FromSlash(largeUploadDir), filepath.FromSlash(f.path)+suffix)
}

// locked runs f while no other process reads or writes the state of this file.
func (f *largeFile) locked(ctx context.Context, run func() error) error {
	lock := flock.New(f.statePath(".lock"))
	ok, err := lock.TryLockContext(ctx, 50*time.Millisecond)
	if err != nil || !ok {
		return fmt.Errorf("lock the state of %s: %w", f.path, err)
	}
	return errors.Join(run(), lock.Unlock())
}

// load begins with the content as it is now, and with what is known of it from an
// earlier run.
func (f *largeFile) load(ctx context.Context, now time.Time) error {
	content, err := FileContent(f.local())
	if err != nil {
		return err
	}
	info, err := os.Stat(f.local())
	if err != nil {
		return err
	}
	f.add = &Add{Path: f.path, Content: content}
	f.size, f.asked = content.Size, false
	if err := os.MkdirAll(filepath.Dir(f.statePath("")), 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile(f.statePath(".metadata"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // also without a lock: it is written by rename, and if not, in one write
	}
	if err := f.locked(ctx, func() error { text, err = os.ReadFile(f.statePath(".metadata")); return err }); err != nil {
		return err
	}
	known, ok := parseLargeState(string(text))
	if !ok || known.at.Before(info.ModTime()) || known.size != content.Size {
		return nil // written by halves, or of other content
	}
	if known.uploaded && !known.committed && now.Sub(known.at) > lfsKeeps {
		known.uploaded = false
	}
	f.add.Content.SHA256 = known.sha256
	f.add.State = AddState{Mode: known.mode, Ignored: known.ignored, Uploaded: known.uploaded, Committed: known.committed}
	if known.mode == UploadLFS && !known.uploaded {
		f.add.State.Multipart = f.loadParts()
	}
	return nil
}

// loadParts is an upload in parts that was interrupted, which the official client
// doesn't know of. What can't be read is begun anew.
func (f *largeFile) loadParts() *MultipartState {
	text, err := os.ReadFile(f.statePath(".parts"))
	if err != nil {
		return nil
	}
	var m MultipartState
	if json.Unmarshal(text, &m) != nil {
		return nil
	}
	return &m
}

// save keeps what is known, for the next run.
func (f *largeFile) save(ctx context.Context) error {
	a := &f.add.State
	return f.locked(ctx, func() error {
		s := largeState{
			at: time.Now(), size: f.size, sha256: f.add.Content.SHA256,
			mode: a.Mode, ignored: a.Ignored, uploaded: a.Uploaded, committed: a.Committed,
		}
		if a.Multipart != nil {
			parts, err := json.Marshal(a.Multipart)
			if err != nil {
				return err
			}
			return f.write(".parts", parts)
		}
		if s.uploaded {
			if err := os.Remove(f.statePath(".parts")); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return f.write(".metadata", []byte(s.String()))
	})
}

func (f *largeFile) write(suffix string, text []byte) error {
	tmp := f.statePath(".hubfs-tmp")
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, f.statePath(suffix))
}

// ignoreStateDir keeps the official client's folder out of Git.
func ignoreStateDir(folder string) error {
	dir := filepath.Join(folder, filepath.FromSlash(largeStateDir))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, ".gitignore"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString("*")
	return errors.Join(err, f.Close())
}
