package syncer

import (
	"context"
	"slices"

	"github.com/hubfs/hubfs/hub"
)

// upload stores large files ahead of the commit, learns how each file is stored, and gives those that can go.
func (p *push) upload(ctx context.Context, items []*item) ([]*item, error) {
	s := p.s
	for _, it := range items {
		it.add.State.Multipart = s.store.upload(it.sha256)
	}
	begin := s.now()
	items, err := p.preupload(ctx, items)
	if err != nil {
		return nil, err
	}
	for _, it := range items {
		if it.size >= s.large {
			it.took, it.at = s.now().Sub(begin), s.now().Unix()
		}
	}
	var out []*item
	ignored := make(map[string]*record)
	for _, it := range items {
		switch state := it.add.State; {
		case state.Ignored:
			rec := it.record()
			rec.Ignored = true
			ignored[it.path] = rec
			continue
		case state.Mode == hub.UploadLFS:
			if state.Uploaded {
				if err := s.store.noteUpload(it.sha256, nil); err != nil {
					return nil, err
				}
			}
			same, err := s.same(ctx, it)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil || !same {
				s.postpone(it.path)
				continue
			}
		}
		out = append(out, it)
	}
	if len(ignored) > 0 {
		return out, s.store.save(ignored, nil)
	}
	return out, nil
}

// preupload uploads, and gives the files that weren't refused.
func (p *push) preupload(ctx context.Context, items []*item) ([]*item, error) {
	s := p.s
	opts := &hub.PreuploadOptions{UploadOptions: hub.UploadOptions{Progress: s.noteProgress, Checkpoint: s.checkpoint}}
	for len(items) > 0 {
		adds := make([]*hub.Add, len(items))
		for i, it := range items {
			adds[i] = it.add
		}
		err := s.o.Hub.PreuploadLFSFiles(ctx, s.o.Repo, s.o.Revision, adds, opts)
		if err == nil {
			return items, nil
		}
		rest, blamed := p.blame(ctx, items, err)
		if !blamed {
			rest, blamed = p.leaveOut(ctx, items, err)
		}
		switch {
		case blamed:
			items = rest
		case !hub.SplittingHelps(err):
			return nil, err
		case len(items) == 1:
			return nil, p.putAside(items, err)
		default:
			first, err := p.preupload(ctx, slices.Clone(items[:len(items)/2]))
			if err != nil {
				return nil, err
			}
			second, err := p.preupload(ctx, slices.Clone(items[len(items)/2:]))
			return append(first, second...), err
		}
	}
	return nil, nil
}

// checkpoint keeps how far the upload of a large file is.
func (s *Syncer) checkpoint(a *hub.Add) {
	if a.State.Multipart == nil {
		return
	}
	if err := s.store.noteUpload(a.Content.SHA256, a.State.Multipart); err != nil {
		s.log.Debug("an upload would begin anew after a crash", "path", a.Path, "err", err)
	}
}
