package hub

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A largeJob is what a worker does with some files.
type largeJob int

const (
	jobHash   largeJob = iota // compute the sha256 of one file
	jobMode                   // ask how some files are to be stored
	jobStore                  // upload some LFS objects
	jobCommit                 // commit some files
	jobKinds

	jobNone = -1
)

const (
	modeFiles    = 100             // that one worker asks about at a time
	modeEarly    = 10              // so many are asked about before anything is uploaded
	storeFiles   = 64              // that one worker uploads at a time
	storeBytes   = 64 << 20        // of them
	commitBytes  = 100 << 20       // of regular files in a commit, as they are sent
	commitSoon   = time.Minute     // after the last commit, a smaller one is made where others have work
	commitLate   = 5 * time.Minute // and at the latest, whatever else there is to do
	commitQuick  = 40 * time.Second
	commitsBegin = 1 // step of commitSteps to begin with
)

// commitSteps are the numbers of files in a commit. A full one that was quick makes
// the next one larger, a failure makes it smaller.
var commitSteps = []int{20, 50, 75, 100, 125, 200, 250, 400, 600, 1000}

// largeQueue says which job comes next. What is to be done with a file follows from
// its state alone: a file is in the queue of its next job, or in a worker's hands.
type largeQueue struct {
	mu      sync.Mutex // guards all; never held over I/O
	queues  [jobKinds][]*largeFile
	running [jobKinds]int
	waiting int
	left    int // files that are neither through nor given up
	commits commitPace
	files   []*largeFile
	changed chan struct{} // closed when something changes; then there is a new one
}

// commitPace adapts the size of commits.
type commitPace struct {
	step int
	last time.Time // end of the last attempt
}

func newLargeQueue(files []*largeFile) *largeQueue {
	q := &largeQueue{files: files, left: len(files), changed: make(chan struct{}), commits: commitPace{step: commitsBegin}}
	for _, f := range files {
		f.seen = f.progress()
		q.put(f)
	}
	return q
}

// put queues a file for what comes next. Requires mu, but for a new queue.
func (q *largeQueue) put(f *largeFile) {
	switch s := &f.add.State; {
	case s.Ignored, s.Committed:
		q.left--
	case f.add.Content.SHA256 == "":
		q.queues[jobHash] = append(q.queues[jobHash], f)
	case s.Mode == "":
		q.queues[jobMode] = append(q.queues[jobMode], f)
	case s.Mode == UploadLFS && !s.Uploaded:
		q.queues[jobStore] = append(q.queues[jobStore], f)
	default:
		q.queues[jobCommit] = append(q.queues[jobCommit], f)
	}
}

