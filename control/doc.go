// Package control is how programs talk to hubfs: one table of methods, the control socket that
// serves it, and the socket's client.
//
// # What it is for
//
// A mount serves HTTP/1.1 with JSON on a Unix socket of its own. [Server] is that service, [Client]
// speaks to it, and [FindMount] finds the socket that belongs to a path. The endpoints are
//
//	GET  /v1/status          what the daemon serves: [Status]
//	POST /v1/refresh         look at the Hub now, move pinned branches
//	POST /v1/wait            until a commit is visible, or what is staged is committed: [WaitRequest]
//	POST /v1/flush           commit now what is staged at a path: [PathRequest] in, [FlushResult] out
//	POST /v1/discard         forget what is staged at a path: [PathRequest] in, a list of [fs.Change] out
//	GET  /v1/changes?path=P  what is changed at a path: a list of [fs.Change]
//	POST /v1/unmount         push what is staged, unmount and end; a busy mount says who is busy:
//	                         [UnmountRequest] in, [UnmountResult] out
//	GET  /v1/methods         the methods with their parameters: [MethodInfo]
//	POST /v1/api/<method>    call one: parameters in, result out
//	POST /v1/api/<method>?background=1    the same as a job, which is the answer: [Job]
//	GET  /v1/jobs            the jobs, without their results
//	GET  /v1/jobs/<id>       one; with ?wait=SECONDS when it has ended, or after that time
//	POST /v1/jobs/<id>/cancel
//	GET  /v1/jobs/<id>/events             its progress, as server-sent events
//	GET  /v1/events          what happens to the mount, as server-sent events: [Event]
//	GET  /v1/metrics         Prometheus
//	GET  /v1/profile?seconds=N            where the daemon's processor time goes, for "go tool pprof"
//
// Methods bear the names and parameters of Python's HfApi, and their results the attribute names of
// its classes. The table ([Methods]) is the one source of the socket, of the command "hubfs api", of
// listings and of help: a new method is a new row. A row's parameters are the fields of a struct, so
// that what is documented, what is checked and what the handler reads can't differ.
//
// The daemon of "hubfs sync" has a socket, too, found by its folder ([FindSync]). Instead of refresh, wait,
// unmount and events it has
//
//	POST /v1/flush           push the folder now: [SyncRequest]
//	POST /v1/trigger         push it soon
//	POST /v1/stop            push it a last time and end
//
// A list is answered as one JSON array, written as elements come. If it breaks in the middle, the
// array stays open, so that nobody takes it for whole, and the trailer [ErrorTrailer] says why.
//
// # Jobs
//
// A job is a call in the background. The jobs of one user run one after the other, in their order, as those
// of HfApi.run_as_future do; what waits can be canceled, and so can what runs. The daemon keeps a bounded
// number of results in memory, the last ones. Jobs end with the daemon: what runs may end within the time
// that the daemon has, what waits is canceled.
//
// # Limits
//
// At most 64 methods run at once, some thousand more wait for their turn. A body has at most 16 MiB, and must
// come within 30 seconds; a head within 10. Who doesn't read an answer is left after ten minutes.
//
// # Who may call
//
// The socket has mode 0600 in a folder that only its owner can enter, and the peer's credentials are
// checked on top: the same user, or root. Requests that bear an Origin or a Referer, or name another
// Host than [Host], are refused, so that no web page can be made to speak to it.
//
// # State and locks
//
// A server owns its socket file, its jobs, and the one goroutine that looks at the mount while somebody
// listens to events; mounts, caches and clients belong to whoever made them. jobs.mu guards all jobs and
// watcher.mu all listeners; neither is held for I/O, or while the other is.
//
// # After a crash
//
// A process that dies leaves its socket file behind. It is harmless: connecting to it is refused, the
// next server of the same folder sees that and replaces it, under a file lock, so that of two starting
// at once one wins. A live server's socket is never replaced.
package control
