package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// States of a job.
const (
	JobQueued   = "queued"
	JobRunning  = "running"
	JobDone     = "done"
	JobFailed   = "failed"
	JobCanceled = "canceled"
)

// Job is a call that runs in the background, in the daemon. The jobs of one user run one after the other, in
// the order in which they came, as those of HfApi.run_as_future do.
type Job struct {
	ID      string    `json:"id"`
	Method  string    `json:"method"`
	State   string    `json:"state"` // JobQueued, ...
	Created time.Time `json:"created"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Progress is how far it is, where the method tells.
	Progress *JobProgress `json:"progress,omitempty"`
	// Result is what the method gave, of a job that is done; a list is whole. Listings of jobs leave it out.
	Result json.RawMessage `json:"result,omitempty"`
	// Error is why it failed.
	Error *Error `json:"error,omitempty"`
}

// Finished says whether the job's state is its last.
func (j *Job) Finished() bool {
	return j.State == JobDone || j.State == JobFailed || j.State == JobCanceled
}

// JobProgress is how far a job is: in bytes, where it transfers files, and in elements, where it lists.
type JobProgress struct {
	Path      string `json:"path,omitempty"` // the file that moves
	Files     int    `json:"files,omitempty"`
	TotalDone int64  `json:"total_done,omitempty"`
	Total     int64  `json:"total,omitempty"`
	Elements  int    `json:"elements,omitempty"`
}

// Limits of the jobs of a daemon.
const (
	maxQueued     = 1000     // jobs that wait, of all users
	maxQueuedSize = 64 << 20 // bytes of their parameters
	maxKept       = 256      // jobs that have ended
	maxKeptSize   = 64 << 20 // bytes of their results
	maxResult     = 16 << 20 // bytes of one result
)

// jobs runs calls in the background.
type jobs struct {
	api    *API
	lookup func(name string) (*Method, error) // LookupMethod, which the table, that has runAsFuture, can't refer to
	ctx    context.Context                    // ends with the daemon
	end    context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // guards the rest, and what is in each job
	closed bool
	next   int
	byID   map[string]*job
	order  []*job            // oldest first
	queues map[uint32][]*job // that wait, by user; one that has an entry has a worker
	queued int
	size   int // of the parameters of those
}

// job is a Job with what runs it. jobs.mu guards it.
type job struct {
	Job
	method *Method
	params map[string]json.RawMessage
	size   int
	cancel context.CancelCauseFunc
	ctx    context.Context
	// changed is closed, and replaced, when anything changes.
	changed chan struct{}
}

func newJobs(api *API) *jobs {
	j := &jobs{api: api, lookup: LookupMethod, byID: map[string]*job{}, queues: map[uint32][]*job{}}
	j.ctx, j.end = context.WithCancel(context.Background())
	return j
}

// close cancels what waits, lets what runs end until ctx does, and breaks it off then. It returns when none runs.
func (j *jobs) close(ctx context.Context) {
	j.mu.Lock()
	j.closed = true
	for _, waiting := range j.queues {
		for _, e := range waiting {
			e.cancel(errCanceled)
		}
	}
	j.mu.Unlock()
	defer context.AfterFunc(ctx, j.end)()
	j.wg.Wait()
	j.end()
}

// errCanceled is why a job ended that somebody canceled.
var errCanceled = &Error{Status: 499, Kind: KindCanceled, Message: "the job was canceled"}

// submit queues a call. Wrong parameters are refused here.
func (j *jobs) submit(user uint32, m *Method, params map[string]json.RawMessage) (*Job, error) {
	if m.Name == runAsFutureName {
		return nil, badParam("method", "is %s itself", m.Name)
	}
	if err := m.check(params); err != nil {
		return nil, err
	}
	size := 0
	for k, v := range params {
		size += len(k) + len(v)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, &Error{Status: http.StatusServiceUnavailable, Kind: KindNotRunning, Message: "the daemon is ending"}
	}
	if j.queued >= maxQueued || j.size+size > maxQueuedSize {
		return nil, &Error{Status: http.StatusTooManyRequests, Kind: KindOverloaded, RetryAfter: 10,
			Message: fmt.Sprintf("%d jobs wait already; try again when some have ended", j.queued)}
	}
	j.next++
	e := &job{
		Job:    Job{ID: strconv.Itoa(j.next), Method: m.Name, State: JobQueued, Created: time.Now().UTC()},
		method: m, params: params, size: size, changed: make(chan struct{}),
	}
	e.ctx, e.cancel = context.WithCancelCause(j.ctx)
	j.byID[e.ID] = e
	j.order = append(j.order, e)
	j.queued++
	j.size += size
	waiting, working := j.queues[user]
	j.queues[user] = append(waiting, e)
	if !working {
		j.wg.Go(func() { j.work(user) })
	}
	snapshot := e.Job
	return &snapshot, nil
}

// work runs the jobs of a user until none waits.
func (j *jobs) work(user uint32) {
	for {
		j.mu.Lock()
		waiting := j.queues[user]
		if len(waiting) == 0 {
			delete(j.queues, user)
			j.mu.Unlock()
			return
		}
		e := waiting[0]
		j.queues[user] = waiting[1:]
		j.queued--
		j.size -= e.size
		e.State, e.Started = JobRunning, time.Now().UTC()
		e.tell()
		j.mu.Unlock()

		result, err := j.run(e)

		j.mu.Lock()
		j.ended(e, result, err)
		j.mu.Unlock()
	}
}

// run makes the call and returns its result as JSON.
func (j *jobs) run(e *job) (result json.RawMessage, err error) {
	if err := context.Cause(e.ctx); err != nil {
		return nil, err
	}
	ctx := WithProgress(e.ctx, func(p JobProgress) { j.progress(e, p) })
	res, err := e.method.Call(ctx, j.api, e.params)
	if err != nil {
		return nil, err
	}
	if res.Elements == nil {
		return marshalResult(res.Value)
	}
	result = json.RawMessage("[")
	n, told := 0, time.Time{}
	for v, err := range res.Elements {
		if err != nil {
			return nil, err
		}
		b, err := marshalResult(v)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			result = append(result, ',', '\n')
		}
		if result = append(result, b...); len(result) > maxResult {
			return nil, tooLargeForJob()
		}
		if n++; time.Since(told) >= eventPause {
			told = time.Now()
			j.progress(e, JobProgress{Elements: n})
		}
	}
	j.progress(e, JobProgress{Elements: n})
	return append(result, ']'), nil
}

func marshalResult(v any) (json.RawMessage, error) {
	b, err := encode(v)
	if err != nil {
		return nil, err
	}
	if len(b) > maxResult {
		return nil, tooLargeForJob()
	}
	return b, nil
}

func tooLargeForJob() error {
	return &Error{Status: http.StatusInsufficientStorage, Kind: "too_large",
		Message: fmt.Sprintf("the result is larger than %d MiB, which is too much to keep: call the method without background", maxResult>>20)}
}

// ended notes how a job ended, and forgets the oldest that ended where there are too many. It requires j.mu.
func (j *jobs) ended(e *job, result json.RawMessage, err error) {
	e.Ended, e.params = time.Now().UTC(), nil
	switch {
	case err == nil:
		e.State, e.Result = JobDone, result
	case errors.Is(context.Cause(e.ctx), errCanceled), j.ctx.Err() != nil:
		e.State, e.Error = JobCanceled, errCanceled
	default:
		e.State, e.Error = JobFailed, AsError(err)
	}
	e.cancel(nil)
	e.tell()

	kept, size := 0, 0
	for _, o := range slices.Backward(j.order) {
		if o.Finished() {
			kept++
			if size += len(o.Result); o != e && (kept > maxKept || size > maxKeptSize) {
				delete(j.byID, o.ID)
			}
		}
	}
	j.order = slices.DeleteFunc(j.order, func(o *job) bool { return j.byID[o.ID] == nil })
}

// tell wakes whoever watches a job. It requires jobs.mu.
func (e *job) tell() {
	close(e.changed)
	e.changed = make(chan struct{})
}

func (j *jobs) progress(e *job, p JobProgress) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Progress = &p // replaced, never changed: snapshots have it
	e.tell()
}

func noJob(id string) error {
	return &Error{Status: http.StatusNotFound, Kind: "not_found", Message: fmt.Sprintf("no job %q; the daemon keeps the last %d that have ended", id, maxKept)}
}

// get is a job as it is now, and a channel that is closed when that has changed.
func (j *jobs) get(id string) (*Job, <-chan struct{}, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.byID[id]
	if e == nil {
		return nil, nil, noJob(id)
	}
	snapshot := e.Job
	return &snapshot, e.changed, nil
}

// list is all jobs without their results, the oldest first.
func (j *jobs) list() []Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]Job, len(j.order))
	for i, e := range j.order {
		all[i] = e.Job
		all[i].Result = nil
	}
	return all
}

// cancel ends a job: one that waits never runs, of one that runs the call is broken off. One that has ended
// stays as it is.
func (j *jobs) cancel(id string) (*Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.byID[id]
	if e == nil {
		return nil, noJob(id)
	}
	if !e.Finished() {
		e.cancel(errCanceled)
	}
	if e.State == JobQueued {
		for user, waiting := range j.queues {
			if i := slices.Index(waiting, e); i >= 0 {
				j.queues[user] = slices.Delete(waiting, i, i+1)
				j.queued--
				j.size -= e.size
				j.ended(e, nil, errCanceled)
			}
		}
	}
	snapshot := e.Job
	return &snapshot, nil
}

// wait returns when a job has ended, or ctx.
func (j *jobs) wait(ctx context.Context, id string) (*Job, error) {
	for {
		job, changed, err := j.get(id)
		if err != nil || job.Finished() {
			return job, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return job, ctx.Err()
		}
	}
}

// progressKey holds in a job's context who wants to know how far it is.
type progressKey struct{}

// WithProgress has methods that transfer files tell how far they are, from one goroutine at a time.
func WithProgress(ctx context.Context, report func(JobProgress)) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

// transferProgress is what a handler gives to a transfer of files, nil where nobody wants to know.
func transferProgress(ctx context.Context) func(hub.Progress) {
	report, ok := ctx.Value(progressKey{}).(func(JobProgress))
	if !ok {
		return nil
	}
	return func(p hub.Progress) {
		report(JobProgress{Path: p.Path, Files: p.Files, TotalDone: p.TotalDone, Total: p.Total})
	}
}

// runAsFutureName is the method that queues others.
const runAsFutureName = "run_as_future"

type runAsFutureParams struct {
	Method string `param:"method" required:"true" doc:"the method to run in the background"`
	Params object `param:"params" doc:"its parameters"`
}

// runAsFuture queues a call; its result is the Job, to be waited for at /v1/jobs/<id>.
func runAsFuture(ctx context.Context, s *session, p *runAsFutureParams) (any, error) {
	if s.jobs == nil {
		return nil, errNoDaemon
	}
	m, err := s.jobs.lookup(p.Method)
	if err != nil {
		return nil, badParam("method", "is no method: %v", err)
	}
	params := map[string]json.RawMessage{}
	if p.Params != nil {
		if err := json.Unmarshal(p.Params, &params); err != nil {
			return nil, badParam("params", "is no object of parameters")
		}
	}
	return s.jobs.submit(peerOf(ctx), m, params) //nolint:contextcheck // the job outlives the call
}

// errNoDaemon is what calls in the background are where the process ends with the call.
var errNoDaemon = &Error{Status: http.StatusServiceUnavailable, Kind: KindNotRunning, Message: "a call in the background needs a daemon that outlives " +
	"the command: give --mount DIR to have it run by the daemon of that mount, or run the command itself in the background of your shell"}

// submit queues a call of this session's user.
func (s *session) submit(ctx context.Context, m *Method, params map[string]json.RawMessage) (*Result, error) {
	if s.jobs == nil {
		return nil, errNoDaemon
	}
	job, err := s.jobs.submit(peerOf(ctx), m, params) //nolint:contextcheck // the job outlives the call
	if err != nil {
		return nil, err
	}
	return &Result{Value: job}, nil
}
