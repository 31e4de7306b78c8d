package control

import (
	"net/http"
	"sync"
	"time"

	"github.com/hubfs/hubfs/fs"
)

// Event is something that happened to a mount, as /v1/events tells it. Its name is the event's.
type Event struct {
	Event    string `json:"event"` // "head", "commit", "failed", "error" or "lost"
	Repo     string `json:"repo,omitempty"`
	Type     string `json:"type,omitempty"`
	Revision string `json:"revision,omitempty"`
	// From and To are the commits of a head that moved; To alone is one that was made here.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Failed is how many staged changes the Hub refused.
	Failed int `json:"failed,omitempty"`
	// Error is why the last look at the Hub, or the last commit, failed; "" is that it doesn't any more.
	Error string    `json:"error,omitempty"`
	At    time.Time `json:"at"`
}

// lookEvery is how often a mount is looked at while somebody listens. It costs no request.
const lookEvery = 500 * time.Millisecond

// watcher tells listeners what changes in the state of a mount. It looks only while there are any.
type watcher struct {
	status func() fs.Status
	every  time.Duration

	mu        sync.Mutex // guards the rest
	listeners map[chan Event]bool
	stop      chan struct{} // ends the goroutine that looks; nil where there is none
}

// backlog is how many events a listener may be behind before it loses some.
const backlog = 256

// listen gives the events from now on. A listener that doesn't read loses events, and is told so by one
// called "lost" when it reads again.
func (w *watcher) listen() (events <-chan Event, end func()) {
	ch := make(chan Event, backlog+1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listeners[ch] = true
	if w.stop == nil {
		w.stop = make(chan struct{})
		go w.look(w.stop, branches(w.status()))
	}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.listeners, ch); len(w.listeners) == 0 {
			close(w.stop)
			w.stop = nil
		}
	}
}

type branchKey struct{ typ, repo, revision string }

func branches(st fs.Status) map[branchKey]fs.BranchStatus {
	all := make(map[branchKey]fs.BranchStatus, len(st.Branches))
	for _, b := range st.Branches {
		all[branchKey{b.Type, b.Repo, b.Revision}] = b
	}
	return all
}

func (w *watcher) look(stop chan struct{}, before map[branchKey]fs.BranchStatus) {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		now := branches(w.status())
		for key, b := range now {
			old, known := before[key]
			for _, e := range changes(old, b, known) {
				w.tell(e)
			}
		}
		before = now
	}
}

// changes are the events between two looks at a branch. The first look at one is no event.
func changes(old, b fs.BranchStatus, known bool) []Event {
	if !known {
		return nil
	}
	var events []Event
	add := func(e Event) {
		e.Repo, e.Type, e.Revision, e.At = b.Repo, b.Type, b.Revision, time.Now().UTC()
		events = append(events, e)
	}
	if b.LastCommit != nil && (old.LastCommit == nil || old.LastCommit.OID != b.LastCommit.OID) {
		add(Event{Event: "commit", To: b.LastCommit.OID})
	}
	if b.Head != old.Head {
		add(Event{Event: "head", From: old.Head, To: b.Head})
	}
	if b.Failed != old.Failed {
		add(Event{Event: "failed", Failed: b.Failed, Error: b.WriteError})
	}
	if b.Error != old.Error {
		add(Event{Event: "error", Error: b.Error})
	}
	if b.WriteError != old.WriteError && b.Failed == old.Failed {
		add(Event{Event: "error", Error: b.WriteError})
	}
	return events
}

func (w *watcher) tell(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.listeners {
		switch {
		case len(ch) < backlog:
			ch <- e
		case len(ch) == backlog:
			ch <- Event{Event: "lost", At: e.At}
		}
	}
}

// events sends what happens to the mount, as server-sent events, until the caller leaves or the daemon ends.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if s.watch == nil {
		s.fail(w, &Error{Status: http.StatusNotFound, Kind: KindNotRunning, Message: "this daemon has no mount"})
		return
	}
	stream, end := s.eventStream(w)
	if stream == nil {
		return
	}
	defer end()
	events, leave := s.watch.listen()
	defer leave()
	// From here on nothing is missed, which the caller may be waiting for.
	if stream.send("ready", struct{}{}) != nil {
		return
	}
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		var err error
		select {
		case e := <-events:
			err = stream.send(e.Event, e)
		case <-alive.C:
			err = stream.send("", nil)
		case <-r.Context().Done():
			return
		case <-s.ending:
			return
		}
		if err != nil {
			return
		}
	}
}
