package localhub

import (
	"errors"
	"log/slog"
	"maps"
	"path"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

var bucketDownloads = []byte("downloads") // by uid of the repository

// downloadsRec is how often a repository was downloaded, as far as it was counted.
type downloadsRec struct {
	All  int64            `json:"all"`
	Days map[string]int64 `json:"days"` // by date, of the last 30 days
}

const (
	// onceIn is the time in which the files that somebody takes from a repository are one download.
	onceIn = 5 * time.Minute
	// downloadDays is over how many days recent downloads are counted.
	downloadDays = 30
	maxTakers    = 100_000 // who is remembered as having downloaded just now
)

// queryFiles are those of a model that count: there is one of them in what most
// libraries load.
var queryFiles = []string{"config.json", "config.yaml", "hyperparams.yaml", "params.json", "meta.yaml", "model_index.json", "adapter_config.json"}

// countsAsDownload says whether taking a file is a download of its repository.
func countsAsDownload(typ, name string) bool {
	switch typ {
	case Dataset:
		return true
	case Model:
		return slices.Contains(queryFiles, name) || path.Ext(name) == ".gguf"
	}
	return false
}

// downloads counts who takes files from which repositories. Counts reach the disk a
// moment later, so that nobody who reads waits for it; Close waits.
type downloads struct {
	st  *state
	now func() time.Time
	log *slog.Logger

	mu     sync.Mutex // guards what follows; records are replaced, never changed
	counts map[string]*downloadsRec
	dirty  map[string]bool
	takers map[taker]time.Time
	closed bool

	wake chan struct{} // there is something dirty; closed by close
	done chan struct{} // all is on disk
}

// taker is somebody and the repository of which they took a file.
type taker struct{ uid, who string }

func newDownloads(st *state, now func() time.Time, log *slog.Logger) (*downloads, error) {
	d := &downloads{
		st: st, now: now, log: log, counts: map[string]*downloadsRec{}, dirty: map[string]bool{}, takers: map[taker]time.Time{},
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	err := st.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketDownloads)
		if err != nil {
			return err
		}
		if err := each(tx, bucketDownloads, func(uid string, r *downloadsRec) { d.counts[uid] = r }); err != nil {
			return err
		}
		for uid := range d.counts {
			if st.repoByUID(uid) == nil { // it was removed
				delete(d.counts, uid)
				err = errors.Join(err, b.Delete([]byte(uid)))
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	go d.write()
	return d, nil
}

// take notes that somebody takes a file of a repository.
func (d *downloads) take(uid, who string) {
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	k := taker{uid, who}
	if last, ok := d.takers[k]; ok && now.Sub(last) < onceIn {
		return
	}
	if len(d.takers) >= maxTakers {
		maps.DeleteFunc(d.takers, func(_ taker, last time.Time) bool { return now.Sub(last) >= onceIn })
		if len(d.takers) >= maxTakers {
			clear(d.takers)
		}
	}
	d.takers[k] = now
	r := &downloadsRec{Days: map[string]int64{}}
	if old := d.counts[uid]; old != nil {
		r.All = old.All
		maps.Copy(r.Days, old.Days)
		maps.DeleteFunc(r.Days, func(day string, _ int64) bool { return day <= oldestDay(now) })
	}
	r.All++
	r.Days[now.Format(time.DateOnly)]++
	d.counts[uid], d.dirty[uid] = r, true
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// oldestDay is the last day that is no longer recent.
func oldestDay(now time.Time) string { return now.AddDate(0, 0, -downloadDays).Format(time.DateOnly) }

// of is how often a repository was downloaded lately and ever.
func (d *downloads) of(uid string) (recent, all int64) {
	d.mu.Lock()
	r := d.counts[uid]
	d.mu.Unlock()
	if r == nil {
		return 0, 0
	}
	oldest := oldestDay(d.now())
	for day, n := range r.Days {
		if day > oldest {
			recent += n
		}
	}
	return recent, r.All
}

// write puts on disk what has changed, until close.
func (d *downloads) write() {
	defer close(d.done)
	for more := true; more; {
		_, more = <-d.wake
		d.mu.Lock()
		changed := map[string]*downloadsRec{}
		for uid := range d.dirty {
			changed[uid] = d.counts[uid]
		}
		clear(d.dirty)
		d.mu.Unlock()
		if len(changed) == 0 {
			continue
		}
		err := d.st.db.Update(func(tx *bbolt.Tx) (err error) {
			for uid, r := range changed {
				err = errors.Join(err, put(tx, bucketDownloads, uid, r))
			}
			return err
		})
		if err != nil {
			d.log.Error("downloads that were counted aren't kept", "error", err)
		}
	}
}

// close ends the counting.
func (d *downloads) close() {
	d.mu.Lock()
	d.closed = true
	close(d.wake) // nobody but take sends, and not without mu
	d.mu.Unlock()
	<-d.done
}

// downloads is how often a repository was downloaded in the last 30 days, and ever.
func (h *Hub) downloads(r *repoRec) (recent, all int64) {
	recent, all = h.taken.of(r.UID)
	return r.Downloads + recent, r.DownloadsAll + all
}

// SetDownloads says how often a repository was downloaded before this Hub began to
// count: in the last 30 days, and ever.
func (h *Hub) SetDownloads(typ, id string, month, allTime int64) error {
	r, err := h.openRepo(typ, id)
	if err != nil {
		return err
	}
	if month < 0 || allTime < month {
		return badRequest("Downloads are not negative, and the recent ones are among all")
	}
	return h.st.changeRepo(r.UID, func(rec *repoRec) error {
		rec.Downloads, rec.DownloadsAll = month, allTime
		return nil
	})
}
