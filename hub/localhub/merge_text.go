package localhub

import (
	"bytes"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	fdiff "github.com/go-git/go-git/v5/plumbing/format/diff"
	"github.com/go-git/go-git/v5/utils/diff"
	"github.com/sergi/go-diff/diffmatchpatch"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

const (
	// maxLines is how many lines of a file are compared.
	maxLines = 50_000
	// diffTime bounds the search for a small difference; a larger one is found in no time.
	diffTime = 2 * time.Second
)

// hunk is a run of lines that was replaced.
type hunk struct {
	start, end int      // lines of the old text
	lines      []string // of the new one
}

func splitLines(s string) []string {
	lines := strings.SplitAfter(s, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// hunks are the differences between two texts, in order.
func hunks(from, to string) []hunk {
	var list []hunk
	at := 0
	open := false // the last hunk ends here
	for _, d := range diff.DoWithTimeout(from, to, diffTime) {
		lines := splitLines(d.Text)
		if d.Type == diffmatchpatch.DiffEqual {
			at, open = at+len(lines), false
			continue
		}
		if !open {
			list, open = append(list, hunk{start: at, end: at}), true
		}
		h := &list[len(list)-1]
		if d.Type == diffmatchpatch.DiffDelete {
			at += len(lines)
			h.end = at
		} else {
			h.lines = append(h.lines, lines...)
		}
	}
	return list
}

// mergeText makes the changes from base to ours and those from base to theirs. It
// fails if they touch each other, unless they are the same.
func mergeText(base, ours, theirs string) (merged string, ok bool) {
	lines := splitLines(base)
	a, b := hunks(base, ours), hunks(base, theirs)
	var out strings.Builder
	at := 0
	take := func(h hunk) {
		for _, l := range lines[at:h.start] {
			out.WriteString(l)
		}
		for _, l := range h.lines {
			out.WriteString(l)
		}
		at = h.end
	}
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].end < b[0].start:
			take(a[0])
			a = a[1:]
		case len(a) == 0 || b[0].end < a[0].start:
			take(b[0])
			b = b[1:]
		case a[0].start == b[0].start && a[0].end == b[0].end && strings.Join(a[0].lines, "") == strings.Join(b[0].lines, ""):
			take(a[0])
			a, b = a[1:], b[1:]
		default:
			return "", false
		}
	}
	for _, l := range lines[at:] {
		out.WriteString(l)
	}
	return out.String(), true
}

// maxDiff is how many bytes of files a diff compares; what comes after is left out.
const maxDiff = 16 << 20

// diff writes the changes between two trees as git does.
func (r *repo) diff(from, to gitstore.OID) (string, error) {
	changes, err := r.changes(from, to)
	if err != nil {
		return "", err
	}
	var p patch
	var size int64
	for _, ch := range changes {
		f, err := r.filePatch(ch)
		if err != nil {
			return "", err
		}
		for _, e := range []*gitstore.Entry{ch.old, ch.new} {
			if e != nil {
				size += min(e.Size, maxMergeFile)
			}
		}
		if size > maxDiff {
			break
		}
		p = append(p, f)
	}
	var buf bytes.Buffer
	err = fdiff.NewUnifiedEncoder(&buf, fdiff.DefaultContextLines).Encode(p)
	return buf.String(), err
}

// patch and the types below say to the encoder what has changed.
type patch []fdiff.FilePatch

func (p patch) FilePatches() []fdiff.FilePatch { return p }
func (patch) Message() string                  { return "" }

type filePatch struct {
	from, to fdiff.File
	binary   bool
	chunks   []fdiff.Chunk
}

func (f *filePatch) IsBinary() bool               { return f.binary }
func (f *filePatch) Files() (from, to fdiff.File) { return f.from, f.to }
func (f *filePatch) Chunks() []fdiff.Chunk        { return f.chunks }

type patchFile struct {
	path string
	e    *gitstore.Entry
}

func (f patchFile) Hash() plumbing.Hash     { return f.e.OID }
func (f patchFile) Mode() filemode.FileMode { return filemode.FileMode(f.e.Mode) }
func (f patchFile) Path() string            { return f.path }

type chunk struct{ diffmatchpatch.Diff }

func (c chunk) Content() string { return c.Text }

func (c chunk) Type() fdiff.Operation {
	switch c.Diff.Type {
	case diffmatchpatch.DiffDelete:
		return fdiff.Delete
	case diffmatchpatch.DiffInsert:
		return fdiff.Add
	}
	return fdiff.Equal
}

func (r *repo) filePatch(ch change) (*filePatch, error) {
	f := new(filePatch)
	var texts [2]string
	for i, e := range []*gitstore.Entry{ch.old, ch.new} {
		if e == nil {
			continue
		}
		if i == 0 {
			f.from = patchFile{ch.path, e}
		} else {
			f.to = patchFile{ch.path, e}
		}
		plain := *e
		plain.LFS = nil // git compares the pointers
		b, ok, err := r.text(&plain)
		if err != nil {
			return nil, err
		}
		f.binary = f.binary || !ok
		texts[i] = string(b)
	}
	if !f.binary {
		for _, d := range diff.DoWithTimeout(texts[0], texts[1], diffTime) {
			f.chunks = append(f.chunks, chunk{d})
		}
	}
	return f, nil
}
