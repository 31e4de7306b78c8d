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

	// Each stall doubles the patience once, if answers to others came meanwhile, so that the
	// trouble is this request's own, and twice otherwise: all may have become slow. After
	// maxDoublings it is the client's own.
	ownStall     = 1
	anyStall     = 2
	maxDoublings = 6
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

// answered takes into account the time from a request to its answer, with its patience
// doubled so many times. What took longer than that was repeated by the client.
func (p *pace) answered(d time.Duration, doublings int) {
	if d > p.patience(doublings) {
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

// patience is how long a request may stand still, doubled so many times.
func (p *pace) patience(doublings int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := firstPatience
	if p.mean > 0 {
		d = min(max(p.mean+8*p.variance, minPatience), maxPatience)
	}
	return d << doublings
}

// with bounds the patience of the requests of ctx, doubled so many times until there is
// progress.
func (p *pace) with(ctx context.Context, doublings int) context.Context {
	if doublings >= maxDoublings {
		return ctx
	}
	return hub.WithPatience(ctx, func(received int64) time.Duration {
		if received >= fetchUnit {
			return p.patience(0)
		}
		return p.patience(doublings)
	})
}
