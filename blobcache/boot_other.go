//go:build !linux

package blobcache

// bootID is unknown here: only synced ranges survive a restart.
func bootID() uint64 { return 0 }
