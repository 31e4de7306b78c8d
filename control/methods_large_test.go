package control

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hubfs/hubfs/hub"
	"github.com/hubfs/hubfs/hub/hubtest"
)

func TestUploadLargeFolder(t *testing.T) {
	srv := hubtest.New(t)
	api := apiOf(t, srv.Client())
	dir := t.TempDir()
	for i := range 30 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.txt", i)), []byte(fmt.Sprint(i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for p, want := range map[string]string{
		`{"repo_id":"alice/l","folder_path":"` + dir + `"}`:                                                      "repo_type",
		`{"repo_id":"alice/l","folder_path":"` + dir + `","repo_type":"model","num_workers":-1}`:                 "num_workers",
		`{"repo_id":"alice/l","folder_path":"` + dir + `","repo_type":"model","print_report_every":0}`:           "print_report_every",
		`{"repo_id":"alice/l","folder_path":"` + dir + `","repo_type":"model","path_in_repo":"x"}`:               "path_in_repo",
		`{"repo_id":"alice/l","folder_path":"` + dir + `","repo_type":"model","private":"maybe"}`:                "private",
		`{"repo_id":"a--b/l","folder_path":"` + dir + `","repo_type":"model","allow_patterns":["*"]}`:            "",
		`{"repo_id":"alice/l","folder_path":"` + dir + `","repo_type":"model","ignore_patterns":{"not":"this"}}`: "ignore_patterns",
	} {
		_, err := callOf(t, api, "upload_large_folder", p)
		if e := AsError(err); e == nil || e.Kind != KindBadParameter || e.Parameter != want {
			t.Errorf("%s: %+v", p, e)
		}
	}
	if v, err := callOf(t, api, "upload_large_folder", `{"repo_id":"alice/l","folder_path":"`+dir+`","repo_type":"dataset","ignore_patterns":"*9.txt"}`); v != nil || err != nil {
		t.Fatalf("%v, %v", v, err)
	}
	v, err := callOf(t, api, "list_repo_files", `{"repo_id":"alice/l","repo_type":"dataset"}`)
	if files, _ := v.([]any); err != nil || len(files) != 28 {
		t.Errorf("%v, %v", v, err)
	}
}

func TestSafetensorsMethods(t *testing.T) {
	srv := hubtest.New(t)
	header := `{"__metadata__":{"format":"pt"},"w":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}}`
	file := string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + string(make([]byte, 12))
	srv.Repo("st", map[string]string{"model.safetensors": file, "bad.safetensors": "x"})
	srv.Repo("none", nil)
	api := apiOf(t, srv.Client())
	text := func(v any) string { b, _ := json.Marshal(v); return string(b) }
	const one = `{"metadata":{"format":"pt"},"parameter_count":{"F16":6},"tensors":{"w":{"data_offsets":[0,12],"dtype":"F16","parameter_count":6,"shape":[2,3]}}}`
	v, err := callOf(t, api, "parse_safetensors_file_metadata", `{"repo_id":"alice/st","filename":"model.safetensors"}`)
	if err != nil || text(v) != one {
		t.Errorf("%s, %v", text(v), err)
	}
	v, err = callOf(t, api, "get_safetensors_metadata", `{"repo_id":"alice/st"}`)
	if want := `{"files_metadata":{"model.safetensors":` + one + `},"metadata":null,"parameter_count":{"F16":6},"sharded":false,"weight_map":{"w":"model.safetensors"}}`; err != nil || text(v) != want {
		t.Errorf("%s, %v", text(v), err)
	}
	_, err = callOf(t, api, "parse_safetensors_file_metadata", `{"repo_id":"alice/st","filename":"bad.safetensors"}`)
	if e := AsError(err); !errors.Is(err, hub.ErrBadSafetensors) || e.Kind != "bad_safetensors" || e.Status != 422 {
		t.Errorf("%+v", e)
	}
	_, err = callOf(t, api, "get_safetensors_metadata", `{"repo_id":"alice/none"}`)
	if e := AsError(err); e == nil || e.Kind != "not_safetensors" || e.Status != 404 || !errors.Is(e, hub.ErrNotSafetensors) {
		t.Errorf("%+v", e)
	}
}
