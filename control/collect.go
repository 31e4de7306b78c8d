package control

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hubfs/hubfs/syncer"
)

// statusTimeout is how long a daemon may take to tell its state: it keeps it at hand.
const statusTimeout = 5 * time.Second

// Collect merges the state of all mounts of this user. A mount whose daemon is dead or doesn't answer
// is listed with its Error. The error is of this machine only.
func Collect(ctx context.Context) (*Status, error) {
	sockets, err := filepath.Glob(filepath.Join(SocketDir(), "*.sock"))
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex // guards found
	var found []*Status
	var wg sync.WaitGroup
	for _, path := range sockets {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, statusTimeout)
			defer cancel()
			st, err := newClient("", path).Status(ctx)
			if err != nil {
				return // dead or stuck: the list of mounts tells which one
			}
			mu.Lock()
			defer mu.Unlock()
			found = append(found, st)
		})
	}
	wg.Wait()
	all := merge(found)
	points, err := MountPoints()
	if err != nil {
		return nil, err
	}
	for _, p := range points {
		if slices.ContainsFunc(all.Mounts, func(m MountStatus) bool { return m.Dir == p.Dir }) {
			continue
		}
		socket, err := SocketPath(p.Dir)
		if err != nil {
			continue
		}
		m := MountStatus{}
		m.Dir, m.Source = p.Dir, p.Source
		dead, err := p.Dead(ctx)
		switch {
		case dead:
			m.Error = "the daemon is dead; hubfs umount " + p.Dir + " removes the mount"
		case err != nil:
			m.Error = "the daemon doesn't answer; kill it, then: hubfs umount " + p.Dir
		case !slices.Contains(sockets, socket):
			continue // another user's
		default:
			m.Error = "the daemon doesn't answer on its control socket"
		}
		all.Mounts = append(all.Mounts, m)
	}
	slices.SortFunc(all.Syncs, func(a, b syncer.Status) int { return strings.Compare(a.Folder, b.Folder) })
	slices.SortFunc(all.Mounts, func(a, b MountStatus) int { return strings.Compare(a.Dir, b.Dir) })
	return all, nil
}

// StatusOf is the state of the one mount that path lies in, else of the sync.
func StatusOf(ctx context.Context, path string) (*Status, error) {
	newClient := NewClient
	dir, _, err := FindMount(path)
	if err != nil {
		folder, syncErr := FindSync(path)
		if syncErr != nil {
			return nil, err
		}
		dir, newClient = folder, NewSyncClient
	}
	c, err := newClient(dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	st, err := c.Status(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("the daemon of %s doesn't answer: %w", dir, err)
	}
	return st, err
}

// merge makes one status of those of several daemons. Their quota is one budget: who heard of it last
// knows best, which in one window is who knows of the least.
func merge(all []*Status) *Status {
	out := &Status{Mounts: []MountStatus{}, Syncs: []syncer.Status{}, Quota: map[string]QuotaStatus{}}
	for _, st := range all {
		out.Mounts = append(out.Mounts, st.Mounts...)
		out.Syncs = append(out.Syncs, st.Syncs...)
		out.Cache = out.Cache.plus(st.Cache)
		for class, q := range st.Quota {
			have, ok := out.Quota[class]
			sameWindow := q.ResetIn-have.ResetIn < 1 && have.ResetIn-q.ResetIn < 1
			if !ok || q.ResetIn > have.ResetIn && !sameWindow || sameWindow && q.Remaining < have.Remaining {
				q.Used += have.Used
				have = q
			} else {
				have.Used += q.Used
			}
			out.Quota[class] = have
		}
	}
	return out
}

// plus adds what two daemons did. What lies on disk they share, if it is the same folder.
func (c CacheStatus) plus(o CacheStatus) CacheStatus {
	if c.Dir == "" {
		return o
	}
	c.WholeBytes, c.WholeBlobs = max(c.WholeBytes, o.WholeBytes), max(c.WholeBlobs, o.WholeBlobs)
	c.PartialBytes, c.PartialBlobs = max(c.PartialBytes, o.PartialBytes), max(c.PartialBlobs, o.PartialBlobs)
	c.MaxSize = max(c.MaxSize, o.MaxSize)
	c.OpenBlobs += o.OpenBlobs
	c.Fetches += o.Fetches
	c.FetchedBytes += o.FetchedBytes
	c.ServedBytes += o.ServedBytes
	c.Hits += o.Hits
	c.Misses += o.Misses
	c.Requests += o.Requests
	c.Retries += o.Retries
	c.Verified += o.Verified
	c.VerifiedBytes += o.VerifiedBytes
	c.Verifying += o.Verifying
	c.Corrupt += o.Corrupt
	c.Evicted += o.Evicted
	c.EvictedBytes += o.EvictedBytes
	c.Uncached += o.Uncached
	c.MemoryBytes += o.MemoryBytes
	return c
}
