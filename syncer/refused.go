package syncer

import (
	"context"
	"errors"

	"github.com/hubfs/hubfs/hub"
)

// failed is the record of a file that can't be pushed as it is.
func (s *Syncer) failed(path string, now stamp, err error) *record {
	s.log.Warn("not committed", "path", path, "err", err)
	rec := &record{stamp: now, Failure: err.Error(), FailedAt: s.now().Unix()}
	if before := s.store.files[path]; before != nil {
		rec.Sent, rec.SHA256 = before.Sent, before.SHA256
	}
	return rec
}

// blame finds the files that an error names, notes them as failed, and gives the others. A file that was
// written to meanwhile hasn't failed: it goes next time.
func (p *push) blame(ctx context.Context, items []*item, err error) (rest []*item, blamed bool) {
	reasons := make(map[string]error)
	for _, f := range hub.FailedPaths(err) {
		reasons[f.Path] = f.Err
	}
	var invalid *hub.ValidationError
	if len(reasons) == 0 && errors.As(err, &invalid) {
		reasons[invalid.Value] = err
	}
	var refused *hub.Error
	if len(reasons) == 0 && errors.As(err, &refused) && hub.SplittingHelps(err) {
		paths := make([]string, len(items))
		for i, it := range items {
			paths[i] = it.add.Path
		}
		if path := hub.PathIn(refused.Message, paths); path != "" {
			reasons[path] = err
		}
	}
	var guilty []*item
	for _, it := range items {
		why := reasons[it.add.Path]
		switch {
		case why == nil:
			rest = append(rest, it)
			continue
		case transient(why):
			return items, false // it isn't the file's fault
		}
		guilty = append(guilty, it)
	}
	for _, it := range guilty {
		if same, checkErr := p.s.same(ctx, it); errors.Is(reasons[it.add.Path], hub.ErrContentChanged) || checkErr == nil && !same {
			p.s.postpone(it.path)
			it.add = nil
			continue
		}
		if err := p.putAside([]*item{it}, reasons[it.add.Path]); err != nil {
			p.s.log.Warn("a failure can't be kept", "path", it.path, "err", err)
			it.add = nil
		}
	}
	return rest, len(guilty) > 0
}

// leaveOut gives the files whose upload didn't fail, where that of some has because of the network or the
// server: those go next time, and hold up nothing.
func (p *push) leaveOut(ctx context.Context, items []*item, err error) (rest []*item, some bool) {
	if ctx.Err() != nil {
		return nil, false
	}
	failed := make(map[string]bool)
	for _, f := range hub.FailedPaths(err) {
		failed[f.Path] = true
	}
	for _, it := range items {
		if failed[it.add.Path] {
			p.s.later++
			continue
		}
		rest = append(rest, it)
	}
	if len(rest) == len(items) {
		return nil, false
	}
	p.short = err
	return rest, true
}

// transient says whether an error about one file is of the network or the server.
func transient(err error) bool {
	return errors.Is(err, hub.ErrUnavailable) || errors.Is(err, hub.ErrRateLimited) || errors.Is(err, hub.ErrProtocol) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// putAside notes files as failed.
func (p *push) putAside(items []*item, err error) error {
	records := make(map[string]*record, len(items))
	for _, it := range items {
		records[it.path] = p.s.failed(it.path, it.stamp, err)
		it.add = nil
	}
	defer p.s.noteState()
	return p.s.store.save(records, nil)
}
