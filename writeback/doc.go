// Package writeback keeps the uncommitted changes of one branch, and makes commits
// of them.
//
// A [Branch] is a writable view of a tree of the Hub: what the tree has, with the
// local changes on top. It belongs to one [Key] (endpoint, user, repository, branch)
// and to one live process at a time.
//
// # What is on disk
//
// All of it is in one folder for each key, below Options.StateDir:
//
//	lock          held (flock) as long as the Branch is open
//	key.json      whose changes these are
//	journal       the log: one line for each change, with a checksum
//	journal.new   the next log while it is being written, else absent
//	data/<id>     staged content, one sparse file for each layer (below)
//	index.db      bbolt: what outlives a commit and may be lost
//	aside/        what a damaged journal couldn't account for
//
// Why a log and a store: a write to the log survives the death of the process as
// soon as write(2) has returned, so FLUSH costs no fsync; and fsync(2) of a file
// costs one of the file and one of the log, which concurrent callers share (the
// first of a new file costs one of the folder, too). A transaction of bbolt is two
// fsyncs and cannot be had for less, so nothing that must happen with every close
// is in bbolt. The log holds what must not be lost, which is bounded by
// what isn't committed yet, and is read into memory whole. index.db holds what grows
// with everything ever committed (modes and times by path and content) and what only
// saves work (parts of uploads under way); if it is damaged a fresh one is begun.
//
// A line of the log is a checksum and a batch of puts, applied together or not at
// all. A put replaces the record of one name, of one inode, or one value of the
// committer; none depends on an earlier one, except that extents written since the last put of an
// inode are added to it, and those are numbered. So a line that fails its checksum
// costs the latest state of the records in it, nothing more, and an inode that
// misses extents is known. The log is rewritten when most of it is outdated.
//
// # Content
//
// The content of an inode is a stack: at the bottom the blob that the Hub has, if
// any, read through the cache; on it layers, sparse files of the full length. A layer
// knows which extents of it were written, and how much of what is below it is
// visible (Below: the smallest size that the file has had since the layer began).
// An extent that isn't written and lies before Below shows the layer below; beyond
// Below everything is the layer's own. So a write never reads, whatever the size of
// the blob; a new file needs no extents at all; and an append to an old one neither.
//
// A commit pins the layers that it reads. A write to a pinned layer begins a new
// one on top instead: the commit goes on reading what was there at its instant, and
// no byte is copied. (Cloning by FICLONE would do the same on two or three file
// systems and not on ext4; copying would cost the whole file.) A write to a layer that
// is durable and was closed begins a new one, too: a crash of the machine then leaves the old
// content or a torn file, never a mixture that looks whole. When nobody pins them any more, a
// small layer is merged down into the one below; of many, all but the uppermost are, as
// that one may be written to all the time.
//
// A whole file that was committed is one layer, which the cache gets as it is: by one
// more name, where both are on one file system. Such a layer is never written to again, as long
// as it has that name, also by a later process.
//
// # States of a path
//
//	clean       as the Hub has it, no change here
//	staged      changed here, will be committed
//	committing  part of the commit that is under way
//	failed      the Hub refused it, with the Hub's message; or it was torn by a crash
//	            (below) and nobody has saved it again
//	conflict    changed here and on the Hub, and kept back (on-conflict theirs, fail)
//	local       a name that never leaves the machine; an empty folder
//	ignored     the repository's own rules leave it out
//
// A change of content makes clean, failed and conflict staged. staged becomes
// committing when a commit takes it, and with the answer clean, failed, or staged
// again; a write meanwhile leaves it staged on top of what was committed.
//
// Each changed path remembers Was: the entry that the Hub had there when the path was
// first changed (or last committed). Where the Hub's entry differs from Was, others
// have changed the path, too: a conflict. Nothing else is remembered of the commit
// that a change was based on.
//
// # Commits
//
// One goroutine, the committer, makes the commits; others ask it and wait. A push goes
// round after round until nothing is left or the Hub says no:
//
//	settle      let go of what was committed before: content to the cache, then the
//	            view to the tree of the commit
//	find        what became of commits whose answer was lost: a mark in the history, or
//	            none and the branch has moved, so that it can't land any more
//	solve       paths that others have changed, too
//	take        pin the content of what is to go, at one instant
//	upload      LFS objects, whose parts are remembered; drop what is unchanged
//	send        mark, parent and paths into the log, fsync, then the commit
//	landed      each path is what was sent; what happened to it since stays on top
//
// After a 412 the branch is followed to its new head, and the next round goes on top. A
// commit with a parent can land only while the parent is the head, so one whose fate isn't
// known needs no guess: the next one with the same parent excludes it, or is excluded. A
// pull request has no such guard, so one that may have been begun is searched for a
// while before another is begun. What the Hub tells of the head may be late: a commit that
// the branch has left a short while ago isn't shown again.
//
// A refusal that names paths makes those failed, and the round is made again without them
// (with Options.Atomic nothing goes then, until they are changed); one that names none is
// tried in halves. What says nothing about a path, the network or the rights, stops the push.
//
// Between pushes the committer uploads large files that were closed a moment ago, one at
// a time, so that a commit has less to wait for. Its hash is then Known. A push that takes
// the file waits for the upload, any other ends it. What is written from start to end is
// hashed meanwhile, by a goroutine that reads it behind the writer.
//
// A committed file stays an inode with Known, its hash, equal to Was, which is how it
// counts as clean, until settle has shown the Hub's own entry in its place. Programs that
// have it open keep its layers, and a write stages it again with them.
//
// # What is safe when
//
//	Write returned    nothing is promised, but the file isn't committed half written
//	Flush returned    the content survives the death of the process; half a minute after
//	                  the last writer has closed the file, that of the machine, too
//	Fsync returned    it survives the death of the machine; so does every change of
//	                  names before it
//	a name changed    create, unlink, rename, mkdir, rmdir survive the death of the
//	                  process at once, that of the machine after the next Fsync or
//	                  about a second
//
// An error of fsync is kept: all later Flush and Fsync of the file fail, too, until
// its content is replaced, or it was committed and closed. For the log a new one is written from memory.
//
// # Ownership and locks
//
// Branch.mu guards the tree of names, what inodes belong to them, and what others may
// see of the committer. inode.mu guards
// the layers of one inode, its size and flags. journal.mu guards the end of the log,
// journal.syncing the right to fsync or replace it. Order: journal.syncing, Branch.mu,
// inode.mu (several only by who holds Branch.mu), journal.mu; the mutexes of layers, blobs, attributes and the sweeper
// are leaves.
//
// Appends to the log happen under the lock of what they describe, since the order of
// the log must be the order of the changes; a local write(2) into the page cache is
// all that costs. The same goes for writes into a layer, which must not meet a
// truncation or the beginning of a new layer half-way. No lock is held across a call
// to the Hub, the cache, or an fsync, but for those that only order fsyncs;
// operations on names look up what they need in the tree of the Hub first, and start
// over if the branch has moved to another commit meanwhile.
//
// # After the process dies at any line
//
// The next Open reads the log to its end and drops a last line that is incomplete.
// What the page cache has is there: data of a layer is where it was written.
//
//	staging a file: the layer's file exists, the log doesn't name it
//	    the file is removed: it holds nothing
//	writing: Dirty is in the log before the first byte is written
//	    the file is torn: kept and shown, but not committed before somebody has opened
//	    it for writing and closed it, or it is a log, whose lines count by themselves.
//	    Extents since the last Flush aren't known and show what is below
//	truncating: the layer's file is cut first, then the log says so
//	    Below and the extents are cut to the length that the layer's file has
//	unlinking, replacing: the log says so, then, after an fsync of the log, the layers'
//	    files are removed
//	    left-over files are removed
//	beginning a layer: its file first, then the log
//	    as staging a file
//	merging layers down: bytes are copied down (and fsynced, if all were durable), then
//	the log drops the upper ones
//	    all are there and show the same; it is done again some time
//	rewriting the log: journal.new is complete and fsynced before it is renamed
//	    journal.new is removed; or it is the journal
//
//	uploading: parts of multipart uploads are in index.db
//	    the Hub is asked which objects it has, and uploads go on from the last part
//	sending: mark, parent, paths and hashes are in the log before the request
//	    the history is searched for the mark, then it is landed, or the paths are still
//	    changed and go into the next commit
//	landed: one line of the log
//	    what is clean is settled
//	settling: the cache has some of the content, or names of it, the view is the old tree
//	    it is done again; a layer whose file has two names isn't written to
//
// # After the machine dies at any line
//
// The log is a prefix of what it was, no shorter than at the last fsync: each line
// says how much was durable when it was written, so a gap behind that is no
// damage, and what follows it doesn't count. That a file was
// closed can have reached the disk before its content has, with the fsync of another
// file: so an inode counts only if the log says Synced, which is written after the fsync of
// its layers, and their length is the one noted then. Any other is torn, as above, unless the machine hasn't been
// booted since. Layers' files are removed only after the fsync of the log that drops
// them, so what an older log names is there.
//
// # A damaged journal
//
// Every line that verifies counts. The journal as it was found is copied to aside/, and data files that
// nobody names are moved there instead of being removed; inodes that miss extents
// or a data file are torn. [Branch.Recovered] tells what was done.
package writeback
