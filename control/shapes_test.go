package control

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/hubfs/hubfs/hub"
)

// asJSON is v as a program on the other side of the socket sees it.
func asJSON(t *testing.T, v any) map[string]any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestModelInfoShape(t *testing.T) {
	const wire = `{"_id":"x","id":"me/m","modelId":"me/m","sha":"abc","lastModified":"2024-02-03T04:05:06.000Z","createdAt":"2024-01-01T00:00:00.123Z",
		"private":false,"gated":false,"downloads":9007199254740993,"tags":["a"],"library_name":"transformers","newThing":{"k":1},
		"transformersInfo":{"auto_model":"AutoModel"},
		"cardData":{"license":"mit","tags":["x","x","y"],"extra":1,"model-index":[{"name":"M","results":[{"task":{"type":"t"},"dataset":{"type":"d","name":"D"},
			"metrics":[{"type":"accuracy","value":0.5,"verified":true}]}]}]},
		"siblings":[{"rfilename":"a.bin","size":3,"blobId":"b","lfs":{"size":3,"sha256":"s","pointerSize":130}},{"rfilename":"README.md"}]}`
	var info hub.RepoInfo
	if err := json.Unmarshal([]byte(wire), &info); err != nil {
		t.Fatal(err)
	}
	info.Type = hub.Model
	shaped, err := repoInfo(&info)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := json.Marshal(shaped.(map[string]any)["downloads"]); string(b) != "9007199254740993" {
		t.Errorf("a large number came out as %s", b)
	}
	got := asJSON(t, shaped)
	for key, want := range map[string]any{
		"id": "me/m", "modelId": "me/m", "_id": "x", "sha": "abc", "private": false, "gated": false, "author": nil, "disabled": nil,
		"last_modified": "2024-02-03T04:05:06.000Z", "created_at": "2024-01-01T00:00:00.123Z",
		"newThing":          map[string]any{"k": 1.0},
		"transformers_info": map[string]any{"auto_model": "AutoModel", "custom_class": nil, "pipeline_tag": nil, "processor": nil},
		"siblings": []any{
			map[string]any{"rfilename": "a.bin", "size": 3.0, "blob_id": "b", "lfs": map[string]any{"size": 3.0, "sha256": "s", "pointer_size": 130.0}},
			map[string]any{"rfilename": "README.md", "size": nil, "blob_id": nil, "lfs": nil},
		},
	} {
		have, present := got[key]
		if !present || !reflect.DeepEqual(have, want) {
			t.Errorf("%s is %v, want %v", key, have, want)
		}
	}
	for _, key := range []string{"lastModified", "createdAt", "cardData", "transformersInfo"} {
		if _, present := got[key]; present {
			t.Errorf("%s is there under its name on the wire", key)
		}
	}
	card := got["card_data"].(map[string]any)
	if card["license"] != "mit" || card["extra"] != 1.0 || card["base_model"] != nil || !reflect.DeepEqual(card["tags"], []any{"x", "y"}) {
		t.Errorf("card is %v", card)
	}
	results := card["eval_results"].([]any)
	if first := results[0].(map[string]any); card["model_name"] != "M" || len(results) != 1 || first["metric_value"] != 0.5 ||
		first["task_type"] != "t" || first["dataset_name"] != "D" || first["verified"] != true || first["source_url"] != nil {
		t.Errorf("evaluation results are %v", results)
	}
}

func TestBadModelIndexIsLeftOut(t *testing.T) {
	for _, index := range []string{`"text"`, `[1]`, `[{"name":"M"}]`, `[{"name":"M","results":[{"task":{"type":"t"},"dataset":{},"metrics":[{}]}]}]`, `[]`} {
		var card any
		if err := json.Unmarshal([]byte(`{"license":"mit","model-index":`+index+`}`), &card); err != nil {
			t.Fatal(err)
		}
		got := modelCard(card).(map[string]any)
		if got["eval_results"] != nil || got["license"] != "mit" {
			t.Errorf("%s: got %v", index, got)
		}
	}
}

func TestTreeEntryShapes(t *testing.T) {
	const wire = `[{"type":"file","path":"a","oid":"b1","size":5,"lfs":{"oid":"s","size":5,"pointerSize":130},
		"lastCommit":{"id":"c","title":"t","date":"2024-02-03T04:05:06.000Z"},"securityFileStatus":{"status":"safe","avScan":null,"pickleImportScan":null}},
		{"type":"directory","path":"d","oid":"t1","size":0}]`
	var entries []hub.TreeEntry
	if err := json.Unmarshal([]byte(wire), &entries); err != nil {
		t.Fatal(err)
	}
	entries[0].LFS.SHA256 = "s" // called oid in listings, which package hub sees to
	file, err := treeEntry(entries[0])
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"path": "a", "size": 5.0, "blob_id": "b1", "xet_hash": nil,
		"lfs":         map[string]any{"size": 5.0, "sha256": "s", "pointer_size": 130.0},
		"last_commit": map[string]any{"oid": "c", "title": "t", "date": "2024-02-03T04:05:06.000Z"},
		"security":    map[string]any{"safe": true, "status": "safe", "av_scan": nil, "pickle_import_scan": nil},
	}
	if got := asJSON(t, file); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	folder, err := treeEntry(entries[1])
	if err != nil {
		t.Fatal(err)
	}
	if got := asJSON(t, folder); !reflect.DeepEqual(got, map[string]any{"path": "d", "tree_id": "t1", "last_commit": nil}) {
		t.Errorf("got %v", got)
	}
}

func TestParseResolveURL(t *testing.T) {
	const end = "http://hub.example"
	ref, err := parseResolveURL(end, end+"/datasets/me/d/resolve/refs%2Fpr%2F1/a%20b/c.csv?download=true")
	if err != nil || ref != (hub.FileRef{Repo: hub.Repo{Type: hub.Dataset, ID: "me/d"}, Revision: "refs/pr/1", Path: "a b/c.csv"}) {
		t.Errorf("got %+v, %v", ref, err)
	}
	for _, bad := range []string{"", "http://other/me/d/resolve/main/x", end + "/me/d", end + "/me/d/resolve/main", end + "/me/d/resolve/main/", end + "/a/b/c/d/resolve/main/x", end + "/me/d/resolve/%zz/x"} {
		if ref, err := parseResolveURL(end, bad); err == nil {
			t.Errorf("%q: got %+v", bad, ref)
		}
	}
}
