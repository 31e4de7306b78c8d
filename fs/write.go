package fs

import (
	"context"
	"fmt"
	"time"

	"github.com/hubfs/hubfs/writeback"
)

// WriteOptions make a mount writable: branches and pull requests take changes, which
// package writeback keeps and commits.
type WriteOptions struct {
	StateDir    string        // of what isn't committed yet; see writeback
	Every       time.Duration // between automatic commits; 0 makes none
	MaxDelay    time.Duration // how long a busy folder may be left out of them; 0 is for ever
	SyncTimeout time.Duration // how long fsync waits for a commit; 0 is 5 minutes
	Fsync       FsyncMode     // "" is FsyncAuto

	OnConflict        writeback.OnConflict // "" is writeback.KeepBoth
	CreatePR          bool                 // changes go to a pull request of their own; read access is enough
	Atomic            bool                 // one refused path holds back all
	MaxCommitsPerHour int                  // of automatic commits to one branch; 0 is 60
	LocalOnly         []string             // names that are never committed; nil is writeback.DefaultLocalOnly
	CommitOpen        []string             // logs; nil is writeback.DefaultCommitOpen
}

// defaultSyncTimeout is that of WriteOptions.
const defaultSyncTimeout = 5 * time.Minute

// FsyncMode is what an fsync has to do with commits.
type FsyncMode string

// The modes. What is fsynced is safe from a crash of the machine in all of them.
const (
	// FsyncAuto commits a file that was fsynced as soon as its writers have closed
	// it. fsync of a directory, or of a file that is open for reading, which is what
	// sync PATH does, returns after the commit.
	FsyncAuto FsyncMode = "auto"
	// FsyncCommit has every fsync return after a commit.
	FsyncCommit FsyncMode = "commit"
	// FsyncLocal makes no commits because of an fsync.
	FsyncLocal FsyncMode = "local"
)

// ParseFsyncMode reads a mode; "" is FsyncAuto.
func ParseFsyncMode(s string) (FsyncMode, error) {
	switch mode := FsyncMode(s); mode {
	case "":
		return FsyncAuto, nil
	case FsyncAuto, FsyncCommit, FsyncLocal:
		return mode, nil
	}
	return "", fmt.Errorf("%q is none of %s, %s, %s", s, FsyncAuto, FsyncCommit, FsyncLocal)
}

// Commit is a commit that was made of changes in a mount.
type Commit struct {
	Repo     string `json:"repo"`
	Type     string `json:"type"`
	Revision string `json:"revision"`
	writeback.Commit
}

// Change is a path that is changed here. Path is relative to the mount's root.
type Change struct {
	Repo     string `json:"repo"`
	Type     string `json:"type"`
	Revision string `json:"revision"`
	writeback.Change
}

// Recovery is what was taken over from a mount that ended before it had committed
// everything.
type Recovery struct {
	Repo     string `json:"repo"`
	Type     string `json:"type"`
	Revision string `json:"revision"`
	writeback.Recovered
}

// Upload is a file that is on its way to the Hub.
type Upload struct {
	Repo     string `json:"repo"`
	Type     string `json:"type"`
	Revision string `json:"revision"`
	Path     string `json:"path"` // relative to the mount's root
	Bytes    int64  `json:"bytes"`
	Total    int64  `json:"total"`
}

// PushResult is what Flush and Push came to.
type PushResult struct {
	Commits []Commit `json:"commits"`
	Failed  []Change `json:"failed"` // what could not be committed
}

// Flush commits what is changed at or below path, which is relative to the mount, ""
// being all, and returns when the Hub has accepted it. What the Hub refuses of it is in
// PushResult.Failed. The error is ctx's if it ends first, else why nothing more can be
// committed; what isn't stays staged.
func (m *Mount) Flush(ctx context.Context, path string) (PushResult, error) {
	return PushResult{}, nil
}

// WaitStaged returns when what is staged now at or below path is committed, by
// whatever. Paths that the Hub has refused are an error that names them.
func (m *Mount) WaitStaged(ctx context.Context, path string) error { return nil }

// Discard forgets what is changed at or below path, and tells what that was.
func (m *Mount) Discard(ctx context.Context, path string) ([]Change, error) { return nil, nil }

// Changes lists what is changed at or below path, sorted.
func (m *Mount) Changes(path string) []Change { return nil }

// Recovered tells what was taken over from mounts that are dead.
func (m *Mount) Recovered() []Recovery { return nil }

// Uploads are those that run.
func (m *Mount) Uploads() []Upload { return nil }

// Push commits all that is staged, until ctx ends. Unlike other methods it can be
// called after the file system is unmounted, before Close.
func (m *Mount) Push(ctx context.Context) (PushResult, error) { return PushResult{}, nil }

// Close makes durable what isn't committed, and lets the next mount have it. It is
// for after Wait, and needed only if Options.Write is set.
func (m *Mount) Close() error { return nil }
