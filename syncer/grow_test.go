package syncer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub"
)

// TestWholeLines: of a file of lines that a program has open, only whole lines go, also when asked for;
// the last push takes the rest.
func TestWholeLines(t *testing.T) {
	b := newBench(t)
	log, err := os.Create(filepath.Join(b.folder, "train.log"))
	b.ok(err)
	defer log.Close()
	put := func(s string) {
		t.Helper()
		_, err := log.WriteString(s)
		b.ok(err)
	}
	put("begin")
	r := b.start(nil)
	r.flush(0)
	put("ning\nstep 1\nst")
	r.flush(1)
	b.has(map[string]string{"train.log": "beginning\nstep 1\n"})
	r.flush(0)
	put("ep 2\nste")
	r.flush(1)
	b.has(map[string]string{"train.log": "beginning\nstep 1\nstep 2\n"})
	if res, err := r.stopped(); err != nil || len(res.Commits) != 1 {
		t.Fatal(res, err)
	}
	b.has(map[string]string{"train.log": "beginning\nstep 1\nstep 2\nste"})
}

// TestFinishedLines: what nobody writes any more goes to its end: at once where it is asked for, and with
// a tick of the clock when it has settled.
func TestFinishedLines(t *testing.T) {
	b := newBench(t)
	b.write("notes.txt", "no newline at the end")
	b.start(nil).flush(1)
	b.has(map[string]string{"notes.txt": "no newline at the end"})

	b = newBench(t)
	b.write("metrics.jsonl", "{}\n{")
	s, err := Open(b.options())
	b.ok(err)
	defer s.Close()
	if made, err := s.push(t.Context(), false, false); err != nil || len(made) != 1 {
		t.Fatal(made, err)
	}
	b.has(map[string]string{"metrics.jsonl": "{}\n"})
	later := time.Now().Add(settled + time.Second)
	s.now = func() time.Time { return later }
	if made, err := s.push(t.Context(), false, false); err != nil || len(made) != 1 {
		t.Fatal(made, err)
	}
	b.has(map[string]string{"metrics.jsonl": "{}\n{"})
}

func TestLastNewline(t *testing.T) {
	for _, c := range []struct {
		content string
		want    int64
	}{
		{"", 0}, {"x", 0}, {"\n", 1}, {"a\nb", 2}, {"a\nb\n", 4},
		{"a\n" + strings.Repeat("b", 200_000), 2}, {strings.Repeat("b", 64<<10-1) + "\nc", 64 << 10}, {strings.Repeat("b", 64<<10) + "\n" + strings.Repeat("c", 64<<10), 64<<10 + 1},
	} {
		if got, err := lastNewline(strings.NewReader(c.content), int64(len(c.content))); err != nil || got != c.want {
			t.Errorf("%s: %d, %v", brief(c.content), got, err)
		}
	}
}

// TestTruncated: a file that is cut, written anew or replaced is committed as it is then.
func TestTruncated(t *testing.T) {
	b := newBench(t)
	b.write("out.bin", "0123456789")
	r := b.start(nil)
	r.flush(1)
	b.ok(os.Truncate(filepath.Join(b.folder, "out.bin"), 4))
	r.flush(1)
	b.has(map[string]string{"out.bin": "0123"})
	b.write("other", "abcd")
	b.ok(os.Rename(filepath.Join(b.folder, "other"), filepath.Join(b.folder, "out.bin")))
	r.flush(1)
	b.has(map[string]string{"out.bin": "abcd"})
	b.appendTo("out.bin", "ef")
	r.flush(1)
	b.has(map[string]string{"out.bin": "abcdef"})
}

