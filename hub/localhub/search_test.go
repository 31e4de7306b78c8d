package localhub_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hubfs/hubfs/hub/hubtest"
	"github.com/hubfs/hubfs/hub/localhub"
)

// tensors is a safetensors file with one tensor of each type.
func tensors(shapes map[string][]int) string {
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	at := 0
	for dtype, shape := range shapes {
		header["t."+dtype] = map[string]any{"dtype": dtype, "shape": shape, "data_offsets": []int{at, at}}
	}
	b, _ := json.Marshal(header)
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(b)))) + string(b)
}

// gguf is a GGUF file with some keys and one tensor.
func gguf() string {
	var b bytes.Buffer
	le := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	text := func(s string) { le(uint64(len(s))); b.WriteString(s) }
	b.WriteString("GGUF")
	le(uint32(3))
	le(uint64(1)) // tensors
	le(uint64(4)) // keys
	text("general.architecture")
	le(uint32(8))
	text("llama")
	text("llama.context_length")
	le(uint32(4))
	le(uint32(4096))
	text("tokenizer.scores")
	le(uint32(9))
	le(uint32(6))
	le(uint64(2))
	le([]float32{1, 2})
	text("general.alignment")
	le(uint32(7))
	le(true)
	text("blk.0")
	le(uint32(2))
	le([]uint64{30, 20})
	le(uint32(0))
	le(uint64(0))
	return b.String()
}

// library is a Hub whose repositories have something to be found by.
func library(t *testing.T) (*hubtest.Server, *clock) {
	t.Helper()
	c := newClock()
	s := hubtest.New(t, people(), hubtest.WithClock(c.now), hubtest.WithPageSize(2))
	files := func(typ, id string, o localhub.RepoOptions, files map[string]string) {
		t.Helper()
		c.pass(time.Hour)
		must(t, s.Hub.CreateRepo(typ, id, o))
		in := localhub.CommitInput{Title: "files"}
		for path, text := range files {
			in.Operations = append(in.Operations, localhub.Operation{Kind: localhub.OpAdd, Path: path, Content: []byte(text)})
		}
		_, err := s.Hub.Commit(typ, id, "main", in)
		must(t, err)
	}
	weights, err := s.Hub.PutLFS(strings.NewReader(tensors(map[string][]int{"F32": {1000, 2000}, "I64": {}})))
	must(t, err)
	files(localhub.Model, "alice/bert", localhub.RepoOptions{}, map[string]string{
		"README.md": "---\nlicense: mit\nlanguage: [en, de]\ndatasets: [alice/words]\ntags: [test]\nco2_eq_emissions: {emissions: 12.5}\n" +
			"widget:\n- text: hi\nmodel-index:\n- name: b\n  results: []\n---\nSee https://arxiv.org/abs/1810.04805.\n",
		"config.json":           `{"model_type":"bert","architectures":["BertForMaskedLM"],"hidden_size":8}`,
		"tokenizer_config.json": `{"mask_token":{"content":"[MASK]"},"unk_token":"[UNK]","model_max_length":512}`,
		"pytorch_model.bin":     "x",
	})
	_, err = s.Hub.Commit(localhub.Model, "alice/bert", "main", localhub.CommitInput{
		Title: "weights", Operations: []localhub.Operation{{Kind: localhub.OpAdd, Path: "model.safetensors", LFS: &weights}},
	})
	must(t, err)
	files(localhub.Model, "alice/tuned", localhub.RepoOptions{Gated: "auto"}, map[string]string{
		"README.md": "---\nbase_model: alice/bert\npipeline_tag: text-classification\nlibrary_name: keras\n---\n",
	})
	files(localhub.Model, "bob/quant", localhub.RepoOptions{}, map[string]string{
		"README.md": "---\nbase_model: Alice/Bert\n---\n", "q.gguf": gguf(),
	})
	files(localhub.Model, "bob/fine", localhub.RepoOptions{Private: true}, map[string]string{"README.md": "---\nbase_model: alice/bert\ntags: [secret]\n---\n"})
	files(localhub.Dataset, "alice/words", localhub.RepoOptions{}, map[string]string{
		"README.md": "---\ntask_categories: [fill-mask]\ntask_ids: paraphrase\nlanguage: en\nmultilinguality: monolingual\nsize_categories: n<1K\n" +
			"language_creators: found\nbenchmark: official\npaperswithcode_id: words\n---\n# Words\nAll of them.\n## Citation\n```\n@misc{words}\n```\n",
		"a.csv": "a\n1\n", "b.jsonl": "{}\n",
	})
	files(localhub.Dataset, "bob/numbers", localhub.RepoOptions{}, map[string]string{"n.parquet": "PAR1"})
	files(localhub.Space, "alice/app", localhub.RepoOptions{SDK: "gradio"}, map[string]string{
		"README.md": "---\nsdk: gradio\nmodels: [alice/bert, bob/quant]\ndatasets: [alice/words]\ntags: [demo]\n---\n", "app.py": "",
	})
	files(localhub.Space, "bob/page", localhub.RepoOptions{SDK: "static"}, map[string]string{"README.md": "---\nsdk: static\n---\n"})
	must(t, s.Hub.SetDownloads(localhub.Model, "bob/quant", 5, 50))
	must(t, s.Hub.SetDownloads(localhub.Model, "alice/tuned", 3, 100))
	must(t, s.Hub.Like(localhub.Model, "alice/tuned", "bob", true))
	must(t, s.Hub.Like(localhub.Model, "alice/tuned", "carol", true))
	c.pass(30 * 24 * time.Hour)
	must(t, s.Hub.Like(localhub.Model, "alice/bert", "bob", true))
	return s, c
}

