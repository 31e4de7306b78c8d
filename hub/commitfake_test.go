package hub

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// writeHub is the part of a Hub that commits need, with a storage host beside it.
// It keeps to the protocol, but for what intercept does first.
type writeHub struct {
	t       testing.TB
	c       *Client
	hub     *httptest.Server
	storage *httptest.Server

	mu        sync.Mutex // guards all below
	head      string
	files     map[string]fakeFile
	objects   map[string][]byte         // LFS, by sha256
	uploads   map[string]map[int][]byte // parts, by upload id
	nextID    int
	chunkSize int  // 0: basic uploads
	newUpload bool // each batch call begins another multipart upload
	verify    bool
	ignore    func(path string) bool
	lfs       func(path string) bool
	commits   []fakeCommit // those that landed, newest last
	requests  []string     // "METHOD path", in order
	counts    map[string]int
	intercept func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
}

type fakeFile struct {
	content []byte // of a regular file
	lfs     string // sha256
	size    int64
}

func (f fakeFile) oid() string {
	if f.lfs != "" {
		return f.lfs
	}
	return gitOID(f.content)
}

type fakeCommit struct {
	oid    string
	header commitHeader
	keys   []string // "key path"
	raw    string
}

func gitOID(b []byte) string {
	return fmt.Sprintf("%x", sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...)))
}

func sum256(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

func newWriteHub(t testing.TB, change ...func(*Config)) *writeHub {
	h := &writeHub{
		t: t, head: oid1, files: make(map[string]fakeFile), objects: make(map[string][]byte),
		uploads: make(map[string]map[int][]byte), counts: make(map[string]int),
		lfs:    func(path string) bool { return strings.HasSuffix(path, ".bin") },
		ignore: func(string) bool { return false },
	}
	h.storage = httptest.NewServer(http.HandlerFunc(h.serveStorage))
	t.Cleanup(h.storage.Close)
	h.c, h.hub = serve(t, http.HandlerFunc(h.serveHub), change...)
	return h
}

func (h *writeHub) count(kind string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts[kind]
}

func (h *writeHub) last() fakeCommit {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.commits) == 0 {
		h.t.Fatal("nothing was committed")
	}
	return h.commits[len(h.commits)-1]
}

func (h *writeHub) set(path string, content []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := fakeFile{content: content, size: int64(len(content))}
	if h.lfs(path) {
		f = fakeFile{lfs: sum256(content), size: int64(len(content))}
		h.objects[f.lfs] = content
	}
	h.files[path] = f
}

// on lets f answer requests first; it says whether it has.
func (h *writeHub) on(f func(w http.ResponseWriter, r *http.Request) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.intercept = f
}

// note counts a request and lets intercept have it.
func (h *writeHub) note(w http.ResponseWriter, r *http.Request, kind string) bool {
	h.mu.Lock()
	h.counts[kind]++
	h.requests = append(h.requests, r.Method+" "+r.URL.Path)
	intercept := h.intercept
	h.mu.Unlock()
	return intercept != nil && intercept(w, r)
}

func (h *writeHub) serveHub(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+testToken {
		reply(401, `{"error":"Invalid username or password."}`)(w, r)
		return
	}
	const api = "/api/models/ns/name/"
	kind, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), api), "/")
	switch {
	case r.URL.Path == "/api/validate-yaml":
		kind = "yaml"
	case r.URL.Path == "/ns/name.git/info/lfs/objects/batch":
		kind = "batch"
	case strings.HasPrefix(r.URL.Path, "/ns/name/resolve/"):
		kind, rest = "resolve", strings.TrimPrefix(r.URL.Path, "/ns/name/resolve/")
	case r.URL.Path == "/verify":
		kind = "verify"
	case !strings.HasPrefix(r.URL.Path, api):
		kind = "info"
	}
	if h.note(w, r, kind) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch kind {
	case "yaml":
		h.serveYAML(w, r)
	case "preupload":
		h.servePreupload(w, r)
	case "batch":
		h.serveBatch(w, r)
	case "verify":
		var o lfsObject
		_ = json.NewDecoder(r.Body).Decode(&o)
		if int64(len(h.objects[o.OID])) != o.Size {
			reply(404, `{"message":"no such object"}`)(w, r)
		}
	case "commit":
		h.serveCommit(w, r)
	case "paths-info":
		_ = r.ParseForm()
		var entries []TreeEntry
		for _, p := range r.PostForm["paths"] {
			if e, ok := h.entry(p); ok {
				entries = append(entries, e)
			}
		}
		h.writeEntries(w, entries)
	case "tree":
		var entries []TreeEntry
		for _, p := range slices.Sorted(maps.Keys(h.files)) {
			e, _ := h.entry(p)
			entries = append(entries, e)
		}
		h.writeEntries(w, entries)
	case "resolve":
		_, path, _ := strings.Cut(rest, "/")
		f := h.files[path]
		w.Header().Set("ETag", `"`+f.oid()+`"`)
		w.Header().Set("X-Repo-Commit", h.head)
		w.Header().Set("Content-Length", strconv.Itoa(len(f.content)))
		_, _ = w.Write(f.content)
	case "commits":
		var list []map[string]any
		for _, c := range slices.Backward(h.commits) {
			list = append(list, map[string]any{"id": c.oid, "title": c.header.Summary, "message": c.header.Description,
				"date": "2024-01-02T03:04:05.000Z", "authors": []any{}})
		}
		list = append(list, map[string]any{"id": oid1, "title": "initial commit", "message": "", "date": "2024-01-02T03:04:05.000Z", "authors": []any{}})
		_ = json.NewEncoder(w).Encode(list)
	case "info", "revision":
		_ = json.NewEncoder(w).Encode(map[string]any{"id": "ns/name", "sha": h.head})
	default:
		reply(404, `{"error":"unexpected request"}`)(w, r)
	}
}

