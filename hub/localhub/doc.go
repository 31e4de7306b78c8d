// Package localhub is a Hub on local disk: an http.Handler that speaks the
// Hugging Face Hub's API over repositories that are real git object stores.
// It is what tests run against, and an air-gapped Hub for a laptop.
//
// It doesn't import package hub: the two are separate readings of one protocol,
// and the official Python client, as a third, keeps both honest.
//
// # State
//
// Everything is in the folder Options.Root, which one process has at a time:
//
//	hub.db              accounts, hashes of tokens, repositories, their old names,
//	                    discussions, webhooks, Spaces, inference endpoints, likes, follows,
//	                    collections, which repository has which LFS objects, and the
//	                    key that signs URLs (type state)
//	repos/<uid>.git     a bare repository (package gitstore)
//	lfs/ab/cd/<sha256>  LFS objects, once for all repositories (type lfsStore)
//	tmp, uploads        what is being received, in one piece and in parts
//
// In memory there are a copy of hub.db, caches of parsed git objects and of what
// commits' files tell (factsCache), and the counts of requests.
//
// Locks are taken in this order, and none is held while the network is waited for:
// openStore.commit (one per repository: from reading a ref to moving it),
// state.write, state.mu. The others (stores.mu, traffic.mu, factsCache.mu, those of
// gitstore and of the network) are leaves.
//
// # After a crash
//
// A commit is there whole, or not at all: objects are synced before the ref that
// reaches them is renamed into place. A repository is made before hub.db knows it,
// and forgotten by hub.db before it is removed; New removes folders that nothing
// knows. An LFS object has its name only when it is whole, verified and synced. A
// pull request's ref comes before its record: without it, only a number is lost. The
// events of its commits are made up when it is next read. A merge whose crash came
// between the commit and the record can be asked for again, and adds an empty commit.
// An upload in parts goes on where it was, for two days.
//
// # Who may what
//
// A repository that the caller may not see is answered as if it weren't there. A
// gated one shows everything but the content of its files. Objects are shared on
// disk, not between repositories: to commit an LFS file, one must have uploaded its
// bytes to that repository, for the knowledge of a sha256 must not give access to
// what another repository keeps private.
//
// # Choices
//
// Where it isn't known what the Hub does, this one does the following.
//   - Success is 200; the routes that answer nothing answer "OK". An old name, a
//     307; an LFS file, a 302. Bad tokens are 401 on every route.
//   - Every refusal has an X-Error-Code: the Hub's own where it has one, else a name
//     for the status. Unknown query parameters and unknown keys of JSON bodies are 400.
//   - What a Space or an inference endpoint does follows from what it was last told, from
//     its files and from the clock; nothing runs. Values of secrets aren't kept. An
//     endpoint whose model can't be read when it is told to start fails.
//   - A name is taken for a branch before a tag, then for a commit's id, of which 7
//     digits are enough everywhere. An annotated tag's targetCommit is the commit. A
//     pull request's name among the refs is its number. HEAD is main.
//   - Listing a file as a folder is EntryNotFound. The pages of a tree are all of the
//     commit that the first was of. A page of commits has 50.
//   - A file is LFS if .gitattributes says so or if it is larger than 10 MiB, and is
//     refused as a regular one then. A commit adds a rule for each LFS file that
//     .gitattributes doesn't track. LFS objects above 64 MiB are uploaded in parts.
//   - The lines of a commit are applied in their order. A commit that changes nothing
//     is made all the same, one without operations is refused. A file below a file is
//     422, as is any path that isn't safe to check out; the deletion of what isn't
//     there is 404, EntryNotFound, as is a commit to a branch that isn't there
//     (RevisionNotFound).
//   - Commits that a squash or a moved branch left behind can still be read by id.
//   - A pull request is merged as one commit on its target, titled with its title and
//     number, with all that it changes since the newest commit that both have. Both may
//     have changed a text, of 1 MiB at most, but not lines that touch each other: a
//     conflict is 409 with filesWithConflicts. What is a draft, closed or merged is 400.
//     One without changes can be merged, too. A merged one stays merged.
//   - Everybody who may read a repository may open discussions there. A title is changed,
//     and a discussion closed or opened, by its author or who may write to the repository;
//     a comment edited or hidden by its own. Comments are shown as they were written.
//     The state that there is already is 400. Descriptions and comments have 65,536
//     characters at most. A page of discussions has 50.
//   - The author of a pull request may add commits to it, and so may everybody who may
//     write to the repository.
//   - Who may write to a gated repository decides about requests. Where a repository isn't
//     gated, that is 400; the state that a request has already is 404. ask-access, by which
//     a user asks, leads on to the repository in the API.
//   - A webhook's receiver is asked three times at most, by who waits for nobody: what isn't
//     delivered when the Hub closes is lost, as is what comes while 1,000 wait. Redirects
//     aren't followed. A webhook is told of 1,000 events in 24 hours, counted from the first
//     of them. One whose receiver takes none of 20 in a row, which is to answer 2xx, is suspended until it is
//     enabled. A pull request made from a commit is told of as a ref and as itself.
//   - Duplicating copies branch main with its history.
//   - Tags, library, task, configuration and parameter counts of a repository follow from
//     its README and from the files in its root folder, as far as the Hub's rules are
//     known. Listings without an order are by last change, and descending unless they
//     say otherwise. A like counts for the trending score during a week.
//   - A model is "warm" for the inference filters while an inference endpoint of this Hub that
//     isn't private runs it, "cold" while it could, "frozen" where it failed; the provider is
//     hf-inference. Applications are told from what files a model has.
//   - Who takes a file of a dataset, or of a model its configuration or a GGUF file, by HEAD or
//     GET of resolve, has downloaded it: once in 5 minutes, however many files. What git or a pack
//     brings isn't counted.
//   - One follows, with POST or DELETE, /api/users/{name}/follow or the same of an
//     organisation. Liking, following and upvoting take a token that may write.
//   - Two collections of one owner can't have the same title (409, with the slug of the
//     first). New ones come last. A title has at most 60 characters; a collection at
//     most 1,000 items. /api/collections/{slug}/upvote takes POST and DELETE. An item
//     follows a repository to its new name, and goes with it.
//   - The papers are a few that never change.
//   - Spaces don't run, nothing is scanned, and there is no Xet: clients with Xet need HF_HUB_DISABLE_XET=1 to upload.
package localhub
