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
//	POST /v1/wait            until a commit is visible: [WaitRequest]
//	POST /v1/unmount         unmount and end; a busy mount says who is busy
//	GET  /v1/methods         the methods with their parameters: [MethodInfo]
//	POST /v1/api/<method>    call one: parameters in, result out
//	GET  /v1/metrics         Prometheus
//
// Methods bear the names and parameters of Python's HfApi, and their results the attribute names of
// its classes. The table ([Methods]) is the one source of the socket, of the command "hubfs api", of
// listings and of help: a new method is a new row. A row's parameters are the fields of a struct, so
// that what is documented, what is checked and what the handler reads can't differ.
//
// A list is answered as one JSON array, written as elements come. If it breaks in the middle, the
// array stays open, so that nobody takes it for whole, and the trailer [ErrorTrailer] says why.
//
// # Who may call
//
// The socket has mode 0600 in a folder that only its owner can enter, and the peer's credentials are
// checked on top: the same user, or root. Requests that bear an Origin or a Referer, or name another
// Host than [Host], are refused, so that no web page can be made to speak to it.
//
// # State and locks
//
// A server owns its socket file, and nothing else outlives a call: mounts, caches and clients belong
// to whoever made them. There are no locks but one around the number of calls in flight, held for
// no I/O.
//
// # After a crash
//
// A process that dies leaves its socket file behind. It is harmless: connecting to it is refused, the
// next server of the same folder sees that and replaces it, under a file lock, so that of two starting
// at once one wins. A live server's socket is never replaced.
package control
