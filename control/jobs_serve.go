package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// maxStreams is how many event streams may be open at once.
const maxStreams = 128

// keepAlive is after how long an event stream says that it still lives.
const keepAlive = 15 * time.Second

// eventPause is the least time between two events about the same job.
const eventPause = 100 * time.Millisecond

// encode is JSON that leaves <, > and & alone, without a line end.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (s *Server) routeJobs(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/jobs", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, s.jobs.list()) })
	mux.HandleFunc("GET /v1/jobs/{id}", s.getJob)
	mux.HandleFunc("POST /v1/jobs/{id}/cancel", s.cancelJob)
	mux.HandleFunc("GET /v1/jobs/{id}/events", s.jobEvents)
	mux.HandleFunc("GET /v1/events", s.events)
}

// background queues a call and answers with its job.
func (s *Server) background(w http.ResponseWriter, r *http.Request, m *Method, params map[string]json.RawMessage) {
	job, err := s.jobs.submit(peerOf(r.Context()), m, params) //nolint:contextcheck // the job outlives the request
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Location", "/v1/jobs/"+job.ID)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	if err := json.NewEncoder(w).Encode(job); err != nil {
		s.log.Warn("control socket: answer failed", "err", err)
	}
}

// getJob answers with a job; with ?wait=SECONDS once it has ended, or as it is by then.
func (s *Server) getJob(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	id := r.PathValue("id")
	if v := r.URL.Query().Get("wait"); v != "" {
		seconds, err := strconv.ParseFloat(v, 64)
		if err != nil || !(seconds >= 0) || seconds > 1e6 {
			s.fail(w, badParam("wait", "is %s, and must be a number of seconds", v))
			return
		}
		waiting, cancel := context.WithTimeout(ctx, time.Duration(seconds*float64(time.Second)))
		defer cancel()
		if _, err := s.jobs.wait(waiting, id); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			s.fail(w, err)
			return
		}
	}
	job, _, err := s.jobs.get(id)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.answer(w, job)
}

func (s *Server) cancelJob(w http.ResponseWriter, r *http.Request) {
	job, err := s.jobs.cancel(r.PathValue("id"))
	if err != nil {
		s.fail(w, err)
		return
	}
	s.answer(w, job)
}

// eventStream is an answer of server-sent events.
type eventStream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// stream begins an answer of server-sent events; end must be called. It has answered already where it is nil.
func (s *Server) eventStream(w http.ResponseWriter) (stream *eventStream, end func()) {
	select {
	case s.streams <- struct{}{}:
	default:
		s.fail(w, &Error{Status: http.StatusTooManyRequests, Kind: KindOverloaded, RetryAfter: 1,
			Message: fmt.Sprintf("%d event streams are open already", maxStreams)})
		return nil, nil
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	e := &eventStream{w, http.NewResponseController(w)}
	_ = e.rc.Flush() // a caller that is gone shows at the next write
	return e, func() { <-s.streams }
}

// send writes one event; an empty name is a sign of life.
func (e *eventStream) send(name string, v any) error {
	text := ":\n\n"
	if name != "" {
		b, err := encode(v)
		if err != nil {
			return err
		}
		text = "event: " + name + "\ndata: " + string(b) + "\n\n"
	}
	if err := e.rc.SetWriteDeadline(time.Now().Add(slowReader)); err != nil {
		return err
	}
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return e.rc.Flush()
}

// jobEvents sends a job as it is, and each time that it has changed, as event "progress"; when it has ended
// as "done", "failed" or "canceled", which is the last.
func (s *Server) jobEvents(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, _, err := s.jobs.get(id); err != nil {
		s.fail(w, err)
		return
	}
	stream, end := s.eventStream(w)
	if stream == nil {
		return
	}
	defer end()
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		job, changed, err := s.jobs.get(id)
		if err != nil {
			return // forgotten, as one of many that ended
		}
		name := "progress"
		if job.Finished() {
			name = job.State
		}
		if err := stream.send(name, job); err != nil || job.Finished() {
			return
		}
		for waiting := true; waiting; {
			select {
			case <-changed:
				waiting = false
			case <-alive.C:
				if stream.send("", nil) != nil {
					return
				}
			case <-r.Context().Done():
				return
			case <-s.ending:
				return
			}
		}
		// What changes often is told less often.
		select {
		case <-time.After(eventPause):
		case <-r.Context().Done():
			return
		}
	}
}