func (h *writeHub) entry(path string) (TreeEntry, bool) {
	f, ok := h.files[path]
	if !ok {
		for p := range h.files {
			if strings.HasPrefix(p, path+"/") {
				return TreeEntry{Type: TypeDirectory, Path: path, OID: oid2}, true
			}
		}
		return TreeEntry{}, false
	}
	e := TreeEntry{Type: TypeFile, Path: path, OID: f.oid(), Size: f.size}
	if f.lfs != "" {
		e.OID = oid2
		e.LFS = &LFSInfo{SHA256: f.lfs, Size: f.size, PointerSize: 130}
	}
	return e, true
}

func (h *writeHub) writeEntries(w http.ResponseWriter, entries []TreeEntry) {
	list := []map[string]any{}
	for _, e := range entries {
		m := map[string]any{"type": e.Type, "path": e.Path, "oid": e.OID, "size": e.Size}
		if e.LFS != nil {
			m["lfs"] = map[string]any{"oid": e.LFS.SHA256, "size": e.LFS.Size, "pointerSize": e.LFS.PointerSize}
		}
		list = append(list, m)
	}
	_ = json.NewEncoder(w).Encode(list)
}

func (h *writeHub) serveYAML(w http.ResponseWriter, r *http.Request) {
	var in struct{ Content, RepoType string }
	_ = json.NewDecoder(r.Body).Decode(&in)
	if strings.Contains(in.Content, "license: nonsense") {
		reply(400, `{"errors":[{"message":"\"license\" must be one of a list"},{"message":"second"}],"warnings":[]}`)(w, r)
		return
	}
	reply(200, `{"errors":[],"warnings":[{"message":"empty or missing yaml metadata"}]}`)(w, r)
}

func (h *writeHub) servePreupload(w http.ResponseWriter, r *http.Request) {
	var in preuploadRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Files) > 256 {
		reply(400, `{"error":"bad preupload"}`)(w, r)
		return
	}
	ignored := h.ignore
	if in.GitIgnore != nil {
		rules := strings.Fields(*in.GitIgnore)
		ignored = func(p string) bool { return slices.Contains(rules, p) }
	}
	files := []map[string]any{}
	for _, f := range in.Files {
		m := map[string]any{"path": f.Path, "uploadMode": "regular", "shouldIgnore": ignored(f.Path)}
		if h.lfs(f.Path) {
			m["uploadMode"] = "lfs"
		}
		if have, ok := h.files[f.Path]; ok {
			m["oid"] = have.oid()
		}
		files = append(files, m)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"files": files, "commitOid": h.head})
}

func (h *writeHub) serveBatch(w http.ResponseWriter, r *http.Request) {
	var in lfsBatchRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Accept") != lfsMediaType || in.HashAlgo != "sha256" {
		reply(400, `{"error":"bad batch"}`)(w, r)
		return
	}
	objects := []map[string]any{}
	for _, o := range in.Objects {
		m := map[string]any{"oid": o.OID, "size": o.Size}
		objects = append(objects, m)
		if _, ok := h.objects[o.OID]; ok {
			continue
		}
		if o.Size == 666 {
			m["error"] = map[string]any{"code": 422, "message": "this object is refused"}
			continue
		}
		upload := map[string]any{"href": h.storage.URL + "/basic/" + o.OID + "?Signature=secret"}
		if h.chunkSize > 0 {
			id := "upload-" + o.OID[:8]
			if h.newUpload {
				h.nextID++
				id += "-" + strconv.Itoa(h.nextID)
			}
			if h.uploads[id] == nil {
				h.uploads[id] = make(map[int][]byte)
			}
			h.nextID++
			query := url.Values{"uploadId": {id}, "Signature": {strconv.Itoa(h.nextID)}}.Encode()
			header := map[string]any{"chunk_size": strconv.Itoa(h.chunkSize)}
			for n := 1; (n-1)*h.chunkSize < int(o.Size); n++ {
				header[fmt.Sprintf("%05d", n)] = fmt.Sprintf("%s/part/%d?%s", h.storage.URL, n, query)
			}
			upload = map[string]any{"href": h.storage.URL + "/complete/" + o.OID + "?" + query, "header": header}
		}
		actions := map[string]any{"upload": upload}
		if h.verify {
			actions["verify"] = map[string]any{"href": h.hub.URL + "/verify"}
		}
		m["actions"] = actions
	}
	w.Header().Set("Content-Type", lfsMediaType)
	_ = json.NewEncoder(w).Encode(map[string]any{"transfer": "basic", "objects": objects})
}

