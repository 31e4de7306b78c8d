// Package hub is a client of the Hugging Face Hub's HTTP API, and of any server
// that speaks it. It is usable as a library by itself: it knows nothing of FUSE,
// of mounts, or of hubfs's own files.
//
//	c, err := hub.New(hub.Config{Token: hub.StaticToken(os.Getenv("HF_TOKEN"))})
//	...
//	repo := hub.Repo{Type: hub.Dataset, ID: "rajpurkar/squad"}
//	for entry, err := range c.Tree(ctx, repo, "main", "", nil) {
//		...
//	}
//
// A [Client] is for one endpoint and one user. Methods take a context, the
// repository, then options of which nil is the default; lists are iterators
// that fetch page by page and end at the first error.
//
// # Errors
//
// Whatever the server or the network refuses is an [*Error], with the server's
// own words and request id, and is told apart with errors.Is: [ErrRepoNotFound],
// [ErrRateLimited], [ErrUnavailable] and so on. Where the caller's context has
// ended, the error is the context's. What can't be asked for, such as a
// malformed id, is a [*ValidationError] before any request. No error and no log
// line holds a token or a signature.
//
// # What happens to a request
//
// A request passes through round trippers that are put together in one place
// (buildStack): it is repeated where that is safe; named, with an id to be found
// by; authenticated, if it is for the endpoint and for nobody else; held back
// while the Hub's quota is low; counted and logged; and ended when nothing moves.
// Redirects are followed above all of these, by hand, so that the token stays at
// home, a renamed repository keeps method and body, and a signed address can be
// kept as a [Location].
//
// What a server sends is not trusted: ids, hashes, paths and lengths are checked
// before a caller sees them, and sizes of answers are bounded.
//
// # Writing
//
// All changes are commits. [Client.CreateCommit] takes operations whose content is
// read from where it is, as often as needed, and never held as a whole; what a
// folder or a single file needs, [Client.UploadFolder] and [Client.UploadFile] do.
// How far an addition is on its way is in its [AddState], which a caller can keep:
// after a crash the next call sends neither objects nor parts again that the
// server has. A commit itself is never sent twice: where it isn't known whether it
// landed, the error is [ErrAmbiguousCommit].
//
// # State and locks
//
// A client holds, in memory only: connections, what is left of the quota
// (governor.mu), the new names of renamed repositories (renames.mu), which
// warnings were logged (meter.mu), and counters. A [FileToken] holds the last
// content of its file (fileToken.mu). None of these locks is held while waiting
// for the network or for another lock, so they have no order. Nothing is left
// when the process dies; a request that was under way may or may not have
// reached the server, which for a commit [Client.FindCommit] tells. A call that
// uploads has locks of its own, in this order: that of a body being sent
// (commitReader.mu, partReader.mu; over reads of the caller's content),
// uploadPart.mu, tracker.mu (over the caller's Progress); uploader.mu (over its
// Checkpoint) stands alone. The content of files that are copied is in a temporary
// file without a name.
//
// [CacheDir] is the exception: it is the folder that the official client and
// others keep on disk, and says itself what is true of it after a crash.
package hub