func TestSearch(t *testing.T) {
	s, _ := library(t)
	for _, c := range []struct{ query, want string }{
		// Sorts; the private repository is nobody else's.
		{"models", "bob/quant alice/tuned alice/bert"},
		{"models?sort=createdAt&direction=1", "alice/bert alice/tuned bob/quant"},
		{"models?sort=last_modified&direction=-1&limit=1", "bob/quant alice/tuned alice/bert"},
		{"models?sort=downloads", "bob/quant alice/tuned alice/bert"},
		{"models?sort=downloadsAllTime", "alice/tuned bob/quant alice/bert"},
		{"models?sort=likes", "alice/tuned alice/bert bob/quant"},
		{"models?sort=trendingScore", "alice/bert alice/tuned bob/quant"},
		{"models?sort=num_parameters", "alice/bert bob/quant alice/tuned"},
		{"models?sort=id&direction=1", "alice/bert alice/tuned bob/quant"},
		{"datasets?sort=downloads", "alice/words bob/numbers"},
		{"spaces?sort=likes&direction=1", "alice/app bob/page"},
		// Filters.
		{"models?filter=transformers", "alice/bert"},
		{"models?filter=pytorch&filter=safetensors&filter=bert", "alice/bert"},
		{"models?filter=gguf", "bob/quant"},
		{"models?filter=keras", "alice/tuned"},
		{"models?filter=fill-mask&filter=de&filter=dataset:alice/words&filter=license:mit&filter=arxiv:1810.04805", "alice/bert"},
		{"models?filter=base_model:finetune:alice/bert", "alice/tuned"},
		{"models?filter=base_model:quantized:Alice/Bert", "bob/quant"},
		{"models?filter=region:us&pipeline_tag=text-classification", "alice/tuned"},
		{"models?pipeline_tag=pytorch", ""},
		{"models?gated=true", "alice/tuned"},
		{"models?gated=False&author=ALICE", "alice/bert"},
		{"models?search=b&search=BERT", "alice/bert"},
		{"models?search=alice+tun", "alice/tuned"},
		{"models?inference=warm", ""},
		{"models?inference_provider=all", ""},
		{"models?apps=ollama", "bob/quant"},
		{"models?apps=vllm", ""},
		{"models?num_parameters=min:1M,max:3M", "alice/bert"},
		{"models?num_parameters=max:0.6K", "bob/quant"},
		{"datasets?filter=language:en&filter=task_categories:fill-mask&filter=task_ids:paraphrase&filter=size_categories:n%3C1K", "alice/words"},
		{"datasets?filter=multilinguality:monolingual&filter=language_creators:found&filter=benchmark:official", "alice/words"},
		{"datasets?filter=format:csv&filter=format:json&filter=library:datasets", "alice/words"},
		{"datasets?filter=format:parquet", "bob/numbers"},
		{"spaces?models=alice/bert&models=BOB/quant", "alice/app"},
		{"spaces?datasets=alice/words", "alice/app"},
		{"spaces?datasets=alice/words&models=alice/tuned", ""},
		{"spaces?filter=gradio&filter=demo", "alice/app"},
	} {
		if got := strings.ToLower(names(t, s, "/api/"+c.query, "id")); got != c.want {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
	}
	run(t, s, []request{
		{"GET", "/api/models?inference=hot", "", "", 400, "BadRequest"},
		{"GET", "/api/models?num_parameters=many", "", "", 400, "BadRequest"},
		{"GET", "/api/spaces?sort=downloads", "", "", 400, "BadRequest"},
		{"GET", "/api/models?direction=up", "", "", 400, "BadRequest"},
		{"GET", "/api/models?expand=sha&config=True", "", "", 400, "BadRequest"},
		{"GET", "/api/datasets?cardData=True", "", "", 400, "BadRequest"},
		{"GET", "/api/models?full=maybe", "", "", 400, "BadRequest"},
	})
}

// What is asked for, and only that, is in the answer.
func TestInfoAttributes(t *testing.T) {
	s, _ := library(t)
	info := func(path string) map[string]any {
		t.Helper()
		resp, body := send(t, "GET", s.URL+path, "")
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
		}
		return decode[map[string]any](t, body)
	}
	type object = map[string]any
	for path, want := range map[string]object{
		"/api/models/alice/bert": {
			"pipeline_tag": "fill-mask", "library_name": "transformers", "mask_token": "[MASK]", "likes": 1.0, "trendingScore": 1.0, "gated": false,
			"config": object{
				"architectures": []any{"BertForMaskedLM"}, "model_type": "bert",
				"tokenizer_config": object{"mask_token": "[MASK]", "unk_token": "[UNK]"},
			},
			"transformersInfo": object{"auto_model": "AutoModelForMaskedLM", "pipeline_tag": "fill-mask", "processor": "AutoTokenizer"},
			"safetensors":      object{"parameters": object{"F32": 2e6, "I64": 1.0}, "total": 2000001.0},
			"spaces":           []any{"alice/app"},
			"widgetData":       []any{object{"text": "hi"}},
			"model-index":      []any{object{"name": "b", "results": []any{}}},
		},
		"/api/models/alice/bert?expand=childrenModelCount&expand=spaces": {
			"childrenModelCount": object{"adapter": 0.0, "finetune": 1.0, "merge": 0.0, "quantized": 1.0}, "spaces": []any{"alice/app"},
		},
		"/api/models/bob/quant?expand=gguf&expand=downloadsAllTime&expand=downloads": {
			"gguf": object{"total": 600.0, "architecture": "llama", "context_length": 4096.0}, "downloads": 5.0, "downloadsAllTime": 50.0,
		},
		"/api/datasets/alice/words": {
			"description": "# Words\nAll of them.\n## Citation\n```\n@misc{words}\n```", "citation": "@misc{words}", "paperswithcode_id": "words",
		},
		"/api/spaces/alice/app": {
			"sdk": "gradio", "subdomain": "alice-app", "host": s.URL + "/spaces/alice/app", "models": []any{"alice/bert", "bob/quant"}, "datasets": []any{"alice/words"},
		},
	} {
		got := info(path)
		for k, v := range want {
			if !reflect.DeepEqual(got[k], v) {
				t.Errorf("%s: %s is %v, want %v", path, k, got[k], v)
			}
		}
		if strings.Contains(path, "expand") && len(got) != len(want)+2 {
			t.Errorf("%s: %v", path, got)
		}
	}
	base := info("/api/models/alice/tuned?expand=baseModels")["baseModels"].(object)
	if models := base["models"].([]any); base["relation"] != "finetune" || len(models) != 1 || models[0].(object)["id"] != "alice/bert" {
		t.Errorf("base models are %v", base)
	}
	// Every attribute that can be asked for is one that the server knows.
	for typ, path := range map[string]string{localhub.Model: "models/alice/bert", localhub.Dataset: "datasets/alice/words", localhub.Space: "spaces/alice/app"} {
		_, body := send(t, "GET", s.URL+"/api/"+path+"?expand=nope", "")
		list, _, _ := strings.Cut(strings.SplitN(decode[map[string]string](t, body)["error"], "[", 2)[1], "]")
		for _, name := range strings.Split(list, ", ") {
			got := info("/api/" + path + "?expand=" + name)
			if len(got) > 3 || len(got) == 3 && got[name] == nil && name != "resourceGroup" {
				t.Errorf("%s %s: %v", typ, name, got)
			}
		}
	}
	for query, has := range map[string]string{"": "", "?full=True": "siblings cardData", "?config=True": "config", "?cardData=True": "cardData"} {
		_, body := send(t, "GET", s.URL+"/api/models"+query, "")
		for _, m := range decode[[]object](t, body) {
			for _, k := range []string{"siblings", "cardData", "config"} {
				if _, ok := m[k]; ok != strings.Contains(has, k) && (k != "config" || m["id"] == "alice/bert") {
					t.Errorf("models%s: %s is there: %t", query, k, ok)
				}
			}
		}
	}
}

