// Package gitstore keeps one repository as a bare git object store on disk, in
// the format of the git program: its fsck, log and gc agree with it.
//
// The formats come from go-git. Its own storage isn't used, because it isn't
// safe for concurrent use, doesn't sync what it writes, and writes a ref in
// place.
//
// State: the folder of the repository, and in memory the indexes of its packs
// and a cache, shared between stores, of parsed commits and trees. Objects never
// change, so reading takes no lock but a pack's own; refs are replaced by rename
// under git's own lock file.
//
// After a crash at any line: a ref names either its old or its new commit, and
// everything that it reaches is on disk, because objects are synced before the
// ref moves. Objects that no ref reaches may stay, as git leaves them, too; a
// left over temporary file or lock is removed by Open, whose caller must be the
// only process that writes refs.
package gitstore