func (h *writeHub) serveStorage(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		h.t.Error("the token was sent to the storage host")
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if h.note(w, r, kind) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	id := r.URL.Query().Get("uploadId")
	switch kind {
	case "basic":
		if r.ContentLength < 0 || sum256(body) != name {
			reply(400, `bad content`)(w, r)
			return
		}
		h.objects[name] = body
	case "part":
		if h.uploads[id] == nil {
			reply(404, `no such upload`)(w, r)
			return
		}
		n, _ := strconv.Atoi(name)
		h.uploads[id][n] = body
		w.Header().Set("ETag", `"`+sum256(body)+`"`)
	case "complete":
		var in struct {
			OID   string
			Parts []struct {
				PartNumber int
				ETag       string
			}
		}
		_ = json.Unmarshal(body, &in)
		var whole []byte
		for i, p := range in.Parts {
			part, ok := h.uploads[id][p.PartNumber]
			if !ok || p.PartNumber != i+1 || p.ETag != `"`+sum256(part)+`"` {
				reply(400, `no such part`)(w, r)
				return
			}
			whole = append(whole, part...)
		}
		if sum256(whole) != name || in.OID != name {
			reply(400, `bad content`)(w, r)
			return
		}
		h.objects[name] = whole
		delete(h.uploads, id)
	}
}

// serveCommit applies a commit, or refuses all of it.
func (h *writeHub) serveCommit(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength < 0 || r.Header.Get("Content-Type") != "application/x-ndjson" {
		reply(400, `{"error":"bad commit"}`)(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if err := h.apply(body); err != nil {
		status := 400
		if strings.Contains(err.Error(), "A commit has happened") {
			status = 412
		}
		reply(status, fmt.Sprintf(`{"error":%q}`, err.Error()))(w, r)
		return
	}
	answer := map[string]any{"success": true, "hookOutput": "", "commitOid": h.head,
		"commitUrl": h.hub.URL + "/ns/name/commit/" + h.head}
	if r.URL.Query().Get("create_pr") == "1" {
		answer["pullRequestUrl"] = h.hub.URL + "/ns/name/discussions/7"
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (h *writeHub) apply(body []byte) error {
	c := fakeCommit{raw: string(body)}
	files := maps.Clone(h.files)
	scan := bufio.NewScanner(bytes.NewReader(body))
	scan.Buffer(nil, 64<<20)
	for scan.Scan() {
		var line struct {
			Key   string
			Value json.RawMessage
		}
		if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
			return err
		}
		var v struct {
			Path, Content, Encoding, Algo, OID string
			Size                               *int64
		}
		if line.Key == "header" {
			if err := json.Unmarshal(line.Value, &c.header); err != nil {
				return err
			}
			if p := c.header.ParentCommit; p != "" && p != h.head {
				return fmt.Errorf("A commit has happened since. Please refresh and try again.") //nolint:revive,staticcheck // the Hub's words
			}
			continue
		}
		if err := json.Unmarshal(line.Value, &v); err != nil {
			return err
		}
		c.keys = append(c.keys, line.Key+" "+v.Path)
		switch line.Key {
		case "file":
			data, err := base64.StdEncoding.DecodeString(v.Content)
			if err != nil || v.Encoding != "base64" {
				return fmt.Errorf("bad content of %s", v.Path)
			}
			files[v.Path] = fakeFile{content: data, size: int64(len(data))}
		case "lfsFile":
			data, ok := h.objects[v.OID]
			if !ok || v.Algo != "sha256" {
				return fmt.Errorf("no object %s", v.OID)
			}
			files[v.Path] = fakeFile{lfs: v.OID, size: int64(len(data))}
		case "deletedFile":
			if _, ok := files[v.Path]; !ok {
				return fmt.Errorf("A file with this name doesn't exist") //nolint:revive,staticcheck // as above
			}
			delete(files, v.Path)
		case "deletedFolder":
			maps.DeleteFunc(files, func(p string, _ fakeFile) bool { return strings.HasPrefix(p, v.Path+"/") })
		default:
			return fmt.Errorf("bad key %q", line.Key)
		}
	}
	if len(c.keys) == 0 {
		return fmt.Errorf("no operations")
	}
	h.files = files
	h.head = fmt.Sprintf("%x", sha1.Sum(append([]byte(h.head), body...)))
	c.oid = h.head
	h.commits = append(h.commits, c)
	return nil
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

func add(path, content string) *Add { return &Add{Path: path, Content: BytesContent([]byte(content))} }
