package blobcache

import (
	"hash/fnv"
	"os"
	"sync"
)

// bootID names the time since the machine was booted; 0 is unknown.
var bootID = sync.OnceValue(func() uint64 {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(b)
	return h.Sum64()
})
