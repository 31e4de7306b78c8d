package blobcache

import (
	"context"
	"sync"
	"time"

	"github.com/hubfs/hubfs/hub"
)

const (
	// minPatience and maxPatience bound how long a range may stand still before it is
	// asked for once more, the first time.
	minPatience   = 300 * time.Millisecond
	maxPatience   = 2 * time.Second
	firstPatience = time.Second // as long as no answer has been timed

	// maxStalls is how often that is tried, each time with patienceGrowth times as much
	// patience; then the client's own.
	maxStalls      = 3
	patienceGrowth = 4
)

// pace is how fast storage answers. Now and then one answer of many never comes,
// and a reader shouldn't wait for it as long as a slow network may take.
//
// The estimate is that of TCP for its retransmissions (RFC 6298), with twice the
// margin: a range that was given up in vain costs more than a packet.
type pace struct {
	mu       sync.Mutex // guards both
	mean     time.Duration
	variance time.Duration
}

// answered takes into account the time from a request that has failed so many times
// before to its answer. What took longer than the patience with one request was repeated
// by the client.
func (p *pace) answered(d time.Duration, stalls int) {
	if d > p.patience(stalls) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mean == 0 {
		p.mean, p.variance = d, d/2
		return
	}
	p.variance += ((d - p.mean).Abs() - p.variance) / 4
	p.mean += (d - p.mean) / 8
}

// patience is how long a request may stand still, after so many failures.
func (p *pace) patience(stalls int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := firstPatience
	if p.mean > 0 {
		d = min(max(p.mean+8*p.variance, minPatience), maxPatience)
	}
	for range stalls {
		d *= patienceGrowth
	}
	return d
}

// with bounds the patience of the requests of ctx, which have failed that often.
func (p *pace) with(ctx context.Context, stalls int) context.Context {
	if stalls >= maxStalls {
		return ctx
	}
	return hub.WithPatience(ctx, p.patience(stalls))
}