func TestTagsByType(t *testing.T) {
	s, _ := library(t)
	type tag struct{ ID, Label, Type string }
	find := func(path, kind, id string) bool {
		t.Helper()
		_, body := send(t, "GET", s.URL+path, "", auth("hf_bob"))
		for _, v := range decode[map[string][]tag](t, body)[kind] {
			if v.ID == id && v.Type == kind && strings.HasSuffix(id, v.Label) {
				return true
			}
		}
		return false
	}
	for _, c := range []struct {
		path, kind, id string
		want           bool
	}{
		{"/api/models-tags-by-type", "pipeline_tag", "fill-mask", true},
		{"/api/models-tags-by-type", "library", "transformers", true},
		{"/api/models-tags-by-type", "dataset", "dataset:alice/words", true},
		{"/api/models-tags-by-type", "language", "de", true},
		{"/api/models-tags-by-type", "license", "license:mit", true},
		{"/api/models-tags-by-type", "other", "test", true},
		{"/api/models-tags-by-type", "other", "secret", false},
		{"/api/datasets-tags-by-type", "size_categories", "size_categories:n<1K", true},
		{"/api/datasets-tags-by-type", "language", "language:en", true},
		{"/api/datasets-tags-by-type", "format", "format:parquet", true},
	} {
		if got := find(c.path, c.kind, c.id); got != c.want {
			t.Errorf("%s: %s %s is there: %t", c.path, c.kind, c.id, got)
		}
	}
	run(t, s, []request{
		{"POST", "/api/models-tags-by-type", "", "", 405, "MethodNotAllowed"},
		{"GET", "/api/spaces-tags-by-type", "", "", 404, "NotFound"},
	})
}

