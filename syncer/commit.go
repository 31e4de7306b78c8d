package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// commit makes one commit. The state knows of it before the Hub does.
func (p *push) commit(ctx context.Context, items []*item) error {
	s := p.s
	if len(items) == 0 {
		return nil
	}
	if !p.asked && s.slotIn() > 0 {
		return errSlot
	}
	head, err := p.settle(ctx)
	if err != nil {
		return err
	}
	// What has landed with a commit that was looked for needs no other.
	items = slices.DeleteFunc(slices.Clone(items), s.unchanged)
	if items, err = s.still(ctx, items); err != nil || len(items) == 0 {
		return err
	}
	sent := sentCommit{Mark: hub.NewMark(), Parent: head, Files: make(map[string]*record, len(items))}
	ops := make([]hub.Operation, len(items))
	for i, it := range items {
		ops[i] = it.add
		sent.Files[it.path] = it.record()
	}
	if err := s.store.save(nil, func(m *meta) { m.Sent = append(slices.Clone(m.Sent), sent) }); err != nil {
		return err
	}
	info, err := s.o.Hub.CreateCommit(ctx, s.o.Repo, s.o.Revision, hub.CommitInput{
		Summary: Summary, ParentCommit: head, Mark: sent.Mark, Operations: ops,
		UploadOptions: hub.UploadOptions{Progress: s.noteProgress, Checkpoint: s.checkpoint},
	})
	if err != nil {
		if !hub.MayHaveLanded(err) {
			err = errors.Join(err, s.forget(sent.Mark))
		}
		if _, blamed := p.blame(ctx, items, err); blamed {
			return errRest
		}
		return err
	}
	if info.NoChange {
		return p.landed(sent, nil)
	}
	return p.landed(sent, &Commit{OID: info.OID, URL: info.CommitURL, Time: s.now(), Files: len(items) - len(info.Unchanged) - len(info.Ignored)})
}

// still gives the items whose files have the content that was hashed; the others go next time. Those that
// were uploaded have been looked at.
func (s *Syncer) still(ctx context.Context, items []*item) ([]*item, error) {
	var out []*item
	for _, it := range items {
		if it.add.State.Mode != hub.UploadLFS {
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
	return out, nil
}

// forget notes that a commit hasn't landed, and won't.
func (s *Syncer) forget(mark string) error {
	return s.store.save(nil, func(m *meta) {
		m.Sent = slices.DeleteFunc(slices.Clone(m.Sent), func(c sentCommit) bool { return c.Mark == mark })
	})
}

// settle finds out what became of commits that weren't answered, as far as that is decided, and gives the
// head that the next commit is put on.
func (p *push) settle(ctx context.Context) (head string, err error) {
	s := p.s
	// The head first: what isn't found below a head that has moved can't land any more.
	if head, err = s.head(ctx); err != nil {
		return "", err
	}
	for _, sent := range slices.Clone(s.store.meta.Sent) {
		if sent.Parent == head {
			continue // the next commit has the same parent, so one of the two at most can land
		}
		made, err := s.o.Hub.FindCommit(ctx, s.o.Repo, s.o.Revision, sent.Parent, sent.Mark)
		if err != nil {
			return "", err
		}
		if made != nil {
			s.log.Info("a commit that wasn't answered has landed", "commit", made.ID)
			return head, p.landed(sent, &Commit{OID: made.ID, URL: s.o.Endpoint + "/" + s.o.Repo.String() + "/commit/" + made.ID, Time: s.now(), Files: len(sent.Files)})
		}
		if err := s.forget(sent.Mark); err != nil {
			return "", err
		}
	}
	return head, nil
}

// landed records what a commit has brought to the Hub; nil is that all of it was there.
func (p *push) landed(sent sentCommit, made *Commit) error {
	s := p.s
	err := s.store.save(sent.Files, func(m *meta) {
		m.Sent = nil // whatever else was sent has the same parent, and can't land any more
		if made == nil {
			return
		}
		m.Last = made
		m.Squash = m.Squash || s.o.SquashHistory
		hour := s.now().Add(-time.Hour).Unix()
		m.Times = append(slices.DeleteFunc(slices.Clone(m.Times), func(t int64) bool { return t < hour }), s.now().Unix())
	})
	if err == nil && made != nil {
		p.made = append(p.made, *made)
		s.log.Info("committed", "commit", made.OID, "files", made.Files)
	}
	s.noteState()
	return err
}

// squash makes one commit of the branch's history, if that is wanted and due.
func (p *push) squash(ctx context.Context) error {
	s := p.s
	if !s.o.SquashHistory || !s.store.meta.Squash {
		return nil
	}
	if err := s.o.Hub.SuperSquashHistory(ctx, s.o.Repo, s.o.Revision, ""); err != nil {
		return fmt.Errorf("squash the history: %w", err)
	}
	return s.store.save(nil, func(m *meta) { m.Squash = false })
}
