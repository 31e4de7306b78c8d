package control

import (
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/hubfs/hubfs/fs"
	"github.com/hubfs/hubfs/writeback"
)

// collector reads everything at the moment of the scrape: the numbers live with their owners.
type collector struct {
	opts ServerOptions

	requests, retries, rateLimited, failed *prometheus.Desc
	received, sent                         *prometheus.Desc
	quotaLimit, quotaLeft, quotaReset      *prometheus.Desc
	cacheBytes, cacheBlobs, cacheLimit     *prometheus.Desc
	fetched, served, reads, fetches        *prometheus.Desc
	fetchRetries, corrupt, uncached        *prometheus.Desc
	evicted, open, memory                  *prometheus.Desc
	branches, branchErrors                 *prometheus.Desc
	changes, staged, oldest, uploads       *prometheus.Desc
	syncPending, syncFailed, syncFailing   *prometheus.Desc
	syncLast                               *prometheus.Desc
}

func newCollector(opts ServerOptions) *collector {
	labels := prometheus.Labels{}
	if opts.Mount != nil {
		labels["dir"] = opts.Mount.Dir()
	}
	if opts.Sync != nil {
		labels["folder"] = opts.Sync.Status().Folder
	}
	d := func(name, help string, variable ...string) *prometheus.Desc {
		return prometheus.NewDesc("hubfs_"+name, help, variable, labels)
	}
	return &collector{
		opts:         opts,
		requests:     d("hub_requests_total", "Requests to the Hub and its storage, by class.", "class"),
		retries:      d("hub_retries_total", "Requests that were sent again."),
		rateLimited:  d("hub_rate_limited_total", "Answers 429."),
		failed:       d("hub_request_errors_total", "Requests without an answer, or answered with 5xx."),
		received:     d("hub_received_bytes_total", "Bytes of answers."),
		sent:         d("hub_sent_bytes_total", "Bytes of requests."),
		quotaLimit:   d("hub_quota_limit", "Requests that the Hub grants in a window, by class.", "class"),
		quotaLeft:    d("hub_quota_remaining", "Requests left in this window, by class.", "class"),
		quotaReset:   d("hub_quota_reset_seconds", "Seconds until the window ends, by class.", "class"),
		cacheBytes:   d("cache_bytes", "Bytes that hubfs keeps on local disk, by state.", "state"),
		cacheBlobs:   d("cache_blobs", "Blobs that hubfs keeps on local disk, by state.", "state"),
		cacheLimit:   d("cache_limit_bytes", "Limit of what hubfs keeps; 0 is none."),
		fetched:      d("fetched_bytes_total", "Bytes of files that came from the network."),
		served:       d("served_bytes_total", "Bytes of files that readers were given."),
		reads:        d("reads_total", "Reads, by whether they had to wait for the network.", "result"),
		fetches:      d("fetches_total", "Range requests that were begun."),
		fetchRetries: d("fetch_errors_total", "Bodies that broke, and were resumed."),
		corrupt:      d("corrupt_blobs_total", "Contents whose bytes were wrong, from the network or on disk."),
		uncached:     d("uncached_reads_total", "Reads past the disk, because it failed or is full."),
		evicted:      d("evicted_blobs_total", "Blobs that were evicted."),
		open:         d("open_files", "Contents that are open."),
		memory:       d("memory_bytes", "Listings, records and addresses kept in memory."),
		branches:     d("branches", "Branches and tags that are followed."),
		branchErrors: d("branch_errors", "Those of them that couldn't be looked at when last tried."),
		changes:      d("changes", "Paths whose changes aren't committed, by state.", "state"),
		staged:       d("staged_bytes", "Content that isn't committed."),
		oldest:       d("oldest_change_seconds", "Age of the oldest change that waits for a commit; 0 if none does."),
		uploads:      d("uploads", "Files that are being uploaded."),
		syncPending:  d("sync_pending_files", "Files that differ from what was committed, as of the last look."),
		syncFailed:   d("sync_failed_files", "Files that the Hub refused."),
		syncFailing:  d("sync_failing", "1 if the last push ended early."),
		syncLast:     d("sync_last_commit_seconds", "When the last commit was made, in Unix time."),
	}
}