// next gives a worker its job, and waits while there is none. It is jobNone when
// all is done or ctx has ended.
func (q *largeQueue) next(ctx context.Context) (largeJob, []*largeFile) {
	for {
		q.mu.Lock()
		job, wait := q.choose(time.Now())
		if job != jobNone {
			files := q.take(job)
			q.running[job]++
			q.mu.Unlock()
			return job, files
		}
		over, changed := q.left == 0, q.changed
		if !over {
			q.waiting++
		}
		q.mu.Unlock()
		if over {
			return jobNone, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		q.mu.Lock()
		q.waiting--
		q.mu.Unlock()
		if ctx.Err() != nil {
			return jobNone, nil
		}
	}
}

// choose is the order of work: what is ready to be committed is, so that little is
// lost if all ends here; the network is kept busy, then the disk. Where there is
// nothing to do now, it says how long at most that stays true. Requires mu.
func (q *largeQueue) choose(now time.Time) (job largeJob, wait time.Duration) {
	some := func(j largeJob) bool { return len(q.queues[j]) > 0 }
	first := func(j largeJob) bool { return some(j) && q.running[j] == 0 }
	since := now.Sub(q.commits.last)
	others := some(jobHash) || some(jobMode) || some(jobStore) || q.running[jobHash]+q.running[jobMode]+q.running[jobStore] > 0
	mayCommit := first(jobCommit)
	switch {
	case mayCommit && !q.commits.last.IsZero() && since > commitLate:
		return jobCommit, 0
	case mayCommit && len(q.queues[jobCommit]) >= commitSteps[q.commits.step]:
		return jobCommit, 0
	case len(q.queues[jobMode]) >= modeEarly:
		return jobMode, 0
	case first(jobStore):
		return jobStore, 0
	case first(jobHash):
		return jobHash, 0
	case first(jobMode):
		return jobMode, 0
	case some(jobStore):
		return jobStore, 0
	case some(jobHash):
		return jobHash, 0
	case some(jobMode):
		return jobMode, 0
	case mayCommit && !others:
		return jobCommit, 0
	case mayCommit && !q.commits.last.IsZero() && since > commitSoon:
		return jobCommit, 0
	}
	if since < commitSoon {
		return jobNone, commitSoon - since + time.Millisecond
	}
	return jobNone, commitSoon
}

// take removes the files of a job from its queue. Requires mu.
func (q *largeQueue) take(job largeJob) []*largeFile {
	queue := q.queues[job]
	n, size := 0, int64(0)
	more := func(most int, bytes int64) {
		for n < len(queue) && n < most && (n == 0 || size < bytes) {
			if job != jobCommit || queue[n].add.State.Mode == UploadRegular {
				size += queue[n].size
			}
			n++
		}
	}
	switch job {
	case jobHash:
		n = 1
	case jobMode:
		n = min(len(queue), modeFiles)
	case jobStore:
		more(storeFiles, storeBytes)
	case jobCommit:
		more(commitSteps[q.commits.step], commitBytes)
	}
	q.queues[job] = queue[n:]
	return slices.Clone(queue[:n])
}

// finish takes the files of a job back. Those in failed are given up.
func (q *largeQueue) finish(job largeJob, files []*largeFile, failed map[string]error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running[job]--
	for _, f := range files {
		if f.seen = f.progress(); failed[f.path] != nil {
			f.seen.failed = true
			q.left--
			continue
		}
		q.put(f)
	}
	q.wake()
}

// committed paces the next commit. Requires no lock.
func (q *largeQueue) committed(files int, took time.Duration, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := &q.commits
	p.last = time.Now()
	switch {
	case !ok:
		p.step = max(p.step-1, 0)
	case files >= commitSteps[p.step] && took < commitQuick:
		p.step = min(p.step+1, len(commitSteps)-1)
	}
}

// wake lets all who wait look again. Requires mu.
func (q *largeQueue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// largeProgress is how far a file is.
type largeProgress struct {
	size                                                     int64
	hashed, asked, lfs, ignored, uploaded, committed, failed bool
}

// progress is for who holds the file.
func (f *largeFile) progress() largeProgress {
	s := &f.add.State
	return largeProgress{
		size: f.size, hashed: f.add.Content.SHA256 != "", asked: s.Mode != "", lfs: s.Mode == UploadLFS,
		ignored: s.Ignored, uploaded: s.Uploaded, committed: s.Committed,
	}
}

// report counts the files as of the end of their last job.
func (q *largeQueue) report() LargeUploadReport {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := LargeUploadReport{
		Hashing: q.running[jobHash], Asking: q.running[jobMode], Uploading: q.running[jobStore], Committing: q.running[jobCommit],
		Waiting: q.waiting, CommitSize: commitSteps[q.commits.step],
	}
	for _, f := range q.files {
		if f.seen.ignored {
			r.Ignored++
			continue
		}
		size := f.seen.size
		count := func(is bool, n *int, bytes *int64) {
			if is {
				*n++
				*bytes += size
			}
		}
		count(true, &r.Files, &r.Size)
		count(f.seen.hashed, &r.Hashed, &r.HashedSize)
		count(f.seen.lfs, &r.LFS, &r.LFSSize)
		count(f.seen.uploaded, &r.Uploaded, &r.UploadedSize)
		count(f.seen.committed, &r.Committed, &r.CommittedSize)
		if !f.seen.asked {
			r.Unasked++
		}
		if f.seen.failed {
			r.Failed++
		}
	}
	return r
}
