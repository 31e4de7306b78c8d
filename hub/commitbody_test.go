package hub

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"
)

func readBody(b *commitBody) ([]byte, error) {
	r, err := b.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func nowhere(string, int64) {}

// Its length is known beforehand, and its lines are the files, whatever sizes
// and names they have and however it is read.
func FuzzCommitBody(f *testing.F) {
	f.Add(0, "a", 1, "b")
	f.Add(3, "ü<>&\u2028\"\\", rawChunk, "x y")
	f.Add(rawChunk+1, "\x00\x7f", 2*rawChunk-1, "")
	f.Fuzz(func(t *testing.T, size1 int, path1 string, size2 int, path2 string) {
		b := newCommitBody(nowhere)
		want := map[string][]byte{}
		for i, file := range []struct {
			path string
			size int
		}{{path1, size1}, {path2, size2}} {
			if file.size < 0 || file.size > 1<<20 || repoPathInvalid(file.path) {
				return
			}
			data := someBytes(uint64(i), file.size)
			content := BytesContent(data)
			content.GitSHA1 = gitOID(data)
			if err := b.file(file.path, &content); err != nil {
				t.Fatal(err)
			}
			want[file.path] = data
		}
		whole, err := readBody(b)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(whole)) != b.length || !b.delivered.Load() {
			t.Fatalf("%d bytes of %d", len(whole), b.length)
		}
		got := map[string][]byte{}
		scan := bufio.NewScanner(bytes.NewReader(whole))
		scan.Buffer(nil, 8<<20)
		for scan.Scan() {
			var line struct {
				Key   string
				Value struct{ Content, Path, Encoding string }
			}
			if err := json.Unmarshal(scan.Bytes(), &line); err != nil || line.Key != "file" || line.Value.Encoding != "base64" {
				t.Fatalf("the line %.100q: %v", scan.Text(), err)
			}
			data, err := base64.StdEncoding.DecodeString(line.Value.Content)
			if err != nil {
				t.Fatal(err)
			}
			got[line.Value.Path] = data
		}
		if len(got) != len(want) {
			t.Fatalf("%d files of %d", len(got), len(want))
		}
		for path, data := range want {
			if !bytes.Equal(got[path], data) {
				t.Fatalf("%q came out different", path)
			}
		}
	})
}

func repoPathInvalid(p string) bool { _, err := repoPath(p); return err != nil }

func TestCommitBodyReader(t *testing.T) {
	b := newCommitBody(nowhere)
	if err := b.line("header", commitHeader{Summary: "x"}); err != nil {
		t.Fatal(err)
	}
	for i, n := range []int{0, 1, 2, 3, rawChunk - 1, rawChunk, rawChunk + 1} {
		content := BytesContent(someBytes(uint64(i), n))
		if err := b.file(fmt.Sprint(i), &content); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := readBody(b)
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(struct{ io.Reader }{r}, whole); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("a closed body can be read")
	}
}