// Describe sends nothing: which metrics there are depends on what the Hub said.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	st := c.opts.API.Hub.Stats()
	for class, n := range st.Requests {
		counter(c.requests, n, class)
	}
	counter(c.retries, st.Retries)
	counter(c.rateLimited, st.RateLimited)
	counter(c.failed, st.Failed)
	counter(c.received, st.BytesReceived)
	counter(c.sent, st.BytesSent)
	for _, q := range c.opts.API.Hub.Quota() {
		gauge(c.quotaLimit, int64(q.Limit), q.Class)
		gauge(c.quotaLeft, int64(q.Remaining), q.Class)
		gauge(c.quotaReset, int64(secondsUntil(q.Reset)), q.Class)
	}
	if c.opts.Cache != nil {
		cs := c.opts.Cache.Stats()
		gauge(c.cacheBytes, cs.WholeBytes, "whole")
		gauge(c.cacheBytes, cs.PartialBytes, "partial")
		gauge(c.cacheBlobs, cs.WholeBlobs, "whole")
		gauge(c.cacheBlobs, cs.PartialBlobs, "partial")
		gauge(c.cacheLimit, cs.MaxSize)
		counter(c.fetched, cs.FetchedBytes)
		counter(c.served, cs.ServedBytes)
		counter(c.reads, cs.Hits, "hit")
		counter(c.reads, cs.Misses, "miss")
		counter(c.fetches, cs.Requests)
		counter(c.fetchRetries, cs.Retries)
		counter(c.corrupt, cs.Corrupt)
		counter(c.uncached, cs.Uncached)
		counter(c.evicted, cs.Evicted)
		gauge(c.open, cs.OpenBlobs)
		gauge(c.memory, cs.MemoryBytes)
	}
	if c.opts.Mount != nil {
		failing := 0
		branches := c.opts.Mount.Status().Branches
		c.writing(gauge, branches)
		for _, b := range branches {
			if b.Error != "" {
				failing++
			}
		}
		gauge(c.branches, int64(len(branches)))
		gauge(c.branchErrors, int64(failing))
	}
	if c.opts.Sync != nil {
		s := c.opts.Sync.Status()
		gauge(c.syncPending, int64(s.Pending))
		gauge(c.syncFailed, int64(s.Failed))
		failing := int64(0)
		if s.Error != "" {
			failing = 1
		}
		gauge(c.syncFailing, failing)
		if s.LastCommit != nil {
			gauge(c.syncLast, s.LastCommit.Time.Unix())
		}
	}
}

// writing tells what isn't committed.
func (c *collector) writing(gauge func(*prometheus.Desc, int64, ...string), branches []fs.BranchStatus) {
	var staged, committing, failed, conflict, bytes int64
	var oldest time.Time
	for _, b := range branches {
		staged, committing = staged+int64(b.Staged), committing+int64(b.Committing)
		failed, conflict = failed+int64(b.Failed), conflict+int64(b.Conflict)
		bytes += b.Bytes
		if !b.Oldest.IsZero() && (oldest.IsZero() || b.Oldest.Before(oldest)) {
			oldest = b.Oldest
		}
	}
	gauge(c.changes, staged, writeback.Staged.String())
	gauge(c.changes, committing, writeback.Committing.String())
	gauge(c.changes, failed, writeback.Failed.String())
	gauge(c.changes, conflict, writeback.Conflict.String())
	gauge(c.staged, bytes)
	age := int64(0)
	if !oldest.IsZero() {
		age = int64(max(0, time.Since(oldest).Seconds()))
	}
	gauge(c.oldest, age)
	gauge(c.uploads, int64(len(c.opts.Mount.Uploads())))
}

// processCollectors tell about the daemon itself.
func processCollectors() []prometheus.Collector {
	return []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{PidFn: func() (int, error) { return os.Getpid(), nil }}),
	}
}