// TestGrowing: while programs append, each commit has a prefix of each file, whole lines of those that are
// of lines, and in the end all is there. Requests overlap with the writing by themselves.
func TestGrowing(t *testing.T) {
	b := newBench(t)
	r := b.start(func(o *Options) { o.Every = 5 * time.Millisecond; o.MaxCommitsPerHour = -1 })
	files := []string{"a.jsonl", "b.bin", "c.dat", "deep/d.log"}
	line := func(i int) string {
		return fmt.Sprintf("{\"step\": %d, \"loss\": %s}\n", i, strings.Repeat("0", i%200))
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for _, path := range files {
		b.write(path, "")
		f, err := os.OpenFile(filepath.Join(b.folder, path), os.O_APPEND|os.O_WRONLY, 0)
		b.ok(err)
		wg.Go(func() {
			defer f.Close()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				text := line(i)
				for _, half := range []string{text[:len(text)/2], text[len(text)/2:]} {
					if _, err := f.WriteString(half); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(200 * time.Microsecond)
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if b.tryContent() != nil && len(b.marks()) >= 6 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no six commits")
		}
	}
	close(stop)
	wg.Wait()
	if _, err := r.stopped(); err != nil {
		t.Fatal(err)
	}
	whole := make(map[string]string)
	for _, path := range files {
		data, err := os.ReadFile(filepath.Join(b.folder, path))
		b.ok(err)
		whole[path] = string(data)
	}
	b.has(whole)
	last := true
	for c, err := range b.client.Commits(t.Context(), b.repo, "main", nil) {
		b.ok(err)
		for _, path := range files {
			content, err := b.at(c.ID, path)
			if errors.Is(err, hub.ErrNotFound) {
				continue
			}
			b.ok(err)
			if !strings.HasPrefix(whole[path], content) {
				t.Errorf("%s of %s is no prefix", path, c.ID)
			}
			if isLines(path) && !last && content != "" && !strings.HasSuffix(content, "\n") {
				t.Errorf("%s of %s ends in the middle of a line", path, c.ID)
			}
		}
		last = false
	}
	if st := r.Status(); st.Failed != 0 {
		t.Errorf("%+v", st.Failures)
	}
}

// at is a file's content in a commit.
func (b *bench) at(commit, path string) (string, error) {
	var buf strings.Builder
	_, err := b.client.Download(b.Context(), hub.FileRef{Repo: b.repo, Revision: commit, Path: path}, &buf)
	return buf.String(), err
}

// meddler is a Hub during whose calls files are written to.
type meddler struct {
	*hub.Client
	upload, commit func()
}

func (m *meddler) PreuploadLFSFiles(ctx context.Context, repo hub.Repo, revision string, adds []*hub.Add, opts *hub.PreuploadOptions) error {
	err := m.Client.PreuploadLFSFiles(ctx, repo, revision, adds, opts)
	m.upload()
	return err
}

func (m *meddler) CreateCommit(ctx context.Context, repo hub.Repo, revision string, in hub.CommitInput) (*hub.CommitInfo, error) {
	m.commit()
	return m.Client.CreateCommit(ctx, repo, revision, in)
}

// TestChangedWhileUploaded: a file that is rewritten on its way goes next time, and never torn; one that is
// appended to goes as far as it was there.
func TestChangedWhileUploaded(t *testing.T) {
	b := newBench(t)
	b.write("large.bin", strings.Repeat("1", 1<<20))
	abc := strings.Repeat("abc", smallFile)
	b.write("grown.bin", abc)
	b.write("rewritten.json", "[1]"+strings.Repeat(" ", smallFile))
	b.write("replaced.json", "[1]"+strings.Repeat(" ", smallFile))
	b.write("small.json", "[1]") // goes as it was
	b.write("quiet", "quiet")
	m := &meddler{Client: b.client, upload: func() {}, commit: func() {}}
	r := b.start(func(o *Options) { o.Hub = m })
	var once, twice sync.Once
	m.upload = func() {
		once.Do(func() {
			b.write("large.bin", strings.Repeat("2", 1<<20))
			b.appendTo("grown.bin", "def")
		})
	}
	m.commit = func() {
		twice.Do(func() {
			b.write("small.json", "[2]")
			b.write("rewritten.json", "[2]")
			b.write("new", "[2]")
			b.ok(os.Rename(filepath.Join(b.folder, "new"), filepath.Join(b.folder, "replaced.json")))
		})
	}
	res := r.flush(1)
	b.has(map[string]string{"grown.bin": abc, "quiet": "quiet", "small.json": "[1]"})
	if st := r.Status(); len(res.Failed) != 0 || st.Pending != 3 {
		t.Errorf("%+v, %+v", res, st)
	}
	r.flush(1)
	b.has(map[string]string{
		"grown.bin": abc + "def", "quiet": "quiet", "large.bin": strings.Repeat("2", 1<<20), "rewritten.json": "[2]", "replaced.json": "[2]", "small.json": "[2]",
	})
}

// TestStuckProcess: a process whose descriptors can't be looked at holds up no push.
func TestStuckProcess(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "whole\nhalf")
	b.write("b.log", "whole\nhalf")
	s, err := Open(b.options())
	b.ok(err)
	defer s.Close()
	stuck := make(chan struct{})
	defer close(stuck)
	s.look = func() map[openFile]bool { <-stuck; return nil }
	if made, err := s.push(t.Context(), true, false); err != nil || len(made) != 1 {
		t.Fatal(made, err)
	}
	b.has(map[string]string{"a.log": "whole\n", "b.log": "whole\n"})
	if made, err := s.push(t.Context(), true, true); err != nil || len(made) != 1 { // the last one doesn't ask
		t.Fatal(made, err)
	}
	b.has(map[string]string{"a.log": "whole\nhalf", "b.log": "whole\nhalf"})
}
