// Package fs shows repositories of the Hub as a FUSE file system: the whole Hub,
// or one tree of one repository.
//
// # Nodes
//
//	upperNode  a directory above the trees, with a shelf behind it: the root, a
//	           type of repositories, a namespace
//	linkNode   a symbolic link to where something really stands
//	dirNode    a directory of a tree; the same node at every commit, and under
//	           every name that it is given here
//	fileNode   a file with one content and one date; with others, another node
//	           of the same inode number. One that is written to, or open for it, is
//	           bound to one content of package writeback instead, and stays the same
//	           node until the kernel forgets it
//
// Where a node stands (spot.go) is noted in it, relative to its directory, so a folder
// is renamed with all that is below it. What comes to stand at a name whose inode number
// belongs to a node that was renamed or removed, and is known to the kernel, gets
// another number.
//
// A tree (a repository at a revision) has one directory in a mount, since the
// kernel moves a directory that answers to two names. All other spellings are
// links to it: other letter case, the default branch by name, former names,
// abbreviated commits. What a name means is in names.go and shelf.go.
//
// # Who owns what
//
// The catalog owns what is known of namespaces and repositories. A repo owns the
// references of a repository, as the Hub told them last. A tree owns the snapshot
// that it shows, and knows all directories that the kernel may remember names of.
// A snapshot is a commit and never changes, nor do the listings in it, which are
// the cache's, by Git's tree ids. All of these live as long as the mount; what
// grows with the number of files, nodes and views of directories, lives as long as
// the kernel remembers them.
//
// Everything that is asked of the Hub is asked in a flight: once for all who want
// to know it, by a goroutine of the mount. The kernel's requests only wait, and
// leave when their caller is dying (interrupt_linux.go). Folders are listed one by
// one as they are entered, or all at once for who walks through them (walk.go); small
// files are brought one by one, or many at once for who reads more of them (pack.go).
//
// # Changes
//
// The changes of a tree belong to a writeback.Branch (branch.go). It is opened when
// something is to be changed for the first time, or when the mount begins and a mount
// before has left changes; from then on it owns the view of the tree, and lookups and
// listings go through it (merged.go). A tree is read-only if it is of a commit or a tag,
// if it is pinned, if the token is known not to allow changes, or as long as another
// mount on this machine has its changes. The snapshot of such a tree is what the
// kernel's memory is of; it follows the Branch, which moves first.
//
// A file is written to by handles of writeback (staged.go). All who have its node open
// share its pages; those who opened it before the first change read through a handle
// that the first writer opens for them. Who has it in passthrough keeps what he opened:
// the writer gets another node (passthrough.go).
//
// # What the kernel remembers
//
// In trees everything, for ever: names, that a name isn't there, attributes, pages, and
// where nothing has been changed here what was listed; of files that are changed here,
// attributes for a second. A file's attributes and pages
// change only by what the kernel itself is asked for, so only names and directories have
// to be taken back, when a tree moves to another commit (move.go): our own commits are
// moves, too. What is altered otherwise, a conflict that was solved or changes that were
// discarded, is told by path (branch.go). Nothing is told by who serves a request. A tree
// of a commit never moves. Branches and tags are polled with one request for a repository
// (poll.go). Above the trees the kernel remembers for a minute, and never that a
// name isn't there; the catalog remembers that for ten seconds.
//
// # Locks
//
// In this order: catalog.mu, repo.mu, tree.mu, then go-fuse's own. reports.mu,
// flight.mu and Mount.spawning are leaves, but that flight.mu is held while
// spawning is taken. No lock is held during I/O, while waiting for the Hub, or while
// the kernel is told something: it may keep us waiting for a request that needs
// the lock. repo.looking is no lock but a turn, held by whoever asks for the
// references and moves the trees; no request of the kernel waits for it, since the
// kernel may keep that one waiting for this one. tree.opening is such a
// turn, too, of who opens the changes; nobody who has one of the two waits for the other.
// openModes.mu is taken after tree.mu. A Branch is never called with any of
// these locks held, but for what it knows of open files under openModes.mu.
//
// # After the process dies at any line
//
// What is changed is kept by package writeback, which tells what is safe when. Nothing
// else in this package is kept on disk but records and listings in the cache:
// the references as they were last seen, names, dates, folders. Each is written
// whole or not at all, and each is only what the Hub said once. The next mount
// starts from them where the Hub can't be reached, and else asks. Inode numbers
// are made from names, so they are the same again. The mount point of a dead
// process answers ENOTCONN until it is unmounted; New says how.
//
// A process that is killed while it tells the kernel of a changed name may be unable to
// die: the kernel takes the lock of the directory for it, uninterruptibly, and a program
// that is making, renaming or looking up something there holds that lock until this
// process answers. No order of notifications excludes that, as the lock is taken before
// the request can be seen here; no timeout of names does, without asking for all of them
// all the time; and counting the kernel's epoch on instead would have it look up all that
// it knows at each move, where it can do that at all. So names are told one by one, and the
// daemon has a guard, a process that aborts the connection when the daemon dies (package
// control). If both are killed at once, it takes hubfs umount, or umount -f.
package fs
