// Package syncer pushes a folder to a repository, again and again: what is new or changed in the folder
// since the last time becomes a commit. It is the CommitScheduler of the official client, made to survive
// its process.
//
// # What is pushed
//
// Files of the folder that the patterns choose, and that differ from what was last committed of them: by
// size, times and inode, then by content. Links to files count as files; linked folders are not entered.
// A file is taken up to the size that it had when the folder was looked at, so one that grows is committed
// as a prefix, and its rest the next time. Of lines of text (*.log, *.jsonl, *.csv, *.txt, *.out) that
// somebody is still writing, the prefix ends at the last newline: who writes is known from the descriptors
// of the machine's processes as far as we may see them, and a tick of the timer also takes a file that was
// written in the last ten seconds for one. The last push of a run takes everything to its end.
//
// A large file that changes all the time is uploaded by the clock at most every ten times as long as its last
// upload took.
//
// Nothing is ever deleted on the Hub: a file that is removed or renamed here stays there. The paths of a
// file that is truncated, rewritten or replaced are committed anew as they are then.
//
// What the Hub refuses about one file marks that file failed, with the Hub's message, until it changes or
// a push is asked for; the others go. What it refuses as a whole is tried again, with growing pauses.
//
// # What is on disk
//
// One folder for each [Key] (endpoint, folder, repository, branch, path in the repository), below
// Options.StateDir:
//
//	lock       held (flock) as long as the Syncer is open
//	state.db   bbolt: what was committed, and what was sent and not answered
//	aside/     a state.db that was damaged
//
// A transaction of bbolt is atomic and durable, and pushes are minutes apart, so it keeps all of it:
//
//	files      by path: size, times, inode and device when it was looked at, how much of it was committed,
//	           its hash; or why it was refused
//	uploads    by sha256: which parts of a large upload the server has
//	meta       commits that were sent and not answered, times of the commits of the last hour, the last
//	           commit, whether a squash is due, and when the repository was created
//
// Losing state.db costs reading the folder once: what the Hub has already is not uploaded or committed
// again, since the Hub is asked first.
//
// # A push
//
//	settle   what became of commits whose answer was lost
//	scan     list the folder; note sizes and times
//	hash     those that differ; drop those whose content is what was committed
//	upload   large files, exactly as far as they were hashed
//	check    that uploaded files are still what was hashed; one that isn't goes next time
//	send     mark, parent and files into state.db, then the commit
//	landed   the files' records, in one transaction
//	squash   if wanted, and something was committed
//
// A commit names its parent, the head of the branch, and carries a mark as the last line of its
// description. So one whose fate isn't known needs no guess. While the head is still its parent, the next
// commit with the same parent excludes it or is excluded by it. Once the head has moved, it is in the
// history, where the mark finds it, or can't land any more. A branch that others move meanwhile (412) is
// followed, and the push goes on top.
//
// Files are not copied, and but for a bounded number of small ones not held in memory. A regular file's bytes are compared with their hash while
// they are sent, and the commit is called off before its end if they differ; a large file is hashed again
// after its upload if its times have changed meanwhile.
//
// # Ownership
//
// One goroutine, [Syncer.Run], owns the records and state.db, and makes all commits; others ask it and
// wait. Syncer.mu guards what [Syncer.Status] tells; it is held across no I/O.
//
// # After the process dies at any line
//
//	before send     nothing is noted but parts of uploads: the files still differ from their records,
//	                and the next push has them
//	after send      the next push settles first: the commit is found, and its files are recorded as they
//	                were sent, or it can't land, and they still differ
//	landed          all of it, or none of it, in which case as after send
//	before squash   it is noted as due with the landing, and done by the next push
//
// Two runs of one key exclude each other by the lock, which ends with the process.
package syncer
