package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// copyPaths is how many paths are looked up in one call.
const copyPaths = 500

// A copySource is what a Copy comes to.
type copySource struct {
	sha256  string        // of an LFS file
	content ContentSource // of a regular one
	same    bool          // the target has that content already
}

// resolveCopies looks up the sources of all copies, and their targets as they
// are, and downloads the sources that are regular files.
func (p *commitPlan) resolveCopies(ctx context.Context) error {
	p.copies = make(map[*Copy]*copySource)
	type lookup struct {
		copy         *Copy
		source, path string
	}
	// The parent, where it is known: the branch may be elsewhere by now.
	base := p.revision
	if isOID(p.in.ParentCommit) {
		base = p.in.ParentCommit
	}
	byRevision := make(map[string][]lookup)
	targets := make(map[string]bool)
	for i, op := range p.in.Operations {
		copy, ok := op.(*Copy)
		if !ok {
			continue
		}
		if copy.SHA256 != "" {
			if !isSHA256(copy.SHA256) {
				return &ValidationError{What: "sha256", Value: copy.SHA256, Reason: "must be 64 lower-case hexadecimal digits"}
			}
			p.copies[copy] = &copySource{sha256: copy.SHA256}
			continue
		}
		source, err := repoPath(copy.Source)
		if err != nil {
			return err
		}
		revision := copy.SourceRevision
		if revision == "" {
			revision = base
		}
		byRevision[revision] = append(byRevision[revision], lookup{copy, source, p.paths[i]})
		targets[p.paths[i]] = true
	}
	if len(byRevision) == 0 {
		return nil
	}

	entries := make(map[string]map[string]TreeEntry) // by revision and path
	for revision, lookups := range byRevision {
		wanted := make(map[string]bool)
		for _, l := range lookups {
			wanted[l.source] = true
		}
		if revision == base {
			for path := range targets {
				wanted[path] = true
			}
		}
		found, err := p.c.lookupPaths(ctx, p.repo, revision, wanted)
		if err != nil {
			return err
		}
		entries[revision] = found
	}
	if entries[base] == nil {
		found, err := p.c.lookupPaths(ctx, p.repo, base, targets)
		if err != nil {
			return err
		}
		entries[base] = found
	}

	for revision, lookups := range byRevision {
		for _, l := range lookups {
			source, ok := entries[revision][l.source]
			if !ok {
				return &OperationError{l.path, &Error{Message: fmt.Sprintf("the file to be copied, %q, doesn't exist at %q", l.source, revision), kind: ErrEntryNotFound}}
			}
			if source.Type != TypeFile {
				return &OperationError{l.path, &ValidationError{What: "copy", Value: l.source, Reason: "is a folder, and only files can be copied"}}
			}
			src := &copySource{same: sameContent(source, entries[base][l.path])}
			if source.LFS != nil {
				src.sha256 = source.LFS.SHA256
			} else {
				content, err := p.download(ctx, revision, source)
				if err != nil {
					return err
				}
				src.content = content
			}
			p.copies[l.copy] = src
		}
	}
	return nil
}

// lookupPaths describes paths of a revision; those that don't exist are left out.
func (c *Client) lookupPaths(ctx context.Context, repo Repo, revision string, wanted map[string]bool) (map[string]TreeEntry, error) {
	paths := make([]string, 0, len(wanted))
	for path := range wanted {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	found := make(map[string]TreeEntry)
	for chunk := range slices.Chunk(paths, copyPaths) {
		entries, err := c.PathsInfo(ctx, repo, revision, chunk, false)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			found[e.Path] = e
		}
	}
	return found, nil
}

// sameContent says whether two entries are files with the same content, stored
// the same way.
func sameContent(a, b TreeEntry) bool {
	if a.Type != TypeFile || b.Type != TypeFile || (a.LFS == nil) != (b.LFS == nil) {
		return false
	}
	if a.LFS != nil {
		return a.LFS.SHA256 == b.LFS.SHA256
	}
	return a.OID == b.OID
}

// download fetches a regular file that is to be copied.
func (p *commitPlan) download(ctx context.Context, revision string, source TreeEntry) (ContentSource, error) {
	if p.spool == nil {
		s, err := newSpool()
		if err != nil {
			return ContentSource{}, err
		}
		p.spool = s
	}
	off := p.spool.size
	m, err := p.c.Download(ctx, FileRef{Repo: p.repo, Revision: revision, Path: source.Path}, p.spool)
	if err != nil {
		return ContentSource{}, err
	}
	size := p.spool.size - off
	if m.ETag != source.OID || size != source.Size {
		return ContentSource{}, &OperationError{source.Path, errors.New("the file to be copied was changed by somebody else just now")}
	}
	content := ReaderAtContent(io.NewSectionReader(p.spool.file, off, size), size)
	content.GitSHA1 = source.OID
	return content, nil
}

// A spool is a temporary file without a name.
type spool struct {
	file *os.File
	size int64
}

func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "hubfs-copy-*")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name())
	return &spool{file: f}, nil
}

func (s *spool) Write(p []byte) (int, error) {
	n, err := s.file.WriteAt(p, s.size)
	s.size += int64(n)
	return n, err
}

func (s *spool) close() { s.file.Close() }
