// Package blobcache keeps the Hub's blobs on local disk, by content hash, whole
// or in part, and fetches what is missing.
//
// # What is where
//
// Whole blobs live in the shared cache of huggingface_hub (package hub's
// CacheDir): blobs/<hash> of each repository that reads them, with a link at
// snapshots/<commit>/<path>. All else is in hubfs's own folder, Options.Dir:
//
//	partial/<2 hex>/<hash>.data   sparse file of the blob's full size
//	partial/<2 hex>/<hash>.map    journal of the ranges that are there
//	whole/<2 hex>/<hash>          verified blobs that the shared cache doesn't take
//	listings/<2 hex>/<key>        folders, by Git tree id or commit
//	records/<kind>/<2 hex>/<key>  small JSON values: refs, repository info
//	ledger                        what hubfs made in the shared cache, what it
//	                              verified, what was used when
//
// Where no disk takes a blob, reads are served past it.
//
// # States of a blob
//
// All handles of one content (hash and size) share one core:
//
//	new      nothing is known; no file is open
//	partial  some ranges are here, in a partial file that this process owns
//	whole    verified against its hash; reads go to one file and nothing else
//	corrupt  all bytes came and the hash differs; the ranges are gone, handles
//	         get ErrCorrupt, and the next Open starts a new core
//
// new turns into whole where the shared cache has the blob: one that hubfs
// hasn't verified before is read and hashed first, once (the ledger remembers
// inode, size and times). It turns into partial otherwise. partial turns into
// whole when all ranges are here and the hash is right: the file is synced,
// moved to its name in the shared cache, and only then linked. Open files
// survive the move, since the file stays the same inode (or, across file
// systems, stays open until its last reader leaves).
// A blob of at most 1 MiB skips partial: it is fetched whole into memory,
// verified, given its name, and only then is the first reader answered.
//
// Small regular files can be fetched by the pack: many with one request (pack.go). The
// pack is a small fetch of each of them, so readers wait for it as for any other,
// and are served from memory until all of the pack is on disk.
//
// Fetches go ahead of sequential streams (readahead.go). Of models and tables it is
// known where the tensors and column chunks are, as soon as the part that says so is
// here (describe.go, package pieces): who begins to read one gets the rest of it, and
// not what is behind it.
//
// # Who owns what
//
// A fetch belongs to the core, not to the reader that caused it: a reader waits
// for bytes with its own context and may leave. A fetch ends when its range is
// here, after a bounded number of attempts without progress, or with
// Cache.Close. A core lives while it has handles or work under way.
//
// A partial file belongs to the process that holds the lock (flock) on its data
// file. Another process that wants the same blob meanwhile works in a private
// file without a name, so neither ever waits for the other; before each fetch it
// looks whether the blob has appeared in the shared cache. A whole blob is locked,
// shared, while it is open, so that no process evicts what another one reads. On
// file systems without locks a folder of one's own for each process is safer.
// The ledger is shared: an append-only log that every process follows.
//
// Eviction takes only what the ledger says hubfs made, and of that no blob that
// is open, that has a link of somebody else, or that is part of a commit which a
// ref of somebody else names: links first, then the blob.
//
// # Lock order
//
// Cache.mu, then core.mu, then those of partialFile, ledger, limiter and
// blobIndex, then those of ownDir and workers. None is held across network or
// disk I/O, except for the appending to the journal of a partial file, for the
// appending to and reading of the ledger, and for opening the folder.
// refMover.turn is taken before all of them and across I/O; it is a channel, so
// that who waits can leave.
//
// # After the process dies at any line
//
// Bytes are written to the data file before the journal names their range, so
// after a kill the journal never promises what isn't there. After a crash of the
// machine, too: entries of a journal count only up to its last sync mark (which
// is written after an fsync of the data) or if the machine hasn't been booted
// since. A blob gets its name in the shared cache by rename, after fsync, after
// verification; a kill before leaves a complete partial that is verified again,
// a kill after it leaves a blob without link, which the next read links. The
// ledger names a link or blob before it is made, so nothing that hubfs made is
// ever taken for somebody else's; what it names and isn't there is forgotten.
// Damaged journals, listings, records and ledger lines fail their checksums and
// count as absent.
package blobcache