// Content that isn't what it was ends the body before its last byte.
func TestCommitBodyContentChanged(t *testing.T) {
	data := someBytes(1, 100_000)
	other := BytesContent(someBytes(2, 100_000))
	other.GitSHA1 = gitOID(data)
	short := ReaderAtContent(bytes.NewReader(data), 100_001)
	broken := ContentSource{Size: 1, Open: func() (ContentReader, error) { return nil, errors.ErrUnsupported }}
	for name, content := range map[string]*ContentSource{"other": &other, "short": &short, "broken": &broken} {
		b := newCommitBody(nowhere)
		if err := b.file("f", content); err != nil {
			t.Fatal(err)
		}
		_, err := readBody(b)
		var failed *OperationError
		if !errors.As(err, &failed) || failed.Path != "f" || b.delivered.Load() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSplitOperations(t *testing.T) {
	regular := func(size int64) Operation {
		return &Add{Content: ContentSource{Size: size}, State: AddState{Mode: UploadRegular}}
	}
	lfs := func() Operation { return &Add{Content: ContentSource{Size: 1 << 40}, State: AddState{Mode: UploadLFS}} }
	for name, test := range map[string]struct {
		ops    []Operation
		limits CommitLimits
		want   []int // operations of each commit
	}{
		"none":            {nil, HubLimits, nil},
		"no limits":       {[]Operation{lfs(), lfs(), regular(1 << 40)}, CommitLimits{}, []int{3}},
		"files":           {[]Operation{lfs(), lfs(), lfs(), &Delete{}, &Copy{}}, CommitLimits{LFSFiles: 2}, []int{2, 3}},
		"bytes":           {[]Operation{regular(3), regular(3), regular(1), regular(3)}, CommitLimits{RegularBytes: 8}, []int{2, 2}},
		"one too large":   {[]Operation{regular(1), regular(100), regular(1)}, CommitLimits{RegularBytes: 8}, []int{1, 1, 1}},
		"operations":      {[]Operation{&Delete{}, &Delete{}, &Delete{}}, CommitLimits{Operations: 2}, []int{2, 1}},
		"both":            {[]Operation{lfs(), regular(3), lfs(), regular(3), regular(3)}, CommitLimits{LFSFiles: 2, RegularBytes: 8}, []int{4, 1}},
		"ignored":         {[]Operation{&Add{State: AddState{Mode: UploadLFS, Ignored: true}}, lfs()}, CommitLimits{LFSFiles: 1}, []int{2}},
		"unknown, large":  {[]Operation{&Add{Content: ContentSource{Size: 1 << 40}}}, CommitLimits{RegularBytes: 8}, []int{1}},
		"25,001 LFS":      {slices.Repeat([]Operation{lfs()}, 25_001), HubLimits, []int{25_000, 1}},
		"1 GB of regular": {slices.Repeat([]Operation{regular(75_000_000)}, 11), HubLimits, []int{10, 1}},
	} {
		var got []int
		for _, part := range SplitOperations(test.ops, test.limits) {
			got = append(got, len(part))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Nothing gets lost, doubled or reordered, no commit is empty or beyond a limit,
// and none could have taken the next operation as well.
func TestSplitOperationsRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var ops []Operation
		for range r.IntN(30) {
			switch r.IntN(3) {
			case 0:
				ops = append(ops, &Delete{})
			case 1:
				ops = append(ops, &Copy{})
			default:
				ops = append(ops, &Add{Content: ContentSource{Size: r.Int64N(20)}, State: AddState{Mode: []UploadMode{UploadLFS, UploadRegular}[r.IntN(2)]}})
			}
		}
		limits := CommitLimits{LFSFiles: r.IntN(4), RegularBytes: r.Int64N(40), Operations: r.IntN(6)}
		cost := func(ops []Operation) (sum CommitLimits) {
			for _, op := range ops {
				c := operationCost(op)
				sum = CommitLimits{sum.LFSFiles + c.LFSFiles, sum.RegularBytes + c.RegularBytes, sum.Operations + c.Operations}
			}
			return sum
		}
		parts := SplitOperations(ops, limits)
		if !slices.Equal(slices.Concat(parts...), ops) {
			t.Fatalf("%d operations became others", len(ops))
		}
		for i, part := range parts {
			if len(part) == 0 || len(part) > 1 && cost(part).beyond(limits) {
				t.Fatalf("part %d of %d operations, limits %+v", i, len(part), limits)
			}
			if i+1 < len(parts) && !cost(append(slices.Clone(part), parts[i+1][0])).beyond(limits) {
				t.Fatalf("part %d could have been larger, limits %+v", i, limits)
			}
		}
	}
}

func FuzzCommitAnswer(f *testing.F) {
	f.Add([]byte(`{"success":true,"commitOid":"`+oid1+`","commitUrl":"http://hub.test/ns/name/commit/`+oid1+`","pullRequestUrl":"http://hub.test/ns/name/discussions/7","hookOutput":""}`), true)
	f.Add([]byte(`{"commitOid":"`+oid1+`","commitUrl":"https://huggingface.co/datasets/commit/commit/commit/x"}`), false)
	f.Fuzz(func(t *testing.T, data []byte, pr bool) {
		c := fake(t, reply(200, string(data)), func(c *Config) { c.Retries = -1 })
		info, err := c.CreateCommit(t.Context(), testRepo, "", CommitInput{Summary: "x", CreatePR: pr, Operations: []Operation{&Delete{"a"}}})
		switch {
		case err != nil && !errors.Is(err, ErrAmbiguousCommit):
			t.Fatalf("a commit that was accepted is said to have failed: %v", err)
		case err == nil && (!isOID(info.OID) || info.CommitURL == "" || info.RepoURL.URL == "" || pr != (info.PRNum > 0)):
			t.Fatalf("took %s for %+v", data, info)
		}
	})
}

func FuzzPreuploadAnswer(f *testing.F) {
	f.Add([]byte(`{"files":[{"path":"a","uploadMode":"lfs","shouldIgnore":false,"oid":"` + oid1 + `"},{"path":"b","uploadMode":"regular","shouldIgnore":true}],"commitOid":"` + oid2 + `"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fake(t, reply(200, string(data)), func(c *Config) { c.Retries = -1 })
		a, b := add("a", "1"), add("b", "")
		err := c.preupload(t.Context(), testRepo, "main", []addition{{a, "a"}, {b, "b"}}, false, "")
		if err == nil && (a.State.Mode == "" || b.State.Mode != UploadRegular) {
			t.Fatalf("took %s for %+v and %+v", data, a.State, b.State)
		}
	})
}