// Files that aren't what their names say tell nothing, and harm nothing.
func TestHostileFiles(t *testing.T) {
	s := hubtest.New(t)
	huge := tensors(map[string][]int{"F32": {1 << 40, 1 << 40}, "F16": {-5, 7}, "BF16": {2, 3}})
	for name, files := range map[string]map[string]string{
		"short":  {"a.safetensors": "x", "b.gguf": "GG", "config.json": `[1]`, "tokenizer_config.json": `{"mask_token":{"content":5}}`},
		"lying":  {"a.safetensors": "\xff\xff\xff\xff\xff\xff\xff\x7f{}", "b.gguf": "GGUF\x03\x00\x00\x00" + strings.Repeat("\xff", 16)},
		"broken": {"a.safetensors": "\x10\x00\x00\x00\x00\x00\x00\x00{\"t\":", "b.gguf": gguf()[:40], "README.md": "---\n: [\n---\n"},
		"odd":    {"config.json": `{"model_type":7,"architectures":"x"}`, "README.md": "---\ntags: {a: b}\nbase_model: [1, 2]\nlibrary_name: [x]\npipeline_tag: {}\n---\n"},
		"huge":   {"a.safetensors": huge},
	} {
		in := localhub.CommitInput{Title: "files"}
		for path, text := range files {
			ref, err := s.Hub.PutLFS(strings.NewReader(text))
			must(t, err)
			op := localhub.Operation{Kind: localhub.OpAdd, Path: path, LFS: &ref}
			if !strings.HasSuffix(path, "safetensors") && !strings.HasSuffix(path, "gguf") {
				op = localhub.Operation{Kind: localhub.OpAdd, Path: path, Content: []byte(text)}
			}
			in.Operations = append(in.Operations, op)
		}
		must(t, s.Hub.CreateRepo(localhub.Model, "alice/"+name, localhub.RepoOptions{}))
		_, err := s.Hub.Commit(localhub.Model, "alice/"+name, "main", in)
		must(t, err)
		resp, body := send(t, "GET", s.URL+"/api/models/alice/"+name, "")
		info := decode[map[string]any](t, body)
		if resp.StatusCode != http.StatusOK || info["gguf"] != nil || info["safetensors"] != nil && name != "huge" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
		if name == "huge" && info["safetensors"].(map[string]any)["total"] != 6.0 {
			t.Errorf("%s: %v", name, info["safetensors"])
		}
	}
	if got := names(t, s, "/api/models?full=True&sort=num_parameters", "id"); !strings.HasPrefix(got, "alice/huge ") || len(strings.Fields(got)) != 5 {
		t.Errorf("listed %s", got)
	}
}
