package control

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hubfs/hubfs/hub"
)

func TestOperations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("on disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := `[
		{"op": "add", "path_in_repo": "a", "path_or_fileobj": ` + string(jsonWord(file)) + `},
		{"op": "add", "path_in_repo": "b", "path_or_fileobj": {"text": "text"}},
		{"op": "add", "path_in_repo": "c", "path_or_fileobj": {"base64": "AAE="}},
		{"op": "delete", "path_in_repo": "d"},
		{"op": "delete", "path_in_repo": "e/", "is_folder": "auto"},
		{"op": "delete", "path_in_repo": "f/", "is_folder": false},
		{"op": "delete", "path_in_repo": "g", "is_folder": true},
		{"op": "copy", "src_path_in_repo": "h", "path_in_repo": "i", "src_revision": "v1"}
	]`
	var list operations
	if err := json.Unmarshal([]byte(in), &list); err != nil {
		t.Fatal(err)
	}
	ops, err := list.parse("operations")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]string{0: "on disk", 1: "text", 2: "\x00\x01"} {
		add, ok := ops[i].(*hub.Add)
		if !ok {
			t.Fatalf("operation %d is a %T", i, ops[i])
		}
		r, err := add.Content.Open()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, add.Content.Size)
		if _, err := r.ReadAt(got, 0); err != nil || string(got) != want {
			t.Errorf("operation %d has %q, %v", i, got, err)
		}
		r.Close()
	}
	for i, want := range map[int]hub.Operation{
		3: &hub.Delete{Path: "d"}, 4: &hub.Delete{Path: "e/"}, 5: &hub.Delete{Path: "f"}, 6: &hub.DeleteFolder{Path: "g"},
		7: &hub.Copy{Source: "h", SourceRevision: "v1", Path: "i"},
	} {
		got, _ := json.Marshal(ops[i])
		wanted, _ := json.Marshal(want)
		if string(got) != string(wanted) {
			t.Errorf("operation %d is %T %s", i, ops[i], got)
		}
	}
}

// A wrong operation is refused by name, and nothing is sent.
func TestWrongOperations(t *testing.T) {
	api := testAPI(t, "http://127.0.0.1:1")
	for in, want := range map[string]string{
		`{}`:                                   "list[dict]",
		`[{"path": "a"}]`:                      "list[dict]",
		`[{"op": "add", "path_in_repo": "a"}]`: "path_or_fileobj is missing",
		`[{"op": "add", "path_or_fileobj": "a"}]`:                                                       "path_in_repo is missing",
		`[{"path_in_repo": "a"}]`:                                                                       "op must be",
		`[{"op": "delete", "path_in_repo": "a", "path_or_fileobj": "b"}]`:                               "doesn't take",
		`[{"op": "add", "path_in_repo": "a", "path_or_fileobj": {"text": "a", "base64": ""}}]`:          "list[dict]",
		`[{"op": "add", "path_in_repo": "a", "path_or_fileobj": {}}]`:                                   "list[dict]",
		`[{"op": "add", "path_in_repo": "a", "path_or_fileobj": "/nowhere/at/all"}]`:                    "no such file",
		`[{"op": "delete", "path_in_repo": "a", "is_folder": "yes"}]`:                                   "list[dict]",
		`[{"op": "copy", "path_in_repo": "a"}]`:                                                         "src_path_in_repo is missing",
		`[{"op": "delete", "path_in_repo": "../a"}]`:                                                    "leads out of the repository",
		`[{"op": "add", "path_in_repo": "a/.git/b", "path_or_fileobj": {"text": ""}}]`:                  ".git",
		`[{"op": "copy", "path_in_repo": "a", "src_path_in_repo": "b", "is_folder": true}]`:             "doesn't take",
		`[{"op": "add", "path_in_repo": "a", "path_or_fileobj": {"text": ""}, "src_revision": "main"}]`: "doesn't take",
	} {
		m, err := LookupMethod("create_commit")
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Call(t.Context(), api, map[string]json.RawMessage{"repo_id": jsonWord("ns/name"), "commit_message": jsonWord("x"), "operations": json.RawMessage(in)})
		var e *Error
		if AsError(err).Kind != KindBadParameter || !errors.As(AsError(err), &e) || !strings.Contains(e.Message, want) {
			t.Errorf("%s: %v", in, err)
		}
	}
}
